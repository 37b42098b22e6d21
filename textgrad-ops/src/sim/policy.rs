//! The policy: a first answer to a query.

use super::criteria::{Criterion, Kind, Needs, criteria};
use super::gradient::{Action, read};
use super::rng::Rng;

/// How often an answer covers a criterion that the query calls for, or one that it does not.
const COVERS: (f64, f64) = (0.5, 0.04);
/// How often an answer commits a flaw.
const FLAWED: f64 = 0.3;

/// How often a topic that was named before is only called `it`.
const SHORTENS: f64 = 0.6;

/// A sentence of a criterion about a topic; `named` if the topic was named before.
pub(super) fn sentence(row: &Criterion, topic: &str, named: bool, rng: &mut Rng) -> String {
    let wording = rng.pick(&row.wordings);
    let shortens = rng.chance(SHORTENS) && named;
    wording.replace("{topic}", if shortens { "it" } else { topic })
}

/// Writes a first answer.
///
/// What the system prompt asks for is followed with probability `skill`; without that, how good the answer
/// is does not depend on the skill.
pub(super) fn answer(system: &str, query: &str, skill: f64, rng: &mut Rng) -> String {
    let needs = Needs::of(query);
    let asked = read(system);
    let mut covered: Vec<&Criterion> = Vec::new();
    for row in criteria() {
        let usual = match row.kind {
            Kind::Strength if needs.strengths.contains(&row) => COVERS.0,
            Kind::Strength => COVERS.1,
            Kind::Flaw => FLAWED,
            Kind::Length | Kind::Technique(_) => continue,
        };
        let action = asked.iter().find(|(asked, _)| *asked == row).map(|(_, action)| *action);
        let chance = match action {
            Some(Action::Add | Action::Keep) if row.is_wanted() => skill.max(usual),
            Some(_) => usual * (1.0 - skill),
            None => usual,
        };
        if rng.chance(chance) {
            covered.push(row);
        }
    }
    covered.sort_by_key(|row| row.position);
    let mut parts: Vec<String> = Vec::new();
    for row in covered {
        let named = parts.iter().any(|part| part.contains(&needs.topic));
        parts.push(sentence(row, &needs.topic, named, rng));
    }
    if parts.is_empty() {
        return format!("There is not much to tell about {}.", needs.topic);
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::criteria::Reading;

    #[test]
    fn answers_vary_and_speak_of_the_topic() {
        let query = "How do I take care of a wooden table?";
        let mut texts: Vec<String> =
            (0..50).map(|seed| answer("", query, 0.8, &mut Rng::new(3, seed))).collect();
        let on_topic = texts.iter().filter(|text| text.contains("wooden table")).count();
        assert!(on_topic > 40, "{on_topic}");
        texts.sort();
        texts.dedup();
        assert!(texts.len() > 45, "{}", texts.len());
    }

    #[test]
    fn a_system_prompt_is_followed_as_far_as_the_skill_goes() {
        let with_example = |system: &str, skill: f64| {
            (0..300)
                .filter(|seed| {
                    let text = answer(system, "Why is it so?", skill, &mut Rng::new(5, *seed));
                    let marks = Reading::of(&text, 200).marks;
                    marks.iter().any(|row| row.name == "example")
                })
                .count()
        };
        let asked = "Always give a concrete example.";
        assert!(with_example(asked, 0.95) > 260);
        assert!(with_example(asked, 0.95) > with_example("", 0.95) + 80);
        assert!(with_example("Do not give an example.", 0.95) < 30);
    }
}
