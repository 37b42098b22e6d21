//! Requests that say what they were made of, and nothing else.

use std::sync::{Arc, LazyLock};

use textgrad_core::{MessageRole, PromptPack, Purpose, Request, TemplateSpec};
use textgrad_ops::prompts::{
    ContrastiveContext, ConversationContext, EvaluationContext, FeedbackContext, GradientContext,
    RetryContext, UpdateContext,
};
use tpo::prompts::SampleContext;

use super::world::Asked;

/// Stands between the parts of a request, and in no text.
const PART: char = '\u{1f}';
/// Stands between the parts of a quoted call.
const QUOTED: char = '\u{1e}';

const NOTE: &str = "once more";

/// A pack of parts, not of words; made once, for templates are checked when a pack is made.
pub(super) fn pack() -> Arc<PromptPack> {
    static PACK: LazyLock<Arc<PromptPack>> = LazyLock::new(|| Arc::new(build()));
    Arc::clone(&PACK)
}

fn build() -> PromptPack {
    let templates = tpo::prompts::templates().into_iter().map(|spec| match spec.name() {
        name @ "sample_system" => TemplateSpec::new::<SampleContext<'_>>(name, "{{query}}"),
        name @ "contrastive_system" => {
            TemplateSpec::new::<ContrastiveContext<'_>>(name, "{{query}}\u{1f}{{rejected}}")
        }
        name @ "evaluation_system" => TemplateSpec::new::<EvaluationContext<'_>>(name, "{{query}}"),
        name @ "conversation" => TemplateSpec::new::<ConversationContext>(
            name,
            "{{system_prompt}}\u{1e}{{prompt}}\u{1e}{{response}}",
        ),
        name @ "feedback_system" => TemplateSpec::new::<FeedbackContext>(name, "feedback"),
        name @ "feedback_base" => {
            TemplateSpec::new::<FeedbackContext>(name, "{{call}}\u{1e}{{variable.value}}")
        }
        name @ "gradient" => TemplateSpec::new::<GradientContext>(
            name,
            "{{#each contexts}}{{call}}{{/each}}\u{1e}{{feedback}}",
        ),
        name @ "update_system" => TemplateSpec::new::<UpdateContext>(name, "update"),
        name @ "update" => {
            TemplateSpec::new::<UpdateContext>(name, "{{gradients}}\u{1e}{{variable.value}}")
        }
        name @ "update_retry" => TemplateSpec::new::<RetryContext>(name, "\u{1e}once more"),
        _ => spec,
    });
    PromptPack::new(templates).unwrap()
}

fn loss(system: &str, chosen: &str) -> Asked {
    let (query, rejected) = match system.split_once(PART) {
        Some((query, rejected)) => (query, Some(rejected.to_owned())),
        None => (system, None),
    };
    Asked::Loss { query: query.to_owned(), rejected, chosen: chosen.to_owned() }
}

/// What a request asks.
pub(super) fn read(request: &Request) -> Asked {
    let roles: Vec<MessageRole> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [MessageRole::System, MessageRole::User], "{:?}", request.purpose);
    let (system, user) = (request.messages[0].text(), request.messages[1].text());
    let quoted: Vec<&str> = user.split(QUOTED).collect();
    match request.purpose {
        Purpose::Sample => {
            assert_eq!(system, user);
            Asked::Answers { query: user }
        }
        Purpose::Loss => loss(&system, &user),
        Purpose::Gradient => {
            let [system, chosen, loss_text, variable] = quoted[..] else { panic!("{user:?}") };
            assert_eq!(variable, chosen);
            Asked::Gradient { of: Box::new(loss(system, chosen)), loss: loss_text.to_owned() }
        }
        Purpose::Update => {
            let (quoted, again) = match quoted.split_last() {
                Some((&NOTE, before)) => (before.to_vec(), true),
                _ => (quoted, false),
            };
            let [system, chosen, loss_text, gradient, variable] = quoted[..] else {
                panic!("{user:?}")
            };
            // The note stands behind an empty line.
            let variable = if again { variable.strip_suffix("\n\n").unwrap() } else { variable };
            assert_eq!(variable, chosen);
            let of = loss(system, chosen);
            let of = Asked::Gradient { of: Box::new(of), loss: loss_text.to_owned() };
            Asked::Versions { of: Box::new(of), gradient: gradient.to_owned(), again }
        }
        other => panic!("a request for {other}"),
    }
}
