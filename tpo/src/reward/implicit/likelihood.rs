//! Likelihood of an answer under a model.

use derive_setters::Setters;
use serde_json::Value as Json;
use strum::EnumString;
#[cfg(feature = "local")]
use textgrad_core::Engine;
use textgrad_core::{EngineError, ErrorKind, truncate};
#[cfg(feature = "local")]
use textgrad_ops::local::LocalEngine;
use textgrad_ops::{ChatTemplate, ChatTemplateError};

use crate::query::Query;
use crate::reward::http::{Asked, Server, ServerSettings};
use crate::reward::{conversation, refused};

pub(super) const COMPLETIONS: &str = "v1/completions";

/// What vLLM, and what is modelled on it, writes for a probability of 0, which JSON has no logarithm of.
const MIN_LOGPROB: f64 = -9999.0;

/// How a server reports the logprobs of a prompt's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum LikelihoodApi {
    /// vLLM's own fields: `prompt_logprobs` of `/v1/completions`, and `/tokenize`, which says where the answer
    /// begins. Three requests for an answer.
    #[default]
    PromptLogprobs,
    /// The older way of OpenAI's `/v1/completions`: `echo` with `logprobs`. One request for an answer. vLLM and
    /// SGLang have it. Many servers leave `echo` out without a word (llama.cpp), or refuse it beside
    /// `logprobs` (OpenAI for the models of today): both are errors.
    ///
    /// Where the answer begins is read off the tokens, as far as they spell the prompt, else off `text_offset`,
    /// if it adds up to the prompt in characters or in bytes; what does neither is an error.
    Echo,
}

/// How likely a model finds answers, by the logprobs of the tokens of a prompt. Cheap to clone.
///
/// The model is in the process (`Likelihood::local`, feature `local`) or behind a server that reports these
/// logprobs in one of the ways of [`LikelihoodApi`]. Query and answer are written by the model's own chat template.
/// What counts are the tokens behind the ones with which the template's generation prompt ends, up to and with the
/// mark that ends the answer: what the model would have written. The servers' tokenizer begins texts with the special
/// token, so a template's own is taken away.
///
/// # Examples
/// ```
/// use tpo::{ChatTemplate, Likelihood};
///
/// let template = ChatTemplate::from_source("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}\
///     {% if add_generation_prompt %}[assistant]{% endif %}", None)?;
/// let policy = Likelihood::builder("http://localhost:8000", "my-policy", template).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Likelihood {
    pub(super) model: String,
    template: ChatTemplate,
    source: Source,
}

/// Where the logprobs come from.
#[derive(Debug, Clone)]
enum Source {
    Server(LikelihoodApi, Server),
    #[cfg(feature = "local")]
    Process(LocalEngine),
}

/// Settings of a [`Likelihood`].
#[derive(Debug, Setters)]
#[setters(generate = false)]
#[must_use = "a builder does nothing until it builds"]
pub struct LikelihoodBuilder {
    pub(crate) server: ServerSettings,
    model: String,
    template: ChatTemplate,
    /// How the server reports likelihoods. Default: by [`LikelihoodApi::PromptLogprobs`].
    #[setters(generate)]
    api: LikelihoodApi,
}

impl LikelihoodBuilder {
    /// Settings of the likelihood.
    ///
    /// # Errors
    /// An [`EngineError`] if the URL or the key cannot be used.
    pub fn build(self) -> Result<Likelihood, EngineError> {
        let Self { server, model, template, api } = self;
        Ok(Likelihood { model, template, source: Source::Server(api, server.build()?) })
    }
}

impl Likelihood {
    /// The likelihoods of a model at a server such as `http://localhost:8000`, by the name under which it is
    /// served, with its chat template. A `/v1` at the end of the address is left out.
    pub fn builder(
        url: impl Into<String>,
        model: impl Into<String>,
        template: ChatTemplate,
    ) -> LikelihoodBuilder {
        let (server, model) = (ServerSettings::new(&url.into()), model.into());
        LikelihoodBuilder { server, model, template, api: LikelihoodApi::default() }
    }

    /// The likelihoods of a model in the process, by its own chat template.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn local(engine: LocalEngine) -> Self {
        let (model, template) = (engine.name().to_owned(), engine.chat_template().clone());
        Self { model, template, source: Source::Process(engine) }
    }

    /// The name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The model's chat template.
    #[must_use]
    pub fn chat_template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The identity: the model, its template, and the way if it is not the usual one.
    pub(super) fn identity(&self) -> String {
        let way = match &self.source {
            Source::Server(LikelihoodApi::PromptLogprobs, _) => "",
            Source::Server(LikelihoodApi::Echo, _) => ", echoed",
            #[cfg(feature = "local")]
            Source::Process(engine) => return engine.identity().to_owned(),
        };
        format!("{} with template {}{way}", self.model, self.template.fingerprint())
    }

    /// The longest query with its answer in tokens, where it is known.
    pub(super) fn max_length(&self) -> Option<u64> {
        match &self.source {
            Source::Server(..) => None,
            #[cfg(feature = "local")]
            Source::Process(engine) => u64::try_from(engine.context_length()).ok(),
        }
    }

    /// The natural logarithm of the probability of an answer to a query: the sum over its tokens, at most 0.
    ///
    /// # Errors
    /// The server's error; one that names the answer if the template or the server's logprobs cannot be used. Those of
    /// `LocalEngine::logprobs` for a model in the process.
    pub async fn logprob(&self, query: &Query, answer: &str) -> Result<f64, EngineError> {
        let parts = parts(&self.template, query, answer)?;
        match &self.source {
            Source::Server(api, server) => {
                let parts = parts.without_bos(&self.template);
                let model = ServedModel { id: &self.model, server };
                match api {
                    LikelihoodApi::PromptLogprobs => model.by_prompt_logprobs(&parts, answer).await,
                    LikelihoodApi::Echo => model.by_echo(&parts, answer).await,
                }
            }
            #[cfg(feature = "local")]
            Source::Process(engine) => {
                let written = parts.whole.strip_prefix(&parts.prompt).unwrap_or_default();
                let tokens = engine.logprobs(&parts.prompt, written).await?;
                sum(tokens.into_iter().map(|token| match token.logprob {
                    logprob if logprob.is_finite() => Ok(logprob),
                    logprob => Err(EngineError::new(
                        ErrorKind::BadResponse,
                        format!(
                            "expected a finite logprob of the token {:?} of the answer {:?}, got {logprob}",
                            token.token,
                            truncate(answer, 80)
                        ),
                    )),
                }))
            }
        }
    }
}

/// A model of a server.
pub(super) struct ServedModel<'a> {
    pub(super) id: &'a str,
    server: &'a Server,
}

impl ServedModel<'_> {
    pub(super) async fn post(&self, body: &Json, asked: Asked<'_>) -> Result<Json, EngineError> {
        self.server.post(asked.path, body, &[asked.answer]).await
    }
}

/// A logprob that can be added to others.
pub(super) fn finite(reported: &Json) -> Option<f64> {
    reported.as_f64().filter(|logprob| logprob.is_finite() && *logprob > MIN_LOGPROB)
}

/// The sum of logprobs.
pub(super) fn sum(
    logprobs: impl IntoIterator<Item = Result<f64, EngineError>>,
) -> Result<f64, EngineError> {
    // From 0, which a sum of nothing would have with another sign.
    logprobs.into_iter().try_fold(0.0, |sum, logprob| Ok(sum + logprob?))
}

/// A conversation as its chat template writes it.
#[derive(Debug, PartialEq)]
pub(super) struct Parts {
    /// Up to where the model begins to write.
    pub(super) prompt: String,
    /// The same with the answer and the mark that ends it.
    pub(super) whole: String,
}

impl Parts {
    /// Without the token that begins a text, which a server's tokenizer adds.
    fn without_bos(self, template: &ChatTemplate) -> Self {
        let [prompt, whole] =
            [self.prompt, self.whole].map(|text| template.without_bos(&text).to_owned());
        Self { prompt, whole }
    }
}

/// Query and answer as the template writes them.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if the template does not take them, or writes an answer elsewhere than behind
/// its generation prompt.
pub(super) fn parts(
    template: &ChatTemplate,
    query: &Query,
    answer: &str,
) -> Result<Parts, EngineError> {
    let refused = |error: ChatTemplateError| refused(error, "the model's chat template");
    let turns = conversation(query, answer);
    let question = turns.get(..turns.len().saturating_sub(1)).unwrap_or_default();
    let prompt = template.render_prompt(question).map_err(refused)?;
    let mut whole = template.render(&turns).map_err(refused)?;
    let Some(written) = whole.strip_prefix(prompt.as_str()) else {
        let message = format!(
            "expected the model's chat template to write an answer behind its generation prompt, which ends with \
             {:?}, but it writes the answer {:?} otherwise",
            tail(&prompt),
            truncate(answer, 80)
        );
        return Err(EngineError::new(ErrorKind::InvalidRequest, message));
    };
    // White space behind the end mark belongs to the turn that would follow: no model writes it.
    if !answer.ends_with(written.trim_start()) {
        whole.truncate(whole.trim_end().len().max(prompt.len()));
    }
    Ok(Parts { prompt, whole })
}

fn tail(text: &str) -> &str {
    let start = text.char_indices().rev().nth(39).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str, answer: &str) -> Result<Parts, EngineError> {
        let template = ChatTemplate::from_source(source, Some("<s>")).unwrap();
        Ok(parts(&template, &"Why?".into(), answer)?.without_bos(&template))
    }

    const CHATML: &str = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    #[test]
    fn an_answer_ends_with_its_mark() {
        let parts = of(CHATML, "So. \n").unwrap();
        let prompt = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(parts.prompt, prompt);
        assert_eq!(parts.whole, format!("{prompt}So. \n<|im_end|>"));
        let bare = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}\
            {% if add_generation_prompt %}[assistant]{% endif %}";
        assert_eq!(of(bare, "So. \n").unwrap().whole, "[user]Why?[assistant]So. \n");
        assert_eq!(of(bare, "").unwrap().whole, "[user]Why?[assistant]");
    }

    #[test]
    fn a_template_that_writes_answers_elsewhere_is_refused() {
        let thinking = CHATML.replace("assistant\\n", "assistant\\n<think>");
        let thinking = thinking.replace("assistant\n{% endif", "assistant\n<think>{% endif");
        let error = of(&thinking, "So.").unwrap_err();
        assert!(error.to_string().contains("<think>"), "{error}");
        assert!(error.to_string().contains("\"So.\""), "{error}");
        let refusing = "{{ raise_exception('no') }}";
        assert!(of(refusing, "So.").unwrap_err().to_string().contains("to take a query"));
    }
}
