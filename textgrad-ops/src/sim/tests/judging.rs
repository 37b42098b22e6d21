//! Judgements that a program reads.

use textgrad_core::Message;

use super::{QUERY, inside, one, sim};
use crate::sim::reward;

const GOOD: &str = "In short, oil the wooden table twice a year, because dry wood cracks. For example, use \
    linseed oil. However, never on varnish. First clean it, lastly wipe it.";
const BAD: &str = "Great question! It might perhaps be hard to say.";
const COUNT: &str = "I have two cats, a leek, and three geese. How many animals do I have?";

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
    let labels = format!("Question: {QUERY}\nAnswer: {BAD}");
    assert_eq!(score(&judged(system, &labels, 1.0, 1)), score(&bad));
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
    let user = |a: &str, b: &str| format!("Question: {QUERY}\nAnswer A: {a}\nAnswer B: {b}");
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
fn what_has_a_right_answer_is_judged_by_it() {
    let system = "Judge whether the answer is right. Say yes or no.";
    let user = |answer: &str| {
        format!("Question: {COUNT}\nResponse: two cats (2), three geese (3)\nAnswer: {answer}")
    };
    assert!(judged(system, &user("5"), 1.0, 1).ends_with("yes"));
    assert!(judged(system, &user("6"), 1.0, 1).ends_with("no"));
    let system = "Evaluate the prediction against the ground truth.";
    let user =
        |answer: &str| format!("Question: Who?\nPrediction: It is {answer}.\nGround truth: Ada");
    assert_eq!(judged(system, &user("Ada"), 1.0, 1), "The answer is right.");
    assert_eq!(judged(system, &user("Bob"), 1.0, 1), "The answer is wrong: expected Ada.");
    let alone = format!("Evaluate the prediction.\n{}", user("Bob"));
    assert_eq!(one(&sim(1.0), &[Message::user(alone)], 1), "The answer is wrong: expected Ada.");
}

#[test]
fn a_question_about_judging_is_an_open_query() {
    for query in ["Rate my plan from 1 to 10.", "Which is better, tea or coffee? Score: 1 to 10."] {
        let text = one(&sim(1.0), &[Message::user(query)], 1);
        assert!(!text.contains("Score: ") && !text.contains("simulation"), "{text}");
    }
}
