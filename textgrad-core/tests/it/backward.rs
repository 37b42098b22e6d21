//! Backward passes: calls, their gradients and the result.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Log, join, on, reached, says, speaks, words};
use textgrad_core::{
    Backward, BackwardCx, BackwardEvent, Engine, EngineError, Error, Feedback, Gradient, Image,
    Inputs, Layout, Op as _, Output, Request, Seed, Variable, apply, backward, engine_fn, op_fn,
};

/// Logs what it is told about its outputs and says it on to input 0.
fn listens(name: &str, log: &Log) -> textgrad_core::OpFn {
    let (own, log) = (name.to_owned(), log.clone());
    join(name).with_backward(move |cx: BackwardCx| {
        log.add(format!("{own} {:?}", words(cx.gradients(0))));
        let own = own.clone();
        async move {
            cx.for_each_input(|_| async { Ok(Some(Feedback::new(own.as_str()).into())) }).await
        }
    })
}

#[tokio::test]
async fn the_objective_is_not_feedback() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let y = on(listens("f", &log), &[&x]).await;
    let z = on(listens("g", &log), &[&y]).await;
    let gradients = backward(&z).await.unwrap();
    assert_eq!(log.events(), [r#"g ["objective"]"#, r#"f ["g"]"#]);
    assert!(matches!(gradients.get(&z), [Gradient::Objective]));
    assert_eq!(gradients.text(&z), "");
    assert_eq!(gradients.text(&y), "g");
    assert_eq!(gradients.text(&x), "f");
    let order: Vec<&str> = gradients.variables().map(|variable| &**variable.role()).collect();
    assert_eq!(order, ["x", "output of f", "output of g"]);
}

#[tokio::test]
async fn empty_words_are_feedback_not_the_objective() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let y = on(listens("f", &log), &[&x]).await;
    let silent =
        join("g").with_backward(|_: BackwardCx| async { Ok(vec![Some(Feedback::new("").into())]) });
    let z = on(silent, &[&y]).await;
    backward(&z).await.unwrap();
    assert_eq!(log.events(), [r#"f [""]"#]);
}

#[tokio::test]
async fn none_ends_the_pass_at_no_cost() {
    let log = Log::default();
    let (x, other) =
        (Variable::differentiable("x", "x"), Variable::differentiable("other", "other"));
    let y = on(listens("never asked", &log), &[&x]).await;
    let half = join("half").with_backward(|cx: BackwardCx| async move {
        assert!(cx.needs(0) && cx.needs(1) && !cx.needs(2));
        Ok(vec![None, Some(Feedback::new("said").into())])
    });
    let z = on(half, &[&y, &other]).await;
    let gradients = backward(&z).await.unwrap();
    assert!(log.events().is_empty());
    assert!(gradients.get(&x).is_empty() && gradients.get(&y).is_empty());
    assert_eq!(gradients.text(&other), "said");
    assert_eq!(gradients.len(), 2);
}

#[tokio::test]
async fn an_op_without_a_backward_has_nothing_to_say() {
    let x = Variable::differentiable("x", "x");
    let y = on(join("opaque"), &[&x]).await;
    let gradients = backward(&y).await.unwrap();
    assert!(gradients.get(&x).is_empty());
    assert_eq!(gradients.len(), 1);
}

#[tokio::test]
async fn constants_and_images_get_nothing() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let constant = Variable::constant("c", "constant");
    let image = Variable::differentiable(Image::new(vec![1], "image/png").unwrap(), "picture");
    let unused = on(listens("unused", &log), &[&constant]).await;
    // An op that answers for everything, whether it is wanted or not.
    let eager = join("eager").with_backward(|cx: BackwardCx| async move {
        let said = cx.inputs().iter().map(|input| Some(Feedback::new(&**input.name()).into()));
        Ok(said.collect())
    });
    let y = on(eager, &[&constant, &x, &image, &unused]).await;
    let gradients = backward(&y).await.unwrap();
    assert_eq!(gradients.text(&x), "1");
    for nothing in [&constant, &image, &unused] {
        assert!(gradients.received(nothing).is_empty(), "{nothing:?}");
    }
    assert!(log.events().is_empty());
}

#[tokio::test]
async fn for_each_input_asks_only_where_feedback_is_wanted() {
    let log = Log::default();
    let (x, constant) = (Variable::differentiable("x", "x"), Variable::constant("c", "constant"));
    let asked = log.clone();
    let op = join("op").with_backward(move |cx: BackwardCx| {
        let log = asked.clone();
        async move {
            cx.for_each_input(|input| {
                log.add(input.to_string());
                async { Ok(None) }
            })
            .await
        }
    });
    let y = on(op, &[&constant, &x, &constant]).await;
    backward(&y).await.unwrap();
    assert_eq!(log.events(), ["1"]);
}

#[tokio::test]
async fn the_same_variable_twice_hears_twice() {
    let x = Variable::differentiable("x", "x");
    let y = on(speaks("f"), &[&x, &x]).await;
    let gradients = backward(&y).await.unwrap();
    assert_eq!(words(gradients.get(&x)), ["f/0", "f/1"]);
    let places: Vec<(usize, &str)> = gradients
        .received(&x)
        .iter()
        .map(|received| (received.argument(), received.consumer().unwrap().op().name()))
        .collect();
    assert_eq!(places, [(0, "f"), (1, "f")]);
    assert!(gradients.received(&y)[0].consumer().is_none());
}

/// Two halves of a text, and a backward that logs what was said about each.
fn halves(log: &Log) -> textgrad_core::OpFn {
    let log = log.clone();
    op_fn("halves", |inputs: Inputs| async move {
        let (left, right) = inputs.text("text")?.split_once(' ').unwrap_or_default();
        Ok(vec![Output::new(left, "left"), Output::new(right, "right")])
    })
    .with_backward(move |cx: BackwardCx| {
        let made: Vec<Option<&str>> =
            (0..3).map(|i| cx.output_variable(i).and_then(Variable::text)).collect();
        log.add(format!("{:?} {:?} {made:?}", words(cx.gradients(0)), words(cx.gradients(1))));
        async move {
            assert_eq!(cx.outputs().len(), 2);
            assert!(cx.gradients(2).is_empty());
            Ok(vec![Some(Feedback::new("halved").into())])
        }
    })
}

#[tokio::test]
async fn an_op_of_several_outputs_is_asked_once_with_what_each_got() {
    let log = Log::default();
    let text = Variable::differentiable("a b", "text");
    let parts = apply(Arc::new(halves(&log)), [("text", &text)]).await.unwrap();
    let y = on(speaks("f"), &[&parts[1], &parts[0], &parts[1]]).await;
    let gradients = backward(&y).await.unwrap();
    assert_eq!(log.events(), [r#"["f/1"] ["f/0", "f/2"] [Some("a"), Some("b"), None]"#]);
    assert_eq!(words(gradients.get(&text)), ["halved"]);
}

#[tokio::test]
async fn an_output_that_nothing_uses_has_no_part() {
    let log = Log::default();
    let text = Variable::differentiable("a b", "text");
    let parts = apply(Arc::new(halves(&log)), [("text", &text)]).await.unwrap();
    backward(&parts[1]).await.unwrap();
    assert_eq!(log.events(), [r#"[] ["objective"] [None, Some("b"), None]"#]);
}

fn overridden(requires_grad: bool) -> textgrad_core::OpFn {
    op_fn("overridden", move |_: Inputs| async move {
        Ok(vec![Output::new("y", "y").with_requires_grad(requires_grad)])
    })
    .with_backward(|cx: BackwardCx| async move {
        Ok(vec![Some(Feedback::new("through").into()); cx.inputs().len()])
    })
}

#[tokio::test]
async fn an_output_can_end_or_begin_what_requires_a_gradient() {
    let x = Variable::differentiable("x", "x");
    let shut = on(overridden(false), &[&x]).await;
    let open = on(overridden(true), &[&Variable::constant("c", "constant")]).await;
    assert!(!shut.requires_grad() && open.requires_grad());
    let z = on(speaks("f"), &[&shut, &open]).await;
    let gradients = backward(&z).await.unwrap();
    assert!(gradients.get(&shut).is_empty() && gradients.get(&x).is_empty());
    assert_eq!(gradients.text(&open), "f/1");
    assert_eq!(gradients.len(), 2);

    // As the root, it is the objective and all there is.
    let gradients = backward(&open).await.unwrap();
    assert!(matches!(gradients.get(&open), [Gradient::Objective]));
    assert_eq!(gradients.len(), 1);
}

#[tokio::test]
async fn a_root_that_nothing_can_improve_is_an_error() {
    let constant = on(speaks("f"), &[&Variable::constant("c", "constant")]).await;
    for root in [constant, Variable::constant("c", "a constant"), on(overridden(false), &[]).await]
    {
        let failure = backward(&root).await.unwrap_err();
        assert!(
            matches!(&failure.error, Error::NothingRequiresGrad { role } if **role == **root.role()),
            "{:?}",
            failure.error
        );
        assert!(failure.gradients.is_empty());
    }
}

#[tokio::test]
async fn a_failure_is_its_cause_where_the_gradients_are_of_no_use() {
    async fn differentiated(root: &Variable) -> Result<usize, Error> {
        Ok(backward(root).await?.len())
    }
    let error = differentiated(&Variable::constant("c", "constant")).await.unwrap_err();
    assert!(matches!(error, Error::NothingRequiresGrad { role } if role == "constant"));
}

#[tokio::test]
async fn a_leaf_can_be_the_root() {
    let x = Variable::differentiable("x", "x");
    let gradients = backward(&x).await.unwrap();
    assert_eq!(words(gradients.get(&x)), ["objective"]);
}

#[tokio::test]
async fn passes_share_a_graph_and_do_not_see_each_other() {
    let x = Variable::differentiable("x", "x");
    let y = on(speaks("f"), &[&x]).await;
    let (a, b) = (on(speaks("a"), &[&y]).await, on(speaks("b"), &[&y]).await);
    let (of_a, of_b) = tokio::join!(backward(&a), backward(&b));
    let again = backward(&a).await.unwrap();
    let (of_a, of_b) = (of_a.unwrap(), of_b.unwrap());
    for gradients in [&of_a, &again] {
        assert_eq!(reached(gradients, &y), ["a/0"]);
        assert_eq!(reached(gradients, &x), ["f/0"]);
        assert!(gradients.get(&b).is_empty());
    }
    assert_eq!(reached(&of_b, &y), ["b/0"]);

    let mut batch = of_a;
    batch.accumulate(of_b);
    assert_eq!(reached(&batch, &y), ["a/0", "b/0"]);
    assert_eq!(batch.text(&x), "f/0\nf/0");
}

#[tokio::test]
async fn the_settings_reach_the_op() {
    let named = |name: &str| -> Arc<dyn Engine> {
        Arc::new(engine_fn(name, |_: Request| async {
            Err(EngineError::new(textgrad_core::ErrorKind::Other, "never asked"))
        }))
    };
    let (log, own) = (Log::default(), named("own"));
    let told = log.clone();
    let op = join("f").with_backward(move |cx: BackwardCx| {
        let seeded = cx.seed(0).is_some() && cx.seed(0) != cx.seed(1);
        told.add(format!("{} {:?} {seeded}", cx.engine_or(&own).name(), cx.layout()));
        async { Ok(vec![None]) }
    });
    let y = on(op, &[&Variable::differentiable("x", "x")]).await;
    backward(&y).await.unwrap();
    Backward::new(&y)
        .engine(named("pass"))
        .layout(Layout::Continued)
        .seed(Seed::new(1))
        .run()
        .await
        .unwrap();
    assert_eq!(log.events(), ["own Quoted false", "pass Continued true"]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_receives_each_event() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let y = on(says("slow", Duration::from_millis(20), &Log::default()), &[&x]).await;
    let w = on(says("fast", Duration::from_millis(10), &Log::default()), &[&x]).await;
    let z = on(speaks("top"), &[&y, &w, &Variable::constant("c", "constant")]).await;
    let seen = log.clone();
    let observer = move |event: &BackwardEvent<'_>| match event {
        BackwardEvent::CallStarted { call } => seen.add(format!("{} started", call.op().name())),
        BackwardEvent::CallFinished { call, gradients } => {
            seen.add(format!("{} finished {gradients}", call.op().name()));
        }
        other => seen.add(format!("{other:?}")),
    };
    Backward::new(&z).observer(Arc::new(observer)).run().await.unwrap();
    let expected = [
        "top started",
        "top finished 2",
        "slow started",
        "fast started",
        "fast finished 1",
        "slow finished 1",
    ];
    assert_eq!(log.events(), expected);
}

#[test]
fn a_pass_can_be_spawned_and_named() {
    fn assert_send<T: Send>(_: &T) {}
    let x = Variable::differentiable("x", "x");
    assert_send(&backward(&x));
    assert_send(&Backward::new(&x).run());
    assert_eq!(speaks("f").name(), "f");
    assert!(format!("{:?}", Backward::new(&x)).contains("Quoted"));
}
