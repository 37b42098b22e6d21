//! Answers that cannot be used, and a judge's.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Feedback, Parameter, backward, check_fn, op_fn};
use textgrad_core::{Gradients, Inputs, Output, apply_one};
use textgrad_ops::TextualGradientDescent;
use textgrad_ops::score::{Example, LlmJudge, Scorer};

use super::expected::update;
use super::{messages, pack};

async fn said(parameter: &Parameter) -> Gradients {
    let op = op_fn("use", |inputs: Inputs| async move {
        Ok(vec![Output::new(inputs.text("text")?, "use of a text")])
    });
    let op = op.with_backward(|_| async { Ok(vec![Some(Feedback::new("shorter").into())]) });
    let used = apply_one(Arc::new(op), [("text", &parameter.variable())]).await.unwrap();
    backward(&used).await.map_err(|failure| failure.error).unwrap()
}

#[tokio::test]
async fn a_text_that_breaks_a_rule_and_answers_without_tags() {
    let reply = |text: &str| format!("<IMPROVED_VARIABLE>{text}</IMPROVED_VARIABLE>");
    let replies = [reply("far too long"), "no tags".to_owned(), reply("short")];
    let engine = Arc::new(ScriptedEngine::new(replies));
    let brief = check_fn("One word.", |text| match text.split(' ').count() {
        1 => Ok(()),
        words => Err(format!("it has {words}")),
    });
    let text = Parameter::builder("long text", "a text").constraint("Be kind.").check(brief);
    let text = text.build();
    let gradients = said(&text).await;
    let optimizer = TextualGradientDescent::builder(engine.clone()).prompts(pack());
    let optimizer = optimizer.constraint("Be clear.").build();
    optimizer.step([&text], &gradients).await.unwrap();
    let gradient = "The comments on a text:\n\n<FEEDBACK> shorter </FEEDBACK>\n\n".to_owned();
    // The rules of such an optimizer, those of the text, and what is checked of it.
    let rules = ["Be clear.", "Be kind.", "One word."];
    let asked = update("a text", "long text", &[gradient], &rules, &[]);
    let sent: Vec<String> = engine.requests().iter().map(|sent| messages(sent).1).collect();
    assert_eq!(sent[0], asked);
    let problem = sent[1].strip_prefix(&format!("{asked}\n\n")).unwrap();
    assert!(problem.starts_with("(Once more, please: ") && problem.contains("it has 3"));
    let missing = "the opening tag <IMPROVED_VARIABLE> was missing";
    assert_eq!(sent[2], format!("{asked}\n\n(Once more, please, for the 2. time: {missing}.)"));
}

#[tokio::test]
async fn a_judge() {
    let engine = Arc::new(ScriptedEngine::new(["Good.", "<SCORE>8</SCORE>"]));
    let judge = LlmJudge::builder(engine.clone(), "It is right.").prompts(pack()).build();
    let example = Example::new("1").with_field("question", "2 {+} 2?").with_expected("4");
    let score = judge.score("four", &example).await.unwrap();
    assert_eq!(score.required().unwrap().as_f64(), 0.8);
    let asked = "It is right.\nQuestion: 2 {+} 2?\nExpected: 4\nAnswer: four\n\
                 Grade it from 0 to 10: <SCORE>...</SCORE>";
    let again = "(Once more, please: the opening tag <SCORE> was missing. <SCORE>...</SCORE>)";
    let system = "You grade answers by a criterion.".to_owned();
    let sent: Vec<_> = engine.requests().iter().map(messages).collect();
    assert_eq!(sent[0], (system.clone(), asked.to_owned()));
    assert_eq!(sent[1], (system, format!("{asked}\n\n{again}")));
}
