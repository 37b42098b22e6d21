//! A client without any framework: a loop over `reqwest`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::try_join_all;
use serde_json::{Value as Json, json};

use super::words::words;

/// Words of a prompt and answers of a call: the means of a search of two iterations.
const WORDS: usize = 1000;
const ANSWERS: usize = 3;

/// Sends so many calls to an address, so many at a time: the arguments.
#[tokio::main]
pub(crate) async fn send() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, calls, concurrency] = args.as_slice() else {
        return Err("expected 3 arguments".into());
    };
    let (url, calls, concurrency) =
        (url.clone(), calls.parse::<usize>()?, concurrency.parse::<usize>()?);
    // Fails where it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let prompt: Arc<str> = words(WORDS, 2).into();
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..concurrency).map(|_| {
        let (client, url, next) =
            (client.clone(), format!("{url}/chat/completions"), Arc::clone(&next));
        let prompt = Arc::clone(&prompt);
        let work = async move {
            while next.fetch_add(1, Ordering::Relaxed) < calls {
                let body = json!({
                    "model": "fake", "n": ANSWERS,
                    "messages": [{"role": "user", "content": &*prompt}],
                });
                let reply = client.post(&url).json(&body).send().await?.error_for_status()?;
                let reply: Json = reply.json().await?;
                let answers = reply.get("choices").and_then(Json::as_array).map_or(0, Vec::len);
                assert_eq!(answers, ANSWERS, "{reply}");
            }
            Ok::<(), reqwest::Error>(())
        };
        tokio::spawn(work)
    });
    for worker in try_join_all(workers).await? {
        worker?;
    }
    Ok(())
}
