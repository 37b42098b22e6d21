//! A fake OpenAI-compatible server on loopback, to try clients on by hand: a simulation answers and scores.
//!
//! Run with `cargo run -p textgrad-tests --bin fake-server -- --port 8000 --latency-ms 50 --fault 500@first:2`.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use clap::Parser;
use textgrad_ops::sim::{Sim, reward};
use textgrad_tests::fake_server::{ErrorShape, FakeServer, FakeServerBuilder, FaultRule};

/// A fake OpenAI-compatible server that misbehaves on demand. It binds 127.0.0.1 only, and what it writes is
/// simulated.
#[derive(Debug, Parser)]
#[command(name = "fake-server", after_help = format!("A fault is written {}", FaultRule::syntax()))]
struct Args {
    /// Port to listen on; 0 for any free one.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Milliseconds that every request takes, however many answers it asks for.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=600_000))]
    latency_ms: u64,
    /// Answer with the request's own last message, which costs next to nothing, instead of a simulation.
    #[arg(long)]
    echo: bool,
    /// Something that goes wrong, such as `429-ms=20@first:2` or `nan-score@nth:3` (repeatable).
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<FaultRule>,
    /// The most choices of one answer, whatever a request asks for; 1 is like Ollama.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_choices: Option<u32>,
    /// A made-up key to ask for on the paths below /v1.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// The shape of errors: nested, flat, string, typed or text.
    #[arg(long, value_name = "SHAPE", default_value = "nested")]
    error_shape: ErrorShape,
    /// A model to serve (repeatable); without any, all names are served.
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Seconds after which to stop.
    #[arg(long, default_value_t = 3600)]
    max_seconds: u64,
    /// Requests to chat and classify after which to stop.
    #[arg(long, value_name = "N")]
    max_requests: Option<u64>,
}

impl Args {
    /// The engine and the reward that answer: unless echoes are wanted, a search against them does what one
    /// with the embedded simulation does.
    fn backend(&self) -> FakeServerBuilder {
        match self.echo {
            true => FakeServer::builder(),
            false => FakeServer::builder().engine(Sim::default()).reward(reward),
        }
    }

    fn builder(&self) -> FakeServerBuilder {
        let mut builder = self
            .backend()
            .port(self.port)
            .latency(Duration::from_millis(self.latency_ms))
            .error_shape(self.error_shape)
            .models(&self.models);
        for rule in &self.faults {
            builder = builder.fault(rule.clone());
        }
        if let Some(most) = self.max_choices {
            builder = builder.max_choices(most);
        }
        if let Some(key) = &self.api_key {
            builder = builder.api_key(key);
        }
        builder
    }
}

/// What a person at the terminal needs to know.
fn introduction(server: &FakeServer, args: &Args) -> String {
    let stats = server.stats();
    let mut text = String::new();
    let simulation = if stats.simulation { ", simulated" } else { "" };
    let (url, base_url) = (server.url(), server.base_url());
    let model = args.models.first().map_or("sim", String::as_str);
    let key = if args.api_key.is_some() { "OPENAI_API_KEY=<the key> " } else { "" };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "fake server on {url} (answers by {}{simulation})", stats.engine);
    let _ = writeln!(text, "  chat:   {base_url}/chat/completions");
    let _ = writeln!(text, "  reward: {url}/classify");
    let _ = writeln!(text, "  stats:  {url}/stats");
    let _ = writeln!(text, "point tpo at it:");
    let _ = writeln!(
        text,
        "  {key}tpo run --engine openai --base-url {base_url} --model {model} \
         --reward vllm --reward-url {url} --reward-model {model}"
    );
    text
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let args = Args::parse();
    let server = args.builder().start().await?;
    print!("{}", introduction(&server, &args));
    let enough = async {
        match args.max_requests {
            Some(count) => server.ended(count).await,
            None => std::future::pending().await,
        }
    };
    let why = tokio::select! {
        () = enough => "all requests answered",
        () = tokio::time::sleep(Duration::from_secs(args.max_seconds)) => "time is over",
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            "interrupted"
        }
    };
    let stats = serde_json::to_string_pretty(&server.stats())?;
    server.stop().await;
    println!("{why}\n{stats}");
    Ok(())
}
