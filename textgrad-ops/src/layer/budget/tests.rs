use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Choice, FinishReason, Message, Purpose, engine_fn};
use tokio::time::{sleep, timeout};

use super::*;
use crate::layer::{EngineExt, RetryPolicy};
use crate::store::Cache;

const USAGE: Usage =
    Usage { prompt_tokens: 100, completion_tokens: 20, cached_tokens: 50, reasoning_tokens: 0 };

fn request(text: &str) -> Request {
    Request::new(Purpose::Sample, [Message::user(text)])
}

/// Takes a second; each call costs [`USAGE`]. Counts what was sent.
fn paid(name: &str) -> (impl Engine + Clone + 'static, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let engine = engine_fn(name, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {
            sleep(Duration::from_secs(1)).await;
            Ok(Response::new(vec![Choice::new("x", FinishReason::Stop)]).with_usage(USAGE))
        }
    });
    (engine, calls)
}

async fn kinds(engine: &impl Engine, asked: usize) -> Vec<Option<ErrorKind>> {
    let asked: Vec<Request> = (0..asked).map(|i| request(&i.to_string())).collect();
    let all = join_all(asked.iter().map(|request| engine.complete(request))).await;
    all.into_iter().map(|result| result.err().map(|error| error.kind())).collect()
}

#[tokio::test(start_paused = true)]
async fn the_bound_on_calls_holds_exactly_at_any_concurrency() {
    let budget = Budget::builder().calls(5).build();
    let (engine, sent) = paid("a");
    let (other, others) = paid("b");
    let engine = engine.budget(&budget).unwrap();
    let other = other.budget(&budget).unwrap();
    let (first, second) = tokio::join!(kinds(&engine, 3), kinds(&other, 4));
    assert_eq!(first, [None; 3]);
    assert_eq!(second, [None, None, Some(ErrorKind::Budget), Some(ErrorKind::Budget)]);
    assert_eq!((sent.load(Ordering::SeqCst), others.load(Ordering::SeqCst)), (3, 2));
    assert_eq!(budget.spent().calls, 5);

    let error = engine.complete(&request("x")).await.unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(error.to_string(), "the budget is used up (5 of 5 calls); raise it to go on");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_exceeded_by_no_more_than_what_is_under_way() {
    // Each call takes 120: the third reaches the bound.
    for (at_once, calls) in [(1, 3), (2, 4), (7, 7)] {
        let budget = Budget::builder().tokens(300).build();
        let (engine, sent) = paid("a");
        let engine = engine.budget(&budget).unwrap();
        for _ in 0..4 {
            kinds(&engine, at_once).await;
        }
        assert_eq!(sent.load(Ordering::SeqCst), calls, "{at_once} at once");
        let spent = budget.spent();
        assert_eq!((spent.calls, spent.usage.total()), (calls, calls * 120));
    }
}

#[tokio::test(start_paused = true)]
async fn money_is_counted_by_the_price_of_each_engine() {
    let dear = Price::new(10.0, 100.0).unwrap().with_cached(1.0).unwrap();
    let prices = Prices::default()
        .with("dear", dear)
        .with("cheap", Price::new(0.1, 0.3).unwrap())
        .with("openai:cheap", Price::new(0.2, 0.6).unwrap());
    let budget = Budget::builder().money(Money::new(0.006).unwrap(), prices.clone()).build();
    let (dear, _) = paid("openai:dear");
    let (cheap, _) = paid("other:cheap");
    let (cheaper, _) = paid("openai:cheap");
    let dear = dear.budget(&budget).unwrap();
    kinds(&dear, 1).await;
    // 50 x 10 + 50 x 1 + 20 x 100, in millionths.
    assert_eq!(budget.spent().money, Money::new(0.00255).unwrap());
    kinds(&cheap.budget(&budget).unwrap(), 1).await;
    assert_eq!(budget.spent().money, Money::new(0.002566).unwrap());
    kinds(&cheaper.budget(&budget).unwrap(), 1).await;
    assert_eq!(budget.spent().money, Money::new(0.002598).unwrap());
    kinds(&dear, 2).await;
    let error = dear.complete(&request("x")).await.unwrap_err();
    assert!(error.to_string().contains("(0.007698 of 0.006 in money)"), "{error}");

    // An engine without a price is refused before it costs anything.
    let (unknown, sent) = paid("openai:unknown");
    let error = unknown.budget(&budget).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    for words in ["\"openai:unknown\"", "cheap, dear, openai:cheap", "0 if it costs nothing"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(sent.load(Ordering::SeqCst), 0);
    let (unknown, _) = paid("openai:unknown");
    assert!(unknown.budget(&Budget::builder().calls(1).build()).is_ok(), "money does not count");
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_or_are_left_count_as_calls() {
    let budget = Budget::builder().calls(3).build();
    let (engine, _) = paid("a");
    let engine = engine.budget(&budget).unwrap();
    assert!(timeout(Duration::from_millis(1), engine.complete(&request("x"))).await.is_err());
    let script = ScriptedEngine::new([
        Reply::error(EngineError::new(ErrorKind::Server, "down")),
        Reply::text("fine"),
        Reply::text("too much"),
    ]);
    let script = Arc::new(script);
    let retried = Arc::clone(&script).budget(&budget).unwrap().retry(RetryPolicy::default());
    assert_eq!(retried.complete(&request("y")).await.unwrap().choices[0].text, "fine");
    assert_eq!(budget.spent().calls, 3, "each attempt is one");
    // The end of the budget is not tried again.
    let error = retried.complete(&request("z")).await.unwrap_err();
    assert_eq!((error.kind(), script.requests().len()), (ErrorKind::Budget, 2));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_say_what_it_took_is_not_free() {
    let prices = Prices::default().with("scripted", Price::new(1.0, 2.0).unwrap());
    let budget = Budget::builder().money(Money::new(1.0).unwrap(), prices).build();
    let engine = ScriptedEngine::new(["12345678"]).budget(&budget).unwrap();
    engine.complete(&request("123456789abc")).await.unwrap();
    let spent = budget.spent();
    assert_eq!((spent.usage.prompt_tokens, spent.usage.completion_tokens), (3, 2));
    assert_eq!(spent.money, Money::new(7e-6).unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_a_cache_costs_nothing() {
    let budget = Budget::builder().calls(1).build();
    let (engine, _) = paid("a");
    let engine = engine.budget(&budget).unwrap().cached(Cache::default());
    for _ in 0..3 {
        assert!(engine.complete(&request("x")).await.is_ok());
    }
    assert_eq!(budget.spent().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_later_run_goes_on_with_what_an_earlier_one_left() {
    let prices = || Prices::default().with("a", Price::new(0.3, 0.7).unwrap());
    let of = |spent| {
        let money = Money::new(1.0).unwrap();
        Budget::builder().calls(4).tokens(1000).money(money, prices()).spent(spent).build()
    };
    let (engine, _) = paid("a");
    let first = of(Spent::default());
    kinds(&engine.clone().budget(&first).unwrap(), 3).await;
    let kept = serde_json::to_string(&first.spent()).unwrap();
    let expected = r#"{"calls":3,"usage":{"prompt_tokens":300,"completion_tokens":60,"cached_tokens":150},"money":0.000132}"#;
    assert_eq!(kept, expected);
    let second = of(serde_json::from_str(&kept).unwrap());
    assert_eq!(second.spent(), first.spent());
    let again = kinds(&engine.budget(&second).unwrap(), 2).await;
    assert_eq!(again, [None, Some(ErrorKind::Budget)]);
    let beyond = of(Spent { calls: 9, ..Spent::default() });
    assert!(beyond.is_used_up(&beyond.spent()));
}

#[test]
fn sums_of_money_do_not_depend_on_their_order() {
    let price = Price::new(0.1, 0.7).unwrap();
    let usage = |tokens| Usage {
        prompt_tokens: tokens,
        completion_tokens: 3 * tokens,
        cached_tokens: 0,
        ..Usage::default()
    };
    let all: Vec<Money> = (1..1000).map(|tokens| price.of(usage(tokens))).collect();
    let forth = all.iter().fold(Money::ZERO, |sum, cost| sum.plus(*cost));
    let back = all.iter().rev().fold(Money::ZERO, |sum, cost| sum.plus(*cost));
    assert_eq!(forth, back);
    assert_eq!(forth, price.of(usage(999 * 500)));
}

#[test]
fn an_amount_survives_json() {
    let price = Price::new(0.15, 0.6).unwrap();
    for tokens in 0..2000 {
        let usage = Usage {
            prompt_tokens: tokens * 977,
            completion_tokens: 1,
            cached_tokens: 0,
            ..Usage::default()
        };
        let spent = Spent { calls: tokens, usage, money: price.of(usage) };
        let json = serde_json::to_string(&spent).unwrap();
        assert_eq!(serde_json::from_str::<Spent>(&json).unwrap(), spent, "{json}");
    }
}

#[test]
fn amounts_that_are_none_are_refused() {
    for wrong in [f64::NAN, f64::INFINITY, -0.01, 18e6 + 1.0] {
        let error = Money::new(wrong).unwrap_err().to_string();
        assert!(
            error.contains("from 0 to 18 million") && error.contains(&wrong.to_string()),
            "{error}"
        );
        assert!(Price::new(wrong, 1.0).is_err() && Price::new(1.0, wrong).is_err());
    }
    assert_eq!(Money::new(0.0).unwrap(), Money::ZERO);
    for (units, text) in [(0.0, "0"), (12.5, "12.5"), (100.0, "100"), (1e-6, "0.000001")] {
        assert_eq!(Money::new(units).unwrap().to_string(), text);
    }
}

#[tokio::test]
async fn a_table_of_prices_is_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.json");
    std::fs::write(&path, r#"{"m": {"input": 0.15, "cached": 0.075, "output": 0.6}}"#).unwrap();
    let prices = Prices::load(&path).await.unwrap();
    let price = Price::new(0.15, 0.6).unwrap().with_cached(0.075).unwrap();
    assert_eq!(prices, Prices::default().with("m", price));
    assert_eq!(prices.of("openai:m"), Some(price));

    for (text, words) in [
        ("", "line 1"),
        ("[]", "line 1"),
        (r#"{"m": {"input": 1}}"#, "output"),
        (r#"{"m": {"input": -1, "output": 1}}"#, "from 0 to 18 million"),
        (r#"{"m": {"input": 1, "output": 1, "chached": 1}}"#, "chached"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Prices::load(&path).await.unwrap_err();
        assert!(error.to_string().contains("prices.json"), "{error}");
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        assert!(cause.to_string().contains(words), "{text}: {cause}");
    }
    let error = Prices::load(folder.path().join("none")).await.unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[tokio::test]
async fn a_call_that_failed_is_paid_as_far_as_its_server_told() {
    let dear = Price::new(10.0, 100.0).unwrap();
    let prices = Prices::default().with("scripted", dear);
    let budget = Budget::builder().tokens(200).money(Money::new(1.0).unwrap(), prices).build();
    let meter = crate::layer::Meter::default();
    let withheld = || {
        let error = EngineError::new(ErrorKind::BadResponse, "withheld").with_retryable(false);
        Reply::error(error.with_usage(USAGE))
    };
    let unknown = Reply::error(EngineError::new(ErrorKind::Connection, "gone"));
    let engine = ScriptedEngine::new([withheld(), unknown, withheld()]);
    let engine = engine.budget(&budget).unwrap().metered(&meter);
    for spent in [120, 120, 240] {
        assert!(engine.complete(&request("x")).await.is_err());
        assert_eq!(budget.spent().usage.total(), spent);
    }
    assert_eq!((meter.snapshot().usage.total(), meter.snapshot().errors), (240, 3));
    let error = engine.complete(&request("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget);
}
