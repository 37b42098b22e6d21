//! Deadlines, budgets, gates, and failures of the servers behind.

use std::sync::Arc;

use serde_json::json;
use textgrad_core::{Engine, EngineError, ErrorKind, Purpose, Request, Usage, engine_fn};
use textgrad_ops::layer::{Price, Prices};
use textgrad_ops::sim::Sim;
use tpo::{JudgeReward, Tpo};

use super::{serve, stalling, tpo, with_engine};

#[tokio::test]
async fn the_best_answer_until_a_deadline_is_returned_and_marked() {
    let (tpo, stalled) = stalling(Purpose::Loss);
    let serving = serve(tpo, |builder| builder).await;
    let reply = serving.chat(json!({"tpo": {"deadline_ms": 150}})).await;
    let answer = reply.ok();
    let own = &answer["tpo"];
    assert_eq!((&own["complete"], &own["stopped"]), (&json!(false), &json!("deadline")));
    assert_eq!((own["candidates"].as_u64(), own["usage"]["requests"].as_u64()), (Some(5), Some(1)));
    assert_eq!(reply.headers["x-tpo-stopped"], "deadline");
    assert_eq!(stalled.load(std::sync::atomic::Ordering::SeqCst), 0, "its calls are abandoned");
    assert_eq!(serving.metric("tpo_searches_total{end=\"partial\"}").await, 1.0);
}

#[tokio::test]
async fn a_budget_of_calls_is_never_exceeded() {
    let serving = serve(tpo(), |builder| builder).await;
    for (calls, complete) in [(1, false), (3, false), (4, false), (7, true), (9, true)] {
        let own =
            serving.chat(json!({"tpo": {"budget": {"calls": calls}}})).await.ok()["tpo"].take();
        let requests = own["usage"]["requests"].as_u64().unwrap();
        assert!(requests <= calls, "{own}");
        if calls > 4 {
            assert_eq!((&own["complete"], requests), (&json!(complete), 7), "{own}");
        } else {
            assert!(["calls", "budget"].contains(&own["stopped"].as_str().unwrap()), "{own}");
            assert_eq!(own["complete"], complete, "{own}");
        }
    }
    assert_eq!(serving.metric("tpo_searches_total{end=\"partial\"}").await, 3.0);
}

#[tokio::test]
async fn a_simulation_that_takes_no_time_ends_at_its_deadline() {
    let serving = serve(tpo(), |builder| builder).await;
    let more = json!({"model": "tpo-d16-n64", "tpo": {"deadline_ms": 300}});
    let own = serving.chat(more).await.ok()["tpo"].take();
    assert_eq!((&own["complete"], &own["stopped"]), (&json!(false), &json!("deadline")), "{own}");
}

#[tokio::test]
async fn bounds_on_money_need_prices_and_costs_are_reported() {
    let serving = serve(tpo(), |builder| builder).await;
    let money = json!({"tpo": {"budget": {"money": 0.000001}}});
    assert_eq!(serving.chat(money.clone()).await.error(400)["param"], "tpo.budget.money");
    let name = tpo().engines()[0].to_owned();
    let prices = Prices::default().with(name, Price::new(1.0, 2.0).unwrap());
    let serving = serve(tpo(), |builder| builder.prices(Some(prices))).await;
    let own = serving.chat(money).await.ok()["tpo"].take();
    assert_eq!(own["stopped"], "money");
    let tokens = &own["usage"]["tokens"];
    let of = |kind: &str| tokens[kind].as_f64().unwrap();
    let expected = (of("prompt_tokens") + 2.0 * of("completion_tokens")) / 1e6;
    assert!((own["money"].as_f64().unwrap() - expected).abs() < 1e-6, "{own}");
}

#[tokio::test]
async fn costs_are_by_the_engine_of_each_call() {
    let sim = |name| {
        let sim = Arc::new(Sim::default());
        let engine = engine_fn(name, move |request: Request| {
            let sim = Arc::clone(&sim);
            async move {
                let usage = Usage { prompt_tokens: 1000, ..Usage::default() };
                Ok(sim.complete(&request).await?.with_usage(usage))
            }
        });
        Arc::new(engine) as Arc<dyn Engine>
    };
    let judged = || {
        let judge = JudgeReward::builder(sim("judge")).build().unwrap();
        Tpo::builder(sim("policy"), Arc::new(judge)).build().unwrap()
    };
    let free = Prices::default().with("policy", Price::new(0.0, 0.0).unwrap());
    let prices = free.clone().with("judge", Price::new(1.0, 0.0).unwrap());
    let serving = serve(judged(), |builder| builder.prices(Some(prices))).await;
    let own = serving.chat(json!({"model": "bon-3"})).await.ok()["tpo"].take();
    let calls = own["usage"]["by_purpose"]["judge"]["requests"].as_f64().unwrap();
    assert!(calls >= 1.0, "{own}");
    assert_eq!(own["money"].as_f64(), Some(calls / 1000.0), "{own}");
    assert_eq!(serving.metric("tpo_money_total").await, calls / 1000.0);
    // Without the price of the judge, the cost is unknown.
    let serving = serve(judged(), |builder| builder.prices(Some(free))).await;
    let own = serving.chat(json!({"model": "bon-3"})).await.ok()["tpo"].take();
    assert!(own["money"].is_null(), "{own}");
}

#[tokio::test]
async fn a_budget_of_calls_holds_for_those_of_a_judge_too() {
    let judge = JudgeReward::builder(Arc::new(Sim::default())).build().unwrap();
    let judged = Tpo::builder(Arc::new(Sim::default()), Arc::new(judge)).build().unwrap();
    let serving = serve(judged, |builder| builder).await;
    let ask = async |calls: u64| {
        let body = json!({"model": "tpo-d1-n3", "tpo": {"budget": {"calls": calls}}});
        serving.chat(body).await
    };
    // One call samples, and each of three answers takes one to be graded.
    assert_eq!(ask(3).await.error(400)["code"], "budget_exceeded");
    for calls in 4..=12 {
        let own = ask(calls).await.ok()["tpo"].take();
        let requests = own["usage"]["requests"].as_u64().unwrap();
        assert!(requests <= calls, "{calls}: {own}");
    }
}

#[tokio::test]
async fn a_gate_answers_easy_requests_with_one_call() {
    let serving = serve(tpo(), |builder| builder).await;
    let open = serving.chat(json!({"tpo": {"gate": {"score": -100.0}}})).await.ok()["tpo"].take();
    assert_eq!((&open["gated"], &open["complete"]), (&json!(true), &json!(true)));
    assert_eq!(
        (open["usage"]["requests"].as_u64(), open["candidates"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(open["stopped"], "gate");
    let margin = json!({"tpo": {"gate": {"samples": 3, "margin": 1000.0}}});
    let margin = serving.chat(margin).await.ok()["tpo"].take();
    assert_eq!((&margin["gated"], margin["candidates"].as_u64()), (&json!(true), Some(3)));
    let shut = serving.chat(json!({"tpo": {"gate": {"score": 1000.0}}})).await.ok()["tpo"].take();
    assert_eq!((&shut["gated"], shut["usage"]["requests"].as_u64()), (&json!(false), Some(8)));
    assert_eq!(serving.metric("tpo_searches_total{end=\"gated\"}").await, 2.0);
}

/// The simulation, but for requests of one purpose, which fail.
fn failing(purpose: Purpose, kind: ErrorKind) -> Tpo {
    let sim = Arc::new(Sim::default());
    let engine = engine_fn("sim", move |request: Request| {
        let sim = Arc::clone(&sim);
        async move {
            match request.purpose == purpose {
                true => Err(EngineError::new(kind, "made to fail")),
                false => sim.complete(&request).await,
            }
        }
    });
    with_engine(Arc::new(engine))
}

#[tokio::test]
async fn failures_behind_the_server_have_statuses_of_gateways() {
    for (kind, status, code) in [
        (ErrorKind::Timeout, 504, "upstream_timeout"),
        (ErrorKind::Connection, 502, "upstream_connection"),
        (ErrorKind::Server, 502, "upstream_error"),
        (ErrorKind::BadResponse, 502, "upstream_error"),
        (ErrorKind::Auth, 502, "upstream_auth"),
        (ErrorKind::NotFound, 502, "upstream_error"),
        (ErrorKind::RateLimited, 503, "upstream_rate_limit"),
        (ErrorKind::Loading, 503, "upstream_loading"),
        (ErrorKind::Quota, 503, "upstream_quota"),
        (ErrorKind::Refused, 400, "content_filter"),
        (ErrorKind::InvalidRequest, 400, "upstream_invalid_request"),
    ] {
        let serving = serve(failing(Purpose::Sample, kind), |builder| builder).await;
        let error = serving.chat(json!({})).await.error(status);
        assert_eq!(error["code"], code, "{kind}");
        assert!(error["message"].as_str().unwrap().contains("made to fail"), "{error}");
        assert_eq!(serving.metric("tpo_searches_total{end=\"failed\"}").await, 1.0);
    }
}

#[tokio::test]
async fn a_failure_after_the_first_answers_returns_the_best_of_them() {
    let serving = serve(failing(Purpose::Gradient, ErrorKind::Connection), |builder| builder).await;
    let answer = serving.chat(json!({})).await.ok();
    let own = &answer["tpo"];
    assert_eq!((&own["complete"], &own["stopped"]), (&json!(false), &json!("error")));
    assert!(own["error"].as_str().unwrap().contains("made to fail"), "{own}");
    assert!(!answer["choices"][0]["message"]["content"].as_str().unwrap().is_empty());
}
