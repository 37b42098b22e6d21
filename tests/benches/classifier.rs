//! Tokens per second of a reward model in the process.
//!
//! `cargo bench -p textgrad-tests --features local-reward --bench classifier -- FOLDER LENGTH...`
//!
//! It prints one line of JSON: seconds of the fastest and of the median pass over texts of these lengths, and the peak
//! of the memory. `textgrad-ops/tests/classifiers/speed.py` makes a model and compares with transformers. Without
//! arguments, a tiny model shows that it works.

#[path = "common/peak.rs"]
mod peak;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use textgrad_ops::local::SequenceClassifier;

/// Passes that are timed, after one that is not.
const PASSES: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let tiny =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../textgrad-ops/tests/classifiers/llama");
    let (folder, lengths) = match arguments.split_first() {
        Some((folder, lengths)) => {
            let lengths = lengths.iter().map(|length| length.parse()).collect::<Result<_, _>>()?;
            (Path::new(folder).to_owned(), lengths)
        }
        None => (tiny, vec![64, 32]),
    };
    let began = Instant::now();
    let model = SequenceClassifier::load(folder)?;
    let load = began.elapsed().as_secs_f64();
    let texts = |lengths: &[usize]| lengths.iter().map(|length| "?".repeat(*length)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut seconds = Vec::new();
    let mut scored = Vec::new();
    for _ in 0..=PASSES {
        let texts = texts(&lengths);
        let began = Instant::now();
        scored = runtime.block_on(model.score(texts))?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    let tokens: usize = scored.iter().map(|scored| scored.tokens).sum();
    let result = serde_json::json!({
        "tokens": tokens,
        "fastest_seconds": seconds.first(),
        "median_seconds": seconds.get(PASSES / 2),
        "load_seconds": load,
        "weight_bytes": model.info().bytes,
        "peak_bytes": peak::peak_memory(),
    });
    println!("{result}");
    Ok(())
}
