//! Working a counting question out, in writing and with mistakes.

use super::question::Question;
use super::words::in_words;
use crate::sim::detect::count;
use crate::sim::rng::Rng;
use crate::sim::tasks::{Followed, Habit};

/// How often each mistake is made, and how often with the habit that helps. Chosen so that a plain prompt
/// gets six or seven questions of ten right, and the best one more than nine.
const MISREADS: (f64, f64) = (0.05, 0.004);
const MISREADS_EASY: (f64, f64) = (0.016, 0.0015);
const FORGETS: (f64, f64) = (0.035, 0.003);
const STRAYS: (f64, f64) = (0.15, 0.012);
const ADDS_WRONG: (f64, f64) = (0.016, 0.0015);
const MISPLACES: (f64, f64) = (0.12, 0.006);

impl Question {
    /// Answers as somebody who follows these habits.
    pub(crate) fn answer(&self, followed: &Followed, rng: &mut Rng) -> String {
        let mut counted: Vec<(&str, u32)> = Vec::new();
        let mut lines: Vec<String> = Vec::new();
        for thing in &self.things {
            let misreads = if thing.easy { MISREADS_EASY } else { MISREADS };
            let misread = rng.chance(followed.rate(misreads, Habit::Numbers));
            let forgot = rng.chance(followed.rate(FORGETS, Habit::List));
            let stray = rng.chance(followed.rate(STRAYS, Habit::Ignore));
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
        let wrong = rng.chance(followed.rate(ADDS_WRONG, Habit::Verify) * count(counted.len()));
        let up = rng.chance(0.5);
        let total = match wrong {
            true if up || added <= 1 => added + 1,
            true => added - 1,
            false => added,
        };
        let misplaced = rng.chance(followed.rate(MISPLACES, Habit::Form));
        let opening = rng.pick(&["I go through what there is:", "One after the other:"]);

        let numbers: Vec<String> = counted.iter().map(|(_, number)| number.to_string()).collect();
        let sum = format!("{} = {total}", numbers.join(" + "));
        let end = match misplaced {
            true => format!("So that is {}, from {} entries", in_words(total), self.things.len()),
            false => followed.last_line(&total.to_string()),
        };
        if followed.has(Habit::Brief) {
            return end;
        }
        if followed.has(Habit::Steps) || followed.has(Habit::List) {
            return format!("{opening}\n{}\nTogether: {sum}\n{end}", lines.join("\n"));
        }
        let counted: Vec<String> =
            counted.iter().map(|(words, number)| format!("{words} ({number})")).collect();
        format!("Counting the {}: {}. Together: {sum}\n{end}", self.asked, counted.join(", "))
    }
}
