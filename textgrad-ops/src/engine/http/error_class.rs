//! Classes of errors: one table of statuses, and of words in codes and messages.

use std::sync::LazyLock;

use serde::Deserialize;
use textgrad_core::ErrorKind;

/// Words that name a class at some statuses.
#[derive(Deserialize)]
struct Rule {
    kind: ErrorKind,
    at: Statuses,
    /// One of them is in the message, the type or the code, in lower case.
    any: Vec<String>,
    /// None of them is.
    #[serde(default)]
    none: Vec<String>,
}

/// The statuses at which words count. An error in a successful reply has none.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Statuses {
    Any,
    /// None, and those of a server that is not ready.
    NotReady,
    /// None, and those of a request that was declined.
    Declined,
    /// None, and those of a limit.
    Limited,
    /// None, 400 and 403: statuses that say little by themselves.
    Vague,
    None,
}

impl Statuses {
    fn contains(self, status: Option<u16>) -> bool {
        let Some(status) = status else { return true };
        match self {
            Self::Any => true,
            Self::NotReady => matches!(status, 409 | 423..=425 | 429 | 502..=504 | 529),
            Self::Declined => matches!(status, 400 | 403 | 406 | 409 | 422 | 451),
            Self::Limited => matches!(status, 402 | 403 | 429),
            Self::Vague => matches!(status, 400 | 403),
            Self::None => false,
        }
    }
}

/// The first rule that fits counts. Quotas of a day go before limits of a minute, whose words they share; Google
/// writes of a quota where the limit of a minute is meant.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("error_words.json")).unwrap_or_else(|error| {
        // A test reads the file, so this is seen only while it is edited.
        tracing::error!(%error, "error_words.json cannot be parsed: errors are classified by status alone");
        Vec::new()
    })
});

/// The class of an error by its status, if it has one, and its words in lower case.
pub(super) fn class(status: Option<u16>, words: &str) -> ErrorKind {
    let has = |needles: &[String]| needles.iter().any(|needle| words.contains(needle));
    let fits = |rule: &&Rule| rule.at.contains(status) && has(&rule.any) && !has(&rule.none);
    if let Some(rule) = RULES.iter().find(fits) {
        return rule.kind;
    }
    match status {
        Some(401 | 403) => ErrorKind::Auth,
        Some(402) => ErrorKind::Quota,
        Some(404 | 410) => ErrorKind::NotFound,
        Some(408) => ErrorKind::Timeout,
        // Groq's status for want of capacity.
        Some(429 | 498) => ErrorKind::RateLimited,
        Some(451) => ErrorKind::Refused,
        // Conflicts, locks, failures of a server behind the server, a client of its own that gave up: they pass.
        Some(409 | 421 | 423..=425 | 499) => ErrorKind::Server,
        Some(300..=499) => ErrorKind::InvalidRequest,
        None | Some(500..=599) => ErrorKind::Server,
        Some(_) => ErrorKind::BadResponse,
    }
}

/// Advice for an error of a class, where something can be done.
pub(super) fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Auth => "; check the key and what it is allowed to do",
        ErrorKind::Quota => "; check the account's plan and credit",
        ErrorKind::NotFound => "; check the base URL and the name of the model",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use ErrorKind::*;

    use super::*;

    #[test]
    fn a_status_has_its_class() {
        let table = [
            (301, InvalidRequest),
            (400, InvalidRequest),
            (401, Auth),
            (402, Quota),
            (403, Auth),
            (404, NotFound),
            (408, Timeout),
            (409, Server),
            (410, NotFound),
            (413, InvalidRequest),
            (421, Server),
            (422, InvalidRequest),
            (423, Server),
            (424, Server),
            (425, Server),
            (429, RateLimited),
            (451, Refused),
            (498, RateLimited),
            (499, Server),
            (500, Server),
            (502, Server),
            (503, Server),
            (504, Server),
            (520, Server),
            (529, Server),
        ];
        for (status, kind) in table {
            assert_eq!(class(Some(status), ""), kind, "{status}");
        }
    }

    /// Kind: Errors | a limit of a day or month, a lack of credit, at any status | final; the advice
    /// names plan and credit
    #[test]
    fn limits_that_no_retry_outlasts_are_final() {
        for (status, words, kind) in [
            (
                429,
                "you exceeded your current quota, please check your plan\ninsufficient_quota",
                Quota,
            ),
            (429, "rate limit reached on tokens per day (tpd): limit 100000", Quota),
            (429, "rate limit exceeded: free-models-per-day. add 10 credits", Quota),
            (429, "exceeded your current quota\ngeneraterequestsperdayperproject", Quota),
            (429, "exceeded your current quota\ngeneraterequestsperminuteperproject", RateLimited),
            (429, "exceeded your current quota\nresource_exhausted", RateLimited),
            (429, "on requests per min (rpm): limit 3. add a payment method", RateLimited),
            (429, "free-models-per-min", RateLimited),
            (429, "上游余额不足", Quota),
            (400, "your credit balance is too low", Quota),
            (403, "key limit exceeded (monthly limit)", Quota),
            (403, "api rate limit exceeded for this address", RateLimited),
            (429, "request too large for m on tokens per min (tpm): limit 10000", InvalidRequest),
            (400, "rate exceeded\ncom.amazon.coral.availability#throttlingexception", RateLimited),
            (503, "monthly report service is down", Server),
            (500, "no available channel\ninsufficient_user_quota", Quota),
        ] {
            assert_eq!(class(Some(status), words), kind, "{status} {words}");
        }
    }

    /// Kind: Errors | 400 or 403 of a content filter | final, in the words of the provider
    #[test]
    fn a_refusal_is_not_a_matter_of_the_key() {
        for (status, words, kind) in [
            (403, "your input was flagged for \"violence\"", Refused),
            (403, "m requires moderation on openai", Refused),
            (400, "filtered by the content management policy\ncontent_filter", Refused),
            (400, "content exists risk\ninvalid_request_error", Refused),
            (400, "input data may contain inappropriate content.\ndata_inspection_failed", Refused),
            (403, "this key may not use the model", Auth),
            (401, "the moderation key is wrong", Auth),
            (400, "api key not valid", Auth),
            (400, "unsupported parameter: 'temperature'", InvalidRequest),
        ] {
            assert_eq!(class(Some(status), words), kind, "{status} {words}");
        }
    }

    #[test]
    fn a_model_that_loads_is_not_one_that_cannot() {
        for (status, words, kind) in [
            (503, "loading model\nunavailable_error", Loading),
            (503, "model m is currently loading", Loading),
            (425, "model is warming up", Loading),
            (429, "the endpoint is still starting up", Loading),
            (503, "error loading model: out of memory", Server),
            (503, "loading model failed", Server),
            (500, "is loading", Server),
            (404, "is loading", NotFound),
        ] {
            assert_eq!(class(Some(status), words), kind, "{status} {words}");
        }
    }

    #[test]
    fn an_error_without_a_status_has_the_class_of_its_words() {
        for (words, kind) in [
            ("rate_limit_error", RateLimited),
            ("throttling.ratequota", RateLimited),
            ("invalid_request_error", InvalidRequest),
            ("overloaded_error", Server),
            ("loading model", Loading),
            ("daily limit reached", Quota),
            ("blocked\nprohibited_content", Refused),
            ("model_not_found", NotFound),
            ("incorrect api key provided", Auth),
            ("", Server),
        ] {
            assert_eq!(class(None, words), kind, "{words}");
        }
    }
}
