//! Sorting words, in writing and with mistakes.

use super::question::Question;
use crate::sim::rng::Rng;
use crate::sim::tasks::{Followed, Habit};

/// How often each mistake is made, and how often with the habit that helps: two neighbours that begin alike
/// in the wrong order, two others, a word forgotten, an answer in another form than it should have.
const SWAPS_ALIKE: (f64, f64) = (0.15, 0.01);
const SWAPS: (f64, f64) = (0.03, 0.003);
const FORGETS: (f64, f64) = (0.025, 0.003);
const MISPLACES: (f64, f64) = (0.12, 0.006);
/// What is left of wrong orders after a second look.
const CHECKED: f64 = 0.6;

impl Question {
    /// Answers as somebody who follows these habits.
    pub(crate) fn answer(&self, followed: &Followed, rng: &mut Rng) -> String {
        let mut kept: Vec<&str> = Vec::new();
        for word in self.sorted() {
            if !rng.chance(followed.rate(FORGETS, Habit::List)) {
                kept.push(word);
            }
        }
        let checked = if followed.has(Habit::Verify) { CHECKED } else { 1.0 };
        for at in 1..kept.len() {
            let alike = match (kept.get(at - 1), kept.get(at)) {
                (Some(one), Some(other)) => one.chars().next() == other.chars().next(),
                _ => false,
            };
            let rates = if alike { SWAPS_ALIKE } else { SWAPS };
            if rng.chance(followed.rate(rates, Habit::Letters) * checked) {
                kept.swap(at - 1, at);
            }
        }
        let misplaced = rng.chance(followed.rate(MISPLACES, Habit::Form));
        let end = match misplaced {
            true => format!("The order is {}, if I see it right", kept.join(", ")),
            false => followed.last_line(&kept.join(" ")),
        };
        if followed.has(Habit::Brief) {
            return end;
        }
        if followed.has(Habit::Steps) || followed.has(Habit::List) {
            let lines: Vec<String> = kept
                .iter()
                .map(|word| format!("- {}: {word}", word.chars().take(2).collect::<String>()))
                .collect();
            return format!("I go by the first letters:\n{}\n{end}", lines.join("\n"));
        }
        format!("I put {} words in order.\n{end}", kept.len())
    }
}
