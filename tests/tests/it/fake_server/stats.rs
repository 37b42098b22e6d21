//! The figures.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use textgrad_core::{Engine, Request, engine_fn};
use textgrad_tests::fake_server::{Echo, FakeServer, FaultRule, Route, Stats};
use tokio::sync::Barrier;

use super::{chat, classify, client, hello, hello_and, json_of, saying, server_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn figures_are_right_under_concurrency() {
    // Nobody is answered before all have asked.
    let all = Arc::new(Barrier::new(24));
    let engine = engine_fn("gathering", move |request: Request| {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
            Echo.complete(&request).await
        }
    });
    let server = FakeServer::builder().engine(engine).start().await.unwrap();
    let bodies: Vec<Value> = (0..24)
        .map(|seed| hello_and(json!({ "n": 2, "seed": seed, "stream": seed % 2 == 0 })))
        .collect();
    let chats = bodies.iter().map(|body| async {
        let response = chat(&server, body).await;
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
    });
    let score = json!({ "input": "x" });
    let scores = (0..8).map(|_| async {
        assert_eq!(classify(&server, &score).await.status(), 200);
    });
    tokio::join!(join_all(chats), join_all(scores));

    let stats = server.stats();
    let chats = stats.route(Route::Chat);
    assert_eq!((chats.requests, chats.statuses["2xx"], chats.dropped), (24, 24, 0));
    assert_eq!((chats.in_flight, chats.max_in_flight), (0, 24));
    assert_eq!((chats.duplicates, chats.paid_twice), (0, 0));
    let scores = stats.route(Route::Classify);
    assert_eq!((scores.requests, scores.in_flight), (8, 0));
    assert_eq!((scores.duplicates, scores.paid_twice), (7, 7));
    assert_eq!((stats.choices_returned, stats.answers_scored), (48, 8));
    assert_eq!(stats.characters_received, 24 * 5);
    assert_eq!(stats.prefix_reused, 23 * 5, "all but the first know the message");
    assert_eq!(server.requests_to(Route::Chat).len(), 24);
    assert_eq!(server.requests().len(), 32);
}

#[tokio::test]
async fn only_an_answer_given_twice_is_paid_twice() {
    let rules = ["500", "length@nth:2", "cut-off-body@nth:3", "reset@nth:4"];
    let server = server_with(&rules).await;
    let figures = || {
        let figures = server.stats().route(Route::Chat);
        (figures.requests, figures.duplicates, figures.paid_twice)
    };
    for _ in 0..3 {
        let _ = chat(&server, &hello()).await.bytes().await;
    }
    let reset = super::post_to(&server, "/v1/chat/completions", &hello()).await;
    assert!(reset.is_err());
    assert_eq!(figures(), (4, 3, 0), "none was answered");
    assert_eq!(chat(&server, &hello()).await.status(), 200);
    assert_eq!(figures(), (5, 4, 0), "the first answer");
    let other = hello_and(json!({ "seed": 1 }));
    assert_eq!(chat(&server, &other).await.status(), 200);
    assert_eq!(figures(), (6, 4, 0));
    assert_eq!(chat(&server, &hello()).await.status(), 200);
    assert_eq!(figures(), (7, 5, 1), "the second");
}

#[tokio::test]
async fn an_answer_that_only_took_time_counts_as_given() {
    let rule: FaultRule = "slow-body=5@always".parse().unwrap();
    let server = FakeServer::builder().fault(rule).start().await.unwrap();
    for _ in 0..2 {
        chat(&server, &hello()).await.bytes().await.unwrap();
    }
    assert_eq!(server.stats().route(Route::Chat).paid_twice, 1);
}

#[tokio::test]
async fn a_conversation_that_goes_on_reuses_what_was_read_and_written() {
    let server = FakeServer::builder().engine(saying("an answer")).start().await.unwrap();
    let user = |text: &str| json!({ "role": "user", "content": text });
    let assistant = json!({ "role": "assistant", "content": "an answer" });
    let first = json!({ "messages": [user("question")] });
    let second = json!({ "messages": [user("question"), assistant, user("why?")] });
    let quoted = json!({ "messages": [user("you were asked: question")] });

    let body = json_of(chat(&server, &first).await).await;
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    assert_eq!(server.stats().prefix_reused, 0);
    let body = json_of(chat(&server, &second).await).await;
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 17 / 4);
    assert_eq!(server.stats().prefix_reused, 17, "question and answer, not the new turn");
    chat(&server, &quoted).await;
    let stats = server.stats();
    assert_eq!(stats.prefix_reused, 17);
    assert_eq!(stats.characters_received, 8 + 21 + 24);
    assert!((stats.prefix_share - 17.0 / 53.0).abs() < 1e-12);
}

#[tokio::test]
async fn figures_are_reported_and_reset_over_http() {
    let server = server_with(&["500@nth:2"]).await;
    chat(&server, &hello()).await;
    let url = format!("{}/stats", server.url());
    let told: Stats = client().get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(told, server.stats());
    assert_eq!(told.route(Route::Chat).requests, 1);
    assert_eq!((told.engine.as_str(), told.simulation), ("echo", true));

    let reset = client().post(format!("{url}/reset")).send().await.unwrap();
    assert_eq!(reset.status(), 204);
    let fresh = Stats { engine: "echo".to_owned(), simulation: true, ..Stats::default() };
    assert_eq!(server.stats(), fresh);
    assert!(server.requests().is_empty());
    // The rule goes on counting, and nothing of before is known any more.
    assert_eq!(chat(&server, &hello()).await.status(), 500);
    assert_eq!(chat(&server, &hello()).await.status(), 200);
    assert_eq!(server.stats().prefix_reused, 0);
    assert_eq!(server.stats().route(Route::Chat).paid_twice, 0);
}

#[tokio::test]
async fn bodies_are_kept_as_they_came() {
    let server = server_with(&[]).await;
    let url = format!("{}/chat/completions", server.base_url());
    let response = client().post(url).body("{not json").send().await.unwrap();
    assert_eq!(response.status(), 400);
    classify(&server, &json!({ "input": "x", "unknown": [1] })).await;
    assert_eq!(server.requests(), [json!("{not json"), json!({ "input": "x", "unknown": [1] })]);
    assert_eq!(server.requests_to(Route::Classify).len(), 1);
}
