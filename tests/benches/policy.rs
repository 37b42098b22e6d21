//! Speed of a policy in the process: several answers to one prompt.
//!
//! `cargo bench -p textgrad-tests --features local --bench policy -- model.gguf,threads=1 ANSWERS TOKENS PROMPT_FILE`
//!
//! It prints one line of JSON for each of two calls, the second of which has another prompt of the same length: seconds
//! and seconds of the processor, tokens, and the peak of the memory. `textgrad-ops/tests/gguf/speed.py` compares with
//! llama-server. Without arguments, a tiny model shows that it works.

#[path = "common/peak.rs"]
mod peak;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cpu_time::ProcessTime;
use textgrad_core::{Engine, Message, Purpose, Request, Sampling};
use textgrad_ops::local::LocalEngineBuilder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../textgrad-ops/tests/gguf/tiny.gguf");
    let (line, answers, tokens, prompt) = match arguments.as_slice() {
        [line, answers, tokens, file] => {
            (line.clone(), answers.parse()?, tokens.parse()?, std::fs::read_to_string(file)?)
        }
        _ => (tiny.display().to_string(), 3, 8, "How do I take care of a wooden table?".to_owned()),
    };
    let began = Instant::now();
    let engine = LocalEngineBuilder::from_line(&line)?.build()?;
    let load = began.elapsed().as_secs_f64();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for (round, beginning) in (0..).zip(["First", "Second"]) {
        let sampling = Sampling::default().with_temperature(0.7).with_seed(round);
        let sampling = Sampling { top_p: Some(0.95), ..sampling };
        let sampling = sampling.with_n(answers).with_max_tokens(tokens);
        let message = Message::user(format!("{beginning}: {prompt}"));
        let request = Request::new(Purpose::Sample, [message]).with_sampling(sampling);
        let (began, processor) = (Instant::now(), ProcessTime::now());
        let response = runtime.block_on(engine.complete(&request))?;
        let (wall, used) = (began.elapsed().as_secs_f64(), processor.elapsed().as_secs_f64());
        let facts = runtime.block_on(engine.status()).facts;
        let speed = facts.iter().find(|(fact, _)| *fact == "speed").map(|(_, speed)| speed);
        let result = serde_json::json!({
            "seconds": wall,
            "processor_seconds": used,
            "prompt_tokens": response.usage.prompt_tokens,
            "completion_tokens": response.usage.completion_tokens,
            "load_seconds": load,
            "rates": speed,
            "peak_bytes": peak::peak_memory(),
        });
        println!("{result}");
    }
    Ok(())
}
