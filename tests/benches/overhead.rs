//! CPU time of the library's own per LLM call.
//!
//! `cargo bench -p textgrad-tests --bench overhead`

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/server.rs"]
mod server;
#[path = "common/words.rs"]
mod words;

use std::error::Error;
use std::sync::Arc;

use cpu_time::ProcessTime;
use futures_util::StreamExt;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use textgrad_core::{
    Choice, Engine, FinishReason, Message, Parameter, Purpose, Request, Response, Variable,
    backward, engine_fn,
};
use textgrad_ops::LlmCall;
use textgrad_ops::engine::HttpOptions;
use textgrad_ops::engine::OpenAi;
use textgrad_ops::layer::DefaultStack;
use textgrad_ops::layer::EngineExt;

use self::server::ServerProcess;

/// Calls at the same time over HTTP.
const AT_ONCE: usize = 16;
/// Each contender has its turn in each round.
const ROUNDS: usize = 12;
const CALLS_PER_ROUND: usize = 500;

/// CPU time of the process per call, in microseconds.
fn per_call(since: ProcessTime, calls: usize) -> f64 {
    since.elapsed().as_secs_f64() * 1e6 / calls as f64
}

/// An engine that answers at once, with a text that was made before.
fn instant(answer: &str) -> Arc<dyn Engine> {
    let answer: Arc<str> = answer.into();
    Arc::new(engine_fn("instant", move |_| {
        let text = answer.to_string();
        async move { Ok(Response::new(vec![Choice::new(text, FinishReason::Stop)])) }
    }))
}

async fn in_process(name: &str, length: usize, rounds: usize) -> Result<(), Box<dyn Error>> {
    let llm = LlmCall::builder(instant(&words::words(length, 0))).build();
    let system = Parameter::new("Answer the question in one sentence.", "system prompt");
    let question = Variable::constant(words::words(length, 1), "question");
    let (mut forward, mut back) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = ProcessTime::now();
        let mut answers = Vec::new();
        for _ in 0..rounds {
            answers.push(llm.ask(&question).system(&system).one().await?);
        }
        forward.push(per_call(begun, rounds));

        let begun = ProcessTime::now();
        for answer in &answers {
            backward(answer).await?;
        }
        back.push(per_call(begun, rounds));
    }
    let (forward, back) = (figures::median(forward), figures::median(back));
    println!(
        "  {name:<26} forward {forward:>6.2}  backward {back:>6.2}  mean of both {:>6.2}",
        (forward + back) / 2.0
    );
    Ok(())
}

/// What a client without a framework reads of a reply.
#[derive(Deserialize)]
struct Reply {
    choices: Vec<ReplyChoice>,
}

#[derive(Deserialize)]
struct ReplyChoice {
    message: ReplyMessage,
}

#[derive(Deserialize)]
struct ReplyMessage {
    content: String,
}

/// A client without a framework: one POST, one reply.
#[derive(Clone)]
struct Raw {
    client: reqwest::Client,
    url: String,
    body: Json,
}

impl Raw {
    async fn ask(&self) -> Result<usize, Box<dyn Error>> {
        let sent = self.client.post(&self.url).json(&self.body).send().await?;
        let reply: Reply = sent.error_for_status()?.json().await?;
        let first = reply.choices.into_iter().next().ok_or("a reply without choices")?;
        Ok(first.message.content.len())
    }
}

/// The contenders over HTTP: all ask the same.
struct Contenders {
    raw: Raw,
    openai: OpenAi,
    standard: Arc<dyn Engine>,
    llm: LlmCall,
    request: Request,
    question: Variable,
}

impl Contenders {
    const NAMES: [&str; 4] =
        ["raw reqwest and serde", "OpenAi", "OpenAi, standard layers", "LlmCall over these"];

    fn new(url: &str, length: usize) -> Result<Self, Box<dyn Error>> {
        let question = words::words(length, 2);
        let openai = OpenAi::builder(format!("{url}/v1"), "fake")
            .http(HttpOptions::default().no_proxy())
            .build()?;
        let standard = openai.clone().default_stack(DefaultStack::default());
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            raw: Raw {
                client: reqwest::Client::builder().no_proxy().build()?,
                url: format!("{url}/v1/chat/completions"),
                body: json!({
                    "model": "fake",
                    "n": 1,
                    "messages": [{ "role": "user", "content": question }],
                }),
            },
            openai,
            llm: LlmCall::builder(Arc::clone(&standard)).build(),
            standard,
            request: Request::new(Purpose::Forward, [Message::user(&*question)]),
            question: Variable::constant(question, "question"),
        })
    }

    /// One call; the length of the answer.
    async fn ask(&self, contender: usize) -> Result<usize, Box<dyn Error>> {
        let of = |response: Response| response.choices.first().map_or(0, |first| first.text.len());
        Ok(match contender {
            0 => self.raw.ask().await?,
            1 => of(self.openai.complete(&self.request).await?),
            2 => of(self.standard.complete(&self.request).await?),
            _ => self.llm.ask(&self.question).one().await?.text().unwrap_or_default().len(),
        })
    }

    async fn round(&self, contender: usize, calls: usize) -> Result<f64, Box<dyn Error>> {
        let expected = "0: ".len() + self.question.text().unwrap_or_default().len();
        let begun = ProcessTime::now();
        let mut answers =
            stream::iter(0..calls).map(|_| self.ask(contender)).buffer_unordered(AT_ONCE);
        while let Some(length) = answers.next().await {
            let length = length?;
            if length != expected {
                return Err(format!("expected {expected} bytes of answer, got {length}").into());
            }
        }
        Ok(per_call(begun, calls))
    }
}

async fn over_http(url: &str, length: usize) -> Result<(), Box<dyn Error>> {
    let contenders = Contenders::new(url, length)?;
    let mut costs = <[Vec<f64>; 4]>::default();
    for round in 0..=ROUNDS {
        for (contender, costs) in costs.iter_mut().enumerate() {
            let cost = contenders.round(contender, CALLS_PER_ROUND).await?;
            // The first round opens the connections.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let [raw, ..] = costs.clone();
    println!("  {length} words each way");
    for (name, costs) in Contenders::NAMES.iter().zip(costs) {
        let ratios = costs.iter().zip(&raw).map(|(cost, raw)| cost / raw).collect();
        let (cost, ratio) = (figures::median(costs), figures::median(ratios));
        println!("    {name:<26} {cost:>6.1} us  {ratio:>5.2} x raw");
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("CPU time of the client per LLM call, in microseconds, median of 12 rounds");
    println!("in process, with an engine that answers at once");
    in_process("10 words each way", 10, 1_000).await?;
    in_process("300 words each way", 300, 1_000).await?;
    println!("over HTTP, {AT_ONCE} calls at once, the server in a process of its own");
    let server = ServerProcess::start()?;
    over_http(server.url(), 10).await?;
    over_http(server.url(), 300).await
}
