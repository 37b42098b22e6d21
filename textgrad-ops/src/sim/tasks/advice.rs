//! The critic of prompts for tasks: what a worked answer says about its prompt, in words, and several such
//! pieces of advice merged.

use super::faults::Fault;
use super::habits::{Habit, LENGTH, Point, ROWS, points, speaks_of_tasks};
use super::verdict::{Verdict, of_all};
use crate::sim::rng::Rng;

/// Said where an answer was right.
pub(super) const KEEP: &str = "The answer was right: keep the prompt as it is.";
/// How advice begins where an answer was wrong.
const WRONG: &str = "The answer was wrong";
/// How often the advice does harm: always a little, more so without skill.
const HARMFUL: (f64, f64) = (0.02, 0.2);
/// The most points that one piece of advice makes.
const MOST: usize = 2;

/// Advice on a prompt from one call in which it was used.
pub(super) fn advice(
    prompt: &str,
    faults: &[Fault],
    verdict: Option<Verdict>,
    skill: f64,
    rng: &mut Rng,
) -> String {
    let wrong = match verdict {
        Some(verdict) => verdict == Verdict::Wrong,
        // Where nobody says whether the answer is right, the critic looks for itself.
        None => !faults.is_empty(),
    };
    if !wrong {
        return KEEP.to_owned();
    }
    let asked = points(prompt);
    let bad = asked.iter().find(|(habit, wanted)| *wanted && habit.is_bad());
    let mut lines = Vec::new();
    // The draws are the same whatever is seen, so that one mistake more does not change all that follows.
    for place in 0..MOST {
        let other = ROWS.get(rng.below(ROWS.len())).map_or(Habit::Steps, |row| row.habit);
        let sees = rng.chance(skill);
        let seen = faults.get(place).copied();
        let (habit, why) = match (seen, place) {
            (Some(fault), _) if sees => (fault.remedy(), fault.says()),
            (None, 0) if sees => (Habit::Form, Fault::Form.says()),
            (None, 0) | (Some(_), _) => (other, "it may help"),
            (None, _) => continue,
        };
        let sentence = habit.sentence(rng);
        if habit.is_bad() || habit == Habit::Short {
            continue;
        }
        lines.push(match asked.contains(&(habit, true)) {
            true => format!("- Here {why}, although the prompt speaks against it: no change."),
            false => format!("- Add to the prompt: {sentence} The reason: {why}."),
        });
    }
    if let Some((habit, _)) = bad
        && rng.chance(skill)
    {
        lines.push(removal(*habit).to_owned());
    }
    let long = prompt.split_whitespace().count() > LENGTH;
    if rng.chance(skill) && long {
        lines.push(format!("- {}", Habit::Short.sentence(rng)));
    }
    if rng.chance(HARMFUL.0 + HARMFUL.1 * (1.0 - skill)) {
        lines.push(format!("- Add to the prompt: {}", Habit::Brief.sentence(rng)));
    }
    lines.insert(0, format!("{WRONG}."));
    lines.join("\n")
}

/// Asks for a habit that does harm to be taken out.
fn removal(habit: Habit) -> &'static str {
    match habit {
        Habit::Guess => "- Remove the wish for a rough guess.",
        _ => "- Remove the wish to answer immediately or be brief.",
    }
}

/// Merges pieces of advice on one prompt: each point once, what most ask for first.
pub(super) fn merged(feedback: &[&str], rng: &mut Rng) -> String {
    let wrong = feedback.iter().filter(|text| of_all([**text]) == Some(Verdict::Wrong)).count();
    if wrong == 0 && ranked(feedback).is_empty() {
        return KEEP.to_owned();
    }
    let mut lines = vec![format!("{WRONG} in {wrong} of {}.", feedback.len())];
    for ((habit, wanted), times) in ranked(feedback) {
        let sentence = habit.sentence(rng);
        lines.push(match wanted {
            true if habit == Habit::Short => format!("- {sentence} Asked for {times} times."),
            true => format!("- Add to the prompt: {sentence} Asked for {times} times."),
            false => removal(habit).to_owned(),
        });
    }
    lines.join("\n")
}

/// Whether a text is advice on the prompt of a task.
pub(super) fn is_ours(text: &str) -> bool {
    text.trim() == KEEP || text.starts_with(WRONG) || speaks_of_tasks(text)
}

/// The points of several texts, what most ask for first and else in order of appearance.
pub(super) fn ranked(feedback: &[&str]) -> Vec<(Point, usize)> {
    let mut ranked: Vec<(Point, usize)> = Vec::new();
    for point in feedback.iter().flat_map(|text| points(text)) {
        match ranked.iter_mut().find(|(known, _)| *known == point) {
            Some((_, times)) => *times += 1,
            None => ranked.push((point, 1)),
        }
    }
    ranked.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    ranked
}
