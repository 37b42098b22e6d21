//! Files that cannot be used.

use std::path::Path;
use std::time::Duration;

use textgrad_core::{Engine, ErrorKind};

use super::tests::{counting, open, place, request};
use super::{SqliteCache, SqliteConfig};
use crate::layer::EngineExt;

/// What is said of a file that is no cache.
async fn refused(path: &Path) -> String {
    let before = std::fs::read(path).ok();
    let error = SqliteCache::open(path, SqliteConfig::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert_eq!(std::fs::read(path).ok(), before, "the file is as it was");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    error.to_string()
}

#[tokio::test]
async fn files_that_are_no_caches_are_refused_and_left_alone() {
    let (folder, path) = place();
    std::fs::write(&path, "not a database at all, but long enough to look at ".repeat(40)).unwrap();
    assert!(
        refused(&path).await.contains("expected a cache file, got something else or a damaged one")
    );

    let foreign = folder.path().join("foreign");
    let db = rusqlite::Connection::open(&foreign).unwrap();
    db.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(db);
    assert!(refused(&foreign).await.contains("got a database of something else"));

    let newer = folder.path().join("newer");
    drop(open(&newer).await);
    // The threads of a cache end by themselves: until they have, the file may still be folded.
    let db = rusqlite::Connection::open(&newer).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let error = SqliteCache::open(&newer, SqliteConfig::default()).await.unwrap_err();
    assert!(
        error.to_string().contains("expected version 2 of its format, got version 99"),
        "{error}"
    );

    let nowhere = folder.path().join("none").join("answers");
    assert!(refused(&nowhere).await.contains("check that its folder exists and may be written to"));
    assert!(refused(folder.path().join("").as_path()).await.contains("cannot be opened"));

    let missing = folder.path().join("missing");
    let error = SqliteCache::open_existing(&missing, SqliteConfig::default()).await.unwrap_err();
    assert!(error.to_string().contains("found no file of this name"), "{error}");
    assert!(!missing.exists());
    std::fs::write(&missing, "").unwrap();
    let error = SqliteCache::open_existing(&missing, SqliteConfig::default()).await.unwrap_err();
    assert!(error.to_string().contains("got an empty one"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, _) = counting("e");
    let engine = engine.disk_cached(&cache);
    for question in 0..50 {
        engine.complete(&request(&format!("{question} {}", "x".repeat(3000)))).await.unwrap();
    }
    cache.flush().await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let copy = path.with_extension("copy");
    let mut damaged = whole.clone();
    // The first pages hold the schema and the tables' roots.
    damaged[100..20_000].fill(0x5a);
    std::fs::write(&copy, &damaged).unwrap();
    assert!(refused(&copy).await.contains("damaged"));
    // Damage in a text: found when it is looked for.
    let mut damaged = whole;
    let middle = damaged.len() - 60_000;
    damaged[middle..middle + 9000].fill(0x5a);
    std::fs::write(&copy, &damaged).unwrap();
    let cache = open(&copy).await;
    assert_ne!(cache.check().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_cache_that_is_closed_leaves_its_file_alone() {
    let (folder, path) = place();
    for _ in 0..50 {
        drop(open(&path).await);
        let begun = std::time::Instant::now();
        // Its threads end by themselves.
        while std::fs::read_dir(folder.path()).unwrap().count() > 1 {
            assert!(begun.elapsed() < Duration::from_secs(10), "SQLite's files stay beside it");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
