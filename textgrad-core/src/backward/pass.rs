//! Running a pass: whatever is ready runs at the same time.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use petgraph::graph::NodeIndex;

use super::state::{Group, State};
use super::{BackwardError, BackwardEvent, Settings};
use crate::error::{Error, panic_message};
use crate::gradient::{Feedback, Gradient, Gradients, ReduceCx};
use crate::graph::GraphNode;
use crate::op::{BackwardCx, Call, OpFailure};
use crate::variable::Variable;

/// What a job brought back.
enum Done {
    Call { node: NodeIndex, call: Arc<Call>, said: Result<Vec<Option<Gradient>>, OpFailure> },
    Reduce { node: NodeIndex, group: Group, merged: Result<Vec<Feedback>, Error> },
}

struct Pass {
    state: State,
    settings: Settings,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The failure nearest to the root, with its place.
    failure: Option<(usize, Error)>,
}

pub(super) async fn run(root: &Variable, settings: Settings) -> Result<Gradients, BackwardError> {
    if !root.requires_grad() {
        let error = Error::NothingRequiresGrad { role: root.role().to_string() };
        return Err(BackwardError { error, gradients: Gradients::default() });
    }
    let state = State::new(root)
        .map_err(|error| BackwardError { error, gradients: Gradients::default() })?;
    let mut pass = Pass { state, settings, jobs: FuturesUnordered::new(), failure: None };
    pass.advance();
    while let Some(done) = pass.jobs.next().await {
        pass.take(done);
        pass.advance();
    }
    let (gradients, broken) = pass.state.into_gradients(pass.failure.is_none());
    match pass.failure.map(|(_, error)| error).or(broken) {
        None => Ok(gradients),
        Some(error) => Err(BackwardError { error, gradients }),
    }
}

impl Pass {
    /// Starts everything that is ready; nothing once the pass has failed.
    fn advance(&mut self) {
        while self.failure.is_none() {
            let Some(node) = self.state.next_settled() else { return };
            if let Err(error) = self.start(node) {
                self.fail(node, error);
            }
        }
    }

    fn start(&mut self, node: NodeIndex) -> Result<(), Error> {
        match self.state.weight(node)? {
            GraphNode::Variable(variable) => {
                self.state.gather(node)?;
                self.merge_or_finish(node, &variable)
            }
            GraphNode::Call(call) => self.start_call(node, call),
        }
    }

    fn merge_or_finish(&mut self, node: NodeIndex, variable: &Variable) -> Result<(), Error> {
        match self.state.next_group(node)? {
            Some(group) => self.start_reduce(node, variable, group),
            None => self.state.finish_variable(node)?,
        }
        Ok(())
    }

    fn start_reduce(&mut self, node: NodeIndex, variable: &Variable, group: Group) {
        let feedback = group.feedback.len();
        self.tell(&BackwardEvent::ReduceStarted { variable, feedback });
        let cx = ReduceCx {
            variable: variable.clone(),
            feedback: group.feedback.clone(),
            // Several wishes may meet at one variable: each merge has a place of its own.
            seed: self.settings.seed.map(|seed| {
                seed.child("reduce", node.index() as u64).child("of", group.tag.rank as u64)
            }),
            engine: self.settings.engine.clone(),
        };
        self.jobs.push(Box::pin(async move {
            let reduce = Arc::clone(&group.tag.reduce);
            let work = AssertUnwindSafe(async { reduce.reduce(&cx).await }).catch_unwind();
            let merged = match work.await {
                Ok(merged) => merged.map_err(|error| Error::Backward {
                    op: reduce.name().to_owned(),
                    source: Box::new(error),
                }),
                Err(panic) => Err(panicked(reduce.name(), &*panic)),
            };
            Done::Reduce { node, group, merged }
        }));
    }

    fn start_call(&mut self, node: NodeIndex, call: Arc<Call>) -> Result<(), Error> {
        let (gradients, outputs) = self.state.outputs(node, &call)?;
        if !call.requires_grad() || gradients.iter().all(Vec::is_empty) {
            return self.state.finish_call(node, &call, Vec::new());
        }
        self.tell(&BackwardEvent::CallStarted { call: &call });
        let seed = self.settings.seed.map(|seed| seed.child("call", node.index() as u64));
        let (engine, layout) = (self.settings.engine.clone(), self.settings.layout);
        let cx = BackwardCx::new(Arc::clone(&call), gradients, outputs, engine, layout, seed);
        self.jobs.push(Box::pin(async move {
            let op = Arc::clone(call.op());
            let work = AssertUnwindSafe(async { op.backward(&cx).await }).catch_unwind();
            let said = match work.await {
                Ok(said) => checked(&call, said),
                Err(panic) => Err(panicked(op.name(), &*panic).into()),
            };
            Done::Call { node, call, said }
        }));
        Ok(())
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Call { node, call, said } => {
                let said = said.unwrap_or_else(|failure| {
                    self.fail(node, failure.error);
                    failure.gradients
                });
                let gradients = said.iter().flatten().count();
                self.tell(&BackwardEvent::CallFinished { call: &call, gradients });
                if let Err(error) = self.state.finish_call(node, &call, said) {
                    self.fail(node, error);
                }
            }
            Done::Reduce { node, group, merged } => {
                if let Err(error) = merged.and_then(|merged| self.replace(node, &group, merged)) {
                    self.fail(node, error);
                }
            }
        }
    }

    fn replace(
        &mut self,
        node: NodeIndex,
        group: &Group,
        merged: Vec<Feedback>,
    ) -> Result<(), Error> {
        self.state.merged(node, group, merged)?;
        match self.state.weight(node)? {
            GraphNode::Variable(variable) if self.failure.is_none() => {
                self.merge_or_finish(node, &variable)
            }
            _ => Ok(()),
        }
    }

    fn fail(&mut self, node: NodeIndex, error: Error) {
        self.tell(&BackwardEvent::Failed { error: &error });
        if self.failure.as_ref().is_none_or(|(place, _)| *place < node.index()) {
            self.failure = Some((node.index(), error));
        }
    }

    fn tell(&self, event: &BackwardEvent<'_>) {
        if let Some(observer) = &self.settings.observer {
            observer.event(event);
        }
    }
}

/// Names the op in its failure, and holds it to one answer per input.
fn checked(
    call: &Call,
    said: Result<Vec<Option<Gradient>>, OpFailure>,
) -> Result<Vec<Option<Gradient>>, OpFailure> {
    let op = || call.op().name().to_owned();
    match said {
        Ok(said) if said.len() == call.inputs().len() => Ok(said),
        Ok(said) => {
            let (expected, got) = (call.inputs().len(), said.len());
            Err(OpFailure {
                error: Error::GradientCount { op: op(), expected, got },
                gradients: Vec::new(),
            })
        }
        Err(failure) => Err(OpFailure {
            error: Error::Backward { op: op(), source: Box::new(failure.error) },
            gradients: failure.gradients,
        }),
    }
}

fn panicked(op: &str, panic: &(dyn Any + Send)) -> Error {
    Error::Panic { op: op.to_owned(), message: panic_message(panic) }
}
