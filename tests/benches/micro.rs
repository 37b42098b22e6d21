//! Single operations, timed by divan: for comparing one version with the next on the same machine.
//!
//! Run with
//! ```sh
//! cargo bench -p textgrad-tests --bench micro
//! ```
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use divan::{Bencher, black_box};
use textgrad_core::{
    Backward, Choice, Engine, FinishReason, Graph, Inputs, Output, Request, Response, Variable,
    apply_one, engine_fn, op_fn,
};
use textgrad_ops::sim;
use textgrad_ops::store::request_key;
use textgrad_ops::{LlmCall, Tags, TextLoss};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn words(count: usize) -> String {
    vec!["word"; count].join(" ")
}

fn instant(answer: String) -> Arc<dyn Engine> {
    Arc::new(engine_fn("instant", move |_: Request| {
        let choice = Choice::new(answer.clone(), FinishReason::Stop);
        async move { Ok(Response::new(vec![choice])) }
    }))
}

#[divan::bench(args = [10, 300])]
fn llm_call_forward(bencher: Bencher, length: usize) {
    let (runtime, call) = (runtime(), LlmCall::builder(instant(words(length))).build());
    let prompt = Variable::differentiable(words(length), "prompt");
    bencher.bench_local(|| runtime.block_on(call.ask(&prompt).one()).unwrap());
}

#[divan::bench(args = [10, 300])]
fn llm_call_backward(bencher: Bencher, length: usize) {
    let runtime = runtime();
    let loss = TextLoss::new(instant(words(length)), words(length));
    let prompt = Variable::differentiable(words(length), "prompt");
    let value = runtime.block_on(loss.evaluate(&prompt)).unwrap();
    bencher.bench_local(|| runtime.block_on(Backward::new(&value).run()).unwrap());
}

#[divan::bench(args = [1_000, 10_000, 100_000])]
fn trace_a_chain(bencher: Bencher, links: usize) {
    let chain = runtime().block_on(async {
        let copy = Arc::new(op_fn("copy", |inputs: Inputs| async move {
            Ok(vec![Output::new(inputs.named("text")?.value().clone(), "copy")])
        }));
        let mut end = Variable::constant("text", "text");
        for _ in 0..links {
            end = apply_one(copy.clone(), [("text", &end)]).await.unwrap();
        }
        end
    });
    bencher.bench_local(|| Graph::trace(black_box(&chain)));
}

#[divan::bench(args = [10, 300])]
fn read_an_update(bencher: Bencher, length: usize) {
    let tags = Tags::default();
    let reply = format!("Here it is.\n{}\n{}\n{}", tags.start(), words(length), tags.end());
    bencher.bench_local(|| tags.extract(black_box(&reply)).unwrap().len());
}

#[divan::bench(args = [10, 300])]
fn key_of_a_request(bencher: Bencher, length: usize) {
    let message = textgrad_core::Message::user(words(length));
    let request = Request::new(textgrad_core::Purpose::Sample, [message]);
    bencher.bench_local(|| request_key("engine", black_box(&request)));
}

#[divan::bench]
fn simulated_reward(bencher: Bencher) {
    let answer = "The short answer is yes. For example, a friend did it. ".repeat(5);
    bencher.bench_local(|| sim::reward(black_box("Should I learn the piano?"), black_box(&answer)));
}
