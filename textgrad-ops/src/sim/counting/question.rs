//! A counting question: read, answered with mistakes, and an answer to it reviewed.

use super::technique::{Followed, Technique};
use super::{ANYTHING, CATEGORIES, category, in_words, number};
use crate::sim::detect::count;
use crate::sim::rng::Rng;
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

/// How often each mistake is made, and how often with the technique that helps. Chosen so that a plain prompt
/// gets six or seven questions of ten right, and the best one more than nine.
const MISREADS: (f64, f64) = (0.05, 0.004);
const MISREADS_EASY: (f64, f64) = (0.016, 0.0015);
const FORGETS: (f64, f64) = (0.035, 0.003);
const STRAYS: (f64, f64) = (0.15, 0.012);
const ADDS_WRONG: (f64, f64) = (0.016, 0.0015);
const MISPLACES: (f64, f64) = (0.12, 0.006);

/// What says that a thing was left out on purpose.
const LEFT_OUT: &[&str] = &["not counted", "not ", "ignore", "skip", "left out", "excluded"];

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

    /// Answers as somebody who follows these techniques.
    pub(crate) fn answer(&self, followed: &Followed, rng: &mut Rng) -> String {
        let mut counted: Vec<(&str, u32)> = Vec::new();
        let mut lines: Vec<String> = Vec::new();
        for thing in &self.things {
            let misreads = if thing.easy { MISREADS_EASY } else { MISREADS };
            let misread = rng.chance(followed.rate(misreads, Technique::Numbers));
            let forgot = rng.chance(followed.rate(FORGETS, Technique::List));
            let stray = rng.chance(followed.rate(STRAYS, Technique::Ignore));
            let up = rng.chance(0.5);
            let number = match misread {
                true if up || thing.number <= 1 => thing.number + 1,
                true => thing.number - 1,
                false => thing.number,
            };
            if forgot {
                continue;
            }
            if thing.counts || stray {
                lines.push(format!("- {}: {number}", thing.words));
                counted.push((&thing.words, number));
            } else {
                lines.push(format!("- {}: not counted", thing.words));
            }
        }
        let added: u32 = counted.iter().map(|(_, number)| number).sum();
        let wrong = rng.chance(followed.rate(ADDS_WRONG, Technique::Verify) * count(counted.len()));
        let up = rng.chance(0.5);
        let total = match wrong {
            true if up || added <= 1 => added + 1,
            true => added - 1,
            false => added,
        };
        let misplaced = rng.chance(followed.rate(MISPLACES, Technique::Form));
        let opening = rng.pick("I go through what there is:|One after the other:");

        let numbers: Vec<String> = counted.iter().map(|(_, number)| number.to_string()).collect();
        let sum = format!("{} = {total}", numbers.join(" + "));
        let end = match misplaced {
            true => format!("So that is {}, from {} entries", in_words(total), self.things.len()),
            false => followed.last_line(&total.to_string()),
        };
        if followed.has(Technique::Brief) {
            return end;
        }
        if followed.has(Technique::Steps) || followed.has(Technique::List) {
            return format!("{opening}\n{}\nTogether: {sum}\n{end}", lines.join("\n"));
        }
        let counted: Vec<String> =
            counted.iter().map(|(words, number)| format!("{words} ({number})")).collect();
        format!("Counting the {}: {}. Together: {sum}\n{end}", self.asked, counted.join(", "))
    }

    /// The techniques that would have helped against the mistakes in an answer, the clearest mistake first. Reads
    /// the question and the answer only.
    pub(crate) fn review(&self, answer: &str) -> Vec<Technique> {
        let mut remedies = Vec::new();
        let mut note = |remedy: Technique| {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        };
        let entries: Vec<String> = answer
            .split(['\n', ',', ';'])
            .map(|entry| entry.split_once(". ").map_or(entry, |(head, _)| head).to_lowercase())
            .collect();
        let entry = |thing: &Thing| {
            let name = thing.name.to_lowercase();
            entries.iter().find(|entry| mention(entry, &name).is_some())
        };
        let worked = self.things.iter().any(|thing| entry(thing).is_some());
        let last = answer.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let stated = numbers(last);
        if !worked {
            if stated.last() != Some(&self.total()) {
                note(Technique::Steps);
            }
            return remedies;
        }
        let mut added = 0;
        for thing in &self.things {
            let Some(entry) = entry(thing) else {
                if thing.counts {
                    note(Technique::List);
                }
                continue;
            };
            if LEFT_OUT.iter().any(|words| entry.contains(words)) {
                if thing.counts {
                    note(Technique::List);
                }
                continue;
            }
            let number = number_of(entry, &thing.name.to_lowercase());
            added += number.unwrap_or(thing.number);
            if !thing.counts {
                note(Technique::Ignore);
            } else if number.is_some_and(|number| number != thing.number) {
                note(Technique::Numbers);
            }
        }
        let sum = answer.lines().rev().find_map(|line| {
            line.rsplit_once('=').and_then(|(_, result)| numbers(result).first().copied())
        });
        let total = sum.or_else(|| stated.last().copied());
        if total.is_some_and(|total| total != added) {
            note(Technique::Verify);
        }
        if stated.len() != 1 || total.is_some_and(|total| stated.first() != Some(&total)) {
            note(Technique::Form);
        }
        remedies
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

/// Where an entry names a thing, as whole words.
fn mention(entry: &str, name: &str) -> Option<usize> {
    entry.match_indices(name).map(|(start, _)| start).find(|start| {
        let before = entry.get(..*start).and_then(|text| text.chars().next_back());
        let after = entry.get(start + name.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// The number of a thing in its entry: the first one behind its name, else the last one before it.
fn number_of(entry: &str, name: &str) -> Option<u32> {
    let (before, after) = entry.split_at_checked(mention(entry, name)?)?;
    numbers(after).first().or(numbers(before).last()).copied()
}

/// The whole numbers in figures in a text.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}
