//! Prompts, advice and rewriting: the parts of the loop that exchange text.

use super::advice::{self, KEEP, Verdict, of_all, verdict};
use super::technique::{ROWS, Technique, points, speaks_of_tasks};
use crate::sim::criteria::criteria;
use crate::sim::rng::Rng;
use crate::sim::text::entries;

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

const HELPFUL: [Technique; 6] = [
    Technique::Numbers,
    Technique::List,
    Technique::Ignore,
    Technique::Verify,
    Technique::Form,
    Technique::Steps,
];

fn rng(seed: u64) -> Rng {
    Rng::new(9, seed)
}

#[test]
fn a_sentence_of_the_table_asks_for_its_technique_and_no_other() {
    for row in ROWS {
        for wording in entries(row.wordings) {
            assert_eq!(points(wording), [(row.technique, true)], "{wording}");
        }
    }
    assert_eq!(points(&GOOD.join(" ")).len(), GOOD.len());
    for technique in HELPFUL {
        assert_eq!(points(technique.mistake()), [], "{technique:?}");
    }
    assert_eq!(points(KEEP), []);
}

#[test]
fn wishes_in_other_words_are_read_once_each_and_not_where_they_are_refused() {
    let techniques = |text: &str| -> Vec<Technique> {
        points(text)
            .into_iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(technique, _)| technique)
            .collect()
    };
    for (text, expected) in [
        ("Think step by step. Please reason carefully, step by step!", vec![Technique::Steps]),
        ("Enumerate what there is.", vec![Technique::List]),
        ("Do not count items that are of no use here.", vec![Technique::Ignore]),
        (
            "Exclude the rest; note the quantity of each.",
            vec![Technique::Ignore, Technique::Numbers],
        ),
        ("DOUBLE-CHECK it.", vec![Technique::Verify]),
        ("The last line contains only the number.", vec![Technique::Form]),
        ("Reply with only the number.", vec![Technique::Brief]),
        ("Do not answer immediately. Never guess. Do not enumerate.", vec![]),
        ("You are a helpful assistant.", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(techniques(text), expected, "{text}");
    }
}

#[test]
fn what_is_said_of_open_queries_speaks_of_no_task() {
    for (_, row) in criteria() {
        for text in [row.instructions, row.names].into_iter().flat_map(entries) {
            assert!(!advice::is_advice(text), "{text}");
        }
    }
    assert!(speaks_of_tasks("Double-check the total."));
}

#[test]
fn advice_names_the_mistake_as_far_as_the_skill_goes() {
    for technique in HELPFUL {
        let remedy = (technique, true);
        let named = |skill: f64| {
            (0..300)
                .filter(|seed| {
                    let text = advice::advice(
                        "",
                        &[technique],
                        Some(Verdict::Wrong),
                        skill,
                        &mut rng(*seed),
                    );
                    points(&text).contains(&remedy)
                })
                .count()
        };
        let (all, most, few) = (named(1.0), named(0.8), named(0.2));
        assert_eq!(all, 300, "{technique:?}");
        assert!(most > 225 && few < 120, "{technique:?}: {most} {few}");
    }
    let advice = |prompt: &str, remedies: &[Technique], verdict| {
        advice::advice(prompt, remedies, verdict, 1.0, &mut rng(3))
    };
    // Nobody need ask for what the prompt asks for already.
    let text = advice("Double-check.", &[Technique::Verify], Some(Verdict::Wrong));
    assert!(text.contains("no change") && points(&text).is_empty(), "{text}");
    let text = advice("Answer immediately.", &[Technique::Steps], Some(Verdict::Wrong));
    assert!(points(&text).contains(&(Technique::Brief, false)), "{text}");
    let text = advice(&"word ".repeat(111), &[Technique::Verify], Some(Verdict::Wrong));
    assert!(points(&text).contains(&(Technique::Short, true)), "{text}");
    assert_eq!(advice("", &[Technique::Verify], Some(Verdict::Right)), KEEP);
    assert_eq!(advice("", &[], None), KEEP);
    assert_ne!(advice("", &[Technique::Verify], None), KEEP);
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
    assert_eq!(points(&text), [(Technique::List, true), (Technique::Verify, true)], "{text}");
    assert!(text.starts_with("The answer was wrong in 3 of 4."), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
    assert_eq!(advice::merged(&[KEEP, KEEP], &mut rng(1)), KEEP);
}

fn rewritten(variable: &str, feedback: &[&str], skill: f64) -> String {
    advice::rewrite(variable, feedback, skill, &mut rng(4))
}

#[test]
fn a_prompt_keeps_its_points_and_takes_up_two_more() {
    let old = "You answer questions. Think step by step.";
    let asked = ["Double-check. Enumerate. Exclude the rest.", "Double-check. Enumerate."];
    let text = rewritten(old, &asked, 1.0);
    assert!(text.starts_with(old), "{text}");
    let expected =
        [Technique::Steps, Technique::Verify, Technique::List].map(|technique| (technique, true));
    let mut found = points(&text);
    found.sort_by_key(|(technique, _)| expected.iter().position(|(known, _)| known == technique));
    assert_eq!(found, expected, "{text}");

    assert_eq!(rewritten(&text, &["Double-check."], 1.0), text);
    assert_eq!(rewritten(old, &[KEEP], 1.0), old);
    let cut = "Remove the wish to answer immediately.";
    assert_eq!(rewritten(&format!("{old} Answer at once."), &[cut], 1.0), old);
    assert_eq!(rewritten("Answer at once.", &[cut], 1.0), "Answer at once.");
    let long = format!("{old} {} Enumerate.", "And so it goes on and on".repeat(20) + ".");
    let text = rewritten(&long, &["Shorten the prompt."], 1.0);
    assert_eq!(text, format!("{old} Enumerate."));
    assert_eq!(rewritten(old, &["Shorten the prompt."], 1.0), old);
}

#[test]
fn without_skill_a_prompt_is_spoilt() {
    let old = GOOD.join(" ");
    let left = |skill: f64| -> usize {
        (0..50)
            .map(|seed| {
                let text = advice::rewrite(&old, &[KEEP], skill, &mut rng(seed));
                points(&text).iter().filter(|(technique, _)| !technique.is_bad()).count()
            })
            .sum()
    };
    assert_eq!(left(1.0), 50 * GOOD.len());
    assert!(left(0.8) > 320 && left(0.8) < 350, "{}", left(0.8));
    assert!(left(0.2) < 200, "{}", left(0.2));
}

#[test]
fn judgements_are_read_as_they_are_meant() {
    for text in [
        "0",
        "0.0",
        "false",
        "No.",
        "The answer is wrong: expected 7, got 6.",
        "Incorrect!",
        "expected the number 7, got \"8\"",
        "test result: FAILED. 2 passed; 1 failed",
        "That is not correct, although the form is right.",
    ] {
        assert_eq!(verdict(text), Some(Verdict::Wrong), "{text}");
    }
    for text in [
        "1",
        "1.0",
        "true",
        "Correct.",
        "The answer is right.",
        "test result: ok. 3 passed; 0 failed",
        "There is nothing wrong with it.",
    ] {
        assert_eq!(verdict(text), Some(Verdict::Right), "{text}");
    }
    for text in ["", "7", "Add a caveat.", "- Explain why it is so."] {
        assert_eq!(verdict(text), None, "{text}");
    }
    assert_eq!(of_all(["1", "0"]), Some(Verdict::Wrong));
    assert_eq!(of_all(["1", "x"]), Some(Verdict::Right));
    assert_eq!(of_all(["x"]), None);
}
