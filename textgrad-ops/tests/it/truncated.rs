//! Truncated replies that are used as they are.

use std::sync::Arc;

use textgrad_core::{Parameter, backward};
use textgrad_ops::engine::OpenAi;
use textgrad_ops::sim::Sim;
use textgrad_ops::{LlmCall, TextLoss};
use textgrad_tests::fake_server::{FakeServer, FaultRule};
use textgrad_tests::log::Log;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The warnings of this thread, as long as the guard lives.
fn warnings() -> (Log, DefaultGuard) {
    let log = Log::default();
    let (written, level) = (log.clone(), tracing_subscriber::filter::LevelFilter::WARN);
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
    (log, subscriber.with_writer(move || written.clone()).finish().set_default())
}

/// Kind: Empty, truncated, refused | a truncated loss or feedback | used as it is; warned of once per engine and
/// purpose
#[tokio::test]
async fn a_truncated_loss_or_feedback_is_warned_of_once() {
    let server = FakeServer::builder().engine(Sim::default());
    let server = server.fault("length@always".parse::<FaultRule>().unwrap()).start().await.unwrap();
    let client = OpenAi::builder(server.url(), "sim").build().unwrap();
    let (log, guard) = warnings();
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

#[cfg(feature = "local")]
#[tokio::test]
async fn a_model_in_the_process_warns_of_it_too() {
    use textgrad_core::{Engine, Message, Purpose, Request, Sampling};

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gguf/tiny.gguf");
    let engine = textgrad_ops::local::LocalEngine::builder(file).threads(1).build().unwrap();
    let (log, guard) = warnings();
    for purpose in [Purpose::Loss, Purpose::Sample, Purpose::Loss] {
        let sampling = Sampling::default().with_max_tokens(3).with_seed(1);
        let request = Request::new(purpose, [Message::user("Why?")]).with_sampling(sampling);
        engine.complete(&request).await.unwrap();
    }
    drop(guard);
    let text = log.text();
    assert_eq!((text.matches("purpose=loss").count(), text.lines().count()), (1, 1), "{text}");
}
