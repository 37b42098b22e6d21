//! One test per defect that other frameworks were seen to have, so that this one never gets it. Those of braces
//! and tags in texts are in `texts_are_data`.

use std::sync::Arc;

use crate::support::{Answers, lines, picture, script, user, whole};
use textgrad_core::{
    Backward, Gradient, Layout, Parameter, Purpose, Request, Seed, Variable, backward,
};
use textgrad_ops::{
    Error, LlmCall, LlmReduce, StringFn, Tags, TextLoss, TextualGradientDescent, aggregate, sum,
};

async fn losses(engine: &Arc<Answers>, of: &Variable, count: usize) -> Vec<Variable> {
    let mut losses = Vec::new();
    for i in 0..count {
        let loss = TextLoss::new(engine.clone(), format!("judge by rule {i}"));
        losses.push(loss.evaluate(of).await.unwrap());
    }
    losses
}

const OBJECTIVE: &str = "is the objective";

#[tokio::test]
async fn a_sum_of_losses_asks_each_in_its_base_form_and_once() {
    let engine = Answers::plain("e");
    let x = Variable::differentiable("x", "text");
    let losses = losses(&engine, &x, 3).await;
    let gradients = backward(&sum(&losses).await.unwrap()).await.unwrap();
    let asked = engine.asked(Purpose::Gradient);
    assert_eq!(asked.len(), 3);
    for (i, request) in asked.iter().enumerate() {
        assert!(user(request).contains(OBJECTIVE) && !user(request).contains("<FEEDBACK"));
        assert!(user(request).contains(&format!("judge by rule {i}")));
    }
    assert_eq!(gradients.get(&x).len(), 3);
    for loss in &losses {
        assert!(matches!(gradients.get(loss), [Gradient::Objective]));
    }
}

#[tokio::test]
async fn nested_sums_grow_no_faster_than_what_is_summed() {
    let engine = Answers::plain("e");
    let x = Variable::differentiable("x", "text");
    let losses = losses(&engine, &x, 16).await;
    let mut total = losses[0].clone();
    for loss in &losses[1..] {
        total = sum([&total, loss]).await.unwrap();
    }
    let wrapped = StringFn::new(engine.clone(), "counts", |_| Ok("16".into()));
    let end = wrapped.call([("total", &total)]).await.unwrap();
    let gradients = backward(&end).await.unwrap();
    for loss in &losses {
        assert_eq!(gradients.text(loss), "e gradient", "said once, however deep");
    }
    assert_eq!(gradients.text(&x), ["e gradient"; 16].join("\n"));
    assert_eq!(engine.asked(Purpose::Gradient).len(), 1 + 16);

    // The same term on both sides of every sum: still one gradient.
    let mut doubled = x.clone();
    for _ in 0..8 {
        doubled = sum([&doubled, &doubled]).await.unwrap();
    }
    let end = wrapped.call([("total", &doubled)]).await.unwrap();
    let gradients = backward(&end).await.unwrap();
    assert_eq!(gradients.text(&x), "e gradient\ne gradient", "one per edge");
}

#[tokio::test]
async fn constants_get_no_gradient_from_a_sum() {
    let (x, constant) =
        (Variable::differentiable("x", "text"), Variable::constant("c", "constant"));
    let gradients = backward(&sum([&constant, &x]).await.unwrap()).await.unwrap();
    assert!(gradients.received(&constant).is_empty());
    assert_eq!(gradients.get(&x).len(), 1);
}

#[tokio::test]
async fn plus_says_everything_once_and_hands_the_objective_on() {
    let engine = Answers::plain("e");
    let x = Variable::differentiable("x", "text");
    let losses = losses(&engine, &x, 17).await;
    let mut total = losses[0].clone();
    for loss in &losses[1..] {
        total = (total + loss).unwrap();
    }
    let gradients = backward(&total).await.unwrap();
    let asked = engine.asked(Purpose::Gradient);
    assert_eq!(asked.len(), 17);
    assert!(asked.iter().all(|request| user(request).contains(OBJECTIVE)));
    assert_eq!(gradients.text(&x), ["e gradient"; 17].join("\n"));

    // Two gradients for each side of each `+`, in other frameworks: 65536 times the same at this depth.
    let mut doubled = x.clone();
    for _ in 0..16 {
        doubled = (&doubled + &Variable::constant("", "nothing")).unwrap();
    }
    let wrapped = StringFn::new(engine.clone(), "counts", |_| Ok("16".into()));
    let end = wrapped.call([("total", &doubled)]).await.unwrap();
    assert_eq!(backward(&end).await.unwrap().text(&x), "e gradient");
}

#[tokio::test]
async fn an_aggregate_reaches_every_input() {
    let engine = Answers::plain("e");
    let leaves: Vec<Variable> =
        (0..3).map(|i| Variable::differentiable(i.to_string(), "text")).collect();
    let reduce = Arc::new(LlmReduce::new(engine.clone()));
    let mut terms = Vec::new();
    for leaf in &leaves {
        terms.extend(losses(&engine, leaf, 1).await);
    }
    let total = aggregate(&terms, reduce).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    assert!(leaves.iter().all(|leaf| gradients.text(leaf) == "e gradient"));
    assert!(engine.asked(Purpose::Reduce).is_empty(), "one feedback each: nothing to merge");
}

#[tokio::test]
async fn feedback_from_outside_an_aggregate_is_kept_beside_the_merged() {
    let engine = Answers::plain("e");
    let x = Variable::differentiable("x", "text");
    let losses = losses(&engine, &x, 4).await;
    let part = aggregate(&losses[..2], Arc::new(LlmReduce::new(engine.clone()))).await.unwrap();
    let total = sum([&part, &losses[2], &losses[3]]).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    assert_eq!(gradients.text(&x), "e reduce\ne gradient\ne gradient");
    let merged = gradients.feedback(&x).next().unwrap();
    assert_eq!(merged.contexts().len(), 2, "both calls are still there to be shown");
    let reduce = &engine.asked(Purpose::Reduce)[0];
    assert_eq!(user(reduce).matches("<FEEDBACK>\ne gradient\n</FEEDBACK>").count(), 2);
}

#[tokio::test]
async fn the_optimizer_sees_the_whole_text() {
    let engine = Answers::plain("e");
    let long: String = (0..300).map(|i| format!("word{i} ")).collect();
    let x = Parameter::new(long.as_str(), "text");
    let total = sum(&losses(&engine, &x.variable(), 2).await).await.unwrap();
    for layout in [Layout::Quoted, Layout::Continued] {
        let gradients = Backward::new(&total).layout(layout).run().await.unwrap();
        let optimizer = TextualGradientDescent::builder(engine.clone()).layout(layout).build();
        let _ = optimizer.propose_updates(std::slice::from_ref(&x), &gradients).await.unwrap();
        let update = engine.asked(Purpose::Update).pop().unwrap();
        assert!(user(&update).contains(&format!("<VARIABLE>\n{long}\n</VARIABLE>")));
    }
    // And whoever gives feedback sees it whole in the call, if not in VARIABLE.
    for request in engine.asked(Purpose::Gradient) {
        assert!(whole(&request).contains(&long));
    }
}

/// A program with fan-out, a merge, a function and an update: all that it asks, in order.
async fn program() -> Vec<Request> {
    let engine = Answers::plain("e");
    let system = Parameter::new("s", "system prompt");
    let llm = LlmCall::builder(engine.clone()).build();
    let mut terms = Vec::new();
    for i in 0..6 {
        let question = Variable::differentiable(format!("question {i}"), format!("question {i}"));
        let answer = llm.ask(&question).system(&system).one().await.unwrap();
        terms.extend(losses(&engine, &answer, 2).await);
    }
    let part = aggregate(&terms[3..7], Arc::new(LlmReduce::new(engine.clone()))).await.unwrap();
    terms.push(part);
    let total = sum(&terms).await.unwrap();
    let gradients = Backward::new(&total).seed(Seed::new(1)).run().await.unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone()).seed(Seed::new(2)).build();
    let _ = optimizer.propose_updates(&[system], &gradients).await.unwrap();
    engine.requests()
}

#[tokio::test]
async fn the_same_program_asks_the_same_in_the_same_order() {
    let first = program().await;
    for _ in 0..5 {
        assert!(program().await == first);
    }
}

#[tokio::test]
async fn there_is_nothing_to_reset_between_steps() {
    let engine = Answers::plain("e");
    let x = Parameter::new("x", "text");
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let loss = losses(&engine, &x.variable(), 1).await.remove(0);
        backward(&loss).await.unwrap();
        let gradients = backward(&loss).await.unwrap();
        optimizer.step(std::slice::from_ref(&x), &gradients).await.unwrap();
        x.set("x");
        let update = user(&engine.asked(Purpose::Update).pop().unwrap());
        assert_eq!(
            (update.matches("<FEEDBACK>").count(), update.matches("<CONTEXT>").count()),
            (1, 1)
        );
        lengths.push(update.len());
    }
    assert_eq!(lengths, [lengths[0]; 3]);
}

#[tokio::test]
async fn a_call_with_examples_needs_no_tags_and_knows_no_phrase_that_ends_it() {
    let phrase = "The plan doesn't need to be improved";
    for reply in ["no tags", "<FINAL>tagged</FINAL> and more", phrase, "<FINAL>"] {
        let engine = Answers::new("e", move |_| reply.to_owned());
        let call = LlmCall::builder(engine.clone()).example("a", "b").feedback_example("c").build();
        let x = Variable::differentiable("x", "plan");
        let answer = call.ask(&x).one().await.unwrap();
        assert_eq!(answer.text(), Some(reply), "whole, and always there");
        assert_eq!(backward(&answer).await.unwrap().text(&x), reply);
    }
}

#[tokio::test]
async fn custom_tags_are_named_everywhere_and_the_defaults_nowhere() {
    for layout in [Layout::Quoted, Layout::Continued] {
        let critic = Answers::plain("critic");
        let engine = script(["no tags", "[[NEW]]\nbetter\n[[/NEW]]"]);
        let x = Parameter::new("x", "text");
        let loss = losses(&critic, &x.variable(), 1).await.remove(0);
        let gradients = Backward::new(&loss).layout(layout).run().await.unwrap();
        let tags = Tags::new("[[NEW]]", "[[/NEW]]").unwrap();
        let optimizer = TextualGradientDescent::builder(engine.clone()).tags(tags).layout(layout);
        optimizer.build().step(std::slice::from_ref(&x), &gradients).await.unwrap();
        assert_eq!(&*x.text(), "better");
        for request in engine.requests() {
            assert!(!whole(&request).contains("IMPROVED_VARIABLE"));
            assert!(user(&request).contains("[[NEW]] and [[/NEW]]"));
        }
        assert!(user(&engine.requests()[1]).contains("the opening tag [[NEW]] was missing"));
    }
}

#[tokio::test]
async fn a_step_without_a_gradient_asks_nothing_and_changes_nothing() {
    let engine = script([]);
    let x = Parameter::new("x", "text");
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    let error = optimizer.step(std::slice::from_ref(&x), &Default::default()).await.unwrap_err();
    assert!(matches!(&error, Error::NoFeedback { roles } if roles == &["text"]), "{error}");
    assert!(engine.requests().is_empty());
    assert_eq!(x.version(), 0);
}

#[test]
fn a_deep_program_needs_no_deep_stack() {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let engine = Answers::plain("e");
            let llm = LlmCall::builder(engine.clone()).build();
            let x = Variable::differentiable("x", "text");
            let mut end = x.clone();
            for _ in 0..3_000 {
                end = llm.ask(&end).one().await.unwrap();
            }
            let gradients = backward(&end).await.unwrap();
            assert_eq!(gradients.text(&x), "e gradient");
            // The feedback is a chain as deep as the program.
            let last = gradients.feedback(&x).next().unwrap().variable().clone();
            drop((gradients, end));
            drop(last);
        });
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn engines_of_two_threads_never_mix() {
    let run = |name: &'static str| {
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let engine = Answers::plain(name);
                for _ in 0..50 {
                    let x = Variable::differentiable("x", "text");
                    let loss = losses(&engine, &x, 1).await.remove(0);
                    let gradients = backward(&loss).await.unwrap();
                    assert_eq!(gradients.text(&x), format!("{name} gradient"));
                }
                assert_eq!(engine.requests().len(), 100);
            });
        }
    };
    let threads = [std::thread::spawn(run("one")), std::thread::spawn(run("two"))];
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn no_system_prompt_is_not_the_word_none() {
    let engine = Answers::plain("e");
    let x = Variable::differentiable("x", "text");
    let answer = LlmCall::builder(engine.clone()).build().ask(&x).one().await.unwrap();
    let gradients = backward(&answer).await.unwrap();
    let feedback: Vec<_> = gradients.feedback(&x).cloned().collect();
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    optimizer.rewrite(&x, &feedback, None).await.unwrap();
    assert_eq!(lines(&engine.requests()[0]), ["user: x"]);
    for request in &engine.requests()[1..] {
        let shown = user(request);
        assert!(!shown.contains("None") && !shown.contains("null"), "{shown}");
        assert!(!shown.contains("<LM_SYSTEM_PROMPT>"), "{shown}");
    }
}

#[tokio::test]
async fn images_are_inputs_of_any_model_and_shown_to_the_critic() {
    let engine = Answers::plain("a model of any name");
    let question = Variable::differentiable("what is it?", "question");
    let image = picture();
    let answer =
        LlmCall::builder(engine.clone()).build().ask(&question).attach(&image).one().await.unwrap();
    let gradients = backward(&answer).await.unwrap();
    assert!(gradients.received(&image).is_empty());
    assert_eq!(gradients.text(&question), "a model of any name gradient");
    assert!(engine.requests().iter().all(|request| request.messages.iter().any(|m| m.has_image())));
    assert_eq!(engine.requests().len(), 2);
}

#[tokio::test]
async fn one_answer_is_enough() {
    let engine = Answers::plain("e");
    let x = Variable::differentiable("x", "text");
    let answers = LlmCall::builder(engine.clone()).build().ask(&x).all().await.unwrap();
    assert_eq!(answers.len(), 1);
    let feedback = [textgrad_core::Feedback::new("better!")];
    let optimizer = TextualGradientDescent::builder(engine).candidates(1).build();
    assert_eq!(optimizer.rewrite(&x, &feedback, None).await.unwrap().candidates.len(), 1);
}
