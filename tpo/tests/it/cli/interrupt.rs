//! Signals: SIGINT (Ctrl-C), SIGTERM and SIGHUP.

use std::process::Command;
use std::time::Duration;

use textgrad_tests::fake_server::Route;

use super::{
    Running, arrived, folder, json_lines, over_http, program, queries, quiet, read, simulation,
};

const QUERIES: usize = 6;

pub(super) fn interrupt(running: &Running) {
    send("INT", running);
}

pub(super) fn send(signal: &str, running: &Running) {
    let (id, signal) = (running.id().to_string(), format!("-{signal}"));
    let status = Command::new("sh").args(["-c", "kill \"$1\" \"$2\"", "sh", &signal, &id]).status();
    assert!(status.unwrap().success());
}

async fn undisturbed() -> String {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = simulation().start().await.unwrap();
    Running::start(over_http(folder.path(), &server, &[])).end().with_code(0);
    read(folder.path().join("out/results.jsonl"))
}

/// Kind: Signals | SIGINT, SIGTERM or SIGHUP | running calls finish and are journaled; exit code 130
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_says_how_to_go_on_and_pays_for_nothing_twice() {
    let expected = undisturbed().await;
    for (moment, signal) in [(1, "INT"), (15, "TERM"), (45, "HUP"), (80, "TERM")] {
        let folder = folder();
        queries(folder.path(), QUERIES);
        let server = simulation().latency(Duration::from_millis(10)).start().await.unwrap();
        let running = Running::start(over_http(folder.path(), &server, &["--concurrency", "2"]));
        server.ended(moment).await;
        send(signal, &running);
        let ended = running.end().with_code(130);
        assert!(ended.err.contains("stopping: waiting for running calls"), "{}", ended.err);
        assert!(ended.err.contains("with --out out --resume"), "{}", ended.err);
        assert!(ended.err.contains(" of 6 queries are done"), "{}", ended.err);
        assert!(!ended.err.contains(" failed: "), "{}", ended.err);
        quiet(&server).await;
        let chats = server.stats().route(Route::Chat);
        assert!(chats.requests < 42 && chats.dropped == 0, "{chats:?}");

        let command = over_http(folder.path(), &server, &["--resume"]);
        Running::start(command).end().with_code(0);
        let chats = server.stats().route(Route::Chat);
        assert_eq!((chats.requests, chats.paid_twice), (42, 0), "interrupted at {moment}");
        assert_eq!(server.stats().route(Route::Classify).paid_twice, 0);
        assert_eq!(read(folder.path().join("out/results.jsonl")), expected);
    }
}

/// Kind: Signals | a second signal | running calls are dropped; exit code 130
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_interrupt_does_not_wait() {
    let folder = folder();
    queries(folder.path(), 2);
    let server = simulation().fault(stall()).start().await.unwrap();
    let running = Running::start(over_http(folder.path(), &server, &["--concurrency", "1"]));
    arrived(&server).await;
    interrupt(&running);
    tokio::time::sleep(Duration::from_millis(150)).await;
    send("TERM", &running);
    let ended = running.end().with_code(130);
    assert!(ended.err.contains("interrupted: 0 of 2"), "{}", ended.err);
    assert!(ended.out.contains("tokens of all sent requests"), "{}", ended.out);
    quiet(&server).await;
    assert_eq!(server.stats().route(Route::Chat).dropped, 1);
    assert_eq!(json_lines(&read(folder.path().join("out/journal.jsonl"))).len(), 1);
    let mut verify = program(folder.path());
    verify.args(["verify", "out"]);
    let verified = Running::start(verify).end().with_code(1);
    assert!(verified.out.contains("expected results of 2 queries, got 0"), "{}", verified.out);
    assert!(verified.out.contains("INCOMPLETE"), "{}", verified.out);
}

/// The server asks to wait for longer than this test has patience.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_ends_the_wait_for_a_retry() {
    let folder = folder();
    queries(folder.path(), 2);
    let busy: textgrad_tests::fake_server::FaultRule = "429-seconds=60@always".parse().unwrap();
    let server = simulation().fault(busy).start().await.unwrap();
    let running = Running::start(over_http(folder.path(), &server, &["--concurrency", "2"]));
    server.ended(2).await;
    interrupt(&running);
    let ended = running.end().with_code(130);
    assert!(ended.err.contains("interrupted: 0 of 2"), "{}", ended.err);
    assert!(!ended.err.contains(" failed: "), "{}", ended.err);
    assert_eq!(server.stats().route(Route::Chat).requests, 2, "nothing was tried again");
}

/// Kind: Signals | SIGHUP under `nohup` | ignored
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ignores_hang_ups_goes_on() {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = simulation().latency(Duration::from_millis(10)).start().await.unwrap();
    let command = over_http(folder.path(), &server, &["--concurrency", "2"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" HUP; exec "$@""#, "sh"]).arg(command.get_program());
    shell.args(command.get_args()).env_clear().current_dir(folder.path());
    let running = Running::start(shell);
    server.ended(5).await;
    send("HUP", &running);
    running.end().with_code(0);
}

/// A program that scores answers starts another one, and both run for long.
#[cfg(target_os = "linux")]
const SCORER: &str = "#!/bin/sh
/bin/sleep 1000 &
echo $$ $! >> \"$1\"
wait
";

/// Whether a process runs. One that nobody has waited for does not.
#[cfg(target_os = "linux")]
fn runs(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// Kind: Signals | a second signal while a program scores answers | its processes end and its folder is removed
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ends_leaves_no_process_and_no_folder_of_its_programs() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = folder();
    queries(folder.path(), 2);
    let (scorer, ids) = (folder.path().join("scorer"), folder.path().join("ids"));
    std::fs::write(&scorer, SCORER).unwrap();
    std::fs::set_permissions(&scorer, std::fs::Permissions::from_mode(0o755)).unwrap();
    let temporary = folder.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = super::tpo(folder.path(), ["--data", "queries.json", "--out", "out"]);
    command.args(["--engine", "sim", "--reward", "command", "--reward-command"]).arg(&scorer);
    command.arg(format!("--reward-arg={}", ids.display())).env("TMPDIR", &temporary);
    let running = Running::start(command);
    let begun = std::time::Instant::now();
    let started = || std::fs::read_to_string(&ids).unwrap_or_default();
    while started().lines().count() < 2 {
        assert!(begun.elapsed() < super::PATIENCE, "no program is started");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    send("TERM", &running);
    tokio::time::sleep(Duration::from_millis(150)).await;
    send("HUP", &running);
    let ended = running.end().with_code(130);
    assert!(ended.err.contains("interrupted: 0 of 2"), "{}", ended.err);
    let left = || started().split_whitespace().filter(|id| runs(id)).count();
    while left() > 0 {
        assert!(begun.elapsed() < super::PATIENCE, "{} processes are left", left());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "folders are left");
}

fn stall() -> textgrad_tests::fake_server::FaultRule {
    "stall=60000@always".parse().unwrap()
}
