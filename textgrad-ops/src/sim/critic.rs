//! The critic: what one text has and the other lacks, in words.

use super::criteria::{Needs, Reading, criteria};
use super::rng::Rng;

/// How likely a criterion that is the same in both texts, or that there is only one text to see it in, is
/// noticed, as a share of how likely a difference is: contrast draws attention.
const WITHOUT_CONTRAST: f64 = 0.3;

/// The state of a criterion: whether it is wanted, whether the text has it, and whether the other text does.
type Seen = (bool, bool, Option<bool>);
#[rustfmt::skip]
const LINES: [(Seen, &str); 10] = [
    ((true, true, Some(false)), "The chosen response has {name}, which the rejected response lacks."),
    ((true, false, Some(true)), "The chosen response lacks {name}, which the rejected response gives."),
    ((true, true, Some(true)), "Both responses have {name}."),
    ((true, false, Some(false)), "Neither response gives {name}, which the query calls for."),
    ((true, true, None), "The response has {name}."),
    ((true, false, None), "The response lacks {name}, which the query calls for."),
    ((false, true, Some(false)), "The chosen response suffers from {name}, which the rejected response avoids."),
    ((false, false, Some(true)), "The rejected response suffers from {name}, which the chosen response avoids."),
    ((false, true, Some(true)), "Both responses suffer from {name}."),
    ((false, true, None), "The response suffers from {name}."),
];

/// Compares the chosen text with the rejected one, or looks at it alone.
pub(super) fn critique(
    query: &str,
    chosen: &str,
    rejected: Option<&str>,
    skill: f64,
    rng: &mut Rng,
) -> String {
    let needs = Needs::of(query);
    let ours = Reading::of(chosen, needs.budget);
    let theirs = rejected.map(|text| Reading::of(text, needs.budget));
    let mut lines = vec![
        match rejected {
            Some(_) => rng.pick(&[
                "Set side by side, the chosen response serves the query better.",
                "The chosen response is the stronger one, for what follows.",
            ]),
            None => rng.pick(&[
                "Taken by itself, the response does part of what the query needs.",
                "The response is usable and leaves room for more.",
            ]),
        }
        .to_owned(),
    ];
    for row in criteria() {
        let has = ours.marks.contains(&row);
        let other = theirs.as_ref().map(|theirs| theirs.marks.contains(&row));
        let differs = other.is_some_and(|other| other != has);
        let noticed = rng.chance(if differs { skill } else { skill * WITHOUT_CONTRAST });
        let name = rng.pick(&row.names);
        let wanted = needs.strengths.contains(&row);
        let is_unneeded = row.is_wanted() && !has && other != Some(true) && !wanted;
        let line = LINES.iter().find(|(seen, _)| *seen == (row.is_wanted(), has, other));
        let line = line.filter(|_| noticed && !is_unneeded);
        lines.extend(line.map(|(_, line)| line.replace("{name}", name)));
    }
    if lines.len() == 1 {
        lines.push("Nothing else stands out.".to_owned());
    }
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::gradient::{Action, read};

    const QUERY: &str = "How do I take care of a wooden table?";
    const GOOD: &str = "For example, oil it. In short, be kind to it.";
    const POOR: &str = "Great question! This matters because wood is dry.";

    fn action(text: &str, name: &str) -> Option<Action> {
        read(text).into_iter().find(|(row, _)| row.name == name).map(|(_, action)| action)
    }

    #[test]
    fn a_perfect_critic_names_every_difference_the_right_way_round() {
        for seed in 0..20 {
            let text = critique(QUERY, GOOD, Some(POOR), 1.0, &mut Rng::new(1, seed));
            assert_eq!(action(&text, "example"), Some(Action::Keep), "{text}");
            assert_eq!(action(&text, "summary"), Some(Action::Keep), "{text}");
            assert_eq!(action(&text, "reason"), Some(Action::Add), "{text}");
            assert_eq!(action(&text, "flattery"), Some(Action::Keep), "{text}");
            let text = critique(QUERY, POOR, Some(GOOD), 1.0, &mut Rng::new(1, seed));
            assert_eq!(action(&text, "example"), Some(Action::Add), "{text}");
            assert_eq!(action(&text, "flattery"), Some(Action::Cut), "{text}");
        }
    }

    #[test]
    fn what_is_the_same_or_alone_is_noticed_less_often_and_read_right() {
        let tally = |chosen: &str, rejected: Option<&str>, name: &str| {
            (0..400)
                .filter_map(|seed| {
                    action(&critique(QUERY, chosen, rejected, 0.8, &mut Rng::new(1, seed)), name)
                })
                .fold([0, 0, 0], |mut tally, action| {
                    tally[action as usize] += 1;
                    tally
                })
        };
        let [add, cut, keep] = tally(POOR, Some(GOOD), "example");
        assert!(add > 280 && cut + keep == 0, "{add} {cut} {keep}");
        for [add, cut, keep] in [tally(POOR, Some(POOR), "example"), tally(POOR, None, "example")] {
            assert!((50..150).contains(&add) && cut + keep == 0, "{add} {cut} {keep}");
        }
        let [add, cut, keep] = tally(POOR, None, "flattery");
        assert!((50..150).contains(&cut) && add + keep == 0, "{add} {cut} {keep}");
        let [add, cut, keep] = tally(GOOD, None, "example");
        assert!((50..150).contains(&keep) && add + cut == 0, "{add} {cut} {keep}");
    }

    #[test]
    fn a_critic_without_skill_has_nothing_to_say() {
        let text = critique(QUERY, GOOD, Some(POOR), 0.0, &mut Rng::new(1, 1));
        assert!(read(&text).is_empty(), "{text}");
        assert!(text.ends_with("Nothing else stands out."));
    }
}
