//! Runs that are killed at random moments: before their first call, at work, while they end; again and again.

use std::path::Path;
use std::time::Duration;

use textgrad_core::Seed;
use textgrad_tests::fake_server::{FakeServer, Route};

use super::kill::{
    CHATS, QUERIES, Undisturbed, answered, continued, kill, known, slow_server, undisturbed,
};
use super::{Running, folder, over_http, queries, quiet, read};

/// A run is let finish after so many.
const MOST_PER_RUN: u64 = 4;

/// A number below `sides` that the place of a kill decides.
fn roll(place: Seed, what: &str, sides: u64) -> u64 {
    place.child(what, 0).value() % sides
}

/// Up to 5 ms more, so that a moment is not always that of an answer.
async fn a_little_later(place: Seed) {
    tokio::time::sleep(Duration::from_micros(roll(place, "later", 5_000))).await;
}

fn journal(folder: &Path) -> Option<String> {
    let path = folder.join("out/journal.jsonl");
    path.exists().then(|| read(path))
}

/// What is needed to go on: nothing, if a run died before it had a journal.
fn resume(folder: &Path) -> &'static [&'static str] {
    if journal(folder).is_some() { &["--resume"] } else { &[] }
}

fn requests(server: &FakeServer) -> u64 {
    let stats = server.stats();
    [Route::Chat, Route::Classify].iter().map(|route| stats.route(*route).requests).sum()
}

/// Calls and scores that were answered and that the journal does not know.
fn lost(folder: &Path, server: &FakeServer) -> [u64; 2] {
    let (calls, scores) = journal(folder).map_or((0, 0), |journal| known(&journal));
    [answered(server, Route::Chat) - calls, answered(server, Route::Classify) - scores]
}

/// Kills the run once, and looks at what that has cost: the calls under way at most.
async fn kill_and_look(folder: &Path, server: &FakeServer, expected: &Undisturbed, place: Seed) {
    let before = lost(folder, server);
    kill_once(folder, server, expected, place).await;
    let after = lost(folder, server);
    let at_once = concurrency(place).parse::<u64>().unwrap().min(QUERIES as u64);
    // N = 5: so many scores are asked for at a time.
    for (route, at_once) in [at_once, at_once * 5].into_iter().enumerate() {
        let lost = after[route] - before[route];
        assert!(lost <= at_once, "{lost} answers were lost, of {at_once} calls under way");
    }
}

fn concurrency(place: Seed) -> &'static str {
    ["1", "3", "64"][roll(place, "concurrency", 3) as usize]
}

/// Starts or continues the run and kills it once.
async fn kill_once(folder: &Path, server: &FakeServer, expected: &Undisturbed, place: Seed) {
    let (calls, scores) = journal(folder).map_or((0, 0), |journal| known(&journal));
    let left = CHATS + expected.scored - calls - scores;
    let mut more = resume(folder).to_vec();
    more.extend(["--concurrency", concurrency(place)]);
    let before = requests(server);
    match roll(place, "moment", 10) {
        // Nothing is answered, so it cannot end by itself.
        0 => {
            server.answer_at_most(before);
            let mut running = Running::start(over_http(folder, server, &more));
            tokio::time::sleep(Duration::from_millis(roll(place, "start", 40))).await;
            running.kill();
            assert_eq!(running.end().code, None);
        }
        // Everything is answered: it may be at its end already.
        1 => {
            let mut running = Running::start(over_http(folder, server, &more));
            server.ended(before + left).await;
            a_little_later(place).await;
            running.kill();
            let code = running.end().code;
            assert!(matches!(code, None | Some(0)), "{code:?}");
        }
        _ if left > 20 => {
            let ended = before + 1 + roll(place, "ended", left - 10);
            return kill(folder, server, ended, &more, a_little_later(place)).await;
        }
        _ => {
            let mut running = Running::start(over_http(folder, server, &more));
            a_little_later(place).await;
            running.kill();
            let code = running.end().code;
            assert!(matches!(code, None | Some(0)), "{code:?}");
        }
    }
    quiet(server).await;
    server.answer_at_most(u64::MAX);
}

/// Runs, each killed up to four times and then continued to its end, until so many kills are done.
async fn kills(count: u64) {
    let expected = undisturbed().await;
    let mut done = 0;
    while done < count {
        let run = Seed::new(11).child("run", done);
        let folder = folder();
        queries(folder.path(), QUERIES);
        let server = slow_server().await;
        let of_this = (1 + roll(run, "kills", MOST_PER_RUN)).min(count - done);
        for kill in 0..of_this {
            kill_and_look(folder.path(), &server, &expected, run.child("kill", kill)).await;
        }
        done += of_this;
        continued(folder.path(), &server, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_at_random_moments_change_nothing() {
    kills(10).await;
}

/// A minute or two, so it is run on demand:
/// `cargo test -p tpo --test it two_hundred -- --ignored`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long"]
async fn two_hundred_kills_at_random_moments_change_nothing() {
    kills(200).await;
}
