//! Grades and counts against those of the benchmarks' official programs.
//!
//! The inputs are written for these tests; the expected values were given by the programs that
//! docs/benchmarks.md names. Nothing of them runs here.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use textgrad_core::Seed;
use tpo::bench::alpaca_eval::win_rate;
use tpo::bench::arena_hard::{Judgment, Style, Verdict, leaderboard, read_judgments};
use tpo::bench::math500::{Grade, grade};

fn lines<T: DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[derive(Deserialize)]
struct Pair {
    gold: String,
    given: String,
    correct: bool,
}

#[test]
fn answers_get_the_grades_of_the_prm800k_grader() {
    let pairs: Vec<Pair> = lines(include_str!("math500.jsonl"));
    assert_eq!(pairs.len(), 344);
    let wrong = pairs.iter().filter(|pair| {
        let expected = if pair.correct { Grade::Correct } else { Grade::Incorrect };
        grade(&pair.given, &pair.gold) != expected
    });
    let wrong: Vec<_> = wrong.map(|pair| (&pair.given, &pair.gold, pair.correct)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[derive(Deserialize)]
struct Styled {
    text: String,
    metadata: Style,
}

#[test]
fn answers_have_the_style_that_arena_hard_counts() {
    let styled: Vec<Styled> = lines(include_str!("styles.jsonl"));
    assert_eq!(styled.len(), 60);
    for Styled { text, mut metadata } in styled {
        let style = Style::of(&text);
        if !cfg!(feature = "o200k") {
            metadata.token_len = style.token_len;
        }
        assert_eq!(style, metadata, "{text:?}");
    }
}

#[test]
fn judgments_have_the_verdicts_and_the_mean_of_arena_hard() {
    let judgments = read_judgments("judgments.jsonl", include_str!("judgments.jsonl")).unwrap();
    let games = judgments.iter().flat_map(|judgment| judgment.games.iter().flatten());
    let read: Vec<_> = games.map(|game| (game.score, Verdict::of(game.judgment()))).collect();
    assert_eq!(read.len(), 115);
    assert!(read.iter().all(|(official, ours)| official == ours), "{read:?}");
    for (category, mean, judged, dropped) in [
        ("hard_prompt", 43.333_333_333_333_336, 18, 15),
        ("creative_writing", 32.575_757_575_757_58, 17, 10),
    ] {
        let of: Vec<Judgment> =
            judgments.iter().filter(|judgment| judgment.category == category).cloned().collect();
        let score = leaderboard(&of, Seed::new(7)).unwrap();
        assert!((score.mean - mean).abs() < 1e-9, "{category}: {score:?}");
        assert_eq!((score.judged, score.dropped), (judged, dropped), "{category}");
    }
}

#[test]
fn preferences_have_the_win_rate_of_alpaca_eval() {
    // Three of fourteen were not decided: the program leaves them out too.
    let preferences = [20, 0, 0, 20, 10, 10, 10, 15, 0, 15, 20, 15, 15, 10]
        .map(|tenths| (tenths > 0).then(|| f64::from(tenths) / 10.0));
    let rate = win_rate(&preferences).unwrap().unwrap();
    assert!((rate.win_rate - 45.454_545_454_545_45).abs() < 1e-9, "{rate:?}");
    assert!((rate.standard_error - 12.530_953_410_991_108).abs() < 1e-9, "{rate:?}");
    assert_eq!(rate.items, 11);
}
