//! Kills of workers, of the coordinator and of the server.

use std::path::Path;
use std::time::Duration;

use textgrad_core::Seed;
use textgrad_tests::fake_server::FakeServer;
use textgrad_tests::nats::NatsServer;
use textgrad_tests::program::Running;

use super::super::{folder, queries, read, simulation};
use super::{asked_again, coordinator, summary, undisturbed, verify, worker};

/// Queries that a worker searches at the same time.
const AT_ONCE: u64 = 4;

/// What is killed, and how often.
struct Kills {
    queries: usize,
    workers: usize,
    of_workers: usize,
    of_coordinator: usize,
    of_server: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Victim {
    Worker,
    Coordinator,
    Server,
}

impl Kills {
    /// The victims, in an order that a seed draws.
    fn victims(&self, seed: Seed) -> Vec<Victim> {
        let mut victims = vec![Victim::Worker; self.of_workers];
        victims.extend(vec![Victim::Coordinator; self.of_coordinator]);
        victims.extend(vec![Victim::Server; self.of_server]);
        let key = |(place, _): &(usize, Victim)| seed.child("order", *place as u64).value();
        let mut keyed: Vec<(usize, Victim)> = victims.into_iter().enumerate().collect();
        keyed.sort_by_key(key);
        keyed.into_iter().map(|(_, victim)| victim).collect()
    }
}

fn resume(folder: &Path, server: &FakeServer, url: &str) -> Running {
    let begun = folder.join("out/journal.jsonl").exists();
    coordinator(folder, server, url, if begun { &["--resume"] } else { &[] })
}

async fn chaos(kills: Kills, seed: Seed) {
    let folder = folder();
    let folder = folder.path();
    let Some(mut nats) = NatsServer::start(folder, "", "") else { return };
    let expected = undisturbed(kills.queries).await;
    queries(folder, kills.queries);
    let server = simulation().latency(Duration::from_millis(5)).start().await.unwrap();
    let url = nats.url("chaos");
    let at_once = AT_ONCE.to_string();
    let start = || worker(folder, &server, &url, &["--concurrency", &at_once]);
    let mut workers: Vec<Running> = (0..kills.workers).map(|_| start()).collect();
    let mut run = coordinator(folder, &server, &url, &[]);
    let victims = kills.victims(seed);
    // About 22 requests a query. The server answers more with every kill, so that the run cannot be over before.
    let share = kills.queries as u64 * 20 / (victims.len() as u64 + 1);
    for (number, victim) in (1..).zip(&victims) {
        server.answer_at_most(share * number);
        let place = seed.child("kill", number);
        let pause = 100 + place.child("pause", 0).value() % 200;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        match victim {
            Victim::Worker => {
                let index = place.child("worker", 0).value() as usize % workers.len();
                workers[index].kill();
                let killed = std::mem::replace(&mut workers[index], start());
                assert_eq!(killed.end().code, None, "a worker ended before it was killed");
            }
            Victim::Coordinator => {
                run.kill();
                let ended = run.end();
                assert_eq!(ended.code, None, "{ended:?}");
                run = resume(folder, &server, &url);
            }
            Victim::Server => {
                nats.kill();
                tokio::time::sleep(Duration::from_millis(pause)).await;
                nats.restart();
            }
        }
    }
    server.answer_at_most(u64::MAX);
    let ended = run.end().with_code(0);
    for worker in workers {
        worker.end().with_code(0);
    }
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    verify(folder);
    let queue = &summary(&ended)["queue"];
    let (counted, again) = (queue["asked_again"].as_u64().unwrap(), asked_again(folder, &server));
    println!(
        "{} kills: {again} requests beyond the steps, {counted} counted: {queue}",
        victims.len()
    );
    assert!(again <= counted, "{again} requests beyond the steps, {counted} counted");
    // A call, or five scores at once.
    let most = kills.of_workers as u64 * AT_ONCE * 5;
    assert!(kills.of_workers == 0 || counted <= most + kills.of_server as u64 * most, "{counted}");
    // A few kills may all find a worker that has no query yet.
    let redelivered = queue["redelivered"].as_u64().unwrap();
    assert!(redelivered > 0 || again == 0 && kills.of_workers < 100, "{queue}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_workers_coordinator_and_server_change_nothing() {
    let kills = Kills { queries: 16, workers: 2, of_workers: 6, of_coordinator: 1, of_server: 1 };
    chaos(kills, Seed::new(3)).await;
}

/// A minute, so it is run on demand:
/// `cargo test -p tpo --test it hundred_kills_of_workers -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long"]
async fn a_hundred_kills_of_workers_ten_of_the_coordinator_five_of_the_server_change_nothing() {
    let kills =
        Kills { queries: 200, workers: 4, of_workers: 100, of_coordinator: 10, of_server: 5 };
    chaos(kills, Seed::new(5)).await;
}
