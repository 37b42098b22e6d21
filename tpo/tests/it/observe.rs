//! Events of a search, and its end before it is done.

use std::future::pending;
use std::sync::{Arc, Mutex};

use textgrad_core::{Engine, Purpose, Request, engine_fn};
use textgrad_ops::sim::Sim;
use tpo::{CancellationToken, Error, SearchEvent, SimReward, Tpo};

const QUERY: &str = "How do I take care of a wooden table?";

/// Iteration, candidate, text, score, best, best score.
type Seen = (u32, usize, String, f64, usize, f64);

fn observer() -> (impl Fn(&SearchEvent<'_>) + Send + Sync, Arc<Mutex<Vec<Seen>>>) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let written = Arc::clone(&seen);
    let observe = move |event: &SearchEvent<'_>| {
        let SearchEvent { iteration, candidate, text, score, best, best_score, .. } = *event;
        let seen = (iteration, candidate, text.to_owned(), score, best, best_score);
        written.lock().unwrap().push(seen);
    };
    (observe, seen)
}

#[tokio::test]
async fn every_answer_is_reported_once_in_the_order_of_the_trajectory() {
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).build().unwrap();
    let (observer, seen) = observer();
    let token = CancellationToken::new();
    let aligned = tpo.align_observed(3, QUERY, observer, token).await.unwrap();
    let plain = tpo.align_at(3, QUERY).await.unwrap();
    assert_eq!(aligned.trajectory(), plain.trajectory(), "an observer changes nothing");

    let candidates = &aligned.trajectory().candidates;
    let mut best = 0;
    let expected = candidates.iter().enumerate().map(|(position, candidate)| {
        if candidate.score > candidates[best].score {
            best = position;
        }
        let text = candidate.text.clone();
        (candidate.iteration, position, text, candidate.score, best, candidates[best].score)
    });
    let expected: Vec<Seen> = expected.collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(expected.len(), 15);
}

#[tokio::test]
async fn an_aborted_search_keeps_answers_and_usage_and_waits_for_no_call() {
    let token = CancellationToken::new();
    let sim = Arc::new(Sim::default());
    let engine = engine_fn("sim", {
        let token = token.clone();
        move |request: Request| {
            let (sim, token) = (Arc::clone(&sim), token.clone());
            async move {
                if request.purpose == Purpose::Loss {
                    token.cancel();
                    pending::<()>().await;
                }
                sim.complete(&request).await
            }
        }
    });
    let tpo = Tpo::builder(Arc::new(engine), Arc::new(SimReward)).build().unwrap();
    let (observer, seen) = observer();
    let failure = tpo.align_observed(0, QUERY, observer, token).await.unwrap_err();
    assert!(matches!(failure.error, Error::Stopped), "{}", failure.error);
    assert_eq!(failure.trajectory.candidates.len(), 5);
    assert_eq!(seen.lock().unwrap().len(), 5);
    assert_eq!((failure.trajectory.usage.requests, failure.trajectory.usage.scored), (1, 5));
    assert!(failure.trajectory.best().is_some());
}

#[tokio::test]
async fn an_aborted_search_ends_before_its_next_step_though_no_step_waits() {
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).build().unwrap();
    let token = CancellationToken::new();
    let cancel = token.clone();
    let observer = move |_: &SearchEvent<'_>| cancel.cancel();
    let failure = tpo.align_observed(0, QUERY, observer, token.clone()).await.unwrap_err();
    assert!(matches!(failure.error, Error::Stopped), "{failure}");
    assert_eq!(failure.trajectory.usage.requests, 1);
    assert_eq!(
        failure.to_string(),
        "the search ended early, 5 scored answer(s) are kept: stopped before the query was done"
    );
    // Nothing is begun after a cancellation.
    let failure = tpo.align_observed(0, QUERY, |_: &_| {}, token).await.unwrap_err();
    assert_eq!(failure.trajectory.usage.requests, 0, "{failure}");
}

#[tokio::test]
async fn an_engine_that_gives_one_answer_at_a_time_is_asked_for_all() {
    let sim = Arc::new(Sim::default());
    let asked: Arc<Mutex<Vec<(Purpose, u32)>>> = Arc::default();
    let engine = engine_fn("one", {
        let asked = Arc::clone(&asked);
        move |request: Request| {
            let (sim, asked) = (Arc::clone(&sim), Arc::clone(&asked));
            async move {
                asked.lock().unwrap().push((request.purpose, request.sampling.n));
                let mut response = sim.complete(&request).await?;
                response.choices.truncate(1);
                Ok(response)
            }
        }
    });
    let tpo = Tpo::builder(Arc::new(engine), Arc::new(SimReward)).iterations(1).build().unwrap();
    let one_by_one = tpo.align(QUERY).await.unwrap();
    let all_at_once = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).iterations(1);
    let all_at_once = all_at_once.build().unwrap().align(QUERY).await.unwrap();
    assert_eq!(one_by_one.trajectory().candidates, all_at_once.trajectory().candidates);
    // What the first request shows is remembered.
    let several = asked.lock().unwrap().iter().filter(|(_, n)| *n > 1).count();
    assert_eq!((several, one_by_one.trajectory().candidates.len()), (1, 10));
}

/// Runs can be spawned, and awaited where futures must be `Send`.
#[tokio::test]
async fn a_run_executes_on_any_task_and_tells_of_single_answers() {
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).iterations(1);
    let (observer, seen) = observer();
    let run = tpo::run::Run::new(tpo.build().unwrap(), [QUERY, "Why is the sky blue?"]);
    let run = run.on_scored(observer).concurrency(1);
    let report = tokio::spawn(async move { run.execute(&mut ()).await }).await.unwrap().unwrap();
    let scores = |record: &tpo::run::ResultRecord| {
        record.trajectory.candidates.iter().map(|one| one.score).collect::<Vec<_>>()
    };
    let expected: Vec<f64> = report.records.iter().flat_map(scores).collect();
    let seen: Vec<f64> = seen.lock().unwrap().iter().map(|(_, _, _, score, ..)| *score).collect();
    assert_eq!((seen.len(), seen), (20, expected));
}
