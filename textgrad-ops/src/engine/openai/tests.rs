//! The engine against a server on loopback.

use serde_json::{Value, json};
use textgrad_core::{
    Choice, Engine, EngineError, ErrorKind, FinishReason, Message, Purpose, Request, Response,
    Sampling, Usage,
};

use super::OpenAi;
use crate::engine::HttpOptions;
use crate::engine::http::test_server::{TestServer, events, reply};

fn request(n: u32) -> Request {
    Request::new(Purpose::Sample, [Message::user("hi")])
        .with_sampling(Sampling::default().with_n(n).with_seed(7))
}

async fn complete(server: &TestServer, stream: bool, n: u32) -> Result<Response, EngineError> {
    let engine = OpenAi::builder(format!("http://{}/v1", server.address), "m")
        .http(HttpOptions::default().no_proxy())
        .key("sk-secret")
        .stream(stream)
        .build()?;
    engine.complete(&request(n)).await
}

fn chunk(index: u64, text: &str, reason: Value) -> String {
    let chunk = json!({"model": "m-1", "choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}]});
    format!("data: {chunk}\r\n\r\n")
}

#[tokio::test]
async fn a_call_is_made_and_read() {
    let body = r#"{"model":"m-1","choices":[{"index":0,"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let server = TestServer::start(vec![reply(200, "", body)]).await;
    let usage =
        Usage { prompt_tokens: 1, completion_tokens: 2, cached_tokens: 0, ..Usage::default() };
    let expected = Response::new(vec![Choice::new("hello", FinishReason::Stop)])
        .with_model("m-1")
        .with_usage(usage);
    assert_eq!(complete(&server, false, 2).await.unwrap(), expected);
    let seen = &server.seen().await[0];
    assert!(seen.head.starts_with("post /v1/chat/completions "), "{}", seen.head);
    assert_eq!(
        seen.json(),
        json!({"model": "m", "n": 2, "seed": 7, "stream": false, "messages": [{"role": "user", "content": "hi"}]})
    );
}

#[tokio::test]
async fn a_stream_gives_the_same_response_however_it_is_cut() {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    let stream = [
        ": ping\r\n\r\n".to_owned(),
        chunk(1, "zwei", Value::Null),
        chunk(0, "één 🦀", Value::Null),
        chunk(1, "!", json!("length")),
        chunk(0, "", json!("stop")),
        format!("data: {usage}\r\n\r\ndata: [DONE]\r\n\r\n"),
    ]
    .concat();
    for size in [1, 7, 4096] {
        let server = TestServer::start(vec![events(&stream, size)]).await;
        let response = complete(&server, true, 2).await.unwrap();
        let expected =
            [Choice::new("één 🦀", FinishReason::Stop), Choice::new("zwei!", FinishReason::Length)];
        assert_eq!(response.choices, expected);
        assert_eq!((response.usage.total(), response.model.as_str()), (3, "m-1"));
        let sent = server.seen().await[0].json();
        assert_eq!(
            (&sent["stream"], &sent["stream_options"]),
            (&json!(true), &json!({"include_usage": true}))
        );
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_no_answer() {
    let text = chunk(0, "half an ans", Value::Null);
    let server = TestServer::start(vec![events(&text, 4096)]).await;
    let error = complete(&server, true, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);

    let server = TestServer::start(vec![events(&format!("{text}data: [DONE]\n\n"), 4096)]).await;
    let error = complete(&server, true, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResponse);
}

#[tokio::test]
async fn an_error_within_a_stream_is_that_error() {
    let text = chunk(0, "half", Value::Null)
        + r#"data: {"error":{"message":"out of memory, sk-secret","type":"x","code":500}}"#
        + "\n\n";
    let server = TestServer::start(vec![events(&text, 4096)]).await;
    let error = complete(&server, true, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(error.to_string().contains("out of memory, [redacted] [x, 500]"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_read_whole() {
    let body = r#"{"choices":[{"index":0,"message":{"content":"hello"},"finish_reason":"stop"}]}"#;
    let server = TestServer::start(vec![reply(
        200,
        "content-type: application/json; charset=utf-8\r\n",
        body,
    )])
    .await;
    assert_eq!(complete(&server, true, 1).await.unwrap().choices[0].text, "hello");
}

#[tokio::test]
async fn a_reply_without_an_answer_says_what_came() {
    let empty = r#"{"choices":[{"index":0,"message":{"content":null},"finish_reason":"length"}]}"#;
    let server =
        TestServer::start(vec![reply(200, "", empty), reply(200, "", r#"{"data":[]}"#)]).await;
    let error = complete(&server, false, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAnswer);
    assert!(
        error.to_string().contains("the bound on tokens was reached after 0 completion tokens"),
        "{error}"
    );
    let error = complete(&server, false, 1).await.unwrap_err();
    assert!(error.to_string().contains(r#"got `{"data":[]}`"#), "{error}");
}

#[test]
fn an_engine_needs_a_model_and_has_a_name() {
    assert!(OpenAi::builder("http://h", " ").build().is_err());
    let engine = OpenAi::builder("http://h", "llama3:8b")
        .name("ollama:llama3:8b")
        .key("hunter2")
        .build()
        .unwrap();
    assert_eq!(engine.name(), "ollama:llama3:8b");
    assert!(!engine.is_simulation());
    assert!(!format!("{engine:?}").contains("hunter2"));
}

#[test]
fn an_engine_is_identified_by_its_address_and_model_without_secrets() {
    let identity = |url: &str, model: &str| {
        OpenAi::builder(url, model).name("same").build().unwrap().identity().to_owned()
    };
    let one = identity("http://me:hunter2@h:8000/v1/?key=hunter2", "m");
    assert_eq!(one, "openai+http://h:8000/v1#m");
    assert_eq!(one, identity("http://h:8000/v1", "m"));
    assert_ne!(one, identity("http://h:8001/v1", "m"));
    assert_ne!(one, identity("http://h:8000/v1", "m2"));
}

#[tokio::test]
async fn what_is_withheld_is_final_and_its_tokens_are_known() {
    let usage = r#""usage":{"prompt_tokens":9,"completion_tokens":2}"#;
    for content in ["null", "\"\""] {
        let body = format!(
            r#"{{"choices":[{{"message":{{"content":{content}}},"finish_reason":"content_filter"}}],{usage}}}"#
        );
        let server = TestServer::start(vec![reply(200, "", &body)]).await;
        let error = complete(&server, false, 1).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Refused, false));
        assert_eq!(error.usage().total(), 11);
        assert!(error.to_string().contains("refused to answer: content_filter"), "{error}");
    }
    let stream = [
        chunk(0, "", json!("content_filter")),
        format!("data: {{\"choices\":[],{usage}}}\r\n\r\ndata: [DONE]\r\n\r\n"),
    ];
    let server = TestServer::start(vec![events(&stream.concat(), 4096)]).await;
    let error = complete(&server, true, 1).await.unwrap_err();
    assert_eq!((error.is_retryable(), error.usage().total()), (false, 11));
    // Half of it was not withheld, but the connection broke: asking again may help, and costs again.
    let broken = format!("data: {{\"choices\":[],{usage}}}\r\n\r\n{}", chunk(0, "h", Value::Null));
    let server = TestServer::start(vec![events(&broken, 4096)]).await;
    let error = complete(&server, true, 1).await.unwrap_err();
    assert_eq!((error.is_retryable(), error.usage().total()), (true, 11));
}

/// A reply that an engine streams from itself, or that a proxy calls by another name.
/// Kind: Streams | JSON under any content type, or a stream that was not asked for | read as what it is
#[tokio::test]
async fn a_body_is_read_as_what_it_is() {
    let whole = r#"{"choices":[{"index":0,"message":{"content":"hello"},"finish_reason":"stop"}]}"#;
    let stream = [chunk(0, "hello", json!("stop")), "data: [DONE]\r\n\r\n".to_owned()].concat();
    let bom = format!("\u{FEFF}{whole}");
    for (streams, kind, body) in [
        (false, "text/plain", whole),
        (true, "Application/JSON", whole),
        (true, "text/event-stream", whole),
        (false, "application/json", stream.as_str()),
        (true, "application/octet-stream", stream.as_str()),
        (true, "text/event-stream", bom.as_str()),
    ] {
        let head = format!("content-type: {kind}\r\n");
        let server = TestServer::start(vec![reply(200, &head, body)]).await;
        let response = complete(&server, streams, 1).await.unwrap();
        assert_eq!(response.choices[0].text, "hello", "{kind}");
    }
}

/// Kind: Parameters | a 400 that names a parameter which is not supported | left out once and from then
/// on, with a warning
#[tokio::test]
async fn what_a_server_refuses_is_left_out_once_and_remembered() {
    let answer = r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}"#;
    let refuse = |words: &str| {
        json!({"error": {"message": words, "type": "invalid_request_error"}}).to_string()
    };
    let seed = refuse("Extra parameter `seed` is not permitted here.");
    let tokens = refuse(
        "This model's maximum context length is 64 tokens. However, you requested 120 tokens (20 in the messages, 100 in the completion).",
    );
    let server = TestServer::start(vec![
        reply(400, "", &seed),
        reply(400, "", &tokens),
        reply(200, "", answer),
        reply(200, "", answer),
    ])
    .await;
    let engine = OpenAi::builder(format!("http://{}/v1", server.address), "m")
        .http(HttpOptions::default().no_proxy())
        .build()
        .unwrap();
    let sampling = Sampling::default().with_seed(7).with_max_tokens(100);
    for _ in 0..2 {
        let request =
            Request::new(Purpose::Sample, [Message::user("hi")]).with_sampling(sampling.clone());
        engine.complete(&request).await.unwrap();
    }
    let seen = server.seen().await;
    let sent: Vec<_> = seen
        .iter()
        .map(|seen| seen.json())
        .map(|body| (body["seed"].clone(), body["max_tokens"].clone()))
        .collect();
    let none = Value::Null;
    assert_eq!(
        sent,
        [
            (json!(7), json!(100)),
            (none.clone(), json!(100)),
            (none.clone(), json!(44)),
            (none, json!(100))
        ]
    );
}

/// Kind: Parameters | a 400 for the value of a parameter | an error after one request
#[tokio::test]
async fn a_refusal_without_a_remedy_is_an_error_at_once() {
    let body = json!({"error": {"message": "temperature must be at most 2"}}).to_string();
    let server = TestServer::start(vec![reply(400, "", &body)]).await;
    let error = complete(&server, false, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(server.seen().await.len(), 1);
}
