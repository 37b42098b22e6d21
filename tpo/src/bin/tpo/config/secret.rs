//! Detection of secrets in files of settings and in output.

use crate::rewards::{KEY_ENV, is_variable};

/// The environment variable for a key that somebody wrote into a file, if the name is one of a key.
pub(crate) fn variable(table: &str, key: &str) -> Option<String> {
    let name = key.to_ascii_uppercase().replace(['-', '.', ' '], "_");
    let plain = ["KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "AUTHORIZATION", "BEARER"];
    let parts: Vec<&str> = name.split('_').collect();
    if !parts.last().is_some_and(|last| plain.contains(last)) {
        return None;
    }
    let reward = table == "reward" || parts.first() == Some(&"REWARD");
    // Such as GROQ_API_KEY, which is what it is called.
    let own = name.ends_with("_API_KEY") && !reward;
    Some(match (own, reward) {
        (true, _) => name,
        (false, true) => "REWARD_API_KEY".to_owned(),
        (false, false) => "OPENAI_API_KEY".to_owned(),
    })
}

/// Whether a value holds a secret: an address with a password, a key where the name of its environment variable
/// belongs, or JSON with a field named as one.
pub(super) fn within(value: &str) -> bool {
    let settings = value.split([',', ':']).filter_map(|setting| setting.split_once('='));
    let mut variables = settings.filter(|(name, _)| name.trim().ends_with(KEY_ENV));
    if variables.any(|(_, name)| !is_variable(name.trim().trim_matches('"'))) {
        return true;
    }
    let addresses = value.split("://").skip(1);
    let mut hosts = addresses.map(|rest| rest.split(['/', '?', '#', ',']).next().unwrap_or(rest));
    hosts.any(|host| host.contains('@'))
        || serde_json::from_str(value).is_ok_and(|json: serde_json::Value| named(&json).is_some())
}

/// Beginnings of keys.
const KEYS: [&str; 8] = ["sk-", "gsk_", "hf_", "xai-", "AIza", "nvapi-", "pplx-", "Bearer "];

/// Length from which a text with such a beginning is taken for a key.
const MIN_KEY_LENGTH: usize = 20;

/// The name of a field that holds a secret.
pub(crate) fn named(json: &serde_json::Value) -> Option<&str> {
    const NAMES: [&str; 11] = [
        "apikey",
        "password",
        "secret",
        "secretkey",
        "accesskey",
        "privatekey",
        "credentials",
        "authorization",
        "accesstoken",
        "authtoken",
        "bearertoken",
    ];
    // Depth is bounded: the parser of JSON bounds it.
    match json {
        serde_json::Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let name = key.to_ascii_lowercase().replace(['-', '_'], "");
            let value_text = value.as_str().unwrap_or_default();
            let is_secret = name == "token"
                || NAMES.iter().any(|secret| name.ends_with(secret))
                || (value_text.len() >= MIN_KEY_LENGTH
                    && KEYS.iter().any(|key| value_text.starts_with(key)));
            if is_secret { Some(key.as_str()) } else { named(value) }
        }),
        serde_json::Value::Array(items) => items.iter().find_map(named),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_name_their_variable() {
        for (table, key, expected) in [
            ("engine", "api-key", Some("API_KEY")),
            ("engine", "key", Some("OPENAI_API_KEY")),
            ("engine", "groq_api_key", Some("GROQ_API_KEY")),
            ("reward", "api_key", Some("REWARD_API_KEY")),
            ("", "reward-api-key", Some("REWARD_API_KEY")),
            ("sampling", "max-tokens", None),
            ("search", "prompts", None),
        ] {
            let expected = expected.map(|name| match name {
                "API_KEY" => "OPENAI_API_KEY",
                name => name,
            });
            assert_eq!(variable(table, key).as_deref(), expected, "{key}");
        }
    }

    #[test]
    fn passwords_in_values_are_seen() {
        for value in [
            "http://me:hunter2@host/v1#m",
            "vllm:url=https://k@host,weight=2",
            r#"{"a": [{"Api_Key": "x"}]}"#,
            r#"{"headers": {"X-Auth-Token": "x"}}"#,
            r#"{"token": "x"}"#,
            r#"{"provider": {"aws_access_key": "x"}}"#,
            r#"{"user": "sk-0123456789abcdefghij"}"#,
            "vllm:key-env=sk-123",
            "kl:url=http://host:1/v1,reference-key-env= gsk_abc,beta=1",
        ] {
            assert!(within(value), "{value}");
        }
        for value in [
            "http://host/v1#m@2",
            "vllm:url=http://host,name=a@b",
            "vllm:key-env=OTHER_KEY_2,url=http://host",
            "vllm:key-env=\"OTHER_KEY_2\",url=http://host",
            r#"{"stop_token_ids": [1]}"#,
            "me@host",
            "{",
        ] {
            assert!(!within(value), "{value}");
        }
    }
}
