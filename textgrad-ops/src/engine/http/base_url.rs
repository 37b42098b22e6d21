//! Base URLs, and their form without secrets.

use reqwest::Url;
use textgrad_core::{EngineError, ErrorKind};

/// A validated base URL. Its user information and query are sent, never shown.
#[derive(Clone)]
pub(super) struct BaseUrl(Url);

impl BaseUrl {
    /// Reads a base URL such as `http://localhost:8000/v1`, with or without a slash at its end.
    pub(super) fn parse(text: &str) -> Result<Self, EngineError> {
        // The text is not repeated in the error: it may hold a password.
        let invalid = |what: String| {
            EngineError::new(
                ErrorKind::InvalidRequest,
                format!("expected a base URL such as http://localhost:8000/v1, {what}"),
            )
        };
        let mut url = Url::parse(text.trim())
            .map_err(|error| invalid(format!("but it is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("but it does not begin with http:// or https://".into()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("but it names no host".into()));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The URL of a path below this one; the query stays, and one that the path brings follows it.
    pub(super) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let base = self.0.path().trim_end_matches('/');
        let path = path.trim_start_matches('/');
        if path.is_empty() {
            url.set_path(base);
        } else {
            url.set_path(&format!("{base}/{path}"));
        }
        if let Some(query) = query {
            let own = url.query().map(|own| format!("{own}&")).unwrap_or_default();
            url.set_query(Some(&format!("{own}{query}")));
        }
        url
    }

    /// Whether the URL brings a user or a password, which become an `Authorization` header.
    pub(super) fn has_credentials(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// The parts of the URL that nobody may be shown.
    pub(super) fn secrets(&self) -> Vec<String> {
        let password = self.0.password().map(str::to_owned);
        let query = self.0.query_pairs().map(|(_, value)| value.into_owned());
        password.into_iter().chain(query).collect()
    }

    /// The URL without user information, query and fragment.
    pub(super) fn shown(&self) -> String {
        shown(&self.0)
    }
}

/// Scheme, host, port and path of a URL: what an error may name.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_joined_with_and_without_slashes() {
        for base in ["http://h:1/v1", "http://h:1/v1/", " http://h:1/v1// "] {
            let base = BaseUrl::parse(base).unwrap();
            for path in ["chat/completions", "/chat/completions"] {
                assert_eq!(base.join(path).as_str(), "http://h:1/v1/chat/completions");
            }
            assert_eq!(base.join("").as_str(), "http://h:1/v1");
        }
        let root = BaseUrl::parse("http://h").unwrap();
        assert_eq!(root.join("classify").as_str(), "http://h/classify");
    }

    #[test]
    fn the_query_of_a_path_follows_that_of_the_base_url() {
        let base = BaseUrl::parse("http://h/v1").unwrap();
        assert_eq!(base.join("a:b?alt=sse").as_str(), "http://h/v1/a:b?alt=sse");
        let base = BaseUrl::parse("http://h/v1?x=1").unwrap();
        assert_eq!(base.join("a?alt=sse").as_str(), "http://h/v1/a?x=1&alt=sse");
    }

    #[test]
    fn a_query_is_sent_but_not_shown() {
        let base = BaseUrl::parse("https://user:pass-word@h/v1?api-version=2024#x").unwrap();
        assert_eq!(base.join("chat").as_str(), "https://user:pass-word@h/v1/chat?api-version=2024");
        assert_eq!(base.shown(), "https://h/v1");
        assert!(base.has_credentials());
        assert_eq!(base.secrets(), ["pass-word", "2024"]);
    }

    #[test]
    fn what_is_no_base_url_is_named_without_being_repeated() {
        for text in ["", "localhost", "user:hunter2@host/v1", "ftp://hunter2", "http://"] {
            let error = BaseUrl::parse(text).map(|base| base.shown()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains("http://localhost:8000/v1"), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
