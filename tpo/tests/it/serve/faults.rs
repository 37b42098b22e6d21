//! Every fault of the servers behind, while requests are served.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use textgrad_ops::engine::OpenAi;
use textgrad_ops::layer::{EngineExt as _, RetryPolicy};
use textgrad_ops::sim::{self, Sim};
use textgrad_tests::fake_server::{FakeServer, FaultRule};
use tpo::{HttpReward, RewardApi, Tpo};

use super::serve;

const FAULTS: [&str; 31] = [
    "429-ms=1",
    "429-seconds=0.01",
    "429-date=0",
    "429-plain",
    "429-quota",
    "500",
    "503",
    "401",
    "400",
    "413",
    "reply=418",
    "html",
    "html-502",
    "not-json",
    "cut-off-body",
    "slow-body=20",
    "reset",
    "stall=20",
    "stream-error",
    "empty-choices",
    "fewer-choices=1",
    "null-content",
    "open-reasoning=stop",
    "length",
    "missing-tags",
    "missing-close-tag",
    "tags-inside",
    "nan-score",
    "null-score",
    "string-score",
    "two-labels",
];

async fn search(faults: &[&str]) -> (Tpo, FakeServer) {
    let mut server = FakeServer::builder().engine(Sim::default()).reward(sim::reward);
    for fault in faults {
        let rule: FaultRule = fault.parse().unwrap_or_else(|error| panic!("{fault}: {error}"));
        server = server.fault(rule);
    }
    let server = server.start().await.unwrap();
    let retry = RetryPolicy::default()
        .max_retries(1)
        .initial_backoff(Duration::from_millis(1))
        .max_backoff(Duration::from_millis(2));
    let policy = OpenAi::builder(server.base_url(), "sim").build().unwrap();
    let policy = policy.retry(retry.clone()).complete_choices();
    let reward = HttpReward::builder(server.url(), "sim", RewardApi::VllmClassify).retry(retry);
    let reward = Arc::new(reward.build().unwrap());
    let tpo = Tpo::builder(Arc::new(policy), reward).iterations(1).samples(2).build().unwrap();
    (tpo, server)
}

/// Kind: Errors | any fault of the servers behind `tpo serve` | an answer, or an error of the API; never a hang
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_ends_in_an_answer_or_an_error_of_the_api() {
    let cases = FAULTS.iter().flat_map(|fault| {
        [format!("{fault}@always"), format!("{fault}@nth:3"), format!("{fault}@nth:1")]
    });
    let statuses = join_all(cases.map(|case| async move {
        let (tpo, server) = search(&[&case]).await;
        let serving = serve(tpo, |builder| builder).await;
        // The longest wait that a server asks for is cut by the deadline.
        let whole = serving.chat(json!({"tpo": {"deadline_ms": 8000}})).await;
        match whole.status {
            200 => {
                let answer = whole.ok();
                let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
                assert!(!text.is_empty(), "{case}: {answer}");
            }
            status => {
                assert!([400, 502, 503, 504].contains(&status), "{case}: {whole:?}");
                whole.error(status);
            }
        }
        assert_eq!(serving.metric("tpo_in_flight").await, 0.0, "{case}");
        drop(server);
        whole.status
    }))
    .await;
    for status in [200, 400, 502, 503] {
        assert!(statuses.contains(&status), "no fault ends with {status}");
    }
}

/// A short soak; `cargo bench -p textgrad-tests --bench serve -- --soak 100000` is a long one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_faults_mixed_in_leave_nothing_behind() {
    const MIXED: [&str; 9] = [
        "429-ms=1@every:11",
        "500@every:13",
        "reset@every:17",
        "cut-off-body@every:19",
        "html-502@every:23",
        "empty-choices@every:29",
        "missing-tags@every:7",
        "nan-score@every:31,classify",
        "reset@every:37,classify",
    ];
    let (tpo, server) = search(&MIXED).await;
    let serving = serve(tpo, |builder| builder.max_in_flight(8).max_queued(400)).await;
    serving.chat(json!({})).await;
    let one = async |number: usize| {
        let body = super::chat_body(json!({
            "stream": number.is_multiple_of(2), "model": "tpo-d1-n2",
            "messages": [{"role": "user", "content": format!("Why does wood {number} float?")}],
        }));
        let begun = serving.begin(&super::post("/v1/chat/completions"), &body.to_string()).await;
        if number.is_multiple_of(7) {
            tokio::time::sleep(Duration::from_millis(number as u64 % 20)).await;
            return None;
        }
        Some(super::end(begun).await)
    };
    let replies = join_all((0..300).map(one)).await;
    let answered: Vec<_> = replies.into_iter().flatten().collect();
    for reply in &answered {
        let is_known = [200, 400, 502, 503, 504].contains(&reply.status);
        assert!(is_known && !reply.body.is_empty(), "{reply:?}");
    }
    let failed = answered.iter().filter(|reply| reply.status != 200).count();
    assert!(failed > 0 && failed < answered.len() / 2, "{failed} of {}", answered.len());
    super::until("requests and connections end", async || {
        let [flight, queued, open] =
            ["tpo_in_flight", "tpo_queued", "tpo_connections"].map(|name| serving.metric(name));
        (flight.await, queued.await, open.await) == (0.0, 0.0, 1.0)
    })
    .await;
    assert!(serving.stop().await);
    drop(server);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    super::until("no task is left", async || tasks() == 0).await;
}
