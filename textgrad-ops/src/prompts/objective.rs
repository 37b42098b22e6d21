//! The templates of objectives, and their variables.

use serde::Serialize;
use serde_json::{Value as Json, json};
use textgrad_core::{Score, TemplateContext, TemplateSpec, Variable};

use crate::loss::figure;

/// A response to a query that was preferred to another: `query`, `chosen`, `rejected`.
#[derive(Debug, Clone, Serialize)]
pub struct ContrastiveContext<'a> {
    /// The query.
    pub query: &'a str,
    /// The response that was preferred: the user message.
    pub chosen: &'a str,
    /// The response that was rejected.
    pub rejected: &'a str,
}

impl TemplateContext for ContrastiveContext<'_> {
    fn example() -> Json {
        json!({ "query": "", "chosen": "", "rejected": "" })
    }
}

/// One response to a query: `query`, `chosen`.
#[derive(Debug, Clone, Serialize)]
pub struct EvaluationContext<'a> {
    /// The query.
    pub query: &'a str,
    /// The response: the user message.
    pub chosen: &'a str,
}

impl TemplateContext for EvaluationContext<'_> {
    fn example() -> Json {
        json!({ "query": "", "chosen": "" })
    }
}

/// A check that does not hold: `rule`, `violation`.
#[derive(Debug, Clone, Serialize)]
pub struct CheckContext<'a> {
    /// What must hold, in words.
    pub rule: &'a str,
    /// What is wrong with the text.
    pub violation: &'a str,
}

impl TemplateContext for CheckContext<'_> {
    fn example() -> Json {
        json!({ "rule": "", "violation": "" })
    }
}

/// An evaluation that is part of a composition: `text`, `role`, `score` (null if it has none), `failed`.
#[derive(Debug, Clone, Serialize)]
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
#[derive(Debug, Clone, Serialize)]
pub struct AllOfContext {
    /// Those that did not pass.
    pub parts: Vec<PartContext>,
}

impl TemplateContext for AllOfContext {
    fn example() -> Json {
        json!({ "parts": [{ "text": "", "role": "", "score": "", "failed": false }] })
    }
}

/// One part of a weighted sum: `weight`, `share` (of all weights, in percent), and the part's `text`, `role`,
/// `score`, `failed`.
#[derive(Debug, Clone, Serialize)]
pub struct WeightContext {
    /// Its weight, with few digits.
    pub weight: String,
    /// Its share of all weights in percent, with few digits.
    pub share: String,
    /// The evaluation.
    #[serde(flatten)]
    pub part: PartContext,
}

fn weight() -> Json {
    json!({ "weight": "", "share": "", "text": "", "role": "", "score": "", "failed": false })
}

impl TemplateContext for WeightContext {
    fn example() -> Json {
        weight()
    }
}

/// A weighted sum: `parts`, each as a [`WeightContext`].
#[derive(Debug, Clone, Serialize)]
pub struct WeightedSumContext {
    /// All parts, in order.
    pub parts: Vec<WeightContext>,
}

impl TemplateContext for WeightedSumContext {
    fn example() -> Json {
        json!({ "parts": [weight()] })
    }
}

/// The templates of objectives with their default texts.
pub(super) fn templates() -> Vec<TemplateSpec> {
    vec![
        TemplateSpec::new::<ContrastiveContext<'_>>(
            "contrastive_system",
            text!("contrastive_system"),
        ),
        TemplateSpec::new::<EvaluationContext<'_>>("evaluation_system", text!("evaluation_system")),
        TemplateSpec::new::<CheckContext<'_>>("check_feedback", text!("check_feedback")),
        TemplateSpec::new::<AllOfContext>("all_of", text!("all_of")),
        TemplateSpec::new::<WeightedSumContext>("weighted_sum", text!("weighted_sum")),
        TemplateSpec::new::<WeightContext>("weight_feedback", text!("weight_feedback")),
    ]
}
