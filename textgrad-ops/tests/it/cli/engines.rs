//! `textgrad engines`.

use serde_json::{Value, json};
use textgrad_ops::engine::PRESETS;

use super::{folder, textgrad};

#[test]
fn every_preset_is_a_row() {
    let folder = folder();
    let ended = textgrad(folder.path(), &["engines"]).with_code(0);
    assert_eq!(ended.err, "");
    let mut lines = ended.out.lines();
    let head = lines.next().unwrap();
    let columns = ["NAME", "BASE URL", "KEY", "NOTES"].map(|name| head.find(name).unwrap());
    for (preset, line) in PRESETS.iter().zip(lines.by_ref()) {
        let cell = |column: usize| line.get(columns[column]..).unwrap();
        assert!(cell(0).starts_with(&format!("{} ", preset.name)), "{line}");
        assert!(cell(2).starts_with(preset.key_var), "{line}");
        if !preset.base_url.is_empty() {
            assert!(cell(1).starts_with(&format!("{} ", preset.base_url)), "{line}");
        }
    }
    for part in [
        "ollama      http://localhost:11434/v1",
        "OLLAMA_API_KEY (optional)  chat completions; one answer a request",
        "azure       from AZURE_OPENAI_ENDPOINT",
        "seed as random_seed",
        "TEXTGRAD_API_KEY",
    ] {
        assert!(ended.out.contains(part), "{part} in\n{}", ended.out);
    }
    assert!(ended.out.lines().all(|line| line.len() <= 160 && line == line.trim_end()));
}

#[test]
fn the_same_is_told_to_programs() {
    let folder = folder();
    let ended = textgrad(folder.path(), &["engines", "--json"]).with_code(0);
    let rows: Vec<Value> = serde_json::from_str(&ended.out).unwrap();
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
