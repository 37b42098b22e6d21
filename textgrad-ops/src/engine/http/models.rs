//! The models that a server lists, and the lengths of their contexts.

use serde_json::{Value as Json, json};
use textgrad_core::EngineError;

use super::JsonClient;

/// Gets the list of models at a path such as `v1/models`.
///
/// # Errors
/// Those of [`JsonClient::get`].
pub async fn served_models(client: &JsonClient, path: &str) -> Result<Vec<String>, EngineError> {
    let list = client.get::<Json>(path).await?;
    Ok(names(&list))
}

/// The length of the context of a model in tokens, where its server reports it.
///
/// It is read from the list of models (vLLM, SGLang, OpenRouter, Groq, LM Studio), `/props` of llama.cpp, `/info` of
/// TGI and TEI, and `/api/ps` and `/api/show` of Ollama. The base URL of the client may end with `/v1`.
pub async fn context_length(client: &JsonClient, model: &str) -> Option<u64> {
    let client = client.root();
    for path in ["v1/models", "props", "info", "api/v0/models", "api/ps"] {
        let reply = client.get::<Json>(path).await;
        if let Some(length) = reply.ok().and_then(|reply| length_of(&reply, model)) {
            return Some(length);
        }
    }
    let shown = client.post::<Json, Json>("api/show", &json!({ "model": model })).await;
    length_of(&shown.ok()?, model)
}

/// The models in `{"data": [..]}`, `{"models": [..]}` and `[..]`.
fn models(list: &Json) -> Option<&Vec<Json>> {
    ["/data", "/models", ""].iter().find_map(|path| list.pointer(path)?.as_array())
}

fn name(model: &Json) -> Option<&str> {
    let keys = ["id", "name", "model"].iter();
    keys.filter_map(|key| model.get(key)).chain([model]).find_map(Json::as_str)
}

/// The length of the context in a list of models, or in the description of one.
fn length_of(reply: &Json, model: &str) -> Option<u64> {
    // The setting of Ollama counts more than what the model could do.
    let setting = reply.get("parameters").and_then(Json::as_str).unwrap_or_default();
    let mut lines = setting.lines().filter_map(|line| line.trim().strip_prefix("num_ctx"));
    if let Some(length) = lines.find_map(|length| length.trim().parse().ok()) {
        return Some(length);
    }
    let described = match models(reply).map(Vec::as_slice) {
        None => reply,
        Some([only]) => only,
        Some(several) => several.iter().find(|other| name(other) == Some(model))?,
    };
    LENGTHS.iter().find_map(|field| find(described, field, MAX_DEPTH))
}

/// Names of the length of the context, those of the length that is served before that of which a model is capable.
const LENGTHS: [&str; 8] = [
    "max_model_len",
    "loaded_context_length",
    "n_ctx",
    "context_length",
    "context_window",
    "max_total_tokens",
    "max_input_length",
    "max_context_length",
];

const MAX_DEPTH: usize = 4;

/// A positive number in a field of this name, also behind a prefix as in `llama.context_length`.
fn find(value: &Json, field: &str, depth: usize) -> Option<u64> {
    let depth = depth.checked_sub(1)?;
    let fields = value.as_object()?;
    let is_named = |name: &str| name.rsplit('.').next() == Some(field);
    let own =
        fields.iter().filter(|(name, _)| is_named(name)).filter_map(|(_, value)| value.as_u64());
    own.filter(|length| *length > 0)
        .max()
        .or_else(|| fields.values().find_map(|value| find(value, field, depth)))
}

/// The names of listed models.
fn names(list: &Json) -> Vec<String> {
    let models = models(list).into_iter().flatten();
    let mut names: Vec<String> = models.filter_map(name).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{length_of, names};

    #[test]
    fn lengths_of_contexts_are_read_in_the_formats_of_servers() {
        let list = json!({ "data": [{ "id": "a", "context_length": 8192 }, { "id": "m", "context_window": 131_072 }] });
        let show = json!({ "parameters": "stop \"x\"\nnum_ctx    4096", "model_info": { "llama.context_length": 131_072 } });
        for (reply, length) in [
            (list, Some(131_072)),
            (json!({ "data": [{ "id": "other", "max_model_len": 4096 }] }), Some(4096)),
            (json!({ "data": [{ "id": "m.gguf", "meta": { "n_ctx_train": 32_768 } }] }), None),
            (
                json!({ "default_generation_settings": { "n_ctx": 2048 }, "total_slots": 1 }),
                Some(2048),
            ),
            (json!({ "max_total_tokens": 4096, "max_input_length": 4095 }), Some(4096)),
            (json!({ "max_input_length": 512, "model_type": { "reranker": {} } }), Some(512)),
            (json!({ "models": [{ "name": "m", "context_length": 8192 }] }), Some(8192)),
            (show, Some(4096)),
            (json!({ "model_info": { "qwen3.context_length": 40_960 } }), Some(40_960)),
            (json!({ "data": [{ "id": "x" }, { "id": "y" }] }), None),
            (json!({ "error": "not found" }), None),
        ] {
            assert_eq!(length_of(&reply, "m"), length, "{reply}");
        }
    }

    #[test]
    fn lists_of_several_servers_are_read() {
        assert_eq!(
            names(&json!({ "object": "list", "data": [{ "id": "b" }, { "id": "a" }] })),
            ["a", "b"]
        );
        assert_eq!(
            names(&json!({ "models": [{ "name": "x:latest", "model": "x" }] })),
            ["x:latest"]
        );
        assert_eq!(names(&json!([{ "id": "a" }, { "id": "a" }, { "other": 1 }])), ["a"]);
        assert!(names(&json!({ "data": null })).is_empty());
    }
}
