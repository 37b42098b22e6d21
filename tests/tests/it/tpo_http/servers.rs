//! Servers that can do less, and a query that fails beside others that do not.

use std::sync::Arc;

use textgrad_core::Engine;
use textgrad_core::{EngineError, ErrorKind, Request, engine_fn};
use textgrad_ops::sim::{self, Sim};
use textgrad_tests::fake_server::{FakeServer, Route};
use tpo::{Batch, CancellationToken, Error, TpoConfig};

use super::{QUERY, assert_says, chats, classified, embedded, over, server, undisturbed};

#[tokio::test]
async fn a_server_that_knows_one_answer_per_request_gives_the_same_answers() {
    let policy = FakeServer::builder().engine(Sim::default()).max_choices(1).start().await.unwrap();
    let rewards = server(&[]).await;
    let tpo = over(&policy, &rewards).build().unwrap();
    let mut expected = undisturbed().await;
    let mut found = tpo.align(QUERY).await.unwrap().trajectory().clone();

    // Only the prompts are read more often.
    let tokens = |t: &tpo::Trajectory| t.usage.tokens;
    assert!(tokens(&found).prompt_tokens > tokens(&expected).prompt_tokens);
    assert_eq!(tokens(&found).completion_tokens, tokens(&expected).completion_tokens);
    (found.usage, expected.usage) = Default::default();
    (found.tokens_by, expected.tokens_by) = Default::default();
    assert_eq!(found, expected);
    assert_eq!(chats(&policy), 5 + 2 * (1 + 1 + 5));

    // It is remembered: no second query asks for five at once.
    tpo.align("Why is the sky blue?").await.unwrap();
    let many = policy.requests_to(Route::Chat).iter().filter(|body| body["n"] == 5).count();
    assert_eq!(many, 1);
    assert_eq!(policy.stats().route(Route::Chat).duplicates, 0);
}

#[tokio::test]
async fn a_server_that_refuses_several_answers_at_temperature_0_is_asked_for_single_ones() {
    let mut config = TpoConfig::default();
    config.sampling.temperature = Some(0.0);
    config.critic.temperature = Some(0.0);
    let (policy, rewards) = (server(&[]).await, server(&[]).await);
    let found = over(&policy, &rewards).config(config.clone()).build().unwrap();
    let found = found.align(QUERY).await.unwrap().trajectory().clone();
    let expected = embedded().config(config).build().unwrap();
    let expected = expected.align(QUERY).await.unwrap().trajectory().clone();

    assert_eq!(chats(&policy), 5 + 2 * (1 + 1 + 5));
    assert_eq!(policy.stats().route(Route::Chat).statuses["2xx"], 19, "none was refused");
    assert_eq!(
        (&found.candidates, &found.iterations),
        (&expected.candidates, &expected.iterations)
    );
    assert_eq!(found.candidates[0].text, found.candidates[4].text);
    assert!(found.iterations[0].rejected.is_empty(), "an answer is not compared with itself");
    assert_eq!(classified(&rewards), found.usage.scored, "identical answers are scored once");
    assert!(found.usage.scored <= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_query_that_fails_among_ten_is_reported_at_its_position() {
    let queries: Vec<String> =
        (0..10).map(|i| format!("How do I plant {i} apple trees?")).collect();
    let sim = engine_fn("choosy", |request: Request| async move {
        if request.messages.iter().any(|message| message.text().contains("plant 4 apple")) {
            return Err(EngineError::new(ErrorKind::InvalidRequest, "too many apple trees"));
        }
        Sim::default().complete(&request).await
    });
    let policy = FakeServer::builder().engine(sim).reward(sim::reward).start().await.unwrap();
    let rewards = server(&[]).await;
    for concurrency in [1, 10] {
        policy.reset_stats();
        let tpo = over(&policy, &rewards).build().unwrap();
        let mut batch = Batch::new(tpo, queries.clone()).concurrency(concurrency);
        let progress = batch.progress();
        let mut places = Vec::new();
        while let Some(outcome) = batch.next().await {
            assert_eq!(outcome.query, queries[outcome.index].as_str());
            places.push(outcome.index);
            if outcome.index == 4 {
                let failure = outcome.result.unwrap_err();
                assert_eq!(failure.error.kind(), "invalid_request");
                assert_says(&failure, &["too many apple trees", "HTTP 400"]);
                continue;
            }
            let alone = embedded().build().unwrap();
            let alone = alone.align_at(outcome.index, &outcome.query).await.unwrap();
            assert_eq!(outcome.result.unwrap().trajectory(), alone.trajectory());
        }
        assert_eq!(places, (0..10).collect::<Vec<_>>());
        assert_eq!((progress.finished(), progress.failed()), (10, 1));
        // One request, and one more where it could have been the number of answers that was refused.
        let refused = policy.stats().route(Route::Chat).statuses["4xx"];
        assert!((1..=2).contains(&refused), "{refused}");
        assert_eq!(chats(&policy), 9 * 7 + refused);
    }
}

#[tokio::test]
async fn many_searches_share_one_client() {
    let (policy, rewards) = (server(&[]).await, server(&[]).await);
    let tpo = Arc::new(over(&policy, &rewards).build().unwrap());
    let one = tpo.align(QUERY);
    let other = tpo.align(QUERY);
    let (one, other) = tokio::join!(one, other);
    assert_eq!(one.unwrap().trajectory(), other.unwrap().trajectory());
    assert_eq!(policy.stats().route(Route::Chat).paid_twice, 7, "no layer here shares answers");
}

#[tokio::test]
async fn a_query_that_is_only_stopped_did_not_fail() {
    let stop = CancellationToken::new();
    let wish = stop.clone();
    let sim = engine_fn("stopping", move |request: Request| {
        wish.cancel();
        async move { Sim::default().complete(&request).await }
    });
    let policy = FakeServer::builder().engine(sim).start().await.unwrap();
    let tpo = over(&policy, &server(&[]).await).build().unwrap();
    let mut batch =
        Batch::new(tpo, [QUERY, "Why is the sky blue?"]).concurrency(1).cancellation(stop);
    let progress = batch.progress();
    let failure = batch.next().await.unwrap().result.unwrap_err();
    assert!(matches!(failure.error, Error::Stopped), "{failure:?}");
    assert_eq!(failure.trajectory.usage.requests, 1, "the call under way was let finish");
    assert!(batch.next().await.is_none(), "no other query was begun");
    assert_eq!((progress.finished(), progress.failed(), chats(&policy)), (1, 0, 1));
}
