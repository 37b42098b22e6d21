//! The servers that are known by name.

use serde::Serialize;
use strum::Display;

/// The API that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Display)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Api {
    /// OpenAI's chat completions: [`OpenAi`](crate::engine::OpenAi).
    #[strum(to_string = "chat completions")]
    Chat,
    /// The same at a deployment on Azure, with its own path, version and header.
    #[strum(to_string = "chat completions on Azure")]
    Azure,
    /// Anthropic's Messages: [`Anthropic`](crate::engine::Anthropic).
    #[strum(to_string = "Anthropic's Messages")]
    Messages,
    /// Google's `generateContent`: [`Gemini`](crate::engine::Gemini).
    #[strum(to_string = "Google's generateContent")]
    GenerateContent,
}

/// Whether a server wants a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyNeed {
    /// It refuses who has none.
    Required,
    /// It may be set up to want one.
    Optional,
}

/// In what a server departs from OpenAI's own chat completions, as vLLM has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Display)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quirk {
    /// The longest answer is sent as `max_completion_tokens`.
    #[strum(to_string = "max_completion_tokens")]
    MaxCompletionTokens,
    /// One answer at a time: `n` is not sent, and
    /// [`complete_choices`](crate::layer::EngineExt::complete_choices) asks for the
    /// others.
    #[strum(to_string = "one answer a request")]
    NoN,
    /// The seed is not sent.
    #[strum(to_string = "no seed")]
    NoSeed,
    /// The seed is sent as `random_seed`.
    #[strum(to_string = "seed as random_seed")]
    RandomSeed,
    /// A [`format`](textgrad_core::Request::format) is refused with
    /// [`Unsupported`](textgrad_core::ErrorKind::Unsupported).
    #[strum(to_string = "no JSON schema")]
    NoJsonSchema,
    /// A [grammar](textgrad_core::Format::Grammar) is sent as `grammar`. Without one of these four, it is refused.
    #[strum(to_string = "grammars")]
    Grammar,
    /// A grammar is sent as `structured_outputs`, by vLLM from 0.11 on.
    #[strum(to_string = "grammars as structured_outputs")]
    StructuredOutputs,
    /// A grammar is sent as `ebnf`.
    #[strum(to_string = "grammars as ebnf")]
    Ebnf,
    /// A grammar is sent as `response_format`.
    #[strum(to_string = "grammars as response_format")]
    GrammarFormat,
    /// `stream_options` is not sent.
    #[strum(to_string = "no stream_options")]
    NoStreamOptions,
}

/// A server that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Preset {
    /// What stands before the slash: `ollama` in `ollama/llama3`.
    pub name: &'static str,
    /// The API it speaks.
    pub api: Api,
    /// Where it is; empty where only the environment can tell.
    pub base_url: &'static str,
    /// The environment variable whose value replaces the base URL.
    pub base_url_var: &'static str,
    /// Whether it wants a key.
    pub key: KeyNeed,
    /// The environment variable that holds the key.
    pub key_var: &'static str,
    /// Where it departs from the API.
    pub quirks: &'static [Quirk],
}

impl Preset {
    /// The preset of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }
}

/// Makes the table and its documentation of the same rows.
macro_rules! presets {
    ($($name:literal $api:ident $url:literal $url_var:literal $need:ident $key_var:literal [$($quirk:ident)*])*) => {
        /// All servers that are known by name.
        ///
        /// | preset | API | base URL | replaced by | key | quirks |
        /// |---|---|---|---|---|---|
        $(#[doc = concat!(
            "| `", $name, "` | [`", stringify!($api), "`](Api::", stringify!($api), ") | [", $url, "](", $url,
            ") | `", $url_var, "` | `", $key_var, "`, ", stringify!($need), " | ",
            $("[`", stringify!($quirk), "`](Quirk::", stringify!($quirk), ") ",)* "|"
        )])*
        pub const PRESETS: &[Preset] = &[$(Preset {
            name: $name,
            api: Api::$api,
            base_url: $url,
            base_url_var: $url_var,
            key: KeyNeed::$need,
            key_var: $key_var,
            quirks: &[$(Quirk::$quirk),*],
        }),*];
    };
}

presets! {
    "openai" Chat "https://api.openai.com/v1" "OPENAI_BASE_URL" Required "OPENAI_API_KEY" [MaxCompletionTokens]
    "anthropic" Messages "https://api.anthropic.com" "ANTHROPIC_BASE_URL" Required "ANTHROPIC_API_KEY" []
    "gemini" GenerateContent "https://generativelanguage.googleapis.com/v1beta" "GEMINI_BASE_URL" Required "GEMINI_API_KEY" []
    "azure" Azure "" "AZURE_OPENAI_ENDPOINT" Required "AZURE_OPENAI_API_KEY" [MaxCompletionTokens]
    "ollama" Chat "http://localhost:11434/v1" "OLLAMA_BASE_URL" Optional "OLLAMA_API_KEY" [NoN]
    "vllm" Chat "http://localhost:8000/v1" "VLLM_BASE_URL" Optional "VLLM_API_KEY" [StructuredOutputs]
    "llamacpp" Chat "http://localhost:8080/v1" "LLAMACPP_BASE_URL" Optional "LLAMA_API_KEY" [Grammar]
    "sglang" Chat "http://localhost:30000/v1" "SGLANG_BASE_URL" Optional "SGLANG_API_KEY" [Ebnf]
    "lmstudio" Chat "http://localhost:1234/v1" "LMSTUDIO_BASE_URL" Optional "LMSTUDIO_API_KEY" [NoN]
    "groq" Chat "https://api.groq.com/openai/v1" "GROQ_BASE_URL" Required "GROQ_API_KEY" [MaxCompletionTokens NoN]
    "together" Chat "https://api.together.xyz/v1" "TOGETHER_BASE_URL" Required "TOGETHER_API_KEY" []
    "openrouter" Chat "https://openrouter.ai/api/v1" "OPENROUTER_BASE_URL" Required "OPENROUTER_API_KEY" [NoN]
    "mistral" Chat "https://api.mistral.ai/v1" "MISTRAL_BASE_URL" Required "MISTRAL_API_KEY" [RandomSeed NoStreamOptions]
    "deepseek" Chat "https://api.deepseek.com/v1" "DEEPSEEK_BASE_URL" Required "DEEPSEEK_API_KEY" [NoN NoSeed NoJsonSchema]
    "fireworks" Chat "https://api.fireworks.ai/inference/v1" "FIREWORKS_BASE_URL" Required "FIREWORKS_API_KEY" [GrammarFormat]
    "xai" Chat "https://api.x.ai/v1" "XAI_BASE_URL" Required "XAI_API_KEY" [MaxCompletionTokens]
}
