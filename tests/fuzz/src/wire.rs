//! Replies over HTTP: those of models, of reward models, and failures.

use std::cell::RefCell;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use textgrad_core::{Engine, EngineError, Message, Purpose, Request, Response, Sampling};
use textgrad_ops::engine::{Anthropic, Gemini, HttpOptions, OpenAi};
use textgrad_ops::layer::RetryPolicy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tpo::{
    ChatTemplate, HttpReward, Likelihood, LikelihoodApi, Query, RewardApi, RewardModel, describe,
};

use super::Mutator;

/// What no message may show. The mutations put it anywhere.
const KEY: &str = "sk-fuzz-key-0123456789abcdef";

/// The longest message of an error, in characters.
const MAX_MESSAGE: usize = 4_000;

const TEMPLATE: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}\
    {% if add_generation_prompt %}<|assistant|>{% endif %}";

/// A reply, in the pieces in which it is sent.
#[derive(Default, Clone)]
struct Reply {
    status: u16,
    kind: &'static str,
    pieces: Vec<Vec<u8>>,
}

/// A server that says what it is given, and the clients of it. Each thread has its own.
struct Wire {
    runtime: Runtime,
    reply: Arc<Mutex<Reply>>,
    /// Whole and streamed, of each provider.
    engines: [[Arc<dyn Engine>; 2]; 3],
    rewards: Vec<HttpReward>,
    likelihoods: Vec<Likelihood>,
}

thread_local! {
    static WIRE: RefCell<Option<Wire>> = const { RefCell::new(None) };
}

fn with_wire<T>(work: impl FnOnce(&Wire) -> T) -> T {
    WIRE.with_borrow_mut(|wire| work(wire.get_or_insert_with(Wire::new)))
}

impl Wire {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reply = Arc::new(Mutex::new(Reply::default()));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(serve(listener, Arc::clone(&reply)));

        let http = || HttpOptions::default().no_proxy().request_timeout(Duration::from_secs(5));
        let key = || SecretString::from(KEY);
        let engines = |stream| -> [Arc<dyn Engine>; 3] {
            let openai = OpenAi::builder(&url, "m").http(http()).key(key()).stream(stream);
            let anthropic = Anthropic::builder(&url, "m").http(http()).key(key()).stream(stream);
            let gemini = Gemini::builder(&url, "m").http(http()).key(key()).stream(stream);
            [
                Arc::new(openai.build().unwrap()),
                Arc::new(anthropic.build().unwrap()),
                Arc::new(gemini.build().unwrap()),
            ]
        };
        let ([a, b, c], [d, e, f]) = (engines(false), engines(true));
        let template = || ChatTemplate::from_source(TEMPLATE, None).unwrap();
        let once = RetryPolicy::default().max_retries(0);
        let apis = [
            RewardApi::VllmClassify,
            RewardApi::VllmPooling,
            RewardApi::Sglang(template()),
            RewardApi::Tei(None),
            RewardApi::OpenRlhf(template()),
            RewardApi::Nim { attribute: "reward".to_owned() },
        ];
        let rewards = apis.map(|api| {
            let reward = HttpReward::builder(&url, "rm", api).key(key()).retry(once.clone());
            reward.batch(3).build().unwrap()
        });
        let likelihoods = [LikelihoodApi::Echo, LikelihoodApi::PromptLogprobs].map(|api| {
            let likelihood = Likelihood::builder(&url, "m", template()).key(key()).api(api);
            likelihood.retry(once.clone()).build().unwrap()
        });
        let engines = [[a, d], [b, e], [c, f]];
        Self { runtime, reply, engines, rewards: rewards.into(), likelihoods: likelihoods.into() }
    }

    /// The result of work to which the server gives this reply.
    fn run<T>(&self, reply: Reply, work: impl Future<Output = T>) -> T {
        *self.reply.lock().unwrap() = reply;
        self.runtime.block_on(work)
    }

    fn complete(
        &self,
        provider: usize,
        stream: bool,
        reply: Reply,
    ) -> Result<Response, EngineError> {
        let message = Message::user("Why is the sky blue?");
        let sampling = Sampling::default().with_n(3).with_max_tokens(64);
        let request = Request::new(Purpose::Forward, [message]).with_sampling(sampling);
        let engine = &self.engines[provider][usize::from(stream)];
        let result = self.run(reply, engine.complete(&request));
        match &result {
            Ok(response) => assert!((1..=3).contains(&response.choices.len()), "{response:?}"),
            Err(error) => check(error),
        }
        result
    }
}

/// A message is bounded, and shows no key.
fn check(error: &EngineError) {
    let message = describe(error);
    assert!(!message.contains(KEY), "a message shows the key: {message}");
    let length = message.chars().count();
    assert!(length <= MAX_MESSAGE, "a message has {length} characters: {message:.200}");
}

async fn serve(listener: TcpListener, reply: Arc<Mutex<Reply>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&reply)));
    }
}

/// Answers each request of a connection; `None` at its end.
async fn connection(mut stream: TcpStream, reply: Arc<Mutex<Reply>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut read = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        };
        let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let end = head + length.and_then(|length| length.parse().ok()).unwrap_or(0);
        while read.len() < end {
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
        read.drain(..end);
        let Reply { status, kind, pieces } = reply.lock().unwrap().clone();
        let mut bytes = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()));
            bytes.extend(b"\r\n");
            stream.write_all(&bytes).await.ok()?;
            bytes.clear();
            tokio::task::yield_now().await;
        }
        bytes.extend(b"0\r\n\r\n");
        stream.write_all(&bytes).await.ok()?;
    }
}

fn whole(body: &[u8]) -> Reply {
    Reply { status: 200, kind: "application/json", pieces: vec![body.to_vec()] }
}

fn events(pieces: &[&[u8]]) -> Reply {
    let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
    Reply { status: 200, kind: "text/event-stream", pieces }
}

/// A whole reply in OpenAI's format.
pub(super) fn openai(body: &[u8]) {
    let _ = with_wire(|wire| wire.complete(0, false, whole(body)));
}

/// A whole reply in Anthropic's format.
pub(super) fn anthropic(body: &[u8]) {
    let _ = with_wire(|wire| wire.complete(1, false, whole(body)));
}

/// A whole reply in Gemini's format.
pub(super) fn gemini(body: &[u8]) {
    let _ = with_wire(|wire| wire.complete(2, false, whole(body)));
}

/// A stream in any format. However it is cut into packets, it is the same.
pub(super) fn stream(body: &[u8]) {
    let mut cuts =
        Mutator::new(body.iter().fold(7, |hash, byte| hash * 31 % 1_000_003 + u64::from(*byte)));
    with_wire(|wire| {
        for provider in 0..wire.engines.len() {
            let seen = |pieces: &[&[u8]]| shown(wire.complete(provider, true, events(pieces)));
            let one = seen(&[body]);
            let (head, tail) = body.split_at(cuts.below(body.len() + 1));
            let (middle, tail) = tail.split_at(cuts.below(tail.len() + 1));
            assert_eq!(
                seen(&[head, middle, tail]),
                one,
                "cut at {} and {}",
                head.len(),
                middle.len()
            );
        }
    });
}

fn shown<T: Debug>(result: Result<T, EngineError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => describe(&error),
    }
}

/// A failure: three digits of the status, a space, and the body.
pub(super) fn failure(input: &[u8]) {
    let status = input.get(..3).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    let (status, body) = match status {
        Some(status) if (200..600).contains(&status) && status != 204 && status != 304 => {
            (status, input.get(4..).unwrap_or_default())
        }
        _ => (500, input),
    };
    let kind = if body.starts_with(b"<") { "text/html" } else { "application/json" };
    let reply = Reply { status, kind, pieces: vec![body.to_vec()] };
    with_wire(|wire| {
        for provider in 0..wire.engines.len() {
            let result = wire.complete(provider, false, reply.clone());
            assert!(result.is_err() || status < 300, "{status} is no answer: {result:?}");
        }
    });
}

/// A reply of a reward model. A score is finite, and there is one for each answer.
pub(super) fn rewards(body: &[u8]) {
    let answers = ["Rayleigh scattering.", "Dust.", "Its reflection of the sea."];
    with_wire(|wire| {
        for reward in &wire.rewards {
            let query = Query::from("Why is the sky blue?");
            match wire.run(whole(body), reward.score(&query, &answers)) {
                Ok(scores) => {
                    assert_eq!(scores.len(), answers.len());
                    assert!(scores.iter().all(|score| score.is_finite()), "{scores:?}");
                }
                Err(error) => check(&error),
            }
        }
    });
}

/// Logprobs of the tokens of a prompt.
pub(super) fn likelihoods(body: &[u8]) {
    with_wire(|wire| {
        for likelihood in &wire.likelihoods {
            let query = Query::from("Why?");
            match wire.run(whole(body), likelihood.logprob(&query, "Because.")) {
                Ok(logprob) => assert!(logprob.is_finite(), "{logprob}"),
                Err(error) => check(&error),
            }
        }
    });
}
