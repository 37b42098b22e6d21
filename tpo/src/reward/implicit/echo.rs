//! Likelihoods from the logprobs of a prompt: echoed, or by vLLM's `prompt_logprobs`.

use serde_json::{Value as Json, json};
use textgrad_core::{EngineError, truncate};

use super::likelihood::{COMPLETIONS, Parts, ServedModel, finite, sum};
use super::span::{EchoedPrompt, SpanError};
use crate::reward::http::Asked;

/// What to do where a server has no echo.
const NO_ECHO_ADVICE: &str = "such servers cannot tell likelihoods; name one that echoes prompts with their logprobs, \
                         as vLLM and SGLang do";

/// How much of a reply is shown, in characters: what to do about it is to be read behind it.
const MAX_SHOWN: usize = 60;

impl ServedModel<'_> {
    pub(super) async fn by_echo(&self, parts: &Parts, answer: &str) -> Result<f64, EngineError> {
        // One token is written, since not every server takes 0, and one likelier token is asked for, since
        // SGLang takes 0 for none at all. Neither is looked at.
        let body = json!({
            "model": self.id,
            "prompt": parts.whole,
            "max_tokens": 1,
            "temperature": 0.0,
            "echo": true,
            "logprobs": 1,
        });
        let asked = Asked { path: COMPLETIONS, answer };
        let reply = self.post(&body, asked).await?;
        let Some((echoed, logprobs)) = echoed(&reply) else {
            let got = truncate(&reply.to_string(), MAX_SHOWN);
            let expected = "tokens and token_logprobs of the echoed prompt";
            return Err(asked.unexpected(expected, &format!("{got}; {NO_ECHO_ADVICE}")));
        };
        let span = echoed.answer(&parts.prompt, &parts.whole).map_err(|error| {
            let begins = truncate(&format!("{:?}", echoed.tokens), MAX_SHOWN);
            let (expected, got) = match error {
                SpanError::NotEchoed => (
                    "the tokens of the echoed prompt",
                    format!("no more than {begins}; {NO_ECHO_ADVICE}"),
                ),
                SpanError::Mismatch => (
                    "tokens that spell the prompt, or text_offset that adds up to it",
                    format!("{begins}, which do neither; with vLLM, prompt_logprobs needs neither"),
                ),
                SpanError::Straddles(token) => (
                    "the answer to begin with a token of its own",
                    format!(
                        "{:?}, which also holds the end of the prompt, whose probability is not the answer's; \
                         use a chat template whose generation prompt ends with a special token or white space",
                        truncate(&token, 20)
                    ),
                ),
                SpanError::Uncertain => (
                    "tokens that show where the answer begins and ends",
                    format!("parts of characters there: {begins}; with vLLM, use prompt_logprobs"),
                ),
            };
            asked.unexpected(expected, &got)
        })?;
        let reported = echoed.tokens.iter().zip(logprobs).skip(span.start).take(span.len());
        sum(reported.map(|(token, logprob)| {
            let expected = || format!("a finite logprob of the token {token:?}");
            finite(logprob).ok_or_else(|| asked.unexpected(&expected(), logprob))
        }))
    }
}

/// The echoed tokens with their logprobs.
fn echoed(reply: &Json) -> Option<(EchoedPrompt<'_>, &Vec<Json>)> {
    let reported = reply.pointer("/choices/0/logprobs")?;
    let tokens: Option<Vec<&str>> =
        reported.get("tokens")?.as_array()?.iter().map(Json::as_str).collect();
    let tokens = tokens?;
    let logprobs = reported.get("token_logprobs")?.as_array()?;
    let offsets = reported.get("text_offset").and_then(Json::as_array).and_then(|offsets| {
        // SGLang has -1 for all of them.
        let offset = |offset: &Json| offset.as_u64().and_then(|offset| offset.try_into().ok());
        offsets.iter().map(offset).collect::<Option<Vec<usize>>>()
    });
    let offsets = offsets.filter(|offsets| offsets.len() == tokens.len());
    let prompt_tokens = reply.pointer("/usage/prompt_tokens").and_then(Json::as_u64);
    let prompt_tokens = prompt_tokens.and_then(|count| usize::try_from(count).ok());
    let same = tokens.len() == logprobs.len();
    same.then_some((EchoedPrompt { tokens, offsets, prompt_tokens }, logprobs))
}

const TOKENIZE: &str = "tokenize";
/// Which servers have it, for those that have routes of the same names that do something else.
const VLLM: &str = "as vLLM tells them (other servers may have likelihood=echo)";

impl ServedModel<'_> {
    pub(super) async fn by_prompt_logprobs(
        &self,
        parts: &Parts,
        answer: &str,
    ) -> Result<f64, EngineError> {
        let before = self.tokens(&parts.prompt, answer).await?;
        let tokens = self.tokens(&parts.whole, answer).await?;
        let body = json!({
            "model": self.id,
            "prompt": parts.whole,
            "max_tokens": 1,
            "temperature": 0.0,
            "prompt_logprobs": 0,
        });
        let asked = Asked { path: COMPLETIONS, answer };
        let reply = self.post(&body, asked).await?;
        let logprobs = reply
            .pointer("/choices/0/prompt_logprobs")
            .or_else(|| reply.get("prompt_logprobs"))
            .and_then(Json::as_array)
            .filter(|logprobs| logprobs.len() == tokens.len());
        let Some(logprobs) = logprobs else {
            let expected = format!("prompt_logprobs of {} tokens, {VLLM},", tokens.len());
            return Err(asked.unexpected(&expected, &reply));
        };
        // A token can hold the end of the prompt and the beginning of the answer: it is the answer's.
        let begin = before.iter().zip(&tokens).take_while(|(before, token)| before == token);
        let begin = begin.count();
        sum(logprobs.iter().zip(&tokens).skip(begin).map(|(reported, token)| {
            // Under its own number: likelier tokens may stand beside it.
            let logprob =
                reported.get(token.to_string()).and_then(|reported| reported.get("logprob"));
            logprob.and_then(finite).ok_or_else(|| {
                let expected = format!("a finite logprob of the token {token}");
                asked.unexpected(&expected, reported)
            })
        }))
    }

    async fn tokens(&self, text: &str, answer: &str) -> Result<Vec<u64>, EngineError> {
        let body = json!({ "model": self.id, "prompt": text, "add_special_tokens": true });
        let asked = Asked { path: TOKENIZE, answer };
        read_tokens(&self.post(&body, asked).await?, asked)
    }
}

fn read_tokens(reply: &Json, asked: Asked<'_>) -> Result<Vec<u64>, EngineError> {
    let tokens = reply.get("tokens").and_then(Json::as_array).filter(|tokens| !tokens.is_empty());
    let tokens = tokens.and_then(|tokens| tokens.iter().map(Json::as_u64).collect());
    let expected = || format!("the tokens of a text, {VLLM},");
    tokens.ok_or_else(|| asked.unexpected(&expected(), reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_the_same_name_that_reads_no_prompt_is_an_error() {
        let asked = Asked { path: TOKENIZE, answer: "So." };
        assert_eq!(read_tokens(&json!({"tokens": [1, 7]}), asked).unwrap(), [1, 7]);
        for reply in [json!({"tokens": []}), json!({"tokens": ["a"]}), json!({})] {
            let error = read_tokens(&reply, asked).unwrap_err();
            for word in ["the tokens of a text, as vLLM", "/tokenize", "likelihood=echo", "\"So.\""]
            {
                assert!(error.to_string().contains(word), "{error}");
            }
            assert!(!error.is_retryable());
        }
    }
}
