//! Finding the mistakes in a worked answer to a counting question.

use super::question::{Question, Thing};
use crate::sim::tasks::Fault;

/// What says that a thing was left out on purpose.
const LEFT_OUT: &[&str] = &["not counted", "not ", "ignore", "skip", "left out", "excluded"];

impl Question {
    /// The mistakes that can be seen in an answer, most telling first. It reads the question and the answer,
    /// as anybody could.
    pub(crate) fn review(&self, answer: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut note = |fault: Fault| {
            if !faults.contains(&fault) {
                faults.push(fault);
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
                note(Fault::Hidden);
            }
            return faults;
        }
        let mut added = 0;
        for thing in &self.things {
            let Some(entry) = entry(thing) else {
                if thing.counts {
                    note(Fault::Forgot);
                }
                continue;
            };
            if LEFT_OUT.iter().any(|words| entry.contains(words)) {
                if thing.counts {
                    note(Fault::Forgot);
                }
                continue;
            }
            let number = number_of(entry, &thing.name.to_lowercase());
            added += number.unwrap_or(thing.number);
            if !thing.counts {
                note(Fault::Stray);
            } else if number.is_some_and(|number| number != thing.number) {
                note(Fault::Misread);
            }
        }
        let sum = answer.lines().rev().find_map(|line| {
            line.rsplit_once('=').and_then(|(_, result)| numbers(result).first().copied())
        });
        let total = sum.or_else(|| stated.last().copied());
        if total.is_some_and(|total| total != added) {
            note(Fault::Sum);
        }
        if stated.len() != 1 || total.is_some_and(|total| stated.first() != Some(&total)) {
            note(Fault::Form);
        }
        faults
    }
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
