//! Requests to servers: their content and their target.

use serde_json::json;
use textgrad_core::{Backward, Engine, ErrorKind, Parameter, Sampling, Variable, backward};
use textgrad_ops::engine::HttpOptions;
use textgrad_ops::engine::{engine_with, preset::Preset};
use textgrad_ops::{LlmCall, TextLoss, TextualGradientDescent};

use super::{client, hello, patient, server};

fn all() -> Sampling {
    Sampling {
        n: 1,
        temperature: Some(0.25),
        top_p: Some(0.5),
        max_tokens: Some(77),
        seed: Some(9),
        stop: vec!["END".to_owned()],
        frequency_penalty: Some(0.5),
        presence_penalty: Some(-0.5),
        top_logprobs: None,
        extra: json!({ "top_k": 4 }).as_object().unwrap().clone(),
    }
}

#[tokio::test]
async fn all_of_the_sampling_of_every_kind_of_call_reaches_the_server() {
    let server = server(&[]).await;
    let engine = patient(&server);
    let x = Parameter::new("x", "text");
    let llm = LlmCall::builder(engine.clone()).sampling(all()).feedback_sampling(all()).build();
    let answer = llm.ask(x.variable()).one().await.unwrap();
    let loss = TextLoss::new(engine.clone(), "judge").sampling(all()).feedback_sampling(all());
    let verdict = loss.evaluate(&answer).await.unwrap();
    let gradients = backward(&verdict).await.unwrap();
    let optimizer =
        TextualGradientDescent::builder(engine).sampling(all()).parse_retries(0).build();
    // The echo has no tags; what was sent is what counts.
    let _ = optimizer.propose_updates([&x], &gradients).await.unwrap();
    let sent = server.requests();
    assert_eq!(sent.len(), 5, "a call, a loss, two of feedback, an update");
    for body in sent {
        for (name, value) in [
            ("temperature", json!(0.25)),
            ("top_p", json!(0.5)),
            ("max_tokens", json!(77)),
            ("seed", json!(9)),
            ("stop", json!(["END"])),
            ("frequency_penalty", json!(0.5)),
            ("presence_penalty", json!(-0.5)),
            ("top_k", json!(4)),
        ] {
            assert_eq!(body[name], value, "{name} in {body}");
        }
    }
}

#[tokio::test]
async fn what_is_not_set_is_not_sent() {
    let server = server(&[]).await;
    client(&server).complete(&hello()).await.unwrap();
    let body = &server.requests()[0];
    let mut names: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["messages", "model", "stream"]);
    assert_eq!(body["stream"], false, "some gateways stream where it is left out");
    assert_eq!(body["messages"], json!([{ "role": "user", "content": "hello" }]));
}

#[tokio::test]
async fn a_model_of_any_name_is_asked_where_the_word_before_the_slash_says() {
    for model in ["gpt-5", "o3", "my-claude-like", "experimental:x", "azure-gemini/groq"] {
        let server = server(&[]).await;
        let base_url = server.base_url();
        let engine = engine_with(&format!("openai/{model}"), |name| match name {
            "OPENAI_API_KEY" => Some("k".to_owned()),
            "OPENAI_BASE_URL" => Some(base_url.clone()),
            _ => None,
        });
        let engine = engine.unwrap().http(HttpOptions::default().no_proxy()).build().unwrap();
        let request = hello().with_sampling(Sampling::default().with_max_tokens(9));
        engine.complete(&request).await.unwrap();
        let body = &server.requests()[0];
        assert_eq!((&body["model"], &body["max_completion_tokens"]), (&json!(model), &json!(9)));
        assert!(body.get("max_tokens").is_none(), "reasoning models refuse it");
    }
    let error = engine_with("gpt-5", |_| None).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let told = error.to_string();
    assert!(told.contains("\"gpt-5\"") && told.contains("openai"), "{told}");
}

#[tokio::test]
async fn any_address_can_be_asked_and_needs_no_key() {
    let server = server(&[]).await;
    let line = format!("{}#some/model", server.base_url());
    let engine = engine_with(&line, |_| None)
        .unwrap()
        .http(HttpOptions::default().no_proxy())
        .build()
        .unwrap();
    engine.complete(&hello()).await.unwrap();
    assert_eq!(server.requests()[0]["model"], "some/model");
    assert!(Preset::named("ollama").is_some() && Preset::named("vllm").is_some());
}

#[tokio::test]
async fn the_engine_of_a_pass_takes_over_from_those_of_the_ops() {
    let (own, critic) = (server(&[]).await, server(&[]).await);
    let x = Variable::differentiable("x", "text");
    let answer = LlmCall::builder(patient(&own)).build().ask(&x).one().await.unwrap();
    let gradients = Backward::new(&answer).engine(patient(&critic)).run().await.unwrap();
    assert!(!gradients.text(&x).is_empty());
    assert_eq!((own.requests().len(), critic.requests().len()), (1, 1));
}
