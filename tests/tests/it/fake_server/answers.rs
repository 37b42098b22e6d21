//! Answers without a fault.

use std::sync::Arc;

use serde_json::{Value, json};
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Choice, EngineError, ErrorKind, FinishReason, Message, Purpose, Usage, engine_fn,
};
use textgrad_tests::fake_server::{ErrorShape, FakeServer, Route};

use super::{chat, client, events_of, hello, hello_and, json_of, server_with};

#[tokio::test]
async fn a_whole_answer_has_the_shape_of_the_protocol() {
    let server = server_with(&[]).await;
    let response = chat(&server, &hello_and(json!({ "n": 2, "seed": 5 }))).await;
    assert_eq!(response.status(), 200);
    let mut body = json_of(response).await;
    assert!(body["created"].as_u64().unwrap() > 1_700_000_000);
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    body["created"] = json!(0);
    body["id"] = json!("");
    let choice = |index: u32, text: &str| {
        json!({
            "index": index,
            "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": null,
            "finish_reason": "stop",
            "stop_reason": null,
        })
    };
    assert_eq!(
        body,
        json!({
            "id": "",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [choice(0, "5: hello"), choice(1, "6: hello")],
            // The prompt is counted once for both choices.
            "usage": {
                "prompt_tokens": 2,
                "completion_tokens": 4,
                "total_tokens": 6,
                "prompt_tokens_details": { "cached_tokens": 0 },
            },
            "system_fingerprint": "fp_fake",
        })
    );
    assert_eq!(server.requests(), [hello_and(json!({ "n": 2, "seed": 5 }))]);
}

#[tokio::test]
async fn the_engine_is_asked_what_the_client_asked() {
    let engine = Arc::new(ScriptedEngine::new([Reply::texts(["a", "b", "c"])]));
    let server = FakeServer::builder().engine(Arc::clone(&engine)).start().await.unwrap();
    let body = json!({
        "messages": [
            { "role": "developer", "content": "rules" },
            { "role": "user", "content": [
                { "type": "text", "text": "look: " },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AQID" } },
            ] },
            { "role": "assistant", "content": null },
        ],
        "n": 3, "temperature": 0.5, "top_p": 0.9, "seed": 11, "stop": "</X>",
        "max_tokens": 7, "max_completion_tokens": 9, "top_k": -1, "nobody": "knows this",
    });
    assert_eq!(chat(&server, &body).await.status(), 200);

    let requests = engine.requests();
    let [request] = requests.as_slice() else {
        panic!("one request expected: {requests:?}");
    };
    assert_eq!(request.purpose, Purpose::Forward);
    assert_eq!(
        request.messages,
        [Message::system("rules"), Message::user("look: [image_url]"), Message::assistant("")]
    );
    let sampling = &request.sampling;
    assert_eq!((sampling.n, sampling.seed), (3, Some(11)));
    assert_eq!((sampling.temperature, sampling.top_p), (Some(0.5), Some(0.9)));
    assert_eq!(sampling.max_tokens, Some(9));
    assert_eq!(sampling.stop, ["</X>"]);
}

#[tokio::test]
async fn an_engine_that_counts_tokens_is_believed_and_its_reasons_are_kept() {
    let engine = engine_fn("counting", |_| async {
        let choice = Choice::new("x", FinishReason::Other("abort".to_owned()));
        let usage = Usage {
            prompt_tokens: 70,
            completion_tokens: 8,
            cached_tokens: 16,
            ..Usage::default()
        };
        Ok(textgrad_core::Response::new(vec![choice]).with_usage(usage))
    });
    let server = FakeServer::builder().engine(engine).start().await.unwrap();
    let body = json_of(chat(&server, &hello()).await).await;
    assert_eq!(body["choices"][0]["finish_reason"], "abort");
    assert_eq!(body["usage"]["total_tokens"], 78);
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 16);
}

#[tokio::test]
async fn a_stream_begins_with_roles_takes_turns_and_ends_with_usage_and_done() {
    let server = server_with(&[]).await;
    let long = "ä".repeat(20);
    let body = json!({
        "messages": [{ "role": "user", "content": long }],
        "n": 2, "stream": true, "stream_options": { "include_usage": true },
    });
    let events = events_of(chat(&server, &body).await).await;
    assert_eq!(events.last().unwrap(), "[DONE]");
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let (usage, chunks) = chunks.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 12);

    let mut texts = [String::new(), String::new()];
    let mut order = Vec::new();
    let mut ends = Vec::new();
    for chunk in chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], usage["id"]);
        assert!(chunk.get("usage").is_none());
        let choice = &chunk["choices"][0];
        let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
        order.push(index);
        texts[index] += choice["delta"]["content"].as_str().unwrap_or_default();
        if let Some(reason) = choice["finish_reason"].as_str() {
            ends.push((index, reason.to_owned()));
        }
    }
    for (index, chunk) in chunks.iter().take(2).enumerate() {
        let expected = json!({ "role": "assistant", "content": "" });
        assert_eq!(chunk["choices"][0]["delta"], expected, "{index}");
    }
    assert_eq!(order, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    assert_eq!(texts, [format!("0: {long}"), format!("1: {long}")]);
    assert_eq!(ends, [(0, "stop".to_owned()), (1, "stop".to_owned())]);
    assert_eq!(server.stats().route(Route::Chat).in_flight, 0);
}

#[tokio::test]
async fn a_stream_has_no_usage_unless_asked() {
    let server = server_with(&[]).await;
    let events = events_of(chat(&server, &hello_and(json!({ "stream": true }))).await).await;
    assert!(events.iter().all(|event| !event.contains("usage")), "{events:?}");
}

#[tokio::test]
async fn what_vllm_refuses_is_refused() {
    let server = server_with(&[]).await;
    for (fields, message) in [
        (json!({ "n": 2, "temperature": 0 }), "greedy sampling, got 2"),
        (json!({ "n": 0 }), "n must be between 1 and 128, got 0"),
        (json!({ "n": 129 }), "got 129"),
        (json!({ "top_p": 1.5 }), "top_p"),
        (json!({ "temperature": -1 }), "temperature"),
        (json!({ "messages": [] }), "messages must not be empty"),
        (json!({ "messages": [{ "role": "robot", "content": "x" }] }), "robot"),
        (json!({ "messages": "hello" }), "not valid"),
    ] {
        let response = chat(&server, &hello_and(fields.clone())).await;
        assert_eq!(response.status(), 400, "{fields}");
        let body = json_of(response).await;
        assert_eq!(body["error"]["type"], "BadRequestError");
        assert_eq!(body["error"]["code"], 400);
        let got = body["error"]["message"].as_str().unwrap();
        assert!(got.contains(message), "{got}");
    }
    assert_eq!(chat(&server, &hello_and(json!({ "temperature": 0 }))).await.status(), 200);
}

#[tokio::test]
async fn with_one_choice_at_most_it_says_nothing_and_gives_one() {
    let server = FakeServer::builder().max_choices(1).start().await.unwrap();
    let response = chat(&server, &hello_and(json!({ "n": 4, "temperature": 0 }))).await;
    assert_eq!(response.status(), 200);
    let body = json_of(response).await;
    assert_eq!(body["choices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn errors_come_in_every_shape() {
    for (shape, expected) in [
        (
            ErrorShape::Nested,
            json!({ "error": { "message": "no", "type": "BadRequestError", "param": null, "code": 400 } }),
        ),
        (
            ErrorShape::Flat,
            json!({ "object": "error", "message": "no", "type": "BadRequestError", "param": null, "code": 400 }),
        ),
        (ErrorShape::String, json!({ "error": "no" })),
    ] {
        let engine = engine_fn("refusing", |_| async {
            Err(EngineError::new(ErrorKind::InvalidRequest, "no"))
        });
        let server = FakeServer::builder().engine(engine).error_shape(shape).start().await.unwrap();
        let response = chat(&server, &hello()).await;
        assert_eq!(response.status(), 400);
        assert_eq!(json_of(response).await, expected);
    }
}

#[tokio::test]
async fn the_key_is_asked_for_below_v1_only() {
    let server = FakeServer::builder()
        .api_key("sesame")
        .fault("500".parse::<textgrad_tests::fake_server::FaultRule>().unwrap())
        .start()
        .await
        .unwrap();
    let client = client();
    let models = format!("{}/models", server.base_url());
    for request in [
        client.get(&models),
        client.get(&models).bearer_auth("wrong"),
        client.get(format!("{}/nothing", server.base_url())),
        client.post(format!("{}/chat/completions", server.base_url())).json(&hello()),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.text().await.unwrap(), r#"{"error":"Unauthorized"}"#);
    }
    let response = client.get(&models).bearer_auth("sesame").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let health = client.get(format!("{}/health", server.url())).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let score = super::classify(&server, &json!({ "input": "x" })).await;
    assert_eq!(score.status(), 200);
    // A request that the key turned away uses no fault up.
    let url = format!("{}/chat/completions", server.base_url());
    let response = client.post(url).bearer_auth("sesame").json(&hello()).send().await.unwrap();
    assert_eq!(response.status(), 500);
}

#[tokio::test]
async fn named_models_are_listed_and_others_do_not_exist() {
    let server = FakeServer::builder().models(["policy", "rm"]).start().await.unwrap();
    let url = format!("{}/models", server.base_url());
    let body = json_of(client().get(url).send().await.unwrap()).await;
    assert_eq!(body["object"], "list");
    let names: Vec<_> = body["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(names, ["policy", "rm"]);
    assert_eq!(body["data"][0]["owned_by"], "vllm");

    let response = chat(&server, &hello()).await;
    assert_eq!(response.status(), 404);
    assert_eq!(json_of(response).await["error"]["message"], "The model `m` does not exist.");
    let response = chat(&server, &hello_and(json!({ "model": "rm" }))).await;
    assert_eq!(json_of(response).await["model"], "rm");
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_said_to() {
    let server = server_with(&[]).await;
    let response = client().get(format!("{}/nothing", server.url())).send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.text().await.unwrap(), r#"{"detail":"Not Found"}"#);
    let response = client().get(format!("{}/classify", server.url())).send().await.unwrap();
    assert_eq!(response.status(), 405);
    let response = client().get(format!("{}/health", server.url())).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "");
    assert_eq!(server.stats().route(Route::Other).requests, 2);
    assert_eq!(server.stats().route(Route::Health).requests, 1);
}
