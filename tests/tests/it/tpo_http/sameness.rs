//! Nothing but the place of the model differs between the embedded simulation and the servers.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;
use textgrad_ops::sim;
use textgrad_tests::fake_server::{FakeServer, Route};
use tpo::input::BUILTIN;
use tpo::{Batch, Mode, Tpo, Trajectory};

use super::{PATIENCE, chats, classified, embedded, over, server};

fn queries() -> Vec<String> {
    let more = (1..=12).map(|i| format!("How do I bake bread number {i} with {i} kinds of flour?"));
    BUILTIN.iter().map(ToString::to_string).chain(more).collect()
}

async fn all(tpo: Tpo, concurrency: usize) -> Vec<Trajectory> {
    let mut batch = Batch::new(tpo, queries()).concurrency(concurrency);
    let mut found = Vec::new();
    while let Some(outcome) = batch.next().await {
        assert_eq!(outcome.index, found.len());
        found.push(outcome.result.unwrap().trajectory().clone());
    }
    found
}

/// Texts that the reward model has to see: identical ones of one query are scored once.
fn distinct(trajectory: &Trajectory) -> u64 {
    let texts: HashSet<&str> = trajectory.candidates.iter().map(|c| c.text.as_str()).collect();
    texts.len() as u64
}

async fn answers_once_two_wait(server: &FakeServer) {
    server.answer_at_most(0);
    let begun = Instant::now();
    while server.stats().route(Route::Chat).in_flight < 2 {
        assert!(begun.elapsed() < PATIENCE, "requests come one at a time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.answer_at_most(u64::MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_queries_come_to_the_same_as_with_the_embedded_simulation() {
    for mode in [Mode::Tpo, Mode::Revision, Mode::Bon] {
        let expected = all(embedded().mode(mode).build().unwrap(), 1).await;
        assert_eq!(expected.len(), 20);
        let steps: u64 = if mode == Mode::Bon { 0 } else { 2 };
        for concurrency in [1, 64] {
            let (policy, rewards) = (server(&[]).await, server(&[]).await);
            let tpo = over(&policy, &rewards).mode(mode).build().unwrap();
            let found = match concurrency {
                1 => all(tpo, 1).await,
                // No answer before two wait for theirs: an instant server may else see one at a time.
                _ => tokio::join!(answers_once_two_wait(&policy), all(tpo, concurrency)).1,
            };
            // To the byte, with every score and the whole usage.
            assert_eq!(json!(found).to_string(), json!(expected).to_string());

            let stats = policy.stats().route(Route::Chat);
            assert_eq!(stats.requests, 20 * (1 + 3 * steps), "{mode} at {concurrency}");
            assert_eq!((stats.duplicates, stats.dropped), (0, 0));
            assert_eq!(policy.stats().choices_returned, 20 * (5 + steps * (1 + 1 + 5)));
            assert_eq!(classified(&rewards), expected.iter().map(distinct).sum::<u64>());
            assert_eq!((classified(&policy), chats(&rewards)), (0, 0));
            let together = stats.max_in_flight;
            match concurrency {
                1 => assert_eq!(together, 1),
                _ => assert!(together > 1, "{together} at a time"),
            }
        }
        for trajectory in &expected {
            assert_eq!(trajectory.usage.requests, 1 + 3 * steps);
            assert_eq!(trajectory.candidates.len() as u64, 5 * (1 + steps));
        }
    }
}

#[tokio::test]
async fn scores_are_raw_although_the_server_would_send_them_through_a_sigmoid() {
    let (policy, rewards) = (server(&[]).await, server(&[]).await);
    let tpo = over(&policy, &rewards).build().unwrap();
    let mut beyond = 0;
    for query in BUILTIN {
        let aligned = tpo.align(query).await.unwrap();
        for candidate in &aligned.trajectory().candidates {
            let raw = sim::reward(query, &candidate.text);
            assert_eq!(candidate.score.to_bits(), raw.to_bits());
            beyond += usize::from(!(0.0..=1.0).contains(&raw));
        }
    }
    assert!(beyond > 0, "a sigmoid would not have shown");
    for body in rewards.requests_to(Route::Classify) {
        assert_eq!((&body["use_activation"], &body["activation"]), (&json!(false), &json!(false)));
    }
}

#[tokio::test]
async fn what_is_sent_is_what_the_settings_say() {
    let (policy, rewards) = (server(&[]).await, server(&[]).await);
    over(&policy, &rewards).build().unwrap().align(super::QUERY).await.unwrap();
    let bodies = policy.requests_to(Route::Chat);
    let expected: [(Option<u64>, f64, u64); 7] = [
        (Some(5), 0.95, 2048),
        (None, 0.99, 8192),
        (None, 0.99, 8192),
        (Some(5), 0.95, 2048),
        (None, 0.99, 8192),
        (None, 0.99, 8192),
        (Some(5), 0.95, 2048),
    ];
    let mut seeds = HashSet::new();
    for (body, (n, top_p, max_tokens)) in bodies.iter().zip(expected) {
        assert_eq!((body["n"].as_u64(), body["top_p"].as_f64()), (n, Some(top_p)));
        assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(max_tokens), &json!(0.7)));
        assert_eq!(body["stop"].as_array().unwrap().len(), 3);
        assert_eq!(body["messages"][0]["role"], "system");
        seeds.insert(body["seed"].as_u64().unwrap());
    }
    assert_eq!((bodies.len(), seeds.len()), (7, 7));
}
