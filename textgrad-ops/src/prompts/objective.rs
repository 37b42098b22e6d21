//! The variables of objectives.

use serde::{Deserialize, Serialize};
use textgrad_core::{Score, Variable};

use super::FunctionArgument;
use crate::command::{End, Run};
use crate::loss::figure;

/// A response to a query that was preferred to another: `query`, `chosen`, `rejected`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContrastiveContext<'a> {
    /// The query.
    pub query: &'a str,
    /// The response that was preferred: the user message, or the last turn of the model's own.
    pub chosen: &'a str,
    /// The response that was rejected.
    pub rejected: &'a str,
}

/// One response to a query: `query`, `chosen`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvaluationContext<'a> {
    /// The query.
    pub query: &'a str,
    /// The response: the user message, or the last turn of the model's own.
    pub chosen: &'a str,
}

/// Scored answers to a query: `query`; `answers`, best to worst, each with `rank` (from 1), `score`, `text` and
/// `chosen` (whether it is the user message); `count`; `others` (whether there is an answer but the chosen one);
/// `chosen` (the user message), `chosen_rank` and `chosen_score` (null if it is none of the answers).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListwiseContext<'a> {
    /// The query.
    pub query: &'a str,
    /// The answers, best to worst.
    #[serde(borrow)]
    pub answers: Vec<RankedContext<'a>>,
    /// How many there are.
    pub count: usize,
    /// Whether there is one but the chosen one.
    pub others: bool,
    /// The text that is evaluated: the user message.
    pub chosen: &'a str,
    /// Its rank, from 1.
    pub chosen_rank: Option<usize>,
    /// Its score.
    pub chosen_score: Option<String>,
}

/// A scored answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RankedContext<'a> {
    /// Its rank, from 1.
    pub rank: usize,
    /// Its score, with few digits.
    pub score: String,
    /// The answer.
    pub text: &'a str,
    /// Whether it is the user message.
    pub chosen: bool,
}

/// Several texts evaluated together: `instruction`; `fields`, each with `name`, `title`, `role`, `value`, `short`;
/// `start_tag` and `end_tag` that a score is wanted between (null if none is).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MultiFieldContext {
    /// What to evaluate by.
    pub instruction: String,
    /// The texts, in order.
    pub fields: Vec<FunctionArgument>,
    /// What stands before the score.
    pub start_tag: Option<String>,
    /// What stands behind it.
    pub end_tag: Option<String>,
}

/// An answer to a multiple choice question: `instruction`, `question`, `answer`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MultipleChoiceContext<'a> {
    /// What to evaluate by.
    pub instruction: &'a str,
    /// The question with its options.
    pub question: &'a str,
    /// The answer.
    pub answer: &'a str,
}

/// A check that does not hold: `rule`, `violation`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckContext<'a> {
    /// What must hold, in words.
    pub rule: &'a str,
    /// What is wrong with the text.
    pub violation: &'a str,
}

/// An evaluation that is part of a composition: `text`, `role`, `score` (null if it has none), `failed`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartContext {
    /// The evaluation.
    pub text: String,
    /// What it is for, in words.
    pub role: String,
    /// Its score, with few digits.
    pub score: Option<String>,
    /// Whether it failed for certain.
    pub failed: bool,
}

impl PartContext {
    /// An evaluation as templates see it.
    #[must_use]
    pub fn new(evaluation: &Variable) -> Self {
        let score = evaluation.score();
        Self {
            text: evaluation.value().describe(),
            role: evaluation.role().to_string(),
            score: score.map(|score| match score {
                Score::Number(number) => figure(number),
                Score::Passed(_) => score.to_string(),
            }),
            failed: score.and_then(Score::passed) == Some(false),
        }
    }
}

/// Several objectives that must all pass: `parts`, those that failed or have no verdict, each with `text`,
/// `role`, `score`, `failed`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AllOfContext {
    /// Those that did not pass.
    pub parts: Vec<PartContext>,
}

/// One part of a weighted sum: `weight`, `share` (of all weights, in percent), `within` (null unless the sum is
/// a part of another one), and the part's `text`, `role`, `score`, `failed`. Where there is a `within`, it is the
/// sum's share of the outermost one, and `share` is the part's share of that, so of the objective; in
/// `weighted_sum` there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WeightContext {
    /// Its weight, with few digits.
    pub weight: String,
    /// Its share of the objective in percent, with few digits.
    pub share: String,
    /// The share of the objective, in percent, that the sum has which it is a part of, if that is not all.
    pub within: Option<String>,
    /// The evaluation.
    pub text: String,
    /// What it is for, in words.
    pub role: String,
    /// Its score, with few digits.
    pub score: Option<String>,
    /// Whether it failed for certain.
    pub failed: bool,
}

/// A weighted sum: `parts`, each as a [`WeightContext`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WeightedSumContext {
    /// All parts, in order.
    pub parts: Vec<WeightContext>,
}

/// A program that was run on a text: `purpose`; `end` (how it ended, in words), `passed`, `exit_code` (null if
/// it did not exit by itself), `timed_out`; `stdout` and `stderr`, where bytes that were left out are named in
/// their place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommandContext<'a> {
    /// What the program is for, in words, or its command line.
    pub purpose: &'a str,
    /// How it ended.
    pub end: String,
    /// Whether it exited with code 0.
    pub passed: bool,
    /// The code that it exited with.
    pub exit_code: Option<i32>,
    /// Whether it was killed because it ran too long.
    pub timed_out: bool,
    /// What it wrote to standard output, without the white space at its end.
    pub stdout: &'a str,
    /// What it wrote to standard error, without the white space at its end.
    pub stderr: &'a str,
}

impl<'a> CommandContext<'a> {
    /// A run as templates see it.
    #[must_use]
    pub fn new(purpose: &'a str, run: &'a Run) -> Self {
        let exit_code = match run.end {
            End::Exited(code) => Some(code),
            _ => None,
        };
        Self {
            purpose,
            end: run.end.to_string(),
            passed: run.end.is_success(),
            exit_code,
            timed_out: matches!(run.end, End::TimedOut(_)),
            stdout: run.stdout.text.trim_end(),
            stderr: run.stderr.text.trim_end(),
        }
    }
}
