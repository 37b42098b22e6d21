//! How likely a model finds an answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value as Json, json};
use textgrad_core::{EngineError, ErrorKind, Seed, excerpt};
use textgrad_ops::engine::http::{JsonClient, JsonClientBuilder};
use textgrad_ops::engine::layer::RetryPolicy;
use tokio::sync::Semaphore;

use super::HttpReward;
use super::text::{Parts, parts};
use crate::query::Query;
use crate::reward::ChatTemplate;
use crate::reward::http::root;

const COMPLETIONS: &str = "v1/completions";
const TOKENIZE: &str = "tokenize";

/// How likely a model behind a server finds answers, by the logprobs of the tokens of a prompt. Cheap to clone.
///
/// The server must be a vLLM (`/v1/completions` with `prompt_logprobs`, and `/tokenize`). Query and answer are
/// written by the model's own chat template. What counts are the tokens behind the ones with which the
/// template's generation prompt ends, up to and with the mark that ends the answer: what the model would have
/// written. The servers' tokenizer begins texts with the special token, so a template's own is taken away.
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
#[derive(Clone)]
pub struct Likelihood {
    model: String,
    template: ChatTemplate,
    client: JsonClient,
    retry: RetryPolicy,
    permits: Arc<Semaphore>,
}

/// Settings of a [`Likelihood`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct LikelihoodBuilder {
    model: String,
    template: ChatTemplate,
    client: JsonClientBuilder,
    retry: RetryPolicy,
    concurrency: usize,
}

impl LikelihoodBuilder {
    /// The key that is sent as a bearer token.
    pub fn key(mut self, key: SecretString) -> Self {
        self.client = self.client.key(key);
        self
    }

    /// The longest that one request may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.request_timeout(timeout);
        self
    }

    /// What is tried again, and when.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How many answers are looked at at the same time, at most; [`HttpReward::DEFAULT_CONCURRENCY`] unless
    /// said otherwise.
    pub fn concurrency(mut self, answers: usize) -> Self {
        self.concurrency = answers.max(1);
        self
    }

    /// What tells likelihoods.
    ///
    /// # Errors
    /// An [`EngineError`] if the URL or the key can not be used.
    pub fn build(self) -> Result<Likelihood, EngineError> {
        Ok(Likelihood {
            model: self.model,
            template: self.template,
            client: self.client.build()?,
            retry: self.retry,
            permits: Arc::new(Semaphore::new(self.concurrency)),
        })
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
        LikelihoodBuilder {
            model: model.into(),
            template,
            client: JsonClient::builder(root(&url.into())),
            retry: RetryPolicy::default(),
            concurrency: HttpReward::DEFAULT_CONCURRENCY,
        }
    }

    /// The name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What tells it from others: the model and its template.
    pub(super) fn identity(&self) -> String {
        format!("{} with template {}", self.model, self.template.fingerprint())
    }

    /// The natural logarithm of the probability of an answer to a query: the sum over its tokens, at most 0.
    ///
    /// # Errors
    /// The server's error; one that names the answer if the template or the server's logprobs can not be used.
    pub async fn logprob(&self, query: &Query, answer: &str) -> Result<f64, EngineError> {
        let Parts { prompt, whole } = parts(&self.template, query, answer)?;
        // The semaphore is never closed; if it were, asking without a permit would be right.
        let _permit = self.permits.acquire().await.ok();
        let before = self.tokens(&prompt, answer).await?;
        let tokens = self.tokens(&whole, answer).await?;
        let body = json!({
            "model": self.model, "prompt": whole, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0,
        });
        let reply = self.post(COMPLETIONS, &body, answer).await?;
        let logprobs = reply
            .pointer("/choices/0/prompt_logprobs")
            .or_else(|| reply.get("prompt_logprobs"))
            .and_then(Json::as_array)
            .filter(|logprobs| logprobs.len() == tokens.len());
        let Some(logprobs) = logprobs else {
            let expected = format!("prompt_logprobs of {} tokens", tokens.len());
            return Err(wrong(COMPLETIONS, &expected, &reply.to_string(), answer));
        };
        // A token can hold the end of the prompt and the beginning of the answer: it is the answer's.
        let begin = before.iter().zip(&tokens).take_while(|(before, token)| before == token);
        let begin = begin.count();
        let told = logprobs.iter().zip(&tokens).skip(begin).map(|(told, token)| {
            // Under its own number: likelier tokens may stand beside it.
            let logprob = told.get(token.to_string()).and_then(|told| told.get("logprob"));
            logprob.and_then(Json::as_f64).filter(|logprob| logprob.is_finite()).ok_or_else(|| {
                let expected = format!("a finite logprob of the token {token}");
                wrong(COMPLETIONS, &expected, &told.to_string(), answer)
            })
        });
        // From 0, which a sum of nothing would have with another sign.
        told.into_iter().try_fold(0.0, |sum, logprob| Ok(sum + logprob?))
    }

    async fn tokens(&self, text: &str, answer: &str) -> Result<Vec<u64>, EngineError> {
        let body = json!({ "model": self.model, "prompt": text, "add_special_tokens": true });
        let reply = self.post(TOKENIZE, &body, answer).await?;
        let tokens = reply.get("tokens").and_then(Json::as_array);
        let tokens = tokens.and_then(|tokens| tokens.iter().map(Json::as_u64).collect());
        tokens.ok_or_else(|| wrong(TOKENIZE, "a list of tokens", &reply.to_string(), answer))
    }

    async fn post(&self, path: &str, body: &Json, answer: &str) -> Result<Json, EngineError> {
        // A seed of its own for each answer, so that retries do not come back all at once.
        let retry = self.retry.clone().seed(Seed::new(0).child(answer, 0));
        retry.run(|_attempt| self.client.post::<Json, Json>(path, body)).await
    }
}

/// A reply that is not what the route promises. Asking again cannot help.
fn wrong(path: &str, expected: &str, got: &str, answer: &str) -> EngineError {
    let message = format!(
        "expected {expected} from /{path}, got {}, for the answer {:?}",
        excerpt(got, 200),
        excerpt(answer, 80)
    );
    EngineError::new(ErrorKind::BadResponse, message).with_retryable(false)
}

impl fmt::Debug for Likelihood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Likelihood")
            .field("model", &self.model)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
