use std::time::Duration;

use futures_util::future::join_all;
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Choice, FinishReason, Image, Message, MessageRole, Part, Purpose, Sampling, Usage,
};

use super::*;
use crate::layer::EngineExt;

fn request(text: &str) -> Request {
    Request::new(Purpose::Sample, [Message::user(text)])
}

struct Simulated(ScriptedEngine);

#[async_trait]
impl Engine for Simulated {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("sim:x").with_simulation(true);
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.0.complete(request).await
    }
}

async fn texts(engine: &impl Engine, asks: &[&str]) -> Vec<String> {
    let mut texts = Vec::new();
    for ask in asks {
        texts.push(engine.complete(&request(ask)).await.unwrap().choices.remove(0).text);
    }
    texts
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    (folder, path)
}

#[tokio::test]
async fn a_run_is_replayed_with_equal_requests_in_their_order() {
    let (_folder, path) = file();
    let record = EngineExt::record(Simulated(ScriptedEngine::new(["1", "2", "3"])), path.clone())
        .await
        .unwrap();
    assert!(record.is_simulation());
    texts(&record, &["a", "b", "a"]).await;

    let replay = Replay::open(&path).await.unwrap();
    assert_eq!((replay.name(), replay.is_simulation(), replay.remaining()), ("sim:x", true, 3));
    assert_eq!(texts(&replay, &["a", "a", "b"]).await, ["1", "3", "2"]);
    assert_eq!(replay.remaining(), 0);
    let error = replay.complete(&request("a")).await.unwrap_err();
    assert!(
        error.message().starts_with(
            "the recording holds 2 answers to this sample request, and all were given"
        ),
        "{error}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn everything_of_a_call_survives_the_file() {
    let (_folder, path) = file();
    let failure = EngineError::new(ErrorKind::RateLimited, "slow")
        .with_status(429)
        .with_retry_after(Duration::from_millis(1500))
        .with_retryable(false);
    let choices = [
        Choice::new("a\nb \u{2028}é", FinishReason::Length),
        Choice::new("", FinishReason::Other("abort".into())),
    ];
    let script = ScriptedEngine::new([Reply::choices(choices), Reply::error(failure)]);
    let mut sampling = Sampling::default().with_n(2).with_seed(u64::MAX).with_temperature(0.1);
    sampling.extra.insert("top_k".into(), 40.into());
    let image = Image::new(vec![1, 2, 3], "image/png").unwrap();
    let turn = Message::new(MessageRole::User, [Part::Text("x".into()), Part::Image(image)]);
    let request = Request::new(Purpose::Update, [turn]).with_sampling(sampling);

    let record = EngineExt::record(script, path.clone()).await.unwrap();
    let first = record.complete(&request).await.unwrap();
    let second = record.complete(&request).await.unwrap_err();
    let replay = Replay::open(&path).await.unwrap();
    assert_eq!(replay.complete(&request).await.unwrap(), first);
    let replayed = replay.complete(&request).await.unwrap_err();
    assert_eq!(replayed.to_string(), second.to_string());
    assert_eq!(
        (replayed.kind(), replayed.status(), replayed.retry_after(), replayed.is_retryable()),
        (second.kind(), Some(429), second.retry_after(), false)
    );
}

#[tokio::test]
async fn the_format_is_that_of_a_run_log() {
    let (_folder, path) = file();
    let usage =
        Usage { prompt_tokens: 1, completion_tokens: 2, cached_tokens: 0, ..Usage::default() };
    let engine = textgrad_core::engine_fn("e", move |_| async move {
        Ok(Response::new(vec![Choice::new("x", FinishReason::Stop)])
            .with_usage(usage)
            .with_model("m"))
    });
    let record = EngineExt::record(engine, path.clone()).await.unwrap();
    record.complete(&request("hi")).await.unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    let mut line: serde_json::Value = serde_json::from_str(&lines).unwrap();
    for moment in ["time", "ms"] {
        assert!(line[moment].take().is_number());
    }
    assert_eq!(
        line,
        serde_json::json!({
            "version": 1, "type": "call", "time": null, "ms": null, "engine": "e", "is_simulation": false,
            "request": {"messages": [{"role": "user", "parts": [{"text": "hi"}]}], "sampling": {"n": 1}, "purpose": "sample"},
            "response": {"choices": [{"text": "x", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}, "model": "m"},
        })
    );
}

#[tokio::test]
async fn lines_of_concurrent_calls_stay_whole() {
    let (_folder, path) = file();
    let long = "x".repeat(100_000);
    let script = ScriptedEngine::new((0..20).map(|_| long.clone()));
    let record = EngineExt::record(script, path.clone()).await.unwrap();
    let requests: Vec<Request> = (0..20).map(|i| request(&i.to_string())).collect();
    join_all(requests.iter().map(|request| record.complete(request))).await;
    assert_eq!(Replay::open(&path).await.unwrap().remaining(), 20);
}

#[tokio::test]
async fn a_request_that_was_not_recorded_is_distinguished_from_the_only_one_like_it() {
    let (_folder, path) = file();
    let record = EngineExt::record(ScriptedEngine::new(["1", "2"]), path.clone()).await.unwrap();
    record.complete(&request("the old wording")).await.unwrap();
    let mut update = request("something else");
    update.purpose = Purpose::Update;
    record.complete(&update).await.unwrap();

    let replay = Replay::open(&path).await.unwrap();
    let error = replay.complete(&request("the new wording")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert_eq!(
        error.message(),
        "the recording holds no answer to this sample request; the only one left for this purpose differs at \
         messages[0].parts[0].text: recorded \"the old wording\" from character 0, asked \"the new wording\"; \
         record the run again if it was meant to change"
    );
    let judge = Request::new(Purpose::Judge, [Message::user("x")]);
    let error = replay.complete(&judge).await.unwrap_err();
    assert_eq!(
        error.message(),
        "the recording holds no answer to this judge request; record the run again if it was meant to change"
    );
}

#[tokio::test]
async fn a_recording_is_never_overwritten() {
    let (_folder, path) = file();
    std::fs::write(&path, "precious").unwrap();
    let error = EngineExt::record(ScriptedEngine::new(["1"]), path.clone()).await.unwrap_err();
    assert!(error.message().contains("exists already"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let nowhere = path.parent().unwrap().join("no/such/folder/run.jsonl");
    assert!(EngineExt::record(ScriptedEngine::new(["1"]), nowhere).await.is_err());
}

#[tokio::test]
async fn a_torn_last_line_is_left_out_and_anything_else_is_named() {
    let (_folder, path) = file();
    let record = EngineExt::record(ScriptedEngine::new(["1", "2"]), path.clone()).await.unwrap();
    texts(&record, &["a", "b"]).await;
    let whole = std::fs::read_to_string(&path).unwrap();

    std::fs::write(&path, &whole.as_bytes()[..whole.len() - 5]).unwrap();
    let replay = Replay::open(&path).await.unwrap();
    assert_eq!(texts(&replay, &["a"]).await, ["1"]);
    assert_eq!(replay.remaining(), 0);

    for (content, complaint) in [
        (String::new(), "expected a recorded call, got none"),
        ("{}\n".into(), "expected a call or a graph in line 1"),
        (whole.replace("\"version\":1", "\"version\":2"), "got version 2 in line 1"),
        (whole.replace("\"response\"", "\"nothing\""), "expected a call or a graph in line 1"),
        (whole.replacen("scripted", "another", 1), "expected calls of one engine, got another and"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = Replay::open(&path).await.unwrap_err();
        assert!(error.to_string().contains(complaint), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(Replay::open(&path).await.unwrap_err().to_string().contains("cannot be read"));
}
