//! The instructions that ops and optimizers send, as templates; see [`textgrad_core::PromptPack`].
//!
//! | template | message | variables |
//! |---|---|---|
//! | `conversation` | how a call of a language model is quoted | [`ConversationContext`] |
//! | `function_call` | how a call of a function is quoted | [`FunctionContext`] |
//! | `feedback_system` | system message of a request for feedback, quoted layout | [`FeedbackContext`] |
//! | `feedback_base` | its user message, if the call's output is the objective | [`FeedbackContext`] |
//! | `feedback_chain` | its user message otherwise | [`FeedbackContext`] |
//! | `feedback_continue` | last user message of a request for feedback, continued layout | [`FeedbackContext`] |
//! | `gradient` | how one feedback is shown to an optimizer | [`GradientContext`] |
//! | `update_system` | system message of a request for a new text | [`UpdateContext`] |
//! | `update` | its user message | [`UpdateContext`] |
//! | `update_continue` | last user message of a request for a new text, continued layout | [`UpdateContext`] |
//! | `update_retry` | added to the last message when an answer could not be used | [`RetryContext`] |
//! | `reduce_system`, `reduce` | system and user message of a request to merge feedback | [`ReduceContext`] |
//! | `contrastive_system` | system message of a contrastive loss; the user message is the preferred text | [`ContrastiveContext`] |
//! | `evaluation_system` | the same without a rejected text | [`EvaluationContext`] |
//! | `contrastive_continue`, `evaluation_continue` | the same as last user message, where the loss continues the conversation that the preferred text was an answer in | [`ContrastiveContext`], [`EvaluationContext`] |
//! | `listwise_system` | system message of a listwise loss; the user message is one of the answers | [`ListwiseContext`] |
//! | `multi_field_system`, `multi_field` | system and user message of an evaluation of several texts | [`MultiFieldContext`] |
//! | `multiple_choice_system`, `multiple_choice` | those of an evaluation of an answer to a multiple choice question | [`MultipleChoiceContext`] |
//! | `image_qa_system` | system message of an evaluation of an answer to a question about an image | [`FunctionArgument`] |
//! | `image_qa` | each text of its user message, which are the instruction, the question, the image and the answer | [`FunctionArgument`] |
//! | `check_feedback` | feedback on a text for which a check does not hold | [`CheckContext`] |
//! | `command_report` | the text of a program's run on a text | [`CommandContext`] |
//! | `command_feedback` | feedback on a text on which a program failed | [`CommandContext`] |
//! | `all_of` | the text of objectives that must all pass | [`AllOfContext`] |
//! | `weighted_sum` | the text of a weighted sum of objectives | [`WeightedSumContext`] |
//! | `weight_feedback` | what is said about a part of it where weights differ | [`WeightContext`] |
//! | `graph_call` | a line of the listing of a graph | [`GraphCallContext`] |
//! | `graph_update_system`, `graph_update` | system and user message of a request for new texts of a graph | [`GraphUpdateContext`] |
//! | `graph_retry` | added to it when an answer could not be used | [`GraphRetryContext`] |
//! | `judge_system`, `judge` | system and user message of a request for a grade | [`JudgeContext`] |
//! | `judge_retry` | added to the last message when no grade could be read | [`RetryContext`] |
//!
//! The partials `_subject`, `_feedback_examples`, `_rules`, `_history`, `_edits` and `_streams` are shared by some of
//! the defaults.

mod context;
mod objective;
mod update;

use std::sync::{Arc, LazyLock};

use textgrad_core::{
    BackwardCx, Error, Gradient, Inputs, Message, Output, PromptError, PromptPack, TemplateContext,
    TemplateSpec, Variable, apply_one, op_fn,
};

pub(crate) use self::context::brief;
#[cfg(feature = "sim")]
pub(crate) use self::context::shorten;
pub use self::context::{
    ConversationContext, Exchange, FeedbackContext, FunctionArgument, FunctionContext,
    JudgeContext, ReduceContext, TurnContext, VariableContext,
};
pub use self::objective::{
    AllOfContext, CheckContext, CommandContext, ContrastiveContext, EvaluationContext,
    ListwiseContext, MultiFieldContext, MultipleChoiceContext, PartContext, RankedContext,
    WeightContext, WeightedSumContext,
};
pub use self::update::{
    CallContext, Constraint, GradientContext, GraphArgument, GraphCallContext, GraphObjective,
    GraphParameter, GraphRetryContext, GraphUpdateContext, GraphValue, PastStep, RejectedChange,
    RetryContext, UpdateContext,
};

/// The template of a name over these variables, or a partial: the text is that of the file of this name.
macro_rules! template {
    ($context:ty, $name:literal) => {
        TemplateSpec::new::<$context>($name, include_str!(concat!("../../prompts/", $name, ".hbs")))
    };
    ($name:literal) => {
        TemplateSpec::partial($name, include_str!(concat!("../../prompts/", $name, ".hbs")))
    };
}

/// The templates of this crate with their default texts.
#[must_use]
pub fn templates() -> Vec<TemplateSpec> {
    vec![
        template!(ConversationContext, "conversation"),
        template!(FunctionContext, "function_call"),
        template!(FeedbackContext, "feedback_system"),
        template!(FeedbackContext, "feedback_base"),
        template!(FeedbackContext, "feedback_chain"),
        template!(FeedbackContext, "feedback_continue"),
        template!(GradientContext, "gradient"),
        template!(UpdateContext, "update_system"),
        template!(UpdateContext, "update"),
        template!(UpdateContext, "update_continue"),
        template!(RetryContext, "update_retry"),
        template!(ReduceContext, "reduce_system"),
        template!(ReduceContext, "reduce"),
        template!(GraphCallContext, "graph_call"),
        template!(GraphUpdateContext, "graph_update_system"),
        template!(GraphUpdateContext, "graph_update"),
        template!(GraphRetryContext, "graph_retry"),
        template!(JudgeContext, "judge_system"),
        template!(JudgeContext, "judge"),
        template!(RetryContext, "judge_retry"),
        template!("_subject"),
        template!("_feedback_examples"),
        template!("_rules"),
        template!("_history"),
        template!("_edits"),
        template!(ContrastiveContext<'_>, "contrastive_system"),
        template!(ContrastiveContext<'_>, "contrastive_continue"),
        template!(EvaluationContext<'_>, "evaluation_continue"),
        template!(EvaluationContext<'_>, "evaluation_system"),
        template!(ListwiseContext<'_>, "listwise_system"),
        template!(MultiFieldContext, "multi_field_system"),
        template!(MultiFieldContext, "multi_field"),
        template!(MultipleChoiceContext<'_>, "multiple_choice_system"),
        template!(MultipleChoiceContext<'_>, "multiple_choice"),
        template!(FunctionArgument, "image_qa_system"),
        template!(FunctionArgument, "image_qa"),
        template!(CheckContext<'_>, "check_feedback"),
        template!(CommandContext<'_>, "command_report"),
        template!(CommandContext<'_>, "command_feedback"),
        template!("_streams"),
        template!(AllOfContext, "all_of"),
        template!(WeightedSumContext, "weighted_sum"),
        template!(WeightContext, "weight_feedback"),
    ]
}

/// The pack that an op or optimizer words its requests with: the default one, or one of the user's.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::PromptPack;
/// use textgrad_ops::prompts::{Prompts, templates};
///
/// let default = Prompts::default();
/// let own = Prompts::from(Arc::new(PromptPack::new(templates())?));
/// # let _ = (default, own);
/// # Ok::<(), textgrad_core::PromptError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Prompts(Option<Arc<PromptPack>>);

impl Prompts {
    /// Fills in a template.
    ///
    /// # Errors
    /// Those of [`PromptPack::render`].
    pub fn render<C: TemplateContext>(
        &self,
        name: &str,
        context: &C,
    ) -> Result<String, PromptError> {
        static DEFAULT: LazyLock<PromptPack> = LazyLock::new(|| PromptPack::unchecked(templates()));
        self.0.as_deref().unwrap_or(&DEFAULT).render(name, context)
    }

    /// What a request is worded by, as inputs of its call: of its last messages, which are rendered from these
    /// templates, those whose template is a [variable](PromptPack::with_variable). Each is made of its template, and of
    /// the values in it, which are constants here.
    pub(crate) async fn wording(
        &self,
        templates: &[&'static str],
        messages: &[Message],
        values: &[(&str, Variable)],
    ) -> Result<Vec<(&'static str, Variable)>, Error> {
        let mut inputs = Vec::new();
        for (name, message) in templates.iter().rev().zip(messages.iter().rev()) {
            if let Some(template) = self.variable(name) {
                let text: Arc<str> = message.text().into();
                let render = move |_: &Inputs| Ok(Arc::clone(&text));
                let role = format!("part of a request, by the template {name}");
                let text = rendered("template", role, values, Some(template), render).await?;
                inputs.push((*name, text));
            }
        }
        Ok(inputs)
    }

    /// The variable that a template is the text of, if it is one.
    pub(crate) fn variable(&self, name: &str) -> Option<&Variable> {
        self.0.as_ref()?.variable(name)
    }

    /// The system and the user message of a request, by the templates `{name}_system` and `{name}`.
    pub(crate) fn messages<C: TemplateContext>(
        &self,
        name: &str,
        context: &C,
    ) -> Result<Vec<Message>, PromptError> {
        let system = self.render(&format!("{name}_system"), context)?;
        Ok(vec![Message::system(system), Message::user(self.render(name, context)?)])
    }
}

/// A text that is rendered from values, as a call of this name in the graph, and its template as an input where that is
/// a variable. The values are constants here. Feedback on the text is feedback on the template.
pub(crate) async fn rendered(
    name: &'static str,
    role: impl Into<Arc<str>>,
    values: &[(&str, Variable)],
    template: Option<&Variable>,
    render: impl Fn(&Inputs) -> Result<Arc<str>, Error> + Send + Sync + 'static,
) -> Result<Variable, Error> {
    let role = role.into();
    let op = op_fn(name, move |inputs: Inputs| {
        let (text, role) = (render(&inputs), Arc::clone(&role));
        async move { Ok(vec![Output::new(text?, role)]) }
    })
    .with_backward(|cx: BackwardCx| async move {
        Ok(vec![Gradient::join(cx.gradients(0)); cx.inputs().len()])
    });
    let values = values.iter().map(|(name, value)| (*name, value.stop_gradient()));
    let template = template.map(|template| ("template", template.clone()));
    apply_one(Arc::new(op), Inputs::from_iter(values.chain(template))).await
}

impl From<Arc<PromptPack>> for Prompts {
    fn from(pack: Arc<PromptPack>) -> Self {
        Self(Some(pack))
    }
}
