//! Responses, whole and streamed.

use serde_json::{Value, json};

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
    serving.post("/v1/responses", &policy).await.error(400);
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
