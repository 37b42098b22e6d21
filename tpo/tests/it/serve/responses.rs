//! Responses, whole and streamed.

use serde_json::{Value, json};

use textgrad_ops::engine::http::JsonClient;
use textgrad_tests::fake_server::FakeServer;
use tpo::serve::Upstream;

use super::{QUERY, serve, tpo};

#[tokio::test]
async fn the_answer_is_an_output_text() {
    let serving = serve(tpo(), |builder| builder).await;
    let expected = tpo().align(QUERY).await.unwrap();
    let body = json!({"model": "tpo", "input": QUERY});
    let answer = serving.post("/v1/responses", &body).await.ok();
    assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(answer["output"][0]["content"][0]["text"], expected.answer());
    assert_eq!(answer["usage"]["total_tokens"], expected.trajectory().usage.tokens.total());
    assert_eq!(answer["tpo"]["score"], expected.score());
    let tools = json!({"model": "tpo", "input": QUERY, "tools": [{"type": "web_search"}]});
    assert_eq!(serving.post("/v1/responses", &tools).await.error(400)["param"], "tools");
    let policy = json!({"model": "policy", "input": QUERY});
    let answer = serving.post("/v1/responses", &policy).await.ok();
    assert!(!answer["output"][0]["content"][0]["text"].as_str().unwrap().is_empty(), "{answer}");
    assert!(answer["tpo"].is_null() && answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
    let streamed = json!({"model": "policy", "input": QUERY, "stream": true});
    let streamed = serving.post("/v1/responses", &streamed).await;
    assert!(streamed.body.contains("event: response.completed\n"), "{streamed:?}");
}

#[tokio::test]
async fn requests_pass_to_the_policys_server_in_its_own_api_or_in_the_other_one() {
    let server = FakeServer::builder().start().await.unwrap();
    let clients = vec![JsonClient::builder(server.base_url()).build().unwrap()];
    let upstream = Some(Upstream { clients, model: "sim".to_owned() });
    let serving = serve(tpo(), |builder| builder.upstream(upstream)).await;
    // The fake server has no responses, so the engine of the policy is asked, which it does not know either here.
    let policy = json!({"model": "policy", "input": QUERY});
    let answer = serving.post("/v1/responses", &policy).await.ok();
    assert_eq!(answer["object"], "response");
    // What only a server with this API could do is named, and no failure that clients would try again.
    let tools = json!({"model": "policy", "input": QUERY, "tools": [{"type": "web_search"}]});
    assert_eq!(serving.post("/v1/responses", &tools).await.error(400)["param"], "tools");
}

#[tokio::test]
async fn streamed_events_are_numbered_and_end_with_the_response() {
    let serving = serve(tpo(), |builder| builder).await;
    let body = json!({"model": "bon-3", "input": QUERY, "stream": true});
    let reply = serving.post("/v1/responses", &body).await;
    assert_eq!(reply.status, 200);
    let lines = reply.body.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["response.created", "response.in_progress", "tpo.scored"]);
    assert_eq!(kinds.iter().filter(|kind| **kind == "tpo.scored").count(), 3);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    let text: String = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], text);
    assert!(!text.is_empty());
}
