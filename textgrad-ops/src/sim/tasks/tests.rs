//! The parts of the loop that meet in text: prompts, advice, rewriting.

use super::advice::{self, KEEP};
use super::exchange::Exchange;
use super::faults::Fault;
use super::habits::{Habit, ROWS, points, speaks_of_tasks};
use super::rewrite;
use super::verdict::Verdict;
use crate::sim::aspects::rows;
use crate::sim::rng::Rng;

/// A prompt that asks for all that helps.
pub(crate) const GOOD: [&str; 7] = [
    "Work through the question step by step.",
    "List every item of the question on its own line with its number.",
    "Ignore things of other categories than the one that is asked for.",
    "Watch number words and plurals, and take \"a\" or \"an\" as one.",
    "Compare words letter by letter where they begin alike.",
    "Check the sum again before you answer.",
    "Put the final answer on the last line, in the form 'Answer: VALUE'.",
];

const FAULTS: [Fault; 7] = [
    Fault::Misread,
    Fault::Forgot,
    Fault::Stray,
    Fault::Sum,
    Fault::Order,
    Fault::Form,
    Fault::Hidden,
];

fn rng(seed: u64) -> Rng {
    Rng::new(9, seed)
}

#[test]
fn a_sentence_of_the_table_asks_for_its_habit_and_no_other() {
    for row in ROWS {
        for wording in row.wordings {
            assert_eq!(points(wording), [(row.habit, true)], "{wording}");
        }
    }
    assert_eq!(points(&GOOD.join(" ")).len(), GOOD.len());
    for fault in FAULTS {
        assert_eq!(points(fault.says()), [], "{fault:?}");
    }
    assert_eq!(points(KEEP), []);
}

#[test]
fn wishes_in_other_words_are_read_once_each_and_not_where_they_are_refused() {
    let habits = |text: &str| -> Vec<Habit> {
        points(text).into_iter().filter(|(_, wanted)| *wanted).map(|(habit, _)| habit).collect()
    };
    for (text, expected) in [
        ("Think step by step. Please reason carefully, step by step!", vec![Habit::Steps]),
        ("Enumerate what there is.", vec![Habit::List]),
        ("Do not count items that are of no use here.", vec![Habit::Ignore]),
        ("Exclude the rest; note the quantity of each.", vec![Habit::Ignore, Habit::Numbers]),
        ("DOUBLE-CHECK it.", vec![Habit::Verify]),
        ("The last line contains only the number.", vec![Habit::Form]),
        ("Reply with only the number.", vec![Habit::Brief]),
        ("Do not answer immediately. Never guess. Do not enumerate.", vec![]),
        ("You are a helpful assistant.", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(habits(text), expected, "{text}");
    }
}

#[test]
fn what_is_said_of_open_queries_speaks_of_no_task() {
    for (_, row) in rows() {
        for text in row.instructions.iter().chain(row.names) {
            assert!(!advice::is_ours(text), "{text}");
        }
    }
    assert!(speaks_of_tasks("Double-check the total."));
}

#[test]
fn advice_names_the_mistake_as_far_as_the_skill_goes() {
    for fault in FAULTS {
        let remedy = (fault.remedy(), true);
        let named = |skill: f64| {
            (0..300)
                .filter(|seed| {
                    let text =
                        advice::advice("", &[fault], Some(Verdict::Wrong), skill, &mut rng(*seed));
                    points(&text).contains(&remedy)
                })
                .count()
        };
        let (all, most, few) = (named(1.0), named(0.8), named(0.2));
        assert_eq!(all, 300, "{fault:?}");
        assert!(most > 225 && few < 120, "{fault:?}: {most} {few}");
    }
    let advice = |prompt: &str, faults: &[Fault], verdict| {
        advice::advice(prompt, faults, verdict, 1.0, &mut rng(3))
    };
    // Nobody need ask for what the prompt asks for already.
    let text = advice("Double-check.", &[Fault::Sum], Some(Verdict::Wrong));
    assert!(text.contains("no change") && points(&text).is_empty(), "{text}");
    let text = advice("Answer immediately.", &[Fault::Hidden], Some(Verdict::Wrong));
    assert!(points(&text).contains(&(Habit::Brief, false)), "{text}");
    let text = advice(&"word ".repeat(111), &[Fault::Sum], Some(Verdict::Wrong));
    assert!(points(&text).contains(&(Habit::Short, true)), "{text}");
    assert_eq!(advice("", &[Fault::Sum], Some(Verdict::Right)), KEEP);
    assert_eq!(advice("", &[], None), KEEP);
    assert_ne!(advice("", &[Fault::Sum], None), KEEP);
}

#[test]
fn merging_keeps_each_point_once_and_what_most_ask_for_first() {
    let feedback = [
        "The answer was wrong.\n- Add to the prompt: Double-check the total.",
        KEEP,
        "The answer was wrong.\n- Add to the prompt: List every item.",
        "The answer was wrong.\n- Enumerate.",
    ];
    let text = advice::merged(&feedback, &mut rng(1));
    assert_eq!(points(&text), [(Habit::List, true), (Habit::Verify, true)], "{text}");
    assert!(text.starts_with("The answer was wrong in 3 of 4."), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
    assert_eq!(advice::merged(&[KEEP, KEEP], &mut rng(1)), KEEP);
}

fn rewritten(variable: &str, feedback: &[&str], exchange: &Exchange<'_>, skill: f64) -> String {
    rewrite::prompt(variable, feedback, exchange, skill, &mut rng(4))
}

#[test]
fn a_prompt_keeps_its_points_and_takes_up_two_more() {
    let nothing = Exchange::default();
    let old = "You answer questions. Think step by step.";
    let asked = ["Double-check. Enumerate. Exclude the rest.", "Double-check. Enumerate."];
    let text = rewritten(old, &asked, &nothing, 1.0);
    assert!(text.starts_with(old), "{text}");
    let expected = [Habit::Steps, Habit::Verify, Habit::List].map(|habit| (habit, true));
    let mut found = points(&text);
    found.sort_by_key(|(habit, _)| expected.iter().position(|(known, _)| known == habit));
    assert_eq!(found, expected, "{text}");

    assert_eq!(rewritten(&text, &["Double-check."], &nothing, 1.0), text);
    assert_eq!(rewritten(old, &[KEEP], &nothing, 1.0), old);
    let cut = "Remove the wish to answer immediately.";
    assert_eq!(rewritten(&format!("{old} Answer at once."), &[cut], &nothing, 1.0), old);
    assert_eq!(rewritten("Answer at once.", &[cut], &nothing, 1.0), "Answer at once.");
    let long = format!("{old} {} Enumerate.", "And so it goes on and on".repeat(20) + ".");
    let text = rewritten(&long, &["Shorten the prompt."], &nothing, 1.0);
    assert_eq!(text, format!("{old} Enumerate."));
    assert_eq!(rewritten(old, &["Shorten the prompt."], &nothing, 1.0), old);
}

#[test]
fn a_limit_on_words_is_kept_where_it_is_recognised() {
    let asked = ["Double-check. Enumerate."];
    let words = |exchange: &Exchange<'_>| {
        rewritten("You answer questions.", &asked, exchange, 1.0).split_whitespace().count()
    };
    let mut exchange = Exchange::default();
    assert!(words(&exchange) > 15);
    exchange.constraints = vec!["1. Be kind.\n2. Use at most 14 words."];
    assert!((4..=14).contains(&words(&exchange)));
    exchange.constraints = vec![];
    exchange.told = vec!["could not be used: expected no more than 3 words, got 20."];
    assert_eq!(words(&exchange), 3);
}

#[test]
fn without_skill_a_prompt_is_spoilt() {
    let nothing = Exchange::default();
    let old = GOOD.join(" ");
    let left = |skill: f64| -> usize {
        (0..50)
            .map(|seed| {
                let text = rewrite::prompt(&old, &[KEEP], &nothing, skill, &mut rng(seed));
                points(&text).iter().filter(|(habit, _)| !habit.is_bad()).count()
            })
            .sum()
    };
    assert_eq!(left(1.0), 50 * GOOD.len());
    assert!(left(0.8) > 320 && left(0.8) < 350, "{}", left(0.8));
    assert!(left(0.2) < 200, "{}", left(0.2));
}
