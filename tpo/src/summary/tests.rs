use std::sync::Arc;

use textgrad_ops::sim::Sim;

use super::*;
use crate::batch::Batch;
use crate::config::{Stopping, TpoConfig};
use crate::reward::SimReward;
use crate::search::{Pairs, Tpo};

const QUERIES: [&str; 6] = [
    "Why is the sky blue?",
    "How do I boil an egg?",
    "Why does bread rise?",
    "What is the color of Mars?",
    "How do I take care of a wooden table?",
    "Why do cats purr?",
];

async fn summary(config: TpoConfig) -> (Summary, Vec<Outcome>) {
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).config(config);
    let mut batch = Batch::new(tpo.build().unwrap(), QUERIES);
    let (mut summary, mut outcomes) = (Summary::new(true), Vec::new());
    while let Some(outcome) = batch.next().await {
        summary.add(&outcome);
        outcomes.push(outcome);
    }
    (summary.finish(Duration::ZERO, 1), outcomes)
}

fn depth(outcome: &Outcome) -> u32 {
    let made = &outcome.result.as_ref().unwrap().trajectory().iterations;
    made.iter().map(|one| one.iteration).max().unwrap_or(0)
}

/// The mean, over all searches, of the best answer that each had by an iteration.
fn best_by(outcomes: &[Outcome], iteration: u32) -> f64 {
    let best = outcomes.iter().map(|outcome| {
        let candidates = &outcome.result.as_ref().unwrap().trajectory().candidates;
        let by_then = candidates.iter().filter(|candidate| candidate.iteration <= iteration);
        by_then.map(|candidate| candidate.score).fold(f64::NEG_INFINITY, f64::max)
    });
    best.sum::<f64>() / outcomes.len() as f64
}

fn assert_means(summary: &Summary, outcomes: &[Outcome]) {
    let deepest = outcomes.iter().map(depth).max().unwrap();
    assert_eq!(summary.best_by_iteration.len(), deepest as usize + 1);
    for (iteration, mean) in (0..).zip(&summary.best_by_iteration) {
        let expected = best_by(outcomes, iteration);
        assert!((mean - expected).abs() < 1e-9, "{iteration}: {mean}, not {expected}");
    }
}

#[tokio::test]
async fn a_search_that_ended_early_keeps_its_best() {
    let stopping = Stopping { target: Some(3.5), ..Stopping::default() };
    let config = TpoConfig { iterations: 4, stopping, ..TpoConfig::default() };
    let (summary, outcomes) = summary(config).await;
    let depths: Vec<u32> = outcomes.iter().map(depth).collect();
    let deepest = *depths.iter().max().unwrap();
    // Deeper searches stand before and behind shallower ones.
    assert!(depths.windows(2).any(|two| two[0] < two[1]), "{depths:?}");
    assert!(depths.windows(2).any(|two| two[0] > two[1]), "{depths:?}");
    assert!(deepest > 0);
    assert_means(&summary, &outcomes);
    assert_eq!(summary.iterations, depths.iter().sum::<u32>() as usize);
}

#[tokio::test]
async fn an_iteration_that_rewrites_several_answers_is_one() {
    let config = TpoConfig { pairs: Pairs::TopBottom(2), ..TpoConfig::default() };
    let (mut summary, mut outcomes) = summary(config).await;
    assert!(outcomes.iter().any(|outcome| {
        outcome.result.as_ref().unwrap().trajectory().iterations.len() > depth(outcome) as usize
    }));
    assert_means(&summary, &outcomes);
    assert_eq!((summary.iterations, summary.fruitless), (2 * QUERIES.len(), 0));

    // One of its comparisons brought nothing, then none of them did.
    let outcome = outcomes.first_mut().unwrap();
    for (comparisons, fruitless) in [(1, 0), (2, 1)] {
        let made = &mut outcome.result.as_mut().unwrap().trajectory.iterations;
        assert_eq!((made[0].iteration, made[1].iteration, made[2].iteration), (1, 1, 2));
        made.iter_mut().take(comparisons).for_each(|one| one.updates = 0);
        let before = summary.fruitless;
        summary.add(outcome);
        assert_eq!(summary.fruitless - before, fruitless);
    }
}
