//! What a model reads, and what it writes.

use textgrad_core::{EngineError, ErrorKind, excerpt};

use crate::query::Query;
use crate::reward::ChatTemplate;

/// A conversation as a model's tokenizer sees it, without the token that begins it.
#[derive(Debug, PartialEq)]
pub(super) struct Parts {
    /// Up to where the model begins to write.
    pub(super) prompt: String,
    /// The same with the answer and the mark that ends it.
    pub(super) whole: String,
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
    let mut turns: Vec<(&str, &str)> =
        query.turns().map(|(role, text)| (role.as_str(), text)).collect();
    let refused = |error| {
        let message = "expected the model's chat template to take a query and an answer";
        EngineError::new(ErrorKind::InvalidRequest, message).with_source(error)
    };
    let prompt = template.render_prompt(&turns).map_err(refused)?;
    turns.push(("assistant", answer));
    let mut whole = template.render(&turns).map_err(refused)?;
    let Some(written) = whole.strip_prefix(prompt.as_str()) else {
        let message = format!(
            "expected the model's chat template to write an answer behind its generation prompt, which ends with \
             {:?}, but it writes the answer {:?} otherwise",
            tail(&prompt),
            excerpt(answer, 80)
        );
        return Err(EngineError::new(ErrorKind::InvalidRequest, message));
    };
    // White space behind the end mark belongs to the turn that would follow: no model writes it.
    if !answer.ends_with(written.trim_start()) {
        whole.truncate(whole.trim_end().len().max(prompt.len()));
    }
    Ok(Parts {
        prompt: template.without_bos(&prompt).to_owned(),
        whole: template.without_bos(&whole).to_owned(),
    })
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
        parts(&template, &"Why?".into(), answer)
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
