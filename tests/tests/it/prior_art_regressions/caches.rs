//! Caches: entries, their keys, and ways around them.

use std::path::Path;
use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Engine, Feedback, Sampling, Variable};
use textgrad_ops::TextualGradientDescent;
use textgrad_ops::layer::EngineExt;
use textgrad_ops::store::{Cache, SqliteCache, SqliteConfig};

use super::{chats, client, hello, server};

async fn open(folder: &Path) -> SqliteCache {
    SqliteCache::open(folder.join("answers"), SqliteConfig::default()).await.unwrap()
}

#[tokio::test]
async fn without_a_cache_nothing_is_kept() {
    let server = server(&[]).await;
    let engine = client(&server);
    for _ in 0..3 {
        engine.complete(&hello()).await.unwrap();
    }
    assert_eq!(chats(&server), 3);
}

#[tokio::test]
async fn another_sampling_is_another_question_and_a_seed_is_a_new_draw() {
    let server = server(&[]).await;
    let engine = client(&server).cached(Cache::default());
    let samplings = [
        Sampling::default(),
        Sampling::default().with_temperature(0.5),
        Sampling::default().with_max_tokens(50),
        Sampling::default().with_seed(1),
        Sampling::default().with_seed(2),
    ];
    for _ in 0..2 {
        for sampling in &samplings {
            engine.complete(&hello().with_sampling(sampling.clone())).await.unwrap();
        }
    }
    assert_eq!(chats(&server), samplings.len() as u64);
}

#[tokio::test]
async fn two_servers_of_one_model_do_not_share_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (server(&[]).await, server(&[]).await);
    for _ in 0..2 {
        // As if each time a new process had begun.
        let cache = open(folder.path()).await;
        for server in [&one, &two] {
            client(server).disk_cached(&cache).complete(&hello()).await.unwrap();
        }
    }
    assert_eq!((chats(&one), chats(&two)), (1, 1));
}

#[tokio::test]
async fn a_reply_that_was_cut_off_is_not_kept() {
    let server = server(&["length@nth:1"]).await;
    let engine = client(&server).cached(Cache::default());
    for _ in 0..3 {
        engine.complete(&hello()).await.unwrap();
    }
    assert_eq!(chats(&server), 2, "the first once more, and the second is kept");
}

/// With a cache, without seeds, and with a model that makes the same mistake again and again.
#[tokio::test]
async fn an_update_without_tags_is_asked_again_in_other_words_so_that_no_cache_answers() {
    let good = "<IMPROVED_VARIABLE>\nbetter\n</IMPROVED_VARIABLE>";
    let script = Arc::new(ScriptedEngine::new(["no tags", "no tags", "no tags", good]));
    let engine = Arc::new(Arc::clone(&script).cached(Cache::default()));
    let x = Variable::differentiable("x", "text");
    let feedback = [Feedback::new("better!")];
    let optimizer = TextualGradientDescent::builder(engine.clone()).parse_retries(3).build();
    for _ in 0..2 {
        // The second time all of it comes from the cache, to the same end.
        let rewrite = optimizer.rewrite(&x, &feedback, None).await.unwrap();
        assert_eq!(rewrite.candidates[0].text(), Some("better"));
        assert_eq!(rewrite.rejected.len(), 3);
    }
    let asked = script.requests();
    assert_eq!(asked.len(), 4);
    for (i, request) in asked.iter().enumerate() {
        assert!(request.sampling.seed.is_none());
        assert!(asked[..i].iter().all(|other| other != request), "request {i} is a new one");
    }
}
