//! Texts put together, feedback merged, and failures of functions: with models around them.

use std::sync::Arc;

use crate::support::{Answers, lines, pack, script, user};
use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{
    Deduplicate, Error, Feedback, Gradient, Gradients, KeepAll, Parameter, Purpose, Reduce,
    ReduceCx, Score, Variable, apply_one, backward, reduce_fn,
};
use textgrad_ops::{
    LlmCall, LlmReduce, StringFn, TextLoss, TextualGradientDescent, aggregate, concat, sum,
};

#[tokio::test]
async fn texts_are_joined_and_what_is_said_of_them_is_said_of_each() {
    let engine = script(["shorter, please"]);
    let (rules, task) =
        (Variable::differentiable("{a}", "rules"), Variable::differentiable("b", "task"));
    let fixed = Variable::constant("c", "fixed");
    let whole = concat([&rules, &fixed, &task], " | ").await.unwrap();
    assert_eq!(whole.text(), Some("{a} | c | b"));
    assert_eq!(&**whole.role(), "concat of: rules; fixed; task");
    let check = StringFn::new(engine.clone(), "checks", |_| Ok("no".to_owned())).prompts(pack());
    let gradients = backward(&check.call([("text", &whole)]).await.unwrap()).await.unwrap();
    for part in [&rules, &task] {
        assert_eq!(gradients.text(part), "shorter, please");
    }
    assert!(gradients.received(&fixed).is_empty());
    assert_eq!(engine.requests().len(), 1, "handing on costs nothing");

    assert_eq!(concat([&task], "").await.unwrap().text(), Some("b"));
    let error = concat::<&Variable>(&[], ", ").await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "expected at least one text for the concat");
    assert!(concat([&crate::support::picture()], "").await.is_err());
}

/// `x` judged as these say, three of them inside of `inner`, all inside of `outer`.
async fn judged(inner: Arc<dyn Reduce>, outer: Arc<dyn Reduce>) -> (Variable, Gradients) {
    let x = Variable::differentiable("x", "text");
    let mut losses = Vec::new();
    for said in ["Shorten it.", " shorten IT.", "Add colour.", "Shorten it."] {
        let engine = Answers::new("critic", move |_| said.to_owned());
        let loss = TextLoss::new(engine, said).prompts(pack());
        losses.push(loss.evaluate(&x).await.unwrap());
    }
    let inner = aggregate(&losses[..3], inner).await.unwrap();
    let total = aggregate([&inner, &losses[3]], outer).await.unwrap();
    assert_eq!(&**total.role(), "aggregate of: evaluation of a text");
    let gradients = backward(&total).await.unwrap();
    assert_eq!(gradients.received(&x).len(), 4);
    (x, gradients)
}

fn words(found: &(Variable, Gradients)) -> Vec<(&str, usize)> {
    let feedback = found.1.feedback(&found.0);
    feedback.map(|feedback| (feedback.text(), feedback.contexts().len())).collect()
}

#[tokio::test]
async fn nested_aggregates_merge_each_in_its_own_way() {
    let found = judged(Arc::new(KeepAll), Arc::new(KeepAll)).await;
    let all = [("Shorten it.", 1), (" shorten IT.", 1), ("Add colour.", 1), ("Shorten it.", 1)];
    assert_eq!(words(&found), all);
    let found = judged(Arc::new(KeepAll), Arc::new(Deduplicate)).await;
    assert_eq!(words(&found), [("Shorten it.", 3), ("Add colour.", 1)]);

    // What was merged inside is what is merged outside.
    let engine = script(["Be brief and colourful."]);
    let model = Arc::new(LlmReduce::new(engine.clone()).prompts(pack()));
    let found = judged(Arc::new(Deduplicate), model.clone()).await;
    assert_eq!(words(&found), [("Be brief and colourful.", 4)]);
    let asked = "user: text=x said Shorten it. said Add colour. said Shorten it.";
    assert_eq!(lines(&engine.requests()[0]), ["system: merge", asked]);

    let last = Arc::new(reduce_fn("last", |cx: ReduceCx| async move {
        let last = cx.feedback().last().map(|last| Feedback::new(last.text().to_uppercase()));
        Ok(last.into_iter().collect())
    }));
    let engine = script(["Both."]);
    let model = Arc::new(LlmReduce::new(engine.clone()).prompts(pack()));
    assert_eq!(words(&judged(model, last).await), [("SHORTEN IT.", 4)]);
    assert_eq!(engine.requests().len(), 1);
}

fn number(engine: &Arc<ScriptedEngine>) -> StringFn {
    let function = StringFn::new(engine.clone(), "reads a number", |inputs| {
        let text = inputs.text("answer")?;
        let number: i64 = text.parse().map_err(|_| Error::op(format!("{text:?} is no number")))?;
        Ok(number.to_string())
    });
    function.name("number").prompts(pack())
}

#[tokio::test]
async fn a_function_that_fails_teaches_the_prompt_before_it() {
    let engine =
        script(["four", "ask for digits", "<IMPROVED_VARIABLE>\nDigits!\n</IMPROVED_VARIABLE>"]);
    let prompt = Parameter::new("2 + 2?", "question");
    let writer = LlmCall::builder(engine.clone()).prompts(pack()).build();
    let answer = writer.ask(prompt.variable()).one().await.unwrap();
    let read = apply_one(Arc::new(number(&engine)), [("answer", &answer)]).await;
    let failed = read.unwrap_err().to_variable([("answer", &answer)]).unwrap();
    assert_eq!(failed.score(), Some(Score::Passed(false)));
    let gradients = backward(&failed).await.unwrap();
    assert_eq!(gradients.text(&prompt.variable()), "ask for digits");
    let said =
        r#"The op "number" failed with this text as its input "answer": "four" is no number"#;
    assert_eq!(gradients.text(&answer), said);
    // One request: that of the writer, in the chain form.
    let requests = engine.requests();
    assert_eq!(requests.len(), 2);
    let role = "response of the language model";
    assert_eq!(
        user(&requests[1]),
        format!("chain 2 + 2? in [P=2 + 2? R=four] as {role} said {said} function=false")
    );
    let optimizer = TextualGradientDescent::builder(engine.clone()).prompts(pack()).build();
    optimizer.step(std::slice::from_ref(&prompt), &gradients).await.unwrap();
    assert_eq!(&*prompt.text(), "Digits!");

    // The optimizer of the answer itself is shown the call that failed.
    let engine = script(["<IMPROVED_VARIABLE>\n4\n</IMPROVED_VARIABLE>"]);
    let feedback: Vec<Feedback> = gradients.feedback(&answer).cloned().collect();
    let optimizer = TextualGradientDescent::builder(engine.clone()).prompts(pack()).build();
    optimizer.rewrite(&answer, &feedback, None).await.unwrap();
    let shown = format!(r#"[F=op "number" answer:{role}=four R="four" is no number]"#);
    assert!(user(&engine.requests()[0]).contains(&shown), "{}", user(&engine.requests()[0]));
}

#[tokio::test]
async fn a_failure_is_one_term_of_an_objective_beside_others() {
    let engine = Answers::plain("e");
    let answer = Variable::differentiable("four", "answer");
    let read = apply_one(Arc::new(number(&script([]))), [("answer", &answer)]).await;
    let failed = read.unwrap_err().to_variable([("answer", &answer)]).unwrap();
    let loss = TextLoss::new(engine.clone(), "judge").evaluate(&answer).await.unwrap();
    let total = sum([&failed, &loss]).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    assert!(matches!(gradients.get(&loss), [Gradient::Objective]));
    let said: Vec<&str> = gradients.feedback(&answer).map(Feedback::text).collect();
    assert_eq!((said.len(), said[1]), (2, "e gradient"));
    assert_eq!(engine.asked(Purpose::Gradient).len(), 1);
}
