//! Reading a sorting question, and finding the mistakes in an answer to one.

use crate::sim::tasks::Fault;

/// Words to be sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) words: Vec<String>,
}

const FEWEST: usize = 2;

impl Question {
    /// Reads a question, and says what else stands in the text.
    pub(crate) fn read(text: &str) -> Option<(Self, String)> {
        let line = text.lines().find(|line| {
            let line = line.to_lowercase();
            line.contains("sort the following words") && line.contains(':')
        })?;
        let (_, words) = line.split_once(':')?;
        let words = words.trim().strip_prefix("List:").unwrap_or(words);
        let words: Vec<String> = words
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .map(|word| word.trim_end_matches('.').to_owned())
            .collect();
        let plain = words.iter().all(|word| word.chars().all(char::is_alphabetic));
        let rest = text.lines().filter(|other| *other != line).collect::<Vec<_>>().join("\n");
        (words.len() >= FEWEST && plain).then_some((Self { words }, rest))
    }

    pub(crate) fn sorted(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words.sort_unstable();
        words
    }

    /// The mistakes that can be seen in an answer. It reads the question and the answer, as anybody could.
    pub(crate) fn review(&self, answer: &str) -> Vec<Fault> {
        let last = answer.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let given: Vec<&str> = last
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| self.words.iter().any(|known| known == word))
            .collect();
        let sorted = self.sorted();
        let mut faults = Vec::new();
        if given.is_empty() {
            return vec![Fault::Form];
        }
        if sorted.iter().any(|word| !given.contains(word)) {
            faults.push(Fault::Forgot);
        }
        if !given.is_sorted() {
            faults.push(Fault::Order);
        }
        if !last.contains(&given.join(" ")) {
            faults.push(Fault::Form);
        }
        faults
    }
}
