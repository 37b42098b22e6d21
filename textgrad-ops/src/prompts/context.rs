//! The variables of requests about calls: quotes, feedback, grades.

use serde::{Deserialize, Serialize};
use textgrad_core::{Message, Variable};

use crate::tags::OMISSION;

/// A variable as templates see it: `role`, `value`, `short`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VariableContext {
    /// What the text is for, in words.
    pub role: String,
    /// The whole text.
    pub value: String,
    /// The text if it has at most 20 words, else its first ten and its last ten with ` (...) ` between them.
    /// Words are what single spaces separate, as TextGrad counts them.
    pub short: String,
}

impl VariableContext {
    /// A variable as templates see it; an image by its description.
    #[must_use]
    pub fn new(variable: &Variable) -> Self {
        let value = variable.value().describe();
        Self { role: variable.role().to_string(), short: shorten(&value), value }
    }
}

/// The text if it has at most 20 words, else its first ten and its last ten, as TextGrad counts them.
pub(crate) fn shorten(text: &str) -> String {
    ends(text, 10)
}

/// The text if it has at most 10 words, else its first five and its last five: a reference to the whole text.
pub(crate) fn brief(text: &str) -> String {
    ends(text, 5)
}

fn ends(text: &str, offset: usize) -> String {
    if text.split(' ').take(2 * offset + 1).count() <= 2 * offset {
        return text.to_owned();
    }
    let head: Vec<&str> = text.split(' ').take(offset).collect();
    let mut tail: Vec<&str> = text.rsplit(' ').take(offset).collect();
    tail.reverse();
    format!("{}{OMISSION}{}", head.join(" "), tail.join(" "))
}

/// An in-context example of a call: `prompt`, `answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The prompt.
    pub prompt: String,
    /// The answer.
    pub answer: String,
}

/// A call of a language model: `system_prompt` (null if there was none), `examples` (turns before the prompt,
/// each with `prompt`, `answer`), `history` (turns between them and the prompt, each with `role`, `text`,
/// `is_variable`), `prompt`, `images` (how many were sent with the prompt), `response`; `system_is_variable`
/// and `prompt_is_variable` (the same request shows the text as the variable, so it is not shown twice).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConversationContext {
    /// The system message.
    pub system_prompt: Option<String>,
    /// What was sent before the user message as examples.
    pub examples: Vec<Exchange>,
    /// The turns of the conversation between them and the user message.
    pub history: Vec<TurnContext>,
    /// The user message.
    pub prompt: String,
    /// How many images the user message held.
    pub images: usize,
    /// What the model answered.
    pub response: String,
    /// Whether the system message is the variable's text.
    pub system_is_variable: bool,
    /// Whether the user message is the variable's text.
    pub prompt_is_variable: bool,
}

/// A turn of a conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurnContext {
    /// Who spoke: `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub text: String,
    /// Whether that is the text that is shown as the variable in the same request.
    pub is_variable: bool,
}

impl TurnContext {
    pub(crate) fn new(turn: &Message, variable: Option<&str>) -> Self {
        let (role, text) = (turn.role.as_str().to_owned(), turn.text());
        Self { role, is_variable: variable == Some(&text), text }
    }
}

/// A call of a function: `purpose`, `inputs` (each with `name`, `title` and the variable's `role`, `value`,
/// `short`), `output`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FunctionContext {
    /// What the function is for, in words.
    pub purpose: String,
    /// What went in.
    pub inputs: Vec<FunctionArgument>,
    /// What came out.
    pub output: String,
}

/// An input of a function.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FunctionArgument {
    /// The argument's name.
    pub name: String,
    /// The name for a reader: with spaces for underscores, and a capital at its beginning.
    pub title: String,
    /// What the variable is for, in words.
    pub role: String,
    /// The whole text of the variable.
    pub value: String,
    /// The text as [`VariableContext::short`] has it.
    pub short: String,
}

impl FunctionArgument {
    /// An argument as templates see it.
    #[must_use]
    pub fn new(name: &str, variable: &Variable) -> Self {
        let words = name.replace('_', " ");
        let mut letters = words.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        let title = first.chain(letters).collect();
        let VariableContext { role, value, short } = VariableContext::new(variable);
        Self { name: name.to_owned(), title, role, value, short }
    }
}

/// A request for feedback on one input of a call: `variable`; `variable_brief` (its first and last five words);
/// `query` (that the input answers, null if the loss does not know one);
/// `call` (as `conversation` or `function_call` quote it); `function` (whether it is a function's);
/// `response_role`; `objective` (whether the call's output is the objective); `feedback` (else, the feedback on
/// the output, a list) and `feedback_text` (joined by newlines); `system_prompt`, `examples`, `history`,
/// `prompt`, `images`, `response` as in [`ConversationContext`], null, empty or 0 for a function;
/// `feedback_examples` (of good feedback, a list) and `feedback_examples_text` (joined by newlines).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FeedbackContext {
    /// The input that feedback is wanted on.
    pub variable: VariableContext,
    /// The same input, five words of its beginning and of its end: where it stands whole above.
    pub variable_brief: String,
    /// The query that the input answers, if the loss knows it.
    pub query: Option<String>,
    /// The call, quoted.
    pub call: String,
    /// Whether the call is a function's.
    pub function: bool,
    /// What the output is for, in words.
    pub response_role: String,
    /// Whether the output is the objective.
    pub objective: bool,
    /// What was said about the output.
    pub feedback: Vec<String>,
    /// The same, joined by newlines.
    pub feedback_text: String,
    /// The call's system message.
    pub system_prompt: Option<String>,
    /// The call's examples.
    pub examples: Vec<Exchange>,
    /// The turns between them and its user message.
    pub history: Vec<TurnContext>,
    /// The call's user message.
    pub prompt: Option<String>,
    /// How many images the call's user message held.
    pub images: usize,
    /// What the model answered.
    pub response: Option<String>,
    /// Examples of good feedback.
    pub feedback_examples: Vec<String>,
    /// The same, joined by newlines.
    pub feedback_examples_text: String,
}

impl FeedbackContext {
    /// With the parts of a call of a language model.
    pub(crate) fn with_conversation(self, call: ConversationContext) -> Self {
        Self {
            system_prompt: call.system_prompt,
            examples: call.examples,
            history: call.history,
            prompt: Some(call.prompt),
            images: call.images,
            response: Some(call.response),
            ..self
        }
    }
}

/// A request to merge feedback: `variable`, `feedback` (a list).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReduceContext {
    /// The text that the feedback is about.
    pub variable: VariableContext,
    /// What was said about it.
    pub feedback: Vec<String>,
}

/// A request for a grade: `criterion`; `fields` (the example's, each with `name`, `title` and `value`);
/// `prediction`; `expected` (null if it is unknown or not to be shown); `highest`, the highest grade, while
/// the lowest is 0; `start_tag`, `end_tag`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JudgeContext {
    /// What is judged by, in words.
    pub criterion: String,
    /// What the prediction was made from.
    pub fields: Vec<FunctionArgument>,
    /// What is judged.
    pub prediction: String,
    /// What was expected.
    pub expected: Option<String>,
    /// The highest grade.
    pub highest: u32,
    /// What must stand before the grade.
    pub start_tag: String,
    /// What must stand behind it.
    pub end_tag: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortening_counts_words_as_textgrad_does() {
        let words = |n: usize| (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(shorten(&words(20)), words(20));
        let short = shorten(&words(21));
        assert_eq!(short, "1 2 3 4 5 6 7 8 9 10 (...) 12 13 14 15 16 17 18 19 20 21");
        // A newline does not end a word.
        assert_eq!(shorten(&"a\nb ".repeat(11)).matches("a\nb").count(), 11);
    }
}
