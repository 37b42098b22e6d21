//! `echo` with `logprobs`, as servers differ in it.

use serde_json::{Map, Value, json};

use super::tokens::Token;

/// What the token behind the prompt is.
const WRITTEN: &str = " x";

/// How a server echoes a prompt with its logprobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EchoStyle {
    /// vLLM: the special token that begins the text is a token like others, tokens are decoded one by one,
    /// `text_offset` adds up their lengths in characters, a probability of 0 has the logarithm -9999.
    #[default]
    Vllm,
    /// SGLang: `text_offset` is -1 everywhere, `logprobs` of 0 is none of the prompt's. The tokenizer is one of
    /// the SentencePiece family, which drops the space before a word.
    Sglang,
    /// OpenAI: `text_offset` is that of the text in characters, and tokens that are no text are `bytes:\\x..`.
    OpenAi,
    /// The same with `text_offset` in bytes.
    Bytes,
    /// llama.cpp: `echo` is left out without a word.
    Ignored,
    /// A server that knows no logprobs: they are null.
    Without,
    /// Tokens of the prompt come back, but nothing was computed for them.
    Null,
}

/// A prompt with its tokens.
pub(super) struct Echoed<'a> {
    pub(super) style: EchoStyle,
    pub(super) logprob: &'a (dyn Fn(&str) -> f64 + Send + Sync),
    pub(super) prompt: &'a str,
    pub(super) tokens: &'a [Token],
    pub(super) is_written: bool,
}

impl Echoed<'_> {
    /// What is written behind the prompt.
    pub(super) fn written(&self) -> String {
        if self.is_written { WRITTEN.to_owned() } else { String::new() }
    }

    pub(super) fn logprobs(&self, echo: bool, more: u32) -> Value {
        if self.style == EchoStyle::Without {
            return Value::Null;
        }
        let asked = self.style != EchoStyle::Sglang || more > 0;
        let prompt = match echo && asked && self.style != EchoStyle::Ignored {
            true => self.tokens,
            false => &[],
        };
        let written = self.is_written.then_some(WRITTEN);
        let tokens: Vec<String> = prompt
            .iter()
            .map(|token| self.shown(token))
            .chain(written.map(str::to_owned))
            .collect();
        // Nothing is known of the first.
        let logprobs = prompt.iter().enumerate().map(|(place, token)| match (place, self.style) {
            (0, _) | (_, EchoStyle::Null) => Value::Null,
            (_, EchoStyle::Vllm) => json!((self.logprob)(&token.text()).max(-9999.0)),
            _ => json!((self.logprob)(&token.text())),
        });
        let logprobs: Vec<Value> = logprobs.chain(written.map(|_| json!(-3.5))).collect();
        let top: Vec<Value> = tokens
            .iter()
            .zip(&logprobs)
            .map(|(token, logprob)| {
                let mut top = Map::new();
                top.insert(token.clone(), logprob.clone());
                top.insert("?".to_owned(), json!(-0.001));
                if logprob.is_null() { Value::Null } else { Value::Object(top) }
            })
            .collect();
        json!({
            "tokens": tokens,
            "token_logprobs": logprobs,
            "top_logprobs": top,
            "text_offset": self.offsets(prompt, &tokens),
        })
    }

    fn shown(&self, token: &Token) -> String {
        let text = token.text();
        let is_text = std::str::from_utf8(token.bytes()).is_ok();
        match self.style {
            EchoStyle::Sglang => text.strip_prefix(' ').unwrap_or(&text).to_owned(),
            EchoStyle::OpenAi | EchoStyle::Bytes if !is_text => {
                let bytes = token.bytes().iter().map(|byte| format!("\\x{byte:02x}"));
                format!("bytes:{}", bytes.collect::<String>())
            }
            _ => text,
        }
    }

    fn offsets(&self, prompt: &[Token], shown: &[String]) -> Vec<i64> {
        let mut at = if prompt.is_empty() { self.prompt.chars().count() } else { 0 };
        // The special token at the beginning is no part of the text.
        let before = prompt.iter().map(|token| token.bytes().len()).sum::<usize>();
        let mut bytes = self.prompt.len().wrapping_sub(before);
        let mut offsets = Vec::new();
        for (place, shown) in shown.iter().enumerate() {
            let length = prompt.get(place).map_or(WRITTEN.len(), |token| token.bytes().len());
            offsets.push(match self.style {
                EchoStyle::Sglang => -1,
                EchoStyle::OpenAi | EchoStyle::Bytes => {
                    let in_text = bytes.cast_signed().max(0).cast_unsigned();
                    let characters = || {
                        let mut starts = self.prompt.char_indices();
                        starts.by_ref().take_while(|(start, _)| *start < in_text).count()
                    };
                    let at = if self.style == EchoStyle::Bytes { in_text } else { characters() };
                    i64::try_from(at).unwrap_or(i64::MAX)
                }
                _ => i64::try_from(at).unwrap_or(i64::MAX),
            });
            at += shown.chars().count();
            bytes = bytes.wrapping_add(length);
        }
        offsets
    }
}
