//! Lines and what becomes of them.

use serde_json::{Value, json};
use textgrad_core::{Engine, EngineError, ErrorKind, Format, Message, Purpose, Request, Sampling};

use super::{Api, EngineBuilder, KeyNeed, PRESETS, Preset, engine_with, nearest};
use crate::engine::http::test_server::{TestServer, reply};

/// A lookup of these variables.
fn env(variables: &[(&'static str, &str)]) -> impl Fn(&str) -> Option<String> {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    move |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

fn refused(line: &str, variables: &[(&'static str, &str)]) -> EngineError {
    engine_with(line, env(variables)).and_then(EngineBuilder::build).err().unwrap()
}

#[test]
fn every_preset_builds_with_its_variables_and_says_which_key_is_missing() {
    for preset in PRESETS {
        let line = format!("{}/vendor-model", preset.name);
        let url = [(preset.base_url_var, "ftp://hunter2:hunter2@h/x")];
        let endpoint = [(preset.base_url_var, "https://h/x")];
        let key = [(preset.key_var, "sk-hunter2")];

        let built = engine_with(&line, env(&[&endpoint[..], &key].concat())).unwrap().build();
        let built = built.unwrap();
        assert_eq!(built.name(), format!("{}:vendor-model", preset.name));
        assert!(built.identity().contains("://h/x"), "{}", built.identity());

        let wrong = refused(&line, &[&url[..], &key].concat());
        assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
        let settings = engine_with(&line, env(&[&url[..], &key].concat())).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");

        let mine = if preset.api == Api::Azure { &endpoint[..] } else { &[] };
        if preset.key == KeyNeed::Required {
            for variables in [mine, &[mine, &[(preset.key_var, " ")]].concat()] {
                let error = refused(&line, variables);
                assert_eq!(error.kind(), ErrorKind::Auth);
                assert!(error.to_string().contains(preset.key_var), "{error}");
            }
        } else {
            let local = engine_with(&line, env(mine)).unwrap().build().unwrap();
            assert!(local.identity().contains(preset.base_url), "{}", local.identity());
        }
    }
}

#[test]
fn a_server_of_ones_own_may_need_no_key() {
    let engine = engine_with("openai/m", env(&[("OPENAI_BASE_URL", "http://mine/v1")]));
    assert_eq!(engine.unwrap().build().unwrap().identity(), "openai+http://mine/v1#m");
    let engine = engine_with("openai/m", env(&[])).unwrap().base_url("http://mine/v1").build();
    assert_eq!(engine.unwrap().identity(), "openai+http://mine/v1#m");
    let engine = engine_with("openai/m", env(&[])).unwrap().key("k").build();
    assert_eq!(engine.unwrap().identity(), "openai+https://api.openai.com/v1#m");
}

#[test]
fn names_are_in_the_table_once_and_documented_ones_are_there() {
    let mut names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), PRESETS.len());
    assert_eq!(Preset::named("openrouter").unwrap().key_var, "OPENROUTER_API_KEY");
    let engine = engine_with("openrouter/vendor/model", env(&[("OPENROUTER_API_KEY", "k")]));
    assert_eq!(engine.unwrap().build().unwrap().name(), "openrouter:vendor/model");
}

#[test]
fn an_address_names_a_server_without_a_preset() {
    let engine = engine_with("http://u:hunter2@h:1/v1#org/llama3", env(&[])).unwrap();
    assert!(!format!("{engine:?}").contains("hunter2"));
    let engine = engine.build().unwrap();
    assert_eq!(engine.name(), "openai:org/llama3");
    assert_eq!(engine.identity(), "openai+http://h:1/v1#org/llama3");
    for line in ["http://u:hunter2@h/v1", "ftp://u:hunter2@h#m", "http://u:hunter2@h#", "://#m"] {
        let error = refused(line, &[]);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn what_is_unknown_is_reported_with_what_is_known_and_what_was_meant() {
    let error = refused("antropic/claude", &[]).to_string();
    assert!(error.contains(r#"got "antropic"; did you mean anthropic/MODEL?"#), "{error}");
    for preset in PRESETS {
        assert!(error.contains(preset.name), "{error}");
    }
    assert!(refused("sin", &[]).to_string().contains("did you mean sim?"));
    assert!(!refused("what/ever", &[]).to_string().contains("did you mean"));
    for line in ["ollama", "ollama/", "ollama/ "] {
        assert_eq!(
            refused(line, &[]).to_string(),
            "expected ollama/MODEL, got ollama without a model"
        );
    }
    assert!(refused("", &[]).to_string().contains(r#"got """#));
    for (line, meant) in [
        ("gpt-4o", "openai/gpt-4o"),
        ("GPT-4o", "openai/GPT-4o"),
        ("o3-mini", "openai/o3-mini"),
        ("chatgpt-4o-latest", "openai/chatgpt-4o-latest"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("grok-4", "xai/grok-4"),
        ("ollama:llama3", "ollama/llama3"),
        ("ollama:llama3:8b", "ollama/llama3:8b"),
        ("OpenAI: gpt-4o", "openai/gpt-4o"),
        ("together:meta-llama/Llama-3", "together/meta-llama/Llama-3"),
        ("ollama:", "ollama/MODEL"),
    ] {
        let error = refused(line, &[]).to_string();
        assert!(error.contains(&format!("; did you mean {meant}?")), "{error}");
    }
    for line in ["opus", "o", "gpt-4o/x", ":whatever"] {
        assert!(!refused(line, &[]).to_string().contains("did you mean"), "{line}");
    }
}

#[test]
fn the_simulation_takes_its_settings() {
    let named = |line: &str| engine_with(line, env(&[])).unwrap().build().unwrap();
    assert_eq!(named("sim").name(), "sim");
    assert!(named(" sim: ").is_simulation());
    assert_eq!(named("sim:skill=0.3, latency_ms=5").name(), "sim:skill-0.3");
    for (line, words) in [
        ("sim:skill=2", "from 0 to 1, got 2"),
        ("sim:skill=high", "a number in `skill=high`"),
        ("sim:latency_ms=-1", "0 or more"),
        ("sim:speed=1", "`skill=0.8` or `latency_ms=5`"),
    ] {
        let error = refused(line, &[]);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn azure_needs_an_endpoint_and_plain_names() {
    let key = ("AZURE_OPENAI_API_KEY", "k");
    let error = refused("azure/gpt", &[key]);
    assert!(error.to_string().contains("AZURE_OPENAI_ENDPOINT"), "{error}");
    let endpoint = ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/");
    for line in ["azure/a/b", "azure/a?b", "azure/.."] {
        assert!(refused(line, &[key, endpoint]).to_string().contains("a deployment"), "{line}");
    }
    let version = ("OPENAI_API_VERSION", "1&x=2");
    assert!(refused("azure/gpt", &[key, endpoint, version]).to_string().contains("1&x=2"));
    let odd = ("AZURE_OPENAI_ENDPOINT", "https://h?x=hunter2");
    assert!(!refused("azure/gpt", &[key, odd]).to_string().contains("hunter2"));
}

/// The head and the body that the engine of a line sends.
async fn sent(line: &str, variables: &[(&'static str, &str)]) -> (String, Value) {
    let body = json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]});
    let server = TestServer::start(vec![reply(200, "", &body.to_string())]).await;
    let base_url = format!("http://{}", server.address);
    let settings = engine_with(line, env(variables)).unwrap();
    let engine = settings
        .base_url(base_url)
        .http(crate::engine::http::HttpOptions::default().no_proxy())
        .build()
        .unwrap();
    let sampling = Sampling::default().with_n(3).with_seed(7).with_max_tokens(9);
    let request = Request::new(Purpose::Sample, [Message::user("hi")]).with_sampling(sampling);
    engine.complete(&request).await.unwrap();
    let seen = server.seen().await.remove(0);
    (seen.head.clone(), seen.json())
}

#[tokio::test]
async fn quirks_shape_what_is_sent() {
    let messages = json!([{"role": "user", "content": "hi"}]);
    for (line, expected) in [
        ("vllm/m", json!({"n": 3, "seed": 7, "max_tokens": 9})),
        ("ollama/m", json!({"seed": 7, "max_tokens": 9})),
        ("openai/m", json!({"n": 3, "seed": 7, "max_completion_tokens": 9})),
        ("groq/m", json!({"seed": 7, "max_completion_tokens": 9})),
        ("mistral/m", json!({"n": 3, "random_seed": 7, "max_tokens": 9})),
        ("deepseek/m", json!({"max_tokens": 9})),
    ] {
        let mut expected = expected;
        expected["model"] = "m".into();
        expected["messages"] = messages.clone();
        expected["stream"] = false.into();
        assert_eq!(sent(line, &[]).await.1, expected, "{line}");
    }
}

#[tokio::test]
async fn keys_are_sent_where_each_server_looks_for_them() {
    let (head, _) = sent("groq/m", &[("GROQ_API_KEY", "k-1")]).await;
    assert!(head.lines().any(|line| line == "authorization: bearer k-1"), "{head}");
    let (head, body) = sent("azure/gpt-x", &[("AZURE_OPENAI_API_KEY", "k-2")]).await;
    assert!(head.lines().any(|line| line == "api-key: k-2"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
    let path = "post /openai/deployments/gpt-x/chat/completions?api-version=2024-10-21 ";
    assert!(head.starts_with(path), "{head}");
    assert_eq!(body["max_completion_tokens"], 9);
    let (head, _) =
        sent("azure/gpt", &[("AZURE_OPENAI_API_KEY", "k"), ("OPENAI_API_VERSION", "v9")]).await;
    assert!(head.contains("?api-version=v9 "), "{head}");
}

#[tokio::test]
async fn a_server_that_knows_no_schema_refuses_a_format() {
    let engine = engine_with("deepseek/m", env(&[("DEEPSEEK_API_KEY", "k")])).unwrap();
    let request = Request::new(Purpose::Judge, [Message::user("hi")])
        .with_format(Format::json_schema("x", json!({})).unwrap());
    let error = engine.build().unwrap().complete(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_slip_is_understood_and_nonsense_is_not() {
    let known = ["openai", "ollama", "xai"];
    assert_eq!(nearest("OpenAI", known), Some("openai"));
    assert_eq!(nearest("olama", known), Some("ollama"));
    assert_eq!(nearest("claude", known), None);
    assert_eq!(nearest("", known), None);
}
