//! The check of servers before a run, names of models from servers, and the end of runs whose servers fail.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use textgrad_core::{Engine, EngineError, ErrorKind, MessageRole, Request, engine_fn};
use textgrad_ops::sim::{self, Sim};
use textgrad_tests::fake_server::{FakeServer, FaultRule, Route};
use textgrad_tests::program::Ended;

use super::{Running, folder, json_lines, over_http, program, queries, read, simulation, tpo};

/// A run with its check, against a policy and a reward server.
fn checked(folder: &Path, policy: &FakeServer, reward: &FakeServer, more: &[&str]) -> Command {
    let (base_url, url) = (policy.base_url(), reward.url());
    let mut command = tpo(folder, ["--data", "queries.json", "--out", "out", "--engine", "openai"]);
    command.args(["--base-url", &base_url, "--reward", "vllm", "--reward-url", &url]).args(more);
    command
}

const MODELS: [&str; 4] = ["--model", "sim", "--reward-model", "sim"];

fn chats(server: &FakeServer) -> u64 {
    server.stats().route(Route::Chat).requests
}

async fn faulty(fault: &str) -> FakeServer {
    simulation().fault(fault.parse::<FaultRule>().unwrap()).start().await.unwrap()
}

async fn sound() -> FakeServer {
    simulation().start().await.unwrap()
}

fn refused(folder: &Path, ended: Ended, words: &[&str]) {
    assert!(!folder.join("out").exists(), "no folder is left");
    ended.refused(words);
}

/// Kind: Errors | a key or an account that is refused, before a run | one request, one error, no run folder
/// Kind: Errors | a path that does not exist, before a run | one request, one error that names the path
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_is_found_before_anything_is_paid_for() {
    for (fault, words) in [
        ("401@always", "check the key"),
        ("429-quota@always", "credit"),
        ("400@always", "/v1/chat/completions"),
    ] {
        let folder = folder();
        queries(folder.path(), 40);
        let (policy, reward) = (faulty(&format!("{fault},chat")).await, sound().await);
        let ended = Running::start(checked(folder.path(), &policy, &reward, &MODELS)).end();
        refused(folder.path(), ended, &["engine openai:sim does not answer", words]);
        assert_eq!(chats(&policy), 1);
    }
    let folder = folder();
    queries(folder.path(), 40);
    let server = sound().await;
    let wrong = format!("{}/wrong", server.url());
    let mut command = tpo(folder.path(), ["--data", "queries.json", "--out", "out"]);
    command.args(["--engine", "openai", "--base-url", &wrong, "--reward", "sim", "--model", "m"]);
    let ended = Running::start(command).end();
    refused(folder.path(), ended, &["/wrong/chat/completions", "base URL"]);
    let (policy, reward) = (sound().await, faulty("401@always,classify").await);
    let ended = Running::start(checked(folder.path(), &policy, &reward, &MODELS)).end();
    refused(folder.path(), ended, &["reward model", "/classify"]);
    assert_eq!(chats(&policy), 1);
}

/// Kind: Errors | a server that recovers within two retries, before a run | the run begins
/// Kind: Errors | a server that asks to wait a second or more, before a run | a warning that names the wait
/// Kind: Errors | a server that asks to wait more than two minutes, before a run | a warning; the run begins
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_recovers_passes_and_a_resumed_run_is_not_checked() {
    let folder = folder();
    queries(folder.path(), 1);
    let (policy, reward) = (faulty("503@nth:1,chat").await, sound().await);
    let bon = [MODELS.as_slice(), &["--mode", "bon"]].concat();
    let ended = Running::start(checked(folder.path(), &policy, &reward, &bon)).end().with_code(0);
    assert!(ended.out.contains("sent in this run"), "{}", ended.out);
    assert_eq!((chats(&policy), reward.stats().route(Route::Classify).requests), (3, 6));

    let resumed = [bon.as_slice(), &["--resume"]].concat();
    Running::start(checked(folder.path(), &policy, &reward, &resumed)).end().with_code(0);
    assert_eq!(chats(&policy), 3);

    let policy = faulty("503@nth:1,chat").await;
    let folder = super::folder();
    queries(folder.path(), 1);
    let once = [bon.as_slice(), &["--retries", "0"]].concat();
    let ended = Running::start(checked(folder.path(), &policy, &reward, &once)).end();
    refused(folder.path(), ended, &["engine openai:sim does not answer"]);
    assert_eq!(chats(&policy), 1);

    for (log, words) in [
        (None, "warning: "),
        // A log has time and level.
        (Some("warn"), " WARN textgrad_ops::layer::pace: "),
    ] {
        let policy = faulty("429-seconds=1@nth:1,chat").await;
        let folder = super::folder();
        queries(folder.path(), 1);
        let mut command = checked(folder.path(), &policy, &reward, &bon);
        command.envs(log.map(|log| ("TPO_LOG", log)));
        let ended = Running::start(command).end().with_code(0);
        let waits = |line: &&str| line.ends_with("; waiting for 1s, as the server asks");
        let waits: Vec<&str> = ended.err.lines().filter(waits).collect();
        assert!(waits.len() == 1 && waits[0].contains(words), "{}", ended.err);
        assert_eq!(waits[0].starts_with(words), log.is_none(), "{}", ended.err);
    }

    let policy = faulty("429-seconds=300@nth:1,chat").await;
    let folder = super::folder();
    queries(folder.path(), 1);
    let ended = Running::start(checked(folder.path(), &policy, &reward, &bon)).end().with_code(0);
    assert!(ended.err.contains("limits the rate of requests"), "{}", ended.err);
    assert_eq!(chats(&policy), 2);
}

/// Kind: Parameters | no `--model`, and a server with one model | that model
/// Kind: Parameters | no `--model`, and a server with several models | an error that lists them
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_model_of_a_server_needs_no_name() {
    let folder = folder();
    queries(folder.path(), 1);
    let one = simulation().models(["the-only"]).start().await.unwrap();
    let ended =
        Running::start(checked(folder.path(), &one, &one, &["--mode", "bon"])).end().with_code(0);
    for words in ["policy openai:the-only", "reward model vllm:the-only"] {
        assert!(ended.err.contains(words), "{}", ended.err);
    }

    let two = simulation().models(["first", "second"]).start().await.unwrap();
    let ended = Running::start(checked(folder.path(), &two, &one, &["--resume"])).end();
    ended.refused(&["--model: expected the name of a model", "the server lists first, second"]);
    let model = ["--resume", "--model", "first"];
    let ended = Running::start(checked(folder.path(), &one, &two, &model)).end();
    ended.refused(&["--reward-model", "the server lists first, second"]);
}

/// Kind: Errors | failures of one kind in a row: 500, 401 | after ten the run ends with one error; it can be resumed
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_all_requests_ends_the_run() {
    for fault in ["500@always", "401@always"] {
        let folder = folder();
        queries(folder.path(), 60);
        let server = faulty(&format!("{fault},chat")).await;
        let few = ["--retries", "0", "--concurrency", "4"];
        let ended = Running::start(over_http(folder.path(), &server, &few)).end().with_code(1);
        assert!(ended.err.contains("10 requests in a row failed like this"), "{}", ended.err);
        assert!(ended.err.contains("--out out --resume"), "{}", ended.err);
        assert!(
            ended.err.lines().filter(|line| line.starts_with("query ")).count() <= 13,
            "{}",
            ended.err
        );
        assert!((10..=13).contains(&chats(&server)), "{}", chats(&server));

        let server = sound().await;
        let resumed = over_http(folder.path(), &server, &["--retries", "0", "--resume"]);
        Running::start(resumed).end().with_code(0);
    }
    let folder = folder();
    queries(folder.path(), 20);
    let server = faulty("500@always,chat").await;
    let never = ["--retries", "0", "--max-consecutive-failures", "0"];
    Running::start(over_http(folder.path(), &server, &never)).end().with_code(3);
    assert_eq!(chats(&server), 20);
}

/// Kind: Errors | a server that is down for a while, in the middle of a run of 64 queries | few attempts until it is up
/// again; no query is lost
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_costs_few_attempts_and_no_query() {
    const ANSWERED: u64 = 150;
    for error in [ErrorKind::Server, ErrorKind::Connection] {
        // The server is up again a second after the first attempt that failed.
        let (calls, failures) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let down_since = OnceLock::new();
        let (counted, state) = (Arc::clone(&failures), Arc::new((calls, down_since)));
        let engine = engine_fn("outage", move |request: Request| {
            let (counted, state) = (Arc::clone(&counted), Arc::clone(&state));
            async move {
                let (calls, down_since) = &*state;
                let is_down = calls.fetch_add(1, Ordering::SeqCst) >= ANSWERED
                    && down_since.get_or_init(Instant::now).elapsed() < Duration::from_secs(1);
                if is_down {
                    counted.fetch_add(1, Ordering::SeqCst);
                    return Err(EngineError::new(error, "the server is being restarted"));
                }
                Sim::default().complete(&request).await
            }
        });
        let builder = FakeServer::builder().engine(engine).reward(sim::reward);
        let server = builder.latency(Duration::from_millis(5)).start().await.unwrap();
        let folder = folder();
        queries(folder.path(), 64);
        let many = ["--concurrency", "64", "--iterations", "1", "--samples", "2"];
        Running::start(over_http(folder.path(), &server, &many)).end().with_code(0);
        let failed = failures.load(Ordering::SeqCst);
        // All that were under way fail once; then one attempt is made at a time.
        assert!((1..=64 + 6).contains(&failed), "{failed}");
        let results = json_lines(&read(folder.path().join("out/results.jsonl")));
        let answered = results.iter().map(|one| one["trajectory"]["usage"]["requests"].as_u64());
        assert_eq!(answered.flatten().sum::<u64>() + failed, chats(&server));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_prints_what_servers_can_do() {
    let folder = folder();
    let server = sound().await;
    let mut command = program(folder.path());
    let (base_url, url) = (server.base_url(), server.url());
    command.args(["check", "--engine", "openai", "--base-url", &base_url, "--reward", "vllm"]);
    command.args(["--reward-url", &url]).args(MODELS);
    let ended = Running::start(command).end().with_code(0);
    for words in [
        "2 answers per request",
        "equal answers for equal seeds",
        "reward model vllm:sim",
        "context length   8192 tokens",
        "maximal length   8192 tokens",
        "system role      accepted",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    assert!(chats(&server) <= 8, "{}", ended.out);
    assert!(ended.out.contains(&format!("requests sent: {}", chats(&server))), "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_are_checked_without_a_reward_model() {
    let folder = folder();
    let server = sound().await;
    let mut command = program(folder.path());
    command.args(["check", "--engine", &format!("{}#sim", server.base_url())]);
    let ended = Running::start(command).end().with_code(0);
    for words in ["answers          ok", "no reward model was checked: name it with --reward"] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    assert!(!ended.out.contains("reward model sim"), "{}", ended.out);
    // Where nothing answers, the words of a run are left out.
    let mut command = program(folder.path());
    command.args(["check", "--engine", "http://127.0.0.1:9/v1#m"]);
    let ended = Running::start(command).end().with_code(1);
    assert!(ended.out.contains("answers          no: POST http://127.0.0.1:9"), "{}", ended.out);
    assert!(!ended.out.contains("--no-preflight"), "{}", ended.out);
    // Without a server there is a next step.
    let mut command = program(folder.path());
    command.arg("check");
    let ended = Running::start(command).end().with_code(0);
    assert!(ended.out.contains("tpo check --engine vllm/MODEL --reward judge"), "{}", ended.out);
    assert!(ended.out.lines().all(|line| line.len() <= 80), "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_prints_what_requests_go_without() {
    let folder = folder();
    let choosy = engine_fn("choosy", |request: Request| async move {
        let is_system = request.messages.iter().any(|message| message.role == MessageRole::System);
        let refusal = if is_system {
            "Chat template error: system role is not supported"
        } else if request.sampling.temperature.is_some() {
            "temperature is deprecated for this model"
        } else {
            return Sim::default().complete(&request).await;
        };
        Err(EngineError::new(ErrorKind::InvalidRequest, refusal))
    });
    let server = FakeServer::builder().engine(choosy).start().await.unwrap();
    let mut command = program(folder.path());
    let base_url = server.base_url();
    command.args(["check", "--engine", "openai", "--base-url", &base_url, "--model", "m"]);
    command.args(["--reward", "sim"]);
    let ended = Running::start(command).end().with_code(0);
    let folded = "system role      not supported; system text goes into the user's first message";
    assert!(ended.out.contains(folded), "{}", ended.out);
    assert!(ended.out.contains("requests omit `temperature`"), "{}", ended.out);
}
