//! The engine against a server on loopback.

use std::time::Duration;

use serde_json::{Value, json};
use textgrad_core::{
    Choice, Engine, EngineError, ErrorKind, FinishReason, Format, Image, Message, MessageRole,
    Part, Purpose, Request, Response, Sampling, Usage,
};

use super::Gemini;
use crate::engine::HttpOptions;
use crate::engine::http::test_server::{TestServer, events, reply};
use crate::layer::EngineExt;

fn engine(server: &TestServer, stream: bool) -> Gemini {
    Gemini::builder(format!("http://{}/v1beta", server.address), "gemini-x")
        .http(HttpOptions::default().no_proxy())
        .key("g-secret")
        .stream(stream)
        .build()
        .unwrap()
}

fn hello() -> Request {
    Request::new(Purpose::Sample, [Message::user("hi")])
}

fn candidate(index: u64, text: &str, reason: &str) -> Value {
    json!({
        "index": index, "finishReason": reason, "safetyRatings": [],
        "content": {"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": text}]},
    })
}

fn answer(candidates: &[Value]) -> String {
    json!({
        "candidates": candidates, "promptFeedback": {}, "modelVersion": "gemini-x-001", "responseId": "r",
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 30, "cachedContentTokenCount": 8, "totalTokenCount": 43},
    })
    .to_string()
}

fn failure(code: u16, status: &str, message: &str, details: Value) -> String {
    json!({"error": {"code": code, "message": message, "status": status, "details": details}})
        .to_string()
}

async fn sent(
    request: Request,
    replies: &[(u16, &str)],
) -> (Vec<Value>, Result<Response, EngineError>) {
    let replies = replies.iter().map(|(status, body)| reply(*status, "", body)).collect();
    let server = TestServer::start(replies).await;
    let outcome = engine(&server, false).complete(&request).await;
    (server.seen().await.iter().map(|seen| seen.json()).collect(), outcome)
}

#[tokio::test]
async fn a_call_is_made_and_read() {
    let body = answer(&[candidate(0, "hello", "STOP")]);
    let server = TestServer::start(vec![reply(200, "", &body)]).await;
    let response = engine(&server, false).complete(&hello()).await.unwrap();
    let usage =
        Usage { prompt_tokens: 9, completion_tokens: 34, cached_tokens: 8, reasoning_tokens: 30 };
    let expected =
        Response::new(vec![Choice::new("hello", FinishReason::Stop).with_reasoning("hm")])
            .with_model("gemini-x-001")
            .with_usage(usage);
    assert_eq!(response, expected);
    let seen = &server.seen().await[0];
    assert!(
        seen.head.starts_with("post /v1beta/models/gemini-x:generatecontent http/1.1\r\n"),
        "{}",
        seen.head
    );
    assert!(seen.head.lines().any(|line| line == "x-goog-api-key: g-secret"), "{}", seen.head);
    assert_eq!(seen.json(), json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}));
}

#[tokio::test]
async fn all_of_the_sampling_is_sent() {
    let sampling = Sampling {
        n: 2,
        temperature: Some(1.5),
        top_p: Some(0.95),
        max_tokens: Some(9),
        seed: Some(u64::MAX),
        stop: vec!["END".into()],
        frequency_penalty: Some(0.5),
        presence_penalty: Some(-0.5),
        top_logprobs: None,
        extra: json!({"safetySettings": [], "generationConfig": {"topK": 40}})
            .as_object()
            .unwrap()
            .clone(),
    };
    let schema = json!({"type": "object"});
    let request = hello()
        .with_sampling(sampling)
        .with_format(Format::json_schema("verdict", schema.clone()).unwrap());
    let body = answer(&[candidate(1, "b", "MAX_TOKENS"), candidate(0, "a", "STOP")]);
    let (sent, outcome) = sent(request, &[(200, &body)]).await;
    let expected = [("a", FinishReason::Stop), ("b", FinishReason::Length)]
        .map(|(text, reason)| Choice::new(text, reason).with_reasoning("hm"));
    assert_eq!(outcome.unwrap().choices, expected);
    assert_eq!(
        sent,
        [json!({
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "safetySettings": [],
            "generationConfig": {
                "topK": 40, "candidateCount": 2, "temperature": 1.5, "topP": 0.95, "maxOutputTokens": 9,
                "seed": i32::MAX, "stopSequences": ["END"], "frequencyPenalty": 0.5,
                "presencePenalty": -0.5, "responseMimeType": "application/json",
                "responseJsonSchema": schema,
            },
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
            Message::user(""),
            Message::assistant("a cat"),
            Message::user("why?"),
        ],
    );
    let (sent, _) = sent(request, &[(200, &answer(&[candidate(0, "x", "STOP")]))]).await;
    assert_eq!(
        sent[0],
        json!({
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [
                {"role": "user", "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "AQID"}},
                    {"text": "what?"},
                ]},
                {"role": "model", "parts": [{"text": "a cat"}]},
                {"role": "user", "parts": [{"text": "why?"}]},
            ],
        })
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_and_not_sent() {
    for extra in [
        json!({"contents": []}),
        json!({"generationConfig": {"seed": 7}}),
        json!({"generationConfig": 7}),
    ] {
        let mut request = hello();
        request.sampling.extra = extra.as_object().unwrap().clone();
        let error = sent(request, &[]).await.1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    }
    let none = hello().with_sampling(Sampling::default().with_n(0));
    assert!(sent(none, &[]).await.1.unwrap_err().to_string().contains("n = 0"));
}

#[tokio::test]
async fn a_model_that_gives_one_answer_at_a_time_is_remembered() {
    let refusal = failure(
        400,
        "INVALID_ARGUMENT",
        "Multiple candidates is not enabled for this model",
        json!([]),
    );
    let ok = answer(&[candidate(0, "x", "STOP")]);
    let replies = [(400, &refusal), (200, &ok), (200, &ok), (200, &ok), (200, &ok)];
    let replies = replies.iter().map(|(status, body)| reply(*status, "", body)).collect();
    let server = TestServer::start(replies).await;
    let engine = engine(&server, false);
    let request = hello().with_sampling(Sampling::default().with_n(2).with_seed(7));
    for _ in 0..2 {
        assert_eq!(engine.complete(&request).await.unwrap().choices.len(), 1);
    }
    assert_eq!(
        engine.clone().complete_choices().complete(&request).await.unwrap().choices.len(),
        2
    );
    let asked: Vec<_> = server
        .seen()
        .await
        .iter()
        .map(|seen| {
            let config = seen.json()["generationConfig"].clone();
            (config["candidateCount"].as_u64(), config["seed"].as_u64())
        })
        .collect();
    let (first, second) = ((None, Some(7)), (None, Some(8)));
    assert_eq!(asked, [(Some(2), Some(7)), first, first, first, second]);
}

#[tokio::test]
async fn another_refusal_of_several_answers_is_an_error() {
    let refusal = failure(400, "INVALID_ARGUMENT", "candidateCount must be at most 8", json!([]));
    let request = hello().with_sampling(Sampling::default().with_n(9));
    let (asked, outcome) = sent(request, &[(400, &refusal)]).await;
    assert_eq!(asked.len(), 1);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn what_is_blocked_is_reported() {
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}})
            .to_string();
    let error = sent(hello(), &[(200, &blocked)]).await.1.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!error.is_retryable());
    assert_eq!(error.usage().prompt_tokens, 9);
    assert!(error.to_string().contains("the prompt was refused: SAFETY"), "{error}");

    let empty = json!({"candidates": [{"finishReason": "SAFETY"}], "usageMetadata": {"promptTokenCount": 8}});
    let error = sent(hello(), &[(200, &empty.to_string())]).await.1.unwrap_err();
    assert_eq!((error.is_retryable(), error.usage().prompt_tokens), (false, 8));
    assert!(error.to_string().contains("refused to answer: SAFETY"), "{error}");

    for reason in ["TOO_MANY_TOOL_CALLS", "IMAGE_RECITATION", "BLOCKLIST"] {
        let empty =
            json!({ "candidates": [{ "content": {}, "finishReason": reason }] }).to_string();
        let error = sent(hello(), &[(200, &empty)]).await.1.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Refused && error.to_string().contains(reason),
            "{error}"
        );
    }

    for (reason, expected) in [
        ("SAFETY", FinishReason::ContentFilter),
        ("RECITATION", FinishReason::ContentFilter),
        ("LANGUAGE", FinishReason::ContentFilter),
        ("NEW_REASON", FinishReason::Other("NEW_REASON".into())),
    ] {
        let (_, outcome) = sent(hello(), &[(200, &answer(&[candidate(0, "x", reason)]))]).await;
        assert_eq!(outcome.unwrap().choices, [Choice::new("x", expected).with_reasoning("hm")]);
    }
    let error = sent(hello(), &[(200, r#"{"choices":[]}"#)]).await.1.unwrap_err();
    assert!(error.to_string().contains("expected a reply with candidates"), "{error}");
}

#[tokio::test]
async fn errors_have_their_kinds_and_waits_and_no_key() {
    let wait = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36s"}]);
    let limited = failure(429, "RESOURCE_EXHAUSTED", "slow down g-secret", wait);
    let error = sent(hello(), &[(429, &limited)]).await.1.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(36)));
    assert!(
        error.to_string().contains("slow down [redacted] [RESOURCE_EXHAUSTED, 429]"),
        "{error}"
    );

    let key =
        json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
    let key = failure(400, "INVALID_ARGUMENT", "API key not valid.", key);
    assert_eq!(sent(hello(), &[(400, &key)]).await.1.unwrap_err().kind(), ErrorKind::Auth);
    let busy = failure(503, "UNAVAILABLE", "overloaded", json!([]));
    assert!(sent(hello(), &[(503, &busy)]).await.1.unwrap_err().is_retryable());
}

fn event(value: &Value) -> String {
    format!("data: {value}\r\n\r\n")
}

#[tokio::test]
async fn a_stream_gives_the_same_response_however_it_is_cut() {
    let piece = |text: &str| json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}], "modelVersion": "gemini-x-001"});
    let thought = json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}]}, "index": 0}]});
    let last = json!({"candidates": [{"content": {"parts": [{"text": "!"}]}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 1}});
    let pieces = [thought, piece("één "), piece("🦀")];
    let begun: String = pieces.iter().map(event).collect();
    for size in [1, 7, 4096] {
        let text = begun.clone() + &event(&last);
        let server = TestServer::start(vec![events(&text, size)]).await;
        let request = hello().with_sampling(Sampling::default().with_n(2));
        let response = engine(&server, true).complete(&request).await.unwrap();
        assert_eq!(
            response.choices,
            [Choice::new("één 🦀!", FinishReason::Stop).with_reasoning("hm")]
        );
        assert_eq!((response.usage.total(), response.model.as_str()), (14, "gemini-x-001"));
        let head = &server.seen().await[0].head;
        assert!(
            head.starts_with("post /v1beta/models/gemini-x:streamgeneratecontent?alt=sse http/1.1"),
            "{head}"
        );
    }
    let failing = begun.clone()
        + &event(&json!({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}));
    let blocked = event(&json!({"promptFeedback": {"blockReason": "OTHER"}}));
    for (text, kind) in [
        (begun, ErrorKind::Connection),
        (String::new(), ErrorKind::Connection),
        (failing, ErrorKind::Server),
        (blocked, ErrorKind::Refused),
    ] {
        let server = TestServer::start(vec![events(&text, 13)]).await;
        let error = engine(&server, true).complete(&hello()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.is_retryable(), kind != ErrorKind::Refused);
    }
}

#[test]
fn the_name_of_a_model_stays_within_its_path() {
    let build = |model: &str| Gemini::builder("https://h/v1beta/", model).key("hunter2").build();
    for model in ["", " ", "a b", "../x", "models/..", "a?b", "a#b", "a/", "é", "a:b"] {
        let error = build(model).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{model}");
    }
    let engine = build("gemini-x").unwrap();
    assert_eq!(engine.identity(), "gemini+https://h/v1beta#models/gemini-x");
    assert_eq!(build("models/gemini-x").unwrap().identity(), engine.identity());
    assert_eq!(build("tunedModels/x").unwrap().name(), "gemini:tunedModels/x");
    assert!(!format!("{engine:?}").contains("hunter2"));
}
