//! Requests that say what they were made of, and nothing else: each template, and beside it what it makes of
//! its variables, by plain formatting.

use std::sync::{Arc, LazyLock};

use textgrad_core::{PromptPack, TemplateSpec};
use textgrad_ops::prompts::{
    ContrastiveContext, ConversationContext, EvaluationContext, FeedbackContext, GradientContext,
    ListwiseContext, RetryContext, UpdateContext,
};
use tpo::prompts::{DirectContext, SampleContext};

use super::world::Turn;

/// A pack of parts, not of words; made once, for templates are checked when a pack is made.
pub(super) fn pack() -> Arc<PromptPack> {
    static PACK: LazyLock<Arc<PromptPack>> = LazyLock::new(|| Arc::new(build()));
    Arc::clone(&PACK)
}

fn build() -> PromptPack {
    let templates = tpo::prompts::templates().into_iter().map(|spec| match spec.name() {
        name @ "sample_system" => {
            TemplateSpec::new::<SampleContext<'_>>(name, "[sample|{{query}}]")
        }
        name @ ("contrastive_system" | "contrastive_continue") => {
            let source = "[compare|{{query}}|{{chosen}}|{{rejected}}]";
            TemplateSpec::new::<ContrastiveContext<'_>>(name, source)
        }
        name @ ("evaluation_system" | "evaluation_continue") => {
            TemplateSpec::new::<EvaluationContext<'_>>(name, "[evaluate|{{query}}|{{chosen}}]")
        }
        name @ "listwise_system" => {
            let source = "[rank|{{query}}|{{chosen}}|{{chosen_rank}} of {{count}}: {{chosen_score}}\
                {{#each answers}}|{{rank}}: {{score}} {{chosen}} {{text}}{{/each}}]";
            TemplateSpec::new::<ListwiseContext<'_>>(name, source)
        }
        name @ "direct_feedback" => {
            let source = "[direct|{{query}}|{{chosen}}{{#each rejected}}|{{this}}{{/each}}]";
            TemplateSpec::new::<DirectContext<'_>>(name, source)
        }
        name @ "conversation" => {
            let source = "[call|{{system_prompt}}{{#each history}}|{{role}} {{is_variable}} {{text}}{{/each}}\
                |{{prompt}}|{{response}}]";
            TemplateSpec::new::<ConversationContext>(name, source)
        }
        name @ "feedback_system" => TemplateSpec::new::<FeedbackContext>(name, "[feedback]"),
        name @ ("feedback_base" | "feedback_continue") => {
            TemplateSpec::new::<FeedbackContext>(name, "[{{call}}|{{variable.value}}]")
        }
        name @ "gradient" => {
            let source = "[gradient{{#each contexts}}|{{call}}{{/each}}|{{feedback}}]";
            TemplateSpec::new::<GradientContext>(name, source)
        }
        name @ "update_system" => TemplateSpec::new::<UpdateContext>(name, "[update]"),
        name @ ("update" | "update_continue") => {
            TemplateSpec::new::<UpdateContext>(name, "[{{gradients}}|{{variable.value}}]")
        }
        name @ "update_retry" => {
            TemplateSpec::new::<RetryContext>(name, "[again after {{attempts}}, {{cut_off}}]")
        }
        _ => spec,
    });
    PromptPack::new(templates).unwrap()
}

pub(super) fn sample(query: &str) -> String {
    format!("[sample|{query}]")
}

pub(super) fn evaluation(query: &str, chosen: &str, rejected: Option<&str>) -> String {
    match rejected {
        Some(rejected) => format!("[compare|{query}|{chosen}|{rejected}]"),
        None => format!("[evaluate|{query}|{chosen}]"),
    }
}

/// `ranked` are the answers with their scores, best first; the one at `own` is evaluated.
pub(super) fn ranking(query: &str, ranked: &[(String, f64)], own: usize) -> String {
    // A zero has no sign.
    let (chosen, score) = (&ranked[own].0, ranked[own].1 + 0.0);
    let mut text = format!("[rank|{query}|{chosen}|{} of {}: {score}", own + 1, ranked.len());
    for (place, (answer, score)) in ranked.iter().enumerate() {
        text += &format!("|{}: {} {} {answer}", place + 1, score + 0.0, place == own);
    }
    text + "]"
}

pub(super) fn direct(query: &str, chosen: &str, rejected: &[String]) -> String {
    let mut text = format!("[direct|{query}|{chosen}");
    for rejected in rejected {
        text += &format!("|{rejected}");
    }
    text + "]"
}

/// `variable` is the text that the same request shows as what it is about, if it marks it.
pub(super) fn call(turns: &[Turn], response: &str, variable: Option<&str>) -> String {
    let mut text = format!("[call|{}", turns[0].1);
    for (role, said) in &turns[1..turns.len() - 1] {
        text += &format!("|{role} {} {said}", variable == Some(said));
    }
    text + &format!("|{}|{response}]", turns[turns.len() - 1].1)
}

/// A request for feedback, and one for new versions, end with what they are about.
pub(super) fn about(what: &str, variable: &str) -> String {
    format!("[{what}|{variable}]")
}

pub(super) fn gradient(call: Option<&str>, words: &str) -> String {
    match call {
        Some(call) => format!("[gradient|{call}|{words}]"),
        None => format!("[gradient|{words}]"),
    }
}

pub(super) fn again(attempts: u32, cut_off: bool) -> String {
    format!("\n\n[again after {attempts}, {cut_off}]")
}
