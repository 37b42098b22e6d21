//! The ops of a search that call no model.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error, Gradient, Inputs, Op, OpFailure, Output, PromptPack, Value,
};

use crate::prompts::SampleContext;

fn silent(cx: &BackwardCx) -> Vec<Option<Gradient>> {
    vec![None; cx.inputs().len()]
}

/// Makes the system message of the first answers.
pub(super) struct SampleInstruction(pub(super) Arc<PromptPack>);

#[async_trait]
impl Op for SampleInstruction {
    fn name(&self) -> &str {
        "sample instruction"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let context = SampleContext { query: inputs.text("query")? };
        let text = self.0.render("sample_system", &context)?;
        Ok(vec![Output::new(text, "system prompt of the policy").with_requires_grad(false)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(silent(cx))
    }
}

/// Names the answer that is rewritten and those that it is compared with. Here the differentiable part of an
/// iteration begins: the chosen answer asks for a gradient, and nothing before it is differentiated again.
pub(super) struct Choose {
    /// What the chosen answer is, in words.
    pub(super) role: &'static str,
    /// How much of each answer prompts are shown, in characters.
    pub(super) max_chars: Option<usize>,
    /// The same in tokens of o200k.
    pub(super) max_o200k: Option<usize>,
}

impl Choose {
    pub(super) const BEST: &'static str = "best";
    pub(super) const WORST: &'static str = "worst";

    /// The value, or its beginning. A value that is not cut is shared with the answer, not copied.
    fn cut(&self, value: &Value) -> Value {
        let Some(text) = value.as_text() else { return value.clone() };
        let chars = self.max_chars.and_then(|most| text.char_indices().nth(most));
        let cut = chars.and_then(|(end, _)| text.get(..end)).unwrap_or(text);
        let cut = self.max_o200k.map_or(cut, |most| first_tokens(cut, most));
        if cut.len() == text.len() { value.clone() } else { Value::from(cut) }
    }
}

/// The beginning of a text in so many tokens; a character that the last token has only a part of is left out.
#[cfg(feature = "o200k")]
fn first_tokens(text: &str, most: usize) -> &str {
    let tokenizer = bpe_openai::o200k_base();
    let bytes = |tokens: &[u32]| -> usize {
        tokens.iter().map(|token| tokenizer.bpe.token_len(*token)).sum()
    };
    let tokens = tokenizer.encode(text);
    let Some(kept) = tokens.get(..most) else { return text };
    (0..=bytes(kept)).rev().find_map(|end| text.get(..end)).unwrap_or(text)
}

/// Without the feature there is no such bound: [`TpoConfig::validate`](crate::TpoConfig::validate) refuses it.
#[cfg(not(feature = "o200k"))]
fn first_tokens(text: &str, _: usize) -> &str {
    text
}

#[async_trait]
impl Op for Choose {
    fn name(&self) -> &str {
        "choose"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let best = self.cut(inputs.named(Self::BEST)?.value());
        let mut outputs = vec![Output::new(best, self.role).with_requires_grad(true)];
        for input in inputs.iter().filter(|input| &**input.name() == Self::WORST) {
            let rejected = self.cut(input.variable().value());
            let rejected = Output::new(rejected, "a rejected response to a user query");
            outputs.push(rejected.with_requires_grad(false));
        }
        Ok(outputs)
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(silent(cx))
    }
}

#[cfg(test)]
#[cfg(feature = "o200k")]
mod tests {
    use super::*;

    fn cut(text: &str, max_chars: Option<usize>, max_o200k: Option<usize>) -> String {
        let choose = Choose { role: "answer", max_chars, max_o200k };
        choose.cut(&Value::from(text)).as_text().unwrap().to_owned()
    }

    #[test]
    fn the_nearer_bound_cuts() {
        let text = "The quick brown fox jumps over the lazy dog";
        assert_eq!(cut(text, None, None), text);
        assert_eq!(cut(text, None, Some(3)), "The quick brown");
        assert_eq!(cut(text, Some(12), Some(3)), "The quick br");
        assert_eq!(cut(text, Some(100), Some(2)), "The quick");
        assert_eq!(cut(text, None, Some(100)), text);
        assert_eq!(cut("", None, Some(1)), "");
    }

    #[test]
    fn no_character_is_cut_in_two() {
        // A character of several tokens, and special tokens as text.
        for text in ["\u{1F9FF}\u{1F9FF}", "\u{a9c1}\u{a9c2}x", "<|endoftext|> \u{e9}"] {
            for most in 1..20 {
                let cut = cut(text, None, Some(most));
                assert!(text.starts_with(&cut), "{cut:?}");
                assert!(bpe_openai::o200k_base().count(cut.as_str()) <= most, "{cut:?}");
            }
            assert_eq!(cut(text, None, Some(20)), text);
        }
    }
}
