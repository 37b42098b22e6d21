//! A counting question: read, answered with mistakes, and an answer to it reviewed.

use super::{ANYTHING, TABLES, category, in_words, number};
use crate::sim::criteria::Technique;
use crate::sim::rng::Rng;
use crate::sim::text::sentences;

/// One thing that a question names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    /// As the question words it, with its number.
    words: String,
    /// Its name alone, in lower case.
    name: String,
    number: usize,
    /// Whether it is one of what is to be counted.
    pub(super) counts: bool,
}

/// A counting question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// What is to be counted, as the question calls it.
    asked: String,
    pub(super) things: Vec<Thing>,
}

/// How often each mistake is made, and how often with the technique that helps. Chosen so that a plain prompt
/// gets six or seven questions of ten right, and the best one more than nine.
const MISREADS: (f64, f64) = (0.0322, 0.0025);
const FORGETS: (f64, f64) = (0.0322, 0.0024);
const STRAYS: (f64, f64) = (0.138, 0.0096);
const ADDS_WRONG: (f64, f64) = (0.01472, 0.0012);
const MISPLACES: (f64, f64) = (0.1104, 0.0048);
/// How much more often where no working is asked for.
const HASTE: f64 = 2.5;

/// What says that a thing was left out on purpose.
const LEFT_OUT: &[&str] = &["not counted", "not ", "ignore", "skip", "left out", "excluded"];

const AFTER: &[&str] = &[" do i have", " do we have", " are there", " in total", " altogether"];
const VERBS: &[&str] = &[" have ", " own ", " bought ", " see ", " there are ", " there is "];
/// The fewest things of a question.
const MIN_THINGS: usize = 2;
/// The longest name of a thing, in words.
const NAME_WORDS: usize = 4;

impl Question {
    /// Reads a question, and returns what else stands in the text.
    pub(crate) fn read(text: &str) -> Option<(Self, String)> {
        let parts = sentences(text.trim());
        let at = parts.iter().rposition(|part| asked(part).is_some())?;
        let asked = asked(parts.get(at)?)?;
        let things: Vec<Thing> = listed(parts.get(at.checked_sub(1)?)?)
            .split(',')
            .flat_map(|part| part.split(" and "))
            .filter_map(|part| thing(part, &asked))
            .collect();
        if things.len() < MIN_THINGS {
            return None;
        }
        let rest = parts.iter().enumerate().filter(|(index, _)| *index != at && index + 1 != at);
        Some((Self { asked, things }, rest.map(|(_, part)| *part).collect()))
    }

    /// The right answer.
    pub(super) fn total(&self) -> usize {
        self.things.iter().filter(|thing| thing.counts).map(|thing| thing.number).sum()
    }

    /// Answers as somebody who follows these techniques.
    pub(crate) fn answer(&self, followed: &[Technique], rng: &mut Rng) -> String {
        let is_brief = followed.contains(&Technique::Brief);
        let rate = |(usual, helped): (f64, f64), helps| {
            let rate = if followed.contains(&helps) { helped } else { usual };
            if is_brief { rate * HASTE } else { rate }
        };
        let mut counted: Vec<(&str, usize)> = Vec::new();
        let mut lines: Vec<String> = Vec::new();
        for thing in &self.things {
            let is_misread = rng.chance(rate(MISREADS, Technique::Numbers));
            let is_forgotten = rng.chance(rate(FORGETS, Technique::List));
            let is_stray = rng.chance(rate(STRAYS, Technique::Ignore));
            let number = off_by_one(thing.number, is_misread, rng);
            if is_forgotten {
                continue;
            }
            if thing.counts || is_stray {
                lines.push(format!("- {}: {number}", thing.words));
                counted.push((&thing.words, number));
            } else {
                lines.push(format!("- {}: not counted", thing.words));
            }
        }
        let adds_wrong = rate(ADDS_WRONG, Technique::Verify) * counted.len() as f64;
        let added = counted.iter().map(|(_, number)| number).sum();
        let is_wrong = rng.chance(adds_wrong);
        let total = off_by_one(added, is_wrong, rng);
        let is_misplaced = rng.chance(rate(MISPLACES, Technique::Form));
        let opening = rng.pick(&["I go through what there is:", "One after the other:"]);

        let end = if is_misplaced {
            format!("So that is {}, from {} entries", in_words(total), self.things.len())
        } else if followed.contains(&Technique::Form) {
            format!("Answer: {total}")
        } else if is_brief {
            total.to_string()
        } else {
            format!("The answer is {total}")
        };
        if is_brief {
            return end;
        }
        let numbers: Vec<String> = counted.iter().map(|(_, number)| number.to_string()).collect();
        let sum = format!("{} = {total}", numbers.join(" + "));
        if followed.contains(&Technique::List) {
            return format!("{opening}\n{}\nTogether: {sum}\n{end}", lines.join("\n"));
        }
        let counted: Vec<String> =
            counted.iter().map(|(words, number)| format!("{words} ({number})")).collect();
        format!("Counting the {}: {}. Together: {sum}\n{end}", self.asked, counted.join(", "))
    }

    /// The techniques that would have helped against the mistakes in an answer, the clearest mistake first. Reads
    /// the question and the answer only.
    pub(super) fn review(&self, answer: &str) -> Vec<Technique> {
        let answer = answer.to_lowercase();
        let entries: Vec<&str> = answer
            .split(['\n', ',', ';'])
            .map(|entry| entry.split_once(". ").map_or(entry, |(head, _)| head))
            .collect();
        let entry =
            |thing: &Thing| entries.iter().find(|entry| mention(entry, &thing.name).is_some());
        let last = answer.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let stated = numbers(last);
        if self.things.iter().all(|thing| entry(thing).is_none()) {
            let is_right = stated.last() == Some(&self.total());
            return if is_right { Vec::new() } else { vec![Technique::List] };
        }
        let mut remedies = Vec::new();
        let mut note = |remedy: Technique| {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        };
        let mut added = 0;
        for thing in &self.things {
            let is_counted = |entry: &&&str| !LEFT_OUT.iter().any(|words| entry.contains(words));
            let Some(entry) = entry(thing).filter(is_counted) else {
                if thing.counts {
                    note(Technique::List);
                }
                continue;
            };
            let number = number_of(entry, &thing.name);
            added += number.unwrap_or(thing.number);
            if !thing.counts {
                note(Technique::Ignore);
            } else if number.is_some_and(|number| number != thing.number) {
                note(Technique::Numbers);
            }
        }
        let sums = answer.lines().rev().filter_map(|line| line.rsplit_once('='));
        let sum = sums.filter_map(|(_, sum)| numbers(sum).first().copied()).next();
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

/// A number, or where it is wrong one beside it.
fn off_by_one(number: usize, is_wrong: bool, rng: &mut Rng) -> usize {
    let is_more = rng.chance(0.5);
    match is_wrong {
        true if is_more || number <= 1 => number + 1,
        true => number - 1,
        false => number,
    }
}

/// What is to be counted, if a sentence asks for the number of something that the simulation knows.
fn asked(sentence: &str) -> Option<String> {
    let sentence = sentence.to_lowercase();
    let (_, after) = sentence.rsplit_once("how many ")?;
    let end = AFTER.iter().filter_map(|end| after.find(end)).min()?;
    let asked = after.get(..end)?.trim();
    let is_known =
        ANYTHING.contains(&asked) || TABLES.categories.iter().any(|row| row.name == asked);
    is_known.then(|| asked.to_owned())
}

/// What a sentence lists: what follows its verb.
fn listed(sentence: &str) -> &str {
    let lower = sentence.to_ascii_lowercase();
    let starts = VERBS.iter().filter_map(|verb| Some(lower.find(verb)? + verb.len()));
    starts.min().and_then(|start| sentence.get(start..)).unwrap_or(sentence)
}

fn thing(part: &str, asked: &str) -> Option<Thing> {
    let part = part.to_lowercase();
    let words: Vec<&str> = part
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .collect();
    let at = words.iter().position(|word| number(word).is_some())?;
    let (count, name) = words.get(at..)?.split_first()?;
    let name = name.get(..name.len().min(NAME_WORDS))?.join(" ");
    if name.is_empty() {
        return None;
    }
    // A thing that is not in the lists is taken for one of what is asked for: most are.
    let counts = ANYTHING.contains(&asked) || category(&name).is_none_or(|row| row.name == asked);
    Some(Thing { words: format!("{count} {name}"), number: number(count)?, name, counts })
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
fn number_of(entry: &str, name: &str) -> Option<usize> {
    let (before, after) = entry.split_at_checked(mention(entry, name)?)?;
    numbers(after).first().or(numbers(before).last()).copied()
}

/// The whole numbers in figures in a text.
fn numbers(text: &str) -> Vec<usize> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}
