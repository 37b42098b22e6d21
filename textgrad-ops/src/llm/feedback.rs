//! Requests for feedback on the inputs of a call.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use parking_lot::Mutex;
use textgrad_core::{
    BackwardCx, Engine, Error, Feedback, Gradient, Input, Inputs, Message, MessageRole, Op,
    OpFailure, Output, Part, Purpose, Quote, Request, Sampling, Variable, apply_one,
};

use super::call::LlmCallBuilder;
use super::no_answer;
use super::quote::quote_call;
use crate::function::StringFn;
use crate::prompts::{FeedbackContext, Prompts, VariableContext, brief};

/// The template of the system message of a request that does not continue a conversation.
const SYSTEM: &str = "feedback_system";

/// A request for feedback on the inputs of a call, made in the backward of an op: what [`LlmCall`](crate::LlmCall) and
/// [`StringFn`](crate::StringFn) ask, for ops of one's own.
///
/// The call is quoted as its [`Op::quote`] says. The form of the request follows from the pass:
///
/// | form | where |
/// |---|---|
/// | base | the output of the call is the objective |
/// | chain | there is feedback on the output; of several outputs, each feedback has the number of its output |
/// | continued | [`Layout::Continued`](textgrad_core::Layout::Continued), the quote is a conversation, and one output has gradients |
///
/// The feedback is a call in the graph, made of the input, the outputs, the feedback on these, and the templates that
/// are variables, so a pass with `create_graph` goes through it. Its context is the call.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{
///     BackwardCx, Error, Gradient, Inputs, Op, OpFailure, Output, Quote, Variable, apply_one, async_trait, backward,
/// };
/// use textgrad_ops::FeedbackRequest;
///
/// /// Runs a query. What it finds is no text of a model, but feedback on it can be passed to the query by one.
/// struct Search(FeedbackRequest);
///
/// #[async_trait]
/// impl Op for Search {
///     fn name(&self) -> &str {
///         "search"
///     }
///     async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
///         Ok(vec![Output::new(format!("no hits for {:?}", inputs.text("query")?), "hits of a search")])
///     }
///     async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
///         self.0.send(cx).await
///     }
///     fn quote(&self, _: &Inputs) -> Quote {
///         Quote::function("searches the index for all words of the query")
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Use fewer words."]));
/// let search = Search(FeedbackRequest::new(engine));
/// let query = Variable::differentiable("red planet rust why", "query of a search");
/// let hits = apply_one(Arc::new(search), [("query", &query)]).await?;
/// assert_eq!(backward(&hits).await?.text(&query), "Use fewer words.");
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(
    generate_delegates(ty = "LlmCallBuilder", field = "feedback"),
    generate_delegates(ty = "StringFn", field = "feedback")
)]
#[must_use = "nothing is asked until it is sent"]
pub struct FeedbackRequest {
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
    /// The query that the text answers, for templates that show it by itself. The default ones do not.
    #[setters(rename = "feedback_query", into, strip_option)]
    pub(crate) query: Option<Arc<str>>,
}

impl FeedbackRequest {
    /// A request to this engine, or to that of the pass if it has one.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        let (prompts, sampling) = (Prompts::default(), Sampling::default());
        Self { engine, prompts, sampling, examples: Vec::new(), query: None }
    }

    /// An example of good feedback, shown in requests.
    pub fn feedback_example(mut self, feedback: impl Into<String>) -> Self {
        self.examples.push(feedback.into());
        self
    }

    /// Asks about every input that needs a gradient, all at the same time. A variable that is an input more than once
    /// is asked about once, for the first of these inputs: a model sees the text, not the argument.
    ///
    /// # Errors
    /// The failure of the first input, in order, that had one, with what the others brought.
    pub async fn send(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let Some(requests) = InputRequests::new(cx, self)? else {
            return Ok(vec![None; cx.inputs().len()]);
        };
        let mut known = HashSet::new();
        let mut asks = Vec::new();
        for (at, input) in (0..).zip(cx.inputs()) {
            let is_asked = cx.needs(at) && known.insert(input.variable());
            asks.push(is_asked.then(|| requests.on(input.variable(), at)).transpose()?);
        }
        // The call as it is quoted is not needed while requests are under way.
        let (form, asks) = (requests.into_form(), Mutex::new(asks));
        let form = &form;
        cx.for_each_input(|input| {
            let asked = asks.lock().get_mut(input).and_then(Option::take);
            async move {
                match asked {
                    Some(request) => form.send(input, request).await,
                    None => Ok(None),
                }
            }
        })
        .await
    }

    /// The same settings with another engine.
    pub(crate) fn with_engine(&self, engine: Arc<dyn Engine>) -> Self {
        Self { engine, ..self.clone() }
    }
}

/// What requests for feedback on all inputs of a call share.
struct InputRequests<'a> {
    form: FeedbackForm<'a>,
    messages: Vec<Message>,
    base: FeedbackContext,
    /// The response of the call, which a continued conversation goes on after.
    response: Option<String>,
}

/// How feedback is asked for.
struct FeedbackForm<'a> {
    cx: &'a BackwardCx,
    settings: &'a FeedbackRequest,
    /// The templates of a request.
    templates: &'static [&'static str],
    is_continued: bool,
    /// The outputs that there are gradients on.
    outputs: Vec<usize>,
}

impl<'a> InputRequests<'a> {
    /// `None` if nothing was said about the outputs.
    fn new(cx: &'a BackwardCx, settings: &'a FeedbackRequest) -> Result<Option<Self>, Error> {
        let outputs = cx.outputs().iter().enumerate();
        let outputs: Vec<(usize, &Output)> =
            outputs.filter(|(i, _)| !cx.gradients(*i).is_empty()).collect();
        let Some((first, _)) = outputs.first() else { return Ok(None) };
        let quote = cx.call().op().quote(cx.inputs());
        let base = feedback_context(cx, settings, &quote, &outputs)?;
        let messages = match quote {
            Quote::Conversation { request, .. } => request.messages,
            _ => Vec::new(),
        };
        let is_continued = cx.layout().is_continued() && outputs.len() == 1 && !messages.is_empty();
        let context = cx.context(*first).filter(|_| is_continued);
        let response = context.map(|context| context.response().value().describe());
        let templates: &[&str] = match is_continued {
            true => &["feedback_continue"],
            false if base.objective => &[SYSTEM, "feedback_base"],
            false => &[SYSTEM, "feedback_chain"],
        };
        let outputs: Vec<usize> = outputs.into_iter().map(|(output, _)| output).collect();
        let form = FeedbackForm { cx, settings, templates, is_continued, outputs };
        Ok(Some(Self { form, messages, base, response }))
    }

    fn into_form(self) -> FeedbackForm<'a> {
        self.form
    }

    /// The request about one input.
    fn on(&self, variable: &Variable, input: usize) -> Result<Request, Error> {
        let FeedbackForm { cx, settings, .. } = &self.form;
        let sampling = settings.sampling.clone().with_n(1).at(cx.seed(input));
        let request = Request::new(Purpose::Gradient, self.messages(variable)?);
        Ok(request.with_sampling(sampling))
    }

    fn messages(&self, variable: &Variable) -> Result<Vec<Message>, Error> {
        let FeedbackForm { settings: FeedbackRequest { prompts, .. }, templates, .. } = &self.form;
        let context = FeedbackContext {
            variable: VariableContext::new(variable),
            variable_brief: brief(&variable.value().describe()),
            ..self.base.clone()
        };
        let template = templates.last().copied().unwrap_or_default();
        let text = prompts.render(template, &context)?;
        // A continued request starts with the conversation that the server has processed, so most of it is a cached
        // prefix. It refers to the variable by the brief form, since the text is in the conversation already.
        if self.form.is_continued {
            let mut dialogue = self.messages.clone();
            dialogue.extend(self.response.as_deref().map(Message::assistant));
            dialogue.push(Message::user(text));
            return Ok(dialogue);
        }
        let images = self.messages.iter().flat_map(|message| &message.parts);
        let images = images.filter(|part| matches!(part, Part::Image(_))).cloned();
        Ok(vec![
            Message::system(prompts.render(SYSTEM, &context)?),
            Message::new(MessageRole::User, images.chain([Part::Text(text.into())])),
        ])
    }
}

impl FeedbackForm<'_> {
    async fn send(&self, input: usize, request: Request) -> Result<Option<Gradient>, Error> {
        let Some(variable) = self.cx.inputs().get(input).map(Input::variable) else {
            return Ok(None);
        };
        let messages = self.is_continued.then(|| request.messages.clone());
        let words = self.ask(variable, request).await?;
        let Some(reply) = words.text().filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let dialogue: Option<Arc<[Message]>> = messages
            .map(|messages| messages.into_iter().chain([Message::assistant(reply)]).collect());
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

    /// Makes the request as a call in the graph, so that the feedback has its past.
    async fn ask(&self, variable: &Variable, request: Request) -> Result<Variable, Error> {
        let cx = self.cx;
        let mut inputs: Vec<(&str, Variable)> = vec![("variable", variable.clone())];
        let responses = self.outputs.iter().filter_map(|output| cx.output_variable(*output));
        inputs.extend(responses.map(|response| ("response", response.clone())));
        let said = self.outputs.iter().flat_map(|output| cx.gradients(*output));
        let said = said.filter_map(Gradient::feedback);
        inputs.extend(said.map(|feedback| ("feedback", feedback.variable().clone())));
        let prompts = &self.settings.prompts;
        inputs.extend(prompts.wording(self.templates, &request.messages, &inputs).await?);
        let settings = self.settings.with_engine(cx.engine_or(&self.settings.engine));
        word_feedback("gradient", settings, request, variable, inputs).await
    }
}

/// The template values of requests for feedback on any input: the call, quoted, and the feedback on its outputs.
fn feedback_context(
    cx: &BackwardCx,
    settings: &FeedbackRequest,
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
        query: settings.query.as_deref().map(str::to_owned),
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
    settings: FeedbackRequest,
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
    settings: FeedbackRequest,
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
        // A blank text is nothing to say.
        if response.choices.is_empty() {
            return Err(no_answer::of_response(&response).into());
        }
        let choices = response.choices.into_iter().take(1);
        Ok(choices.map(|choice| Output::new(choice.text, Arc::clone(&self.role))).collect())
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        self.settings.send(cx).await
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Some(self.request.clone())
    }
}
