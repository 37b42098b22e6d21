//! Scheduling of backward passes: parallelism, completion and cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Log, join, on, reached, says, speaks};
use textgrad_core::{
    Backward, BackwardCx, BackwardEvent, EngineError, Error, ErrorKind, Feedback, OpFailure,
    Variable, backward, describe,
};
use tokio::time::Instant;

const CALL: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn independent_calls_take_as_long_as_one() {
    let log = Log::default();
    let x = Variable::differentiable("x", "x");
    let mut losses = Vec::new();
    for i in 0..64 {
        losses.push(on(says(&format!("loss {i}"), CALL, &log), &[&x]).await);
    }
    let total = on(speaks("sum"), &losses.iter().collect::<Vec<_>>()).await;
    let start = Instant::now();
    let gradients = backward(&total).await.unwrap();
    assert_eq!(start.elapsed(), CALL);
    let events = log.events();
    assert!(events[..64].iter().all(|event| event.ends_with("begins")), "{events:?}");
    let expected: Vec<String> = (0..64).map(|i| format!("loss {i}/0")).collect();
    assert_eq!(reached(&gradients, &x), expected);
}

#[tokio::test(start_paused = true)]
async fn a_chain_takes_the_sum() {
    let mut end = Variable::differentiable("x", "x");
    for i in 0..8 {
        end = on(says(&format!("link {i}"), CALL, &Log::default()), &[&end]).await;
    }
    let start = Instant::now();
    backward(&end).await.unwrap();
    assert_eq!(start.elapsed(), 8 * CALL);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_own_consumers_only() {
    // One branch is slow at its end, the other has two calls: they overlap.
    let x = Variable::differentiable("x", "x");
    let slow = on(says("slow", 2 * CALL, &Log::default()), &[&x]).await;
    let inner = on(says("inner", CALL, &Log::default()), &[&x]).await;
    let outer = on(says("outer", CALL, &Log::default()), &[&inner]).await;
    let total = on(speaks("sum"), &[&slow, &outer]).await;
    let start = Instant::now();
    backward(&total).await.unwrap();
    assert_eq!(start.elapsed(), 2 * CALL);
}

#[tokio::test(start_paused = true)]
async fn the_inputs_of_one_call_are_asked_at_the_same_time() {
    let op = join("f").with_backward(|cx: BackwardCx| async move {
        cx.for_each_input(|input| async move {
            tokio::time::sleep(CALL).await;
            Ok(Some(Feedback::new(input.to_string()).into()))
        })
        .await
    });
    let leaves: Vec<Variable> = (0..40).map(|_| Variable::differentiable("x", "x")).collect();
    let y = on(op, &leaves.iter().collect::<Vec<_>>()).await;
    let start = Instant::now();
    let gradients = backward(&y).await.unwrap();
    assert_eq!(start.elapsed(), CALL);
    assert!((0..40).all(|i| gradients.text(&leaves[i]) == i.to_string()));
}

/// Fails after `delay`, having found something for input 0.
fn fails(name: &str, delay: Duration) -> textgrad_core::OpFn {
    let name = name.to_owned();
    join(&name.clone()).with_backward(move |cx: BackwardCx| {
        let name = name.clone();
        async move {
            tokio::time::sleep(delay).await;
            let mut gradients = vec![None; cx.inputs().len()];
            gradients[0] = Some(Feedback::new(format!("{name} paid for this")).into());
            Err(OpFailure { error: Error::op(format!("{name} broke")), gradients })
        }
    })
}

fn cause(error: &Error) -> String {
    match error {
        Error::Backward { source, .. } => source.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_lets_finish_what_is_under_way_and_starts_nothing() {
    let log = Log::default();
    let (x, far) = (Variable::differentiable("x", "x"), Variable::differentiable("far", "far"));
    let never = on(says("never", CALL, &log), &[&far]).await;
    let broken = on(fails("broken", CALL), &[&x]).await;
    let slow = on(says("slow", 3 * CALL, &log), &[&never]).await;
    let quick = on(says("quick", CALL / 2, &log), &[&x]).await;
    let total = on(speaks("sum"), &[&broken, &slow, &quick]).await;
    let failure = backward(&total).await.unwrap_err();
    assert!(matches!(&failure.error, Error::Backward { op, .. } if op == "broken"));
    assert_eq!(cause(&failure.error), "broken broke");
    assert_eq!(log.events(), ["slow begins", "quick begins", "quick ends", "slow ends"]);
    // All that was paid for is there, the failing op's own part too.
    assert_eq!(reached(&failure.gradients, &x), ["broken paid for this", "quick/0"]);
    assert_eq!(reached(&failure.gradients, &never), ["slow/0"]);
    assert!(failure.gradients.get(&far).is_empty());
    assert!(failure.to_string().contains("6 variable(s)"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn of_several_failures_the_one_nearest_to_the_root_is_reported() {
    for (first, second) in [(CALL, 2 * CALL), (2 * CALL, CALL)] {
        let log = Log::default();
        let x = Variable::differentiable("x", "x");
        let (a, b) = (on(fails("a", first), &[&x]).await, on(fails("b", second), &[&x]).await);
        let total = on(speaks("sum"), &[&a, &b]).await;
        let seen = log.clone();
        let observer = move |event: &BackwardEvent<'_>| {
            if let BackwardEvent::Failed { error } = event {
                seen.add(cause(error));
            }
        };
        let pass = Backward::new(&total).observer(Arc::new(observer));
        let failure = pass.run().await.unwrap_err();
        assert_eq!(cause(&failure.error), "b broke");
        assert_eq!(log.events().len(), 2, "every failure is told to the observer");
        assert_eq!(reached(&failure.gradients, &x), ["a paid for this", "b paid for this"]);
    }
}

#[tokio::test]
async fn for_each_input_keeps_what_the_others_brought() {
    let op = join("f").with_backward(|cx: BackwardCx| async move {
        cx.for_each_input(|input| async move {
            match input {
                0 => Ok(Some(Feedback::new("zero").into())),
                1 => Ok(None),
                _ => Err(Error::op(format!("input {input} broke"))),
            }
        })
        .await
    });
    let leaves: Vec<Variable> = (0..4).map(|_| Variable::differentiable("x", "x")).collect();
    let y = on(op, &leaves.iter().collect::<Vec<_>>()).await;
    let failure = backward(&y).await.unwrap_err();
    assert_eq!(cause(&failure.error), "input 2 broke");
    assert_eq!(failure.gradients.text(&leaves[0]), "zero");
    assert!(leaves[1..].iter().all(|leaf| failure.gradients.get(leaf).is_empty()));
}

#[tokio::test]
async fn a_panic_is_an_error_of_the_pass() {
    let before = |_: BackwardCx| -> std::future::Ready<_> { panic!("before the future") };
    let inside = |_: BackwardCx| async { panic!("in the future {}", 1) };
    let odd = |_: BackwardCx| async { std::panic::panic_any(7_u8) };
    for (op, said) in [
        (join("f").with_backward(before), "before the future"),
        (join("f").with_backward(inside), "in the future 1"),
        (join("f").with_backward(odd), "no message"),
    ] {
        let x = Variable::differentiable("x", "x");
        let y = on(op, &[&x]).await;
        let z = on(speaks("top"), &[&y, &x]).await;
        let failure = backward(&z).await.unwrap_err();
        assert!(
            matches!(&failure.error, Error::Panic { op, message } if op == "f" && message == said),
            "{:?}",
            failure.error
        );
        assert_eq!(reached(&failure.gradients, &x), ["top/1"]);
    }
}

#[tokio::test]
async fn a_panic_of_the_observer_is_an_error_of_the_pass() {
    let x = Variable::differentiable("x", "x");
    let z = on(speaks("top"), &[&on(speaks("f"), &[&x]).await, &x]).await;
    for at in 0..4 {
        let count = AtomicUsize::new(0);
        let observer = move |_: &BackwardEvent<'_>| {
            assert_ne!(count.fetch_add(1, Ordering::SeqCst), at, "no more");
        };
        let failure = Backward::new(&z).observer(Arc::new(observer)).run().await.unwrap_err();
        let text = failure.error.to_string();
        assert!(text.starts_with("op \"observer\" panicked") && text.contains("no more"), "{text}");
        assert_eq!(failure.gradients.get(&x).is_empty(), at == 0, "what was paid for is kept");
    }
}

#[tokio::test]
async fn an_error_of_a_pass_shows_its_causes_and_no_gradients() {
    let broken = || {
        join("broken").with_backward(|_: BackwardCx| async {
            let engine = EngineError::new(ErrorKind::RateLimited, "slow down").with_status(429);
            Err::<Vec<_>, _>(OpFailure::from(engine))
        })
    };
    let failure = async |size: usize| {
        let x = Variable::differentiable("x", "x");
        let first = on(broken(), &[&x]).await;
        let leaves: Vec<Variable> = (0..size).map(|_| Variable::differentiable("y", "y")).collect();
        let inputs: Vec<&Variable> = [&first].into_iter().chain(&leaves).collect();
        backward(&on(speaks("top"), &inputs).await).await.unwrap_err()
    };
    let error = failure(50).await;
    let causes = "the backward of op \"broken\" failed: slow down (HTTP 429)";
    let start = "the backward pass ended early, with the gradients of";
    let text = error.to_string();
    assert!(text.starts_with(start) && text.ends_with(causes), "{text}");
    assert_eq!(describe(&error), text, "no cause is shown twice");
    let (small, large) = (format!("{:?}", failure(1).await), format!("{error:?}"));
    assert!(large.len() <= small.len() + 5 && large.contains("slow down"), "{large}");
    let failure = |count: usize| OpFailure {
        error: Error::op("no"),
        gradients: vec![Some(Feedback::new("a long one").into()); count],
    };
    let (one, many) = (format!("{:?}", failure(1)), format!("{:?}", failure(50)));
    assert!(many.len() <= one.len() + 1 && many.contains("50"), "{many}");
}

#[tokio::test]
async fn a_wrong_number_of_answers_is_an_error() {
    for answers in [0_usize, 1, 3] {
        let op = join("f").with_backward(move |_: BackwardCx| async move {
            Ok(vec![Some(Feedback::new("said").into()); answers])
        });
        let (x, y) = (Variable::differentiable("x", "x"), Variable::differentiable("y", "y"));
        let failure = backward(&on(op, &[&x, &y]).await).await.unwrap_err();
        assert!(
            matches!(&failure.error, Error::GradientCount { op, expected: 2, got } if op == "f" && *got == answers),
            "{:?}",
            failure.error
        );
        assert!(failure.gradients.get(&x).is_empty() && failure.gradients.get(&y).is_empty());
    }
}

/// Counts those that were begun and never ended.
struct Unfinished(Arc<AtomicUsize>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_pass_ends_everything_that_it_has_under_way() {
    let (dropped, log) = (Arc::new(AtomicUsize::new(0)), Log::default());
    let x = Variable::differentiable("x", "x");
    let mut branches = Vec::new();
    for i in 0..5 {
        let (dropped, log) = (Arc::clone(&dropped), log.clone());
        let op = join(&format!("branch {i}")).with_backward(move |_: BackwardCx| {
            let (guard, log) = (Unfinished(Arc::clone(&dropped)), log.clone());
            async move {
                log.add("begun");
                tokio::time::sleep(CALL).await;
                log.add("ended");
                drop(guard);
                Ok(vec![None])
            }
        });
        branches.push(on(op, &[&x]).await);
    }
    let total = on(speaks("sum"), &branches.iter().collect::<Vec<_>>()).await;
    let pass = tokio::time::timeout(CALL / 2, backward(&total)).await;
    assert!(pass.is_err());
    assert_eq!(dropped.load(Ordering::SeqCst), 5);
    tokio::time::sleep(10 * CALL).await;
    assert_eq!((log.count("begun"), log.count("ended")), (5, 0));
}
