//! Grades are kept in the run folder.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use textgrad_tests::fake_server::{FakeServer, FakeServerBuilder, FaultRule, Route};

use super::super::PATIENCE;
use super::{Running, best_of_two, dialogues, end, folder, put, quiet, read, report, server};

const ITEMS: u64 = 6;

fn grader() -> FakeServerBuilder {
    FakeServer::builder().reward(|_, answer| -(answer.len() as f64))
}

fn gradings(server: &FakeServer) -> u64 {
    server.stats().route(Route::Classify).requests
}

/// The answers are both graded where the first is not the best.
async fn policy(answers: [&'static str; 2]) -> FakeServer {
    server(move |_, draw| answers[draw as usize].to_owned()).await
}

fn graded(folder: &Path, policy: &FakeServer, grade: &str, more: &[&str]) -> Command {
    let mut command = best_of_two(folder, "hh", "test.jsonl", policy);
    command.args(["--concurrency", "1", "--grade", grade]).args(more);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_printed_again_asks_no_grader_again_but_another_one() {
    let folder = folder();
    put(folder.path(), "test.jsonl", dialogues(ITEMS as usize));
    let (policy, grader) =
        (policy(["short", "rather long"]).await, grader().start().await.unwrap());
    let line = |model: &str| format!("vllm:model={model},url={}", grader.url());
    let command = |model: &str, more: &[&str]| graded(folder.path(), &policy, &line(model), more);
    let first = end(command("one", &[])).with_code(0);
    assert_eq!(gradings(&grader), 2 * ITEMS);
    let table = report(folder.path());
    let again = end(command("one", &["--resume"])).with_code(0);
    assert_eq!(gradings(&grader), 2 * ITEMS);
    assert_eq!(again.out, first.out);
    assert_eq!(report(folder.path()), table);
    end(command("other", &["--resume"])).with_code(0);
    assert_eq!(gradings(&grader), 4 * ITEMS);
    end(command("one", &["--resume"])).with_code(0);
    assert_eq!(gradings(&grader), 4 * ITEMS);
    // More of it pays for what is more.
    put(folder.path(), "test.jsonl", dialogues(ITEMS as usize + 2));
    end(command("one", &["--extend"])).with_code(0);
    assert_eq!(gradings(&grader), 4 * ITEMS + 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_while_it_is_graded_goes_on_where_it_was() {
    let folder = folder();
    put(folder.path(), "test.jsonl", dialogues(ITEMS as usize));
    // One grading for each: equal answers are graded once.
    let policy = policy(["rather long", "short"]).await;
    let stall = "stall=60000@nth:4,classify".parse::<FaultRule>().unwrap();
    let grader = grader().fault(stall).start().await.unwrap();
    let line = format!("vllm:model=one,url={}", grader.url());
    let mut running = Running::start(graded(folder.path(), &policy, &line, &[]));
    grader.ended(3).await;
    let begun = Instant::now();
    while grader.stats().route(Route::Classify).in_flight == 0 {
        assert!(begun.elapsed() < PATIENCE, "no request arrives");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    running.kill();
    assert_eq!(running.end().code, None);
    quiet(&grader).await;
    assert_eq!(gradings(&grader), 4);
    let resumed = || graded(folder.path(), &policy, &line, &["--resume"]);
    end(resumed()).with_code(0);
    assert_eq!(gradings(&grader), 4 + ITEMS - 3, "what came was kept");
    assert_eq!(report(folder.path())["ours"][0]["figure"], -11.0);

    // A line that was torn off is asked for again, and nothing else.
    let path = folder.path().join("out/grades.jsonl");
    let whole = read(&path);
    assert_eq!(whole.lines().count() as u64, 1 + ITEMS);
    put(folder.path(), "out/grades.jsonl", whole.as_bytes().split_at(whole.len() - 9).0);
    end(resumed()).with_code(0);
    assert_eq!(gradings(&grader), 4 + ITEMS - 3 + 1);
    assert_eq!(read(&path).lines().count() as u64, 1 + ITEMS);

    for (text, words) in [
        (
            read(folder.path().join("out/journal.jsonl")),
            "line 1: not a journal record: expected a file of grades",
        ),
        ("notes".to_owned(), "line 1: not a journal record"),
    ] {
        put(folder.path(), "out/grades.jsonl", &text);
        let ended = end(resumed());
        assert!(ended.code != Some(0) && !ended.err.contains("panicked"), "{}", ended.err);
        assert!(ended.err.contains("grades.jsonl") && ended.err.contains(words), "{}", ended.err);
        assert_eq!(read(&path), text, "it is left as it was");
    }
    assert_eq!(gradings(&grader), 4 + ITEMS - 3 + 1);

    // A damaged line is named, and its grading alone is asked for again.
    let damaged = whole.replacen("{\"type\":\"score\"", "{\"type\":\"sc", 1);
    put(folder.path(), "out/grades.jsonl", &damaged);
    let ended = end(resumed()).with_code(0);
    assert!(ended.err.contains("damaged line") && ended.err.contains("line: 2)"), "{}", ended.err);
    assert_eq!(gradings(&grader), 4 + ITEMS - 3 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_judge_that_grades_is_not_asked_again() {
    let folder = folder();
    put(folder.path(), "test.jsonl", dialogues(2));
    let policy = policy(["short", "rather long"]).await;
    for (kind, asked) in [("judge", 4), ("pairwise-judge", 4)] {
        let judge = server(move |_, _| {
            if kind == "judge" { "<VERDICT>7</VERDICT>" } else { "<VERDICT>A</VERDICT>" }.to_owned()
        })
        .await;
        let line = format!("{kind}:engine={}#judge", judge.base_url());
        for more in [&["--resume"][..], &["--resume"]] {
            let more = if folder.path().join("out").exists() { more } else { &[] };
            let ended = end(graded(folder.path(), &policy, &line, more)).with_code(0);
            assert_eq!(judge.stats().route(Route::Chat).requests, asked, "{kind}");
            let relative = ended.out.contains("relative: scores hold only among");
            assert_eq!(relative, kind == "pairwise-judge", "{}", ended.out);
        }
    }
}
