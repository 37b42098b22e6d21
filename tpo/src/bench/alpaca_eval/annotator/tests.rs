use serde_json::Value as Json;
use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Choice, FinishReason, Purpose, Request, Response, engine_fn};

use super::*;
use crate::bench::to_json;

fn output(generator: &str, output: &str) -> Output {
    Output {
        instruction: "Why {{x}}? ".to_owned(),
        output: output.to_owned(),
        generator: generator.to_owned(),
        dataset: None,
    }
}

async fn preference(first: &str, second: &str) -> Option<f64> {
    let engine = Arc::new(ScriptedEngine::new([first, second]));
    annotate(&engine).await.preference
}

async fn annotate(engine: &Arc<ScriptedEngine>) -> Annotation {
    let pack = Arc::new(crate::prompts::default_pack());
    let judge = Annotator::new(Arc::clone(engine) as Arc<dyn Engine>, pack);
    let (reference, mine) = (output("ref", "the reference's"), output("mine", "the model's"));
    judge.annotate(&reference, &mine).await.unwrap()
}

#[tokio::test]
async fn a_liking_for_a_place_cancels_out() {
    assert_eq!(preference("M", "m").await, Some(2.0));
    assert_eq!(preference("m", "M").await, Some(1.0));
    assert_eq!(preference("m", "m").await, Some(1.5));
    assert_eq!(preference("M", "M").await, Some(1.5));
    assert_eq!(preference("M", "both").await, None);
}

#[tokio::test]
async fn both_orders_are_asked() {
    let engine = Arc::new(ScriptedEngine::new(["M", "Better:\n**m**."]));
    let annotation = annotate(&engine).await;
    assert_eq!(annotation.preference, Some(2.0));
    assert_eq!(annotation.raw_completion, ["M", "Better:\n**m**."]);
    let sent = engine.requests();
    let place = |at: usize, text: &str| sent[at].messages[1].text().find(text).unwrap();
    assert!(place(0, "the reference's") < place(0, "the model's"));
    assert!(place(1, "the reference's") > place(1, "the model's"));
    assert!(sent[0].messages[1].text().contains("Why {{x}}? "));
    assert_eq!((sent[0].purpose, sent[0].sampling.temperature), (Purpose::Judge, Some(0.0)));
    assert_ne!(sent[0].sampling.seed, sent[1].sampling.seed);
    let json = to_json(&[annotation]).unwrap();
    let json: Json = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["generator_1"], &json[0]["preference"]), (&"ref".into(), &2.0.into()));
}

#[tokio::test]
async fn equal_outputs_are_a_draw_without_a_question() {
    let engine = Arc::new(ScriptedEngine::new(["M", "M"]));
    let pack = Arc::new(crate::prompts::default_pack());
    let judge = Annotator::new(Arc::clone(&engine) as Arc<dyn Engine>, pack);
    let annotation = judge.annotate(&output("ref", "same"), &output("mine", "same")).await.unwrap();
    assert_eq!((annotation.preference, annotation.raw_completion.len()), (Some(1.5), 0));
    assert!(engine.requests().is_empty());
    assert_eq!(
        judge.annotate(&output("ref", "same"), &output("mine", "same ")).await.unwrap().preference,
        Some(1.5)
    );
    assert_eq!(engine.requests().len(), 2, "a space is a difference");
}

#[tokio::test]
async fn outputs_to_other_instructions_are_refused() {
    let engine = Arc::new(ScriptedEngine::new(["M", "m"]));
    let pack = Arc::new(crate::prompts::default_pack());
    let judge = Annotator::new(Arc::clone(&engine) as Arc<dyn Engine>, pack);
    let mut other = output("mine", "x");
    other.instruction = "Why {{x}}?".to_owned();
    assert!(judge.annotate(&output("ref", "y"), &other).await.is_err());
    assert!(engine.requests().is_empty());
}

#[test]
fn replies_are_read_to_the_letter() {
    for (reply, second) in [
        ("M", Some(true)),
        ("m\n", Some(false)),
        ("First I thought m.\nM", Some(true)),
        ("\"m\"", Some(false)),
        ("I prefer m over M", None),
        ("Mm", None),
        ("", None),
        ("\n \n", None),
        ("<think>Is it M?</think>m", Some(false)),
        ("<think>Is it\nM", None),
        ("The better output is **M**.", Some(true)),
        ("```\nm\n```", Some(false)),
        ("{\"choice\": \"M\"}", Some(true)),
        ("m\nM", Some(true)),
        ("m and M", None),
        ("Ｍ", Some(true)),
        ("no answer", None),
    ] {
        assert_eq!(second_wins(reply), second, "{reply:?}");
    }
}

/// A judge who finds the model's output four times as likely to be the better one, wherever it stands, and
/// is not asked for more than one token.
fn wavering(tokens: &'static [(&'static str, f64)]) -> Arc<dyn Engine> {
    Arc::new(engine_fn("judge", move |request: Request| async move {
        assert_eq!(request.sampling.max_tokens, Some(1));
        assert_eq!(request.sampling.top_logprobs, Some(5));
        assert_eq!(request.sampling.temperature, Some(1.0));
        let reply = request.messages[1].text();
        let model_first = reply.find("the model's") < reply.find("the reference's");
        let top = |(token, share): &(&str, f64)| {
            let token = match *token {
                "model" => {
                    if model_first {
                        "m"
                    } else {
                        "M"
                    }
                }
                "reference" => {
                    if model_first {
                        "M"
                    } else {
                        "m"
                    }
                }
                other => other,
            };
            (token.to_owned(), share.ln())
        };
        let top: Vec<(String, f64)> = tokens.iter().map(top).collect();
        let logprobs = top.first().cloned().map(|(token, logprob)| TokenLogprob {
            token,
            logprob,
            top: top.clone(),
        });
        let choice = Choice::new("m", FinishReason::Length);
        Ok(Response::new(vec![choice.with_logprobs(logprobs.into_iter().collect())]))
    }))
}

async fn weighed(
    tokens: &'static [(&'static str, f64)],
    orders: Orders,
    seed: u64,
) -> Result<Annotation, Error> {
    let pack = Arc::new(crate::prompts::default_pack());
    let judge = Annotator::new(wavering(tokens), pack).reading(Reading::Probabilities);
    let judge = judge.orders(orders).seed(Seed::new(seed));
    judge.annotate(&output("ref", "the reference's"), &output("mine", "the model's")).await
}

#[tokio::test]
async fn letters_count_by_their_probabilities() {
    let tokens = &[("model", 0.4), ("The", 0.3), ("reference", 0.1), (" m", 0.1)];
    let annotation = weighed(tokens, Orders::Both, 0).await.unwrap();
    assert!((annotation.preference.unwrap() - 1.8).abs() < 1e-12, "{annotation:?}");
    assert_eq!(annotation.reference_first, [true, false]);
    // What is not told is impossible.
    let annotation = weighed(&[("reference", 0.2), ("The", 0.8)], Orders::Both, 0).await.unwrap();
    assert_eq!(annotation.preference, Some(1.0));
    let annotation = weighed(&[("The", 0.9)], Orders::Both, 0).await.unwrap();
    assert_eq!((annotation.preference, annotation.shares), (None, vec![None, None]));
}

#[tokio::test]
async fn a_drawn_order_is_asked_once_and_does_not_change_the_sides() {
    let mut orders = std::collections::HashSet::new();
    for seed in 0..20 {
        let annotation =
            weighed(&[("model", 0.8), ("reference", 0.2)], Orders::Drawn, seed).await.unwrap();
        assert!((annotation.preference.unwrap() - 1.8).abs() < 1e-12, "{annotation:?}");
        assert_eq!(annotation.raw_completion.len(), 1);
        orders.insert(annotation.reference_first);
    }
    assert_eq!(orders.len(), 2);
}

#[tokio::test]
async fn an_engine_that_tells_no_probabilities_is_named() {
    let error = weighed(&[], Orders::Both, 0).await.unwrap_err().to_string();
    assert!(error.starts_with("judge: expected the probabilities"), "{error}");
}
