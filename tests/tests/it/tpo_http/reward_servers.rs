//! Each server of a reward model, with its traps: scores are the raw ones of the server, in order.

use serde_json::Value;
use textgrad_core::{EngineError, describe};
use textgrad_tests::fake_server::{FakeServer, FakeServerBuilder, FaultRule, RewardServer, Route};
use tpo::{ChatTemplate, HttpReward, HttpRewardBuilder, Query, RewardApi, RewardModel};

use super::{KEY, PATIENCE, quick};

const QUERY: &str = "How do I take care of a wooden table?";
const BOS: &str = "<|begin_of_text|>";
const HEADERS: &str = "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n\
    {{ m.content }}<|eot_id|>{% endfor %}\
    {% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";

fn template() -> ChatTemplate {
    ChatTemplate::from_source(HEADERS, Some(BOS)).unwrap()
}

/// Everything that is spoken, with the server that speaks it.
fn all() -> Vec<(RewardApi, RewardServer)> {
    vec![
        (RewardApi::VllmClassify, RewardServer::Vllm),
        (RewardApi::VllmClassifyText(template()), RewardServer::Vllm),
        (RewardApi::VllmClassifyText(template()), RewardServer::Vllm0_11),
        (RewardApi::VllmPooling, RewardServer::Vllm),
        (RewardApi::VllmPoolingText(template()), RewardServer::Vllm),
        (RewardApi::VllmPoolingText(template()), RewardServer::Vllm0_11),
        (RewardApi::Sglang(template()), RewardServer::Sglang),
        (RewardApi::Tei(Some(template())), RewardServer::Tei),
        (RewardApi::Tei(None), RewardServer::Tei),
        (RewardApi::OpenRlhf(template()), RewardServer::OpenRlhf),
        (RewardApi::OpenRlhf(template()), RewardServer::OldOpenRlhf),
        (nim(), RewardServer::Nim),
    ]
}

fn nim() -> RewardApi {
    RewardApi::Nim { attribute: "reward".to_owned() }
}

/// What the model behind every server makes of an answer: negative, and other for other queries.
fn raw(query: &str, answer: &str) -> f64 {
    answer.chars().count() as f64 / 8.0 - 17.25 - query.chars().count() as f64 / 64.0
}

fn serving(server: RewardServer) -> FakeServerBuilder {
    FakeServer::builder().reward_server(server).reward(raw).bos(BOS)
}

fn reward(server: &FakeServer, api: RewardApi) -> HttpRewardBuilder {
    HttpReward::builder(server.url(), "rm", api).timeout(PATIENCE).retry(quick())
}

fn answers() -> Vec<String> {
    (0..7).map(|i| format!("{}: wipe it, then oil it.{}", i, " Wait.".repeat(7 - i))).collect()
}

async fn scored(reward: &HttpReward, answers: &[String]) -> Result<Vec<f64>, EngineError> {
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    reward.score(&Query::from(QUERY), &answers).await
}

#[tokio::test]
async fn scores_are_the_raw_ones_whatever_the_batch_and_the_concurrency() {
    let answers = answers();
    let expected: Vec<f64> = answers.iter().map(|answer| raw(QUERY, answer)).collect();
    assert!(expected.iter().all(|score| *score < 0.0));
    for (api, kind) in all() {
        let server = serving(kind).start().await.unwrap();
        for (batch, concurrency) in [(None, 64), (Some(1), 1), (Some(3), 2), (Some(100), 4)] {
            server.reset_stats();
            let mut reward = reward(&server, api.clone()).concurrency(concurrency);
            if let Some(batch) = batch {
                reward = reward.batch(batch);
            }
            let reward = reward.build().unwrap();
            assert_eq!(scored(&reward, &answers).await.unwrap(), expected, "{kind:?} {api:?}");
            let stats = server.stats().route(Route::Classify);
            assert_eq!(stats.requests, 7_u64.div_ceil(reward.batch() as u64), "{kind:?} {batch:?}");
            assert!(stats.max_in_flight <= concurrency as u64);
        }
        // The address that chat clients have does as well.
        let reward =
            HttpReward::builder(format!("{}/", server.base_url()), "rm", api).retry(quick());
        assert_eq!(scored(&reward.build().unwrap(), &answers[..1]).await.unwrap(), expected[..1]);
    }
}

#[tokio::test]
async fn a_conversation_is_scored_as_one() {
    let talk = Query::conversation([
        textgrad_core::Message::user("What is red?"),
        textgrad_core::Message::assistant("Mars."),
        textgrad_core::Message::user("Why?"),
    ])
    .unwrap();
    for (api, kind) in all() {
        let server = serving(kind).start().await.unwrap();
        let pair = matches!(api, RewardApi::Tei(None));
        let scores = reward(&server, api).build().unwrap().score(&talk, &["Rust."]).await.unwrap();
        // Where query and answer go as a pair, the query is the whole conversation.
        let query = if pair { talk.text() } else { "Why?" };
        assert_eq!(scores, [raw(query, "Rust.")], "{kind:?}");
    }
}

#[tokio::test]
async fn an_activation_that_cannot_be_switched_off_gives_other_scores() {
    let server = serving(RewardServer::Vllm0_10).start().await.unwrap();
    let reward = reward(&server, RewardApi::VllmClassifyText(template())).build().unwrap();
    let scores = scored(&reward, &answers()).await.unwrap();
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
}

#[tokio::test]
async fn messages_are_refused_by_a_server_that_knows_texts_alone() {
    for kind in [RewardServer::Vllm0_11, RewardServer::Vllm0_10] {
        let server = serving(kind).start().await.unwrap();
        let reward = reward(&server, RewardApi::VllmClassify).build().unwrap();
        let error = scored(&reward, &answers()[..1]).await.unwrap_err();
        assert!(!error.is_retryable());
        assert!(describe(&error).contains("Field required: input"), "{}", describe(&error));
        assert_eq!(server.stats().route(Route::Classify).requests, 1);
    }
}

fn fault(rule: &str) -> FaultRule {
    rule.parse().unwrap()
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for (api, kind) in all() {
        for rule in ["429-ms=1", "500", "503", "cut-off-body", "reset", "html-502"] {
            let server = serving(kind).fault(fault(&format!("{rule}@first:2,classify")));
            let server = server.start().await.unwrap();
            let reward = reward(&server, api.clone()).build().unwrap();
            let scores = scored(&reward, &answers()[..1]).await.unwrap();
            assert_eq!(scores, [raw(QUERY, &answers()[0])], "{kind:?} {rule}");
            assert_eq!(server.stats().route(Route::Classify).requests, 3, "{kind:?} {rule}");
            assert_eq!(server.stats().fault(rule.split('=').next().unwrap()), 2);
        }
    }
}

#[tokio::test]
async fn scores_that_cannot_be_used_are_final_and_name_the_answer() {
    for (api, kind) in all() {
        for rule in ["null-score", "string-score", "two-labels", "fewer-scores"] {
            if kind == RewardServer::Nim && rule == "two-labels" {
                continue;
            }
            let server = serving(kind).fault(fault(&format!("{rule}@always")));
            let server = server.start().await.unwrap();
            let reward = reward(&server, api.clone()).batch(2).concurrency(1).build().unwrap();
            let error = scored(&reward, &answers()[..2]).await.unwrap_err();
            let said = describe(&error);
            assert!(!error.is_retryable(), "{kind:?} {rule}: {said}");
            assert!(said.contains("0: wipe it, then oil it."), "{kind:?} {rule}: {said}");
            assert!(said.contains("expected"), "{kind:?} {rule}: {said}");
            assert_eq!(server.stats().route(Route::Classify).requests, 1, "{kind:?} {rule}");
        }
    }
}

#[tokio::test]
async fn a_score_that_is_no_number_is_an_error_that_names_the_answer() {
    for (api, kind) in all() {
        let server = serving(kind).fault(fault("nan-score@always")).start().await.unwrap();
        let reward = reward(&server, api).build().unwrap();
        let said = describe(&scored(&reward, &answers()[..1]).await.unwrap_err());
        assert_eq!(server.stats().route(Route::Classify).requests, 1, "{said}");
        // In the text of a NIM reply it is a word.
        let word = if matches!(kind, RewardServer::Nim) { "NaN" } else { "null" };
        assert!(said.contains(word), "{kind:?}: {said}");
        assert!(said.contains("wipe it, then oil it."), "{kind:?}: {said}");
    }
}

#[tokio::test]
async fn errors_of_every_shape_are_reported() {
    for (api, kind) in all() {
        let server = serving(kind).fault(fault("400@always,classify")).start().await.unwrap();
        let reward = reward(&server, api).build().unwrap();
        let said = describe(&scored(&reward, &answers()[..1]).await.unwrap_err());
        assert!(said.contains("The request is not valid"), "{kind:?}: {said}");
        assert!(said.contains("HTTP 400"), "{kind:?}: {said}");
    }
}

#[tokio::test]
async fn more_texts_than_a_server_takes_are_its_own_words() {
    let server = serving(RewardServer::Tei).start().await.unwrap();
    let many: Vec<String> = (0..33).map(|i| format!("answer {i}")).collect();
    let together = reward(&server, RewardApi::Tei(None)).batch(33).build().unwrap();
    let error = scored(&together, &many).await.unwrap_err();
    assert!(!error.is_retryable());
    assert!(describe(&error).contains("33 > maximum allowed batch size 32"), "{error}");
    let parted = reward(&server, RewardApi::Tei(None)).batch(32).build().unwrap();
    assert_eq!(scored(&parted, &many).await.unwrap().len(), 33);
}

#[tokio::test]
async fn a_key_is_sent_and_never_shown() {
    let server = serving(RewardServer::Nim).api_key(KEY).start().await.unwrap();
    let keyed = || reward(&server, nim()).key(secrecy::SecretString::from(KEY)).build().unwrap();
    assert_eq!(scored(&keyed(), &answers()[..1]).await.unwrap().len(), 1);
    let error =
        scored(&reward(&server, nim()).build().unwrap(), &answers()[..1]).await.unwrap_err();
    assert!(describe(&error).contains("check the key"), "{error}");
    for shown in [format!("{:?}", keyed()), keyed().identity().to_owned()] {
        assert!(!shown.contains(KEY), "{shown}");
    }
}

#[tokio::test]
async fn what_a_nim_calls_an_attribute_is_a_setting() {
    let server = serving(RewardServer::Nim).start().await.unwrap();
    let api = RewardApi::Nim { attribute: "verbosity".to_owned() };
    let reward = reward(&server, api).build().unwrap();
    assert_eq!(scored(&reward, &answers()[..2]).await.unwrap(), [2.5, 2.5]);
    assert_eq!(reward.identity(), "nim:rm with attribute verbosity");
    let body: &Value = &server.requests_to(Route::Classify)[0];
    assert_eq!(body["messages"][1]["role"], "assistant");
}
