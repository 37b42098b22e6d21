//! Rewards that likelihoods of two servers' models imply, and judges that weigh digits by theirs.

use std::sync::Arc;

use serde_json::Value;
use textgrad_core::{
    Choice, EngineError, FinishReason, Request, Response, TokenLogprob, describe, engine_fn,
};
use textgrad_tests::fake_server::{FakeServer, FakeServerBuilder, FaultRule, Route};
use tpo::{
    ChatTemplate, DpoReward, JudgeReward, Likelihood, PpoReward, Query, RewardModel, reward_fn,
};

use super::{PATIENCE, client, quick};

pub(super) const QUERY: &str = "How do I oil a table?";
pub(super) const BOS: &str = "<s>";
const CHATML: &str = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

pub(super) fn template() -> ChatTemplate {
    ChatTemplate::from_source(CHATML, Some(BOS)).unwrap()
}

/// What the tuned model makes of a token: other for every length.
pub(super) fn tuned(token: &str) -> f64 {
    -0.25 * token.len() as f64
}

/// What the model makes of it that it was tuned from.
fn base(token: &str) -> f64 {
    -0.5 - 0.125 * token.len() as f64
}

async fn serving(logprob: fn(&str) -> f64) -> FakeServer {
    FakeServer::builder().bos(BOS).logprob(logprob).start().await.unwrap()
}

pub(super) fn likelihood(server: &FakeServer, model: &str) -> Likelihood {
    let likelihood = Likelihood::builder(server.base_url(), model, template());
    likelihood.timeout(PATIENCE).retry(quick()).build().unwrap()
}

/// The tokens of an answer as the fake server's tokenizer has them, the end mark among them; the first
/// begins with the line break with which the prompt ends.
pub(super) fn sum(logprob: fn(&str) -> f64, tokens: &[&str]) -> f64 {
    tokens.iter().map(|token| logprob(token)).sum()
}

#[tokio::test]
async fn a_likelihood_is_the_sum_over_the_answers_tokens_and_its_end_mark() {
    let server = serving(tuned).await;
    let model = likelihood(&server, "tuned");
    let found = model.logprob(&QUERY.into(), "Use a cloth. \n").await.unwrap();
    // `<|im_start|>`, `assistant` are the prompt's; the line break opens a token that goes on in the answer.
    let tokens = ["\nUse", " a", " cloth.", " ", "\n", "<|im_end|>"];
    assert_eq!(found, sum(tuned, &tokens));
    let body: &Value = &server.requests_to(Route::Completions)[0];
    let prompt = body["prompt"].as_str().unwrap();
    assert!(prompt.starts_with("<|im_start|>user\nHow"), "the server begins texts: {prompt}");
    assert!(prompt.ends_with("Use a cloth. \n<|im_end|>"), "{prompt}");
    assert_eq!(body["model"], "tuned");
    assert_eq!(body["prompt_logprobs"], 0);
    assert_eq!(body["max_tokens"], 1);
    assert_eq!(server.stats().route(Route::Tokenize).requests, 2);
}

#[tokio::test]
async fn the_reward_is_beta_times_the_log_ratio_and_a_penalty_takes_it_away() {
    let (policy, reference) = (serving(tuned).await, serving(base).await);
    let dpo = || {
        DpoReward::new(likelihood(&policy, "tuned"), likelihood(&reference, "base"), 0.5).unwrap()
    };
    let answers = ["Use a cloth.", "No idea at all."];
    let ratio = |tokens: &[&str]| sum(tuned, tokens) - sum(base, tokens);
    let expected = [
        0.5 * ratio(&["\nUse", " a", " cloth.", "<|im_end|>"]),
        0.5 * ratio(&["\nNo", " idea", " at", " all.", "<|im_end|>"]),
    ];
    assert_ne!(expected[0], expected[1]);
    let query = Query::from(QUERY);
    assert_eq!(dpo().score(&query, &answers).await.unwrap(), expected);
    assert_eq!(dpo().batch(), 1);
    assert!(
        dpo().identity().starts_with("0.5 * log-ratio of tuned with template"),
        "{}",
        dpo().identity()
    );

    let length = reward_fn("length", |_, answer: &str| answer.len() as f64);
    let ppo = PpoReward::new(Arc::new(length), dpo());
    let expected = [12.0 - expected[0], 15.0 - expected[1]];
    assert_eq!(ppo.score(&query, &answers).await.unwrap(), expected);
    assert_eq!(ppo.name(), "length - kl:tuned/base");
    for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let (policy, reference) = (likelihood(&policy, "tuned"), likelihood(&reference, "base"));
        assert!(DpoReward::new(policy, reference, beta).is_err());
    }
}

fn faulty(rule: &str) -> FakeServerBuilder {
    FakeServer::builder().bos(BOS).logprob(tuned).fault(rule.parse::<FaultRule>().unwrap())
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_the_rest_names_the_answer() {
    let server = faulty("500@first:1,completions").start().await.unwrap();
    let found = likelihood(&server, "tuned").logprob(&QUERY.into(), "So.").await.unwrap();
    assert_eq!(found, sum(tuned, &["\nSo.", "<|im_end|>"]));
    assert_eq!(server.stats().route(Route::Completions).requests, 2);

    let server = faulty("400@always,completions").start().await.unwrap();
    let error = likelihood(&server, "tuned").logprob(&QUERY.into(), "So.").await.unwrap_err();
    assert!(describe(&error).contains("HTTP 400"), "{error}");

    let infinite = |token: &str| if token == " all." { f64::NEG_INFINITY } else { -1.0 };
    let server = FakeServer::builder().bos(BOS).logprob(infinite).start().await.unwrap();
    let model = likelihood(&server, "tuned");
    assert!(model.logprob(&QUERY.into(), "So.").await.is_ok());
    let error = model.logprob(&QUERY.into(), "No idea at all.").await.unwrap_err();
    for word in ["a finite logprob", "/v1/completions", "\"No idea at all.\""] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_judge_weighs_the_digits_that_a_server_tells() {
    let told = |token: &str, top: &[(&str, f64)]| TokenLogprob {
        token: token.to_owned(),
        logprob: -0.5,
        top: top.iter().map(|(token, p)| ((*token).to_owned(), p.ln())).collect(),
    };
    let engine = engine_fn("judge", move |request: Request| {
        let grade = if request.sampling.top_logprobs == Some(20) { "6" } else { "1" };
        let tokens = vec![
            told("<VERDICT>", &[]),
            told(grade, &[("6", 0.5), ("8", 0.5)]),
            told("</VERDICT>", &[]),
        ];
        let text: String = tokens.iter().map(|token| token.token.as_str()).collect();
        let choice = Choice::new(text, FinishReason::Stop).with_logprobs(tokens);
        async move { Ok::<_, EngineError>(Response::new(vec![choice])) }
    });
    let server = FakeServer::builder().engine(engine).start().await.unwrap();
    for stream in [false, true] {
        let client = Arc::new(client(&server).stream(stream).build().unwrap());
        let judge = JudgeReward::builder(client).expected().build().unwrap();
        let scores = judge.score(&QUERY.into(), &["Use a cloth."]).await.unwrap();
        assert!((scores[0] - 7.0).abs() < 1e-9, "{scores:?}");
    }
    let body: &Value = &server.requests_to(Route::Chat)[0];
    assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&true.into(), &20.into()));
}
