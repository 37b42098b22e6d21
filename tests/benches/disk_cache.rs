//! Lookups and inserts of the cache on disk, beside the cache in memory.
//!
//! `cargo bench -p textgrad-tests --bench disk_cache`

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/words.rs"]
mod words;

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;
use textgrad_core::{
    Choice, Engine, FinishReason, Message, Purpose, Request, Response, Sampling, engine_fn,
};
use textgrad_ops::layer::EngineExt;
use textgrad_ops::store::{Cache, SqliteCache, SqliteConfig};

const CALLS: usize = 4_000;
const ROUNDS: usize = 5;
/// Of the question and of the answer.
const WORDS: usize = 300;

/// An engine that answers at once, with a text that was made before.
fn instant() -> impl Engine + 'static {
    let answer: Arc<str> = words::words(WORDS, 0).into();
    engine_fn("instant", move |_| {
        let text = answer.to_string();
        async move { Ok(Response::new(vec![Choice::new(text, FinishReason::Stop)])) }
    })
}

/// Different requests, made before they are asked.
fn requests() -> Vec<Request> {
    let question = words::words(WORDS, 1);
    let request = |seed: usize| {
        Request::new(Purpose::Sample, [Message::user(&*question)])
            .with_sampling(Sampling::default().with_seed(seed as u64))
    };
    (0..CALLS).map(request).collect()
}

/// Calls a second.
async fn rate(
    engine: &Arc<dyn Engine>,
    requests: &[Request],
    at_once: usize,
) -> Result<f64, Box<dyn Error>> {
    let begun = Instant::now();
    let mut answers =
        stream::iter(requests).map(|ask| engine.complete(ask)).buffer_unordered(at_once);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(requests.len() as f64 / begun.elapsed().as_secs_f64())
}

/// Inserts and lookups a second of each, in rounds by turns.
async fn compare(at_once: usize) -> Result<(), Box<dyn Error>> {
    let requests = requests();
    let mut rates = <[Vec<f64>; 4]>::default();
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("answers");
        let disk = SqliteCache::open(&path, SqliteConfig::default()).await?;
        let memory: Arc<dyn Engine> = Arc::new(instant().cached(Cache::new(CALLS)));
        let on_disk: Arc<dyn Engine> = Arc::new(instant().disk_cached(&disk));
        let [memory_in, memory_out, disk_in, disk_out] = &mut rates;
        memory_in.push(rate(&memory, &requests, at_once).await?);
        disk_in.push(rate(&on_disk, &requests, at_once).await?);
        memory_out.push(rate(&memory, &requests, at_once).await?);
        disk_out.push(rate(&on_disk, &requests, at_once).await?);
        let stats = disk.stats();
        if (stats.misses, stats.hits, stats.failures) != (CALLS as u64, CALLS as u64, 0) {
            return Err(format!("expected each request to miss, then to hit, got {stats:?}").into());
        }
    }
    let [memory_in, memory_out, disk_in, disk_out] = rates.map(figures::median);
    println!("  {at_once:>4} at once   inserts {disk_in:>9.0} /s   (memory {memory_in:>9.0} /s)");
    println!("                 hits    {disk_out:>9.0} /s   (memory {memory_out:>9.0} /s)");
    Ok(())
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("answers kept on disk and found again, median of 5 rounds of 4,000 calls");
    println!("  an insert is a lookup, an instant call and the insert; {WORDS} words each way");
    for at_once in [1, 16, 256] {
        compare(at_once).await?;
    }
    Ok(())
}
