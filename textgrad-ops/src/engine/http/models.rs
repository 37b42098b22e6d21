//! The names of the models that a server lists.

use serde_json::Value as Json;
use textgrad_core::EngineError;

use super::JsonClient;

/// Gets the list of models at a path such as `v1/models`.
///
/// # Errors
/// Those of [`JsonClient::get`].
pub async fn served_models(client: &JsonClient, path: &str) -> Result<Vec<String>, EngineError> {
    Ok(names(&client.get::<Json>(path).await?))
}

/// The names in `{"data": [{"id"}]}`, `{"models": [{"name"}]}` and `[{"id"}]`.
fn names(list: &Json) -> Vec<String> {
    let models = ["/data", "/models", ""].iter().find_map(|path| list.pointer(path)?.as_array());
    let name = |model: &Json| {
        let keys = ["id", "name", "model"].iter();
        let name = keys.filter_map(|key| model.get(key)).chain([model]).find_map(Json::as_str);
        name.map(str::to_owned)
    };
    let mut names: Vec<String> = models.into_iter().flatten().filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::names;

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
