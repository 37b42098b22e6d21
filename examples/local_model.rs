//! A model on this machine, over HTTP: whatever speaks OpenAI's chat completions, such as Ollama, llama.cpp,
//! vLLM, SGLang or LM Studio.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin local_model
//! ```
//! Offline it starts a server of its own on the loopback interface, which answers from the simulation, and
//! talks to that: the whole path over HTTP runs. With a model of yours:
//! ```sh
//! ollama serve &
//! ollama pull llama3.2
//! cargo run -p textgrad-examples --bin local_model -- --engine ollama/llama3.2
//! cargo run -p textgrad-examples --bin local_model -- --engine http://localhost:8000/v1#my-model
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use clap::Parser;
use serde_json::{Value, json};
use textgrad_core::{
    Backward, Engine, Message, Parameter, Purpose, Request, Sampling, Seed, Variable, section,
};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::engine::engine;
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::{DefaultStack, Meter, MeterSnapshot, RetryPolicy};
use textgrad_ops::sim::Sim;
use textgrad_ops::{LlmCall, TextLoss, TextualGradientDescent};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const QUERY: &str = "How do I boil an egg?";

/// A server that stands in for a model. It stops when it is dropped.
struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new()
            .route("/v1/chat/completions", post(complete))
            .with_state(Arc::new(Sim::default()));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                eprintln!("the server stopped: {error}");
            }
        });
        Ok(Self { address, task })
    }

    /// What to say after `--engine`.
    fn line(&self) -> String {
        format!("http://{}/v1#sim", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `POST /v1/chat/completions`, as far as this example asks for it.
async fn complete(
    State(sim): State<Arc<Sim>>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let wrong = |what: &str| (StatusCode::BAD_REQUEST, what.to_owned());
    let messages =
        body.get("messages").and_then(Value::as_array).ok_or_else(|| wrong("messages"))?;
    let mut turns = Vec::new();
    for message in messages {
        let part = |name| message.get(name).and_then(Value::as_str).ok_or_else(|| wrong(name));
        let text = part("content")?;
        turns.push(match part("role")? {
            "system" => Message::system(text),
            "assistant" => Message::assistant(text),
            _ => Message::user(text),
        });
    }
    let number = |name| body.get(name).and_then(Value::as_u64);
    let n = number("n").and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    let sampling = Sampling::default().with_n(n).with_seed(number("seed").unwrap_or(0));
    let request = Request::new(Purpose::Forward, turns).with_sampling(sampling);
    let response = sim
        .complete(&request)
        .await
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let choices: Vec<Value> = (0..)
        .zip(&response.choices)
        .map(|(index, choice): (usize, _)| {
            let message = json!({ "role": "assistant", "content": choice.text });
            json!({ "index": index, "message": message, "finish_reason": "stop" })
        })
        .collect();
    let usage = json!({
        "prompt_tokens": response.usage.prompt_tokens,
        "completion_tokens": response.usage.completion_tokens,
    });
    Ok(Json(json!({ "model": response.model, "choices": choices, "usage": usage })))
}

/// The first answers, the new one, and what it took.
struct Run {
    answers: Vec<String>,
    new: String,
    took: MeterSnapshot,
}

async fn improve(line: &str, seed: Seed) -> Result<Run, Failure> {
    let meter = Meter::default();
    // A local server is reached without a proxy. While it loads its model it may refuse or be slow: so two
    // attempts more, and ten minutes for each.
    let engine: Arc<dyn Engine> = engine(line)?
        .http(textgrad_ops::engine::HttpOptions::default().no_proxy())
        .build()?
        .metered(&meter)
        .default_stack(
            DefaultStack::default()
                .timeout(Duration::from_secs(600))
                .retry(RetryPolicy::default().max_retries(2)),
        );
    announce(&*engine);
    let question = Variable::constant(QUERY, "query of a user");
    // Several answers of one request; a server that gives one at a time is asked for the others.
    let llm = LlmCall::builder(Arc::clone(&engine)).sampling(Sampling::default().with_n(3)).build();
    let answers = llm.ask(&question).seed(seed.child("answer", 0)).all().await?;
    let first = answers.first().ok_or_else(|| Failure::new("the server gave no answer"))?;

    let answer = Parameter::new(first.value().describe(), "answer to a query");
    let instruction =
        format!("What does the answer to the query lack?\n\n{}", section("QUERY", QUERY));
    let loss = TextLoss::new(Arc::clone(&engine), instruction).seed(seed.child("loss", 0));
    let evaluation = loss.evaluate(&answer.variable()).await?;
    let gradients = Backward::new(&evaluation).seed(seed.child("backward", 0)).run().await?;
    let optimizer = TextualGradientDescent::builder(engine).seed(seed).build();
    optimizer.step([&answer], &gradients).await?;
    Ok(Run {
        answers: answers.iter().map(|answer| answer.value().describe()).collect(),
        new: answer.text().to_string(),
        took: meter.snapshot(),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let (line, _server) = match &options.engine {
        Some(line) => (line.clone(), None),
        None => {
            let server = Server::start().await?;
            println!(
                "SIMULATION: a server of this example's listens at {}, and answers",
                server.address
            );
            println!("from the embedded `sim`. For a model of yours: --engine ollama/llama3.2");
            (server.line(), Some(server))
        }
    };
    println!("--engine {line}");
    let run = improve(&line, options.seed()).await?;
    for (number, answer) in (1..).zip(&run.answers) {
        heading(&format!("answer {number} of {}", run.answers.len()));
        println!("{}", quote(answer));
    }
    heading("the first, after one step");
    println!("{}", quote(&run.new));
    let usage = run.took.usage;
    println!(
        "\n{} requests over HTTP, {} tokens in, {} out",
        run.took.requests, usage.prompt_tokens, usage.completion_tokens
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_path_over_http_gives_what_the_simulation_says() {
        let server = Server::start().await.unwrap();
        let run = improve(&server.line(), Seed::new(Options::SEED)).await.unwrap();
        assert_eq!(run.answers.len(), 3);
        assert!(run.new.len() > run.answers[0].len());
        assert_eq!(run.took.requests, 4, "answers, loss, gradient, update");
        assert!(run.took.usage.completion_tokens > 0);
    }
}
