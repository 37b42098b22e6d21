//! Arena-Hard: hard prompts, answers compared with a baseline's by a judge.
//!
//! Version 0.1 has 500 prompts, version 2 has 750 of two categories. [`read`] takes `question.jsonl` of both,
//! [`Answer`] is a line of `model_answer`, [`Judge`] plays two games with the positions swapped, a
//! [`Judgment`] is a line of `model_judgment`; [`leaderboard`] and [`StyleControlled`] are the published
//! aggregations without and with style control. The official programs read what is written here.

mod answer;
mod control;
mod judgment;
mod markdown;

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use textgrad_core::Seed;

pub use self::answer::{Answer, file_name, read_answers, write_answers};
pub use self::control::{Interval, StyleControlled};
pub use self::judgment::{Game, GameContext, Judge, Judgment, Verdict, read_judgments};
pub use self::markdown::{MarkupCount, Style};
use super::item::Item;
use super::records::{records, unique};
use crate::error::Error;
use crate::query::Query;
use crate::stats::quantile;

/// The category of version 0.1's questions where a file gives them none.
pub const V01: &str = "arena-hard-v0.1";

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PublishedQuestion")]
pub struct Question {
    /// Its name.
    pub uid: String,
    /// Its category: `hard_prompt` or `creative_writing` in version 2.
    pub category: String,
    /// What it is about, in version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subcategory: Option<String>,
    /// What it is about, in version 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What is asked.
    pub prompt: String,
}

/// A question in either shape that the authors published: `uid` with `prompt`, or `question_id` with `turns`.
#[derive(Deserialize)]
struct PublishedQuestion {
    uid: Option<String>,
    question_id: Option<String>,
    category: Option<String>,
    subcategory: Option<String>,
    cluster: Option<String>,
    prompt: Option<String>,
    #[serde(default)]
    turns: Vec<PublishedTurn>,
}

#[derive(Deserialize)]
struct PublishedTurn {
    content: String,
}

impl TryFrom<PublishedQuestion> for Question {
    type Error = String;

    fn try_from(published: PublishedQuestion) -> Result<Self, String> {
        let PublishedQuestion { uid, question_id, category, subcategory, cluster, prompt, turns } =
            published;
        let uid = uid.or(question_id).ok_or("expected \"uid\" or \"question_id\", got neither")?;
        let mut turns = turns.into_iter();
        let prompt = match (prompt, turns.next(), turns.len()) {
            (Some(prompt), ..) => prompt,
            (None, Some(turn), 0) => turn.content,
            (None, Some(_), more) => {
                return Err(format!("expected one turn in \"turns\", got {}", more + 1));
            }
            (None, None, _) => {
                return Err("expected \"prompt\" or \"turns\", got neither".to_owned());
            }
        };
        let category = category.unwrap_or_else(|| V01.to_owned());
        Ok(Self { uid, category, subcategory, cluster, prompt })
    }
}

impl Question {
    /// The model whose answers its category is compared with; none for a category that is not known.
    #[must_use]
    pub fn baseline(&self) -> Option<&'static str> {
        match self.category.as_str() {
            V01 => Some("gpt-4-0314"),
            "hard_prompt" => Some("o3-mini-2025-01-31"),
            "creative_writing" => Some("gemini-2.0-flash-001"),
            _ => None,
        }
    }
}

/// Reads `question.jsonl`. `source` is the file's name, for errors.
///
/// # Errors
/// [`Error::Input`] with the line and what was expected; also for a uid that comes twice.
///
/// # Examples
/// ```
/// use tpo::bench::arena_hard::read;
///
/// let line = r#"{"uid":"a1","category":"creative_writing","subcategory":"creative_writing","prompt":"Write."}"#;
/// assert_eq!(read("question.jsonl", line)?[0].baseline(), Some("gemini-2.0-flash-001"));
/// # Ok::<(), tpo::Error>(())
/// ```
pub fn read(source: &str, text: &str) -> Result<Vec<Question>, Error> {
    let read = records::<Question>(source, text)?;
    unique(read.iter().map(|(location, q)| (location.as_str(), q.uid.as_str())), "uid")?;
    for (location, question) in &read {
        if question.prompt.trim().is_empty() {
            return Err(Error::input(location, "expected a prompt, got an empty text"));
        }
    }
    Ok(read.into_iter().map(|(_, question)| question).collect())
}

impl Item for Question {
    fn id(&self) -> String {
        self.uid.clone()
    }

    fn query(&self) -> Query {
        self.prompt.as_str().into()
    }
}

/// How many times a strong verdict counts.
const WEIGHT: usize = 3;

/// How often the verdicts are drawn anew for the interval.
pub(super) const ROUNDS: u64 = 100;

/// How a model does against a baseline, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The score as published: the mean over the bootstrap samples.
    pub score: f64,
    /// The 5th percentile of the samples.
    pub lower: f64,
    /// The 95th percentile.
    pub upper: f64,
    /// The mean of the verdicts themselves, which does not depend on the seed.
    pub mean: f64,
    /// Questions that count.
    pub judged: usize,
    /// Questions that were left out because a game had no verdict.
    pub dropped: usize,
}

/// The published aggregation without style control: of each question both verdicts for the model, strong ones
/// three times; their mean over 100 bootstrap samples of all verdicts, with the 5th and 95th percentile. None
/// if no question counts. Judgments of several categories are to be separated by the caller, as the official
/// program does.
#[must_use]
pub fn leaderboard(judgments: &[Judgment], seed: Seed) -> Option<Score> {
    let counted: Vec<[Verdict; 2]> = judgments.iter().filter_map(Judgment::verdicts).collect();
    let points: Vec<f64> = counted.iter().flat_map(points).collect();
    let size = NonZeroUsize::new(points.len())?;
    let mean_of = |points: &mut dyn Iterator<Item = f64>| points.sum::<f64>() / size.get() as f64;
    let sample = |round: u64| {
        let drawn = draws(seed, round, size.get());
        mean_of(&mut drawn.filter_map(|index| points.get(index).copied()))
    };
    let mut samples: Vec<f64> = (0..ROUNDS).map(sample).collect();
    samples.sort_by(f64::total_cmp);
    Some(Score {
        score: 100.0 * samples.iter().sum::<f64>() / ROUNDS as f64,
        lower: 100.0 * quantile(&samples, 0.05)?,
        upper: 100.0 * quantile(&samples, 0.95)?,
        mean: 100.0 * mean_of(&mut points.iter().copied()),
        judged: counted.len(),
        dropped: judgments.len() - counted.len(),
    })
}

/// The indices of a bootstrap sample: as many as there are, drawn with replacement.
pub(super) fn draws(seed: Seed, round: u64, size: usize) -> impl Iterator<Item = usize> {
    let round = seed.child("bootstrap", round);
    let draw = move |index: usize| {
        let drawn = round.child("draw", index as u64).value().checked_rem(size as u64)?;
        usize::try_from(drawn).ok()
    };
    (0..size).filter_map(draw)
}

/// What the model got in both games: it is A in the second and B in the first.
pub(super) fn points([first, second]: &[Verdict; 2]) -> Vec<f64> {
    let of = |verdict: Verdict| {
        let (points, strong) = verdict.points();
        std::iter::repeat_n(points, if strong { WEIGHT } else { 1 })
    };
    of(*second).chain(of(*first).map(|points| 1.0 - points)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let text = concat!(
            r#"{"uid":"1","category":"arena-hard-v0.1","cluster":"Tables","prompt":"a"}"#,
            "\n",
            r#"{"uid":"2","category":"hard_prompt","subcategory":"coding","prompt":"b"}"#,
            "\n",
            r#"{"uid":"3","category":"creative_writing","subcategory":"creative_writing","prompt":"c"}"#,
            "\n",
            r#"{"uid":"4","cluster":"Tables","prompt":"d"}"#,
        );
        let questions = read("f", text).unwrap();
        let baselines: Vec<_> = questions.iter().map(Question::baseline).collect();
        let expected = ["gpt-4-0314", "o3-mini-2025-01-31", "gemini-2.0-flash-001", "gpt-4-0314"];
        assert_eq!(baselines, expected.map(Some));
        assert_eq!(questions[0].cluster.as_deref(), Some("Tables"));
    }

    #[test]
    fn the_first_shape_of_version_0_1_is_read() {
        let line = |turns: &str| {
            format!(
                r#"{{"question_id":"ab1","category":"arena-hard-v0.1","cluster":"C","turns":{turns}}}"#
            )
        };
        let questions = read("f", &line(r#"[{"content":"Sort it."}]"#)).unwrap();
        let expected =
            r#"{"uid":"ab1","category":"arena-hard-v0.1","cluster":"C","prompt":"Sort it."}"#;
        assert_eq!(serde_json::to_string(&questions[0]).unwrap(), expected);
        for (turns, reason) in [
            (r#"[{"content":"a"},{"content":"b"}]"#, "expected one turn in \"turns\", got 2"),
            ("[]", "expected \"prompt\" or \"turns\", got neither"),
        ] {
            let error = read("f", &line(turns)).unwrap_err().to_string();
            assert!(error.ends_with(reason), "{error}");
        }
        let error = read("f", r#"{"prompt":"a"}"#).unwrap_err().to_string();
        assert!(error.ends_with("expected \"uid\" or \"question_id\", got neither"), "{error}");
    }

    #[test]
    fn two_questions_of_one_name_are_refused() {
        let text = "{\"uid\":\"1\",\"prompt\":\"a\"}\n{\"uid\":\"1\",\"prompt\":\"b\"}";
        let error = read("f", text).unwrap_err().to_string();
        assert_eq!(error, "f, line 2: expected each uid once, got \"1\" again");
    }
}

#[cfg(test)]
mod score_tests {
    use super::*;

    fn judgment(first: &str, second: &str) -> Judgment {
        Judgment {
            uid: "u".to_owned(),
            category: "hard_prompt".to_owned(),
            judge: "j".to_owned(),
            model: "m".to_owned(),
            baseline: "b".to_owned(),
            games: [first, second].map(|label| Some(Game::new(&[], format!("[[{label}]]")))),
        }
    }

    #[test]
    fn strong_verdicts_count_three_times_and_positions_are_swapped() {
        // The model is B in the first game and A in the second: won strongly, lost weakly.
        assert_eq!(points(&judgment("B>>A", "B>A").verdicts().unwrap()), [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(points(&judgment("A=B", "A>>B").verdicts().unwrap()), [1.0, 1.0, 1.0, 0.5]);
        let score = leaderboard(&[judgment("B>>A", "B>A")], Seed::new(1)).unwrap();
        assert!((score.mean - 75.0).abs() < 1e-9);
    }

    #[test]
    fn a_question_without_both_verdicts_is_left_out() {
        let judged = [judgment("A>B", "A>B"), judgment("A>B", "none"), judgment("", "A>>B")];
        let score = leaderboard(&judged, Seed::new(1)).unwrap();
        assert_eq!((score.judged, score.dropped), (1, 2));
        assert!((score.mean - 50.0).abs() < 1e-9);
        let mut unplayed = judgment("A>B", "A>B");
        unplayed.games[1] = None;
        assert_eq!(leaderboard(&[unplayed], Seed::new(1)), None);
    }

    #[test]
    fn the_interval_is_that_of_the_seed_and_holds_the_mean() {
        let judged: Vec<Judgment> = (0..40)
            .map(|n| if n % 3 == 0 { judgment("A>B", "B>A") } else { judgment("B>A", "A>B") })
            .collect();
        let score = leaderboard(&judged, Seed::new(1)).unwrap();
        assert_eq!(score, leaderboard(&judged, Seed::new(1)).unwrap());
        assert_ne!(score, leaderboard(&judged, Seed::new(2)).unwrap());
        assert!(score.lower < score.mean && score.mean < score.upper, "{score:?}");
        // The standard error of 80 verdicts of which two thirds are won is 5.3 percent.
        assert!((score.upper - score.lower - 2.0 * 1.645 * 5.3).abs() < 5.0, "{score:?}");
        let sure = leaderboard(&[judgment("B>A", "A>B")], Seed::new(1)).unwrap();
        assert_eq!((sure.lower, sure.score, sure.upper), (100.0, 100.0, 100.0));
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        assert!((quantile(&[0.0, 1.0, 2.0, 3.0], 0.95).unwrap() - 2.85).abs() < 1e-9);
        assert_eq!(quantile(&[7.0], 0.05), Some(7.0));
    }
}
