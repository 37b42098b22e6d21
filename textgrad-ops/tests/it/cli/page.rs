//! `textgrad page`.

use std::io::Write as _;
use std::path::Path;

use textgrad_core::{Choice, Engine, FinishReason, Message, Purpose, Request, Response, engine_fn};
use textgrad_ops::layer::EngineExt;
use textgrad_ops::store::RunLogger;

use super::{folder, textgrad};

/// Two calls in `run.jsonl`.
async fn log(folder: &Path) {
    let log = RunLogger::open(folder.join("run.jsonl")).await.unwrap();
    let engine = engine_fn("echo", |request: Request| async move {
        let text = format!("You said: {}", request.messages[0].text());
        Ok(Response::new(vec![Choice::new(text, FinishReason::Stop)]))
    });
    let engine = engine.logged(&log);
    for text in ["one", "</script><script>alert(1)</script>"] {
        let request = Request::new(Purpose::Sample, [Message::user(text)]);
        engine.complete(&request).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_becomes_a_page() {
    let folder = folder();
    log(folder.path()).await;
    let run = |arguments: &[&str]| textgrad(folder.path(), arguments);
    let ended = run(&["page", "run.jsonl", "-o", "run.html"]).with_code(0);
    assert_eq!((&*ended.out, &*ended.err), ("run.html: 2 call(s), 0 graph(s)\n", ""));
    let page = std::fs::read_to_string(folder.path().join("run.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"));
    assert!(page.contains("You said: one") && !page.contains("<script>alert"));

    // What was torn off by a kill is said; an older page is replaced.
    let path = folder.path().join("run.jsonl");
    let mut file = std::fs::File::options().append(true).open(path).unwrap();
    file.write_all(b"{\"version\":1,\"ti").unwrap();
    let ended = run(&["page", "run.jsonl", "--output", "run.html"]).with_code(0);
    assert!(ended.out.contains("last line of the log is not whole"), "{}", ended.out);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["run.html", "run.jsonl"]);
}

#[tokio::test]
async fn mistakes_are_reported_and_leave_the_files_alone() {
    let folder = folder();
    log(folder.path()).await;
    let before = std::fs::read(folder.path().join("run.jsonl")).unwrap();
    let run = |arguments: &[&str]| textgrad(folder.path(), arguments);
    run(&["page", "run.jsonl", "-o", "./run.jsonl"]).refused(&["another file", "run.jsonl"]);
    run(&["page", "no.jsonl", "-o", "run.html"]).refused(&["no.jsonl"]);
    run(&["page", "run.jsonl"]).refused(&["--output <FILE>"]);
    std::fs::write(folder.path().join("bad.jsonl"), "{}\n{}\n").unwrap();
    run(&["page", "bad.jsonl", "-o", "run.html"]).refused(&["bad.jsonl", "line 1"]);
    let ended = run(&["page", "run.jsonl", "-o", "nowhere/run.html"]).with_code(1);
    assert!(ended.err.contains("the page nowhere/run.html cannot be written"), "{}", ended.err);
    assert!(!folder.path().join("run.html").exists());
    assert_eq!(std::fs::read(folder.path().join("run.jsonl")).unwrap(), before);
}
