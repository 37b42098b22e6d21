//! `textgrad cache`.

use std::path::Path;

use serde_json::Value;
use textgrad_core::{
    Choice, Engine, FinishReason, Message, Purpose, Request, Response, Usage, engine_fn,
};
use textgrad_ops::layer::EngineExt;
use textgrad_ops::store::request_key;
use textgrad_ops::store::{SqliteCache, SqliteConfig};

use super::{folder, textgrad};

const ANSWERS: usize = 6;

fn request(purpose: Purpose, text: &str) -> Request {
    Request::new(purpose, [Message::system("Be brief."), Message::user(text)])
}

fn question(index: usize) -> String {
    format!("question {index} \u{1b}[31m {}", "x".repeat(2000))
}

/// Four samples of one engine, two losses of another, in a file `answers`.
async fn fill(folder: &Path) {
    let path = folder.join("answers");
    let cache = SqliteCache::open(path, SqliteConfig::default()).await.unwrap();
    for index in 0..ANSWERS {
        let (engine, model, purpose) = match index {
            0..4 => ("openai:small", "small-1", Purpose::Sample),
            _ => ("openai:large", "large\u{1b}[2J", Purpose::Loss),
        };
        let usage = Usage {
            prompt_tokens: 100,
            completion_tokens: 10,
            cached_tokens: 0,
            ..Usage::default()
        };
        let answer = Choice::new(format!("answer {index}\n\u{7}done"), FinishReason::Stop);
        let response = Response::new(vec![answer]).with_usage(usage).with_model(model);
        let engine = engine_fn(engine, move |_| std::future::ready(Ok(response.clone())));
        let engine = engine.disk_cached(&cache);
        engine.complete(&request(purpose, &question(index))).await.unwrap();
    }
    cache.flush().await.unwrap();
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let ended = textgrad(folder, &[&["cache"], arguments, &["--json"]].concat()).with_code(0);
    assert_eq!(ended.err, "");
    serde_json::from_str(&ended.out).unwrap()
}

fn listed(folder: &Path, filters: &[&str]) -> usize {
    json(folder, &[&["list", "answers"], filters].concat()).as_array().unwrap().len()
}

#[tokio::test]
async fn what_a_file_holds_is_reported() {
    let folder = folder();
    fill(folder.path()).await;
    let info = json(folder.path(), &["info", "answers", "--check"]);
    assert_eq!((&info["entries"], &info["schema"]), (&6.into(), &2.into()));
    assert_eq!(info["usage"]["prompt_tokens"], 600);
    assert_eq!(info["damage"], serde_json::json!([]));
    let size = folder.path().join("answers").metadata().unwrap().len();
    assert_eq!(info["bytes"].as_u64().unwrap() + info["free_bytes"].as_u64().unwrap(), size);
    let told = textgrad(folder.path(), &["cache", "info", "answers"]).with_code(0);
    for words in [
        "answers                           6",
        "prompt tokens                   600",
        "newest answer",
    ] {
        assert!(told.out.contains(words), "{}", told.out);
    }
}

#[tokio::test]
async fn answers_are_listed_by_what_they_are() {
    let folder = folder();
    fill(folder.path()).await;
    for (filters, count) in [
        (&[][..], 6),
        (&["--engine", "openai:small"], 4),
        (&["--engine", "small"], 0),
        (&["--model", "small-1", "--purpose", "sample"], 4),
        (&["--purpose", "loss"], 2),
        (&["--purpose", "loss", "--engine", "openai:small"], 0),
        (&["--older-than", "0s"], 6),
        (&["--older-than", "1h"], 0),
        (&["--newer-than", "1h"], 6),
        (&["--limit", "3"], 3),
    ] {
        assert_eq!(listed(folder.path(), filters), count, "{filters:?}");
    }
    let first = &json(folder.path(), &["list", "answers"])[0];
    assert_eq!((&first["engine"], &first["purpose"]), (&"openai:large".into(), &"loss".into()));
    assert_eq!(first["usage"]["completion_tokens"], 10);
    let told = textgrad(folder.path(), &["cache", "list", "answers"]).with_code(0);
    assert_eq!(told.out.lines().count(), 1 + ANSWERS);
    assert!(told.out.starts_with("KEY") && !told.out.contains('\u{1b}'), "{}", told.out);
    assert!(told.out.contains(r"large\u{1b}[2J"), "{}", told.out);
}

#[tokio::test]
async fn an_answer_is_shown_with_what_was_asked() {
    let folder = folder();
    fill(folder.path()).await;
    let asked = request(Purpose::Sample, &question(2));
    let key = request_key("openai:small", &asked).to_string();
    let shown = json(folder.path(), &["show", &key, "answers"]);
    assert_eq!(serde_json::from_value::<Request>(shown["request"].clone()).unwrap(), asked);
    assert_eq!(shown["response"]["choices"][0]["text"], "answer 2\n\u{7}done");
    assert_eq!(shown["key"], key);

    let told =
        textgrad(folder.path(), &["cache", "show", key.get(..12).unwrap(), "answers"]).with_code(0);
    for words in [
        "model    small-1",
        "Be brief.",
        r"question 2 \u{1b}[31m",
        "answer 2\n\\u{7}done",
        "(stop)",
    ] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    assert!(!told.out.contains('\u{1b}'));
    let other = if key.starts_with('0') { "ffff" } else { "0000" };
    for (key, words) in [(other, "no entry has a key that begins with"), ("xyz", "expected a key")]
    {
        textgrad(folder.path(), &["cache", "show", key, "answers"]).refused(&[words]);
    }
}

#[tokio::test]
async fn answers_are_removed_as_told_and_no_others() {
    let folder = folder();
    fill(folder.path()).await;
    let size = || folder.path().join("answers").metadata().unwrap().len();
    let before = size();
    textgrad(folder.path(), &["cache", "prune", "answers"]).refused(&[
        "expected what to remove",
        "--max-bytes",
        "`clear` removes all",
    ]);
    assert_eq!(json(folder.path(), &["prune", "answers", "--older-than", "1h"])["entries"], 0);
    let big = json(folder.path(), &["prune", "answers", "--max-bytes", "1GB"]);
    assert_eq!((&big["entries"], &big["bytes"]), (&0.into(), &0.into()));
    let pruned =
        json(folder.path(), &["prune", "answers", "--purpose", "loss", "--older-than", "0s"]);
    assert_eq!(pruned["entries"], 2);
    assert_eq!(listed(folder.path(), &[]), 4);
    let bound = size() - 4096;
    let told = ["cache", "prune", "answers", "--max-bytes", &bound.to_string()];
    let told = textgrad(folder.path(), &told).with_code(0);
    assert!(told.out.starts_with("removed "), "{}", told.out);
    assert!(size() <= bound && (1..4).contains(&listed(folder.path(), &[])));
    let cleared = textgrad(folder.path(), &["cache", "clear", "answers"]).with_code(0);
    assert!(cleared.out.contains("the file is"), "{}", cleared.out);
    assert_eq!(listed(folder.path(), &[]), 0);
    assert!(size() < before);
}

#[tokio::test]
async fn mistakes_are_reported_and_nothing_is_made_or_removed() {
    let folder = folder();
    fill(folder.path()).await;
    std::fs::write(folder.path().join("notes"), "no cache at all, only notes ".repeat(40)).unwrap();
    for (arguments, words) in [
        (
            &["info", "none"][..],
            &["the cache none: expected a cache file, found no file of this name"][..],
        ),
        (&["clear", "none"], &["found no file of this name"]),
        (&["list", "."], &["found no file of this name"]),
        (&["info", "notes"], &["the cache notes: expected a cache file, got something else"]),
        (&["clear", "notes"], &["expected a cache file"]),
        (&["clear"], &["<FILE>"]),
        (&["prune", "--max-bytes", "0"], &["<FILE>"]),
        (&["prune", "answers", "--max-bytes", "lots"], &["--max-bytes", "such as 500MB", "lots"]),
        (&["prune", "answers", "--older-than", "7"], &["--older-than", "such as 7d"]),
        (&["list", "answers", "--limit", "all"], &["--limit"]),
    ] {
        textgrad(folder.path(), &[&["cache"], arguments].concat()).refused(words);
    }
    let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    // SQLite keeps files beside one that is open.
    let made = entries.filter(|name| !name.to_string_lossy().starts_with("answers-"));
    assert_eq!(made.count(), 2, "nothing was made");
    assert_eq!(listed(folder.path(), &[]), ANSWERS);
}

#[tokio::test]
async fn damage_is_found_when_it_is_looked_for() {
    let folder = folder();
    fill(folder.path()).await;
    let path = folder.path().join("answers");
    let mut bytes = std::fs::read(&path).unwrap();
    // Its last pages hold texts.
    let length = bytes.len();
    bytes[length - 9000..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    textgrad(folder.path(), &["cache", "info", "answers"]).with_code(0);
    let ended = textgrad(folder.path(), &["cache", "info", "answers", "--check"]).with_code(1);
    assert!(ended.out.contains("damage: "), "{ended:?}");
    assert!(ended.err.contains("the file is damaged"), "{}", ended.err);
}
