//! Likelihoods from servers that echo prompts with their logprobs.

use serde_json::Value;
use textgrad_core::describe;
use textgrad_tests::fake_server::{EchoStyle, FakeServer, FaultRule, Route};
use tpo::{ChatTemplate, DpoReward, Likelihood, LikelihoodApi, RewardModel};

use super::implicit::{BOS, QUERY, likelihood, sum, template, tuned};
use super::{PATIENCE, quick};

async fn serving(style: EchoStyle) -> FakeServer {
    let server = FakeServer::builder().bos(BOS).logprob(tuned).echo_style(style);
    server.start().await.unwrap()
}

fn echoing(server: &FakeServer, template: ChatTemplate) -> Likelihood {
    let likelihood = Likelihood::builder(server.base_url(), "tuned", template);
    likelihood.api(LikelihoodApi::Echo).timeout(PATIENCE).retry(quick()).build().unwrap()
}

const WORKING: [EchoStyle; 4] =
    [EchoStyle::Vllm, EchoStyle::Sglang, EchoStyle::OpenAi, EchoStyle::Bytes];

#[tokio::test]
async fn every_server_that_echoes_gives_the_sum_over_the_answers_tokens() {
    for style in WORKING {
        let server = serving(style).await;
        let model = echoing(&server, template());
        for (answer, tokens) in [
            ("Use a cloth. \n", &["\nUse", " a", " cloth.", " ", "\n", "<|im_end|>"][..]),
            ("Für Öl – 木", &["\nFür", " Öl", " –", " 木", "<|im_end|>"]),
            // Two tokens, each a part of the character.
            ("Oil\u{1f980} it", &["\nOil", "\u{fffd}", "\u{fffd}\u{fffd}", " it", "<|im_end|>"]),
            (
                "\u{1f980}\u{1f980}",
                &["\u{fffd}", "\u{fffd}\u{fffd}", "\u{fffd}", "\u{fffd}\u{fffd}", "<|im_end|>"],
            ),
            ("", &["<|im_end|>"]),
        ] {
            let found = model.logprob(&QUERY.into(), answer).await;
            let found = found.unwrap_or_else(|error| panic!("{style:?} {answer:?}: {error}"));
            assert_eq!(found, sum(tuned, tokens), "{style:?} {answer:?}");
        }
        let body: &Value = &server.requests_to(Route::Completions)[0];
        assert!(body["prompt"].as_str().unwrap().ends_with("Use a cloth. \n<|im_end|>"));
        assert_eq!(
            (&body["echo"], &body["logprobs"], &body["max_tokens"]),
            (&true.into(), &1.into(), &1.into())
        );
        assert_eq!(body.get("prompt_logprobs"), None);
        assert_eq!(server.stats().route(Route::Completions).requests, 5, "one for an answer");
        assert_eq!(server.stats().route(Route::Tokenize).requests, 0);
    }
}

#[tokio::test]
async fn both_ways_say_the_same() {
    let server = serving(EchoStyle::Vllm).await;
    let (told, echoed) = (likelihood(&server, "tuned"), echoing(&server, template()));
    for query in [QUERY, "Why \u{1f980}?\n<b>Öl</b>  und so", " x <s> x"] {
        for answer in ["Use a cloth.", "\u{1f980} <|im_end|> x x x", " x", "<x>", "\n\n木"] {
            let expected = told.logprob(&query.into(), answer).await.unwrap();
            let found = echoed.logprob(&query.into(), answer).await;
            assert_eq!(found.unwrap_or_else(|e| panic!("{query:?} {answer:?}: {e}")), expected);
        }
    }
    let other = DpoReward::new(echoed, told.clone(), 0.5).unwrap();
    assert_eq!(other.score(&QUERY.into(), &["Use a cloth."]).await.unwrap(), [0.0]);
    let usual = DpoReward::new(told.clone(), told, 0.5).unwrap();
    assert_ne!(other.identity(), usual.identity());
}

#[tokio::test]
async fn what_a_server_cannot_tell_is_an_error_that_names_the_answer() {
    for (style, words) in [
        (
            EchoStyle::Ignored,
            &["tokens of the echoed prompt", "\" x\"", "as vLLM and SGLang do, for the answer"][..],
        ),
        (
            EchoStyle::Without,
            &["tokens and token_logprobs", "as vLLM and SGLang do, for the answer"],
        ),
        (EchoStyle::Null, &["a finite logprob of the token \"\\nSo.\"", "null"]),
    ] {
        let server = serving(style).await;
        let error = echoing(&server, template()).logprob(&QUERY.into(), "So.").await.unwrap_err();
        for word in words.iter().chain(&["/v1/completions", "\"So.\""]) {
            assert!(error.to_string().contains(word), "{style:?}: {error}");
        }
        assert!(!error.is_retryable());
        assert_eq!(server.stats().route(Route::Completions).requests, 1);
    }
    // A probability of 0, which vLLM writes as -9999.
    let never = |token: &str| if token == " all." { f64::NEG_INFINITY } else { -1.0 };
    let server = FakeServer::builder().bos(BOS).logprob(never).start().await.unwrap();
    let model = echoing(&server, template());
    assert_eq!(model.logprob(&QUERY.into(), "So.").await.unwrap(), -2.0);
    let error = model.logprob(&QUERY.into(), "No idea at all.").await.unwrap_err();
    assert!(error.to_string().contains("a finite logprob of the token \" all.\""), "{error}");
    // OpenAI's refusal, which is its own words.
    let refusal = "400@always,completions".parse::<FaultRule>().unwrap();
    let server = FakeServer::builder().fault(refusal).start().await.unwrap();
    let error = echoing(&server, template()).logprob(&QUERY.into(), "So.").await.unwrap_err();
    assert!(describe(&error).contains("HTTP 400"), "{error}");
}

#[tokio::test]
async fn a_token_of_both_prompt_and_answer_is_refused_unless_it_is_white_space_of_the_prompt() {
    let source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
                  {% if add_generation_prompt %}<assistant>MARK{% endif %}";
    let of = |mark: &str| {
        let source = source.replace("MARK", mark).replace("}}>{{", &format!("}}}}>{mark}{{{{"));
        ChatTemplate::from_source(&source, Some(BOS)).unwrap()
    };
    for style in WORKING {
        let server = serving(style).await;
        for (mark, expected) in [("", Some("So.")), (" ", Some(" So.")), ("A:", None)] {
            let found = echoing(&server, of(mark)).logprob(&QUERY.into(), "So.").await;
            match expected {
                Some(token) => {
                    assert_eq!(found.unwrap(), sum(tuned, &[token]), "{style:?} {mark:?}")
                }
                None => {
                    let error = found.unwrap_err().to_string();
                    for word in
                        ["a token of its own", "\"A:So.\"", "special token or white space, for"]
                    {
                        assert!(error.contains(word), "{style:?} {mark:?}: {error}");
                    }
                }
            }
        }
    }
}
