//! Query and answer out of a text that a client put into a chat template.

/// How a template opens a user's and an assistant's turn, and how it closes one.
const TEMPLATES: &[(&str, &str, &str)] = &[
    (
        "<|start_header_id|>user<|end_header_id|>",
        "<|start_header_id|>assistant<|end_header_id|>",
        "<|eot_id|>",
    ),
    ("<|im_start|>user", "<|im_start|>assistant", "<|im_end|>"),
    ("<start_of_turn>user", "<start_of_turn>model", "<end_of_turn>"),
    ("<|user|>", "<|assistant|>", "<|end|>"),
];

/// The last user's and assistant's turn of a text in the template of Llama 3, ChatML, Gemma or Tulu; a text in
/// none of them is all answer.
pub(crate) fn query_and_answer(text: &str) -> (String, String) {
    let found = TEMPLATES.iter().find_map(|(user, assistant, end)| {
        let (before, answer) = text.rsplit_once(assistant)?;
        let (_, query) = before.rsplit_once(user)?;
        let turn = |text: &str| {
            let whole = text.split_once(end).map_or(text, |(turn, _)| turn);
            whole.trim().to_owned()
        };
        Some((turn(query), turn(answer)))
    });
    found.unwrap_or_else(|| (String::new(), text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_taken_apart() {
        let expected = ("a query".to_owned(), "an answer".to_owned());
        for text in [
            "<|start_header_id|>user<|end_header_id|>\n\na query<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\nan answer<|eot_id|>",
            "<|im_start|>user\na query<|im_end|>\n<|im_start|>assistant\nan answer<|im_end|>\n",
            "<start_of_turn>user\na query<end_of_turn>\n<start_of_turn>model\nan answer<end_of_turn>\n",
            "<|user|>\na query\n<|assistant|>\nan answer",
        ] {
            assert_eq!(query_and_answer(text), expected);
        }
        assert_eq!(query_and_answer("bare text"), (String::new(), "bare text".to_owned()));
    }
}
