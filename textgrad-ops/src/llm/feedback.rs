//! Requests for feedback on the inputs of a call.

use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use textgrad_core::{
    BackwardCx, Engine, Error, Feedback, Gradient, Input, Inputs, Layout, Message, MessageRole, Op,
    OpFailure, Output, Part, Purpose, Quote, Request, Sampling, Variable, apply_one,
};

use super::call::LlmCallBuilder;
use super::quote::quote_call;
use crate::function::StringFn;
use crate::prompts::{FeedbackContext, Prompts, VariableContext, brief};

/// The template of the system message of a request that does not continue a conversation.
const SYSTEM: &str = "feedback_system";

/// Settings of the requests for feedback on the inputs of an op.
#[derive(Debug, Clone, Setters)]
#[setters(
    generate_delegates(ty = "LlmCallBuilder", field = "feedback"),
    generate_delegates(ty = "StringFn", field = "feedback")
)]
pub(crate) struct FeedbackSettings {
    #[setters(skip)]
    pub(crate) engine: Arc<dyn Engine>,
    /// The wording of requests for feedback.
    #[setters(into)]
    pub(crate) prompts: Prompts,
    /// How feedback is drawn in a backward pass; one answer whatever its `n` says.
    #[setters(rename = "feedback_sampling")]
    pub(crate) sampling: Sampling,
    /// Examples of good feedback.
    #[setters(skip)]
    pub(crate) examples: Vec<String>,
}

impl FeedbackSettings {
    /// The default settings.
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        let (prompts, sampling) = (Prompts::default(), Sampling::default());
        Self { engine, prompts, sampling, examples: Vec::new() }
    }

    /// The same settings with another engine.
    pub(crate) fn with_engine(&self, engine: Arc<dyn Engine>) -> Self {
        Self { engine, ..self.clone() }
    }
}

/// Asks for feedback on every input of a call that requires a gradient.
///
/// In the continued layout, a request continues the conversation of the forward call, if the call has one and the
/// feedback on its outputs is about one output only.
pub(crate) async fn request_feedback(
    cx: &BackwardCx,
    settings: &FeedbackSettings,
) -> Result<Vec<Option<Gradient>>, OpFailure> {
    let outputs: Vec<(usize, &Output)> =
        cx.outputs().iter().enumerate().filter(|(i, _)| !cx.gradients(*i).is_empty()).collect();
    let Some((first, _)) = outputs.first() else { return Ok(vec![None; cx.inputs().len()]) };
    let quote = cx.call().op().quote(cx.inputs());
    let base = feedback_context(cx, settings, &quote, &outputs)?;
    let messages = match quote {
        Quote::Conversation { request, .. } => request.messages,
        _ => Vec::new(),
    };
    let continued = cx.layout() == Layout::Continued && outputs.len() == 1 && !messages.is_empty();
    let form = if continued {
        Form::Continued(cx.context(*first).map(|context| context.response().value().describe()))
    } else {
        Form::Quoted
    };
    let outputs: Vec<usize> = outputs.into_iter().map(|(output, _)| output).collect();
    let asked = FeedbackRequest { cx, settings, messages, base, form, outputs };
    cx.for_each_input(|input| asked.on(input)).await
}

/// The form of a request for feedback.
enum Form {
    Quoted,
    /// After the response of the call.
    Continued(Option<String>),
}

/// What requests for feedback on all inputs of a call share.
struct FeedbackRequest<'a> {
    cx: &'a BackwardCx,
    settings: &'a FeedbackSettings,
    messages: Vec<Message>,
    base: FeedbackContext,
    form: Form,
    /// The outputs that there are gradients on.
    outputs: Vec<usize>,
}

impl FeedbackRequest<'_> {
    async fn on(&self, input: usize) -> Result<Option<Gradient>, Error> {
        let Some(variable) = self.cx.inputs().get(input).map(Input::variable) else {
            return Ok(None);
        };
        let sampling = self.settings.sampling.clone().with_n(1).at(self.cx.seed(input));
        let request = Request::new(Purpose::Gradient, self.messages(variable)?);
        let request = request.with_sampling(sampling);
        let words = self.ask(variable, request.clone()).await?;
        let Some(reply) = words.text().filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let dialogue: Option<Arc<[Message]>> = match self.form {
            Form::Quoted => None,
            Form::Continued(_) => {
                Some(request.messages.into_iter().chain([Message::assistant(reply)]).collect())
            }
        };
        let contexts = self.outputs.iter().filter_map(|output| {
            let context = self.cx.context(*output)?;
            Some(Arc::new(match &dialogue {
                Some(dialogue) => context.with_dialogue(Arc::clone(dialogue)),
                None => context,
            }))
        });
        let contexts: Vec<_> = contexts.collect();
        Ok(Some(Feedback::from_variable(words).with_contexts(contexts).into()))
    }

    fn messages(&self, variable: &Variable) -> Result<Vec<Message>, Error> {
        let prompts = &self.settings.prompts;
        let context = FeedbackContext {
            variable: VariableContext::new(variable),
            variable_brief: brief(&variable.value().describe()),
            ..self.base.clone()
        };
        // A continued request starts with the conversation that the server has processed, so most of it is a cached
        // prefix. It refers to the variable by the brief form, since the text is in the conversation already.
        if let Form::Continued(response) = &self.form {
            let mut dialogue = self.messages.clone();
            dialogue.extend(response.as_deref().map(Message::assistant));
            dialogue.push(Message::user(prompts.render(self.template(), &context)?));
            return Ok(dialogue);
        }
        let images = self.messages.iter().flat_map(|message| &message.parts);
        let images = images.filter(|part| matches!(part, Part::Image(_))).cloned();
        let text = Part::Text(prompts.render(self.template(), &context)?);
        Ok(vec![
            Message::system(prompts.render(SYSTEM, &context)?),
            Message::new(MessageRole::User, images.chain([text])),
        ])
    }

    /// The template of the last message.
    fn template(&self) -> &'static str {
        match self.form {
            Form::Continued(_) => "feedback_continue",
            Form::Quoted if self.base.objective => "feedback_base",
            Form::Quoted => "feedback_chain",
        }
    }

    /// Makes the request as a call in the graph, so that the feedback has its past.
    async fn ask(&self, variable: &Variable, request: Request) -> Result<Variable, Error> {
        let cx = self.cx;
        let mut inputs: Vec<(&str, Variable)> = vec![("variable", variable.clone())];
        let responses = self.outputs.iter().filter_map(|output| cx.output_variable(*output));
        inputs.extend(responses.map(|response| ("response", response.clone())));
        let said = self.outputs.iter().flat_map(|output| cx.gradients(*output));
        let said = said.filter_map(Gradient::feedback);
        inputs.extend(said.map(|feedback| ("feedback", feedback.variable().clone())));
        let templates = match self.form {
            Form::Quoted => &[SYSTEM, self.template()][..],
            Form::Continued(_) => &[self.template()][..],
        };
        let prompts = &self.settings.prompts;
        inputs.extend(prompts.wording(templates, &request.messages, &inputs).await?);
        let settings = self.settings.with_engine(cx.engine_or(&self.settings.engine));
        word_feedback("gradient", settings, request, variable, inputs).await
    }
}

/// The template values of requests for feedback on any input: the call, quoted, and the feedback on its outputs.
fn feedback_context(
    cx: &BackwardCx,
    settings: &FeedbackSettings,
    quote: &Quote,
    outputs: &[(usize, &Output)],
) -> Result<FeedbackContext, Error> {
    let (mut quoted, mut conversation) = (Vec::new(), None);
    for (_, output) in outputs {
        let call = quote_call(&settings.prompts, quote, cx.inputs(), output, None)?;
        quoted.push(call.text);
        conversation = conversation.or(call.conversation);
    }
    let feedback = numbered_feedback(cx, outputs);
    let role = outputs.first().map(|(_, output)| output.role().to_string());
    let base = FeedbackContext {
        call: quoted.join("\n\n"),
        function: matches!(quote, Quote::Function { .. }),
        response_role: role.unwrap_or_default(),
        objective: feedback.is_empty(),
        feedback_text: feedback.join("\n"),
        feedback,
        feedback_examples_text: settings.examples.join("\n"),
        feedback_examples: settings.examples.clone(),
        ..FeedbackContext::default()
    };
    Ok(match conversation {
        Some(conversation) => base.with_conversation(conversation),
        None => base,
    })
}

/// The feedback on the outputs of a call; where it is about several, with the number of each, in the order in
/// which they are quoted.
fn numbered_feedback(cx: &BackwardCx, outputs: &[(usize, &Output)]) -> Vec<String> {
    let mut words = Vec::new();
    for (number, (output, _)) in (1..).zip(outputs) {
        for feedback in cx.gradients(*output).iter().filter_map(Gradient::feedback) {
            words.push(match outputs.len() {
                1 => feedback.text().to_owned(),
                _ => format!("On output {number}: {}", feedback.text()),
            });
        }
    }
    words
}

/// Has a model word feedback on a variable, as a call of this name in the graph.
pub(crate) async fn word_feedback(
    name: &'static str,
    settings: FeedbackSettings,
    request: Request,
    variable: &Variable,
    inputs: Vec<(&str, Variable)>,
) -> Result<Variable, Error> {
    let role = format!("feedback on: {}", variable.role()).into();
    let op = LlmFeedback { name, settings, request, role };
    apply_one(Arc::new(op), Inputs::new(inputs)).await
}

/// The call of the model that words the feedback. Backwards, the same model is asked for feedback on its inputs.
struct LlmFeedback {
    name: &'static str,
    settings: FeedbackSettings,
    request: Request,
    role: Arc<str>,
}

#[async_trait]
impl Op for LlmFeedback {
    fn name(&self) -> &str {
        self.name
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        let response = self.settings.engine.complete(&self.request).await?;
        let choices = response.choices.into_iter().take(1);
        Ok(choices.map(|choice| Output::new(choice.text, Arc::clone(&self.role))).collect())
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        request_feedback(cx, &self.settings).await
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Some(self.request.clone())
    }
}
