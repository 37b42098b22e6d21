use std::path::PathBuf;
use std::time::Duration;

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Choice, ErrorKind, FinishReason, Graph, Message, Page, Purpose, Sampling, Usage, Variable,
    backward, engine_fn,
};

use super::super::page::write_page;
use super::super::run_log::RunLog;
use super::*;
use crate::layer::EngineExt as _;
use crate::{LlmCall, TextLoss};

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    (folder, path)
}

fn request(text: &str) -> Request {
    Request::new(Purpose::Sample, [Message::user(text)])
}

/// Opens a log again; the thread that had the file before may be about to let go of it.
async fn reopen(path: &std::path::Path) -> RunLogger {
    for _ in 0..10_000 {
        match RunLogger::open(path).await {
            Err(LogError::Locked(_)) => tokio::task::yield_now().await,
            other => return other.unwrap(),
        }
    }
    panic!("the log is still locked");
}

#[tokio::test(start_paused = true)]
async fn a_line_has_what_was_asked_what_came_and_how_long_it_took() {
    let (_folder, path) = file();
    let log = RunLogger::open(&path).await.unwrap();
    let usage =
        Usage { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 1, ..Usage::default() };
    let engine = engine_fn("openai:m", move |_| async move {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let choice = Choice::new("</script>\n\u{2028}\0", FinishReason::Length);
        Ok(Response::new(vec![choice]).with_usage(usage).with_model("m-1"))
    });
    let sampling = Sampling::default().with_seed(u64::MAX);
    let asked = request("hi").with_sampling(sampling);
    let answer = engine.logged(&log).complete(&asked).await.unwrap();

    let text = std::fs::read_to_string(&path).unwrap();
    let mut line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    assert!(line["time"].take().as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(
        line,
        serde_json::json!({
            "version": 1, "type": "call", "time": null, "ms": 1500.0, "engine": "openai:m", "is_simulation": false,
            "request": {"messages": [{"role": "user", "parts": [{"text": "hi"}]}],
                "sampling": {"n": 1, "seed": u64::MAX}, "purpose": "sample"},
            "response": {"choices": [{"text": "</script>\n\u{2028}\0", "finish_reason": "length"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 1}, "model": "m-1"},
        })
    );
    let read = RunLog::read(&path).await.unwrap();
    let [call] = read.calls() else { panic!("{read:?}") };
    assert_eq!((&call.request, call.latency), (&asked, Duration::from_millis(1500)));
    assert_eq!(call.result.as_ref().unwrap(), &answer);
    assert!(!read.is_torn());
}

#[tokio::test]
async fn a_failed_call_is_logged_and_fails_as_it_would() {
    let (_folder, path) = file();
    let log = RunLogger::open(&path).await.unwrap();
    let usage = Usage { prompt_tokens: 5, ..Usage::default() };
    let failure = EngineError::new(ErrorKind::Budget, "too much").with_status(402);
    let failure = failure.with_usage(usage);
    let engine = ScriptedEngine::new([Reply::error(failure)]).logged(&log);
    let error = engine.complete(&request("a")).await.unwrap_err();
    assert_eq!(error.to_string(), "too much (HTTP 402)");
    let read = RunLog::read(&path).await.unwrap();
    let logged = read.calls()[0].result.as_ref().unwrap_err();
    assert_eq!((logged.kind(), logged.to_string()), (ErrorKind::Budget, error.to_string()));
    assert_eq!(logged.usage(), usage);
    assert!(read.page().unwrap().to_html().contains("too much (HTTP 402)"));
}

#[tokio::test]
async fn a_log_is_continued_and_a_torn_end_is_left_out_and_cut_off() {
    let (_folder, path) = file();
    let ask = |text: &'static str| {
        let path = path.clone();
        async move {
            let engine = ScriptedEngine::new([text]).logged(&reopen(&path).await);
            engine.complete(&request(text)).await.unwrap();
        }
    };
    ask("one").await;
    ask("two").await;
    let whole = std::fs::read(&path).unwrap();
    for cut in [1, 30, whole.len() / 2 - 1] {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let read = RunLog::read(&path).await.unwrap();
        assert_eq!((read.calls().len(), read.is_torn()), (1, true));
    }
    ask("three").await;
    let read = RunLog::read(&path).await.unwrap();
    let asked: Vec<String> =
        read.calls().iter().map(|call| call.request.messages[0].text()).collect();
    assert_eq!((asked, read.is_torn()), (vec!["one".to_owned(), "three".to_owned()], false));
}

#[tokio::test]
async fn a_line_that_is_none_is_named_and_nothing_is_written_twice_at_a_time() {
    let (_folder, path) = file();
    for (text, complaint) in [
        ("{}\n", "line 1"),
        ("not json\n", "line 1"),
        ("{\"version\":1,\"type\":\"other\"}\n", "line 1"),
        ("{\"version\":2,\"type\":\"call\"}\n", "got version 2 in line 1"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = RunLog::read(&path).await.unwrap_err();
        assert!(error.to_string().contains(complaint), "{error}");
    }
    assert!(matches!(RunLog::read("no/such").await, Err(LogError::Io { .. })));
    assert!(matches!(RunLogger::open("no/such/folder").await, Err(LogError::Io { .. })));
    std::fs::write(&path, "").unwrap();
    let _open = RunLogger::open(&path).await.unwrap();
    assert!(matches!(RunLogger::open(&path).await, Err(LogError::Locked(_))));
    assert!(RunLog::read(&path).await.unwrap().calls().is_empty());
}

#[tokio::test]
async fn a_graph_in_the_log_makes_the_very_page_that_the_graph_makes() {
    let (folder, path) = file();
    let log = RunLogger::open(&path).await.unwrap();
    let script = ScriptedEngine::new(["Red.", "Too short.", "Say why.", "Ask why."]).logged(&log);
    let engine: std::sync::Arc<dyn Engine> = std::sync::Arc::new(script);
    let question = Variable::differentiable("What is the color of Mars?", "question </script>");
    let answer = LlmCall::builder(engine.clone()).build().ask(&question).one().await.unwrap();
    let loss = TextLoss::new(engine, "Is there a reason?").evaluate(&answer).await.unwrap();
    let gradients = backward(&loss).await.unwrap();
    let graph = Graph::trace(&loss);
    let view = graph.view().gradients(&gradients);
    log.graph("step 1", &view).await.unwrap();

    let read = RunLog::read(&path).await.unwrap();
    let page = read.graphs()[0].page().unwrap();
    assert_eq!(page.to_html(), Page::new("step 1").graph("step 1", &view).to_html());

    // Of the whole log too, with its calls; the program's page is the same.
    let out = folder.path().join("run.html");
    let whole = write_page(&path, &out).unwrap();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), whole.page().unwrap().to_html());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no partial file is left");
    let html = std::fs::read_to_string(&out).unwrap();
    // Instruction, question, call, answer, loss: the calls of both are joined to their nodes.
    assert!(html.contains(r#""logged":[[2,[0]],[4,[1]]]"#));
    assert!(matches!(write_page(&path, &folder.path().join("no/x")), Err(LogError::Page { .. })));
}

#[tokio::test]
async fn a_file_of_something_else_is_left_as_it_is() {
    let (_folder, path) = file();
    let log = RunLogger::open(&path).await.unwrap();
    let engine = ScriptedEngine::new(["a", "b"]).logged(&log);
    engine.complete(&request("one")).await.unwrap();
    drop((engine, log));
    drop(reopen(&path).await);
    let whole = std::fs::read_to_string(&path).unwrap();
    let long = "x".repeat(200_000);
    for foreign in [
        "notes",
        "notes\nthat end in the middle of a li",
        "{\"version\":1,\"name\":\"a manifest\"}",
        "{\"version\":1,\"name\":\"a manifest\"}\n",
        "{\"version\":1,\"type\":\"other\"}\n{\"version\":1",
        "[1, 2]\n",
        "\n",
        "\0\0\0",
        &long,
        &format!("{whole}notes"),
    ] {
        std::fs::write(&path, foreign).unwrap();
        let error = loop {
            match RunLogger::open(&path).await.unwrap_err() {
                LogError::Locked(_) => tokio::task::yield_now().await,
                error => break error,
            }
        };
        assert!(matches!(error, LogError::Foreign(_)), "{error:?}");
        assert!(error.to_string().contains("expected a run log to continue"), "{error}");
        assert!(std::fs::read_to_string(&path).unwrap() == foreign, "{foreign:.80}");
    }
    std::fs::write(&path, "{\"version\":2,\"type\":\"call\"}\n{").unwrap();
    let error = RunLogger::open(&path).await.unwrap_err();
    assert!(matches!(error, LogError::Version { got: 2, .. }), "{error:?}");
    // However little is left of a line, even of the first.
    for left in 0..whole.len() {
        for before in ["", &whole] {
            std::fs::write(&path, format!("{before}{}", whole.get(..left).unwrap())).unwrap();
            drop(reopen(&path).await);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "{left}");
        }
    }
}

#[tokio::test]
async fn calls_are_read_as_they_ended_and_shown_as_they_began() {
    let (_folder, path) = file();
    let log = RunLogger::open(&path).await.unwrap();
    for text in ["a", "b", "c", "d"] {
        ScriptedEngine::new(["x"]).logged(&log).complete(&request(text)).await.unwrap();
    }
    let lines = std::fs::read_to_string(&path).unwrap();
    let times = [30, 10, 20, 10];
    let lines = lines.lines().zip(times).map(|(line, time)| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["time"] = time.into();
        format!("{line}\n")
    });
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    let read = RunLog::read(&path).await.unwrap();
    let ended: Vec<u64> = read.calls().iter().map(|call| call.time).collect();
    assert_eq!(ended, times);
    let html = read.page().unwrap().to_html();
    let places = ["b", "d", "c", "a"].map(|text| html.find(&format!(r#"{{"text":"{text}"}}"#)));
    // Of two that began at the same time, the one that ended first.
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
}
