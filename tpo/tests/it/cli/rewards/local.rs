//! Reward models in the process.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{folder, json_lines, program, queries, read, run};

/// A tiny model with random weights.
fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../textgrad-ops/tests/classifiers").join(name)
}

fn check(folder: &Path, reward: &str) -> textgrad_tests::program::Ended {
    let mut command = program(folder);
    command.args(["check", "--engine", "sim", "--reward", reward]);
    textgrad_tests::program::Running::start(command).end()
}

#[test]
fn a_run_is_scored_in_the_process_and_the_same_at_any_concurrency() {
    let scores = |concurrency: &str, name: &str| {
        let folder = folder();
        queries(folder.path(), 4);
        let reward = format!("local:{}", model(name).display());
        let arguments = ["--data", "queries.json", "--out", "out", "--concurrency", concurrency];
        let ended = run(folder.path(), &[&arguments[..], &["--reward", &reward]].concat());
        ended.with_code(0);
        let config: Value =
            serde_json::from_str(&read(folder.path().join("out/config.json"))).unwrap();
        let lines = json_lines(&read(folder.path().join("out/results.jsonl")));
        let best = |line: &Value| line["best"]["score"].as_f64().unwrap().to_bits();
        let best: Vec<u64> = lines.iter().map(best).collect();
        (best, config["reward"].as_str().unwrap().to_owned())
    };
    let (first, identity) = scores("1", "llama");
    assert_eq!(first.len(), 4);
    assert!(identity.starts_with("local ") && identity.contains("with template"), "{identity}");
    assert_eq!(scores("8", "llama"), (first.clone(), identity.clone()));
    let (other, other_identity) = scores("1", "qwen3");
    assert_ne!((other, other_identity), (first, identity));
    // An encoder takes queries and answers as pairs.
    let (first, identity) = scores("1", "deberta");
    assert!(identity.ends_with(" with pairs"), "{identity}");
    assert_eq!(scores("8", "deberta"), (first, identity));
}

#[test]
fn check_shows_the_model_and_scores_a_pair() {
    let folder = folder();
    let ended = check(folder.path(), &format!("local:{}", model("gemma2").display()));
    for part in [
        "reward model local:gemma2        answers          ok",
        "architecture     Gemma2ForSequenceClassification",
        "parameters       0.03 million",
        "memory           0.000 GB of weights",
        "maximal length   512 tokens",
        " tokens/s, of ",
        "scores           ",
        "for \"No.\"",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    ended.with_code(0);
}

/// The pair that is scored is the first of those that transformers scored.
#[test]
fn check_scores_encoders_as_transformers_does() {
    let folder = folder();
    for (name, which, architecture) in [
        ("deberta", "pairs", "DebertaV2ForSequenceClassification"),
        ("modernbert", "pairs", "ModernBertForSequenceClassification"),
        ("modernbert_mean", "chats", "ModernBertForSequenceClassification"),
    ] {
        let expected: Value =
            serde_json::from_str(&read(model(name).join("expected.json"))).unwrap();
        let score = expected[which][0]["score"].as_f64().unwrap();
        let ended = check(folder.path(), &format!("local:{}", model(name).display()));
        assert!(ended.out.contains(architecture), "{}", ended.out);
        let shown = format!("{score:.4} for \"Wipe it with a dry cloth");
        assert!(ended.out.contains(&shown), "{name}, {shown}: {}", ended.out);
        ended.with_code(0);
    }
}

#[test]
fn a_folder_that_is_no_reward_model_ends_the_run_before_it_begins() {
    let folder = folder();
    queries(folder.path(), 1);
    let refused = |reward: &str| {
        let ended = run(folder.path(), &["--data", "queries.json", "--reward", reward]);
        assert_ne!(ended.code, Some(0), "{reward}");
        ended.err
    };
    let error = refused("local");
    assert!(error.contains("as in local:FOLDER"), "{error}");
    let error = refused("local:no-such-folder");
    assert!(error.contains("no-such-folder"), "{error}");
    fs::create_dir(folder.path().join("cut")).unwrap();
    for file in fs::read_dir(model("llama")).unwrap() {
        let file = file.unwrap();
        let bytes = fs::read(file.path()).unwrap();
        let whole = file.file_name() != "model.safetensors";
        let bytes = if whole { &bytes[..] } else { &bytes[..20_000] };
        fs::write(folder.path().join("cut").join(file.file_name()), bytes).unwrap();
    }
    let error = refused("local:cut");
    assert!(error.contains("not copied whole"), "{error}");
    assert!(!folder.path().join("out").exists());
}
