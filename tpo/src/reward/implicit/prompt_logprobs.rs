//! vLLM's own way.

use serde_json::{Value as Json, json};
use textgrad_core::EngineError;

use super::likelihood::{COMPLETIONS, Likelihood, finite, sum, wrong};
use super::text::Parts;

const TOKENIZE: &str = "tokenize";
/// Which servers have it, for those that have routes of the same names that do something else.
const VLLM: &str = "as vLLM tells them (other servers may have likelihood=echo)";

impl Likelihood {
    pub(super) async fn by_prompt_logprobs(
        &self,
        parts: &Parts,
        answer: &str,
    ) -> Result<f64, EngineError> {
        let before = self.tokens(&parts.prompt, answer).await?;
        let tokens = self.tokens(&parts.whole, answer).await?;
        let body = json!({
            "model": self.model,
            "prompt": parts.whole,
            "max_tokens": 1,
            "temperature": 0.0,
            "prompt_logprobs": 0,
        });
        let reply = self.post(COMPLETIONS, &body, answer).await?;
        let logprobs = reply
            .pointer("/choices/0/prompt_logprobs")
            .or_else(|| reply.get("prompt_logprobs"))
            .and_then(Json::as_array)
            .filter(|logprobs| logprobs.len() == tokens.len());
        let Some(logprobs) = logprobs else {
            let expected = format!("prompt_logprobs of {} tokens, {VLLM},", tokens.len());
            return Err(wrong(COMPLETIONS, &expected, &reply.to_string(), answer));
        };
        // A token can hold the end of the prompt and the beginning of the answer: it is the answer's.
        let begin = before.iter().zip(&tokens).take_while(|(before, token)| before == token);
        let begin = begin.count();
        sum(logprobs.iter().zip(&tokens).skip(begin).map(|(told, token)| {
            // Under its own number: likelier tokens may stand beside it.
            let logprob = told.get(token.to_string()).and_then(|told| told.get("logprob"));
            logprob.and_then(finite).ok_or_else(|| {
                let expected = format!("a finite logprob of the token {token}");
                wrong(COMPLETIONS, &expected, &told.to_string(), answer)
            })
        }))
    }

    async fn tokens(&self, text: &str, answer: &str) -> Result<Vec<u64>, EngineError> {
        let body = json!({ "model": self.model, "prompt": text, "add_special_tokens": true });
        let reply = self.post(TOKENIZE, &body, answer).await?;
        read_tokens(&reply, answer)
    }
}

fn read_tokens(reply: &Json, answer: &str) -> Result<Vec<u64>, EngineError> {
    let tokens = reply.get("tokens").and_then(Json::as_array).filter(|tokens| !tokens.is_empty());
    let tokens = tokens.and_then(|tokens| tokens.iter().map(Json::as_u64).collect());
    tokens.ok_or_else(|| {
        wrong(TOKENIZE, &format!("the tokens of a text, {VLLM},"), &reply.to_string(), answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_the_same_name_that_reads_no_prompt_is_told() {
        assert_eq!(read_tokens(&json!({"tokens": [1, 7]}), "So.").unwrap(), [1, 7]);
        for reply in [json!({"tokens": []}), json!({"tokens": ["a"]}), json!({})] {
            let error = read_tokens(&reply, "So.").unwrap_err();
            for word in ["the tokens of a text, as vLLM", "/tokenize", "likelihood=echo", "\"So.\""]
            {
                assert!(error.to_string().contains(word), "{error}");
            }
            assert!(!error.is_retryable());
        }
    }
}
