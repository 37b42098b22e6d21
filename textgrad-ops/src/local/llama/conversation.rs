//! A conversation as the tokens of a model.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use textgrad_core::{EngineError, ErrorKind, Message, MessageRole};

use crate::{ChatTemplate, ChatTemplateError};

/// The text that a model reads before it writes.
///
/// A template that refuses a system turn gets it at the beginning of the first user turn.
pub(super) fn prompt(template: &ChatTemplate, messages: &[Message]) -> Result<String, EngineError> {
    let turns: Vec<(MessageRole, String)> =
        messages.iter().map(|message| (message.role, message.text())).collect();
    let refused = match render(template, &turns) {
        Ok(prompt) => return Ok(prompt),
        Err(error) => error,
    };
    let (system, mut others): (Vec<_>, Vec<_>) =
        turns.into_iter().partition(|(role, _)| *role == MessageRole::System);
    let prompt = match others.first_mut() {
        Some((MessageRole::User, text)) if !system.is_empty() => {
            let system: Vec<&str> = system.iter().map(|(_, text)| text.as_str()).collect();
            *text = format!("{}\n\n{text}", system.join("\n\n"));
            render(template, &others).ok()
        }
        _ => None,
    };
    prompt.ok_or_else(|| {
        EngineError::new(
            ErrorKind::InvalidRequest,
            "expected a conversation that the model's chat template takes",
        )
        .with_source(refused)
    })
}

fn render(
    template: &ChatTemplate,
    turns: &[(MessageRole, String)],
) -> Result<String, ChatTemplateError> {
    let turns: Vec<(&str, &str)> =
        turns.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
    template.render_prompt(&turns)
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

#[cfg(test)]
mod tests {
    use super::*;

    const NO_SYSTEM: &str = "{% for m in messages %}{% if m.role == 'system' %}\
        {{ raise_exception('no system turn') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}";

    #[test]
    fn a_system_turn_that_the_template_refuses_moves_to_the_user() {
        let template = ChatTemplate::from_source(NO_SYSTEM, None).unwrap();
        let messages = [Message::system("Be brief."), Message::user("Hi!")];
        assert_eq!(prompt(&template, &messages).unwrap(), "[user]Be brief.\n\nHi!");
        assert_eq!(prompt(&template, &messages[1..]).unwrap(), "[user]Hi!");
        let error = prompt(&template, &messages[..1]).unwrap_err();
        assert!(textgrad_core::describe(&error).contains("no system turn"), "{error}");
    }
}
