//! Builder of engines named in one line.

use std::sync::Arc;

use derive_setters::Setters;
use secrecy::{ExposeSecret, SecretString};
use textgrad_core::{Engine, EngineError, ErrorKind, truncate};

use super::table::{Api, KeyNeed, Preset, Quirk};
use crate::engine::anthropic::AnthropicBuilder;
use crate::engine::gemini::GeminiBuilder;
use crate::engine::http::{JsonClient, JsonClientBuilder, served_models};
use crate::engine::openai::{GrammarField, MaxTokensField, OpenAiBuilder, SeedField};
use crate::engine::wire::ModelSettings;
use crate::engine::{invalid, is_path_segment};
#[cfg(feature = "local")]
use crate::local::LocalEngineBuilder;
#[cfg(feature = "sim")]
use crate::sim::SimBuilder;

/// A server that speaks chat completions and has no name.
pub(super) const COMPATIBLE: Preset = Preset {
    name: "openai",
    api: Api::Chat,
    base_url: "",
    base_url_var: "",
    key: KeyNeed::Optional,
    key_var: "TEXTGRAD_API_KEY",
    quirks: &[],
};

/// Settings of an engine that was named in one line; see [`engine`](super::engine()).
///
/// What does not concern the kind of engine is passed over: the simulation has no key.
#[derive(Debug, Clone, Setters)]
#[setters(into, strip_option)]
#[must_use = "a builder makes nothing until it is built"]
pub struct EngineBuilder {
    #[setters(skip)]
    kind: EngineKind,
    #[setters(skip)]
    pub(crate) client: JsonClientBuilder,
    #[setters(skip)]
    pub(crate) model: ModelSettings,
    /// The address of the server, in place of that of the preset or the environment.
    base_url: Option<SecretString>,
    /// The name under which a server of chat completions takes the longest answer, instead of what the preset
    /// says.
    max_tokens_field: Option<MaxTokensField>,
    /// Whether a server of chat completions is sent [predictions](textgrad_core::Request::prediction) of answers.
    /// Default: false.
    #[setters(strip_option = false)]
    predicted_outputs: bool,
    #[setters(skip)]
    api_version: Option<String>,
}

#[derive(Debug, Clone)]
enum EngineKind {
    #[cfg(feature = "sim")]
    Sim(SimBuilder),
    #[cfg(feature = "local")]
    Local(LocalEngineBuilder),
    Server(Preset),
}

impl EngineBuilder {
    fn new(kind: EngineKind, model: impl Into<String>) -> Self {
        Self {
            kind,
            client: JsonClient::builder(""),
            model: ModelSettings::new(model),
            base_url: None,
            max_tokens_field: None,
            predicted_outputs: false,
            api_version: None,
        }
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulation(sim: SimBuilder) -> Self {
        Self::new(EngineKind::Sim(sim), "")
    }

    #[cfg(feature = "local")]
    pub(super) fn local(local: LocalEngineBuilder) -> Self {
        Self::new(EngineKind::Local(local), "")
    }

    /// The settings of a model in the process; none for other engines.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn local_model(&self) -> Option<&LocalEngineBuilder> {
        match &self.kind {
            EngineKind::Local(local) => Some(local),
            _ => None,
        }
    }

    /// A server that speaks OpenAI's chat completions, such as `http://localhost:8000/v1`, and one of its
    /// models.
    pub fn compatible(base_url: impl Into<SecretString>, model: impl Into<String>) -> Self {
        Self::new(EngineKind::Server(COMPATIBLE), model).base_url(base_url)
    }

    pub(super) fn preset(
        preset: Preset,
        model: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut builder = Self::new(EngineKind::Server(preset), model);
        builder.base_url = lookup(preset.base_url_var).map(Into::into);
        builder.client.key = lookup(preset.key_var).map(Into::into);
        if preset.api == Api::Azure {
            builder.api_version = lookup("OPENAI_API_VERSION");
        }
        builder
    }

    /// The name of the model, in place of the one in the line.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model.id = model.into();
        self
    }

    /// Whether the engine takes a [grammar](textgrad_core::Format::Grammar), as far as is known.
    #[must_use]
    pub fn takes_grammars(&self) -> bool {
        let is_grammar = |quirk: &Quirk| {
            matches!(
                quirk,
                Quirk::Grammar | Quirk::StructuredOutputs | Quirk::Ebnf | Quirk::GrammarFormat
            )
        };
        match &self.kind {
            #[cfg(feature = "sim")]
            EngineKind::Sim(_) => false,
            #[cfg(feature = "local")]
            EngineKind::Local(_) => true,
            EngineKind::Server(preset) => preset.quirks.iter().any(is_grammar),
        }
    }

    /// The names of the models that the server lists, for servers with OpenAI's chat API.
    ///
    /// # Errors
    /// As [`build`](Self::build); those of the request.
    pub async fn served_models(&self) -> Result<Vec<String>, EngineError> {
        served_models(&self.models_client()?, "models").await
    }

    /// The client of the server's own chat API, and the name of its model; none for servers with another API.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn chat_client(&self) -> Result<Option<(JsonClient, String)>, EngineError> {
        let is_chat = matches!(&self.kind, EngineKind::Server(preset) if preset.api == Api::Chat);
        is_chat.then(|| Ok((self.models_client()?, self.model.id.clone()))).transpose()
    }

    /// The address and the models of a server on this machine. None for a server that does not list them, or that
    /// is elsewhere, which is sent nothing.
    pub(super) async fn local_models(&self) -> Option<(String, Vec<String>)> {
        let client = self.models_client().ok().filter(JsonClient::is_loopback)?;
        Some((client.base_url(), served_models(&client, "models").await.ok()?))
    }

    fn models_client(&self) -> Result<JsonClient, EngineError> {
        let preset = match &self.kind {
            EngineKind::Server(preset) if preset.api == Api::Chat => *preset,
            _ => return Err(invalid("expected a server with OpenAI's chat API")),
        };
        let mut client = self.client.clone();
        client.default_path = "/v1";
        client.base_url = self.address(&preset)?;
        self.check_key(&preset)?;
        client.build()
    }

    /// The engine, without any layer around it. Blocking for a model in the process, which is loaded.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] if the server wants a key and there is none: the message names the variable that
    /// was looked at. [`ErrorKind::InvalidRequest`] if an address or another setting is wrong. Those of
    /// `LocalEngineBuilder::build` for a model in the process.
    #[cfg_attr(
        not(any(feature = "sim", feature = "local")),
        allow(clippy::infallible_destructuring_match, reason = "the other kinds are features")
    )]
    pub fn build(mut self) -> Result<Arc<dyn Engine>, EngineError> {
        let preset = match &self.kind {
            #[cfg(feature = "sim")]
            EngineKind::Sim(sim) => return Ok(Arc::new(sim.clone().build()?)),
            #[cfg(feature = "local")]
            EngineKind::Local(local) => return Ok(Arc::new(local.clone().build()?)),
            EngineKind::Server(preset) => *preset,
        };
        self.client.base_url = self.address(&preset)?;
        self.check_key(&preset)?;
        let model = self.model.named(preset.name)?;
        Ok(match preset.api {
            Api::Messages => Arc::new(AnthropicBuilder::new(self.client, model).build()?),
            Api::GenerateContent => Arc::new(GeminiBuilder::new(self.client, model).build()?),
            Api::Chat | Api::Azure => {
                if preset.api == Api::Azure {
                    self.client.key_header.get_or_insert_with(|| "api-key".to_owned());
                }
                let mut builder = OpenAiBuilder::new(self.client, model);
                for quirk in preset.quirks {
                    builder = with_quirk(builder, *quirk);
                }
                if let Some(field) = self.max_tokens_field {
                    builder = builder.max_tokens_field(field);
                }
                if self.predicted_outputs {
                    builder = builder.predicted_outputs();
                }
                Arc::new(builder.build()?)
            }
        })
    }

    fn address(&self, preset: &Preset) -> Result<SecretString, EngineError> {
        let base_url = match (&self.base_url, preset.base_url) {
            (Some(base_url), _) => base_url.clone(),
            (None, "") => {
                return Err(invalid(format!(
                    "expected the address of {} in the environment variable {}, got none; set it",
                    preset.name, preset.base_url_var
                )));
            }
            (None, base_url) => base_url.into(),
        };
        if preset.api != Api::Azure {
            return Ok(base_url);
        }
        let version = self.api_version.as_deref();
        azure_base_url(base_url.expose_secret(), self.model.id.trim(), version).map(Into::into)
    }

    fn check_key(&self, preset: &Preset) -> Result<(), EngineError> {
        // On Azure the address is everybody's own, and the server is Azure's all the same.
        let is_preset = self.base_url.is_none() || preset.api == Api::Azure;
        if preset.key == KeyNeed::Required && is_preset && self.client.key.is_none() {
            return Err(EngineError::new(
                ErrorKind::Auth,
                format!(
                    "expected the key of {} in the environment variable {}, got none; set it, or choose \
                     a local server such as ollama/llama3",
                    preset.name, preset.key_var
                ),
            ));
        }
        Ok(())
    }
}

fn with_quirk(builder: OpenAiBuilder, quirk: Quirk) -> OpenAiBuilder {
    match quirk {
        Quirk::MaxCompletionTokens => builder.max_tokens_field(MaxTokensField::MaxCompletionTokens),
        Quirk::NoN => builder.single_answers(),
        Quirk::NoSeed => builder.seed_field(SeedField::Unsent),
        Quirk::RandomSeed => builder.seed_field(SeedField::RandomSeed),
        Quirk::NoJsonSchema => builder.no_json_schema(),
        Quirk::Grammar => builder.grammar_field(GrammarField::Grammar),
        Quirk::StructuredOutputs => builder.grammar_field(GrammarField::StructuredOutputs),
        Quirk::Ebnf => builder.grammar_field(GrammarField::Ebnf),
        Quirk::GrammarFormat => builder.grammar_field(GrammarField::ResponseFormat),
        Quirk::NoStreamOptions => builder.no_stream_options(),
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
        return Err(invalid(
            "expected an endpoint such as https://RESOURCE.openai.azure.com in \
             AZURE_OPENAI_ENDPOINT, got one with a query or a fragment",
        ));
    }
    let endpoint = endpoint.trim().trim_end_matches('/');
    Ok(format!("{endpoint}/openai/deployments/{deployment}?api-version={version}"))
}

/// Refuses what would change the address in another place than its own.
fn plain(what: &str, text: &str) -> Result<(), EngineError> {
    if is_path_segment(text) {
        return Ok(());
    }
    Err(invalid(format!("expected {what}, got {:?}", truncate(text, 80))))
}
