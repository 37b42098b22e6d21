//! The search takes the way that the paper's loop takes, written here once more in plain loops.
//!
//! `paper` knows no variable, no graph, no template and nothing of the search: it asks a scripted world what
//! the models say and what answers are worth. `engine` puts the same world behind an engine, which reads from
//! each request what it was made of; so an answer that went into the wrong place of a prompt, or was asked for
//! once more, is answered differently and leads elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod engine;
mod pack;
mod paper;
mod world;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use tpo::{Accept, AlignError, Alignment, Batch, Mode, StopReason, Tpo, TpoConfig, Trajectory};

use self::engine::{Policy, Rewards, query};
use self::paper::{Found, Step};
use self::world::{Case, Faults, World};

fn case() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![4 => Just(Mode::Tpo), 2 => Just(Mode::Revision), 1 => Just(Mode::Bon)];
    let accept = prop_oneof![4 => Just(Accept::Improvement), 1 => Just(Accept::Always)];
    let faults = prop_oneof![Just(Faults::None), Just(Faults::OfAnswers), Just(Faults::All)];
    let texts = prop_oneof![1..9_u64, 9..60_u64];
    let drawn = (0..5_u32, 1..7_u32, 0..3_u32, 1..4_usize, texts, 1..9_u64, any::<u64>());
    (mode, accept, faults, drawn).prop_map(|(mode, accept, faults, drawn)| {
        let (iterations, samples, reasks, batch, texts, scores, seed) = drawn;
        Case { mode, accept, faults, iterations, samples, reasks, batch, texts, scores, seed }
    })
}

fn tpo(case: &Case, worlds: Vec<World>) -> (Tpo, Arc<Policy>) {
    let policy = Arc::new(Policy::new(worlds.clone()));
    let &Case { mode, accept, iterations, samples, reasks, .. } = case;
    let config = TpoConfig { mode, accept, iterations, samples, reasks, ..TpoConfig::default() };
    let rewards = Arc::new(Rewards::new(worlds, case.batch));
    let tpo = Tpo::builder(policy.clone(), rewards).config(config).prompts(pack::pack());
    (tpo.build().unwrap(), policy)
}

/// What a search found, in the words of the plain loop.
fn found(result: &Result<Alignment, AlignError>) -> Found {
    let (trajectory, end): (&Trajectory, _) = match result {
        Ok(aligned) => {
            let best = aligned.trajectory().best().unwrap();
            assert_eq!((aligned.answer(), aligned.score()), (best.text.as_str(), best.score));
            (aligned.trajectory(), Ok((aligned.best(), aligned.answer().to_owned())))
        }
        Err(failure) => (&failure.trajectory, Err(failure.error.kind().to_owned())),
    };
    let pool = trajectory.candidates.iter();
    let steps = trajectory.iterations.iter().map(|step| Step {
        iteration: step.iteration,
        chosen: step.chosen,
        rejected: step.rejected.first().copied(),
        loss: step.losses.first().cloned(),
        gradient: step.gradient.clone(),
        updates: step.updates,
        unusable: step.unusable.len(),
    });
    Found {
        pool: pool.map(|one| (one.iteration, one.text.clone(), one.score)).collect(),
        steps: steps.collect(),
        nothing_to_compare: trajectory.stopped == Some(StopReason::NoPair),
        answered: trajectory.usage.requests,
        scored: trajectory.usage.scored,
        end,
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn a_search_takes_the_way_of_the_papers_loop(case in case()) {
        let world = World::new(&case, 0);
        let mut asked = Vec::new();
        let expected = paper::search(&case, &world, &query(0), &mut asked);

        let (tpo, policy) = tpo(&case, vec![world]);
        let result = runtime().block_on(tpo.align(query(0)));
        prop_assert_eq!(policy.asked(), asked, "what was asked, in order");
        prop_assert_eq!(found(&result), expected);
    }

}

proptest! {
    #![proptest_config(config(60))]

    /// Searches side by side do not get into each other's way, in whatever order calls are answered.
    #[test]
    fn so_does_each_of_a_batch(case in case(), concurrency in 1..9_usize) {
        let worlds: Vec<World> = (0..8).map(|place| World::new(&case, place)).collect();
        let (tpo, _) = tpo(&case, worlds.clone());
        runtime().block_on(async {
            let mut batch = Batch::new(tpo, (0..8).map(query)).concurrency(concurrency);
            for (place, world) in worlds.iter().enumerate() {
                let outcome = batch.next().await.unwrap();
                let expected = paper::search(&case, world, &query(place), &mut Vec::new());
                prop_assert_eq!(found(&outcome.result), expected);
            }
            prop_assert!(batch.next().await.is_none());
            Ok(())
        })?;
    }
}

/// The random cases are of every kind that matters, so that what they agree on means something.
#[test]
fn the_cases_have_ties_equal_answers_and_every_failure() {
    let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..600 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let found = paper::search(&case, &World::new(&case, 0), &query(0), &mut Vec::new());
        for (kind, is_there) in paper::kinds(&case, &found) {
            *kinds.entry(kind).or_default() += usize::from(is_there);
        }
    }
    for (kind, count) in &kinds {
        assert!(*count >= 4, "{kind}: {count} of 600; all: {kinds:?}");
    }
}
