//! ModernBERT and DeBERTa, which take pairs.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::worker::Tokens;
use super::*;

const ENCODERS: [&str; 4] = ["modernbert", "modernbert_mean", "deberta", "deberta_conv"];

#[derive(Deserialize)]
struct Expected {
    chats: Vec<ExpectedText>,
    pairs: Vec<ExpectedPair>,
}

#[derive(Deserialize)]
struct ExpectedPair {
    query: String,
    answer: String,
    tokens: Vec<u32>,
    score: f64,
}

fn expected(name: &str) -> Expected {
    serde_json::from_str(&fs::read_to_string(fixture(name).join("expected.json")).unwrap()).unwrap()
}

fn pairs(expected: &Expected) -> Vec<(String, String)> {
    expected.pairs.iter().map(|pair| (pair.query.clone(), pair.answer.clone())).collect()
}

/// The largest difference of a model's scores of pairs from those of transformers.
async fn difference(model: &SequenceClassifier, expected: &Expected) -> f64 {
    let scored = model.score_pairs(pairs(expected)).await.unwrap();
    let of_each = scored.iter().zip(&expected.pairs).map(|(got, pair)| {
        assert_eq!(got.tokens, pair.tokens.len());
        (got.score - pair.score).abs()
    });
    of_each.fold(0.0, f64::max)
}

#[tokio::test]
async fn scores_of_pairs_are_those_of_transformers() {
    for name in ENCODERS {
        let expected = expected(name);
        let model = SequenceClassifier::load(fixture(name)).unwrap();
        assert!(model.info().is_encoder, "{name}");
        let largest = difference(&model, &expected).await;
        assert!(largest < TOLERANCE, "{name}: {largest:e}");
        // Longer than windows, buckets and blocks.
        assert!(expected.pairs.iter().any(|pair| pair.tokens.len() > 90), "{name}");
    }
}

/// With a chat template, an encoder takes a text as decoders do: the template writes the special tokens.
#[tokio::test]
async fn an_encoder_takes_conversations_of_a_template() {
    let name = "modernbert_mean";
    let model = SequenceClassifier::load(fixture(name)).unwrap();
    let template = ChatTemplate::from_file(fixture(name)).unwrap();
    for chat in expected(name).chats {
        let turns: Vec<(&str, &str)> =
            chat.turns.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
        let text = template.with_one_bos(&template.render(&turns).unwrap());
        assert_eq!(text, chat.text);
        let scored = model.score(vec![text]).await.unwrap();
        assert_eq!(scored[0].tokens, chat.tokens.len());
        assert!((scored[0].score - chat.score).abs() < TOLERANCE, "{scored:?}, {}", chat.score);
    }
}

/// Each setting that a reader could pass over moves the scores by far more than the tolerance.
#[tokio::test]
async fn a_wrong_setting_is_noticed() {
    let wrong: [(&str, &str, Change); 18] = [
        ("modernbert", "global theta", |config| config["global_rope_theta"] = json!(10000.0)),
        ("modernbert", "local theta", |config| config["local_rope_theta"] = json!(160000.0)),
        ("modernbert", "no local theta", |config| config["local_rope_theta"] = json!(null)),
        ("modernbert", "window", |config| config["local_attention"] = json!(14)),
        ("modernbert", "layers", |config| config["global_attn_every_n_layers"] = json!(3)),
        ("modernbert", "pooling", |config| config["classifier_pooling"] = json!("mean")),
        ("modernbert", "activation", |config| config["hidden_activation"] = json!("silu")),
        ("modernbert", "head", |config| config["classifier_activation"] = json!("tanh")),
        ("modernbert_mean", "theta", |config| {
            config["rope_parameters"]["sliding_attention"]["rope_theta"] = json!(80000.0);
        }),
        ("modernbert_mean", "types", |config| config["layer_types"][1] = json!("full_attention")),
        ("modernbert_mean", "biases", |config| config["attention_bias"] = json!(false)),
        ("deberta", "positions", |config| config["pos_att_type"] = json!("c2p")),
        ("deberta", "buckets", |config| config["max_relative_positions"] = json!(64)),
        ("deberta", "norm", |config| config["norm_rel_ebd"] = json!("none")),
        ("deberta", "no positions", |config| config["relative_attention"] = json!(false)),
        ("deberta_conv", "convolution", |config| config["conv_act"] = json!("tanh")),
        ("deberta_conv", "types", |config| config["type_vocab_size"] = json!(0)),
        ("deberta_conv", "pooler", |config| config["pooler_hidden_act"] = json!("gelu")),
    ];
    for (name, setting, change) in wrong {
        let folder = changed(name, change);
        let model = SequenceClassifier::load(folder.path()).unwrap();
        let largest = difference(&model, &expected(name)).await;
        assert!(largest > 100.0 * TOLERANCE, "{name}, {setting}: {largest:e}");
    }
}

/// To the last bit.
#[tokio::test]
async fn the_score_of_a_pair_does_not_depend_on_what_is_scored_with_it() {
    for name in ENCODERS {
        let model = SequenceClassifier::load(fixture(name)).unwrap();
        let mut pairs = pairs(&expected(name));
        pairs.push((String::new(), String::new()));
        let score = async |pairs: &[(String, String)]| {
            let scored = model.score_pairs(pairs.to_vec()).await.unwrap();
            scored.iter().map(|scored| scored.score).collect::<Vec<f64>>()
        };
        let together = score(&pairs).await;
        let concurrent = futures_util::future::join_all(pairs.chunks(1).map(&score)).await.concat();
        let mut alone = Vec::new();
        for pair in pairs.chunks(1) {
            alone.extend(score(pair).await);
        }
        assert_eq!((&together, &alone), (&concurrent, &concurrent), "{name}");
        // A text of one token: products of a single row.
        assert!(model.score(vec!["a".to_owned()]).await.unwrap()[0].score.is_finite());
    }
}

#[test]
fn a_canceled_pass_ends_before_the_next_layer() {
    for name in ["llama", "modernbert", "deberta"] {
        let (config, _) = Config::read(&read(&fixture(name).join("config.json")).unwrap()).unwrap();
        let mut weights = Weights::open(&fixture(name)).unwrap();
        let model = Model::read(config, &mut weights).unwrap();
        let text = Tokens { ids: vec![5, 6, 7], types: vec![0; 3] };
        let asked = AtomicUsize::new(0);
        let is_canceled = || asked.fetch_add(1, Ordering::Relaxed) == 1;
        assert_eq!(model.scores(&[&text], &is_canceled), None, "{name}");
        assert_eq!(asked.into_inner(), 2, "{name}");
    }
}

#[test]
fn what_an_encoder_cannot_be_says_what_was_expected() {
    let cases: [(&str, Change, &[&str]); 14] = [
        (
            "modernbert",
            |config| config["global_rope_theta"] = json!(null),
            &["global_rope_theta", "neither"],
        ),
        ("modernbert_mean", |config| config["rope_parameters"] = json!({}), &["neither"]),
        (
            "modernbert",
            |config| config["classifier_pooling"] = json!("max"),
            &["cls or mean as classifier_pooling", "\"max\""],
        ),
        (
            "modernbert",
            |config| config["hidden_activation"] = json!("relu"),
            &["gelu", "hidden_activation", "\"relu\""],
        ),
        (
            "modernbert_mean",
            |config| config["layer_types"] = json!(["full_attention"]),
            &["type of layer 1", "None"],
        ),
        ("modernbert", |config| config["attention_bias"] = json!(true), &["Wqkv.bias", "got none"]),
        ("modernbert", |config| config["num_attention_heads"] = json!(5), &["divides", "32 and 5"]),
        ("modernbert", |config| config["quantization_config"] = json!({}), &["quantized"]),
        (
            "deberta",
            |config| config["pos_att_type"] = json!(["p2p"]),
            &["c2p and p2c in pos_att_type", "\"p2p\""],
        ),
        (
            "deberta",
            |config| config["norm_rel_ebd"] = json!("batch_norm"),
            &["none or layer_norm", "\"batch_norm\""],
        ),
        ("deberta", |config| config["position_buckets"] = json!(2), &["4 position_buckets"]),
        ("deberta", |config| config["share_att_key"] = json!(false), &["pos_key_proj", "got none"]),
        ("deberta", |config| config["attention_head_size"] = json!(4), &["size of 8", "got 4"]),
        (
            "deberta_conv",
            |config| config["conv_groups"] = json!(2),
            &["conv_groups of 1", "3 and 2"],
        ),
    ];
    for (name, change, expected) in cases {
        let error = refusal(changed(name, change).path());
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }
    // A last matrix of two labels: two rows of half the numbers.
    let folder = changed("deberta", |_| {});
    let path = folder.path().join("model.safetensors");
    let mut weights = fs::read(&path).unwrap();
    let name = br#""classifier.weight":{"dtype":"BF16","shape":[1,32]"#;
    let at = weights.windows(name.len()).position(|part| part == name).unwrap() + name.len();
    weights[at - 5..at].copy_from_slice(b"2,16]");
    fs::write(&path, weights).unwrap();
    let labels = refusal(folder.path());
    assert!(labels.contains("one label, got 2"), "{labels}");
}

#[tokio::test]
async fn pairs_that_a_model_cannot_take_are_refused() {
    let pair = || vec![("What is 2 + 2?".to_owned(), "4".to_owned())];
    let refused = async |model: SequenceClassifier, parts: &[&str]| {
        let error = model.score_pairs(pair()).await.unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let load = |folder: &Path| SequenceClassifier::load(folder).unwrap();
    let decoder = load(&fixture("llama"));
    refused(decoder, &["LlamaForSequenceClassification takes no pairs"]).await;
    let folder = changed("modernbert", |config| config["max_position_embeddings"] = json!(8));
    refused(load(folder.path()), &["1 to 8 tokens"]).await;
    // Without the tokens that tell a query from its answer.
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    tokenizer["post_processor"] = json!(null);
    fs::write(&path, tokenizer.to_string()).unwrap();
    refused(load(folder.path()), &["special tokens around a pair", "--reward-template"]).await;
    // Of two types of tokens, the second has no embedding.
    let folder = changed("deberta_conv", |config| config["type_vocab_size"] = json!(1));
    let error = refusal(folder.path());
    assert!(error.contains("shape [1, 24]"), "{error}");
    let path = folder.path().join("config.json");
    let mut config: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["type_vocab_size"] = json!(2);
    fs::write(&path, config.to_string()).unwrap();
    let path = folder.path().join("tokenizer.json");
    let tokenizer = fs::read_to_string(&path).unwrap();
    assert!(tokenizer.contains("\"type_id\": 1"));
    fs::write(&path, tokenizer.replace("\"type_id\": 1", "\"type_id\": 2")).unwrap();
    refused(load(folder.path()), &["types of tokens below 2", "got 2"]).await;
}

/// Bytes of settings and headers that were changed, one at a time: an error or a model, never a panic.
#[tokio::test]
async fn any_changed_byte_is_an_error_or_another_model() {
    for (name, file, step) in [
        ("modernbert", "config.json", 11),
        ("deberta_conv", "config.json", 11),
        ("deberta_conv", "model.safetensors", 131),
    ] {
        let folder = changed(name, |_| {});
        let path = folder.path().join(file);
        let bytes = fs::read(&path).unwrap();
        let others = [b'9', b'-', b'"', b'0'].iter().cycle();
        for (at, other) in (0..bytes.len().min(4000)).step_by(step).zip(others) {
            let mut changed = bytes.clone();
            changed[at] = *other;
            fs::write(&path, changed).unwrap();
            let pair = ("a".to_owned(), "text".to_owned());
            if let Ok(model) = SequenceClassifier::load(folder.path())
                && let Err(error) = model.score_pairs(vec![pair]).await
            {
                assert_ne!(error.kind(), ErrorKind::Other, "{name}, {file}, byte {at}: {error}");
            }
        }
    }
}
