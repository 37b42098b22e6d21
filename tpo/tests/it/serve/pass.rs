//! Requests that the policy serves without a search.

use std::time::Duration;

use serde_json::json;
use textgrad_ops::engine::http::JsonClient;
use textgrad_tests::fake_server::{FakeServer, FaultRule, Route};
use tpo::serve::{ServerBuilder, Unsearchable, Upstream};

use super::{QUERY, serve, tpo};

async fn upstream(server: &FakeServer) -> Option<Upstream> {
    let dead = FakeServer::builder().start().await.unwrap();
    let urls = [dead.base_url(), server.base_url()];
    dead.stop().await;
    let clients = urls.map(|url| JsonClient::builder(url).build().unwrap()).into();
    Some(Upstream { clients, model: "sim".to_owned() })
}

#[tokio::test]
async fn the_policy_answers_without_a_search() {
    let serving = serve(tpo(), |builder| builder).await;
    let answer = serving.chat(json!({"model": "policy", "n": 2})).await.ok();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 2);
    assert_eq!(answer["choices"][1]["index"], 1);
    assert!(answer["tpo"].is_null());
    assert_eq!(answer["model"], "sim (simulation)");
    assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    let events = serving.chat(json!({"model": "policy", "stream": true})).await.events();
    let text: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert!(!text.is_empty());
    let error = serving.chat(json!({"model": "policy", "logprobs": true})).await.error(400);
    assert_eq!(error["param"], "logprobs");
}

#[tokio::test]
async fn requests_pass_to_the_policys_server_as_they_are() {
    let server = FakeServer::builder().start().await.unwrap();
    let upstream = upstream(&server).await;
    let serving = serve(tpo(), |builder| builder.upstream(upstream)).await;
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let more = json!({"tools": tools, "temperature": 0.5, "tpo": {"samples": 3}, "top_k": 4});
    let answer = serving.chat(more).await.ok();
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    let sent = server.requests_to(Route::Chat).pop().unwrap();
    assert_eq!(
        (&sent["model"], &sent["tools"], &sent["top_k"]),
        (&json!("sim"), &tools, &json!(4))
    );
    assert_eq!(sent["messages"][0]["content"], QUERY);
    assert!(sent["tpo"].is_null());
    let streamed = serving.chat(json!({"model": "policy", "stream": true})).await;
    assert!(streamed.headers["content-type"].starts_with("text/event-stream"));
    assert!(!streamed.events().is_empty());
    assert_eq!(server.stats().route(Route::Chat).requests, 2);
    assert!(streamed.headers["x-tpo-id"].starts_with("chatcmpl-"));
    assert_eq!(serving.metric("tpo_passed_total{end=\"answered\"}").await, 2.0);
    let tokens = "tpo_upstream_tokens_total{purpose=\"forward\",kind=\"completion\"}";
    let used = answer["usage"]["completion_tokens"].as_f64().unwrap();
    assert!(used > 0.0 && serving.metric(tokens).await >= used);
}

#[tokio::test]
async fn a_deadline_holds_for_what_the_policy_serves() {
    let rule: FaultRule = "stall=5000@always".parse().unwrap();
    let server = FakeServer::builder().fault(rule).start().await.unwrap();
    let upstream = upstream(&server).await;
    let set = |builder: ServerBuilder| {
        builder.upstream(upstream).deadline(Some(Duration::from_millis(100)))
    };
    let serving = serve(tpo(), set).await;
    let reply = serving.chat(json!({"model": "policy"})).await;
    assert_eq!(reply.error(504)["code"], "deadline_exceeded");
    assert!(reply.headers.contains_key("x-tpo-id"));
    assert_eq!(serving.metric("tpo_passed_total{end=\"failed\"}").await, 1.0);
}

#[tokio::test]
async fn failures_of_the_policys_server_are_those_of_a_gateway() {
    let rule: FaultRule = "500@always".parse().unwrap();
    let server = FakeServer::builder().fault(rule).start().await.unwrap();
    let upstream = upstream(&server).await;
    let serving = serve(tpo(), |builder| builder.upstream(upstream)).await;
    let error = serving.chat(json!({"model": "policy"})).await.error(502);
    assert_eq!(error["code"], "upstream_error");
    assert!(!error["message"].as_str().unwrap().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn what_no_search_serves_is_refused_by_name_where_that_is_set() {
    let serving = serve(tpo(), |builder| builder.unsearchable(Unsearchable::Refuse)).await;
    let format = json!({"response_format": {"type": "json_object"}});
    let error = serving.chat(format).await.error(400);
    assert_eq!(error["param"], "response_format");
    assert!(error["message"].as_str().unwrap().contains("\"policy\""), "{error}");
}
