//! Sorting questions: asked, read, answered, reviewed.

use super::{Question, questions};
use crate::sim::rng::Rng;
use crate::sim::tasks::{Fault, Followed, GOOD};

const PLAIN: &str = "You will answer a reasoning question. Think step by step.";
const N: usize = 500;

fn answers(prompt: &str) -> Vec<(Question, String, bool)> {
    (0..)
        .zip(questions(N, 11))
        .map(|(index, (text, answer))| {
            let (question, _) = Question::read(&text).expect("a question");
            assert_eq!(question.sorted().join(" "), answer);
            let mut rng = Rng::new(index, 5);
            let followed = Followed::of(prompt, 0.8, &mut rng);
            let text = question.answer(&followed, &mut rng);
            let right = text.ends_with(&answer);
            (question, text, right)
        })
        .collect()
}

#[test]
fn what_a_prompt_asks_for_decides_how_many_are_right() {
    let share = |prompt: &str| {
        answers(prompt).iter().filter(|(.., right)| *right).count() as f64 / N as f64
    };
    let (plain, best) = (share(PLAIN), share(&GOOD.join(" ")));
    assert!((0.55..0.70).contains(&plain), "{plain}");
    assert!((0.92..0.985).contains(&best), "{best}");
    let letters = share(&format!("{PLAIN} Compare words letter by letter."));
    assert!(letters > plain + 0.08, "{letters} {plain}");
    assert!(share(&format!("{PLAIN} Answer at once.")) < plain - 0.15);
}

#[test]
fn the_review_finds_a_mistake_where_an_answer_is_wrong_and_none_where_it_is_right() {
    for prompt in ["", PLAIN, "Be brief."] {
        for (question, text, right) in answers(prompt) {
            assert_eq!(question.review(&text).is_empty(), right, "{question:?}\n{text}");
        }
    }
}

#[test]
fn questions_of_others_are_read_too() {
    let read = |text: &str| Question::read(text).map(|(question, _)| question.words);
    let words = ["pear", "fig"].map(str::to_owned).to_vec();
    for text in [
        "Sort the following words alphabetically: pear fig",
        "Sort the following words alphabetically: List: pear fig",
        "Be careful.\nSort the following words alphabetically: pear, fig.\nThink.",
    ] {
        assert_eq!(read(text).as_ref(), Some(&words), "{text}");
    }
    for text in ["", "Sort the following words alphabetically:", "Sort my mail: a b", "Sort: 1 2"] {
        assert_eq!(read(text), None, "{text}");
    }
    let question = Question { words };
    assert_eq!(question.review("pear fig"), [Fault::Order]);
    assert_eq!(question.review("The order is fig, pear"), [Fault::Form]);
    assert_eq!(question.review("fig"), [Fault::Forgot]);
    assert_eq!(question.review("I do not know."), [Fault::Form]);
    assert_eq!(question.review("Answer: fig pear"), []);
}
