//! What a request for feedback or for a new text shows of the calls that it is about.

use crate::sim::request::Conversation;
use crate::sim::sections::{Parsed, parse};

/// The calls that a request quotes or continues.
#[derive(Debug, Default)]
pub(crate) struct Exchange<'a> {
    /// The system prompt of the first call that shows one.
    pub(super) system: Option<&'a str>,
    /// What was asked, call by call.
    pub(super) inputs: Vec<&'a str>,
    /// What was answered, call by call.
    pub(super) outputs: Vec<&'a str>,
    /// What went into functions.
    pub(super) arguments: Vec<&'a str>,
    /// Whether a function was called.
    pub(super) function: bool,
    pub(super) feedback: Vec<&'a str>,
    pub(super) variable: &'a str,
    pub(super) role: &'a str,
    pub(super) constraints: Vec<&'a str>,
    /// What the last message says outside of its sections.
    pub(super) told: Vec<&'a str>,
}

impl<'a> Exchange<'a> {
    pub(super) fn of(conversation: &'a Conversation) -> Self {
        let users: Vec<Parsed<'a>> = conversation.users.iter().map(|user| parse(user)).collect();
        let nothing = Parsed::default();
        let last = users.last().unwrap_or(&nothing);
        let mut exchange = Self {
            system: last.all("LM_SYSTEM_PROMPT").first().copied(),
            inputs: last.all("LM_INPUT"),
            outputs: last.all("LM_OUTPUT"),
            arguments: last.all("FUNCTION_INPUT"),
            function: !last.all("FUNCTION_PURPOSE").is_empty(),
            feedback: last.all("FEEDBACK"),
            variable: last.get("VARIABLE").unwrap_or_default(),
            role: users.iter().rev().find_map(|user| user.get("ROLE")).unwrap_or_default(),
            constraints: last.all("CONSTRAINTS"),
            told: last.outside.clone(),
        };
        // A continued conversation shows the call by its own turns.
        if exchange.outputs.is_empty()
            && let (Some(first), Some(answer)) =
                (conversation.users.first(), conversation.assistants.first())
            && conversation.users.len() > 1
        {
            exchange.system = (!conversation.system.is_empty()).then_some(&conversation.system);
            exchange.inputs = vec![first];
            exchange.outputs = vec![answer];
        }
        exchange
    }

    /// Whether the text that may change is a prompt.
    pub(super) fn is_prompt(&self) -> bool {
        let role = self.role.to_lowercase();
        ["system prompt", "instruction", "prompt"].iter().any(|word| role.contains(word))
    }
}
