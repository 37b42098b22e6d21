//! `tpo grade`.

use std::path::Path;

use serde_json::Value;
use textgrad_core::{Choice, EngineError, FinishReason, Message, Request, Response, engine_fn};
use textgrad_tests::fake_server::{FakeServer, Route};

use super::{Ended, Running, folder, program, queries, read, run};

fn tpo(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = program(folder);
    command.args(arguments);
    Running::start(command).end()
}

/// Grades by the length of what it is asked about.
async fn server() -> FakeServer {
    let judge = engine_fn("judge", |request: Request| async move {
        let length = request.messages.last().map(Message::text).unwrap_or_default().len();
        let reply = format!("<SCORE>{}</SCORE>", 1 + length % 10);
        Ok::<_, EngineError>(Response::new(vec![Choice::new(reply, FinishReason::Stop)]))
    });
    FakeServer::builder().engine(judge).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_is_graded_once_and_its_table_and_report_have_the_grades() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 3);
    let study = [
        "study",
        "--data",
        "queries.json",
        "--modes",
        "tpo,resample",
        "--seeds",
        "1",
        "--out",
        "s",
    ];
    tpo(folder, &study).with_code(0);
    let server = server().await;
    let reward = format!("judge:engine={}#judge,lowest=1,highest=10", server.base_url());
    let grade = ["grade", "s", "--reward", &reward, "--no-preflight"];
    let shown = tpo(folder, &grade).with_code(0).out;
    for words in ["graded by judge:openai:judge", "held_out_difference", "tpo-d2-n5-t0.7-s1"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(shown.lines().skip(1).all(|line| line.len() <= 80), "{shown}");
    let asked = server.stats().route(Route::Chat).requests;
    // The first answers are the same in both cells.
    assert!((3..=9).contains(&asked), "{asked}");
    assert_eq!(tpo(folder, &grade).with_code(0).out, shown);
    assert_eq!(server.stats().route(Route::Chat).requests, asked);
    assert!(read(folder.join("s/study.csv")).lines().next().unwrap().contains(",held_out,"));

    tpo(folder, &["report", "s", "-o", "r"]).with_code(0);
    let csv = read(folder.join("r/held-out.csv"));
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(read(folder.join("r/report.html")).contains("Held-out grades"));
    let resumed = tpo(folder, &[&study[..], &["--resume"]].concat()).with_code(0);
    assert!(resumed.out.contains("difference in held-out grade from tpo"), "{}", resumed.out);
}

#[test]
fn a_run_that_returns_other_answers_now_loses_their_grades() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 4);
    let data = ["--data", "queries.json", "--out", "a"];
    run(folder, &[&data[..], &["--iterations", "1"]].concat()).with_code(0);
    let grade = ["grade", "a", "--reward", "length:from=1,to=9", "--json"];
    let graded: Value = serde_json::from_str(&tpo(folder, &grade).with_code(0).out).unwrap();
    assert_eq!(graded["runs"][0]["held_out"]["grades"].as_array().unwrap().len(), 4);
    run(folder, &[&data[..], &["--iterations", "4", "--extend"]].concat()).with_code(0);
    let counted = |out: &str| {
        tpo(folder, &["report", "a", "-o", out]).with_code(0);
        let csv =
            std::fs::read_to_string(folder.join(out).join("held-out.csv")).unwrap_or_default();
        csv.lines().nth(1).map(|row| row.split(',').nth(2).unwrap().parse::<usize>().unwrap())
    };
    assert!(counted("before").is_none_or(|queries| queries < 4));
    tpo(folder, &grade).with_code(0);
    assert_eq!(counted("after"), Some(4));
}

#[test]
fn what_cannot_be_held_out_is_refused_or_warned_of() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 1);
    run(folder, &["--data", "queries.json", "--out", "a"]).with_code(0);
    for (arguments, words) in [
        (&["grade", "a", "--reward", "judge"][..], &["judge:engine=openai/gpt-4.1"][..]),
        (&["grade", "a", "--reward", "pairwise-judge:engine=sim"], &["compare across runs"]),
        (&["grade", "none", "--reward", "sim"], &["none", "no run"]),
        (&["grade", "a", "--reward", "sims"], &["expected sim, vllm"]),
    ] {
        tpo(folder, arguments).refused(words);
    }
    let warned = tpo(folder, &["grade", "a", "--reward", "sim"]).with_code(0);
    assert!(warned.err.contains("guided the search of 1 of these runs"), "{}", warned.err);
}
