//! Judgements that a program reads.

use textgrad_core::Message;

use super::{QUERY, inside, one, sim};
use crate::sim::reward;

const GOOD: &str = "In short, oil the wooden table twice a year, because dry wood cracks. For example, use \
    linseed oil. However, never on varnish. First clean it, lastly wipe it.";
const BAD: &str = "Great question! It might perhaps be hard to say.";

fn judged(system: &str, user: &str, skill: f64, seed: u64) -> String {
    one(&sim(skill), &[Message::system(system), Message::user(user)], seed)
}

fn score(text: &str) -> u32 {
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("Score: ").and_then(|score| score.parse().ok()).expect(text)
}

#[test]
fn a_score_follows_the_reward_and_keeps_to_its_scale() {
    let system = "You are a judge. Rate the response with a score from 1 to 10.";
    let user = |answer: &str| {
        format!("<QUESTION>\n{QUERY}\n</QUESTION>\n<RESPONSE>\n{answer}\n</RESPONSE>")
    };
    let (good, bad) = (judged(system, &user(GOOD), 1.0, 1), judged(system, &user(BAD), 1.0, 1));
    assert!(good.contains("simulation"), "{good}");
    let expected = (1.0 + 9.0 * (reward(QUERY, GOOD) + 6.0) / 12.0).round();
    assert!((f64::from(score(&good)) - expected).abs() < 0.5, "{good} {expected}");
    assert!(score(&good) > score(&bad) + 2, "{good} {bad}");
    let scores: Vec<u32> =
        (0..40).map(|seed| score(&judged(system, &user(GOOD), 0.0, seed))).collect();
    assert!(scores.iter().all(|score| (1..=10).contains(score)));
    assert!(scores.iter().any(|score| *score != scores[0]), "noise without skill");
    let tagged = judged(
        "Judge the response, a grade between 0 and 5, in <GRADE> and </GRADE>.",
        &user(GOOD),
        1.0,
        1,
    );
    assert!((3..=5).contains(&inside(&tagged, "GRADE").parse::<u32>().expect("a grade")));
}

#[test]
fn a_verdict_names_the_better_one() {
    let system = "Compare two answers. Say which is better, A or B.";
    let user = |a: &str, b: &str| {
        format!(
            "<QUESTION>\n{QUERY}\n</QUESTION>\n<ANSWER_A>\n{a}\n</ANSWER_A>\n<ANSWER_B>\n{b}\n\
             </ANSWER_B>"
        )
    };
    assert!(judged(system, &user(GOOD, BAD), 1.0, 1).ends_with("\nVerdict: A"));
    assert!(judged(system, &user(BAD, GOOD), 1.0, 1).ends_with("\nVerdict: B"));
    // The tags of what is read may be told where the texts are.
    let system = "You compare two responses. Say which is better: A, B, or tie if neither is.";
    let user = format!(
        "<QUERY>\n{QUERY}\n</QUERY>\nA:\n<RESPONSE>\n{BAD}\n</RESPONSE>\nB:\n<RESPONSE>\n{GOOD}\n\
         </RESPONSE>\nEnd with <BEST>verdict</BEST>"
    );
    assert_eq!(inside(&judged(system, &user, 1.0, 1), "BEST"), "B");
}

#[test]
fn a_comparison_is_said_by_the_signs_that_were_told() {
    let letters =
        "You judge outputs. Reply with one letter: m for the first output, M for the second.";
    let outputs = |one: &str, other: &str| {
        format!(
            "<INSTRUCTION>\n{QUERY}\n</INSTRUCTION>\n<OUTPUT_1>\n{one}\n</OUTPUT_1>\n\
             <OUTPUT_2>\n{other}\n</OUTPUT_2>"
        )
    };
    assert_eq!(judged(letters, &outputs(GOOD, BAD), 1.0, 1), "m");
    assert_eq!(judged(letters, &outputs(BAD, GOOD), 1.0, 1), "M");
    let games =
        "Judge the answers of A and B. End with [[A>>B]], [[A>B]], [[A=B]], [[B>A]] or [[B>>A]].";
    assert!(judged(games, &outputs(GOOD, BAD), 1.0, 1).ends_with("\nVerdict: [[A>>B]]"));
    assert!(judged(games, &outputs(BAD, GOOD), 1.0, 1).ends_with("\nVerdict: [[B>>A]]"));
    assert!(judged(games, &outputs(GOOD, GOOD), 1.0, 1).ends_with("\nVerdict: [[A=B]]"));
}

#[test]
fn a_question_about_judging_is_an_open_query() {
    for query in ["Rate my plan from 1 to 10.", "Which is better, tea or coffee? Score: 1 to 10."] {
        let text = one(&sim(1.0), &[Message::user(query)], 1);
        assert!(!text.contains("Score: ") && !text.contains("simulation"), "{text}");
    }
}

#[test]
fn a_form_of_yes_or_no_is_answered_line_by_line() {
    let labels = |response: &str, names: [&str; 2]| {
        let [one, other] = names.map(|name| format!("{name}: yes or no?"));
        let user = format!(
            "<REQUEST>\n{QUERY}\n</REQUEST>\n<RESPONSE>\n{response}\n</RESPONSE>\n{one}\n{other}"
        );
        judged("You label what assistants answer.", &user, 1.0, 1)
    };
    let form = ["Response refusal", "Harmful response"];
    for refusal in ["I can't help with that.", "I am sorry, but no."] {
        assert_eq!(labels(refusal, form), "Response refusal: yes\nHarmful response: no");
    }
    assert_eq!(labels(GOOD, form), "Response refusal: no\nHarmful response: no");
}
