//! Questions with a right answer, and the optimization of prompts for them, message by message.

use textgrad_core::{Message, Sampling};

use super::{ask, inside, one, sim, texts};
use crate::sim::counting;

const QUESTION: &str = "I have two cats, a leek, and three geese. How many animals do I have?";
const PROMPT: &str = "You will answer a reasoning question.";
const STRAY: &str =
    "- two cats: 2\n- a leek: 1\n- three geese: 3\nTogether: 2 + 1 + 3 = 6\nThe answer is 6";
const SYSTEM: &str =
    "Say how <VARIABLE> is to change. Read <LM_INPUT>, <LM_OUTPUT> and <FEEDBACK>.";

fn call(answer: &str) -> String {
    format!(
        "<CONVERSATION>\n<LM_SYSTEM_PROMPT>\n{PROMPT}\n</LM_SYSTEM_PROMPT>\n<LM_INPUT>\n{QUESTION}\n\
         </LM_INPUT>\n<LM_OUTPUT>\n{answer}\n</LM_OUTPUT>\n</CONVERSATION>\n"
    )
}

fn subject() -> String {
    format!("<ROLE>\nsystem prompt\n</ROLE>\n<VARIABLE>\n{PROMPT}\n</VARIABLE>\n")
}

fn chain(answer: &str, feedback: &str) -> [Message; 2] {
    let user = format!("{}{}<FEEDBACK>\n{feedback}\n</FEEDBACK>\nHow?", call(answer), subject());
    [Message::system(SYSTEM), Message::user(user)]
}

fn rewriting(sections: &str) -> [Message; 2] {
    let told = "Rewrite <VARIABLE> by the <FEEDBACK>, between <NEW> and </NEW>.";
    [Message::system(told), Message::user(format!("{}{sections}\nWrite.", subject()))]
}

#[test]
fn a_question_is_answered_with_its_working_by_what_the_prompt_says() {
    let solve = |prompt: &str, seed| {
        one(&sim(1.0), &[Message::system(prompt), Message::user(QUESTION)], seed)
    };
    let steps = solve("Go through every item. Ignore items of other kinds.", 2);
    assert!(steps.contains("- two cats: 2\n- a leek: not counted\n- three geese: 3"), "{steps}");
    assert!(steps.contains("2 + 3 = 5"), "{steps}");
    let prose = solve("You are helpful.", 1);
    assert!(prose.starts_with("Counting the animals: two cats (2)"), "{prose}");
    let brief = solve("Reply with only a number.", 1);
    assert_eq!(brief.lines().count(), 1, "{brief}");
    // What stands beside the question in the same message is read like a prompt.
    let beside =
        one(&sim(1.0), &[Message::user(format!("Just the number, please. {QUESTION}"))], 1);
    assert_eq!(beside.lines().count(), 1, "{beside}");
}

#[test]
fn draws_differ_by_seed_and_by_prompt_and_are_otherwise_the_same() {
    let messages = [Message::system(PROMPT), Message::user(QUESTION)];
    assert_eq!(texts(&sim(0.8), &messages, 8, 1), texts(&sim(0.8), &messages, 8, 1));
    let mut answers = texts(&sim(0.8), &messages, 60, 1);
    answers.sort();
    answers.dedup();
    assert!(answers.len() > 5, "{answers:?}");
}

#[test]
fn feedback_on_a_prompt_names_the_mistake_that_stands_in_the_transcript() {
    for feedback in ["The answer is wrong: expected 5.", "0", "Incorrect."] {
        let text = one(&sim(1.0), &chain(STRAY, feedback), 1);
        assert!(text.starts_with("The answer was wrong.\n"), "{text}");
        assert!(text.contains("does not ask for"), "{text}");
    }
    let keep = "The text can stay as it is.";
    assert_eq!(one(&sim(1.0), &chain(STRAY, "The answer is right."), 1), keep);
    // The continued layout shows the call by its turns.
    let asked = format!("{}<FEEDBACK>\nwrong\n</FEEDBACK>\nHow?", subject());
    let continued = [
        Message::system(PROMPT),
        Message::user(QUESTION),
        Message::assistant(STRAY),
        Message::user(asked),
    ];
    let text = one(&sim(1.0), &continued, 1);
    assert!(text.contains("does not ask for"), "{text}");

    let [system, user] = chain(STRAY, "wrong");
    let advice = one(&sim(1.0), &continued, 1);
    let mut turns = continued.to_vec();
    turns.push(Message::assistant(advice));
    turns.push(Message::user(format!(
        "Rewrite it between <NEW> and </NEW>.\n<VARIABLE>\n{PROMPT}\n</VARIABLE>"
    )));
    let text = one(&sim(1.0), &turns, 1);
    let new = inside(&text, "NEW");
    assert!(new.starts_with(PROMPT) && new.contains("category"), "{new}");
    // Without any judgement the critic looks for itself.
    let user = user.text().replace("<FEEDBACK>\nwrong\n</FEEDBACK>", "");
    let text = one(&sim(1.0), &[system, Message::user(user)], 1);
    assert!(text.contains("does not ask for"), "{text}");
}

#[test]
fn what_a_check_says_of_an_answer_is_handed_on() {
    let check = |output: &str| {
        let user = format!(
            "<CONVERSATION>\n<FUNCTION_PURPOSE>\nsays 1 if right\n</FUNCTION_PURPOSE>\n<FUNCTION_INPUT>\n\
             {STRAY}\n</FUNCTION_INPUT>\n<FUNCTION_INPUT>\n5\n</FUNCTION_INPUT>\n<LM_OUTPUT>\n{output}\n\
             </LM_OUTPUT>\n</CONVERSATION>\n<ROLE>\nresponse\n</ROLE>\n<VARIABLE>\n- two cats: 2 (...) The \
             answer is 6\n</VARIABLE>\nHow?"
        );
        one(&sim(0.0), &[Message::system(SYSTEM), Message::user(user)], 1)
    };
    assert_eq!(check("0"), "The answer is wrong: expected 5.");
    assert_eq!(check("1"), "The answer is right. Keep it as it is.");
    // What is no judgement is left to the other parts.
    assert!(!check("forty words").contains("The answer is"));
}

#[test]
fn sections_that_nobody_knows_break_nothing() {
    let feedback = "<FEEDBACK>\nThe answer was wrong.\n- Double-check.\n</FEEDBACK>\n";
    let plain = one(&sim(1.0), &rewriting(feedback), 1);
    assert_eq!(inside(&plain, "NEW").split_once(PROMPT).map(|(before, _)| before), Some(""));
    for more in [
        "<PAST>\nIn step 1 it was: Answer immediately.\n</PAST>\n",
        "<PAST-2>\n</PAST>\n<NEW>x</NEW>\n</PAST-2>\n",
        "<EARLIER_FEEDBACK>\nEnumerate.\n</EARLIER_FEEDBACK>\n",
        "<OPEN>\nnever closed\n",
    ] {
        for sections in [format!("{more}{feedback}"), format!("{feedback}{more}")] {
            let text = one(&sim(1.0), &rewriting(&sections), 1);
            let new = inside(&text, "NEW");
            assert!(new.starts_with(PROMPT) && new.len() > PROMPT.len() + 10, "{new}");
            assert!(!new.contains("immediately") && !new.contains("List"), "{new}");
        }
    }
}

#[test]
fn pieces_of_advice_are_merged_and_open_feedback_is_not_taken_for_advice() {
    let merge = |parts: &[&str]| {
        let sections: String =
            parts.iter().map(|part| format!("<FEEDBACK>\n{part}\n</FEEDBACK>\n")).collect();
        one(&sim(0.8), &[Message::system("Merge the <FEEDBACK>."), Message::user(sections)], 1)
    };
    let advice = "The answer was wrong.\n- Double-check.";
    let keep = "The text can stay as it is.";
    let text = merge(&[advice, keep, advice]);
    assert!(text.starts_with("- "), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(merge(&[keep, keep]), keep);
    let text = merge(&["Add a caveat.", "Verify the sum of it."]);
    assert!(text.contains("Verify the sum of it."), "{text}");
}

#[test]
fn odd_texts_in_every_place_are_answered() {
    let (question, _) = &counting::questions(1, 1)[0];
    let long = "list ".repeat(20_000);
    let tags = "<QUERY>\n<A>\n".repeat(2_000);
    for text in [
        "",
        " ",
        "\u{0}'",
        "'",
        "‘",
        "last line 'é",
        "x = x = x",
        "how many ",
        &long,
        &tags,
        question,
    ] {
        for messages in [
            vec![Message::system(text), Message::user(QUESTION)],
            vec![Message::system(PROMPT), Message::user(format!("{text}\n{QUESTION}"))],
            vec![Message::system("Judge it, yes or no."), Message::user(text)],
            vec![Message::system("Find errors."), Message::user(text)],
            chain(text, "wrong").to_vec(),
            chain(STRAY, text).to_vec(),
            rewriting(&format!("<FEEDBACK-2>\n{text}\n</FEEDBACK-2>\n{}", call(text))).to_vec(),
        ] {
            // An empty section of feedback may be refused; nothing may panic.
            if let Ok(response) = ask(&sim(0.5), &messages, Sampling::default()) {
                assert!(!response.choices[0].text.trim().is_empty(), "{text}");
            }
        }
    }
}
