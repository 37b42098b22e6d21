//! Searches over the real client stack, against servers on loopback that misbehave on demand.

mod echoed;
mod error_classes;
mod final_errors;
mod implicit;
mod passing_errors;
mod refusals;
mod reward_servers;
mod rewards;
mod sameness;
mod servers;
mod spoiled_answers;
mod streams;
mod warnings;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use textgrad_core::Engine;
use textgrad_ops::engine::HttpOptions;
use textgrad_ops::engine::openai::{OpenAi, OpenAiBuilder};
use textgrad_ops::layer::{EngineExt, RetryPolicy};
use textgrad_ops::sim::{self, Sim};
use textgrad_tests::fake_server::{FakeServer, FaultRule, Route};
use tokio::sync::OnceCell;
use tpo::{
    AlignError, Alignment, HttpReward, RewardApi, SimReward, Tpo, TpoBuilder, Trajectory, describe,
};

const QUERY: &str = "How do I take care of a wooden table?";
/// What no message may show.
const KEY: &str = "sk-secret-of-the-tests";
/// Long enough for every answer that comes at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a call is tried again.
const RETRIES: u32 = 2;

/// A server of the simulated model or reward model, with these faults.
async fn server(faults: &[&str]) -> FakeServer {
    let mut builder = FakeServer::builder().engine(Sim::default()).reward(sim::reward);
    for fault in faults {
        builder = builder.fault(fault.parse::<FaultRule>().unwrap());
    }
    builder.start().await.unwrap()
}

/// Retries that do not keep a test waiting.
fn quick() -> RetryPolicy {
    RetryPolicy::default()
        .max_retries(RETRIES)
        .initial_backoff(Duration::from_millis(1))
        .max_backoff(Duration::from_millis(2))
}

fn client(server: &FakeServer) -> OpenAiBuilder {
    let http = HttpOptions::default().no_proxy().request_timeout(PATIENCE);
    let client = OpenAi::builder(server.base_url(), "sim").http(http);
    client.key(SecretString::from(KEY))
}

/// The client with the layers that the program puts around it.
fn engine(client: OpenAiBuilder) -> Arc<dyn Engine> {
    Arc::new(client.build().unwrap().retry(quick()).complete_choices())
}

fn reward(server: &FakeServer) -> Arc<HttpReward> {
    let reward = HttpReward::builder(server.url(), "sim-reward", RewardApi::VllmClassify);
    let reward = reward.key(SecretString::from(KEY)).timeout(PATIENCE).retry(quick());
    // One at a time, so that faults meet the answers in their order.
    Arc::new(reward.concurrency(1).build().unwrap())
}

/// A search with D = 2 and N = 5 whose policy and reward model are behind these servers.
fn over(policy: &FakeServer, rewards: &FakeServer) -> TpoBuilder {
    Tpo::builder(engine(client(policy)), reward(rewards))
}

/// The same search with the simulation in place of the servers.
fn embedded() -> TpoBuilder {
    Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward))
}

/// What the search for [`QUERY`] comes to where nothing goes wrong.
async fn undisturbed() -> Trajectory {
    static FOUND: OnceCell<Trajectory> = OnceCell::const_new();
    let search = || async {
        let aligned = embedded().build().unwrap().align(QUERY).await.unwrap();
        aligned.trajectory().clone()
    };
    FOUND.get_or_init(search).await.clone()
}

/// A search for [`QUERY`] whose policy has these faults, and the policy.
async fn with_faults(faults: &[&str]) -> (Result<Alignment, AlignError>, FakeServer) {
    let (policy, rewards) = (server(faults).await, server(&[]).await);
    let outcome = over(&policy, &rewards).build().unwrap().align(QUERY).await;
    (outcome, policy)
}

fn chats(server: &FakeServer) -> u64 {
    server.stats().route(Route::Chat).requests
}

fn classified(server: &FakeServer) -> u64 {
    server.stats().route(Route::Classify).requests
}

/// The text of the last message of a recorded request.
fn last_message(body: &Value) -> String {
    let content = &body["messages"].as_array().unwrap().last().unwrap()["content"];
    match content {
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        text => text.as_str().unwrap().to_owned(),
    }
}

/// The message of a failure, which says all of `words` and never the key.
fn assert_says(failure: &AlignError, words: &[&str]) {
    let message = describe(&failure.error);
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
    for text in [&message, &format!("{failure:?}"), &describe(failure)] {
        assert!(!text.contains(KEY), "{text}");
    }
}
