//! Base URLs in the forms that people write, without their secrets.

use std::net::IpAddr;

use reqwest::Url;
use textgrad_core::EngineError;

use crate::engine::invalid;

/// Paths of requests that stand at the end of a URL where a base URL is expected.
const ROUTES: [&str; 8] = [
    "/chat/completions",
    "/completions",
    "/messages",
    "/classify",
    "/pooling",
    "/predict",
    "/get_reward",
    "/models",
];

/// The scheme of a URL that has none: `http` for this machine and for a host with a port, else `https`.
fn scheme_of(text: &str) -> &'static str {
    let host = text.split(['/', '?']).next().unwrap_or_default();
    let is_plain = host.contains(':') || host == "localhost" || host.starts_with("127.");
    if is_plain { "http" } else { "https" }
}

/// Whether a text without a scheme can name a host: one word could be anything.
fn names_host(text: &str) -> bool {
    let host = text.split(['/', '?']).next().unwrap_or_default();
    host == "localhost" || host.contains(['.', ':'])
}

/// A validated base URL. Its user information and query are sent, never shown.
#[derive(Clone)]
pub(super) struct BaseUrl(Url);

impl BaseUrl {
    /// Reads a base URL such as `http://localhost:8000/v1`, with or without a slash at its end.
    ///
    /// Blanks and quotes around it, a missing scheme, and the path of a request at its end are mended. A URL without
    /// a path gets `default_path`.
    pub(super) fn parse(text: &str, default_path: &str) -> Result<Self, EngineError> {
        // The text is not repeated in the error: it may hold a password.
        let wrong = |what: String| {
            invalid(format!("expected a base URL such as http://localhost:8000/v1, {what}"))
        };
        let text = text.trim_matches(|c: char| c.is_whitespace() || "\"'`<>".contains(c));
        let has_scheme = text.contains("://");
        let full = match has_scheme {
            true => text.to_owned(),
            false if text.contains('@') || !names_host(text) => {
                return Err(wrong("but it has no scheme".into()));
            }
            false => format!("{}://{text}", scheme_of(text)),
        };
        let mut url =
            Url::parse(&full).map_err(|error| wrong(format!("but it is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("but it does not begin with http:// or https://".into()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("but it names no host".into()));
        }
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        let route = ROUTES.iter().find_map(|route| path.strip_suffix(route));
        let base_path = match route.unwrap_or(&path) {
            "" => default_path,
            base_path => base_path,
        };
        url.set_path(base_path);
        let base = Self(url);
        if !has_scheme || base_path != path {
            tracing::warn!("the base URL is read as {}", base.shown());
        }
        Ok(base)
    }

    /// Whether the server is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_address = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_address || host == "localhost" || host.ends_with(".localhost")
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
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

    /// The URL without a version of the API at its end, where servers have routes of their own.
    pub(super) fn root(&self) -> Self {
        let mut url = self.0.clone();
        if let Some(path) = self.0.path().trim_end_matches('/').strip_suffix("/v1") {
            url.set_path(path);
        }
        Self(url)
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

/// Where requests go. Its user information and query are sent, never shown.
#[derive(Clone)]
pub(crate) struct Route(pub(super) Url);

textgrad_core::debug_by!(Route {});

/// Scheme, host, port and path of a URL: what an error may name.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests {
    use super::BaseUrl;

    /// Kind: Errors | a base URL without a scheme or `/v1`, with a route, slashes, quotes or blanks | mended; noted
    #[test]
    fn base_urls_are_read_as_people_write_them() {
        for text in [
            "http://h:1/v1",
            "h:1",
            "h:1/v1/",
            "'http://h:1'",
            "\"http://h:1/v1/\" ",
            "http://h:1/v1/chat/completions",
            "h:1/v1/chat/completions/",
            "http://h:1/v1/models",
            "<http://h:1/>",
        ] {
            assert_eq!(BaseUrl::parse(text, "/v1").unwrap().shown(), "http://h:1/v1", "{text}");
        }
        for (text, expected) in [
            ("localhost", "http://localhost/v1"),
            ("api.example.com", "https://api.example.com/v1"),
            ("api.example.com/openai/v1/completions", "https://api.example.com/openai/v1"),
            ("https://h/inference", "https://h/inference"),
        ] {
            assert_eq!(BaseUrl::parse(text, "/v1").unwrap().shown(), expected, "{text}");
        }
        assert_eq!(BaseUrl::parse("http://h:1/classify", "").unwrap().shown(), "http://h:1/");
    }

    #[test]
    fn servers_on_this_machine_are_known() {
        for (text, is_loopback) in [
            ("localhost:8000", true),
            ("http://127.0.0.2/v1", true),
            ("http://[::1]:8000", true),
            ("http://a.localhost", true),
            ("http://192.168.1.2", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(BaseUrl::parse(text, "").unwrap().is_loopback(), is_loopback, "{text}");
        }
    }
}
