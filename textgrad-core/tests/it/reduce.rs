//! Merging what several uses of a variable brought: what is merged, when, and what is kept.

use std::sync::Arc;

use crate::support::{Log, on, reached, speaks, words};
use async_trait::async_trait;
use futures_util::FutureExt;
use textgrad_core::{
    Backward, BackwardCx, BackwardError, BackwardEvent, Concat, Context, Deduplicate, Error,
    Feedback, Gradient, Inputs, KeepAll, Op, OpFailure, Output, Reduce, ReduceCx, Seed, Variable,
    apply_one, backward, reduce_fn,
};

/// What a reduction of the tests does.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Join,
    Twice,
    Nothing,
    Fail,
    Panic,
}

/// Merges `a` and `b` into `name(a,b)`, without any context, and logs what it was given.
struct Merge {
    name: &'static str,
    way: Way,
    log: Log,
}

#[async_trait]
impl Reduce for Merge {
    fn name(&self) -> &str {
        self.name
    }

    async fn reduce(&self, cx: &ReduceCx) -> Result<Vec<Feedback>, Error> {
        let texts: Vec<&str> = cx.feedback().iter().map(Feedback::text).collect();
        let merged = format!("{}({})", self.name, texts.join(","));
        self.log.add(format!("{} {merged} {:?}", cx.variable().role(), cx.seed()));
        match self.way {
            Way::Join => Ok(vec![Feedback::new(merged)]),
            Way::Twice => Ok(vec![Feedback::new("first"), Feedback::new("second")]),
            Way::Nothing => Ok(Vec::new()),
            Way::Fail => Err(Error::op("no merging today")),
            Way::Panic => panic!("reduction {} broke", self.name),
        }
    }
}

/// A sum whose feedback is merged: hands on what is said about it.
struct Gather(Arc<Merge>);

#[async_trait]
impl Op for Gather {
    fn name(&self) -> &str {
        "gather"
    }
    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![Output::new(inputs.texts()?.join("+"), "gathered")])
    }
    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![cx.gradients(0).first().cloned(); cx.inputs().len()])
    }
    fn reduction(&self) -> Option<Arc<dyn Reduce>> {
        Some(self.0.clone())
    }
}

async fn gather(name: &'static str, way: Way, log: &Log, terms: &[&Variable]) -> Variable {
    let op = Gather(Arc::new(Merge { name, way, log: log.clone() }));
    let inputs = Inputs::new(terms.iter().map(|term| ("term", (*term).clone())));
    apply_one(Arc::new(op), inputs).await.unwrap()
}

/// `a`, `b` and `c` each make a loss of one leaf `x`; `inner` merges the first two, `outer` all.
async fn nested(log: &Log) -> (Variable, Variable) {
    let x = Variable::differentiable("x", "x");
    let mut losses = Vec::new();
    for name in ["a", "b", "c"] {
        losses.push(on(speaks(name), &[&x]).await);
    }
    let inner = gather("inner", Way::Join, log, &[&losses[0], &losses[1]]).await;
    (x, gather("outer", Way::Join, log, &[&inner, &losses[2]]).await)
}

#[tokio::test]
async fn merged_feedback_holds_and_what_reached_is_kept() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let (a, b) = (on(speaks("a"), &[&x]).await, on(speaks("b"), &[&x]).await);
    let total = gather("all", Way::Join, &log, &[&a, &b]).await;
    let gradients = backward(&total).await.unwrap();
    assert_eq!(words(gradients.get(&x)), ["all(a/0,b/0)"]);
    assert_eq!(reached(&gradients, &x), ["a/0", "b/0"]);
    assert_eq!(gradients.text(&x), "all(a/0,b/0)");
    // The losses got one gradient each: there was nothing to merge.
    assert_eq!(log.events(), ["x all(a/0,b/0) None"]);
}

#[tokio::test]
async fn innermost_first() {
    let log = Log::default();
    let (x, total) = nested(&log).await;
    let gradients = backward(&total).await.unwrap();
    assert_eq!(words(gradients.get(&x)), ["outer(inner(a/0,b/0),c/0)"]);
    assert_eq!(reached(&gradients, &x), ["a/0", "b/0", "c/0"]);
    assert_eq!(log.events().len(), 2, "{:?}", log.events());
}

#[tokio::test]
async fn each_merge_has_a_seed_of_its_own() {
    let log = Log::default();
    let (_, total) = nested(&log).await;
    Backward::new(&total).seed(Seed::new(1)).run().await.unwrap();
    let events = log.events();
    let seeds: Vec<&str> = events.iter().filter_map(|event| event.split("Some(").nth(1)).collect();
    assert_eq!(seeds.len(), 2, "{events:?}");
    assert_ne!(seeds[0], seeds[1]);
}

#[tokio::test]
async fn the_cancellation_travels_through_ops() {
    // x -> f -> y, and y is used twice on the way to two losses: merged at y, so f is told once.
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let y = on(speaks("f"), &[&x]).await;
    let (a, b) = (on(speaks("a"), &[&y]).await, on(speaks("b"), &[&y]).await);
    let (far_a, far_b) = (on(speaks("far a"), &[&a]).await, on(speaks("far b"), &[&b]).await);
    let total = gather("all", Way::Join, &log, &[&far_a, &far_b]).await;
    let gradients = backward(&total).await.unwrap();
    assert_eq!(words(gradients.get(&y)), ["all(a/0,b/0)"]);
    assert_eq!(words(gradients.get(&x)), ["f/0"]);
}

#[tokio::test]
async fn feedback_without_the_wish_is_kept_at_its_position() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let mut losses = Vec::new();
    for name in ["before", "a", "b", "behind"] {
        losses.push(on(speaks(name), &[&x]).await);
    }
    let part = gather("part", Way::Join, &log, &[&losses[1], &losses[2]]).await;
    let root = on(speaks("root"), &[&losses[0], &part, &losses[3]]).await;
    let gradients = backward(&root).await.unwrap();
    assert_eq!(words(gradients.get(&x)), ["before/0", "part(a/0,b/0)", "behind/0"]);
}

#[tokio::test]
async fn one_feedback_is_not_merged() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let a = on(speaks("a"), &[&x]).await;
    let constant = Variable::constant("c", "constant");
    let total = gather("all", Way::Join, &log, &[&a, &constant]).await;
    let gradients = backward(&total).await.unwrap();
    assert_eq!(words(gradients.get(&x)), ["a/0"]);
    assert!(log.events().is_empty());
}

#[tokio::test]
async fn objectives_are_not_merged() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let total = gather("all", Way::Join, &log, &[&x, &x]).await;
    let gradients = backward(&total).await.unwrap();
    assert_eq!(words(gradients.get(&x)), ["objective", "objective"]);
    assert!(log.events().is_empty());
}

#[tokio::test]
async fn a_merge_may_bring_several_or_nothing() {
    for (way, expected) in [(Way::Twice, vec!["first", "second"]), (Way::Nothing, vec![])] {
        let log = Log::default();
        let x = Variable::differentiable("x", "x");
        let (a, b) = (on(speaks("a"), &[&x]).await, on(speaks("b"), &[&x]).await);
        let total = gather("all", way, &log, &[&a, &b]).await;
        let gradients = backward(&total).await.unwrap();
        assert_eq!(words(gradients.get(&x)), expected);
        assert_eq!(log.events().len(), 1, "asked once, whatever comes of it");
    }
}

#[tokio::test]
async fn contexts_survive_a_merge_that_drops_them() {
    let with_context = |name: &'static str| {
        crate::support::join(name).with_backward(move |_: BackwardCx| async move {
            Ok(vec![Some(Feedback::new(name).with_context(context(name)).into())])
        })
    };
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let (a, b) = (on(with_context("a"), &[&x]).await, on(with_context("b"), &[&x]).await);
    let total = gather("all", Way::Join, &log, &[&a, &b]).await;
    let gradients = backward(&total).await.unwrap();
    let feedback: Vec<&Feedback> = gradients.feedback(&x).collect();
    assert_eq!(feedback.len(), 1);
    let prompts: Vec<&str> = feedback[0]
        .contexts()
        .iter()
        .map(|context| context.call().inputs().text("prompt").unwrap())
        .collect();
    assert_eq!(prompts, ["a", "b"]);
}

async fn broken(way: Way) -> (Variable, BackwardError) {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let (a, b) = (on(speaks("a"), &[&x]).await, on(speaks("b"), &[&x]).await);
    let total = gather("all", way, &log, &[&a, &b]).await;
    (x.clone(), backward(&total).await.unwrap_err())
}

#[tokio::test]
async fn a_merge_that_fails_ends_the_pass_and_loses_nothing() {
    let (x, failure) = broken(Way::Fail).await;
    assert_eq!(failure.error.to_string(), r#"the backward of op "all" failed"#);
    let cause = std::error::Error::source(&failure.error).unwrap().to_string();
    assert_eq!(cause, "no merging today");
    assert_eq!(words(failure.gradients.get(&x)), ["a/0", "b/0"]);

    let (x, failure) = broken(Way::Panic).await;
    assert!(
        matches!(&failure.error, Error::Panic { op, message } if op == "all" && message == "reduction all broke"),
        "{:?}",
        failure.error
    );
    assert_eq!(reached(&failure.gradients, &x), ["a/0", "b/0"]);
}

#[tokio::test]
async fn a_merge_that_was_paid_for_is_kept_when_a_later_one_fails() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let mut losses = Vec::new();
    for name in ["a", "b", "c"] {
        losses.push(on(speaks(name), &[&x]).await);
    }
    let inner = gather("inner", Way::Join, &log, &[&losses[0], &losses[1]]).await;
    let total = gather("outer", Way::Fail, &log, &[&inner, &losses[2]]).await;
    let failure = backward(&total).await.unwrap_err();
    assert_eq!(words(failure.gradients.get(&x)), ["inner(a/0,b/0)", "c/0"]);
    assert_eq!(reached(&failure.gradients, &x), ["a/0", "b/0", "c/0"]);
}

#[tokio::test]
async fn an_observer_receives_merges() {
    let log = Log::default();
    let (_, total) = nested(&log).await;
    let seen = Log::default();
    let observer = {
        let seen = seen.clone();
        move |event: &BackwardEvent<'_>| {
            if let BackwardEvent::ReduceStarted { variable, feedback } = event {
                seen.add(format!("{} {feedback}", variable.role()));
            }
        }
    };
    Backward::new(&total).observer(Arc::new(observer)).run().await.unwrap();
    assert_eq!(seen.events(), ["x 2", "x 2"]);
}

/// `x` judged by critics that say these things; the first `inner` of them are merged by `first`, all by `second`.
async fn judged(
    said: &[&'static str],
    inner: usize,
    first: Arc<dyn Reduce>,
    second: Arc<dyn Reduce>,
) -> Vec<(String, usize)> {
    let x = Variable::differentiable("x", "x");
    let mut losses = Vec::new();
    for text in said.iter().copied() {
        let critic =
            crate::support::join("critic").with_backward(move |_: BackwardCx| async move {
                Ok(vec![Some(Feedback::new(text).with_context(context(text)).into())])
            });
        losses.push(on(critic, &[&x]).await);
    }
    let merge = |reduce: Arc<dyn Reduce>, terms: Vec<Variable>| {
        let inputs = Inputs::new(terms.into_iter().map(|term| ("term", term)));
        apply_one(Arc::new(Concat::new("all", "\n").reduction(reduce)), inputs)
    };
    let mut outer = losses.split_off(inner);
    outer.insert(0, merge(first, losses).await.unwrap());
    let total = merge(second, outer).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    let feedback = gradients.feedback(&x);
    feedback.map(|feedback| (feedback.text().to_owned(), feedback.contexts().len())).collect()
}

fn context(prompt: &str) -> Context {
    struct Answer;
    #[async_trait]
    impl Op for Answer {
        fn name(&self) -> &str {
            "answer"
        }
        async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
            Ok(vec![Output::new("answer", "answer")])
        }
        async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
            Ok(vec![None; cx.inputs().len()])
        }
    }
    let prompt = Variable::constant(prompt, "prompt");
    let answer = apply_one(Arc::new(Answer), [("prompt", &prompt)]).now_or_never();
    Context::of(answer.unwrap().unwrap()).unwrap()
}

fn plain<const N: usize>(said: [(&str, usize); N]) -> Vec<(String, usize)> {
    said.map(|(text, contexts)| (text.to_owned(), contexts)).into()
}

const SAID: [&str; 5] =
    ["Shorten it.", "shorten\n IT.", "Add colour.", "Shorten  it. ", "Shorten it!"];

#[tokio::test]
async fn keep_all_keeps_words_and_contexts_as_they_are() {
    let kept = judged(&SAID, 2, Arc::new(KeepAll), Arc::new(KeepAll)).await;
    assert_eq!(kept, plain(SAID.map(|said| (said, 1))));
}

#[tokio::test]
async fn deduplicate_says_once_what_differs_in_space_and_case_only() {
    let kept = judged(&SAID, 1, Arc::new(KeepAll), Arc::new(Deduplicate)).await;
    assert_eq!(kept, plain([("Shorten it.", 3), ("Add colour.", 1), ("Shorten it!", 1)]));
}

#[tokio::test]
async fn reductions_merge_from_the_inside_out() {
    let count = || {
        Arc::new(reduce_fn("count", |cx: ReduceCx| async move {
            let texts: Vec<&str> = cx.feedback().iter().map(Feedback::text).collect();
            Ok(vec![Feedback::new(format!("[{}]", texts.join("|")))])
        }))
    };
    let kept = judged(&SAID, 3, Arc::new(Deduplicate), count()).await;
    assert_eq!(kept, plain([("[Shorten it.|Add colour.|Shorten  it. |Shorten it!]", 5)]));
    let kept = judged(&SAID, 4, count(), Arc::new(KeepAll)).await;
    let merged = "[Shorten it.|shorten\n IT.|Add colour.|Shorten  it. ]";
    assert_eq!(kept, plain([(merged, 4), ("Shorten it!", 1)]));
}

#[tokio::test]
async fn a_reduction_of_a_function_may_fail() {
    let broken = reduce_fn("broken", |_: ReduceCx| async { Err(Error::op("no merging today")) });
    assert_eq!(broken.name(), "broken");
    let x = Variable::differentiable("x", "x");
    let (a, b) = (on(speaks("a"), &[&x]).await, on(speaks("b"), &[&x]).await);
    let concat = Concat::new("all", "\n").reduction(Arc::new(broken));
    let total = apply_one(Arc::new(concat), [("term", &a), ("term", &b)]).await.unwrap();
    let failure = backward(&total).await.unwrap_err();
    assert!(matches!(&failure.error, Error::Backward { op, .. } if op == "broken"));
    assert_eq!(reached(&failure.gradients, &x), ["a/0", "b/0"]);
}
