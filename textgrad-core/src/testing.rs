//! Tests of ops and engines without a network.
//!
//! * [`ScriptedEngine`] gives scripted answers and records the requests: tests of ops, losses and optimizers assert on
//!   what was *sent*, not only on what came back.
//! * [`BackwardCxBuilder`] makes the context of a backward: tests of an op need no pass.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::engine::{
    Choice, Engine, EngineError, EngineInfo, ErrorKind, FinishReason, Purpose, Request, Response,
};
use crate::gradient::Gradient;
use crate::op::{BackwardCall, BackwardCx, Call, Inputs, Layout, Op, Output};
use crate::seed::Seed;
use crate::variable::Variable;

/// The context of an op's [`backward`](Op::backward), made by a test: a call that was recorded without running the op.
///
/// Nothing is said about the outputs, and the inputs that require a gradient need one, unless it is set.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::BackwardCxBuilder;
/// use textgrad_core::{Concat, Feedback, Op, Output, Variable};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let op = Arc::new(Concat::new("list", ", "));
/// let (a, b) = (Variable::differentiable("a", "letter"), Variable::constant("b", "letter"));
/// let cx = BackwardCxBuilder::new(op.clone(), [("first", &a), ("second", &b)], [Output::new("a, b", "list")])
///     .gradient(0, Feedback::new("Sort it."))
///     .build();
/// assert!(cx.needs(0) && !cx.needs(1));
/// let gradients = op.backward(&cx).await.unwrap();
/// assert_eq!(gradients[0].as_ref().unwrap().to_string(), "Sort it.");
/// # });
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct BackwardCxBuilder {
    outputs: Vec<Variable>,
    call: Arc<Call>,
    gradients: Vec<Vec<Gradient>>,
    needs: Vec<bool>,
    engine: Option<Arc<dyn Engine>>,
    layout: Layout,
    seed: Option<Seed>,
}

impl BackwardCxBuilder {
    /// The call of an op with these inputs, which made these outputs.
    pub fn new(
        op: Arc<dyn Op>,
        inputs: impl Into<Inputs>,
        outputs: impl IntoIterator<Item = Output>,
    ) -> Self {
        let (call, outputs) = Call::recorded(op, inputs.into(), outputs.into_iter().collect());
        let needs = call.inputs().iter().map(|input| input.variable().requires_grad()).collect();
        let gradients = vec![Vec::new(); outputs.len()];
        let layout = Layout::default();
        Self { outputs, call, gradients, needs, engine: None, layout, seed: None }
    }

    /// Adds feedback on an output. An index without an output is ignored.
    pub fn gradient(mut self, output: usize, gradient: impl Into<Gradient>) -> Self {
        if let Some(gradients) = self.gradients.get_mut(output) {
            gradients.push(gradient.into());
        }
        self
    }

    /// Sets which inputs need a gradient, by position. Those beyond the list need none.
    pub fn needs(mut self, needs: impl IntoIterator<Item = bool>) -> Self {
        self.needs = needs.into_iter().collect();
        self
    }

    /// Sets the engine of the pass.
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Sets the layout of the pass.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Sets the seed of the call in the pass.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The outputs as variables, in the order of the call.
    #[must_use]
    pub fn outputs(&self) -> &[Variable] {
        &self.outputs
    }

    /// The context.
    #[must_use]
    pub fn build(self) -> BackwardCx {
        let Self { outputs, call, gradients, needs, engine, layout, seed } = self;
        // An output that nothing was said about has no part in the pass.
        let outputs = outputs.into_iter().zip(&gradients);
        let outputs = outputs.map(|(output, said)| Some(output).filter(|_| !said.is_empty()));
        let outputs = outputs.collect();
        BackwardCx(Arc::new(BackwardCall { call, gradients, outputs, needs, engine, layout, seed }))
    }
}

/// One scripted answer.
#[derive(Debug, Clone)]
pub struct Reply(Result<Response, EngineError>);

impl Reply {
    /// One whole answer.
    pub fn text(text: impl Into<String>) -> Self {
        Self::texts([text])
    }

    /// Several whole answers to one request.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::choices(texts.into_iter().map(|text| Choice::new(text, FinishReason::Stop)))
    }

    /// Answers with their finish reasons.
    pub fn choices(choices: impl IntoIterator<Item = Choice>) -> Self {
        Self(Ok(Response::new(choices.into_iter().collect())))
    }

    /// A failure.
    #[must_use]
    pub fn error(error: EngineError) -> Self {
        Self(Err(error))
    }
}

impl<T: Into<String>> From<T> for Reply {
    fn from(text: T) -> Self {
        Self::text(text)
    }
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<(Option<Purpose>, Reply)>,
    requests: Vec<Request>,
}

/// An engine that follows a script.
///
/// Each request takes the first reply left that is for its purpose, or for any. A request for which no reply
/// is left fails with a final error that says so: a test never hangs and never sees an answer twice.
///
/// # Examples
/// ```
/// # use textgrad_core::testing::ScriptedEngine;
/// # use textgrad_core::{Engine, Message, Purpose, Request};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = ScriptedEngine::new(["first"]).on(Purpose::Update, "an update");
/// let request = Request::new(Purpose::Update, [Message::user("hello")]);
/// assert_eq!(engine.complete(&request).await?.choices[0].text, "first");
/// assert_eq!(engine.complete(&request).await?.choices[0].text, "an update");
/// assert!(engine.complete(&request).await.is_err());
/// assert_eq!(engine.requests().len(), 3);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct ScriptedEngine {
    state: Mutex<State>,
}

impl ScriptedEngine {
    /// An engine that gives these replies, in this order, to whatever it is asked.
    pub fn new<R: Into<Reply>>(replies: impl IntoIterator<Item = R>) -> Self {
        let script = replies.into_iter().map(|reply| (None, reply.into())).collect();
        Self { state: Mutex::new(State { script, requests: Vec::new() }) }
    }

    /// Adds a reply for requests of one purpose.
    #[must_use]
    pub fn on(self, purpose: Purpose, reply: impl Into<Reply>) -> Self {
        self.state().script.push_back((Some(purpose), reply.into()));
        self
    }

    /// What was asked so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// How many replies are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.state().script.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Engine for ScriptedEngine {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("scripted");
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let mut state = self.state();
        state.requests.push(request.clone());
        let position = state
            .script
            .iter()
            .position(|(purpose, _)| purpose.is_none_or(|purpose| purpose == request.purpose));
        match position.and_then(|position| state.script.remove(position)) {
            Some((_, reply)) => reply.0,
            None => Err(EngineError::new(
                ErrorKind::Other,
                format!(
                    "the script has no reply left for request {} (purpose {})",
                    state.requests.len(),
                    request.purpose
                ),
            )),
        }
    }
}
