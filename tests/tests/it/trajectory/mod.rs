//! The search takes the way that the paper's loop takes, written here once more in plain loops.
//!
//! `plain` knows no variable, no graph, no template and nothing of the search: it puts the messages of each
//! request together by itself, asks a scripted world what the models say, and what answers are worth. `engine`
//! puts the same world behind an engine. Requests are compared message by message, in order; and since what the
//! world says depends on all of a request, a text in a wrong place leads elsewhere too.

mod case;
mod engine;
mod pack;
mod plain;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tpo::{AlignError, Alignment, Batch, Tpo, Trajectory};

use self::case::Case;
use self::engine::{Policy, Rewards};
use self::plain::{Found, Models, Step};
use self::world::World;

fn tpo(case: &Case, dawdles: bool) -> (Tpo, Arc<Policy>) {
    let policy = Arc::new(Policy::new(World::new(case), dawdles));
    let rewards = Arc::new(Rewards::new(World::new(case), case.batch));
    let tpo = Tpo::builder(policy.clone(), rewards).config(case.config()).prompts(pack::pack());
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
        rejected: step.rejected.clone(),
        losses: step.losses.clone(),
        gradient: step.gradient.clone(),
        critique_of: step.critique_of,
        updates: step.updates,
        unusable: step.unusable.len(),
    });
    Found {
        pool: pool.map(|one| (one.iteration, one.text.clone(), one.score)).collect(),
        steps: steps.collect(),
        stopped: trajectory.stopped.clone(),
        answered: trajectory.usage.requests,
        scored: trajectory.usage.scored,
        end: Some(end),
    }
}

/// All that the plain loop asks, and what it finds.
fn expected(case: &Case) -> (Vec<world::Asked>, Found) {
    let world = World::new(case);
    let mut models = Models::new(&world);
    let found = plain::search(case, &mut models, &case.query(0), &case.query(1));
    (models.asked, found)
}

fn agree(case: &Case) -> Result<(), TestCaseError> {
    let (asked, expected) = expected(case);
    let (tpo, policy) = tpo(case, false);
    let searching = tpo.align_with(0, case.query(0), 1, case.query(1));
    let found = found(&runtime().block_on(searching));
    for (place, (sent, plain)) in policy.asked().iter().zip(&asked).enumerate() {
        prop_assert_eq!(sent, plain, "request {}", place);
    }
    prop_assert_eq!(policy.asked().len(), asked.len(), "requests");
    prop_assert_eq!(found, expected);
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn a_search_takes_the_way_of_the_papers_loop(case in case::paper()) {
        agree(&case)?;
    }

    #[test]
    fn so_it_does_with_every_selection_of_pairs(case in case::pairs()) {
        agree(&case)?;
    }

    #[test]
    fn so_it_does_where_requests_continue_the_dialogue(case in case::continued()) {
        agree(&case)?;
    }

    #[test]
    fn so_it_does_where_losses_continue_updates(case in case::chained()) {
        agree(&case)?;
    }

    #[test]
    fn so_it_does_with_every_loss(case in case::losses()) {
        agree(&case)?;
    }

    #[test]
    fn so_it_does_where_the_newest_are_rewritten(case in case::acceptance()) {
        agree(&case)?;
    }

    #[test]
    fn so_it_does_with_a_part_of_the_method_left_out(case in case::ablations()) {
        agree(&case)?;
    }

    #[test]
    fn so_it_does_up_to_where_it_stops(case in case::early_stop()) {
        agree(&case)?;
    }
}

proptest! {
    #![proptest_config(config(40))]

    /// Searches side by side do not get into each other's way, in whatever order calls are answered.
    #[test]
    fn so_does_each_of_a_batch(case in case::batches(), concurrency in 1..9_usize) {
        let (tpo, _) = tpo(&case, true);
        let queries: Vec<tpo::Query> = (0..8).map(|place| case.query(place)).collect();
        runtime().block_on(async {
            let mut batch = Batch::new(tpo, queries.clone()).concurrency(concurrency);
            let world = World::new(&case);
            for query in &queries {
                let outcome = batch.next().await.unwrap();
                let expected = plain::search(&case, &mut Models::new(&world), query, query);
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
    let mut kinds = BTreeMap::<String, usize>::new();
    let mut runner = TestRunner::deterministic();
    let every = prop_oneof![
        case::paper(),
        case::pairs(),
        case::continued(),
        case::chained(),
        case::losses(),
        case::acceptance(),
        case::ablations(),
        case::early_stop()
    ];
    for _ in 0..3000 {
        let case = every.new_tree(&mut runner).unwrap().current();
        for (kind, is_there) in plain::kinds(&case, &expected(&case).1) {
            *kinds.entry(kind).or_default() += usize::from(is_there);
        }
    }
    for (kind, count) in &kinds {
        assert!(*count >= 8, "{kind}: {count} of 3000; all: {kinds:?}");
    }
}
