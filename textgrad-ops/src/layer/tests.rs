use std::sync::LazyLock;

use futures_util::future::join_all;
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Choice, ErrorKind, FinishReason, Message, Purpose, engine_fn};
use tokio::time::{sleep, timeout};

use super::*;
#[cfg(feature = "disk-cache")]
use crate::store::SqliteConfig;
use crate::store::{Cache, CacheStats, Replay};

static INFO: LazyLock<EngineInfo> = LazyLock::new(|| {
    EngineInfo::from_static("sim:x").with_identity("sim:x somewhere").with_simulation(true)
});

struct Simulated;

#[async_trait::async_trait]
impl Engine for Simulated {
    fn info(&self) -> &EngineInfo {
        &INFO
    }

    async fn complete(&self, _: &Request) -> Result<Response, EngineError> {
        ScriptedEngine::new(["simulated"]).complete(&Request::new(Purpose::Sample, [])).await
    }
}

fn stacked<E: Engine + 'static>(engine: E, meter: &Meter) -> Arc<dyn Engine> {
    Arc::new(
        engine
            .timeout(Duration::from_secs(1))
            .limit(Limits::default().concurrency(2))
            .retry(RetryPolicy::default())
            .complete_choices()
            .cached(Cache::default())
            .traced()
            .metered(meter),
    )
}

#[test]
fn every_layer_can_be_shared_between_threads() {
    fn assert_shareable<T: Send + Sync + 'static>() {}
    assert_shareable::<Layered<Arc<dyn Engine>, Timeout>>();
    assert_shareable::<Layered<Arc<dyn Engine>, Limiter>>();
    assert_shareable::<Layered<Arc<dyn Engine>, RetryPolicy>>();
    assert_shareable::<Layered<Arc<dyn Engine>, CompleteChoices>>();
    assert_shareable::<Layered<Arc<dyn Engine>, Cache>>();
    assert_shareable::<Layered<Arc<dyn Engine>, Trace>>();
    assert_shareable::<Layered<Arc<dyn Engine>, Meter>>();
    assert_shareable::<Layered<Arc<dyn Engine>, RunLogger>>();
    assert_shareable::<Layered<Arc<dyn Engine>, Recorder>>();
    assert_shareable::<Replay>();
    assert_shareable::<Meter>();
    assert_shareable::<Cache>();
    assert_shareable::<Limiter>();
}

#[test]
fn choices_are_completed_once() {
    let engine: Arc<dyn Engine> = Arc::new(Simulated);
    let complete = with_all_choices(Arc::clone(&engine));
    assert!(!engine.info().gives_all_choices() && complete.info().gives_all_choices());
    assert_eq!((complete.name(), complete.is_simulation()), (engine.name(), true));
    let cached: Arc<dyn Engine> = Arc::new(complete.cached(Cache::default()));
    assert!(Arc::ptr_eq(&with_all_choices(Arc::clone(&cached)), &cached));
}

#[test]
fn a_layer_gives_its_engine_back() {
    let engine = Simulated.timeout(Duration::from_secs(1)).retry(RetryPolicy::default());
    assert_eq!(engine.get_ref().get_ref().name(), "sim:x");
    let engine: Simulated = engine.into_inner().into_inner();
    assert!(engine.is_simulation());
}

#[tokio::test]
async fn layers_compose_over_any_engine_and_pass_its_name_and_nature_on() {
    let meter = Meter::default();
    let boxed: Arc<dyn Engine> = Arc::new(Simulated);
    for engine in [
        stacked(Simulated, &meter),
        stacked(boxed, &meter),
        Simulated.default_stack(DefaultStack::default()),
    ] {
        assert_eq!(engine.name(), "sim:x");
        assert_eq!(engine.identity(), "sim:x somewhere");
        assert!(engine.is_simulation());
        let request = Request::new(Purpose::Sample, [Message::user("hi")]);
        assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "simulated");
    }
    let folder = tempfile::tempdir().unwrap();
    let recorded = Simulated.record(folder.path().join("run.jsonl")).await.unwrap();
    let log = RunLogger::open(folder.path().join("log.jsonl")).await.unwrap();
    let logged = Simulated.logged(&log);
    for engine in [&recorded as &dyn Engine, &logged] {
        assert_eq!((engine.name(), engine.identity()), ("sim:x", "sim:x somewhere"));
        assert!(engine.is_simulation());
    }
    let budgeted = Simulated.budget(&Budget::builder().calls(1).build()).unwrap();
    assert_eq!((budgeted.name(), budgeted.identity()), ("sim:x", "sim:x somewhere"));
    assert!(budgeted.is_simulation());
    #[cfg(feature = "disk-cache")]
    {
        let file = folder.path().join("answers.sqlite");
        let cache = SqliteCache::open(&file, SqliteConfig::default()).await.unwrap();
        let kept = Simulated.disk_cached(&cache);
        assert_eq!((kept.name(), kept.identity()), ("sim:x", "sim:x somewhere"));
        assert!(kept.is_simulation());
    }
    assert!(!stacked(ScriptedEngine::new([""; 0]), &meter).is_simulation());
    assert_eq!(meter.snapshot().requests, 2);
}

fn request(text: &str) -> Request {
    Request::new(Purpose::Sample, [Message::user(text)])
}

fn cached<E>(engine: E) -> Layered<E, Cache> {
    Layered::new(engine, Cache::default())
}

fn scripted(replies: impl IntoIterator<Item = Reply>) -> Layered<ScriptedEngine, Cache> {
    cached(ScriptedEngine::new(replies))
}

async fn text<E: Engine>(engine: &E, ask: &str) -> String {
    engine.complete(&request(ask)).await.unwrap().choices.remove(0).text
}

/// Answers after a second with "<text><number of the call>", or fails if the text says so.
fn slow() -> (impl Engine, std::sync::Arc<std::sync::atomic::AtomicU64>) {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = std::sync::Arc::clone(&calls);
    let engine = engine_fn("slow", move |request: Request| {
        let call = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        async move {
            sleep(Duration::from_secs(1)).await;
            let text = request.messages[0].text();
            match text.as_str() {
                "fail" => Err(EngineError::new(ErrorKind::Server, format!("failure {call}"))),
                _ => Ok(Response::new(vec![Choice::new(
                    format!("{text}{call}"),
                    FinishReason::Stop,
                )])),
            }
        }
    });
    (engine, calls)
}

#[tokio::test]
async fn an_equal_request_is_answered_from_memory_whatever_its_purpose() {
    let engine = scripted(["a".into(), "b".into(), "c".into()]);
    assert_eq!(text(&engine, "x").await, "a");
    assert_eq!(text(&engine, "x").await, "a");
    assert_eq!(text(&engine, "y").await, "b");
    let mut judged = request("x");
    judged.purpose = Purpose::Judge;
    assert_eq!(engine.complete(&judged).await.unwrap().choices[0].text, "a");
    judged.sampling.seed = Some(1);
    assert_eq!(engine.complete(&judged).await.unwrap().choices[0].text, "c");
    let stats = CacheStats { hits: 2, misses: 3, ..CacheStats::default() };
    assert_eq!((engine.layer.stats(), engine.layer.store().len()), (stats, 3));
    assert_eq!(
        serde_json::to_string(&stats).unwrap(),
        r#"{"hits":2,"shared":0,"misses":3,"not_kept":0,"failures":0}"#
    );
}

#[tokio::test(start_paused = true)]
async fn equal_requests_at_the_same_time_are_made_once() {
    let (engine, calls) = slow();
    let engine = cached(engine);
    let texts = join_all((0..10).map(|_| text(&engine, "x"))).await;
    assert_eq!(texts, vec!["x1"; 10]);
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
    let stats = CacheStats { shared: 9, misses: 1, ..CacheStats::default() };
    assert_eq!((engine.layer.stats(), engine.layer.store().len()), (stats, 1));
    assert!(engine.layer.is_idle());
}

#[tokio::test(start_paused = true)]
async fn different_requests_do_not_wait_for_each_other() {
    let (engine, _) = slow();
    let engine = cached(engine);
    let both = async { tokio::join!(text(&engine, "x"), text(&engine, "y")) };
    assert!(timeout(Duration::from_millis(1100), both).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn if_the_caller_goes_away_the_next_in_line_makes_the_call() {
    let (engine, calls) = slow();
    let engine = cached(engine);
    let leader = timeout(Duration::from_millis(500), text(&engine, "x"));
    let (gone, second, third) = tokio::join!(leader, text(&engine, "x"), text(&engine, "x"));
    assert!(gone.is_err());
    assert_eq!((second.as_str(), third.as_str()), ("x2", "x2"));
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert!(engine.layer.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_everybody_left_is_forgotten() {
    let (engine, _) = slow();
    let engine = cached(engine);
    let all = join_all((0..3).map(|_| text(&engine, "x")));
    assert!(timeout(Duration::from_millis(500), all).await.is_err());
    assert!(engine.layer.is_idle());
    assert_eq!(text(&engine, "x").await, "x2");
}

#[tokio::test(start_paused = true)]
async fn an_error_goes_to_those_who_wait_and_is_not_kept() {
    let (engine, calls) = slow();
    let engine = cached(engine);
    let ask = request("fail");
    for error in join_all((0..3).map(|_| engine.complete(&ask))).await {
        assert_eq!(error.unwrap_err().message(), "failure 1");
    }
    assert_eq!(engine.complete(&ask).await.unwrap_err().message(), "failure 2");
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert_eq!(engine.layer.store().len(), 0);
    assert!(engine.layer.is_idle());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_not_given_to_who_asks_after_it_while_others_still_wait() {
    let (engine, _) = slow();
    let engine = cached(engine);
    let ask = request("fail");
    // Asks again at once, before the one who waits has taken its share.
    let twice = async {
        let first = engine.complete(&ask).await.unwrap_err();
        (first, engine.complete(&ask).await.unwrap_err())
    };
    let ((first, second), waited) = tokio::join!(twice, engine.complete(&ask));
    assert_eq!(first.message(), "failure 1");
    assert_eq!(second.message(), "failure 2");
    assert_eq!(waited.unwrap_err().message(), "failure 1");
}

#[tokio::test]
async fn answers_that_were_cut_off_are_not_kept() {
    let cut = [Choice::new("whole", FinishReason::Stop), Choice::new("ha", FinishReason::Length)];
    let engine = scripted([Reply::choices(cut), "again".into()]);
    assert_eq!(text(&engine, "x").await, "whole");
    assert_eq!(text(&engine, "x").await, "again");
    assert_eq!(text(&engine, "x").await, "again");
}

#[tokio::test]
async fn fewer_answers_than_asked_for_are_not_kept() {
    let answers = |count| Reply::choices(vec![Choice::new("x", FinishReason::Stop); count]);
    let engine = scripted([answers(2), answers(0), answers(3), answers(1)]);
    let mut ask = request("x");
    ask.sampling.n = 3;
    for (count, entries) in [(2, 0), (0, 0), (3, 1), (3, 1)] {
        assert_eq!(engine.complete(&ask).await.unwrap().choices.len(), count);
        assert_eq!(engine.layer.store().len(), entries);
    }
    // More than were asked for are all of them.
    let engine = scripted([answers(2), answers(1)]);
    for _ in 0..2 {
        assert_eq!(engine.complete(&request("x")).await.unwrap().choices.len(), 2);
    }
}

#[tokio::test]
async fn what_was_stored_first_leaves_first() {
    let cache = Cache::new(2);
    let engine = Layered::new(ScriptedEngine::new(["a", "b", "c", "a again"]), cache.clone());
    for (ask, answer) in
        [("1", "a"), ("2", "b"), ("1", "a"), ("3", "c"), ("2", "b"), ("1", "a again")]
    {
        assert_eq!(text(&engine, ask).await, answer);
    }
    assert_eq!(cache.store().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_nothing_still_makes_equal_requests_once() {
    let (engine, calls) = slow();
    let engine = Layered::new(engine, Cache::new(0));
    assert_eq!(join_all((0..3).map(|_| text(&engine, "x"))).await, vec!["x1"; 3]);
    assert_eq!(text(&engine, "x").await, "x2");
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_call_is_made_under_real_concurrency() {
    let (engine, calls) = {
        let calls = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = std::sync::Arc::clone(&calls);
        let engine = engine_fn("e", move |_| {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            async {
                tokio::task::yield_now().await;
                Ok(Response::new(vec![Choice::new("x", FinishReason::Stop)]))
            }
        });
        (std::sync::Arc::new(cached(engine)), calls)
    };
    for round in 0..50_u64 {
        let tasks = (0..8).map(|_| {
            let engine = std::sync::Arc::clone(&engine);
            tokio::spawn(async move { text(&engine, &round.to_string()).await })
        });
        for done in join_all(tasks).await {
            assert_eq!(done.unwrap(), "x");
        }
        assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), round + 1);
    }
    assert!(engine.layer.is_idle());
}

#[tokio::test]
async fn engines_of_one_name_and_two_identities_do_not_share_answers() {
    struct At(&'static str, EngineInfo);

    #[async_trait::async_trait]
    impl Engine for At {
        fn info(&self) -> &EngineInfo {
            &self.1
        }

        async fn complete(&self, _: &Request) -> Result<Response, EngineError> {
            Ok(Response::new(vec![Choice::new(self.0, FinishReason::Stop)]))
        }
    }

    let cache = Cache::default();
    let request = Request::new(Purpose::Sample, [Message::user("hi")]);
    for place in ["here", "there", "here"] {
        let engine =
            Layered::new(At(place, EngineInfo::new("same").with_identity(place)), cache.clone());
        assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, place);
    }
    assert_eq!((cache.stats().misses, cache.stats().hits), (2, 1));
}
