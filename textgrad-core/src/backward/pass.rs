//! Running a pass: whatever is ready runs at the same time.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use petgraph::graph::NodeIndex;

use super::state::State;
use super::tags::Group;
use super::{Backward, BackwardError, BackwardEvent};
use crate::error::{Error, catch_panic, catch_panic_async};
use crate::gradient::{Feedback, Gradient, Gradients, ReduceCx};
use crate::graph::GraphNode;
use crate::op::{BackwardCall, BackwardCx, Call, OpFailure};
use crate::variable::Variable;

/// What a job brought back.
enum Done {
    Call { node: NodeIndex, call: Arc<Call>, said: Result<Vec<Option<Gradient>>, OpFailure> },
    Reduce { node: NodeIndex, group: Group, merged: Result<Vec<Feedback>, Error> },
}

struct Pass {
    state: State,
    settings: Backward,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The failure nearest to the root, with its position in the graph.
    failure: Option<(usize, Error)>,
}

pub(super) async fn run(settings: Backward) -> Result<Gradients, BackwardError> {
    let state = settings
        .graph()
        .and_then(|graph| State::new(&settings.root, graph))
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
        self.notify(node, &BackwardEvent::ReduceStarted { variable, feedback });
        if self.failure.is_some() {
            return;
        }
        let cx = ReduceCx {
            variable: variable.clone(),
            feedback: group.feedback.clone(),
            // Several reductions may meet at one variable: each has a seed of its own.
            seed: self.settings.seed.map(|seed| {
                seed.child("reduce", node.index() as u64).child("of", group.rank as u64)
            }),
            engine: self.settings.engine.clone(),
        };
        self.jobs.push(Box::pin(async move {
            let reduce = &group.reduce;
            let op = || reduce.name().to_owned();
            let merged = match catch_panic_async(async { reduce.reduce(&cx).await }).await {
                Ok(merged) => {
                    merged.map_err(|error| Error::Backward { op: op(), source: Box::new(error) })
                }
                Err(message) => Err(Error::Panic { op: op(), message }),
            };
            Done::Reduce { node, group, merged }
        }));
    }

    fn start_call(&mut self, node: NodeIndex, call: Arc<Call>) -> Result<(), Error> {
        let (gradients, outputs) = self.state.outputs(node, &call)?;
        let needs = self.state.needs(node, &call);
        if !needs.contains(&true) || gradients.iter().all(Vec::is_empty) {
            return self.state.finish_call(node, &call, Vec::new());
        }
        self.notify(node, &BackwardEvent::CallStarted { call: &call });
        if self.failure.is_some() {
            return Ok(());
        }
        let seed = self.settings.seed.map(|seed| seed.child("call", node.index() as u64));
        let (engine, layout) = (self.settings.engine.clone(), self.settings.layout);
        let given = Arc::clone(&call);
        let cx = BackwardCall { call: given, gradients, outputs, needs, engine, layout, seed };
        let cx = BackwardCx(Arc::new(cx));
        self.jobs.push(Box::pin(async move {
            let said = match catch_panic_async(async { call.op().backward(&cx).await }).await {
                Ok(said) => checked(&call, said),
                Err(message) => {
                    Err(Error::Panic { op: call.op().name().to_owned(), message }.into())
                }
            };
            Done::Call { node, call, said }
        }));
        Ok(())
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Call { node, call, said } => {
                let mut said = said.unwrap_or_else(|failure| {
                    self.fail(node, failure.error);
                    failure.gradients
                });
                if !self.settings.create_graph {
                    for gradient in said.iter_mut().flatten() {
                        gradient.stop_gradient();
                    }
                }
                let gradients = said.iter().flatten().count();
                self.notify(node, &BackwardEvent::CallFinished { call: &call, gradients });
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
        mut merged: Vec<Feedback>,
    ) -> Result<(), Error> {
        if !self.settings.create_graph {
            merged.iter_mut().for_each(Feedback::stop_gradient);
        }
        self.state.merged(node, group, merged)?;
        match self.state.weight(node)? {
            GraphNode::Variable(variable) if self.failure.is_none() => {
                self.merge_or_finish(node, &variable)
            }
            _ => Ok(()),
        }
    }

    fn fail(&mut self, node: NodeIndex, error: Error) {
        self.notify(node, &BackwardEvent::Failed { error: &error });
        self.keep(node, error);
    }

    fn keep(&mut self, node: NodeIndex, error: Error) {
        if self.failure.as_ref().is_none_or(|(index, _)| *index < node.index()) {
            self.failure = Some((node.index(), error));
        }
    }

    /// Calls the observer. If it panics, the pass ends, and the observer is not called again.
    fn notify(&mut self, node: NodeIndex, event: &BackwardEvent<'_>) {
        let Some(observer) = &self.settings.observer else { return };
        if let Err(message) = catch_panic(|| observer.event(event)) {
            self.settings.observer = None;
            self.keep(node, Error::Panic { op: "observer".to_owned(), message });
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
