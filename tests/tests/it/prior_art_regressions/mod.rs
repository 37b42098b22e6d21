//! One test per defect that clients, caches and engines of other frameworks were seen to have, over the wire, so that
//! ours never get it. Those of graphs, losses and optimizers are in the tests of `textgrad-ops`.

mod caches;
mod engines;
mod retries;

use std::sync::Arc;
use std::time::Duration;

use textgrad_core::{Engine, Message, Purpose, Request};
use textgrad_ops::engine::HttpOptions;
use textgrad_ops::engine::OpenAi;
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::RetryPolicy;
use textgrad_tests::fake_server::{FakeServer, FaultRule, Route};

async fn server(faults: &[&str]) -> FakeServer {
    let mut builder = FakeServer::builder();
    for fault in faults {
        builder = builder.fault(fault.parse::<FaultRule>().unwrap());
    }
    builder.start().await.unwrap()
}

fn client(server: &FakeServer) -> OpenAi {
    OpenAi::builder(server.base_url(), "m").http(HttpOptions::default().no_proxy()).build().unwrap()
}

/// The client with the layers that the programs put around it, which do not keep a test waiting.
fn patient(server: &FakeServer) -> Arc<dyn Engine> {
    let policy = RetryPolicy::default()
        .initial_backoff(Duration::from_millis(1))
        .max_backoff(Duration::from_millis(2));
    Arc::new(client(server).retry(policy).complete_choices())
}

fn hello() -> Request {
    Request::new(Purpose::Forward, [Message::user("hello")])
}

fn chats(server: &FakeServer) -> u64 {
    server.stats().route(Route::Chat).requests
}
