//! Objectives made of objectives.

mod all_of;
mod first_failing;
mod weighted;

use std::sync::Arc;

use futures_util::future::join_all;
use textgrad_core::{Error, Inputs, Output, Score, Variable};

use super::Loss;

pub use self::all_of::{AllOf, all_of, all_passed};
pub use self::first_failing::{FirstFailing, first_failing};
pub use self::weighted::{WeightedSum, weighted_sum, weighted_sum_of};

/// The name of every input of a composition.
const PART: &str = "part";

/// Evaluates a text by several objectives at the same time. All are let finish, for they are paid for; the
/// first failure, in their order, is that of the whole.
async fn evaluate_all<'a>(
    losses: impl IntoIterator<Item = &'a Arc<dyn Loss>>,
    text: &Variable,
) -> Result<Vec<Variable>, Error> {
    join_all(losses.into_iter().map(|loss| loss.evaluate(text))).await.into_iter().collect()
}

fn parts(evaluations: impl IntoIterator<Item = Variable>) -> Inputs {
    Inputs::new(evaluations.into_iter().map(|evaluation| (PART, evaluation)))
}

/// Whether an evaluation passed; `None` if it has no verdict.
fn passed(evaluation: &Variable) -> Option<bool> {
    evaluation.score().and_then(Score::passed)
}

/// What a composition is for, in words.
fn role(what: &str, inputs: &Inputs) -> String {
    let mut roles: Vec<&str> = inputs.iter().map(|input| &**input.variable().role()).collect();
    roles.dedup();
    format!("{what}: {}", roles.join("; "))
}

fn scored(output: Output, score: Option<Score>) -> Output {
    match score {
        Some(score) => output.with_score(score),
        None => output,
    }
}
