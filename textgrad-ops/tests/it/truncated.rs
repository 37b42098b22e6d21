//! Truncated replies that are used as they are.

use std::sync::Arc;

use textgrad_core::{Parameter, backward};
use textgrad_ops::engine::OpenAi;
use textgrad_ops::sim::Sim;
use textgrad_ops::{LlmCall, TextLoss};
use textgrad_tests::fake_server::{FakeServer, FaultRule};
use textgrad_tests::log::Log;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Kind: Empty, truncated, refused | a truncated loss or feedback | used as it is; warned of once per engine and
/// purpose
#[tokio::test]
async fn a_truncated_loss_or_feedback_is_warned_of_once() {
    let server = FakeServer::builder().engine(Sim::default());
    let server = server.fault("length@always".parse::<FaultRule>().unwrap()).start().await.unwrap();
    let client = OpenAi::builder(server.url(), "sim").build().unwrap();
    let log = Log::default();
    let (written, level) = (log.clone(), tracing_subscriber::filter::LevelFilter::WARN);
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
    let guard = subscriber.with_writer(move || written.clone()).finish().set_default();
    let engine = Arc::new(client);
    let prompt = Parameter::new("Why is the sky blue? Give reasons.", "question");
    let call = LlmCall::builder(engine.clone()).build();
    for _ in 0..3 {
        let answer = call.ask(&prompt).one().await.unwrap();
        let loss = TextLoss::new(engine.clone(), "Judge it.").evaluate(&answer).await.unwrap();
        assert!(!backward(&loss).await.unwrap().text(&prompt).is_empty());
    }
    drop(guard);
    let text = log.text();
    let purposes =
        ["loss", "gradient"].map(|purpose| text.matches(&format!("purpose={purpose}")).count());
    assert_eq!((purposes, text.lines().count()), ([1, 1], 2), "{text}");
}
