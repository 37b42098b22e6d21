mod encoders;

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::*;
use crate::ChatTemplate;

const MODELS: [&str; 5] = ["llama", "llama31", "qwen2", "qwen3", "gemma2"];

/// The largest difference from the scores of transformers.
const TOLERANCE: f64 = 1e-5;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/classifiers").join(name)
}

#[derive(Deserialize)]
struct Expected {
    chats: Vec<ExpectedText>,
    padded: ExpectedText,
    doubled: ExpectedText,
}

#[derive(Deserialize)]
struct ExpectedText {
    #[serde(default)]
    turns: Vec<(String, String)>,
    text: String,
    tokens: Vec<u32>,
    score: f64,
}

fn expected(name: &str) -> Expected {
    serde_json::from_str(&fs::read_to_string(fixture(name).join("expected.json")).unwrap()).unwrap()
}

/// A change of a `config.json`.
type Change = fn(&mut Json);

/// A copy of a fixture whose `config.json` was changed.
fn changed(name: &str, change: impl Fn(&mut Json)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
    folder
}

async fn scores(model: &SequenceClassifier, texts: &[&str]) -> Vec<f64> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    model.score(texts).await.unwrap().iter().map(|scored| scored.score).collect()
}

/// The largest difference of a model's scores from those of transformers.
async fn difference(model: &SequenceClassifier, expected: &Expected) -> f64 {
    let texts: Vec<&str> = expected.chats.iter().map(|chat| chat.text.as_str()).collect();
    let scores = scores(model, &texts).await;
    let of_each = scores.iter().zip(&expected.chats).map(|(got, chat)| (got - chat.score).abs());
    of_each.fold(0.0, f64::max)
}

fn refusal(folder: impl AsRef<Path>) -> String {
    textgrad_core::describe(&SequenceClassifier::load(folder).unwrap_err())
}

#[tokio::test]
async fn scores_are_those_of_transformers() {
    for name in MODELS {
        let expected = expected(name);
        let template = ChatTemplate::from_file(fixture(name)).unwrap();
        for chat in &expected.chats {
            let turns: Vec<(&str, &str)> =
                chat.turns.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
            let text = template.with_one_bos(&template.render(&turns).unwrap());
            assert_eq!(text, chat.text, "{name}: the template in either place");
        }
        let model = SequenceClassifier::load(fixture(name)).unwrap();
        let largest = difference(&model, &expected).await;
        assert!(largest < TOLERANCE, "{name}: {largest:e}");

        let scored = model.score(vec![expected.chats[0].text.clone()]).await.unwrap();
        assert_eq!(
            scored[0].tokens,
            expected.chats[0].tokens.len(),
            "{name}: the token that begins"
        );
        let others = scores(&model, &[&expected.padded.text, &expected.doubled.text]).await;
        assert!((others[0] - expected.padded.score).abs() < TOLERANCE, "{name}: padding");
        assert!((others[1] - expected.doubled.score).abs() < TOLERANCE, "{name}: {others:?}");
        // What the rule about one token at the beginning is for.
        assert!((others[1] - expected.chats[0].score).abs() > 1e-3, "{name}");
    }
}

/// Each setting that a reader could pass over moves the scores by far more than the tolerance.
#[tokio::test]
async fn a_wrong_setting_is_noticed() {
    let wrong: [(&str, &str, Change); 8] = [
        ("llama", "theta", |config| config["rope_parameters"]["rope_theta"] = json!(10000.0)),
        ("llama31", "theta", |config| config["rope_theta"] = json!(10000.0)),
        ("llama31", "scaling", |config| config["rope_scaling"]["factor"] = json!(1.0)),
        ("qwen2", "window", |config| config["use_sliding_window"] = json!(false)),
        ("qwen2", "window layers", |config| config["max_window_layers"] = json!(0)),
        ("gemma2", "softcap", |config| config["attn_logit_softcapping"] = json!(null)),
        ("gemma2", "scale", |config| config["query_pre_attn_scalar"] = json!(16)),
        ("qwen3", "epsilon", |config| config["rms_norm_eps"] = json!(0.1)),
    ];
    for (name, setting, change) in wrong {
        let folder = changed(name, change);
        let model = SequenceClassifier::load(folder.path()).unwrap();
        let largest = difference(&model, &expected(name)).await;
        assert!(largest > 100.0 * TOLERANCE, "{name}, {setting}: {largest:e}");
    }
}

/// To the last bit: a run has the same scores at any concurrency.
#[tokio::test]
async fn a_score_does_not_depend_on_what_is_scored_with_it() {
    for name in ["llama", "gemma2"] {
        let model = SequenceClassifier::load(fixture(name)).unwrap();
        let expected = expected(name);
        let mut texts: Vec<&str> = expected.chats.iter().map(|chat| chat.text.as_str()).collect();
        texts.push("a");
        let together = scores(&model, &texts).await;
        let each = texts.iter().map(|text| async { scores(&model, &[text]).await[0] });
        let concurrent = futures_util::future::join_all(each).await;
        let mut alone = Vec::new();
        for text in &texts {
            alone.push(scores(&model, &[text]).await[0]);
        }
        assert_eq!((&together, &alone), (&concurrent, &concurrent), "{name}");
    }
}

#[tokio::test]
async fn many_texts_take_several_batches() {
    let model = SequenceClassifier::load(fixture("qwen2")).unwrap();
    let long = expected("qwen2").chats[2].text.clone();
    let scored = model.score(vec![long.clone(); 40]).await.unwrap();
    assert!(scored.iter().map(|scored| scored.tokens).sum::<usize>() > 4096);
    assert!(scored.iter().all(|other| *other == scored[0]), "{scored:?}");
}

#[tokio::test]
async fn a_dropped_call_does_not_delay_the_next() {
    let model = SequenceClassifier::load(fixture("llama")).unwrap();
    let text = expected("llama").chats[0].text.clone();
    drop(
        tokio::time::timeout(std::time::Duration::ZERO, model.score(vec![text.clone(); 10_000]))
            .await,
    );
    let scored = model.clone().score(vec![text]).await.unwrap();
    assert_eq!(scored.len(), 1);
}

#[tokio::test]
async fn a_text_that_is_empty_or_too_long_is_refused_with_both_numbers() {
    let model = SequenceClassifier::load(fixture("llama")).unwrap();
    let error = model.score(vec![String::new()]).await.unwrap_err().to_string();
    assert!(error.contains("1 to 512 tokens") && error.contains("got 0"), "{error}");
    let error = model.score(vec!["x ".repeat(600)]).await.unwrap_err().to_string();
    assert!(error.contains("1 to 512 tokens") && error.contains("got 1"), "{error}");
    // A call with an error does not hurt another.
    assert_eq!(model.score(vec!["x".to_owned()]).await.unwrap().len(), 1);
}

#[test]
fn digests_are_of_all_that_moves_scores() {
    let digest = |folder: &Path| SequenceClassifier::load(folder).unwrap().info().digest.clone();
    let own = digest(&fixture("llama"));
    let same = changed("llama", |_| {});
    let other = changed("llama", |config| config["rms_norm_eps"] = json!(1e-5));
    assert_eq!(own.len(), 64);
    // The copy's settings are written in another way.
    assert_ne!(own, digest(same.path()));
    assert_ne!(digest(same.path()), digest(other.path()));
    let path = other.path().join("model.safetensors");
    let mut weights = fs::read(&path).unwrap();
    let before = digest(other.path());
    *weights.last_mut().unwrap() ^= 1;
    fs::write(&path, weights).unwrap();
    assert_ne!(before, digest(other.path()));
}

#[test]
fn what_cannot_be_loaded_says_what_was_expected() {
    let missing = refusal("no-such-folder");
    assert!(missing.contains("cannot read no-such-folder/config.json"), "{missing}");
    let cases: [(&str, Change, &[&str]); 8] = [
        (
            "llama",
            |config| config["architectures"] = json!(["BertForSequenceClassification"]),
            &[
                "LlamaForSequenceClassification",
                "\"BertForSequenceClassification\"",
                "serve others",
            ],
        ),
        ("llama", |config| config["rope_parameters"] = json!({}), &["rope_theta", "neither"]),
        ("qwen2", |config| config["rope_theta"] = json!(null), &["rope_theta", "neither"]),
        (
            "llama31",
            |config| config["rope_scaling"]["rope_type"] = json!("yarn"),
            &["default, linear or llama3", "\"yarn\""],
        ),
        ("llama", |config| config["hidden_act"] = json!("relu"), &["silu", "\"relu\""]),
        ("llama", |config| config["hidden_size"] = json!(64), &["shape [320, 64]", "[320, 32]"]),
        (
            "llama",
            |config| config["num_hidden_layers"] = json!(3),
            &["model.layers.2.", "got none"],
        ),
        ("llama", |config| config["quantization_config"] = json!({}), &["quantized"]),
    ];
    for (name, change, expected) in cases {
        let error = refusal(changed(name, change).path());
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn damaged_files_are_refused() {
    let damage = |change: &dyn Fn(&Path)| {
        let folder = changed("llama", |_| {});
        change(folder.path());
        refusal(folder.path())
    };
    let cut = |length: usize| {
        damage(&|folder| {
            let path = folder.join("model.safetensors");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..length]).unwrap();
        })
    };
    assert!(cut(4).contains("too short"), "{}", cut(4));
    assert!(cut(100).contains("without a header"), "{}", cut(100));
    assert!(cut(50_000).contains("ends within the tensor"), "{}", cut(50_000));
    let foreign = damage(&|folder| {
        fs::write(folder.join("model.safetensors"), b"GGUF\x03\0\0\0 and so on").unwrap();
    });
    assert!(foreign.contains("without a header"), "{foreign}");
    let tokenizer = damage(&|folder| fs::write(folder.join("tokenizer.json"), "{}").unwrap());
    assert!(tokenizer.contains("expected a tokenizer"), "{tokenizer}");
    let labels = damage(&|folder| {
        let path = folder.join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        // Two rows of 16 numbers in place of one of 32.
        let at = bytes
            .windows(7)
            .position(|part| part == b"[1, 32]")
            .or_else(|| bytes.windows(6).position(|part| part == b"[1,32]"));
        let mut bytes = bytes;
        bytes[at.unwrap() + 1] = b'2';
        fs::write(path, bytes).unwrap();
    });
    assert!(labels.contains("one label, got 2") || labels.contains("another size"), "{labels}");
    let outside = damage(&|folder| {
        let index = json!({ "weight_map": { "score.weight": "../model.safetensors" } });
        fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    });
    assert!(outside.contains("names of files"), "{outside}");
}

/// Bytes of headers and settings that were changed, one at a time: an error or a model, never a panic.
#[tokio::test]
async fn any_changed_byte_is_an_error_or_another_model() {
    let folder = changed("llama", |_| {});
    for (file, length) in [("model.safetensors", 1500), ("config.json", 900)] {
        let path = folder.path().join(file);
        let bytes = fs::read(&path).unwrap();
        for (at, other) in
            (0..length.min(bytes.len())).step_by(11).zip([b'9', b'-', b'"', 0xFF].iter().cycle())
        {
            let mut changed = bytes.clone();
            changed[at] = *other;
            fs::write(&path, changed).unwrap();
            if let Ok(model) = SequenceClassifier::load(folder.path())
                && let Err(error) = model.score(vec!["a text".to_owned()]).await
            {
                assert_ne!(error.kind(), ErrorKind::Other, "{file}, byte {at}: {error}");
            }
        }
        fs::write(&path, bytes).unwrap();
    }
}
