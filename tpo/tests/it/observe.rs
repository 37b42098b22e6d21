//! Events of a search, and its end before it is done.

use std::future::pending;
use std::sync::{Arc, Mutex};

use textgrad_core::{Engine, Purpose, Request, engine_fn};
use textgrad_ops::sim::Sim;
use tpo::{CancellationToken, Error, SearchEvent, SearchObserver, SimReward, Tpo};

const QUERY: &str = "How do I take care of a wooden table?";

/// Iteration, candidate, text, score, best, best score.
type Seen = (u32, usize, String, f64, usize, f64);

fn observer() -> (Arc<dyn SearchObserver>, Arc<Mutex<Vec<Seen>>>) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let written = Arc::clone(&seen);
    let observe = move |event: &SearchEvent<'_>| {
        let SearchEvent { iteration, candidate, text, score, best, best_score, .. } = *event;
        let seen = (iteration, candidate, text.to_owned(), score, best, best_score);
        written.lock().unwrap().push(seen);
    };
    (Arc::new(observe), seen)
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
