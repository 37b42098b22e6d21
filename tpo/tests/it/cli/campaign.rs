//! Runs in all modes that are killed and continued, counted at the server: what was delivered is not asked for again.
//!
//! A server sends a run a number of answers and withholds the others until the run is killed. A *settled* run is killed
//! when it has written all the answers that were sent, so nothing is requested again. Another run is killed as soon as
//! the last answer is sent. It may have writes under way, and exactly these answers are requested again.
//!
//! Answers are counted, and not identified by their requests: the searches of a shuffled run ask for the same answers,
//! each for itself, and a process that has not learned yet that a server gives one choice asks for several.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use textgrad_core::Seed;
use textgrad_ops::store::{CacheFilter, SqliteCache, SqliteConfig};
use textgrad_tests::fake_server::{FakeServer, Route};
use textgrad_tests::program::PATIENCE;

use super::kill::answered;
use super::{Running, folder, json_lines, pointed_at, queries, quiet, read, simulation, tpo};

const QUERIES: usize = 2;
const MODES: [&str; 8] =
    ["tpo", "revision", "bon", "resample", "direct", "shuffled", "listwise", "ungated"];
/// How answers are asked for, kept and scored.
const VARIANTS: [Variant; 7] = [
    Variant { name: "plain", flags: &[], ..PLAIN },
    Variant { name: "stream", flags: &["--stream"], ..PLAIN },
    Variant { name: "one per request", flags: &["--one-per-request"], ..PLAIN },
    Variant { name: "server of one choice", most: 1, ..PLAIN },
    Variant { name: "server of two choices, cache", most: 2, has_cache: true, ..PLAIN },
    Variant { name: "judge, one per request", flags: &["--one-per-request"], judge: true, ..PLAIN },
    Variant {
        name: "cache alone, one per request",
        flags: &["--one-per-request"],
        most: 1,
        has_cache: true,
        is_anew: true,
        ..PLAIN
    },
];
const PLAIN: Variant = Variant {
    name: "",
    iterations: 2,
    flags: &[],
    most: u32::MAX,
    judge: false,
    has_cache: false,
    is_anew: false,
};
/// A run that is killed has so many answers left at the least: it must not end by itself.
const MIN_LEFT: u64 = 3;

#[derive(Debug, Clone, Copy)]
struct Variant {
    name: &'static str,
    iterations: u32,
    flags: &'static [&'static str],
    /// The most choices that the server gives.
    most: u32,
    /// Whether a judge scores.
    judge: bool,
    has_cache: bool,
    /// Whether a run begins anew after a kill, with nothing but the cache.
    is_anew: bool,
}

impl Variant {
    fn command(self, folder: &Path, server: &FakeServer, mode: &str, resume: bool) -> Command {
        let mut command = tpo(folder, ["--data", "queries.json", "--out", "out"]);
        let target = pointed_at(server);
        // The first six are of the engine.
        command.args(&target[..if self.judge { 6 } else { target.len() }]);
        if self.judge {
            command.args(["--reward", "judge", "--no-preflight"]);
        }
        command.args(["--mode", mode, "--samples", "3"]).args(self.flags);
        command.args(["--iterations", &self.iterations.to_string()]);
        if self.has_cache {
            command.args(["--cache", "answers"]);
        }
        if resume {
            command.arg("--resume");
        }
        command
    }

    async fn server(self) -> FakeServer {
        simulation().max_choices(self.most).start().await.unwrap()
    }

    /// The answers of a server that a run is to keep. Scores are not cached.
    fn delivered(self, server: &FakeServer) -> u64 {
        let scores = if self.is_anew { 0 } else { answered(server, Route::Classify) };
        answered(server, Route::Chat) + scores
    }

    /// How many of them a run has written.
    async fn kept(self, folder: &Path) -> u64 {
        let (calls, scores) = journaled(&folder.join("out/journal.jsonl"));
        match (self.has_cache, self.is_anew) {
            (false, _) => calls + scores,
            (true, false) => cached(&folder.join("answers"), self.most).await + scores,
            (true, true) => cached(&folder.join("answers"), self.most).await,
        }
    }
}

/// The whole lines of a journal, if there is one.
pub(super) fn whole_lines(path: &Path) -> Vec<Value> {
    let journal = std::fs::read(path).unwrap_or_default();
    let end = journal.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    json_lines(std::str::from_utf8(&journal[..end]).unwrap())
}

/// How many answered requests a journal has: for answers, and for scores.
fn journaled(path: &Path) -> (u64, u64) {
    let lines = whole_lines(path);
    let of = |kind| lines.iter().filter(move |line| line["type"] == kind);
    let key = |line: &Value, name| (line["query"].to_string(), line[name].to_string());
    let in_parts: HashSet<_> = of("choice").map(|line| key(line, "call")).collect();
    let whole = of("call").filter(|line| !in_parts.contains(&key(line, "key"))).count();
    ((whole + of("choice").count()) as u64, of("score").count() as u64)
}

/// How many answered requests a cache file has: a response with more choices than a server gives was put together.
async fn cached(path: &Path, most: u32) -> u64 {
    let Ok(cache) = SqliteCache::open_existing(path, SqliteConfig::default()).await else {
        return 0;
    };
    let mut kept = 0;
    for entry in cache.entries(CacheFilter::default()).await.unwrap() {
        let choices = cache.entry(&entry.key).await.unwrap().response.choices.len();
        kept += u64::from(choices <= most as usize);
    }
    kept
}

/// A run that nothing disturbs.
struct Undisturbed {
    results: String,
    delivered: u64,
}

impl Undisturbed {
    async fn of(mode: &str, variant: Variant) -> Self {
        let folder = folder();
        queries(folder.path(), QUERIES);
        let server = variant.server().await;
        let command = variant.command(folder.path(), &server, mode, false);
        Running::start(command).end().with_code(0);
        let delivered = variant.delivered(&server);
        assert_eq!(variant.kept(folder.path()).await, delivered, "{mode}, {}", variant.name);
        Self { results: read(folder.path().join("out/results.jsonl")), delivered }
    }
}

/// What a campaign counted.
#[derive(Debug, Default)]
struct Counts {
    runs: u64,
    kills: u64,
    /// Answers that were sent before the kills.
    delivered: u64,
    /// Those of them that were not written when their run was killed at once, and the most of one kill.
    under_way: u64,
    most_under_way: u64,
}

/// One run that is killed so many times, and what it comes to.
struct Kills<'a> {
    seed: Seed,
    mode: &'static str,
    variant: Variant,
    expected: &'a Undisturbed,
    count: u64,
    /// Whether each run has written what it was given before it is killed.
    all_settled: bool,
}

impl Kills<'_> {
    async fn run(&self, counts: &mut Counts) {
        let Self { mode, variant, expected, .. } = *self;
        let folder = folder();
        queries(folder.path(), QUERIES);
        let server = variant.server().await;
        let (mut killed, mut lost) = (0, 0);
        while killed < self.count {
            let left = expected.delivered.saturating_sub(variant.kept(folder.path()).await + lost);
            if left <= MIN_LEFT {
                break;
            }
            let place = self.seed.child("kill", killed);
            let answers = 1 + place.child("answers", 0).value() % (left - MIN_LEFT);
            let ended = requests(&server) + answers;
            server.answer_at_most(ended);
            let resume = killed > 0 && !variant.is_anew;
            let mut running = Running::start(variant.command(folder.path(), &server, mode, resume));
            server.ended(ended).await;
            let is_settled =
                self.all_settled || place.child("settled", 0).value().is_multiple_of(2);
            if is_settled {
                self.settled(folder.path(), &server, lost).await;
            }
            running.kill();
            assert_eq!(running.end().code, None, "{mode}, {}: {answers} answers", variant.name);
            quiet(&server).await;
            let kept = variant.kept(folder.path()).await;
            let under_way = variant.delivered(&server) - lost - kept;
            assert!(!is_settled || under_way == 0, "{mode}, {}: {under_way} lost", variant.name);
            lost += under_way;
            killed += 1;
            counts.most_under_way = counts.most_under_way.max(under_way);
            counts.delivered += answers;
            if variant.is_anew {
                std::fs::remove_dir_all(folder.path().join("out")).unwrap();
            }
        }
        server.answer_at_most(u64::MAX);
        let resume = killed > 0 && !variant.is_anew;
        Running::start(variant.command(folder.path(), &server, mode, resume)).end().with_code(0);
        let results = read(folder.path().join("out/results.jsonl"));
        assert_eq!(results, expected.results, "{mode}, {}", variant.name);
        let (delivered, once) = (variant.delivered(&server), expected.delivered);
        // A journal may have what a cache beside it does not.
        let least = if variant.has_cache { once } else { once + lost };
        let name = variant.name;
        assert!(
            (least..=once + lost).contains(&delivered),
            "{mode}, {name}: {delivered} delivered, {once} needed, {lost} under way"
        );
        counts.runs += 1;
        counts.kills += killed;
        counts.under_way += lost;
    }

    /// Waits until a run has written all that it was given, but for what an earlier one lost.
    async fn settled(&self, folder: &Path, server: &FakeServer, lost: u64) {
        let begun = Instant::now();
        loop {
            let (kept, given) = (self.variant.kept(folder).await, self.variant.delivered(server));
            if kept + lost == given {
                return;
            }
            let name = self.variant.name;
            assert!(
                begun.elapsed() < PATIENCE,
                "{}, {name}: {given} delivered, {kept} kept, {lost} lost before",
                self.mode
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn requests(server: &FakeServer) -> u64 {
    let stats = server.stats();
    [Route::Chat, Route::Classify].iter().map(|route| stats.route(*route).requests).sum()
}

/// Runs of all pairs of mode and variant, one after the other.
fn pairs() -> impl Iterator<Item = (&'static str, Variant)> {
    (0..).map(|number: usize| {
        let variant = (number / MODES.len() + number) % VARIANTS.len();
        (MODES[number % MODES.len()], VARIANTS[variant])
    })
}

/// Kind: Costs | SIGKILL after any answer, in each mode, with answers by one or several, streamed, cached, or judged |
/// nothing that was delivered is asked for again; the same results
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_killed_after_any_answer_in_all_modes_ask_for_none_again() {
    let (mut counts, seed) = (Counts::default(), Seed::new(5));
    // What searches of other queries ask for too, and a server whose support is learned anew by each process.
    let shuffled = [("shuffled", VARIANTS[3]), ("shuffled", VARIANTS[4])];
    for (number, (mode, variant)) in (0..).zip(pairs().take(MODES.len()).chain(shuffled)) {
        let variant = Variant { iterations: 1, ..variant };
        let expected = &Undisturbed::of(mode, variant).await;
        let seed = seed.child("run", number);
        let kills = Kills { seed, mode, variant, expected, count: 2, all_settled: true };
        kills.run(&mut counts).await;
    }
    assert!(counts.kills > 15 && counts.under_way == 0, "{counts:?}");
}

/// Some minutes, so it is run on demand; `KILLS` and `SEED` set how many and which:
/// `KILLS=300 cargo test -p tpo --test it campaign -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long"]
async fn many_kills_in_all_modes_lose_no_delivered_answer() {
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (seed, most) = (Seed::new(number("SEED", 1)), number("KILLS", 300));
    let (mut counts, mut undisturbed) = (Counts::default(), HashMap::new());
    for (run, (mode, variant)) in (0..).zip(pairs()) {
        if counts.kills >= most {
            break;
        }
        let expected = match undisturbed.entry((mode, variant.name)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(entry) => entry.insert(Undisturbed::of(mode, variant).await),
        };
        let seed = seed.child("run", run);
        let count = 1 + seed.child("kills", 0).value() % 3;
        let kills = Kills { seed, mode, variant, expected, count, all_settled: false };
        kills.run(&mut counts).await;
    }
    println!("{counts:#?}");
}
