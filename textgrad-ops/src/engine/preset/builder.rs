//! Builder of engines named in one line.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use textgrad_core::{Engine, EngineError, ErrorKind, truncate};

use super::table::{Api, KeyNeed, Preset, Quirk};
use crate::engine::http::HttpOptions;
use crate::engine::openai::{MaxTokensField, OpenAiBuilder, SeedField};
use crate::engine::{Anthropic, Gemini, OpenAi};
#[cfg(feature = "sim")]
use crate::sim::SimBuilder;

/// Settings of an engine that was named in one line; see [`engine`](super::engine()).
///
/// What does not concern the kind of engine is passed over: the simulation has no key.
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until it is built"]
pub struct EngineBuilder {
    kind: EngineKind,
    name: Option<String>,
    stream: bool,
    http: HttpOptions,
    max_tokens_field: Option<MaxTokensField>,
}

#[derive(Debug, Clone)]
enum EngineKind {
    #[cfg(feature = "sim")]
    Sim(SimBuilder),
    Server(Server),
}

#[derive(Debug, Clone)]
struct Server {
    /// None for a server that speaks chat completions and has no name.
    preset: Option<&'static Preset>,
    model: String,
    /// Another address than the preset's. It may hold a password.
    base_url: Option<SecretString>,
    key: Option<SecretString>,
    api_version: Option<String>,
}

#[cfg_attr(
    not(feature = "sim"),
    allow(
        irrefutable_let_patterns,
        clippy::infallible_destructuring_match,
        reason = "the other kind is the simulation"
    )
)]
impl EngineBuilder {
    fn new(kind: EngineKind) -> Self {
        Self {
            kind,
            name: None,
            stream: false,
            http: HttpOptions::default(),
            max_tokens_field: None,
        }
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulation(sim: SimBuilder) -> Self {
        Self::new(EngineKind::Sim(sim))
    }

    /// A server that speaks OpenAI's chat completions, such as `http://localhost:8000/v1`, and one of its
    /// models.
    pub fn compatible(base_url: impl Into<SecretString>, model: impl Into<String>) -> Self {
        Self::new(EngineKind::Server(Server {
            preset: None,
            model: model.into(),
            base_url: Some(base_url.into()),
            key: None,
            api_version: None,
        }))
    }

    pub(super) fn preset(
        preset: &'static Preset,
        model: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let version = (preset.api == Api::Azure).then(|| lookup("OPENAI_API_VERSION"));
        Self::new(EngineKind::Server(Server {
            preset: Some(preset),
            model: model.to_owned(),
            base_url: lookup(preset.base_url_var).map(Into::into),
            key: lookup(preset.key_var).map(Into::into),
            api_version: version.flatten(),
        }))
    }

    /// The server's key, instead of that of the environment.
    pub fn key(mut self, key: impl Into<SecretString>) -> Self {
        if let EngineKind::Server(server) = &mut self.kind {
            server.key = Some(key.into());
        }
        self
    }

    /// The address of the server, in place of that of the preset or the environment.
    pub fn base_url(mut self, base_url: impl Into<SecretString>) -> Self {
        if let EngineKind::Server(server) = &mut self.kind {
            server.base_url = Some(base_url.into());
        }
        self
    }

    /// The engine's name; `<preset>:<model>` by default, and `openai:<model>` without a preset. Traces take
    /// what is before the colon for the provider.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether responses are streamed. Default: false. The response is the same.
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = stream;
        self
    }

    /// HTTP settings: headers, timeouts, proxies.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// The name under which a server of chat completions takes the longest answer, instead of what the preset
    /// says.
    pub fn max_tokens_field(mut self, field: MaxTokensField) -> Self {
        self.max_tokens_field = Some(field);
        self
    }

    /// The engine, without any layer around it.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] if the server wants a key and there is none: the message names the variable that
    /// was looked at. [`ErrorKind::InvalidRequest`] if an address or another setting is wrong.
    pub fn build(self) -> Result<Arc<dyn Engine>, EngineError> {
        let server = match &self.kind {
            #[cfg(feature = "sim")]
            EngineKind::Sim(sim) => return Ok(Arc::new(sim.clone().build()?)),
            EngineKind::Server(server) => server,
        };
        let base_url = server.address()?;
        let base_url = base_url.expose_secret();
        let key = server.key()?;
        let name = self.name.unwrap_or_else(|| server.name());
        Ok(match server.preset.map_or(Api::Chat, |preset| preset.api) {
            Api::Messages => {
                let builder = Anthropic::builder(base_url, &server.model)
                    .stream(self.stream)
                    .http(self.http)
                    .name(name);
                Arc::new(match key {
                    Some(key) => builder.key(key).build()?,
                    None => builder.build()?,
                })
            }
            Api::GenerateContent => {
                let builder = Gemini::builder(base_url, &server.model)
                    .stream(self.stream)
                    .http(self.http)
                    .name(name);
                Arc::new(match key {
                    Some(key) => builder.key(key).build()?,
                    None => builder.build()?,
                })
            }
            api @ (Api::Chat | Api::Azure) => {
                let builder = OpenAi::builder(base_url, &server.model)
                    .stream(self.stream)
                    .http(self.http)
                    .name(name);
                let mut builder = server.with_quirks(builder);
                if let Some(field) = self.max_tokens_field {
                    builder = builder.max_tokens_field(field);
                }
                Arc::new(match key {
                    Some(key) if api == Api::Azure => builder.key_in("api-key", key).build()?,
                    Some(key) => builder.key(key).build()?,
                    None => builder.build()?,
                })
            }
        })
    }
}

impl Server {
    fn name(&self) -> String {
        let provider = self.preset.map_or("openai", |preset| preset.name);
        format!("{provider}:{}", self.model.trim())
    }

    fn address(&self) -> Result<SecretString, EngineError> {
        let given = self.base_url.as_ref().map(ExposeSecret::expose_secret);
        let Some(preset) = self.preset else {
            return Ok(given.unwrap_or_default().into());
        };
        let base_url = match given.unwrap_or(preset.base_url) {
            "" => {
                return Err(EngineError::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "expected the address of {} in the environment variable {}, got none; set it",
                        preset.name, preset.base_url_var
                    ),
                ));
            }
            base_url => base_url,
        };
        match preset.api {
            Api::Azure => {
                let version = self.api_version.as_deref();
                azure_base_url(base_url, self.model.trim(), version).map(Into::into)
            }
            _ => Ok(base_url.into()),
        }
    }

    fn key(&self) -> Result<Option<SecretString>, EngineError> {
        let Some(preset) = self.preset else {
            return Ok(self.key.clone());
        };
        // On Azure the address is everybody's own, and the server is Azure's all the same.
        let is_own = self.base_url.is_none() || preset.api == Api::Azure;
        if preset.key == KeyNeed::Required && is_own && self.key.is_none() {
            return Err(EngineError::new(
                ErrorKind::Auth,
                format!(
                    "expected the key of {} in the environment variable {}, got none; set it, or choose \
                     a local server such as ollama/llama3",
                    preset.name, preset.key_var
                ),
            ));
        }
        Ok(self.key.clone())
    }

    fn with_quirks(&self, mut builder: OpenAiBuilder) -> OpenAiBuilder {
        for quirk in self.preset.map(|preset| preset.quirks).unwrap_or_default() {
            builder = match quirk {
                Quirk::MaxCompletionTokens => {
                    builder.max_tokens_field(MaxTokensField::MaxCompletionTokens)
                }
                Quirk::NoN => builder.single_answers(),
                Quirk::NoSeed => builder.seed_field(SeedField::Unsent),
                Quirk::RandomSeed => builder.seed_field(SeedField::RandomSeed),
                Quirk::NoJsonSchema => builder.no_json_schema(),
                Quirk::NoStreamOptions => builder.no_stream_options(),
            };
        }
        builder
    }
}

/// The version of the API unless the environment names another: the last one that is dated and not a preview.
const API_VERSION: &str = "2024-10-21";

/// The base URL of a deployment's chat completions.
fn azure_base_url(
    endpoint: &str,
    deployment: &str,
    version: Option<&str>,
) -> Result<String, EngineError> {
    let version = version.unwrap_or(API_VERSION);
    plain("the name of a deployment", deployment)?;
    plain("a version of the API such as 2024-10-21 in OPENAI_API_VERSION", version)?;
    // The path goes behind the endpoint, so nothing may follow it there.
    if endpoint.contains(['?', '#']) {
        return Err(EngineError::new(
            ErrorKind::InvalidRequest,
            "expected an endpoint such as https://RESOURCE.openai.azure.com in \
             AZURE_OPENAI_ENDPOINT, got one with a query or a fragment",
        ));
    }
    let endpoint = endpoint.trim().trim_end_matches('/');
    Ok(format!("{endpoint}/openai/deployments/{deployment}?api-version={version}"))
}

/// Refuses what would change the address in another place than its own.
fn plain(what: &str, text: &str) -> Result<(), EngineError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if text.bytes().all(is_plain) && text.bytes().any(|b| b != b'.') {
        return Ok(());
    }
    let got = truncate(text, 80);
    Err(EngineError::new(ErrorKind::InvalidRequest, format!("expected {what}, got {got:?}")))
}
