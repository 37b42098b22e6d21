//! The topic of a query.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::criteria::TABLES;
use super::text::normalise;

/// Words that are no topic, and that may stand inside of one (`color of the sky`) but not at its ends.
const CONNECTORS: &[&str] =
    &["of", "for", "the", "a", "an", "in", "on", "to", "and", "with", "at", "between"];

/// Articles that may begin a topic, and how the answer says them.
const LEADS: &[(&str, &str)] =
    &[("the", "the"), ("a", "a"), ("an", "an"), ("my", "your"), ("our", "your"), ("your", "my")];

/// Words that a verb follows rather than a topic.
const BEFORE_VERBS: &[&str] = &["to", "i", "you", "we", "they", "not", "please"];

/// Words that say what is wanted or hold a sentence together, not what it is about.
static STOPWORDS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| TABLES.stopwords.iter().map(String::as_str).collect());

/// How much of a query is read for its topic and key words, in words.
const READ: usize = 400;
/// The longest topic, in words.
const TOPIC_WORDS: usize = 6;
/// The longest word that can be part of a topic, in characters: longer ones are codes, addresses, or
/// sentences of a script without spaces.
const TOPIC_WORD_CHARS: usize = 24;
/// How many key words of a query an answer is looked through for.
const KEY_WORDS: usize = 8;

/// The words of a query that say what it is about, in order, without repeats.
pub(super) fn key_words(query: &str) -> Vec<String> {
    let read: Vec<&str> = query.split_whitespace().take(READ).collect();
    let mut keys: Vec<String> = Vec::new();
    for word in normalise(&read.join(" ")).split(' ').filter(|word| is_content(word)) {
        if keys.len() < KEY_WORDS && !keys.iter().any(|key| key == word) {
            keys.push(word.to_owned());
        }
    }
    keys
}

fn is_content(word: &str) -> bool {
    word.chars().nth(1).is_some()
        && !word.contains('#')
        && !CONNECTORS.contains(&word)
        && !STOPWORDS.contains(word)
}

/// What a query is about, as words that a sentence can take in.
pub(super) fn topic(query: &str) -> String {
    let mut best: (usize, String) = (0, String::new());
    let mut run = Run::default();
    let mut before = String::new();
    let mut words = query.split_whitespace().take(READ).enumerate().peekable();
    while let Some((index, raw)) = words.next() {
        let word = raw.trim_matches(|c: char| !c.is_alphanumeric());
        let plain = normalise(word);
        let plain = plain.trim();
        let odd = word.chars().count() > TOPIC_WORD_CHARS
            || word.contains(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '\'' | '’'));
        if raw.starts_with(|c: char| !c.is_alphanumeric()) || odd {
            run.end(&mut best);
        }
        let ordered = index == 0
            && words.peek().is_some_and(|(_, next)| LEADS.iter().any(|(lead, _)| lead == next));
        let verb = run.content == 0 && (ordered || BEFORE_VERBS.contains(&before.as_str()));
        before = plain.to_owned();
        let content = !odd && !verb && plain.split(' ').any(is_content) && !plain.contains('#');
        if content {
            run.push(if index == 0 { lower_first(word) } else { word.to_owned() });
        } else if CONNECTORS.contains(&plain) && run.content > 0 {
            run.pending.push(plain.to_owned());
        } else {
            run.end(&mut best);
            run.lead =
                LEADS.iter().find(|(lead, _)| *lead == plain).map(|(_, form)| (*form).to_owned());
        }
        if raw.ends_with(|c: char| !c.is_alphanumeric()) {
            run.end(&mut best);
        }
    }
    run.end(&mut best);
    match best {
        (0, _) => "this question".to_owned(),
        (_, topic) => topic,
    }
}

/// A run of words that may become the topic.
#[derive(Default)]
struct Run {
    lead: Option<String>,
    words: Vec<String>,
    pending: Vec<String>,
    content: usize,
}

impl Run {
    fn push(&mut self, word: String) {
        if self.words.len() + self.pending.len() < TOPIC_WORDS {
            self.words.append(&mut self.pending);
            self.words.push(word);
            self.content += 1;
        }
    }

    fn end(&mut self, best: &mut (usize, String)) {
        if self.content > best.0 {
            let words: Vec<String> =
                self.lead.take().into_iter().chain(self.words.drain(..)).collect();
            *best = (self.content, words.join(" "));
        }
        *self = Self::default();
    }
}

/// The first word of a sentence as it would stand inside of one.
fn lower_first(word: &str) -> String {
    let mut chars = word.chars();
    match chars.next() {
        Some(first) if !chars.as_str().contains(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_read_like_topics() {
        for (query, expected) in [
            ("How do I take care of a wooden table?", "a wooden table"),
            ("what is the color of mars", "the color of mars"),
            (
                "Plan an agenda for the daily standup meetings. Be quick.",
                "an agenda for the daily standup meetings",
            ),
            (
                "Why don't people like the many-worlds interpretation of quantum mechanics?",
                "the many-worlds interpretation of quantum mechanics",
            ),
            (
                "Expand on the relation between inconsistency and ideological thinking",
                "the relation between inconsistency and ideological thinking",
            ),
            ("What is kevlar made out of?", "kevlar"),
            ("How can I help my brother?", "your brother"),
            ("How do I initialize a Typescript project?", "a Typescript project"),
            ("Identify the pattern given", "the pattern"),
            ("I want to learn to bake challah", "challah"),
            ("", "this question"),
            ("???", "this question"),
            ("如何照顾木桌", "如何照顾木桌"),
            ("<QUERY> </VARIABLE>", "QUERY"),
        ] {
            assert_eq!(topic(query), expected, "{query}");
        }
    }
}
