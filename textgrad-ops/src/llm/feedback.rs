//! Asking a model what to say about an input of a call.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Context, ContextSource, Engine, Error, Feedback, Gradient, Inputs, Layout, Message,
    MessageRole, Op, OpFailure, Output, Part, Purpose, Request, Sampling, Variable, apply_one,
};

use super::quote::feedback_context;
use crate::prompts::Prompts;

/// How an op asks for feedback on its inputs.
#[derive(Clone)]
pub(crate) struct FeedbackSettings {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) prompts: Prompts,
    pub(crate) sampling: Sampling,
    /// Examples of good feedback.
    pub(crate) examples: Vec<String>,
}

impl FeedbackSettings {
    /// What holds unless said otherwise.
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        let (prompts, sampling) = (Prompts::default(), Sampling::default());
        Self { engine, prompts, sampling, examples: Vec::new() }
    }
}

/// One output of a call, as requests for feedback show it.
pub(crate) struct QuotedCall {
    pub(crate) output: usize,
    pub(crate) source: ContextSource,
    pub(crate) response_role: Arc<str>,
}

/// Asks for feedback on one input of a call.
///
/// `quote` shows one output of the call; `messages` is the forward conversation (empty for a function), which
/// the request continues if the pass wants that and feedback is about one output only.
pub(crate) async fn request_feedback(
    cx: &BackwardCx,
    input: usize,
    settings: &FeedbackSettings,
    messages: &[Message],
    quote: impl Fn(usize, &Output) -> QuotedCall,
) -> Result<Option<Gradient>, Error> {
    let Some(variable) = cx.inputs().get(input).map(|input| input.variable().clone()) else {
        return Ok(None);
    };
    let calls: Vec<QuotedCall> = cx
        .outputs()
        .iter()
        .enumerate()
        .filter(|(output, _)| !cx.gradients(*output).is_empty())
        .map(|(position, output)| quote(position, output))
        .collect();
    let said: Vec<&Feedback> = calls
        .iter()
        .flat_map(|call| cx.gradients(call.output))
        .filter_map(Gradient::feedback)
        .collect();
    let Some(first) = calls.first() else { return Ok(None) };

    let context = feedback_context(cx, settings, &variable, &calls)?;
    let continued = cx.layout() == Layout::Continued && calls.len() == 1 && !messages.is_empty();
    let messages = if continued {
        let response = output_text(cx, first.output);
        let mut dialogue = messages.to_vec();
        dialogue.push(Message::assistant(response));
        dialogue.push(Message::user(settings.prompts.render("feedback_continue", &context)?));
        dialogue
    } else {
        let template = if context.objective { "feedback_base" } else { "feedback_chain" };
        let images = messages.iter().flat_map(|message| &message.parts);
        let images = images.filter(|part| matches!(part, Part::Image(_))).cloned();
        let text = Part::Text(settings.prompts.render(template, &context)?);
        vec![
            Message::system(settings.prompts.render("feedback_system", &context)?),
            Message::new(MessageRole::User, images.chain([text])),
        ]
    };

    let sampling = settings.sampling.clone().at(cx.seed(input));
    let request = Request::new(Purpose::Gradient, messages).with_sampling(sampling);
    let words = ask(cx, settings, &variable, &calls, &said, request.clone()).await?;
    if words.text().is_none_or(|text| text.trim().is_empty()) {
        return Ok(None);
    }
    let dialogue: Option<Arc<[Message]>> = continued.then(|| {
        let reply = Message::assistant(words.text().unwrap_or_default());
        request.messages.into_iter().chain([reply]).collect()
    });
    let contexts = calls.into_iter().map(|call| {
        Arc::new(Context {
            source: call.source,
            response_role: call.response_role,
            dialogue: dialogue.clone(),
        })
    });
    Ok(Some(Feedback::from_variable(words).with_contexts(contexts).into()))
}

/// Makes the request as a call in the graph, so that the feedback knows what it was made of.
async fn ask(
    cx: &BackwardCx,
    settings: &FeedbackSettings,
    variable: &Variable,
    calls: &[QuotedCall],
    said: &[&Feedback],
    request: Request,
) -> Result<Variable, Error> {
    let mut inputs: Vec<(&str, Variable)> = vec![("variable", variable.clone())];
    inputs.extend(
        calls
            .iter()
            .filter_map(|call| Some(("response", cx.output_variable(call.output)?.clone()))),
    );
    inputs.extend(said.iter().map(|feedback| ("feedback", feedback.variable().clone())));
    let engine = cx.engine_or(&settings.engine);
    word_feedback("gradient", engine, request, variable, inputs).await
}

/// Has a model word feedback on a variable, as a call of this name in the graph.
pub(crate) async fn word_feedback(
    name: &'static str,
    engine: Arc<dyn Engine>,
    request: Request,
    variable: &Variable,
    inputs: Vec<(&str, Variable)>,
) -> Result<Variable, Error> {
    let role = format!("feedback on: {}", variable.role()).into();
    let op = LlmFeedback { name, engine, request, role };
    apply_one(Arc::new(op), Inputs::new(inputs)).await
}

fn output_text(cx: &BackwardCx, output: usize) -> String {
    cx.outputs().get(output).map(|output| output.value().describe()).unwrap_or_default()
}

/// The call of the model that words the feedback. Not differentiable so far: a pass ends here.
struct LlmFeedback {
    name: &'static str,
    engine: Arc<dyn Engine>,
    request: Request,
    role: Arc<str>,
}

#[async_trait]
impl Op for LlmFeedback {
    fn name(&self) -> &str {
        self.name
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        let response = self.engine.complete(&self.request).await?;
        let choices = response.choices.into_iter().take(1);
        Ok(choices
            .map(|choice| {
                Output::new(choice.text, Arc::clone(&self.role)).with_requires_grad(false)
            })
            .collect())
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Some(self.request.clone())
    }
}
