//! An engine of one's own, with layers around it.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin custom_engine
//! ```

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use textgrad_core::{
    Choice, Engine, EngineError, EngineInfo, ErrorKind, FinishReason, Request, Response, Variable,
};
use textgrad_ops::LlmCall;
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::{Meter, RetryPolicy};
use textgrad_ops::store::Cache;

/// Answers with the number of words that it was sent; fails every other time, as servers do.
#[derive(Debug, Default)]
struct Counter {
    calls: AtomicU32,
}

#[async_trait]
impl Engine for Counter {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("counter");
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Err(EngineError::new(ErrorKind::Server, "the counter is tired; try again"));
        }
        let words: usize =
            request.messages.iter().map(|m| m.text().split_whitespace().count()).sum();
        Ok(Response::new(vec![Choice::new(words.to_string(), FinishReason::Stop)]))
    }
}

/// Asks the same twice; returns the answer and how many requests reached the engine.
async fn ask_twice() -> Result<(String, u64), Box<dyn Error>> {
    let meter = Meter::default();
    let engine =
        Counter::default().metered(&meter).retry(RetryPolicy::default()).cached(Cache::default());
    let llm = LlmCall::builder(std::sync::Arc::new(engine)).build();
    let question = Variable::constant("how many words are these", "question");
    let first = llm.ask(&question).one().await?;
    let second = llm.ask(&question).one().await?;
    assert_eq!(first.text(), second.text());
    Ok((first.value().describe(), meter.snapshot().requests))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    textgrad_examples::flags([], &[])?;
    let (answer, requests) = ask_twice().await?;
    println!(
        "{answer} words; asked twice, {requests} requests: one failed, one was answered, and the"
    );
    println!("second question was answered by the cache");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test(start_paused = true)]
    async fn a_failure_is_retried_and_a_repetition_is_cached() {
        let (answer, requests) = super::ask_twice().await.unwrap();
        assert_eq!((answer.as_str(), requests), ("5", 2));
    }
}
