//! Prompts, advice and rewriting: the parts of the loop that exchange text.

use super::work::{Work, are_right, is_right};
use crate::sim::criteria::{Technique, criteria, techniques};
use crate::sim::gradient::{Action, NOTHING, merged, read, reduce};
use crate::sim::rng::Rng;
use crate::sim::updater::{Rewrite, rewrite};

/// A prompt that asks for all that helps.
pub(crate) const GOOD: [&str; 5] = [
    "List every item of the question on its own line with its number.",
    "Ignore things of other categories than the one that is asked for.",
    "Watch number words and plurals, and take \"a\" or \"an\" as one.",
    "Check the sum again before you answer.",
    "Put the final answer on the last line, in the form 'Answer: VALUE'.",
];

const HELPFUL: [Technique; 5] =
    [Technique::Numbers, Technique::List, Technique::Ignore, Technique::Verify, Technique::Form];

fn rng(seed: u64) -> Rng {
    Rng::new(9, seed)
}

/// What a text asks for, and whether it is wanted or to be taken out.
fn points(text: &str) -> Vec<(Technique, bool)> {
    let points = read(text).into_iter();
    points.filter_map(|(row, action)| Some((row.technique()?, action != Action::Cut))).collect()
}

#[test]
fn a_sentence_of_the_table_asks_for_its_technique_and_no_other() {
    for (row, technique) in techniques() {
        for wording in &row.instructions {
            assert_eq!(points(wording), [(technique, true)], "{wording}");
        }
        assert_eq!(read(&row.mistake), [], "{technique:?}");
    }
    assert_eq!(points(&GOOD.join(" ")).len(), GOOD.len());
    assert_eq!(points(NOTHING), []);
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
        ("Check again. Please check the total, and check again!", vec![Technique::Verify]),
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
    for row in criteria() {
        for text in row.instructions.iter().chain(&row.names) {
            assert_eq!(points(text), [], "{text}");
        }
    }
    assert_eq!(points("Double-check the total."), [(Technique::Verify, true)]);
}

fn advice(prompt: &str, remedies: &[Technique], is_right: bool, skill: f64, seed: u64) -> String {
    let (prompt, remedies) = (prompt.to_owned(), remedies.to_vec());
    Work::Advise { prompt, remedies, is_right }.write(skill, &mut rng(seed))
}

#[test]
fn advice_names_the_mistake_as_far_as_the_skill_goes() {
    for technique in HELPFUL {
        let remedy = (technique, true);
        let named = |skill: f64| {
            (0..300)
                .filter(|seed| {
                    points(&advice("", &[technique], false, skill, *seed)).contains(&remedy)
                })
                .count()
        };
        let (all, most, few) = (named(1.0), named(0.8), named(0.2));
        assert_eq!(all, 300, "{technique:?}");
        assert!(most > 225 && few < 120, "{technique:?}: {most} {few}");
    }
    let advice =
        |prompt: &str, remedies: &[Technique], is_right| advice(prompt, remedies, is_right, 1.0, 3);
    // Nobody need ask for what the prompt asks for already.
    let text = advice("Double-check.", &[Technique::Verify], false);
    assert!(text.contains("no change") && points(&text).is_empty(), "{text}");
    let text = advice("Answer immediately.", &[Technique::List], false);
    assert!(points(&text).contains(&(Technique::Brief, false)), "{text}");
    assert_eq!(advice("", &[Technique::Verify], true), NOTHING);
}

#[test]
fn merging_keeps_each_point_once_and_what_most_ask_for_first() {
    let feedback = [
        "The answer was wrong.\n- The addition is wrong. Double-check the total.",
        NOTHING,
        "The answer was wrong.\n- List every item.",
        "The answer was wrong.\n- Enumerate.",
    ];
    let text = reduce(&feedback, &mut rng(1));
    assert_eq!(points(&text), [(Technique::List, true), (Technique::Verify, true)], "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(merged(&feedback).len(), 2);
    assert_eq!(reduce(&[NOTHING, NOTHING], &mut rng(1)), NOTHING);
}

fn rewritten_by(variable: &str, feedback: &[&str], skill: f64, seed: u64) -> String {
    let task = Rewrite { query: None, wording: "", role: "system prompt", variable, feedback };
    rewrite(task, skill, &mut rng(seed))
}

#[test]
fn a_prompt_keeps_its_points_and_takes_up_two_more() {
    let rewritten = |variable: &str, feedback: &[&str]| rewritten_by(variable, feedback, 1.0, 4);
    let old = "You answer questions. Put the answer on the last line.";
    let asked = ["Double-check. Enumerate. Exclude the rest.", "Double-check. Enumerate."];
    let text = rewritten(old, &asked);
    assert!(text.starts_with(old), "{text}");
    let expected =
        [Technique::Form, Technique::Verify, Technique::List].map(|technique| (technique, true));
    let mut found = points(&text);
    found.sort_by_key(|(technique, _)| expected.iter().position(|(known, _)| known == technique));
    assert_eq!(found, expected, "{text}");

    assert_eq!(rewritten(&text, &["Double-check."]), text);
    assert_eq!(rewritten(old, &[NOTHING]), old);
    let cut = "Leave out the wish for an immediate answer.";
    assert_eq!(rewritten(&format!("{old} Answer at once."), &[cut]), old);
    assert_eq!(rewritten("Answer at once.", &[cut]), "Answer at once.");
}

#[test]
fn without_skill_a_prompt_is_spoilt() {
    let old = GOOD.join(" ");
    let left = |skill: f64| -> usize {
        (0..50)
            .map(|seed| {
                let text = rewritten_by(&old, &[NOTHING], skill, seed);
                points(&text).iter().filter(|(known, _)| *known != Technique::Brief).count()
            })
            .sum()
    };
    assert_eq!(left(1.0), 50 * GOOD.len());
    assert!(left(0.8) > 228 && left(0.8) < 250, "{}", left(0.8));
    assert!(left(0.2) < 143, "{}", left(0.2));
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
        "That is not correct, although the form is right.",
    ] {
        assert_eq!(is_right(text), Some(false), "{text}");
    }
    for text in
        ["1", "1.0", "true", "Correct.", "The answer is right.", "There is nothing wrong with it."]
    {
        assert_eq!(is_right(text), Some(true), "{text}");
    }
    for text in ["", "7", "Add a caveat.", "- Explain why it is so."] {
        assert_eq!(is_right(text), None, "{text}");
    }
    assert_eq!(are_right(&["1", "0"]), Some(false));
    assert_eq!(are_right(&["1", "x"]), Some(true));
    assert_eq!(are_right(&["x"]), None);
}
