use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Choice, EngineError, EngineFn, FinishReason, Message, Purpose, Sampling, Usage, engine_fn,
};
use tokio::time::{Instant, sleep};

use super::*;
use crate::layer::EngineExt as _;

fn complete<E: Engine + 'static>(engine: E) -> Layered<E, CompleteChoices> {
    engine.complete_choices()
}

fn request(n: u32) -> Request {
    Request::new(Purpose::Sample, [Message::user("hi")])
        .with_sampling(Sampling::default().with_n(n).with_seed(10))
}

type Log = Arc<Mutex<Vec<(u32, Option<u64>)>>>;

/// Gives at most `cap` answers, each named after its seed, and logs what it was asked.
fn server(cap: u32, log: &Log) -> impl Engine + use<> {
    let log = Arc::clone(log);
    engine_fn("server", move |request: Request| {
        let Sampling { n, seed, .. } = request.sampling;
        log.lock().unwrap().push((n, seed));
        async move {
            sleep(Duration::from_secs(1)).await;
            let name = |i: u32| {
                seed.map_or("?".into(), |seed| seed.wrapping_add(u64::from(i)).to_string())
            };
            let choices =
                (0..n.min(cap)).map(|i| Choice::new(name(i), FinishReason::Stop)).collect();
            let usage = Usage {
                prompt_tokens: 5,
                completion_tokens: u64::from(n.min(cap)),
                ..Usage::default()
            };
            Ok(Response::new(choices).with_usage(usage).with_model("m"))
        }
    })
}

fn texts(response: &Response) -> Vec<&str> {
    response.choices.iter().map(|choice| choice.text.as_str()).collect()
}

fn taken(log: &Log) -> Vec<(u32, Option<u64>)> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_gives_all_is_asked_once() {
    let log = Log::default();
    let engine = complete(server(9, &log));
    let response = engine.complete(&request(3)).await.unwrap();
    assert_eq!(texts(&response), ["10", "11", "12"]);
    assert_eq!(taken(&log), [(3, Some(10))]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_gives_one_is_filled_up_in_parallel_and_remembered() {
    let log = Log::default();
    let engine = complete(server(1, &log));
    let start = Instant::now();
    let response = engine.complete(&request(4)).await.unwrap();
    assert_eq!(texts(&response), ["10", "11", "12", "13"]);
    assert_eq!(response.usage.prompt_tokens, 20);
    assert_eq!(response.usage.completion_tokens, 4);
    assert_eq!(response.model, "m");
    assert_eq!(taken(&log), [(4, Some(10)), (1, Some(11)), (1, Some(12)), (1, Some(13))]);
    assert_eq!(start.elapsed(), Duration::from_secs(2));

    let start = Instant::now();
    let response = engine.complete(&request(4)).await.unwrap();
    assert_eq!(texts(&response), ["10", "11", "12", "13"]);
    assert_eq!(taken(&log), [(1, Some(10)), (1, Some(11)), (1, Some(12)), (1, Some(13))]);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_gives_some_is_filled_up_with_seeds_that_none_of_them_had() {
    let log = Log::default();
    let engine = complete(server(3, &log));
    let response = engine.complete(&request(5)).await.unwrap();
    assert_eq!(texts(&response), ["10", "11", "12", "15", "16"]);
    assert_eq!(texts(&response).into_iter().collect::<HashSet<_>>().len(), 5);
    assert_eq!(taken(&log), [(5, Some(10)), (1, Some(15)), (1, Some(16))]);
    // It can give several, so it is asked for several again.
    engine.complete(&request(5)).await.unwrap();
    assert_eq!(taken(&log)[0], (5, Some(10)));
}

#[tokio::test(start_paused = true)]
async fn one_answer_by_accident_does_not_stick_to_a_server_that_gives_several() {
    let script = ScriptedEngine::new([
        Reply::texts(["a", "b"]),
        "c".into(),
        "d".into(),
        Reply::texts(["e", "f"]),
    ]);
    let engine = complete(script);
    for expected in [["a", "b"], ["c", "d"], ["e", "f"]] {
        assert_eq!(texts(&engine.complete(&request(2)).await.unwrap()), expected);
    }
    let asked: Vec<u32> =
        engine.engine.requests().iter().map(|request| request.sampling.n).collect();
    assert_eq!(asked, [2, 2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn greedy_answers_and_always_single_go_as_singles_from_the_start() {
    let log = Log::default();
    let mut greedy = request(2);
    greedy.sampling.temperature = Some(0.0);
    complete(server(9, &log)).complete(&greedy).await.unwrap();
    assert_eq!(taken(&log), [(1, Some(10)), (1, Some(11))]);
    complete(server(9, &log)).always_single().complete(&request(2)).await.unwrap();
    assert_eq!(taken(&log), [(1, Some(10)), (1, Some(11))]);
}

#[tokio::test(start_paused = true)]
async fn seeds_wrap_and_a_request_without_one_stays_without() {
    let log = Log::default();
    let engine = complete(server(1, &log)).always_single();
    let mut last = request(2);
    last.sampling.seed = Some(u64::MAX);
    engine.complete(&last).await.unwrap();
    assert_eq!(taken(&log), [(1, Some(u64::MAX)), (1, Some(0))]);
    last.sampling.seed = None;
    engine.complete(&last).await.unwrap();
    assert_eq!(taken(&log), [(1, None), (1, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_single_request_passes_as_it_is() {
    let log = Log::default();
    let engine = complete(server(9, &log));
    engine.complete(&request(1)).await.unwrap();
    assert_eq!(taken(&log), [(1, Some(10))]);
}

/// Fails the requests with these seeds.
fn failing(
    seeds: &'static [u64],
    kind: ErrorKind,
) -> EngineFn<impl Fn(Request) -> std::future::Ready<Result<Response, EngineError>> + Send + Sync> {
    engine_fn("failing", move |request: Request| {
        let seed = request.sampling.seed.unwrap();
        std::future::ready(if request.sampling.n > 1 || seeds.contains(&seed) {
            Err(EngineError::new(kind, format!("no {seed} for {}", request.sampling.n)))
        } else {
            Ok(Response::new(vec![Choice::new(seed.to_string(), FinishReason::Stop); 2]))
        })
    })
}

#[tokio::test]
async fn what_was_paid_for_is_returned_and_nothing_else_is_an_error() {
    let engine = complete(failing(&[11, 12], ErrorKind::Server)).always_single();
    let response = engine.complete(&request(4)).await.unwrap();
    assert_eq!(texts(&response), ["10", "13"], "and one answer of each single request");
    let error = engine
        .complete(&request(2).with_sampling(Sampling::default().with_n(2).with_seed(11)))
        .await
        .unwrap_err();
    assert_eq!(error.message(), "no 11 for 1");
}

#[tokio::test]
async fn a_server_that_refuses_several_is_asked_for_one() {
    let engine = complete(failing(&[99], ErrorKind::InvalidRequest));
    let response = engine.complete(&request(3)).await.unwrap();
    assert_eq!(texts(&response), ["10", "11", "12"]);
    assert_eq!(engine.layer.support.get(), ChoiceSupport::One);

    // A request that is wrong in itself keeps its first error; other failures are not looked into.
    let engine = complete(failing(&[10], ErrorKind::InvalidRequest));
    assert_eq!(engine.complete(&request(3)).await.unwrap_err().message(), "no 10 for 3");
    assert_eq!(engine.layer.support.get(), ChoiceSupport::Unknown);
    let engine = complete(failing(&[99], ErrorKind::Auth));
    assert_eq!(engine.complete(&request(3)).await.unwrap_err().message(), "no 10 for 3");
}
