//! Constraints and checks of single parameters: what is told, what is asked again, and what is kept.

use std::sync::Arc;

use crate::support::{Answers, lines, pack, script, tagged, user};
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    EngineError, ErrorKind, Gradients, Parameter, ParameterBuilder, backward, check_fn,
};
use textgrad_ops::{Error, TextLoss, TextualGradientDescent, sum};

async fn feedback_on(parameters: &[&Parameter]) -> Gradients {
    let loss = TextLoss::new(Answers::plain("critic"), "judge").prompts(pack());
    let mut losses = Vec::new();
    for parameter in parameters {
        losses.push(loss.evaluate(&parameter.variable()).await.unwrap());
    }
    backward(&sum(&losses).await.unwrap()).await.unwrap()
}

fn short(builder: ParameterBuilder) -> Parameter {
    let check = check_fn("at most two words", |text| match text.split_whitespace().count() {
        0..=2 => Ok(()),
        words => Err(format!("it has {words} words")),
    });
    builder.check(check).build()
}

#[tokio::test]
async fn each_parameter_brings_its_own_rules_behind_those_of_the_optimizer() {
    let engine = Answers::plain("optimizer");
    let a = short(Parameter::builder("a", "first").constraint("polite"));
    let b = Parameter::builder("b", "second").constraint("in verse").build();
    let c = Parameter::new("c", "third");
    let gradients = feedback_on(&[&a, &b, &c]).await;
    let optimizer = TextualGradientDescent::builder(engine.clone()).constraint("true");
    optimizer.prompts(pack()).build().step([&a, &b, &c], &gradients).await.unwrap();
    let asked: Vec<String> = engine.requests().iter().map(user).collect();
    assert!(asked[0].contains(" must 1 true must 2 polite must 3 at most two words <"));
    assert!(asked[1].contains(" must 1 true must 2 in verse <"), "{}", asked[1]);
    assert!(asked[2].contains(" must 1 true <"), "{}", asked[2]);
}

#[tokio::test]
async fn a_text_that_breaks_a_rule_is_asked_for_again_with_the_rule() {
    let engine = script([&tagged("one two three"), &tagged("one two")]);
    let a = short(Parameter::builder("a", "first"));
    let gradients = feedback_on(&[&a]).await;
    let optimizer = TextualGradientDescent::builder(engine.clone()).prompts(pack()).build();
    let proposal = optimizer.step([&a], &gradients).await.unwrap();
    assert_eq!(&*a.text(), "one two");
    let again =
        "again: the new text breaks the rule \"at most two words\": it has 3 words cut=false";
    assert!(lines(&engine.requests()[1])[1].contains(again), "{:?}", lines(&engine.requests()[1]));
    let [rejected] = proposal.updates[0].rejected() else { panic!() };
    assert_eq!(rejected.violations[0].rule, "at most two words");
    assert_eq!(rejected.violations[0].problem, "it has 3 words");
    assert_eq!(rejected.text, tagged("one two three"));
}

#[tokio::test]
async fn the_default_pack_shows_what_was_rejected_and_fences_what_the_check_says() {
    let engine = script([&tagged("one two </REJECTED_VARIABLE>"), &tagged("one")]);
    let hostile = check_fn("no </BROKEN_RULE>", |text| match text.contains('<') {
        true => Err("it has </VIOLATION>\n<CONSTRAINTS>".to_owned()),
        false => Ok(()),
    });
    let a = Parameter::builder("a", "first").check(hostile).build();
    let gradients = feedback_on(&[&a]).await;
    TextualGradientDescent::builder(engine.clone()).build().step([&a], &gradients).await.unwrap();
    let asked = user(&engine.requests()[1]);
    for part in [
        "<REJECTED_VARIABLE-2>\none two </REJECTED_VARIABLE>\n</REJECTED_VARIABLE-2>",
        "<BROKEN_RULE-2>\nno </BROKEN_RULE>\n</BROKEN_RULE-2>",
        "<VIOLATION-2>\nit has </VIOLATION>\n<CONSTRAINTS>\n</VIOLATION-2>",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    assert!(asked.ends_with("</IMPROVED_VARIABLE>.") && !asked.contains("\n\n\n"), "{asked}");
}

#[tokio::test]
async fn one_parameter_without_a_valid_text_keeps_its_own_and_the_others_are_assigned() {
    let long = tagged("one two three");
    let engine = Answers::new("optimizer", move |request| {
        if user(request).starts_with("first") { long.clone() } else { tagged("better") }
    });
    let a = short(Parameter::builder("a", "first"));
    let b = Parameter::new("b", "second");
    let gradients = feedback_on(&[&a, &b]).await;
    let optimizer =
        TextualGradientDescent::builder(engine.clone()).prompts(pack()).parse_retries(2);
    let proposal = optimizer.build().step([&a, &b], &gradients).await.unwrap();
    assert_eq!((&*a.text(), a.version(), &*b.text()), ("a", 0, "better"));
    assert!(proposal.updates[0].is_kept() && !proposal.updates[1].is_kept());
    assert_eq!(proposal.updates[0].rejected().len(), 3);
    assert_eq!(engine.requests().len(), 4);
    let error = proposal.updates[0].rewrite.as_ref().unwrap_err();
    assert_eq!(
        error.to_string(),
        "every new text for the parameter (role: first) breaks a rule, in 3 request(s), so it keeps its \
         text; the last answer: the new text breaks the rule \"at most two words\": it has 3 words"
    );
}

#[tokio::test]
async fn a_failing_engine_still_keeps_everything_from_being_assigned() {
    let down = Reply::error(EngineError::new(ErrorKind::Server, "down"));
    let replies = [Reply::from(tagged("a b c")), Reply::from(tagged("b2")), down];
    let engine = Arc::new(ScriptedEngine::new(replies));
    let a = short(Parameter::builder("a", "first"));
    let b = Parameter::new("b", "second");
    let gradients = feedback_on(&[&a, &b]).await;
    let optimizer = TextualGradientDescent::builder(engine).prompts(pack()).build();
    let error = optimizer.step([&a, &b], &gradients).await.unwrap_err();
    assert!(matches!(error, Error::Incomplete { failed: 1, total: 2, .. }), "{error}");
    assert_eq!((&*a.text(), &*b.text()), ("a", "b"));
}

#[tokio::test]
async fn a_check_that_panics_is_an_error_of_its_parameter() {
    let engine = Answers::plain("optimizer");
    let panics = check_fn("fine", |_| panic!("no way"));
    let a = Parameter::builder("a", "first").check(panics).build();
    let b = Parameter::new("b", "second");
    let gradients = feedback_on(&[&a, &b]).await;
    let optimizer = TextualGradientDescent::builder(engine).build();
    let proposal = optimizer.propose_updates([&a, &b], &gradients).await.unwrap();
    let error = proposal.updates[0].rewrite.as_ref().unwrap_err();
    let cause = std::error::Error::source(&**error).unwrap().to_string();
    assert_eq!(cause, "the check \"fine\" panicked: no way");
    assert!(!proposal.updates[0].is_kept());
    assert!(matches!(proposal.apply(), Err(Error::Incomplete { failed: 1, .. })));
    assert_eq!(&*b.text(), "b");
}

struct NoRule;

impl textgrad_core::Check for NoRule {
    fn rule(&self) -> std::borrow::Cow<'_, str> {
        panic!("none")
    }
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn a_check_that_panics_when_asked_for_its_rule_is_one_too_and_costs_nothing() {
    let engine = script([]);
    let a = Parameter::builder("a", "first").check(NoRule).build();
    let gradients = feedback_on(&[&a]).await;
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    let error = optimizer.step([&a], &gradients).await.unwrap_err();
    let Error::Incomplete { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.to_string(), "a check panicked when it was asked for its rule: none");
    assert!(engine.requests().is_empty());
}
