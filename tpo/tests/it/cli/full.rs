//! Disks that are full, and files that cannot be written.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use textgrad_tests::fake_server::{FakeServer, FaultRule, Route};

use super::kill::{
    CHATS, QUERIES, Undisturbed, answered, continued, known, slow_server, undisturbed,
};
use super::{Running, folder, over_http, queries, quiet, read, simulation};

/// How many queries are searched at a time.
const CONCURRENCY: u64 = 3;
const CONCURRENT: [&str; 2] = ["--concurrency", "3"];

/// The same program, which can write no file beyond so many blocks of 512 bytes: as on a full disk, what fits is
/// written and the rest is refused.
fn limited(command: &Command, blocks: u64) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        // Otherwise the system ends the program at the first byte that does not fit.
        .arg(r#"trap "" XFSZ; ulimit -f "$1" || exit 99; shift; exec "$@""#)
        .args(["sh", &blocks.to_string()])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// What was answered, and is not known to the journal.
fn lost(folder: &Path, server: &FakeServer) -> (u64, u64) {
    let (calls, scores) = known(&read(folder.join("out/journal.jsonl")));
    (answered(server, Route::Chat) - calls, answered(server, Route::Classify) - scores)
}

async fn on_a_full_disk(blocks: u64, expected: &Undisturbed) {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = slow_server().await;
    let command = over_http(folder.path(), &server, &CONCURRENT);
    let ended = Running::start(limited(&command, blocks)).end().with_code(1);
    assert!(ended.err.contains("File too large"), "{blocks} blocks: {}", ended.err);
    quiet(&server).await;

    let journal = folder.path().join("out/journal.jsonl");
    let length = std::fs::metadata(&journal).unwrap().len();
    assert_eq!(length, blocks * 512, "all that fits is written; {}", ended.err);
    let (calls, scores) = lost(folder.path(), &server);
    // A call that is under way when the disk is found full cannot be written down. No other is begun.
    assert!(calls <= CONCURRENCY && scores <= CONCURRENCY * 5, "{calls} and {scores} were lost");
    assert_eq!(server.stats().route(Route::Chat).dropped, 0, "those under way are waited for");
    continued(folder.path(), &server, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_reported_and_loses_nothing_that_was_written() {
    let expected = undisturbed().await;
    // None has room for the journal of the whole run; the first two not for its first line.
    for blocks in [0, 1, 9, 40, 77, 120] {
        on_a_full_disk(blocks, &expected).await;
    }
}

/// The first query keeps the others' failure from being seen, for results come in order. Meanwhile no query may
/// begin whose answers cannot be written down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_lets_no_query_begin() {
    let folder = folder();
    queries(folder.path(), 60);
    let slow: FaultRule = "slow-body=1000@nth:1,chat".parse().unwrap();
    let server = simulation().latency(Duration::from_millis(4)).fault(slow).start().await.unwrap();
    let command = over_http(folder.path(), &server, &CONCURRENT);
    let ended = Running::start(limited(&command, 40)).end().with_code(1);
    assert!(ended.err.contains("the journal could not be written"), "{}", ended.err);
    assert!(ended.err.contains("--resume continues from there"), "{}", ended.err);
    quiet(&server).await;
    let (calls, scores) = lost(folder.path(), &server);
    assert!(calls <= CONCURRENCY && scores <= CONCURRENCY * 5, "{calls} and {scores} were lost");
}

/// The device that is always full stands where the results are written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_cannot_be_written_are_made_of_the_journal_later() {
    let expected = undisturbed().await;
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = slow_server().await;
    let partial = folder.path().join("out/results.jsonl.partial");
    std::fs::create_dir(folder.path().join("out")).unwrap();
    symlink("/dev/full", &partial).unwrap();
    let command = over_http(folder.path(), &server, &CONCURRENT);
    let ended = Running::start(command).end().with_code(1);
    let error = "out/results.jsonl.partial: cannot be written";
    assert!(ended.err.contains(error), "{}", ended.err);
    assert!(ended.err.contains("No space left on device"), "{}", ended.err);
    assert!(ended.err.contains("--resume"), "{}", ended.err);
    quiet(&server).await;
    assert_eq!(lost(folder.path(), &server), (0, 0), "what was paid for is in the journal");
    assert_eq!(server.stats().route(Route::Chat).dropped, 0);
    assert!(!folder.path().join("out/results.jsonl").exists());

    std::fs::remove_file(&partial).unwrap();
    continued(folder.path(), &server, &expected).await;
    assert_eq!(server.stats().route(Route::Chat).paid_twice, 0);
    assert_eq!(server.stats().route(Route::Classify).paid_twice, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_cannot_hold_results_is_refused_before_anything_is_paid_for() {
    let folder = folder();
    queries(folder.path(), 2);
    let server = simulation().start().await.unwrap();
    let partial = folder.path().join("out/results.jsonl.partial");
    std::fs::create_dir_all(&partial).unwrap();
    let ended = Running::start(over_http(folder.path(), &server, &[])).end().with_code(1);
    let error = "out/results.jsonl.partial: cannot be created";
    assert!(ended.err.contains(error), "{}", ended.err);
    assert_eq!(server.stats().route(Route::Chat).requests, 0);

    std::fs::remove_dir(&partial).unwrap();
    Running::start(over_http(folder.path(), &server, &["--resume"])).end().with_code(0);
    assert_eq!(server.stats().route(Route::Chat).requests, 2 * CHATS / QUERIES as u64);
}
