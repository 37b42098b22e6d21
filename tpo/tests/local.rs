//! Policies in the process, run by the program. Needs the feature `local`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic fails the test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use textgrad_tests::program::{Ended, PATIENCE, Running};

/// A tiny model with random weights, whose tokens are bytes.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../textgrad-ops/tests/gguf/tiny.gguf")
}

fn engine(settings: &str) -> String {
    format!("local:{}{settings}", model().display())
}

/// The same model with one changed weight.
fn reference(folder: &Path) -> String {
    let mut bytes = std::fs::read(model()).unwrap();
    let last = bytes.len() - 7;
    bytes[last] ^= 0x55;
    std::fs::write(folder.join("reference.gguf"), bytes).unwrap();
    "local:reference.gguf".to_owned()
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpo"));
    command.env_clear().current_dir(folder).stdin(Stdio::null()).args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Ended {
    Running::start(program(folder, arguments)).end()
}

/// A search with three models in the process: policy, critic and reward model. Replies of random weights have no tags,
/// so a grammar writes them.
fn search(folder: &Path, out: &str, settings: &str, more: &[&str]) -> Command {
    std::fs::write(folder.join("queries.txt"), "Red?\nBlue?\nWhy?\nHow?\n").unwrap();
    let grammar =
        r#"{"grammar": "root ::= \"<IMPROVED_VARIABLE>\" [a-f ]{4,40} \"</IMPROVED_VARIABLE>\""}"#;
    let (engine, critic) = (engine(settings), format!("{},threads=1", reference(folder)));
    let reward = Path::new(env!("CARGO_MANIFEST_DIR")).join("../textgrad-ops/tests/classifiers");
    let reward = format!("local:{}", reward.join("llama").display());
    let fixed = ["run", "--data", "queries.txt", "--engine", &engine, "--out", out];
    let mut command = program(folder, &fixed);
    command.args([
        "--critic",
        &critic,
        "--reward",
        &reward,
        "--prompts",
        "compact",
        "--samples",
        "3",
    ]);
    command.args(["--iterations", "1", "--extra-body", grammar]).args(more);
    command
}

/// The results without the number of tokens that were cached, which depends on what was read before.
fn results(folder: &Path, out: &str) -> Vec<Value> {
    fn without_cached(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("cached_tokens");
                fields.values_mut().for_each(without_cached);
            }
            Value::Array(items) => items.iter_mut().for_each(without_cached),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(folder.join(out).join("results.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let mut line = serde_json::from_str(line).unwrap();
        without_cached(&mut line);
        line
    });
    lines.collect()
}

#[test]
fn a_run_is_the_same_at_any_concurrency_and_after_kills() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let whole = Running::start(search(folder, "one", ",threads=1", &["--concurrency", "1"])).end();
    whole.with_code(0);
    let expected = results(folder, "one");
    assert_eq!(expected.len(), 4);
    for line in &expected {
        assert!(line["best"]["score"].as_f64().unwrap() != 0.0, "{line}");
        assert_eq!(line["trajectory"]["iterations"][0]["updates"], 3, "{line}");
    }

    let eight = ["--concurrency", "8"];
    Running::start(search(folder, "eight", ",sequences=4", &eight)).end().with_code(0);
    assert_eq!(results(folder, "eight"), expected);

    let mut killed = search(folder, "killed", ",threads=1", &["--concurrency", "2"]);
    let mut child = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let journal = folder.join("killed/journal.jsonl");
    let began = std::time::Instant::now();
    let lines = || std::fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    while lines() < 4 {
        assert!(began.elapsed() < PATIENCE, "the run does not go on");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    Running::start(search(folder, "killed", "", &["--resume"])).end().with_code(0);
    assert_eq!(results(folder, "killed"), expected);
}

/// A run of two queries whose answers are scored by likelihoods, with its scores.
fn likelihoods(folder: &Path, out: &str, rewards: &[&str], more: &[&str]) -> Vec<f64> {
    std::fs::write(folder.join("queries.txt"), "Red?\nBlue?\n").unwrap();
    let engine = engine(",threads=1");
    let fixed = ["run", "--data", "queries.txt", "--engine", &engine, "--out", out];
    let mut command = program(folder, &fixed);
    command.args(["--samples", "3", "--iterations", "0", "--max-tokens", "12"]).args(more);
    command.args(rewards.iter().flat_map(|reward| ["--reward", reward]));
    Running::start(command).end().with_code(0);
    let candidates = |line: &Value| line["trajectory"]["candidates"].as_array().unwrap().clone();
    let candidates = results(folder, out).iter().flat_map(candidates).collect::<Vec<Value>>();
    candidates.iter().map(|candidate| candidate["score"].as_f64().unwrap()).collect()
}

#[test]
fn likelihoods_of_models_in_the_process_score_answers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (policy, reference) = (engine(""), reference(folder));
    let dpo = format!("dpo:model={policy},reference-model={reference},beta=0.5");
    let scores = likelihoods(folder, "one", &[&dpo], &["--concurrency", "1"]);
    assert_eq!(scores.len(), 6);
    assert!(scores.iter().all(|score| score.is_finite() && *score != 0.0), "{scores:?}");
    assert_eq!(likelihoods(folder, "eight", &[&dpo], &["--concurrency", "8"]), scores);
    // The penalty takes as much away.
    let kl = dpo.replacen("dpo", "kl", 1);
    let rewards = ["length:from=0,to=999", &kl];
    let less = likelihoods(folder, "kl", &rewards, &[]);
    for (score, less) in scores.iter().zip(&less) {
        assert!((score + less).abs() < 1e-12, "{score} {less}");
    }
    // Policy and reference the other way round, by the options of the policy.
    let turned = format!("dpo:reference-model={policy},beta=0.5");
    let turned = likelihoods(folder, "turned", &[&turned], &["--reward-model", &reference]);
    for (score, turned) in scores.iter().zip(&turned) {
        assert!((score + turned).abs() < 1e-12, "{score} {turned}");
    }
    let config = std::fs::read_to_string(folder.join("one/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let identity = config["reward"].as_str().unwrap();
    assert!(identity.starts_with("0.5 * log-ratio of local "), "{identity}");

    let checked = run(folder, &["check", "--engine", &policy, "--reward", &dpo]);
    for part in [
        "likelihood local:reference       architecture     llama",
        "reward model dpo:local:tiny/local:reference answers          ok",
        "maximal length   4096 tokens",
    ] {
        assert!(checked.out.contains(part), "{part}: {}", checked.out);
    }
    assert_eq!(checked.out.matches("architecture").count(), 2, "one model is loaded once");
    checked.with_code(0);
}

#[test]
fn constrained_updates_are_between_their_tags_or_truncated() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("queries.txt"), "Red?\n").unwrap();
    let engine = engine(",threads=1");
    let fixed = ["run", "--data", "queries.txt", "--engine", &engine, "--out", "out"];
    let more = ["--reward", "length:from=3,to=6", "--samples", "3", "--iterations", "1"];
    let lengths = ["--max-tokens", "60", "--critic-max-tokens", "40", "--parse-retries", "0"];
    let updates = ["--constrained-updates", "--prompts", "compact"];
    let arguments = [&fixed[..], &more, &lengths, &updates].concat();
    run(folder.path(), &arguments).with_code(0);
    let lines = results(folder.path(), "out");
    let step = &lines[0]["trajectory"]["iterations"][0];
    let problems = step["unusable"].as_array().unwrap();
    assert!(!problems.is_empty(), "{step}");
    let is_truncated = |problem: &Value| problem.as_str().unwrap().contains("truncated");
    assert!(problems.iter().all(is_truncated), "{step}");
    let grammar = ["--extra-body", r#"{"grammar": "root ::= \"a\""}"#];
    let ended = run(folder.path(), &[&arguments[..], &grammar].concat());
    assert!(ended.err.contains("beside --constrained-updates"), "{}", ended.err);
}

#[test]
fn settings_of_a_server_beside_likelihoods_in_the_process_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, reference) = (engine(""), reference(folder.path()));
    let both = format!("model={policy},reference-model={reference}");
    let none = "none beside a model in the process";
    for (reward, more, expected) in [
        (format!("dpo:{both},url=http://localhost:1"), &[][..], none),
        (format!("dpo:{both},template=t.jinja"), &[], none),
        (format!("dpo:{both},reference-url=http://localhost:1"), &[], none),
        (format!("dpo:{both},reference-likelihood=echo"), &[], none),
        (format!("dpo:{both},concurrency=2"), &[], none),
        (format!("dpo:{both}"), &["--reward-url", "http://localhost:1"], "it would change nothing"),
        (format!("dpo:model={policy}"), &[], "reference-model=local:FILE"),
        ("dpo:model=local:no.gguf,reference-model=local:no.gguf".to_owned(), &[], "at no.gguf"),
    ] {
        let fixed = ["run", "--out", "out", "--engine", &policy, "--reward", &reward];
        let ended = run(folder.path(), &[&fixed[..], more].concat());
        assert!(ended.err.contains(expected), "{reward}: {}", ended.err);
        assert_ne!(ended.code, Some(0), "{reward}");
    }
}

#[test]
fn check_shows_the_model_and_its_speed() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(folder.path(), &["check", "--engine", &engine(",sequences=2")]);
    for part in [
        "engine local:tiny                answers          ok",
        "2 answers per request",
        "equal answers for equal seeds",
        "context length   4096 tokens",
        "architecture     llama",
        "parameters       0 million, Q8_0",
        "in 2 sequences",
        "equal for equal seeds, decoded together",
        " completion tokens/s",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(
        !ended.err.contains("llama"),
        "the log of llama.cpp is not on standard error: {}",
        ended.err
    );
    ended.with_code(0);
}

#[test]
fn a_file_or_a_setting_that_cannot_be_used_ends_the_run_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let ended = run(folder.path(), &[&["run", "--out", "out"], arguments].concat());
        assert_ne!(ended.code, Some(0), "{arguments:?}");
        assert!(!folder.path().join("out").exists());
        ended.err
    };
    let error = refused(&["--engine", "local:no.gguf"]);
    assert!(error.contains("expected a GGUF file at no.gguf"), "{error}");
    let bytes = std::fs::read(model()).unwrap();
    std::fs::write(folder.path().join("cut.gguf"), &bytes[..50_000]).unwrap();
    let error = refused(&["--engine", "local:cut.gguf"]);
    assert!(error.contains("expected a model that llama.cpp loads in cut.gguf"), "{error}");
    let error = refused(&["--engine", "local:cut.gguf,layers=3"]);
    assert!(error.contains("context, sequences, threads and exact"), "{error}");
    let error = refused(&["--engine", &engine(""), "--model", "llama3"]);
    assert!(error.contains("a model in the process and llama3"), "{error}");
}
