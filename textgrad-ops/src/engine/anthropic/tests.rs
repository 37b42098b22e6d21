//! The engine against a server on loopback.

use std::time::Duration;

use serde_json::{Value, json};
use textgrad_core::{
    Choice, Engine, EngineError, ErrorKind, FinishReason, Format, Image, Message, MessageRole,
    Part, Purpose, Request, Response, Sampling, Usage,
};

use super::Anthropic;
use crate::engine::HttpOptions;
use crate::engine::http::test_server::{TestServer, events, reply};
use crate::layer::EngineExt;

fn engine(server: &TestServer, stream: bool) -> Anthropic {
    Anthropic::builder(format!("http://{}", server.address), "claude")
        .http(HttpOptions::default().no_proxy())
        .key(" sk-secret\n")
        .stream(stream)
        .build()
        .unwrap()
}

fn hello() -> Request {
    Request::new(Purpose::Sample, [Message::user("hi")])
}

fn message(text: &str, reason: &str) -> String {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "x"},
            {"type": "text", "text": text},
        ],
        "stop_reason": reason, "stop_sequence": null,
        "usage": {"input_tokens": 5, "output_tokens": 7, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300},
    })
    .to_string()
}

/// What is sent for a request, and the outcome.
async fn sent(
    request: Request,
    replies: &[(u16, &str)],
) -> (Vec<Value>, Result<Response, EngineError>) {
    let replies = replies.iter().map(|(status, body)| reply(*status, "", body)).collect();
    let server = TestServer::start(replies).await;
    let outcome = engine(&server, false).complete(&request).await;
    (server.seen().await.iter().map(|seen| seen.json()).collect(), outcome)
}

fn bad_request(message: &str) -> String {
    json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}, "request_id": "r"})
        .to_string()
}

#[tokio::test]
async fn a_call_is_made_and_read() {
    let server = TestServer::start(vec![reply(200, "", &message("hello", "end_turn"))]).await;
    let response = engine(&server, false).complete(&hello()).await.unwrap();
    let usage =
        Usage { prompt_tokens: 325, completion_tokens: 7, cached_tokens: 300, ..Usage::default() };
    let expected =
        Response::new(vec![Choice::new("hello", FinishReason::Stop).with_reasoning("hm")])
            .with_model("claude-1")
            .with_usage(usage);
    assert_eq!(response, expected);
    let seen = &server.seen().await[0];
    assert!(seen.head.starts_with("post /v1/messages http/1.1\r\n"), "{}", seen.head);
    for line in ["x-api-key: sk-secret", "anthropic-version: 2023-06-01"] {
        assert!(seen.head.lines().any(|seen| seen == line), "{line} in {}", seen.head);
    }
    assert!(!seen.head.contains("authorization"), "{}", seen.head);
    assert_eq!(
        seen.json(),
        json!({"model": "claude", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}]})
    );
}

#[tokio::test]
async fn all_that_the_api_knows_of_the_sampling_is_sent() {
    let sampling = Sampling {
        n: 5,
        temperature: Some(1.0),
        top_p: Some(0.95),
        max_tokens: Some(9),
        seed: Some(7),
        stop: vec!["END".into()],
        frequency_penalty: Some(0.0),
        presence_penalty: None,
        top_logprobs: None,
        extra: json!({"top_k": 40, "output_config": {"effort": "low"}})
            .as_object()
            .unwrap()
            .clone(),
    };
    let schema = json!({"type": "object", "additionalProperties": false});
    let request = hello()
        .with_sampling(sampling)
        .with_format(Format::json_schema("verdict", schema.clone()).unwrap());
    let (sent, outcome) = sent(request, &[(200, &message("{}", "stop_sequence"))]).await;
    assert_eq!(
        outcome.unwrap().choices,
        [Choice::new("{}", FinishReason::Stop).with_reasoning("hm")]
    );
    assert_eq!(
        sent,
        [json!({
            "model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
            "temperature": 1.0, "top_p": 0.95, "stop_sequences": ["END"], "top_k": 40,
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
        })]
    );
}

#[tokio::test]
async fn a_conversation_is_put_as_the_api_wants_it() {
    let image = Part::Image(Image::new(vec![1, 2, 3], "image/png").unwrap());
    let request = Request::new(
        Purpose::Sample,
        [
            Message::system("be brief"),
            Message::new(MessageRole::User, [image, Part::Text("what?".into())]),
            Message::user(" \n"),
            Message::user("tell"),
            Message::system("be kind"),
            Message::assistant(""),
            Message::assistant("It is \n"),
        ],
    );
    let (sent, _) = sent(request, &[(200, &message("x", "end_turn"))]).await;
    assert_eq!(sent[0]["system"], "be brief\n\nbe kind");
    assert_eq!(
        sent[0]["messages"],
        json!([
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AQID"}},
                {"type": "text", "text": "what?"},
                {"type": "text", "text": "tell"},
            ]},
            {"role": "assistant", "content": "It is"},
        ])
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_and_not_sent() {
    let refused =
        async |sampling: Sampling| sent(hello().with_sampling(sampling), &[]).await.1.unwrap_err();
    for temperature in [1.3, -0.1] {
        let error = refused(Sampling::default().with_temperature(temperature)).await;
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains("a temperature from 0 to 1"), "{error}");
        assert!(error.to_string().contains(&temperature.to_string()), "{error}");
    }
    let penalty = Sampling { presence_penalty: Some(0.5), ..Sampling::default() };
    let error = refused(penalty).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("presence_penalty"), "{error}");
    assert_eq!(
        refused(Sampling::default().with_top_logprobs(5)).await.kind(),
        ErrorKind::Unsupported
    );
    assert_eq!(refused(Sampling::default().with_n(0)).await.kind(), ErrorKind::InvalidRequest);
    for field in ["system", "max_tokens", "stream"] {
        let mut sampling = Sampling::default();
        sampling.extra.insert(field.into(), 1.into());
        assert!(refused(sampling).await.to_string().contains(field));
    }
    let mut request = hello().with_format(Format::json_schema("x", json!({})).unwrap());
    for config in [json!(7), json!({"format": {}})] {
        request.sampling.extra.insert("output_config".into(), config);
        let error = sent(request.clone(), &[]).await.1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
}

#[tokio::test]
async fn a_model_that_takes_fewer_controls_is_asked_without_them_from_then_on() {
    let both = bad_request(
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    );
    let ok = message("x", "end_turn");
    let replies = [(400, &both), (200, &ok), (200, &ok), (200, &ok)];
    let server =
        TestServer::start(replies.iter().map(|(status, body)| reply(*status, "", body)).collect())
            .await;
    let engine = engine(&server, false);
    let mut sampling = Sampling::default().with_temperature(0.5);
    sampling.top_p = Some(0.9);
    for _ in 0..2 {
        engine.complete(&hello().with_sampling(sampling.clone())).await.unwrap();
    }
    sampling.temperature = None;
    engine.complete(&hello().with_sampling(sampling)).await.unwrap();
    let seen = server.seen().await;
    let controls: Vec<_> = seen
        .iter()
        .map(|seen| {
            let body = seen.json();
            (body["temperature"].as_f64(), body["top_p"].as_f64())
        })
        .collect();
    let (first, temperature, top_p) =
        ((Some(0.5), Some(0.9)), (Some(0.5), None), (None, Some(0.9)));
    assert_eq!(controls, [first, temperature, temperature, top_p]);
}

#[tokio::test]
async fn a_model_that_takes_no_controls_is_asked_without() {
    let none = bad_request("`temperature` is deprecated for this model.");
    let ok = message("x", "end_turn");
    let request = hello().with_sampling(Sampling::default().with_temperature(0.5));
    let (asked, outcome) = sent(request, &[(400, &none), (200, &ok)]).await;
    assert!(outcome.is_ok());
    assert_eq!(
        asked[1],
        json!({"model": "claude", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}]})
    );

    // A refusal of what was not sent, or of something else, is final.
    for message in ["`temperature` is deprecated for this model.", "temperature: what?"] {
        let (asked, outcome) = sent(hello(), &[(400, &bad_request(message))]).await;
        assert_eq!(asked.len(), 1);
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}

#[tokio::test]
async fn reasons_to_end_have_their_common_names() {
    for (reason, expected) in [
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("refusal", FinishReason::ContentFilter),
        ("pause_turn", FinishReason::Other("pause_turn".into())),
        ("brand_new", FinishReason::Other("brand_new".into())),
    ] {
        let (_, outcome) = sent(hello(), &[(200, &message("x", reason))]).await;
        assert_eq!(outcome.unwrap().choices, [Choice::new("x", expected).with_reasoning("hm")]);
    }
}

#[tokio::test]
async fn a_reply_without_a_text_says_what_came() {
    let usage = json!({"input_tokens": 9, "output_tokens": 2});
    let empty = json!({"content": [], "stop_reason": "refusal", "usage": usage}).to_string();
    let error = sent(hello(), &[(200, &empty)]).await.1.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!error.is_retryable(), "it is refused again");
    assert_eq!(error.usage().total(), 11);
    assert!(error.to_string().contains("refused to answer: content_filter"), "{error}");
    let error = sent(hello(), &[(200, r#"{"choices":[]}"#)]).await.1.unwrap_err();
    assert!(error.to_string().contains("expected a message with content"), "{error}");
}

#[tokio::test]
async fn errors_have_their_kinds_and_no_key() {
    let error = |class: &str| {
        json!({"type": "error", "error": {"type": class, "message": "no sk-secret"}}).to_string()
    };
    for (status, class, kind, retryable) in [
        (401, "authentication_error", ErrorKind::Auth, false),
        (402, "billing_error", ErrorKind::Quota, false),
        (404, "not_found_error", ErrorKind::NotFound, false),
        (413, "request_too_large", ErrorKind::InvalidRequest, false),
        (500, "api_error", ErrorKind::Server, true),
        (529, "overloaded_error", ErrorKind::Server, true),
    ] {
        let failure = sent(hello(), &[(status, &error(class))]).await.1.unwrap_err();
        assert_eq!((failure.kind(), failure.is_retryable()), (kind, retryable), "{failure}");
        assert_eq!(failure.status(), Some(status));
        assert!(failure.to_string().contains(&format!("no [redacted] [{class}]")), "{failure}");
    }
    let limited = reply(429, "retry-after: 12\r\n", &error("rate_limit_error"));
    let server = TestServer::start(vec![limited]).await;
    let failure = engine(&server, false).complete(&hello()).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::RateLimited);
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(12)));
    assert!(!format!("{:?}", engine(&server, false)).contains("sk-secret"));
}

fn stream(end: &str) -> String {
    let events = [
        json!({"type": "message_start", "message": {"model": "claude-1", "content": [], "usage": {"input_tokens": 5, "cache_read_input_tokens": 300, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "één "}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "🦀"}}),
        json!({"type": "content_block_stop", "index": 1}),
    ];
    let events = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    events.collect::<String>() + end
}

const END: &str = concat!(
    "event: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":15}}"#,
    "\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
);

#[tokio::test]
async fn a_stream_gives_the_same_response_however_it_is_cut() {
    for size in [1, 7, 4096] {
        let server = TestServer::start(vec![events(&stream(END), size)]).await;
        let response = engine(&server, true).complete(&hello()).await.unwrap();
        let usage = Usage {
            prompt_tokens: 305,
            completion_tokens: 15,
            cached_tokens: 300,
            ..Usage::default()
        };
        let expected =
            Response::new(vec![Choice::new("één 🦀", FinishReason::Length).with_reasoning("hm")])
                .with_model("claude-1")
                .with_usage(usage);
        assert_eq!(response, expected);
        assert_eq!(server.seen().await[0].json()["stream"], true);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_or_fails_is_no_answer() {
    let failing = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    for (end, kind) in [("", ErrorKind::Connection), (failing, ErrorKind::Server)] {
        let server = TestServer::start(vec![events(&stream(end), 11)]).await;
        let error = engine(&server, true).complete(&hello()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn fill_asks_for_the_answers_that_one_request_does_not_give() {
    let replies = ["a", "b", "c"].map(|text| reply(200, "", &message(text, "end_turn")));
    let server = TestServer::start(replies.into()).await;
    let request = hello().with_sampling(Sampling::default().with_n(3));
    let response = engine(&server, false).complete_choices().complete(&request).await.unwrap();
    assert_eq!(response.choices.len(), 3);
    assert!(server.seen().await.iter().all(|seen| seen.json().get("n").is_none()));
}

#[test]
fn an_engine_is_identified_by_its_address_and_model() {
    let build = |url: &str| Anthropic::builder(url, "claude").key("hunter2").build().unwrap();
    let engine = build("https://h/?k=hunter2");
    assert_eq!(engine.identity(), "anthropic+https://h#claude");
    assert_eq!(engine.name(), "anthropic:claude");
    assert!(!format!("{engine:?}").contains("hunter2"));
    assert!(Anthropic::builder("https://h", " ").build().is_err());
}
