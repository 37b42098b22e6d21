//! Momentum by sampling: what is rewritten, and what is learned from scores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Answers, pack, tagged, user};
use serde_json::{Value as Json, json};
use textgrad_core::{
    Gradients, Inputs, Output, Parameter, Purpose, Score, Seed, Variable, apply_one, backward,
    check_fn, op_fn,
};
use textgrad_ops::{
    Error, Optimizer, Proposal, ProposalOutcome, SampledMomentum, SampledMomentumBuilder, TextLoss,
    TextualGradientDescent, sum,
};

/// Feedback names the text that it is about; updates are counted.
fn engine() -> Arc<Answers> {
    let count = AtomicUsize::new(0);
    Answers::new("engine", move |request| match request.purpose {
        Purpose::Update => tagged(&format!("text {}", 1 + count.fetch_add(1, Ordering::Relaxed))),
        Purpose::Loss => format!("judged {}", user(request)),
        purpose => format!("{purpose} on {}", user(request)),
    })
}

fn momentum(engine: &Arc<Answers>) -> SampledMomentumBuilder {
    let descent = TextualGradientDescent::builder(engine.clone()).prompts(pack()).build();
    SampledMomentum::builder(descent, Seed::new(11))
}

async fn evaluated(engine: &Arc<Answers>, parameters: &[Parameter]) -> (Variable, Gradients) {
    let loss = TextLoss::new(engine.clone(), "judge").prompts(pack());
    let mut losses = Vec::new();
    for parameter in parameters {
        losses.push(loss.evaluate(&parameter.variable()).await.unwrap());
    }
    let objective = sum(&losses).await.unwrap();
    let gradients = backward(&objective).await.unwrap();
    (objective, gradients)
}

/// A step whose new texts are kept, and score this.
async fn step(
    engine: &Arc<Answers>,
    optimizer: &SampledMomentum,
    parameters: &[Parameter],
    score: Option<f64>,
) -> Proposal {
    let (objective, gradients) = evaluated(engine, parameters).await;
    let proposal = optimizer.propose(parameters, &objective, &gradients).await.unwrap();
    proposal.apply().unwrap();
    optimizer.report(&proposal, ProposalOutcome { accepted: true, score: score.map(Score::from) });
    proposal
}

fn updates(engine: &Arc<Answers>) -> Vec<String> {
    engine.asked(Purpose::Update).iter().map(user).collect()
}

#[tokio::test]
async fn the_best_text_is_rewritten_again_with_what_was_said_about_it() {
    let engine = engine();
    let optimizer = momentum(&engine).temperature(1e-6).build().unwrap();
    let parameter = [Parameter::new("text 0", "letter")];
    // Text 1 is good, the later ones are not.
    for score in [0.9, 0.1, 0.2, 0.3] {
        step(&engine, &optimizer, &parameter, Some(score)).await;
    }
    let asked = updates(&engine);
    assert!(asked[0].starts_with("letter=text 0 said gradient on base text 0 in "), "{}", asked[0]);
    for later in &asked[1..] {
        assert!(later.starts_with("letter=text 1 said gradient on base text 1 in "), "{later}");
        assert_eq!(later, &asked[1], "with its contexts");
    }
    // What is replaced is the text that there is.
    assert_eq!((&*parameter[0].text(), parameter[0].version()), ("text 4", 4));
}

#[tokio::test]
async fn what_is_turned_down_teaches_nothing() {
    let engine = engine();
    let optimizer = momentum(&engine).temperature(1e-6).build().unwrap();
    let parameter = [Parameter::new("text 0", "letter")];
    for _ in 0..3 {
        let (objective, gradients) = evaluated(&engine, &parameter).await;
        let proposal = optimizer.propose(&parameter, &objective, &gradients).await.unwrap();
        let score = Some(Score::from(0.9));
        optimizer.report(&proposal, ProposalOutcome { accepted: false, score });
    }
    assert!(updates(&engine).iter().all(|asked| asked.starts_with("letter=text 0 ")));
    let state = optimizer.state_dict();
    assert_eq!(state["parameters"][0]["entries"].as_array().unwrap().len(), 1);
    assert_eq!(state["parameters"][0]["entries"][0]["score"], Json::Null);
    assert_eq!(state["parameters"][0]["steps"], json!(3));
}

#[tokio::test]
async fn several_bases_are_drawn_without_replacement_and_their_texts_are_candidates() {
    let engine = engine();
    let optimizer = momentum(&engine).bases(3).history(3).build().unwrap();
    let parameter = [Parameter::new("text 0", "letter")];
    let mut counts = Vec::new();
    for _ in 0..4 {
        let proposal = step(&engine, &optimizer, &parameter, Some(0.5)).await;
        counts.push(proposal.updates[0].rewrite.as_ref().unwrap().candidates.len());
    }
    assert_eq!(counts, [1, 2, 3, 3]);
    let asked = updates(&engine);
    let mut last: Vec<&str> =
        asked[6..].iter().map(|asked| asked.split(" said").next().unwrap()).collect();
    last.sort_unstable();
    last.dedup();
    assert_eq!(last.len(), 3, "{last:?}");
    assert!(!last.contains(&"letter=text 0"), "the oldest is forgotten: {last:?}");
    let seeds: std::collections::HashSet<u64> =
        engine.asked(Purpose::Update).iter().map(|r| r.sampling.seed.unwrap()).collect();
    assert_eq!(seeds.len(), 9);
}

#[tokio::test]
async fn the_score_of_the_objective_serves_where_none_is_reported() {
    let engine = engine();
    let optimizer = momentum(&engine).temperature(1e-6).build().unwrap();
    let parameter = [Parameter::new("text 0", "letter")];
    for score in [0.9, 0.1, f64::NAN, 0.2] {
        let scored = op_fn("score", move |inputs: Inputs| async move {
            Ok(vec![Output::new(inputs.text("loss")?, "verdict").with_score(score)])
        });
        let scored = scored.with_backward(|cx: textgrad_core::BackwardCx| async move {
            Ok(vec![cx.gradients(0).first().cloned()])
        });
        let (loss, _) = evaluated(&engine, &parameter).await;
        let objective = apply_one(Arc::new(scored), [("loss", &loss)]).await.unwrap();
        let gradients = backward(&objective).await.unwrap();
        let proposal = optimizer.propose(&parameter, &objective, &gradients).await.unwrap();
        proposal.apply().unwrap();
    }
    assert!(updates(&engine).iter().all(|asked| asked.starts_with("letter=text 0 ")));
}

#[tokio::test]
async fn each_parameter_draws_for_itself_and_obeys_its_own_rules() {
    let engine = engine();
    let optimizer = momentum(&engine).build().unwrap();
    let never = check_fn("never", |_| Err("it is".to_owned()));
    let both = [
        Parameter::new("left", "letter"),
        Parameter::builder("right", "letter").check(never).constraint("polite").build(),
    ];
    let proposal = step(&engine, &optimizer, &both, Some(1.0)).await;
    assert!(proposal.updates[1].is_kept() && proposal.updates[1].rejected().len() == 3);
    assert_eq!((&*both[1].text(), both[0].version()), ("right", 1));
    assert!(
        updates(&engine)
            .iter()
            .filter(|asked| asked.contains("letter=right"))
            .all(|asked| { asked.contains("must 1 polite must 2 never") })
    );
    let scores: Vec<Json> = optimizer.state_dict()["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| json!([slot["accepted"][1], slot["entries"][0]["score"]]))
        .collect();
    assert_eq!(scores, [json!([1.0, null]), json!([null, 1.0])]);
}

/// Answers that depend on nothing but the request.
fn echo() -> Arc<Answers> {
    Answers::new("echo", |request| {
        let length: usize = request.messages.iter().map(|message| message.text().len()).sum();
        let answer = format!("{} {length} {:?}", request.purpose, request.sampling.seed);
        if request.purpose == Purpose::Update { tagged(&answer) } else { answer }
    })
}

#[tokio::test]
async fn a_restored_optimizer_sends_the_same_bytes() {
    let engine = echo();
    let build = || momentum(&engine).bases(2).temperature(0.3).build().unwrap();
    let optimizer = build();
    let parameters = [Parameter::new("a", "first"), Parameter::new("b", "second")];
    for score in [Some(0.1), None, Some(0.7)] {
        step(&engine, &optimizer, &parameters, score).await;
    }
    let saved = serde_json::to_string(&optimizer.state_dict()).unwrap();
    let fresh = parameters.clone().map(|p| Parameter::new(p.text(), Arc::clone(p.role())));
    let restored = build();
    let state: Json = serde_json::from_str(&saved).unwrap();
    restored.load_state_dict(&fresh, &state).unwrap();
    assert_eq!(restored.state_dict(), state);
    for score in [0.2, 0.4, 0.3] {
        let before = engine.requests().len();
        step(&engine, &optimizer, &parameters, Some(score)).await;
        let middle = engine.requests().len();
        step(&engine, &restored, &fresh, Some(score)).await;
        let all = engine.requests();
        assert_eq!(all[before..middle], all[middle..]);
    }
    let swapped = [fresh[1].clone(), fresh[0].clone()];
    let before = restored.state_dict();
    for (parameters, state) in
        [(&swapped[..], &before), (&fresh[..1], &before), (&fresh[..], &Json::Null)]
    {
        assert!(matches!(restored.load_state_dict(parameters, state), Err(Error::State { .. })));
        assert_eq!(restored.state_dict(), before);
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let engine = engine();
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = momentum(&engine).temperature(temperature).build().unwrap_err();
        assert!(
            error.to_string().starts_with("temperature: expected a finite number above 0, got ")
        );
    }
    let descent = TextualGradientDescent::builder(engine.clone()).momentum(2).build();
    let error = SampledMomentum::builder(descent, Seed::new(1)).build().unwrap_err();
    assert!(error.to_string().contains("an optimizer without memory"), "{error}");
    let optimizer = momentum(&engine).build().unwrap();
    let parameter = [Parameter::new("a", "letter")];
    let objective = Variable::constant("x", "objective");
    let error = optimizer.propose(&parameter, &objective, &Gradients::default()).await.unwrap_err();
    assert!(matches!(error, Error::NoFeedback { .. }), "{error}");
    assert!(engine.requests().is_empty());
}
