//! Shared by the tests of this crate.

use std::sync::{Arc, Mutex};

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{
    Engine, EngineError, EngineInfo, Image, Inputs, Message, MessageRole, Output, Part, PromptPack,
    Purpose, Request, Response, Score, TemplateSpec, Variable, apply_one, op_fn,
};
use textgrad_ops::prompts::{
    CommandContext, ConversationContext, FeedbackContext, FunctionContext, GradientContext,
    Prompts, ReduceContext, RetryContext, UpdateContext,
};

/// An engine that answers by a function of the request, and remembers what it was asked.
pub(crate) struct Answers {
    info: EngineInfo,
    function: Box<dyn Fn(&Request) -> String + Send + Sync>,
    requests: Mutex<Vec<Request>>,
}

impl Answers {
    pub(crate) fn new(
        name: &'static str,
        function: impl Fn(&Request) -> String + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            info: EngineInfo::new(name),
            function: Box::new(function),
            requests: Mutex::default(),
        })
    }

    /// Answers `name purpose`, and updates between the default tags.
    pub(crate) fn plain(name: &'static str) -> Arc<Self> {
        Self::new(name, move |request| match request.purpose {
            Purpose::Update => tagged("better"),
            purpose => format!("{name} {purpose}"),
        })
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self, purpose: Purpose) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.purpose == purpose).collect()
    }
}

#[async_trait::async_trait]
impl Engine for Answers {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.requests.lock().unwrap().push(request.clone());
        // Others get a turn: what depends on the order of arrival shows.
        tokio::task::yield_now().await;
        let text = (self.function)(request);
        let choice = textgrad_core::Choice::new(text, textgrad_core::FinishReason::Stop);
        Ok(Response::new(vec![choice; request.sampling.n as usize]))
    }
}

pub(crate) fn script<const N: usize>(replies: [&str; N]) -> Arc<ScriptedEngine> {
    Arc::new(ScriptedEngine::new(replies))
}

pub(crate) fn tagged(text: &str) -> String {
    format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>")
}

pub(crate) fn picture() -> Variable {
    let png = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0];
    Variable::constant(Image::from_bytes(png.to_vec()).unwrap(), "picture")
}

/// A variable of one call: what goes in is joined, and scores 0.25.
pub(crate) async fn join(name: &'static str, inputs: &[(&str, &Variable)], role: &str) -> Variable {
    let role = role.to_owned();
    let op = op_fn(name, move |inputs: Inputs| {
        let role = role.clone();
        async move {
            let texts: Vec<String> =
                inputs.iter().map(|input| input.variable().value().describe()).collect();
            Ok(vec![Output::new(texts.join(" "), role).with_score(Score::from(0.25))])
        }
    });
    let inputs = inputs.iter().map(|(name, variable)| ((*name).to_owned(), (*variable).clone()));
    apply_one(Arc::new(op), Inputs::new(inputs)).await.unwrap()
}

/// A request as lines `role: text`; images are `(image)`, further parts follow ` + `.
pub(crate) fn lines(request: &Request) -> Vec<String> {
    let part = |part: &Part| match part {
        Part::Text(text) => text.to_string(),
        Part::Image(_) => "(image)".to_owned(),
    };
    let line = |message: &Message| {
        let parts: Vec<String> = message.parts.iter().map(part).collect();
        format!("{}: {}", message.role, parts.join(" + "))
    };
    request.messages.iter().map(line).collect()
}

/// All that is said in a request.
pub(crate) fn whole(request: &Request) -> String {
    lines(request).join("\n")
}

/// The last user message.
pub(crate) fn user(request: &Request) -> String {
    let user = request.messages.iter().rev().find(|message| message.role == MessageRole::User);
    user.unwrap().text()
}

/// A pack whose templates show what they are given, and nothing else.
pub(crate) fn pack() -> Prompts {
    Prompts::from(Arc::new(
        PromptPack::new([
            TemplateSpec::new::<ConversationContext>(
                "conversation",
                "[{{#if system_prompt}}S={{#if system_is_variable}}VARIABLE{{else}}{{system_prompt}}{{/if}} {{/if}}\
                 {{#each examples}}E={{prompt}}>{{answer}} {{/each}}\
                 P={{#if prompt_is_variable}}VARIABLE{{else}}{{prompt}}{{/if}} R={{response}}]",
            ),
            TemplateSpec::new::<FunctionContext>(
                "function_call",
                "[F={{purpose}}{{#each inputs}} {{name}}:{{role}}={{value}}{{/each}} R={{output}}]",
            ),
            TemplateSpec::new::<FeedbackContext>("feedback_system", "feedback on {{variable.role}}"),
            TemplateSpec::new::<FeedbackContext>(
                "feedback_base",
                "base {{variable.value}} in {{call}} function={{function}}\
                 {{#each feedback_examples}} like {{this}}{{/each}}",
            ),
            TemplateSpec::new::<FeedbackContext>(
                "feedback_chain",
                "chain {{variable.value}} in {{call}} as {{response_role}}\
                 {{#each feedback}} said {{this}}{{/each}} function={{function}}\
                 {{#each feedback_examples}} like {{this}}{{/each}}",
            ),
            TemplateSpec::new::<FeedbackContext>(
                "feedback_continue",
                "continue {{variable.value}} as {{response_role}}\
                 {{#if objective}} objective{{/if}}{{#each feedback}} said {{this}}{{/each}}\
                 {{#each feedback_examples}} like {{this}}{{/each}}",
            ),
            TemplateSpec::new::<GradientContext>(
                "gradient",
                "{{feedback}}{{#each contexts}} in {{call}} as {{response_role}}{{/each}}",
            ),
            TemplateSpec::new::<UpdateContext>("update_system", "optimizer {{start_tag}}{{end_tag}}"),
            TemplateSpec::new::<UpdateContext>(
                "update",
                "{{variable.role}}={{variable.value}} said {{gradients}}\
                 {{#each constraints}} must {{number}} {{text}}{{/each}}\
                 {{#each examples}} like {{this}}{{/each}} {{start_tag}}{{end_tag}}",
            ),
            TemplateSpec::new::<UpdateContext>(
                "update_continue",
                "now {{variable.value}} {{start_tag}}{{end_tag}}",
            ),
            TemplateSpec::new::<RetryContext>(
                "update_retry",
                "again: {{problem}} cut={{cut_off}} {{start_tag}}{{end_tag}}",
            ),
            TemplateSpec::new::<ReduceContext>("reduce_system", "merge"),
            TemplateSpec::new::<ReduceContext>(
                "reduce",
                "{{variable.role}}={{variable.value}}{{#each feedback}} said {{this}}{{/each}}",
            ),
            TemplateSpec::new::<CommandContext<'_>>(
                "command_report",
                "{{exit_code}} {{stdout}} {{stderr}}",
            ),
            TemplateSpec::new::<CommandContext<'_>>("command_feedback", "failed"),
        ])
        .unwrap(),
    ))
}
