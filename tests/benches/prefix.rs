//! Share of a search's requests that a prefix cache knows already, in each layout.
//!
//! `cargo bench -p textgrad-tests --bench prefix`
//!
//! Counted, not timed: one query of 40 words, D2-N5, every reply of 300 words.

#[path = "common/machine.rs"]
mod machine;
#[path = "common/words.rs"]
mod words;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use textgrad_core::{
    Choice, EngineError, FinishReason, Layout, Purpose, Request, Response, engine_fn,
};
use textgrad_tests::fake_server::Prefixes;
use tpo::{Tpo, TpoConfig, reward_fn};

/// Words of each reply, critiques and instructions among them.
const REPLY_WORDS: usize = 300;
/// Parameters of the policy that the work is shown for.
const PARAMETERS: f64 = 70e9;
/// Characters of a token, about, in English.
const CHARACTERS_PER_TOKEN: f64 = 4.0;
/// The shares, in percent, that the layouts promise. They are counted, so they can be held to.
const PROMISED: [(Layout, f64); 3] =
    [(Layout::Quoted, 0.0), (Layout::Continued, 80.0), (Layout::Chained, 90.0)];

/// An answer that begins with its number.
fn numbered(number: usize) -> String {
    format!("{number} {}", words::words(REPLY_WORDS - 1, number))
}

/// What was sent for one purpose.
#[derive(Default, Clone, Copy)]
struct Sent {
    requests: u64,
    characters: u64,
    reused: u64,
    written: u64,
}

#[derive(Default)]
struct Server {
    prefixes: Prefixes,
    sent: BTreeMap<Purpose, Sent>,
    drawn: usize,
}

impl Server {
    fn answer(&mut self, request: &Request) -> Response {
        let reuse = self.prefixes.read(&request.messages);
        let n = request.sampling.n.max(1) as usize;
        let mut choices = Vec::new();
        for _ in 0..n {
            self.drawn += 1;
            let text = match request.purpose {
                Purpose::Sample => numbered(self.drawn),
                Purpose::Update => {
                    let text = numbered(self.drawn);
                    format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>")
                }
                _ => numbered(self.drawn),
            };
            self.prefixes.wrote(&request.messages, &text);
            choices.push(Choice::new(text, FinishReason::Stop));
        }
        let sent = self.sent.entry(request.purpose).or_default();
        sent.requests += 1;
        sent.characters += reuse.characters;
        sent.reused += reuse.reused;
        sent.written +=
            choices.iter().map(|choice| choice.text.chars().count() as u64).sum::<u64>();
        Response::new(choices)
    }
}

async fn search(layout: Layout) -> Result<BTreeMap<Purpose, Sent>, Box<dyn Error>> {
    let server: Arc<Mutex<Server>> = Arc::default();
    let behind = Arc::clone(&server);
    let engine = engine_fn("words", move |request: Request| {
        let response = behind.lock().unwrap_or_else(PoisonError::into_inner).answer(&request);
        async move { Ok::<_, EngineError>(response) }
    });
    // Later answers are better, so that each iteration rewrites a new one; the first stays the worst.
    let reward = reward_fn("place", |_, answer: &str| {
        answer.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    });
    let config = TpoConfig { layout, ..TpoConfig::default() };
    let tpo = Tpo::builder(Arc::new(engine), Arc::new(reward)).config(config).build()?;
    tpo.align(words::words(40, 0)).await?;
    let server = server.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(server.sent.clone())
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("characters sent for one query, D2-N5, replies of 300 words");
    for (layout, promised) in PROMISED {
        let sent = search(layout).await?;
        let mut total = Sent::default();
        println!("\n{layout:?}");
        println!("{:<10} {:>8} {:>12} {:>14}", "call", "requests", "characters", "known prefix");
        for (purpose, one) in &sent {
            total.requests += one.requests;
            total.characters += one.characters;
            total.reused += one.reused;
            total.written += one.written;
            println!(
                "{:<10} {:>8} {:>12} {:>13.1} %",
                purpose.as_str(),
                one.requests,
                one.characters,
                percent(one.reused, one.characters)
            );
        }
        println!(
            "{:<10} {:>8} {:>12} {:>13.1} %",
            "all",
            total.requests,
            total.characters,
            percent(total.reused, total.characters)
        );
        let petaflops =
            |characters: u64| 2.0 * PARAMETERS * characters as f64 / CHARACTERS_PER_TOKEN / 1e15;
        let read = total.characters - total.reused;
        println!(
            "a policy of 70e9 parameters: {:.2} PFLOPs without a prefix cache, {:.2} with one (2 x parameters x tokens, 4 characters a token; {:.2} of them for writing)",
            petaflops(total.characters + total.written),
            petaflops(read + total.written),
            petaflops(total.written)
        );
        let known = percent(total.reused, total.characters);
        if known < promised {
            return Err(format!("expected at least {promised} % known, got {known:.2} %: what is new in each request, the wording above all, has grown").into());
        }
    }
    Ok(())
}
