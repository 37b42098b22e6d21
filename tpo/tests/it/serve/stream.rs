//! Streamed chat completions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use textgrad_core::Purpose;
use textgrad_ops::sim::Sim;
use tokio::io::AsyncReadExt as _;

use super::{QUERY, chat_body, end, post, serve, stalling, tpo, with_engine};

fn content(events: &[Value], index: usize) -> String {
    let choices = events.iter().flat_map(|event| event["choices"].as_array().unwrap());
    let own = choices.filter(|choice| choice["index"] == index);
    own.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn progress_comes_first_and_plain_clients_see_the_answer_alone() {
    let serving = serve(tpo(), |builder| builder).await;
    let expected = tpo().align(QUERY).await.unwrap();
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let reply = serving.chat(more).await;
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    let events = reply.events();
    assert_eq!(content(&events, 0), expected.answer());
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk"));

    let scored: Vec<&Value> =
        events.iter().filter(|event| event["tpo"]["event"] == "scored").collect();
    assert_eq!(scored.len(), 15);
    for (event, candidate) in scored.iter().zip(&expected.trajectory().candidates) {
        assert_eq!(event["tpo"]["score"], candidate.score);
        assert_eq!(event["tpo"]["iteration"], candidate.iteration);
        assert_eq!(event["choices"][0]["delta"], json!({"content": ""}));
    }
    let last = events.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["total_tokens"], expected.trajectory().usage.tokens.total());
    let finish = &events[events.len() - 2];
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["tpo"]["score"], expected.score());
    assert_eq!(finish["tpo"]["event"], "answer");
}

#[tokio::test]
async fn progress_can_be_left_out_and_drafts_be_had() {
    let serving = serve(tpo(), |builder| builder).await;
    let quiet = json!({"stream": true, "n": 2, "tpo": {"progress": false}});
    let events = serving.chat(quiet).await.events();
    assert!(events.iter().all(|event| event["tpo"]["event"] != "scored"));
    assert!(!content(&events, 0).is_empty() && !content(&events, 1).is_empty());
    let more = json!({"stream": true, "tpo": {"draft": "events"}});
    let drafts = serving.chat(more).await.events();
    let drafts: Vec<&str> =
        drafts.iter().filter_map(|event| event["tpo"]["draft"].as_str()).collect();
    assert!(drafts.len() > 1, "{drafts:?}");
}

/// The best first sample, and the best answer of all, which is another one.
async fn first_and_best() -> (String, String) {
    let expected = tpo().align(QUERY).await.unwrap();
    let first = expected.trajectory().candidates.iter().filter(|one| one.iteration == 0);
    let first = first.max_by(|a, b| a.score.total_cmp(&b.score)).unwrap().text.clone();
    assert_ne!(first, expected.answer());
    (first, expected.answer().to_owned())
}

/// The simulation, with a wait of each call: without any, a search is over before a draft can be sent.
fn waiting() -> tpo::Tpo {
    with_engine(Arc::new(Sim::builder().latency(Duration::from_millis(2)).build().unwrap()))
}

#[tokio::test]
async fn a_draft_is_the_text_for_plain_clients_and_is_replaced_in_the_extension() {
    let (first, best) = first_and_best().await;
    let (tpo, _) = stalling(Purpose::Gradient);
    let serving = serve(tpo, |builder| builder).await;
    let more = json!({"stream": true, "tpo": {"draft": "content"}});
    let mut stream =
        serving.begin(&post("/v1/chat/completions"), &chat_body(more.clone()).to_string()).await;
    let mut read = Vec::new();
    // It is there while the search goes on, which never ends.
    let begin = format!("{{\"content\":\"{}", &first[..10]);
    while !String::from_utf8_lossy(&read).contains(&begin) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    drop(stream);

    let serving = serve(waiting(), |builder| builder).await;
    let events = serving.chat(more).await.events();
    assert_eq!(content(&events, 0), first);
    let last = events.last().unwrap();
    assert_eq!((&last["tpo"]["event"], &last["tpo"]["answer"]), (&json!("answer"), &json!(best)));
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    // Where the draft is the answer, nothing replaces it.
    let more = json!({"stream": true, "model": "bon-3", "tpo": {"draft": "content"}});
    let events = serving.chat(more).await.events();
    assert!(events.last().unwrap()["tpo"]["answer"].is_null());
    assert!(!content(&events, 0).is_empty());
}

#[tokio::test]
async fn a_draft_of_a_response_is_its_output_text() {
    let (first, best) = first_and_best().await;
    let serving = serve(waiting(), |builder| builder).await;
    let body = json!({"model": "tpo", "input": QUERY, "stream": true, "tpo": {"draft": "content"}});
    let reply = serving.post("/v1/responses", &body).await;
    let lines = reply.body.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let deltas = of("response.output_text.delta");
    let text: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(text, first);
    assert_eq!(of("response.output_text.done")[0]["text"], json!(first));
    let response = &of("response.completed")[0]["response"];
    assert_eq!(response["output"][0]["content"][0]["text"], json!(first));
    assert_eq!(response["tpo"]["answer"], json!(best));
}

#[tokio::test]
async fn a_silent_search_keeps_its_stream_alive() {
    let (tpo, _) = stalling(Purpose::Loss);
    let serving = serve(tpo, |builder| builder.keep_alive(Duration::from_millis(20))).await;
    let body = chat_body(json!({"stream": true, "tpo": {"deadline_ms": 400}})).to_string();
    let reply = end(serving.begin(&post("/v1/chat/completions"), &body).await).await;
    assert!(reply.body.contains("\n: keep-alive\n"), "{}", reply.body);
    let events = reply.events();
    let finish = events.last().unwrap();
    assert_eq!(finish["tpo"]["stopped"], "deadline");
    assert_eq!(finish["tpo"]["complete"], false);
    assert!(!content(&events, 0).is_empty());
}

#[tokio::test]
async fn a_search_that_fails_at_once_has_a_status_and_a_later_one_an_event() {
    let (tpo, _) = stalling(Purpose::Sample);
    let serving = serve(tpo, |builder| builder).await;
    let soon = json!({"stream": true, "tpo": {"deadline_ms": 20}});
    let error = serving.chat(soon).await.error(504);
    assert_eq!(error["code"], "deadline_exceeded");

    let (tpo, _) = stalling(Purpose::Sample);
    let serving = serve(tpo, |builder| builder.keep_alive(Duration::from_millis(5))).await;
    let late = serving.chat(json!({"stream": true, "tpo": {"deadline_ms": 300}})).await;
    assert_eq!(late.status, 200);
    let last = late.body.lines().rfind(|line| line.starts_with("data: ")).unwrap();
    let last: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "deadline_exceeded");
}

#[tokio::test]
async fn the_first_event_arrives_before_the_search_is_over() {
    let (tpo, stalled) = stalling(Purpose::Loss);
    let serving = serve(tpo, |builder| builder).await;
    let body = chat_body(json!({"stream": true})).to_string();
    let mut stream = serving.begin(&post("/v1/chat/completions"), &body).await;
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("\"candidate\":4") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    drop(stream);
    super::until("the search of a client that left goes on", async || {
        stalled.load(std::sync::atomic::Ordering::SeqCst) == 0
            && serving.metric("tpo_searches_total{end=\"cancelled\"}").await == 1.0
    })
    .await;
    assert_eq!(serving.metric("tpo_in_flight").await, 0.0);
}
