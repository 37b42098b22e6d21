//! Feedback on several comparisons given separately, merged, or jointly, at equal tokens.
//!
//! Each iteration compares the best answer of test-time preference optimization with all that are worse. *Separate*: a
//! loss and a gradient for each, all of which the update sees. *Merged*: the same, and a request that makes one
//! feedback of them. *Joint*: one loss over all of them, so one gradient.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin joint_feedback
//! ```
//! The model and its rewards are the embedded simulation's. A real one, which grades the answers too:
//! `-- --engine ollama/llama3 --seeds 1`.

use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;
use futures_util::future::try_join_all;
use textgrad_core::{Engine, Feedback};
use textgrad_examples::{Failure, Options, announce, heading};
use textgrad_ops::{ContrastiveLoss, LlmReduce, aggregate};
use tpo::report::Bootstrap;
use tpo::search::{
    ComparisonCx, Critique, ListwiseCritique, Method, PreferenceCritique, Rewrite, Step,
};
use tpo::{
    EarlyStop, Error, JudgeReward, Pairs, RewardModel, SimReward, Tpo, TpoConfig, Trajectory,
};

const QUERIES: &str = include_str!("learn_update/queries.txt");

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// How many searches each query has, each with a seed of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many queries
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    queries: usize,
    /// The tokens up to which each search goes on
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    tokens: u64,
}

/// Losses of their own, whose gradients a model merges.
struct Merged;

#[async_trait]
impl Critique for Merged {
    fn name(&self) -> String {
        "merged".to_owned()
    }

    async fn critique(
        &self,
        cx: &ComparisonCx<'_>,
        step: &mut Step,
    ) -> Result<Vec<Feedback>, Error> {
        let search = cx.search();
        let critic = search.critic();
        let losses = (0..).zip(cx.rejected()).map(|(index, rejected)| {
            ContrastiveLoss::new(Arc::clone(critic), search.query_variable())
                .against(rejected)
                .sampling(search.config().critic.clone())
                .seed(cx.seed().child("loss", index))
        });
        let losses: Vec<ContrastiveLoss> = losses.collect();
        if losses.is_empty() {
            return PreferenceCritique.critique(cx, step).await;
        }
        let losses = try_join_all(losses.iter().map(|loss| loss.evaluate(cx.chosen()))).await?;
        let merged = aggregate(&losses, Arc::new(LlmReduce::new(Arc::clone(critic)))).await?;
        cx.differentiate([merged], step).await
    }
}

fn arms() -> [(&'static str, Arc<dyn Method>); 3] {
    let arm = |critique: Arc<dyn Critique>| -> Arc<dyn Method> {
        Arc::new(Rewrite::default().pairs(Arc::new(Pairs::All)).critique(critique))
    };
    [
        ("separate", arm(Arc::new(PreferenceCritique))),
        ("merged", arm(Arc::new(Merged))),
        ("joint", arm(Arc::new(ListwiseCritique))),
    ]
}

/// What one arm came to: the best score of each query for each seed, and means over all searches.
struct Outcome {
    best: Vec<Vec<Option<f64>>>,
    iterations: f64,
    requests: f64,
    /// The words of a gradient.
    words: f64,
}

async fn run(
    method: &Arc<dyn Method>,
    (engine, reward): (&Arc<dyn Engine>, &Arc<dyn RewardModel>),
    arguments: &Arguments,
) -> Result<Outcome, Failure> {
    let mut best = Vec::new();
    let mut found: Vec<Trajectory> = Vec::new();
    for seed in 0..arguments.seeds {
        let budget = format!("tokens:{}", arguments.tokens).parse()?;
        let early_stop = EarlyStop { budget, ..EarlyStop::default() };
        let seed = arguments.options.seed.wrapping_add(seed);
        let config = TpoConfig { iterations: 50, early_stop, seed, ..TpoConfig::default() };
        let tpo = Tpo::builder(Arc::clone(engine), Arc::clone(reward))
            .config(config)
            .method(Arc::clone(method))
            .build()?;
        let queries = QUERIES.lines().take(arguments.queries);
        let searches = try_join_all(queries.map(|query| tpo.align(query))).await?;
        let searches = searches.iter().map(|search| search.trajectory().clone());
        let searches: Vec<Trajectory> = searches.collect();
        let score =
            |search: &Trajectory| search.candidates.iter().map(|one| one.score).reduce(f64::max);
        best.push(searches.iter().map(score).collect());
        found.extend(searches);
    }
    let count = found.len().max(1) as f64;
    let gradients: Vec<&String> = found
        .iter()
        .flat_map(|one| &one.iterations)
        .filter_map(|one| one.gradient.as_ref())
        .collect();
    let words: usize = gradients.iter().map(|text| text.split_whitespace().count()).sum();
    Ok(Outcome {
        best,
        iterations: found.iter().map(|one| one.iterations.len() as f64).sum::<f64>() / count,
        requests: found.iter().map(|one| one.usage.requests as f64).sum::<f64>() / count,
        words: words as f64 / gradients.len().max(1) as f64,
    })
}

/// The mean of crossed values and its 95 % interval.
fn interval(rows: &[Vec<Option<f64>>]) -> String {
    let rows: Vec<&[Option<f64>]> = rows.iter().map(Vec::as_slice).collect();
    let interval = Bootstrap::default().crossed(&rows);
    interval
        .map_or("-".to_owned(), |one| format!("{:.2} [{:.2}, {:.2}]", one.mean, one.low, one.high))
}

fn differences(rows: &[Vec<Option<f64>>], others: &[Vec<Option<f64>>]) -> Vec<Vec<Option<f64>>> {
    let row = |(row, other): (&Vec<Option<f64>>, &Vec<Option<f64>>)| {
        row.iter().zip(other).map(|(one, other)| Some((*one)? - (*other)?)).collect()
    };
    rows.iter().zip(others).map(row).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let engine = arguments.options.connect()?;
    announce(&*engine);
    let reward: Arc<dyn RewardModel> = match arguments.options.engine {
        Some(_) => Arc::new(JudgeReward::builder(Arc::clone(&engine)).build()?),
        None => Arc::new(SimReward),
    };
    heading(&format!("searches of {} tokens", arguments.tokens));
    println!("{:<9} {:>10} {:>8} {:>9}  reward", "feedback", "iterations", "requests", "gradient");
    let mut first: Option<Outcome> = None;
    for (name, method) in arms() {
        let outcome = run(&method, (&engine, &reward), &arguments).await?;
        let Outcome { iterations, requests, words, best } = &outcome;
        let ahead = first.as_ref().map_or(String::new(), |first| {
            format!("; difference from separate: {}", interval(&differences(best, &first.best)))
        });
        println!(
            "{name:<9} {iterations:>10.1} {requests:>8.1} {words:>3.0} words  {}{ahead}",
            interval(best)
        );
        first = first.or(Some(outcome));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_core::Purpose;
    use textgrad_core::testing::{Reply, ScriptedEngine};

    use super::*;

    /// The requests of one iteration over three answers, by purpose.
    #[tokio::test]
    async fn arms_differ_in_losses_gradients_and_merges() {
        let [l, g, r, u] = [Purpose::Loss, Purpose::Gradient, Purpose::Reduce, Purpose::Update];
        let expected = [vec![l, l, g, g, u], vec![l, l, g, g, r, u], vec![l, g, u]];
        for ((name, method), expected) in arms().into_iter().zip(expected) {
            let mut engine =
                ScriptedEngine::default().on(Purpose::Sample, Reply::texts(["a", "bb", "ccc"]));
            for purpose in &expected {
                let text = "<IMPROVED_VARIABLE>\nd\n</IMPROVED_VARIABLE>";
                let choices = if *purpose == u { 3 } else { 1 };
                engine = engine.on(*purpose, Reply::texts(vec![text; choices]));
            }
            let engine = Arc::new(engine);
            let reward = Arc::new(tpo::reward_fn("length", |_, text: &str| text.len() as f64));
            let tpo = Tpo::builder(engine.clone(), reward).method(method).samples(3).iterations(1);
            tpo.build().unwrap().align("Why?").await.unwrap();
            let mut asked: Vec<Purpose> =
                engine.requests().iter().skip(1).map(|request| request.purpose).collect();
            asked.sort_unstable();
            let mut expected = expected;
            expected.sort_unstable();
            assert_eq!(asked, expected, "{name}");
        }
    }
}
