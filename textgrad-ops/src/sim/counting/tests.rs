//! Counting questions: asked, read, answered, reviewed.

use super::work_tests::GOOD;
use super::{Question, followed, questions};
use crate::sim::criteria::{Technique, techniques};
use crate::sim::rng::Rng;

const PLAIN: &str = "You will answer a reasoning question. Think step by step.";
const N: usize = 400;
const REMEDIES: [Technique; 5] =
    [Technique::Numbers, Technique::List, Technique::Ignore, Technique::Verify, Technique::Form];

/// The answers to many questions under a prompt.
fn answers(prompt: &str) -> Vec<(Question, String)> {
    (0..)
        .zip(questions(N, 11))
        .map(|(index, (text, _))| {
            let (question, _) = Question::read(&text).expect("a question");
            let mut rng = Rng::new(index, 5);
            let followed = followed(prompt, 0.8, &mut rng);
            let answer = question.answer(&followed, &mut rng);
            (question, answer)
        })
        .collect()
}

fn is_right(question: &Question, answer: &str) -> bool {
    let last = answer.lines().last().unwrap_or_default();
    last.split(' ').next_back() == Some(&question.total().to_string())
}

fn share_right(prompt: &str) -> f64 {
    let right = answers(prompt).iter().filter(|(question, text)| is_right(question, text)).count();
    right as f64 / N as f64
}

#[test]
fn questions_are_what_they_were_and_differ() {
    // Recorded once: a change here changes every data set that is made of them.
    let (text, answer) = &questions(3, 7)[1];
    assert_eq!((text.as_str(), answer.as_str()), RECORDED);
    let many = questions(300, 7);
    let mut texts: Vec<&String> = many.iter().map(|(text, _)| text).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 300);
    assert_ne!(questions(5, 7), questions(5, 8));
    assert!(questions(0, 7).is_empty());
    for words in [" geese", " heads of lettuce", " an ", " six ", "many objects", "many tools"] {
        assert!(many.iter().any(|(text, _)| text.contains(words)), "{words}");
    }
}

const RECORDED: (&str, &str) = (
    "I have six carrots, five sticks of rhubarb, five cows, and six pears. How many objects do I have?",
    "22",
);

#[test]
fn a_question_is_read_as_it_was_made() {
    let mut others = 0;
    for (text, answer) in questions(N, 3) {
        let (question, rest) = Question::read(&text).expect("a question");
        assert_eq!(question.total().to_string(), answer, "{text}");
        assert!((3..=8).contains(&question.things.len()), "{text}");
        assert_eq!(rest, "");
        others += question.things.iter().filter(|thing| !thing.counts).count();
    }
    assert!(others > N / 3, "{others}");
}

#[test]
fn questions_of_others_are_read_too() {
    let total = |text: &str| Question::read(text).map(|(question, _)| question.total());
    for (text, expected) in [
        ("I have a fridge, a chair, and 2 microwaves. How many objects do I have?", 4),
        ("I have three oranges, a pig, a frog, and two cows. How many animals do I have?", 4),
        ("I own two red apples and an onion. How many fruits do I have in total?", 2),
        ("As a farmer I have twelve sheep and a dog. How many animals do I have?", 13),
        ("There are a cello, six banjos, and a wolf. How many musical instruments are there?", 7),
    ] {
        assert_eq!(total(text), Some(expected), "{text}");
    }
    let (question, rest) = Question::read(
        "Answer with care.\nQuestion: I have a cat and two dogs. How many animals do I have?\nThink!",
    )
    .expect("a question");
    assert_eq!((question.total(), rest.as_str()), (3, "Answer with care.\nThink!"));
    for text in [
        "",
        "How many animals do I have?",
        "How many moons are there? I have a cat and a dog.",
        "I have a dog and a cat. How many walks do I need?",
        "I have a problem. How many things do I have?",
        "你好。How many objects do I have?",
        "I have 99999999999 cats and a dog. How many animals do I have?",
    ] {
        assert_eq!(total(text), None, "{text}");
    }
}

#[test]
fn what_a_prompt_asks_for_decides_how_many_are_right() {
    let best = GOOD.join(" ");
    let plain = share_right(PLAIN);
    assert!((0.55..0.70).contains(&plain), "{plain}");
    let good = share_right(&best);
    assert!((0.92..0.975).contains(&good), "{good}");
    let brief = share_right(&format!("{PLAIN} Answer immediately."));
    assert!(brief < plain - 0.15, "{brief} {plain}");
    let guessed = share_right(&format!("{best} A rough guess is enough."));
    assert!(guessed < good - 0.02, "{guessed} {good}");
}

#[test]
fn each_technique_helps_against_its_own_mistake() {
    let tally = |prompt: &str| {
        let mut tally = [0_usize; 5];
        for (question, text) in answers(prompt) {
            for remedy in question.review(&text) {
                let at = REMEDIES.iter().position(|known| *known == remedy).expect("a remedy");
                tally[at] += 1;
            }
        }
        tally
    };
    let plain = tally(PLAIN);
    for (at, remedy) in REMEDIES.into_iter().enumerate() {
        let (row, _) = techniques().find(|(_, known)| *known == remedy).expect("a row");
        let asked = tally(&format!("{PLAIN} {}", row.instructions[0]));
        for (other, count) in asked.into_iter().enumerate() {
            let before = plain[other];
            if other == at {
                assert!(before > 12 && count * 2 < before, "{remedy:?}: {before} to {count}");
            } else {
                assert!(count * 3 > before * 2, "{remedy:?} and {other}: {before} to {count}");
            }
        }
    }
}

#[test]
fn the_review_finds_a_mistake_where_an_answer_is_wrong_and_none_where_it_is_right() {
    for prompt in ["", PLAIN, "List every item. Ignore items of other categories.", "Be brief."] {
        let mut differ = Vec::new();
        for (question, text) in answers(prompt) {
            let remedies = question.review(&text);
            if remedies.is_empty() != is_right(&question, &text) {
                differ.push(format!("{question:?}\n{text}\n{remedies:?}"));
            }
        }
        // Two mistakes may cancel each other out.
        assert!(differ.len() * 25 <= N, "{prompt}: {}\n{}", differ.len(), differ.join("\n\n"));
    }
}

#[test]
fn the_review_reads_answers_of_others() {
    let (question, _) =
        Question::read("I have two cats, a leek, and three geese. How many animals do I have?")
            .expect("a question");
    let review = |answer: &str| question.review(answer);
    assert_eq!(review("Cats: 2\nGeese: 3\n2 + 3 = 5\nAnswer: 5"), []);
    assert_eq!(review("Cats: 2\nLeek: 1\nGeese: 3\nThe answer is 6"), [Technique::Ignore]);
    assert_eq!(review("Cats: 2\nAnswer: 2"), [Technique::List]);
    assert_eq!(review("two cats (2), three geese (4).\nAnswer: 6"), [Technique::Numbers]);
    assert_eq!(review("two cats (2), three geese (3).\nAnswer: 6"), [Technique::Verify]);
    assert_eq!(review("2 cats, geese (3): 2 + 3 = 5\nAnswer: five"), [Technique::Form]);
    assert_eq!(review("7"), [Technique::List]);
    assert_eq!(review("5"), []);
    assert_eq!(review(""), [Technique::List]);
}
