//! Resuming from a journal: no request is sent twice, and the trajectory is equal.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::json;
use textgrad_core::{
    Choice, Engine, EngineError, ErrorKind, FinishReason, Purpose, Request, Response, engine_fn,
};
use textgrad_ops::layer::EngineExt;
use tpo::journal::Journal;
use tpo::{
    Batch, CancellationToken, Error, JudgeReward, QueryOutcome, RewardInfo, RewardModel, Tpo,
    reward_fn,
};

fn texts<const N: usize>(texts: [&str; N]) -> Response {
    let choices = texts.into_iter().map(|text| Choice::new(text, FinishReason::Stop));
    Response::new(choices.collect())
}

fn update(text: &str) -> String {
    format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>")
}

/// Answers `a` and `bb`; the rest as `of_update` says.
fn engine(
    calls: &Arc<AtomicUsize>,
    of_update: impl Fn(&Request) -> Result<Response, EngineError> + Send + Sync + 'static,
) -> Arc<dyn Engine> {
    let (calls, of_update) = (Arc::clone(calls), Arc::new(of_update));
    Arc::new(engine_fn("scripted", move |request: Request| {
        calls.fetch_add(1, Ordering::SeqCst);
        let of_update = Arc::clone(&of_update);
        async move {
            match request.purpose {
                Purpose::Sample => Ok(texts(["a", "bb"])),
                Purpose::Loss => Ok(texts(["loss"])),
                Purpose::Gradient => Ok(texts(["gradient"])),
                _ => of_update(&request),
            }
        }
    }))
}

fn length(calls: &Arc<AtomicUsize>) -> Arc<dyn RewardModel> {
    let calls = Arc::clone(calls);
    Arc::new(reward_fn("length", move |_: &str, answer: &str| {
        calls.fetch_add(1, Ordering::SeqCst);
        answer.len() as f64
    }))
}

fn tpo(engine: Arc<dyn Engine>, reward: Arc<dyn RewardModel>, iterations: u32) -> Tpo {
    Tpo::builder(engine, reward).samples(2).iterations(iterations).build().unwrap()
}

async fn resumed(path: &Path) -> Journal {
    for _ in 0..10_000 {
        // The thread that had the file before may be about to let go of it.
        match Journal::resume(path, json!({})).await {
            Err(Error::RunLocked { .. }) => tokio::task::yield_now().await,
            other => return other.unwrap(),
        }
    }
    panic!("the journal is still locked");
}

async fn run(tpo: &Tpo, journal: Journal) -> QueryOutcome {
    Batch::new(tpo.clone(), ["q"]).journal(journal).next().await.unwrap()
}

#[tokio::test]
async fn a_failure_that_the_search_continued_without_is_repeated_not_asked_again() {
    let (calls, scored) = (Arc::default(), Arc::default());
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let engine = engine(&calls, move |request| match request.sampling.n {
        2 => Ok(texts([update("ccc").as_str(), "no tags"])),
        _ if is_down.load(Ordering::SeqCst) => Err(EngineError::new(ErrorKind::Server, "down")),
        _ => Ok(texts([update("dddd").as_str()])),
    });
    let tpo = tpo(engine, length(&scored), 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");

    let first = run(&tpo, Journal::create(&path, json!({})).await.unwrap()).await.result.unwrap();
    let unusable = &first.trajectory().iterations[0].unusable;
    assert_eq!(unusable.last().unwrap(), "the request failed: down");
    let paid = (calls.load(Ordering::SeqCst), scored.load(Ordering::SeqCst));

    down.store(false, Ordering::SeqCst);
    let second = run(&tpo, resumed(&path).await).await.result.unwrap();
    assert_eq!(second.trajectory(), first.trajectory());
    assert_eq!((calls.load(Ordering::SeqCst), scored.load(Ordering::SeqCst)), paid);
}

#[tokio::test]
async fn a_failure_that_ended_the_search_is_asked_again() {
    let (calls, scored) = (Arc::default(), Arc::default());
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let engine = engine(&calls, move |_| match is_down.load(Ordering::SeqCst) {
        true => Err(EngineError::new(ErrorKind::Auth, "no key")),
        false => Ok(texts([update("ccc").as_str(), update("dddd").as_str()])),
    });
    let tpo = tpo(engine, length(&scored), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");

    let first = run(&tpo, Journal::create(&path, json!({})).await.unwrap()).await;
    assert_eq!(first.result.unwrap_err().trajectory.candidates.len(), 2);
    assert_eq!((calls.load(Ordering::SeqCst), scored.load(Ordering::SeqCst)), (4, 2));

    down.store(false, Ordering::SeqCst);
    let second = run(&tpo, resumed(&path).await).await.result.unwrap();
    assert_eq!(second.answer(), "dddd");
    assert_eq!((calls.load(Ordering::SeqCst), scored.load(Ordering::SeqCst)), (5, 4));
}

/// Scores one answer at a time; `bb` fails while it is down.
struct Fragile {
    calls: AtomicUsize,
    down: AtomicBool,
}

#[async_trait::async_trait]
impl RewardModel for Fragile {
    fn info(&self) -> &RewardInfo {
        static INFO: LazyLock<RewardInfo> =
            LazyLock::new(|| RewardInfo::new("fragile").with_batch(1));
        &INFO
    }

    async fn score(&self, _: &tpo::Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match answers {
            ["bb"] if self.down.load(Ordering::SeqCst) => {
                Err(EngineError::new(ErrorKind::InvalidRequest, "refused"))
            }
            _ => Ok(answers.iter().map(|answer| answer.len() as f64).collect()),
        }
    }
}

#[tokio::test]
async fn one_answer_that_cannot_be_scored_is_named_and_does_not_lose_the_others() {
    let reward = Arc::new(Fragile { calls: AtomicUsize::new(0), down: AtomicBool::new(true) });
    let tpo = tpo(engine(&Arc::default(), |_| Ok(texts(["x"]))), reward.clone(), 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");

    let first = run(&tpo, Journal::create(&path, json!({})).await.unwrap()).await;
    let error = first.result.unwrap_err().error;
    let message = tpo::describe(&error);
    assert_eq!(message, r#"reward model "fragile" could not score the answer "bb": refused"#);
    assert_eq!(reward.calls.load(Ordering::SeqCst), 2);

    reward.down.store(false, Ordering::SeqCst);
    let second = run(&tpo, resumed(&path).await).await.result.unwrap();
    assert_eq!(second.answer(), "bb");
    assert_eq!(reward.calls.load(Ordering::SeqCst), 3, "only the one that failed is asked again");
}

#[tokio::test]
async fn a_stop_is_never_taken_for_a_result() {
    let stop = CancellationToken::new();
    let from_within = stop.clone();
    let engine = engine(&Arc::default(), move |_| {
        from_within.cancel();
        Ok(texts([update("bb").as_str(), "no tags"]))
    });
    let tpo = tpo(engine, length(&Arc::default()), 1);
    let outcome = Batch::new(tpo, ["q", "never begun"]).concurrency(1).cancellation(stop);
    let mut batch = outcome;
    let error = batch.next().await.unwrap().result.unwrap_err().error;
    assert!(matches!(error, Error::Stopped), "{error}");
    assert!(batch.next().await.is_none());
}

#[tokio::test]
async fn scores_that_are_made_side_by_side_are_not_waited_for_one_after_the_other() {
    struct Slow;
    #[async_trait::async_trait]
    impl RewardModel for Slow {
        fn info(&self) -> &RewardInfo {
            static INFO: LazyLock<RewardInfo> =
                LazyLock::new(|| RewardInfo::new("slow").with_batch(1));
            &INFO
        }
        async fn score(&self, _: &tpo::Query, _: &[&str]) -> Result<Vec<f64>, EngineError> {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            Ok(vec![0.0])
        }
    }
    let tpo = tpo(engine(&Arc::default(), |_| Ok(texts(["x"]))), Arc::new(Slow), 0);
    let begun = std::time::Instant::now();
    let aligned = tpo.align("q").await.unwrap();
    // Whatever the machine does: a search waits no longer than it takes.
    assert!(aligned.model_time() <= begun.elapsed());
    assert!(aligned.model_time() >= std::time::Duration::from_millis(19));
}

/// Each request takes a while, whoever makes it.
#[tokio::test]
async fn calls_that_run_side_by_side_are_waited_for_once() {
    const TAKES: Duration = Duration::from_millis(20);
    let slow = Arc::new(engine_fn("slow", |request: Request| async move {
        tokio::time::sleep(TAKES).await;
        Ok(match request.purpose {
            Purpose::Judge => texts(["<VERDICT>5</VERDICT>"]),
            _ => texts(["a", "b", "c", "d", "e", "f"]),
        })
    }));
    let judge: Arc<dyn Engine> = slow;
    let reward = JudgeReward::builder(Arc::clone(&judge)).build().unwrap();
    let tpo = Tpo::builder(judge, Arc::new(reward)).samples(6).iterations(0).build().unwrap();
    let begun = std::time::Instant::now();
    let aligned = tpo.align("q").await.unwrap();
    let whole = begun.elapsed();
    assert_eq!(aligned.trajectory().usage.requests, 1 + 6);
    assert!(aligned.model_time() >= 2 * TAKES - Duration::from_millis(2), "one after the other");
    assert!(aligned.model_time() <= whole, "{:?} of {whole:?}", aligned.model_time());
}

/// What a retry gives up because of a stop is no failure of the run: the resumed run asks again.
#[tokio::test]
async fn a_call_that_was_given_up_for_a_stop_is_asked_again() {
    let calls = Arc::default();
    let stop = CancellationToken::new();
    let from_within = stop.clone();
    let stopping = Arc::new(AtomicBool::new(true));
    let is_stopping = Arc::clone(&stopping);
    let engine = engine(&calls, move |request| match request.sampling.n {
        2 => Ok(texts([update("ccc").as_str(), "no tags"])),
        _ if is_stopping.load(Ordering::SeqCst) => {
            from_within.cancel();
            Err(EngineError::new(ErrorKind::RateLimited, "slow down"))
        }
        _ => Ok(texts([update("dddd").as_str()])),
    });
    let tpo = tpo(engine, length(&Arc::default()), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");

    let journal = Journal::create(&path, json!({})).await.unwrap();
    let mut batch = Batch::new(tpo.clone(), ["q"]).journal(journal).cancellation(stop);
    let error = batch.next().await.unwrap().result.unwrap_err().error;
    assert!(matches!(error, Error::Stopped), "{error}");
    drop(batch);

    stopping.store(false, Ordering::SeqCst);
    let second = run(&tpo, resumed(&path).await).await.result.unwrap();
    assert_eq!(second.answer(), "dddd", "the re-ask is made again");
    assert_eq!(calls.load(Ordering::SeqCst), 6, "and nothing else");
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_query_and_keeps_what_was_found() {
    let engine = engine(&Arc::default(), |_| panic!("boom"));
    let tpo = tpo(engine, length(&Arc::default()), 1);
    let failure = Batch::new(tpo, ["q"]).next().await.unwrap().result.unwrap_err();
    assert_eq!(failure.error.to_string(), "op \"update\" panicked: boom");
    assert_eq!(failure.error.kind(), "panic");
    assert_eq!(failure.trajectory.candidates.len(), 2);
}

/// Gives single answers only, those up to a number; the others never end. Each is named after its seed.
fn singles(asked: &Arc<AtomicUsize>, delivered: usize) -> Arc<dyn Engine> {
    let asked = Arc::clone(asked);
    let one_by_one = engine_fn("singles", move |request: Request| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        async move {
            if request.sampling.n > 1 {
                return Err(EngineError::new(ErrorKind::InvalidRequest, "one at a time"));
            }
            if number >= delivered {
                std::future::pending::<()>().await;
            }
            Ok(texts([format!("answer {}", request.sampling.seed.unwrap()).as_str()]))
        }
    });
    Arc::new(one_by_one.complete_choices().always_single())
}

#[tokio::test]
async fn a_choice_that_was_delivered_before_a_kill_is_not_asked_for_again() {
    const SAMPLES: u32 = 5;
    let search = |engine| {
        let reward = length(&Arc::default());
        Tpo::builder(engine, reward).samples(SAMPLES).iterations(0).build().unwrap()
    };
    let whole = search(singles(&Arc::default(), usize::MAX)).align("q").await.unwrap();
    for delivered in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let asked = Arc::<AtomicUsize>::default();
        let journal = Journal::create(&path, json!({})).await.unwrap();
        let killed = search(singles(&asked, delivered));
        let mut batch = Batch::new(killed, ["q"]).journal(journal);
        let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
        tokio::select! {
            _ = batch.next() => panic!("it has not all answers"),
            () = async {
                while lines() < 1 + delivered || asked.load(Ordering::SeqCst) < 5 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            } => {}
        }
        drop(batch);
        assert_eq!(asked.load(Ordering::SeqCst), 5);

        asked.store(0, Ordering::SeqCst);
        let resumed_search = search(singles(&asked, usize::MAX));
        let found = run(&resumed_search, resumed(&path).await).await.result.unwrap();
        assert_eq!(found.trajectory(), whole.trajectory(), "{delivered}");
        assert_eq!(asked.load(Ordering::SeqCst), 5 - delivered);

        // Complete now: nothing is asked for.
        asked.store(0, Ordering::SeqCst);
        run(&resumed_search, resumed(&path).await).await.result.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
}

/// The choices that a cancellation left out are no result: the resumed run asks for them.
#[tokio::test]
async fn choices_that_a_cancellation_left_out_are_asked_for_on_resume() {
    let stop = CancellationToken::new();
    let (from_within, stopping) = (stop.clone(), Arc::new(AtomicBool::new(true)));
    let is_stopping = Arc::clone(&stopping);
    let asked = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&asked);
    let engine = engine_fn("singles", move |request: Request| {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        let is_stopping = is_stopping.load(Ordering::SeqCst);
        let from_within = from_within.clone();
        async move {
            if is_stopping && number > 0 {
                from_within.cancel();
                return Err(EngineError::new(ErrorKind::RateLimited, "slow down"));
            }
            Ok(texts([format!("answer {}", request.sampling.seed.unwrap()).as_str()]))
        }
    });
    let engine = Arc::new(engine.complete_choices().always_single());
    let tpo =
        Tpo::builder(engine, length(&Arc::default())).samples(3).iterations(0).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::create(&path, json!({})).await.unwrap();
    let mut batch = Batch::new(tpo.clone(), ["q"]).journal(journal).cancellation(stop);
    let error = batch.next().await.unwrap().result.unwrap_err().error;
    assert!(matches!(error, Error::Stopped), "{error}");
    drop(batch);

    stopping.store(false, Ordering::SeqCst);
    let found = run(&tpo, resumed(&path).await).await.result.unwrap();
    assert_eq!(found.trajectory().candidates.len(), 3);
    assert_eq!(asked.load(Ordering::SeqCst), 3 + 2);
}
