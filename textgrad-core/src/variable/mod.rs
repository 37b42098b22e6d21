//! Texts in the graph: the immutable [`Variable`], the assignable [`Parameter`], and the [`Module`].

mod module;
mod parameter;
mod value;

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::sync::Arc;

pub use self::module::{Member, Members, Module, StateDict};
pub use self::parameter::{Assignment, Parameter, ParameterBuilder, ParameterState, Version};
pub use self::value::{Image, ImageError, Value, truncate};
use crate::error::Error;
use crate::op::{Call, Output};
use crate::score::Score;

/// A node of the graph: a value, its role in words, and, if an op made it, the call that did.
///
/// A variable never changes. Cloning costs one reference count; two variables are equal if they are the
/// same node, whatever they hold. The graph is nothing but these references: it lives as long as somebody
/// holds its end.
///
/// # Examples
/// ```
/// use textgrad_core::Variable;
///
/// let question = Variable::constant("what is the color of mars", "question to answer");
/// assert_eq!(question.text(), Some("what is the color of mars"));
/// assert!(!question.requires_grad());
/// assert_eq!(question.clone(), question);
/// assert_ne!(Variable::constant("x", "r"), Variable::constant("x", "r"));
/// ```
#[derive(Clone)]
pub struct Variable {
    node: Arc<Node>,
    /// Whether no backward pass goes through this reference; see [`Variable::stop_gradient`].
    stopped: bool,
}

struct Node {
    value: Value,
    role: Arc<str>,
    requires_grad: bool,
    /// Whether every backward pass ends here, as the op that made it wants.
    closed: bool,
    source: Option<Source>,
    /// The parameter whose leaf this is, or was.
    parameter: Option<Arc<()>>,
}

/// Where a variable comes from: one output of a call.
#[derive(Debug, Clone)]
pub struct Source {
    call: Arc<Call>,
    output: usize,
}

impl Source {
    /// The call.
    #[must_use]
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Which of the call's outputs.
    #[must_use]
    pub fn output(&self) -> usize {
        self.output
    }
}

impl Variable {
    /// A constant: a leaf that asks for no gradient.
    ///
    /// `role` says in words what the text is for; prompts show it to the model.
    pub fn constant(value: impl Into<Value>, role: impl Into<Arc<str>>) -> Self {
        Self::leaf(value.into(), role.into(), false, None)
    }

    /// A leaf that asks for a gradient, but cannot be assigned; see [`Parameter`] for one that can.
    ///
    /// An image is never differentiated: for one, this is [`Variable::constant`].
    pub fn differentiable(value: impl Into<Value>, role: impl Into<Arc<str>>) -> Self {
        let value = value.into();
        let requires_grad = matches!(value, Value::Text(_));
        Self::leaf(value, role.into(), requires_grad, None)
    }

    fn leaf(value: Value, role: Arc<str>, requires_grad: bool, parameter: Option<Arc<()>>) -> Self {
        Self::of_node(Node { value, role, requires_grad, closed: false, source: None, parameter })
    }

    /// The identity of the parameter whose leaf this is, or was; see [`Parameter::identity`].
    pub(crate) fn parameter(&self) -> Option<&Arc<()>> {
        self.node.parameter.as_ref()
    }

    /// The output at a position of a call, which made it.
    pub(crate) fn from_call(call: &Arc<Call>, position: usize, output: &Output) -> Self {
        Self::of_node(Node {
            value: output.value().clone(),
            role: Arc::clone(output.role()),
            requires_grad: call.output_requires_grad(output),
            closed: output.is_closed(),
            source: Some(Source { call: Arc::clone(call), output: position }),
            parameter: None,
        })
    }

    fn of_node(node: Node) -> Self {
        Self { node: Arc::new(node), stopped: false }
    }

    /// What it holds.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.node.value
    }

    /// The text, if it holds one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.node.value.as_text()
    }

    /// The text, for an input of this name.
    ///
    /// # Errors
    /// [`Error::NotText`] if it is an image.
    pub fn require_text(&self, input: &str) -> Result<&str, Error> {
        self.text().ok_or_else(|| Error::NotText {
            input: input.to_owned(),
            role: self.role().to_string(),
            got: self.value().kind(),
        })
    }

    /// What the text is for, in words.
    #[must_use]
    pub fn role(&self) -> &Arc<str> {
        &self.node.role
    }

    /// Whether feedback is wanted for it or for something that it was made of.
    #[must_use]
    pub fn requires_grad(&self) -> bool {
        self.node.requires_grad && !self.stopped
    }

    /// Whether a pass with respect to named variables can give this argument feedback.
    pub(crate) fn is_open(&self) -> bool {
        !self.stopped && matches!(self.node.value, Value::Text(_))
    }

    /// Whether such a pass can go on to what it was made of.
    pub(crate) fn leads_on(&self) -> bool {
        !self.node.closed
    }

    /// Its value as an objective: how well something did, if the op that made it says so.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        let source = self.source()?;
        source.call.outputs().get(source.output).and_then(Output::score)
    }

    /// The call that made it; `None` for a leaf.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        self.node.source.as_ref()
    }

    /// The same variable as a constant: no backward pass goes through it where this is an argument, and what is made of
    /// it requires no gradient for its sake. Its past is kept, so that drawings show it. It equals the variable.
    ///
    /// # Examples
    /// ```
    /// use textgrad_core::{Variable, backward};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (draft, rules) = (Variable::differentiable("a", "draft"), Variable::differentiable("b", "rules"));
    /// let prompt = (draft.stop_gradient() + &rules)?;
    /// let gradients = backward(&prompt).await?;
    /// assert_eq!((gradients.get(&draft).len(), gradients.get(&rules).len()), (0, 1));
    /// assert_eq!(draft.stop_gradient(), draft);
    /// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn stop_gradient(&self) -> Self {
        Self { node: Arc::clone(&self.node), stopped: true }
    }

    /// The variable itself, whatever this reference is stopped for.
    pub(crate) fn unstopped(self) -> Self {
        Self { stopped: false, ..self }
    }

    /// The same value and role as a constant without a past.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self::constant(self.node.value.clone(), Arc::clone(&self.node.role))
    }
}

// The identity of a variable is the address of its node. There are no ids, so threads share no counter. A map with
// variables as keys holds them, so that no address is reused.
impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
    }
}

impl Eq for Variable {}

impl Hash for Variable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.node).hash(state);
    }
}

impl From<&Self> for Variable {
    fn from(variable: &Self) -> Self {
        variable.clone()
    }
}

/// The text; of an image, its description.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node.value.describe())
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable")
            .field("role", &self.node.role)
            .field("value", &truncate(&self.node.value.describe(), 60))
            .field("requires_grad", &self.requires_grad())
            .field("op", &self.source().map(|source| source.call.op().name()))
            .finish()
    }
}

thread_local! {
    /// What the outermost drop of a node has yet to take apart; `None` while there is none. It is never destroyed, so
    /// that nodes in other variables of the thread can use it, and holds no memory between drops.
    static PENDING: ManuallyDrop<RefCell<Option<Vec<Source>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

impl Drop for Node {
    /// Takes the past apart in a loop: the compiler's own way recurses, and a long chain would overflow the stack.
    /// A node that goes with a call, as its input or as what its op holds, waits for the outermost drop.
    fn drop(&mut self) {
        let Some(source) = self.source.take() else { return };
        let is_outermost = PENDING.with(|pending| {
            let mut pending = pending.borrow_mut();
            let is_outermost = pending.is_none();
            pending.get_or_insert_default().push(source);
            is_outermost
        });
        if is_outermost {
            let _end = EndOfDrop;
            let next = || PENDING.with(|pending| pending.borrow_mut().as_mut()?.pop());
            while let Some(source) = next() {
                drop(source);
            }
        }
    }
}

/// Ends the outermost drop, also where the drop of an op panics.
struct EndOfDrop;

impl Drop for EndOfDrop {
    fn drop(&mut self) {
        drop(PENDING.with(|pending| pending.borrow_mut().take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises() {
        fn assert_send_sync<T: Send + Sync + Clone + 'static>() {}
        assert_send_sync::<Variable>();
        assert_send_sync::<Parameter>();
    }

    #[test]
    fn an_image_is_never_differentiated() {
        let image = crate::Image::new(vec![1], "image/png").unwrap();
        assert!(!Variable::differentiable(image, "picture").requires_grad());
        assert!(Variable::differentiable("text", "text").requires_grad());
    }
}
