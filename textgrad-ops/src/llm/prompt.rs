//! Forms of the user message of a call: its inputs as parts, a template over named fields, ordered fields.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use textgrad_core::{
    Error, Inputs, Message, MessageRole, Part, PromptError, PromptTemplate, Variable,
};

/// Name of the input that is the system prompt.
const SYSTEM: &str = "system";

/// Renders the system message and the user message from the inputs of a call.
pub(crate) type Render = dyn Fn(&Inputs) -> Result<(String, Message), Error> + Send + Sync;

/// An ordered field of an [`LlmCall`](super::LlmCall): a name and the kind of its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    name: Arc<str>,
    image: bool,
}

impl Field {
    /// A field of text, sent as `{name}: {text}`.
    pub fn text(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), image: false }
    }

    /// A field of an image, sent without its name.
    pub fn image(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), image: true }
    }

    fn part(&self, inputs: &Inputs) -> Result<Part, Error> {
        if self.image {
            return Ok(Part::Image(inputs.image(&self.name)?.clone()));
        }
        Ok(Part::Text(format!("{}: {}", self.name, inputs.text(&self.name)?).into()))
    }
}

/// An earlier turn of a conversation; see [`LlmRequest::history`](super::LlmRequest::history). A [`Message`] is a
/// constant. A variable that requires a gradient receives feedback.
#[derive(Debug, Clone)]
pub struct Turn(pub(super) TurnText);

#[derive(Debug, Clone)]
pub(super) enum TurnText {
    Constant(Message),
    Variable(MessageRole, Variable),
}

impl Turn {
    /// A turn of the user.
    pub fn user(text: impl Into<Variable>) -> Self {
        Self(TurnText::Variable(MessageRole::User, text.into()))
    }

    /// A turn of the model.
    pub fn assistant(text: impl Into<Variable>) -> Self {
        Self(TurnText::Variable(MessageRole::Assistant, text.into()))
    }
}

impl From<Message> for Turn {
    fn from(message: Message) -> Self {
        Self(TurnText::Constant(message))
    }
}

/// An earlier turn of a recorded call. The variables are inputs of the call, in the order of their turns.
#[derive(Debug, Clone)]
pub(super) enum TurnSlot {
    Constant(Message),
    Input(MessageRole),
}

/// The form of the user message.
#[derive(Clone)]
pub(super) enum PromptForm {
    /// Every input is a part.
    Parts,
    Template {
        template: PromptTemplate,
        fields: Vec<String>,
    },
    Fields(Vec<Field>),
    /// Both messages are rendered from all inputs.
    Rendered(Arc<Render>),
}

impl PromptForm {
    pub(super) fn template(
        template: &str,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, PromptError> {
        let mut fields: Vec<String> = fields.into_iter().map(Into::into).collect();
        let mut seen = HashSet::new();
        fields.retain(|field| seen.insert(field.clone()));
        let example: Map<String, Json> =
            fields.iter().map(|field| (field.clone(), Json::from(""))).collect();
        let template = PromptTemplate::new("prompt", template, &Json::Object(example))?;
        Ok(Self::Template { template, fields })
    }

    pub(super) fn fields(fields: impl IntoIterator<Item = Field>) -> Result<Self, Error> {
        let fields: Vec<Field> = fields.into_iter().collect();
        let mut seen = HashSet::new();
        if fields.is_empty() || !fields.iter().all(|field| seen.insert(&field.name)) {
            let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
            return Err(Error::op(format!(
                "expected at least one field, and each name once, but got the fields {names:?}"
            )));
        }
        Ok(Self::Fields(fields))
    }

    /// The system prompt, if the inputs hold one, and the user message. `has_system` tells an input that is the
    /// system prompt from a field of its name; behind it are `turns` inputs of earlier turns.
    pub(super) fn messages<'a>(
        &self,
        inputs: &'a Inputs,
        has_system: bool,
        turns: usize,
    ) -> Result<(Option<Cow<'a, str>>, Message), Error> {
        if let Self::Rendered(render) = self {
            let (system, user) = render(inputs)?;
            return Ok((Some(Cow::Owned(system)), user));
        }
        let system = has_system.then(|| inputs.text(SYSTEM)).transpose()?.map(Cow::Borrowed);
        let rest = inputs.iter().skip(usize::from(has_system) + turns);
        let user = match self {
            Self::Parts | Self::Rendered(_) => {
                let parts = rest.map(|input| Part::from(input.variable().value()));
                Message::new(MessageRole::User, parts)
            }
            Self::Template { template, fields } => {
                let given = exactly(rest, fields.iter().map(String::as_str))?;
                let mut values = Map::new();
                for field in fields {
                    values.insert(field.clone(), Json::from(given.text(field)?));
                }
                Message::user(template.render(&values)?)
            }
            Self::Fields(fields) => {
                let given = exactly(rest, fields.iter().map(|field| &*field.name))?;
                let parts: Result<Vec<Part>, Error> =
                    fields.iter().map(|field| field.part(&given)).collect();
                Message::new(MessageRole::User, parts?)
            }
        };
        Ok((system, user))
    }
}

/// The inputs of a call: the system prompt, then the others.
pub(super) fn with_system(
    system: Option<Variable>,
    others: impl IntoIterator<Item = (Arc<str>, Variable)>,
) -> Inputs {
    let system = system.map(|system| (Arc::from(SYSTEM), system));
    Inputs::new(system.into_iter().chain(others))
}

/// The given fields, which must be exactly the expected ones.
fn exactly<'a>(
    given: impl Iterator<Item = &'a textgrad_core::Input>,
    expected: impl Iterator<Item = &'a str>,
) -> Result<Inputs, Error> {
    let given =
        Inputs::new(given.map(|field| (Arc::clone(field.name()), field.variable().clone())));
    let expected: Vec<&str> = expected.collect();
    for field in &expected {
        given.named(field)?;
    }
    if given.len() != expected.len() {
        let got: Vec<&str> = given.iter().map(|field| &**field.name()).collect();
        return Err(Error::op(format!(
            "expected exactly the fields {expected:?}, each once, but got {got:?}"
        )));
    }
    Ok(given)
}
