//! Objectives made of objectives: what is asked, what is scored, and who is told what.

mod shares;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Answers, user};
use textgrad_core::{
    Gradient, Inputs, Output, PromptPack, Purpose, Score, Seed, TemplateSpec, Variable, apply_one,
    backward, check_fn, op_fn,
};
use textgrad_ops::prompts::{Prompts, WeightContext, templates};
use textgrad_ops::{
    Error, Loss, ScoreLoss, TextLoss, all_of, all_passed, first_failing, loss_fn, weighted_sum,
    weighted_sum_of,
};

fn has(word: &'static str) -> Arc<dyn Loss> {
    Arc::new(ScoreLoss::check(check_fn(format!("it has {word}"), move |text| {
        if text.contains(word) { Ok(()) } else { Err(format!("{word} is missing")) }
    })))
}

fn judge(engine: &Arc<Answers>, rule: &str) -> Arc<dyn Loss> {
    Arc::new(TextLoss::new(engine.clone(), rule))
}

/// An evaluation of this score, without a word backwards.
fn scored(score: impl Into<Score>) -> Arc<dyn Loss> {
    let score = score.into();
    Arc::new(loss_fn(move |text: Variable| async move {
        let op = op_fn("scored", move |_: Inputs| async move {
            Ok(vec![Output::new("scored", "evaluation").with_score(score)])
        });
        apply_one(Arc::new(op), [("text", &text)]).await
    }))
}

const OBJECTIVE: &str = "is the objective";

#[tokio::test]
async fn parts_of_equal_weight_are_each_the_objective() {
    let engine = Answers::plain("e");
    let text = Variable::differentiable("x", "text");
    for weight in [1.0, 0.3] {
        let parts = [(weight, judge(&engine, "rule a")), (weight, judge(&engine, "rule b"))];
        let total = weighted_sum(parts).unwrap().evaluate(&text).await.unwrap();
        assert_eq!(total.score(), None, "words have no value");
        assert_eq!(
            total.text().unwrap(),
            format!(
                "Weight {weight} (evaluation of a text):\n<EVALUATION>\ne loss\n</EVALUATION>\n\n\
                 Weight {weight} (evaluation of a text):\n<EVALUATION>\ne loss\n</EVALUATION>"
            )
        );
        let gradients = backward(&total).await.unwrap();
        assert_eq!(gradients.get(&text).len(), 2);
    }
    let asked = engine.asked(Purpose::Gradient);
    assert_eq!(asked.len(), 4);
    for request in asked {
        assert!(user(&request).contains(OBJECTIVE) && !user(&request).contains("<FEEDBACK"));
    }
}

#[tokio::test]
async fn parts_of_other_weights_receive_theirs() {
    let engine = Answers::plain("e");
    let text = Variable::differentiable("x", "text");
    let parts = [(0.5, judge(&engine, "rule a")), (1.0, judge(&engine, "rule b"))];
    let total = weighted_sum(parts).unwrap().evaluate(&text).await.unwrap();
    backward(&total).await.unwrap();
    let asked = engine.asked(Purpose::Gradient);
    let weights = ["33.33 % of it (weight 0.5)", "66.67 % of it (weight 1)"];
    for (request, weight) in asked.iter().zip(weights) {
        let asked = user(request);
        assert!(asked.contains("<FEEDBACK>\nThis evaluation is one part of the objective"));
        assert!(asked.contains(weight) && !asked.contains(OBJECTIVE), "{asked}");
    }
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_pack_words_the_weights() {
    let engine = Answers::plain("e");
    let mut specs = templates();
    specs.retain(|spec| spec.name() != "weight_feedback");
    specs.push(TemplateSpec::new::<WeightContext>(
        "weight_feedback",
        "w={{weight}} of {{share}} on {{text}} as {{role}}",
    ));
    let prompts = Prompts::from(Arc::new(PromptPack::new(specs).unwrap()));
    let parts = [(1.0, judge(&engine, "a")), (3.0, has("y"))];
    let loss = weighted_sum(parts).unwrap().prompts(prompts);
    let text = Variable::differentiable("x", "text");
    let gradients = backward(&loss.evaluate(&text).await.unwrap()).await.unwrap();
    assert!(
        user(&engine.asked(Purpose::Gradient)[0])
            .contains("<FEEDBACK>\nw=1 of 25 on e loss as evaluation of a text\n</FEEDBACK>")
    );
    assert_eq!(
        gradients.text(&text),
        "e gradient\nThis is required of the text: it has y\nIt does not hold: y is missing\n\
         w=3 of 75 on y is missing as verdict of a check that it has y"
    );
}

#[tokio::test]
async fn the_value_of_a_weighted_sum() {
    let text = Variable::differentiable("y", "text");
    let score = async |parts: Vec<(f64, Arc<dyn Loss>)>| {
        weighted_sum(parts).unwrap().evaluate(&text).await.unwrap().score()
    };
    let mixed = vec![(2.0, scored(0.25)), (3.0, has("y")), (5.0, has("z"))];
    assert_eq!(score(mixed).await, Some(Score::Number(3.5)));
    let engine = Answers::plain("e");
    assert_eq!(score(vec![(1.0, scored(1.0)), (1.0, judge(&engine, "a"))]).await, None);
}

#[tokio::test]
async fn a_part_that_passed_receives_no_feedback() {
    let text = Variable::differentiable("y", "text");
    for weights in [[1.0, 1.0], [1.0, 2.0]] {
        let parts = weights.into_iter().zip([has("y"), has("z")]);
        let total = weighted_sum(parts).unwrap().evaluate(&text).await.unwrap();
        let gradients = backward(&total).await.unwrap();
        assert_eq!(gradients.get(&text).len(), 1);
        assert!(gradients.text(&text).contains("z is missing"));
        assert!(!gradients.text(&text).contains("it has y"));
    }
}

#[tokio::test]
async fn weights_are_checked() {
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = weighted_sum([(1.0, has("x")), (weight, has("y"))]).unwrap_err();
        assert!(matches!(error, Error::Weight { part: 2, .. }), "{error}");
        let evaluated = Variable::differentiable("e", "evaluation");
        assert!(weighted_sum_of([(weight, &evaluated)]).await.is_err());
    }
    assert_eq!(
        weighted_sum([]).unwrap_err().to_string(),
        "expected at least one part for weighted_sum, got none"
    );
    for error in [all_of([]).unwrap_err(), first_failing([]).unwrap_err()] {
        assert!(matches!(error, Error::NoParts { .. }));
    }
    assert!(all_passed::<&Variable>([]).await.is_err());
    assert!(weighted_sum_of::<&Variable>([]).await.is_err());
    // So large that their sum is not finite: the shares still are.
    let engine = Answers::plain("e");
    let parts = [(f64::MAX, judge(&engine, "a")), (f64::MAX / 3.0, judge(&engine, "b"))];
    let total =
        weighted_sum(parts).unwrap().evaluate(&Variable::differentiable("x", "t")).await.unwrap();
    backward(&total).await.unwrap();
    assert!(user(&engine.asked(Purpose::Gradient)[0]).contains("75 % of it"));
}

#[tokio::test]
async fn over_what_was_evaluated_already() {
    let engine = Answers::plain("e");
    let (x, y) = (Variable::differentiable("x", "text"), Variable::differentiable("y", "text"));
    let a = judge(&engine, "a").evaluate(&x).await.unwrap();
    let b = has("z").evaluate(&y).await.unwrap();
    let total = weighted_sum_of([(1.0, &a), (1.0, &b)]).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    assert_eq!(gradients.text(&x), "e gradient");
    assert!(gradients.text(&y).contains("z is missing"));
    let all = all_passed([&a, &b]).await.unwrap();
    assert_eq!(all.score(), Some(Score::Passed(false)));
    let image = weighted_sum_of([(1.0, &crate::support::picture())]).await.unwrap_err();
    assert!(format!("{image:?}").contains("NotText"));
}

#[tokio::test]
async fn all_must_pass() {
    let engine = Answers::plain("e");
    let text = Variable::differentiable("x y", "text");
    let verdict =
        async |losses: Vec<Arc<dyn Loss>>| all_of(losses).unwrap().evaluate(&text).await.unwrap();
    let passed = verdict(vec![has("x"), has("y"), scored(true)]).await;
    assert_eq!((passed.score(), passed.text()), (Some(Score::Passed(true)), Some("passed")));
    assert!(backward(&passed).await.unwrap().received(&text).is_empty());
    assert_eq!(verdict(vec![has("x"), judge(&engine, "a")]).await.score(), None);
    assert_eq!(verdict(vec![has("x"), scored(0.9)]).await.score(), None);

    let failed = verdict(vec![has("x"), has("z"), judge(&engine, "a"), scored(0.5)]).await;
    assert_eq!(failed.score(), Some(Score::Passed(false)));
    assert_eq!(
        failed.text().unwrap(),
        "Failed (verdict of a check that it has z, score failed):\n\
         <EVALUATION>\nz is missing\n</EVALUATION>\n\n\
         Without a verdict (evaluation of a text):\n<EVALUATION>\ne loss\n</EVALUATION>\n\n\
         Without a verdict (evaluation, score 0.5):\n<EVALUATION>\nscored\n</EVALUATION>"
    );
    let gradients = backward(&failed).await.unwrap();
    let said: Vec<&str> = gradients.feedback(&text).map(|feedback| feedback.text()).collect();
    assert_eq!(said.len(), 2);
    assert!(said[0].contains("z is missing") && said[1] == "e gradient");
    let asked = engine.asked(Purpose::Gradient);
    assert!(asked.len() == 1 && user(&asked[0]).contains(OBJECTIVE));
    let parts = failed.source().unwrap().call().inputs();
    let reached: Vec<bool> =
        parts.iter().map(|part| !gradients.get(part.variable()).is_empty()).collect();
    assert_eq!(reached, [false, true, true, true]);
}

#[tokio::test]
async fn nothing_is_paid_behind_the_first_that_fails() {
    let engine = Answers::plain("e");
    let stages = [has("compiles"), has("tests"), judge(&engine, "style"), has("never")];
    let loss = first_failing(stages).unwrap();
    let at = async |text: &str| {
        let text = Variable::differentiable(text, "code");
        let verdict = loss.evaluate(&text).await.unwrap();
        let gradients = backward(&verdict).await.unwrap();
        (verdict.score(), verdict.text().unwrap().to_owned(), gradients.text(&text))
    };
    let (score, text, said) = at("").await;
    assert_eq!((score, &*text), (Some(Score::Passed(false)), "compiles is missing"));
    assert!(said.contains("compiles is missing") && !said.contains("tests"));
    let (_, text, _) = at("compiles").await;
    assert_eq!(text, "tests is missing");
    assert!(engine.requests().is_empty(), "no model is asked until the tests pass");
    let (score, text, said) = at("compiles tests").await;
    assert_eq!((score, &*text, &*said), (None, "e loss", "e gradient"));
    assert_eq!(engine.requests().len(), 2);
    assert!(user(&engine.requests()[1]).contains(OBJECTIVE));

    let done = first_failing([has("a"), has("b")]).unwrap();
    let text = Variable::differentiable("a b", "code");
    let verdict = done.evaluate(&text).await.unwrap();
    assert_eq!((verdict.score(), verdict.text()), (Some(Score::Passed(true)), Some("passed")));
    assert!(backward(&verdict).await.unwrap().received(&text).is_empty());
    let number = first_failing([has("a"), scored(0.5), has("z")]).unwrap();
    let verdict = number.evaluate(&text).await.unwrap();
    assert_eq!(verdict.score(), Some(Score::Number(0.5)), "a number is no verdict: it stops there");
}

#[tokio::test]
async fn compositions_of_compositions() {
    let engine = Answers::plain("e");
    let text = Variable::differentiable("a", "text");
    let checks: Arc<dyn Loss> = Arc::new(all_of([has("a"), has("b")]).unwrap());
    let style = weighted_sum([(1.0, judge(&engine, "one")), (3.0, judge(&engine, "two"))]);
    let style: Arc<dyn Loss> = Arc::new(style.unwrap());
    let staged = first_failing([checks.clone(), style.clone()]).unwrap();
    let gradients = backward(&staged.evaluate(&text).await.unwrap()).await.unwrap();
    assert!(gradients.text(&text).contains("b is missing") && engine.requests().is_empty());

    let both = weighted_sum([(1.0, checks), (9.0, style)]).unwrap();
    let total = both.evaluate(&text).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    assert_eq!(gradients.feedback(&text).count(), 3);
    let asked = engine.asked(Purpose::Gradient);
    let inner = user(&asked[0]);
    assert!(inner.contains("22.5 % of it (weight 1 within a part that makes up 90 %)"), "{inner}");
    assert!(gradients.text(&text).contains("10 % of it (weight 1)"));
    for request in asked {
        assert!(!user(&request).contains(OBJECTIVE));
    }
    let equal = weighted_sum([(1.0, judge(&engine, "x")), (1.0, judge(&engine, "y"))]).unwrap();
    let outer = all_of([Arc::new(equal) as Arc<dyn Loss>]).unwrap();
    let total = outer.evaluate(&text).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    assert_eq!(gradients.get(&text).len(), 2);
    assert!(engine.asked(Purpose::Gradient)[2..].iter().all(|r| user(r).contains(OBJECTIVE)));
}

#[tokio::test(start_paused = true)]
async fn parts_run_at_the_same_time_and_a_failure_lets_the_others_finish() {
    let finished = Arc::new(AtomicUsize::new(0));
    let waits = |fails: &'static str| -> Arc<dyn Loss> {
        let finished = finished.clone();
        Arc::new(loss_fn(move |text: Variable| {
            let finished = finished.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                finished.fetch_add(1, Ordering::SeqCst);
                if fails.is_empty() { Ok(text) } else { Err(textgrad_core::Error::op(fails)) }
            }
        }))
    };
    let text = Variable::differentiable("x", "text");
    let begun = tokio::time::Instant::now();
    let sum = weighted_sum((0..8).map(|_| (1.0, waits("")))).unwrap();
    sum.evaluate(&text).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    let all = all_of([waits(""), waits("first"), waits("second"), waits("")]).unwrap();
    let error = all.evaluate(&text).await.unwrap_err();
    assert_eq!(error.to_string(), "first");
    assert_eq!((begun.elapsed(), finished.load(Ordering::SeqCst)), (Duration::from_secs(2), 12));
}

#[tokio::test]
async fn the_same_composition_asks_the_same_in_the_same_order() {
    let run = async || {
        let engine = Answers::plain("e");
        let parts = (0..6).map(|i| (f64::from(i + 1), judge(&engine, &format!("rule {i}"))));
        let total = weighted_sum(parts).unwrap();
        let total = total.evaluate(&Variable::differentiable("x", "text")).await.unwrap();
        textgrad_core::Backward::new(&total).seed(Seed::new(3)).run().await.unwrap();
        engine.requests()
    };
    let first = run().await;
    assert!(first.iter().skip(6).all(|request| request.sampling.seed.is_some()));
    assert!(run().await == first);
}

#[tokio::test]
async fn a_function_is_a_loss() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let loss: Arc<dyn Loss> = Arc::new(loss_fn({
        let seen = seen.clone();
        move |text: Variable| {
            seen.lock().unwrap().push(text.clone());
            async move { has("x").evaluate(&text).await }
        }
    }));
    let text = Variable::differentiable("y", "text");
    let verdict = loss.evaluate(&text).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), std::slice::from_ref(&text));
    let gradients = backward(&verdict).await.unwrap();
    assert!(matches!(gradients.get(&text), [Gradient::Feedback(_)]));
}
