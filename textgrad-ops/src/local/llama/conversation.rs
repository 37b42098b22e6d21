//! A conversation as the tokens of a model.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use textgrad_core::{EngineError, ErrorKind, Message};

use crate::ChatTemplate;

/// The text that a model reads before it writes.
pub(super) fn prompt(template: &ChatTemplate, messages: &[Message]) -> Result<String, EngineError> {
    let texts: Vec<String> = messages.iter().map(Message::text).collect();
    let turns: Vec<(&str, &str)> = messages
        .iter()
        .map(|message| message.role.as_str())
        .zip(texts.iter().map(String::as_str))
        .collect();
    template.render_prompt(&turns).map_err(|refused| {
        EngineError::new(
            ErrorKind::InvalidRequest,
            "expected a conversation that the model's chat template takes",
        )
        .with_source(refused)
    })
}

/// The tokens of a text that a chat template wrote, with one token at its beginning that begins a text, if the model
/// wants one or the template writes it.
pub(super) fn tokens(model: &LlamaModel, template: &ChatTemplate, text: &str) -> Vec<LlamaToken> {
    let vocabulary = model.vocab();
    let text = template.with_one_bos(text);
    let mut tokens = vocabulary.tokenize(text.as_bytes(), false, true);
    let begin = vocabulary.bos();
    if vocabulary.should_add_bos() && tokens.first() != Some(&begin) {
        tokens.insert(0, begin);
    }
    tokens
}
