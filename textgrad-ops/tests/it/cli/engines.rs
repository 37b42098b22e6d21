//! `textgrad engines`.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use textgrad_ops::engine::PRESETS;
use textgrad_ops::sim::Sim;
use textgrad_tests::fake_server::FakeServer;
use textgrad_tests::program::{Ended, Running};

/// The program, with addresses at which no server answers but those of `variables`.
fn engines(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_textgrad"));
    command.env_clear().stdin(Stdio::null()).arg("engines").args(arguments);
    for preset in PRESETS {
        command.env(preset.base_url_var, "http://127.0.0.1:9/v1");
    }
    command.envs(variables.iter().copied());
    Running::start(command).end().with_code(0)
}

#[test]
fn every_preset_is_a_row_of_80_columns() {
    let ended = engines(&[], &[("GROQ_API_KEY", "gsk-hunter2")]);
    assert_eq!(ended.err, "");
    for preset in PRESETS {
        let mut lines = ended.out.lines();
        let line = lines.find(|line| line.starts_with(&format!("{}/MODEL ", preset.name)));
        assert!(line.unwrap().contains(preset.key_var), "{}", ended.out);
    }
    for part in [
        "ollama/MODEL      in OLLAMA_BASE_URL         OLLAMA_API_KEY    no\n",
        "groq/MODEL        GROQ_API_KEY          yes  api.groq.com\n",
        "azure/MODEL       AZURE_OPENAI_API_KEY  no   in AZURE_OPENAI_ENDPOINT\n",
        "TEXTGRAD_API_KEY",
        "\nsim ",
    ] {
        assert!(ended.out.contains(part), "{part} in\n{}", ended.out);
    }
    assert!(!ended.out.contains("hunter2"));
    assert!(ended.out.lines().all(|line| line.len() <= 80 && line == line.trim_end()));
}

/// Kind: Secrets and terminals | a model's name with a command or with control characters | not offered as a flag
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_answer_are_listed_with_their_models() {
    let fake = || FakeServer::builder().engine(Sim::default());
    let names = ["org/model-8b", "b;rm -rf x", "\u{1b}[2Jc"];
    let server = fake().models(names).start().await.unwrap();
    let odd = fake().models(["$(reboot)"]).start().await.unwrap();
    let many: Vec<String> = (10..30).map(|number| format!("m{number}")).collect();
    let many = fake().models(many).start().await.unwrap();
    let (url, odd_url, many_url) = (server.base_url(), odd.base_url(), many.base_url());
    let variables = [
        ("VLLM_BASE_URL", url.as_str()),
        ("SGLANG_BASE_URL", odd_url.as_str()),
        ("OLLAMA_BASE_URL", many_url.as_str()),
    ];
    let ended = engines(&[], &variables);
    assert!(ended.out.contains("\n  --engine vllm/org/model-8b\n"), "{}", ended.out);
    assert!(ended.out.contains("\n  --engine ollama/m17\n  and 12 more\n"), "{}", ended.out);
    assert!(!ended.out.contains("rm -rf") && !ended.out.contains('\u{1b}'), "{}", ended.out);
    assert!(!ended.out.contains("reboot"), "{}", ended.out);
    let rows: Vec<Value> = serde_json::from_str(&engines(&["--json"], &variables).out).unwrap();
    let vllm = rows.iter().find(|row| row["name"] == "vllm").unwrap();
    assert_eq!(vllm["models"], json!(["org/model-8b"]));
}

#[test]
fn programs_receive_the_same() {
    let rows: Vec<Value> = serde_json::from_str(&engines(&["--json"], &[]).out).unwrap();
    assert_eq!(rows.len(), PRESETS.len());
    let mistral = rows.iter().find(|row| row["name"] == "mistral").unwrap();
    assert_eq!(
        *mistral,
        json!({
            "name": "mistral",
            "api": "chat",
            "base_url": "https://api.mistral.ai/v1",
            "base_url_var": "MISTRAL_BASE_URL",
            "key": "required",
            "key_var": "MISTRAL_API_KEY",
            "quirks": ["random_seed", "no_stream_options"],
        })
    );
}
