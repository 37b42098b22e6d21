//! Asking a model what to say about an input of a call.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Context, ContextSource, Engine, Error, Feedback, Gradient, Inputs, Layout, Message,
    MessageRole, Op, OpFailure, Output, Part, Purpose, Request, Sampling, Variable, apply_one,
};

use crate::prompts::{
    ConversationContext, FeedbackContext, FunctionArgument, FunctionContext, Prompts,
    VariableContext,
};

/// How an op asks for feedback on its inputs.
#[derive(Clone)]
pub(crate) struct FeedbackSettings {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) prompts: Prompts,
    pub(crate) sampling: Sampling,
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

    let context = feedback_context(cx, &settings.prompts, &variable, &calls)?;
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

fn feedback_context(
    cx: &BackwardCx,
    prompts: &Prompts,
    variable: &Variable,
    calls: &[QuotedCall],
) -> Result<FeedbackContext, Error> {
    let mut quoted = Vec::new();
    for call in calls {
        quoted.push(quote_source(prompts, &call.source, None)?);
    }
    let feedback = words_of(cx, calls);
    let first = calls.first();
    let (system_prompt, prompt, response) = match first.map(|call| &call.source) {
        Some(ContextSource::Conversation { system, prompt, response }) => (
            system.as_ref().map(ToString::to_string),
            Some(prompt.to_string()),
            Some(response.to_string()),
        ),
        _ => (None, None, None),
    };
    Ok(FeedbackContext {
        variable: VariableContext::new(variable),
        call: quoted.join("\n\n"),
        function: matches!(first.map(|call| &call.source), Some(ContextSource::Function { .. })),
        response_role: first.map(|call| call.response_role.to_string()).unwrap_or_default(),
        objective: feedback.is_empty(),
        feedback_text: feedback.join("\n"),
        feedback,
        system_prompt,
        prompt,
        response,
    })
}

/// What was said about the outputs of a call; where it is about several, with the number of each, in the order
/// in which they are quoted.
fn words_of(cx: &BackwardCx, calls: &[QuotedCall]) -> Vec<String> {
    let mut words = Vec::new();
    for (number, call) in (1..).zip(calls) {
        for feedback in cx.gradients(call.output).iter().filter_map(Gradient::feedback) {
            words.push(match calls.len() {
                1 => feedback.text().to_owned(),
                _ => format!("On output {number}: {}", feedback.text()),
            });
        }
    }
    words
}

/// A call as a prompt shows it. A text of it that is shown as `variable` in the same prompt is marked so.
pub(crate) fn quote_source(
    prompts: &Prompts,
    source: &ContextSource,
    variable: Option<&Variable>,
) -> Result<String, Error> {
    let shown = variable.and_then(Variable::text);
    match source {
        ContextSource::Conversation { system, prompt, response } => {
            let context = ConversationContext {
                system_is_variable: shown.is_some() && system.as_deref() == shown,
                prompt_is_variable: shown == Some(&**prompt),
                system_prompt: system.as_ref().map(ToString::to_string),
                prompt: prompt.to_string(),
                response: response.to_string(),
            };
            Ok(prompts.render("conversation", &context)?)
        }
        ContextSource::Function { purpose, inputs, output } => {
            let inputs =
                inputs.iter().map(|input| FunctionArgument::new(input.name(), input.variable()));
            let context = FunctionContext {
                purpose: purpose.to_string(),
                inputs: inputs.collect(),
                output: output.to_string(),
            };
            Ok(prompts.render("function_call", &context)?)
        }
        _ => Err(Error::op("this kind of context can not be shown in a prompt")),
    }
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
