//! Long chains: built, traced, measured, differentiated and dropped on a stack that is small.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{on, speaks};
use textgrad_core::{
    BackwardCx, Feedback, Graph, Inputs, OpFn, Output, Variable, apply_one, backward, op_fn,
};

const CHAIN: usize = 200_000;
const STACK: usize = 256 * 1024;

/// Runs on a small stack; a generous bound on the time tells what is quadratic.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let start = Instant::now();
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.unwrap().block_on(future)
}

fn link() -> OpFn {
    op_fn("link", |_: Inputs| async { Ok(vec![Output::new("x", "link")]) }).with_backward(
        |cx: BackwardCx| async move {
            Ok(vec![Some(Feedback::new("on").into()); cx.inputs().len()])
        },
    )
}

async fn chain(arguments: usize) -> (Variable, Variable) {
    let op: Arc<OpFn> = Arc::new(link());
    let x = Variable::differentiable("x", "x");
    let mut end = x.clone();
    for _ in 0..CHAIN / arguments {
        let inputs = Inputs::new((0..arguments).map(|_| ("x", end.clone())));
        end = apply_one(op.clone(), inputs).await.unwrap();
    }
    (x, end)
}

#[test]
fn a_long_chain_is_differentiated() {
    on_a_small_stack(|| {
        run(async {
            let (x, end) = chain(1).await;
            let gradients = backward(&end).await.unwrap();
            assert_eq!(gradients.len(), CHAIN + 1);
            assert_eq!(gradients.text(&x), "on");
            // Whatever goes last takes the chain apart.
            drop(end);
            drop(gradients);
        });
    });
}

#[test]
fn a_long_chain_is_measured() {
    on_a_small_stack(|| {
        run(async {
            let (_, end) = chain(1).await;
            let graph = Graph::trace(&end);
            assert_eq!((graph.depth(), graph.width()), (CHAIN, 1));
            let path = graph.critical_path(|_| 1.0);
            assert_eq!((path.cost, path.nodes.len()), (CHAIN as f64, 2 * CHAIN + 1));
            drop(end);
            drop(path);
            drop(graph);
        });
    });
}

#[test]
fn a_long_ladder_is_differentiated() {
    on_a_small_stack(|| {
        run(async {
            let (x, end) = chain(2).await;
            let gradients = backward(&end).await.unwrap();
            assert_eq!(gradients.received(&x).len(), 2);
            drop(gradients);
            drop(end);
        });
    });
}

#[test]
fn a_long_sum_is_differentiated() {
    on_a_small_stack(|| {
        run(async {
            let x = Variable::differentiable("", "x");
            let mut end = x.clone();
            for _ in 0..CHAIN / 4 {
                end = (&end + &end).unwrap();
            }
            assert_eq!(&**end.role(), "x");
            let end = on(speaks("critic"), &[&end]).await;
            let gradients = backward(&end).await.unwrap();
            assert_eq!(
                (gradients.text(&x).as_str(), gradients.len()),
                ("critic/0\ncritic/0", CHAIN / 4 + 2)
            );
        });
    });
}

#[test]
fn a_long_chain_can_be_shared_and_dropped_from_several_threads() {
    let (_, end) = run(chain(1));
    let shared: Vec<Variable> = (0..8).map(|_| end.clone()).collect();
    drop(end);
    let barrier = Arc::new(std::sync::Barrier::new(shared.len()));
    let threads = shared.into_iter().map(|end| {
        let barrier = Arc::clone(&barrier);
        let work = move || {
            barrier.wait();
            drop(end);
        };
        std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap()
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

#[test]
fn a_wide_graph_is_differentiated() {
    on_a_small_stack(|| {
        run(async {
            let x = Variable::differentiable("x", "x");
            let mut losses = Vec::new();
            for _ in 0..5_000 {
                losses.push(on(speaks("loss"), &[&x]).await);
            }
            let total = on(link(), &losses.iter().collect::<Vec<_>>()).await;
            let gradients = backward(&total).await.unwrap();
            assert_eq!(gradients.get(&x).len(), 5_000);
        });
    });
}

/// An op that holds a variable, which is none of its inputs.
fn holds(variable: Variable) -> OpFn {
    op_fn("holds", move |_: Inputs| {
        let text = variable.value().describe();
        async move { Ok(vec![Output::new(text, "link")]) }
    })
}

#[test]
fn a_long_chain_of_ops_that_hold_variables_is_dropped() {
    on_a_small_stack(|| {
        run(async {
            let (x, mut end) = (Variable::constant("x", "x"), Variable::constant("x", "x"));
            for _ in 0..CHAIN {
                end = apply_one(Arc::new(holds(end)), [("x", &x)]).await.unwrap();
            }
            let graph = Graph::trace(&end);
            drop(end);
            drop(graph);
        });
    });
}

#[test]
fn the_rest_of_a_chain_is_dropped_where_the_drop_of_an_op_panics() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("an op that cannot be dropped");
        }
    }
    let x = Variable::constant("x", "x");
    let panics = Panics;
    let op = op_fn("panics", move |_: Inputs| {
        let _ = &panics;
        async { Ok(vec![Output::new("x", "x")]) }
    });
    let end = run(apply_one(Arc::new(op), [("x", &x)])).unwrap();
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(end)));
    assert!(dropped.is_err());
    // Later drops take their pasts apart.
    let held = Arc::new(());
    let kept = Arc::clone(&held);
    let op = op_fn("keeps", move |_: Inputs| {
        let _ = &kept;
        async { Ok(vec![Output::new("x", "x")]) }
    });
    drop(run(apply_one(Arc::new(op), [("x", &x)])).unwrap());
    assert_eq!(Arc::strong_count(&held), 1);
}
