//! Reading a counting question.

use super::words::{ANYTHING, CATEGORIES, category, number};
use crate::sim::text::sentences;

/// One thing that a question names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    /// As the question words it, with its number.
    pub(crate) words: String,
    /// Its name alone.
    pub(crate) name: String,
    pub(crate) number: u32,
    /// Whether its number is an article or figures, which are easier to read than number words.
    pub(crate) easy: bool,
    /// Whether it is one of what is to be counted.
    pub(crate) counts: bool,
}

/// A counting question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// What is to be counted, as the question calls it.
    pub(crate) asked: String,
    pub(crate) things: Vec<Thing>,
}

const AFTER: &[&str] = &[" do i have", " do we have", " are there", " in total", " altogether"];
const VERBS: &[&str] = &[" have ", " own ", " bought ", " see ", " there are ", " there is "];
const FEWEST: usize = 2;
/// The longest name of a thing, in words.
const NAME_WORDS: usize = 4;

impl Question {
    /// Reads a question, and says what else stands in the text.
    pub(crate) fn read(text: &str) -> Option<(Self, String)> {
        let parts = sentences(text.trim());
        let at = parts.iter().rposition(|part| asked(part).is_some())?;
        let asked = asked(parts.get(at)?)?;
        let named = listed(parts.get(at.checked_sub(1)?)?);
        let anything = ANYTHING.contains(&asked.as_str());
        let things: Vec<Thing> = named
            .split(',')
            .flat_map(|part| part.split(" and "))
            .filter_map(|part| thing(part, (!anything).then_some(asked.as_str())))
            .collect();
        if things.len() < FEWEST {
            return None;
        }
        let rest = parts.iter().enumerate().filter(|(index, _)| *index != at && index + 1 != at);
        Some((Self { asked, things }, rest.map(|(_, part)| *part).collect()))
    }

    /// The right answer.
    pub(crate) fn total(&self) -> u32 {
        self.things.iter().filter(|thing| thing.counts).map(|thing| thing.number).sum()
    }
}

/// What is to be counted, if a sentence asks for the number of something that the simulation knows.
fn asked(sentence: &str) -> Option<String> {
    let sentence = sentence.to_lowercase();
    let (_, after) = sentence.rsplit_once("how many ")?;
    let end = AFTER.iter().filter_map(|end| after.find(end)).min()?;
    let asked = after.get(..end)?.trim();
    let known = ANYTHING.contains(&asked) || CATEGORIES.iter().any(|row| row.name == asked);
    known.then(|| asked.to_owned())
}

/// What a sentence lists: what follows its verb.
fn listed(sentence: &str) -> &str {
    let lower = sentence.to_ascii_lowercase();
    VERBS
        .iter()
        .filter_map(|verb| Some(lower.find(verb)? + verb.len()))
        .min()
        .and_then(|start| sentence.get(start..))
        .unwrap_or(sentence)
}

fn thing(part: &str, asked: Option<&str>) -> Option<Thing> {
    let words: Vec<&str> = part
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .collect();
    let at = words.iter().position(|word| number(word).is_some())?;
    let (count, name) = words.get(at..)?.split_first()?;
    let number = number(count)?;
    let name = name.get(..name.len().min(NAME_WORDS))?.join(" ");
    let easy = matches!(count.to_lowercase().as_str(), "a" | "an" | "one")
        || count.bytes().all(|byte| byte.is_ascii_digit());
    // A thing that is not in the lists is taken for one of what is asked for: most are.
    let counts = asked.is_none_or(|asked| category(&name).is_none_or(|row| row.name == asked));
    (!name.is_empty()).then(|| Thing {
        words: format!("{} {name}", count.to_lowercase()),
        name,
        number,
        easy,
        counts,
    })
}
