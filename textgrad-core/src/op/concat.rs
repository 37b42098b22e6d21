//! Putting texts together: concatenation, and joined feedback.

use std::collections::HashSet;
use std::ops::Add;
use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;

use super::inputs::{Inputs, Output};
use super::{BackwardCx, Call, Op, OpFailure};
use crate::error::Error;
use crate::gradient::{Feedback, Gradient, Reduce};
use crate::variable::{Parameter, Variable};

/// An op that puts texts together with a separator between them.
///
/// Backwards, what is said about the whole is said about every input, exactly once; if the whole is the
/// objective, so is each of its inputs. Constants get nothing.
///
/// `+` on a [`Variable`] or a [`Parameter`] is one without a separator.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{Concat, Variable, apply_one};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (a, b) = (Variable::constant("a", "letter"), Variable::constant("b", "letter"));
/// let list = apply_one(Arc::new(Concat::new("list", ", ")), [("first", &a), ("second", &b)]).await?;
/// assert_eq!(list.text(), Some("a, b"));
/// assert_eq!(&**list.role(), "list of: letter");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(generate = false, strip_option)]
pub struct Concat {
    name: Arc<str>,
    separator: Arc<str>,
    /// What stands before the roles of the inputs, and between them, in the role of the whole.
    roles: (Arc<str>, &'static str),
    /// Merges all feedback that has passed through it, at every variable that more than one of its inputs
    /// depends on; see [`Op::reduction`].
    #[setters(generate)]
    reduction: Option<Arc<dyn Reduce>>,
}

impl Concat {
    /// An op of this name. The role of the whole is `{name} of: ` and the roles of the texts, each once.
    pub fn new(name: impl Into<Arc<str>>, separator: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let roles = (format!("{name} of: ").into(), "; ");
        Self { name, separator: separator.into(), roles, reduction: None }
    }

    /// `left + right`.
    pub(crate) fn plus(left: Variable, right: Variable) -> Result<Variable, Error> {
        let (name, separator) = ("+".into(), "".into());
        let op = Self { name, separator, roles: ("".into(), " and "), reduction: None };
        let inputs = Inputs::new([("left", left), ("right", right)]);
        match op.joined(&inputs) {
            Ok(output) => Ok(Call::record_one(Arc::new(op), inputs, output)),
            Err(error) => Err(Error::in_forward(&op.name, error)),
        }
    }

    fn joined(&self, inputs: &Inputs) -> Result<Output, Error> {
        let texts = inputs.texts()?;
        if texts.is_empty() {
            return Err(Error::op(format!("expected at least one text for the {}", self.name)));
        }
        Ok(Output::new(texts.join(&self.separator), self.role(inputs)))
    }

    /// The roles of the inputs, each once, those of a whole among them taken apart: else the role of a whole
    /// of wholes would grow with its depth, and double where a text goes into both sides.
    fn role(&self, inputs: &Inputs) -> String {
        let (before, between) = &self.roles;
        let mut seen = HashSet::new();
        let roles: Vec<&str> = inputs
            .iter()
            .map(|input| &**input.variable().role())
            .flat_map(|role| role.strip_prefix(&**before).unwrap_or(role).split(between))
            .filter(|role| seen.insert(*role))
            .collect();
        format!("{before}{}", roles.join(between))
    }
}

#[async_trait]
impl Op for Concat {
    fn name(&self) -> &str {
        &self.name
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![self.joined(inputs)?])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![Gradient::join(cx.gradients(0)); cx.inputs().len()])
    }

    fn reduction(&self) -> Option<Arc<dyn Reduce>> {
        self.reduction.clone()
    }
}

/// The texts of a variable and of a variable or a parameter run together, without anything between them.
///
/// Backwards, what is said about the whole is said about both, exactly once however deep sums are nested; if
/// the whole is the objective, so are both. Constants get nothing.
///
/// # Errors
/// [`Error::Forward`] if one of them holds an image.
///
/// # Examples
/// ```
/// use textgrad_core::{Gradient, Variable, backward};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (rules, task) = (Variable::differentiable("Be brief. ", "rules"), Variable::differentiable("Why?", "task"));
/// let prompt = (&rules + &task)?;
/// assert_eq!((prompt.text(), &**prompt.role()), (Some("Be brief. Why?"), "rules and task"));
/// let gradients = backward(&prompt).await?;
/// assert!(matches!(gradients.get(&rules), [Gradient::Objective]));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
impl<R: Into<Variable>> Add<R> for &Variable {
    type Output = Result<Variable, Error>;

    fn add(self, right: R) -> Self::Output {
        Concat::plus(self.clone(), right.into())
    }
}

/// As `&left + right`.
impl<R: Into<Variable>> Add<R> for Variable {
    type Output = Result<Self, Error>;

    fn add(self, right: R) -> Self::Output {
        Concat::plus(self, right.into())
    }
}

/// The current text of the parameter is the left text; see [`Parameter::variable`].
impl<R: Into<Variable>> Add<R> for &Parameter {
    type Output = Result<Variable, Error>;

    fn add(self, right: R) -> Self::Output {
        Concat::plus(self.variable(), right.into())
    }
}

impl Gradient {
    /// Joins gradients into one, for an op that passes the gradients of its output on to its inputs; `None` if there
    /// are none.
    ///
    /// Feedback that arrives twice is in the result once, also as a part of an earlier join, so that nested sums do not
    /// multiply it. Feedback is identified by its [variable](Feedback::variable): two feedbacks with equal words are
    /// both kept. Feedback replaces [`Gradient::Objective`], which has no words. Contexts are kept.
    ///
    /// # Examples
    /// ```
    /// use textgrad_core::{Feedback, Gradient};
    ///
    /// let [a, b] = ["Shorten it.", "Add colour."].map(|words| Gradient::from(Feedback::new(words)));
    /// let both = Gradient::join(&[a.clone(), b]).unwrap();
    /// let all = Gradient::join(&[both, Gradient::Objective, a]).unwrap();
    /// assert_eq!(all.feedback().map(Feedback::text), Some("Shorten it.\nAdd colour."));
    /// assert!(Gradient::join(&[]).is_none());
    /// ```
    #[must_use]
    pub fn join(gradients: &[Self]) -> Option<Self> {
        let said: Vec<&Feedback> = gradients.iter().filter_map(Self::feedback).collect();
        if said.is_empty() {
            return gradients.first().cloned();
        }
        let mut seen = HashSet::new();
        let parts: Vec<Variable> = said
            .iter()
            .flat_map(|feedback| feedback.parts())
            .filter(|part| seen.insert(*part))
            .cloned()
            .collect();
        // Often one of them says it all; the first is as good as another.
        let whole = said.iter().find(|feedback| feedback.parts().len() == parts.len());
        let joined = match whole {
            Some(whole) => Feedback::clone(whole),
            None => Feedback::joined(JoinFeedback { label: None }.call(&parts), parts),
        };
        let contexts = said.iter().flat_map(|feedback| feedback.contexts().iter().cloned());
        Some(joined.with_contexts(contexts).into())
    }
}

impl Feedback {
    /// The same feedback with a label before its words, for an op that says of which output it speaks. The labelled
    /// words are made of the words, so that a later pass goes through them. Contexts are kept.
    ///
    /// # Examples
    /// ```
    /// use textgrad_core::Feedback;
    ///
    /// let feedback = Feedback::new("Use another tool.");
    /// let labelled = feedback.labelled("On the first step");
    /// assert_eq!(labelled.text(), "On the first step: Use another tool.");
    /// let source = labelled.variable().source().unwrap();
    /// assert_eq!(source.call().inputs().get(0).unwrap().variable(), feedback.variable());
    /// ```
    #[must_use]
    pub fn labelled(&self, label: &str) -> Self {
        let words = JoinFeedback { label: Some(label.into()) };
        let words = words.call(std::slice::from_ref(self.variable()));
        Self::from_variable(words).with_contexts(self.contexts().iter().cloned())
    }
}

/// The call that puts words below one another, or behind a label, so that what was joined knows what it was made of.
struct JoinFeedback {
    label: Option<Arc<str>>,
}

impl JoinFeedback {
    fn call(self, parts: &[Variable]) -> Variable {
        let inputs = Inputs::new(parts.iter().map(|part| ("feedback", part.clone())));
        let output = self.output(parts.iter().filter_map(Variable::text));
        Call::record_one(Arc::new(self), inputs, output)
    }

    fn output<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Output {
        let words = texts.collect::<Vec<&str>>().join("\n");
        let words = match &self.label {
            Some(label) => format!("{label}: {words}"),
            None => words,
        };
        Output::new(words, Feedback::ROLE)
    }
}

#[async_trait]
impl Op for JoinFeedback {
    fn name(&self) -> &str {
        if self.label.is_some() { "label feedback" } else { "join feedback" }
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![self.output(inputs.texts()?.into_iter())])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![Gradient::join(cx.gradients(0)); cx.inputs().len()])
    }
}
