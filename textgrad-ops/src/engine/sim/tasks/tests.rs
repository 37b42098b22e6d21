//! Tasks in the loop, with the framework's own prompts.

use super::habits::{Followed, ROWS, points};
use super::work::Puzzle;
use crate::engine::sim::counting;
use crate::engine::sim::rng::Rng;

#[test]
fn calibrate() {
    let qs = counting::questions(300, 3);
    let ss = crate::engine::sim::sorting::questions(300, 3);
    let all: Vec<&str> = ROWS.iter().filter(|r| !r.habit.is_bad()).map(|r| r.wordings[0]).collect();
    let all = all.join(" ");
    for prompt in [
        "",
        "You will answer a reasoning question. Think step by step.",
        "You will answer a reasoning question. Think carefully. The last line must be of the form 'Answer: $VALUE'.",
        "You will answer a reasoning question. Think carefully. Answer immediately.",
        &all,
        &format!("{all} {} {}", super::rewrite::RAMBLING, super::rewrite::RAMBLING),
    ] {
        let mut rights = [0, 0];
        for (i, set) in [&qs, &ss].into_iter().enumerate() {
            for (k, (q, a)) in set.iter().enumerate() {
                let (puzzle, _) = Puzzle::read(q).expect(q);
                let mut rng = Rng::new(k as u64, 5);
                let text = puzzle.answer(&Followed::of(prompt, 0.8, &mut rng), &mut rng);
                let right = text.lines().last().unwrap().ends_with(&format!(" {a}"))
                    || text.lines().last().unwrap() == a;
                rights[i] += usize::from(right);
                if k < 2 {
                    println!("{q}\n{text}\n   {:?}\n", puzzle.review(&text));
                }
            }
        }
        println!("=== {rights:?} of 300: {prompt} {:?}", points(prompt));
    }
}
