//! An optimizer that sees the whole graph.

mod answer;
mod listing;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use textgrad_core::{Engine, Gradients, Graph, Inputs, Message, Op, Parameter, Variable, apply};

use self::answer::GraphUpdate;
use self::listing::{cut, list, names};
use super::optimizer::{Optimizer, Proposal, refuse_repeated};
use super::rules::Rules;
use super::shown::numbered;
use crate::error::Error;
use crate::prompts::{GraphObjective, GraphParameter, GraphUpdateContext};
use crate::tags::{CallSettings, Tags};

/// An optimizer that shows a model the whole graph between the parameters and the objective, and asks for new
/// texts for any of the parameters in one call. It needs no backward pass.
///
/// In the manner of OptoPrime: Cheng, Nie and Swaminathan, "Trace is the Next AutoDiff: Generative Optimization
/// with Rich Feedback, Execution Traces, and LLMs", NeurIPS 2024, arXiv:2406.16218. The listing of the graph,
/// its bounds and the form of the answer are ours.
///
/// The model sees the calls that lie between the parameters and the objective as lines of a small program, in
/// topological order; the values that these name; each parameter's whole text with its constraints and the
/// rules of its checks; and what the objective says, and its score. Names of parameters are made of their
/// roles, in the order in which they are given. Frozen parameters are shown as values and left alone.
///
/// Of a graph with more than [`max_calls`](GraphOptimizerBuilder::max_calls) such calls, those nearest to a
/// parameter or to the objective are shown, and the listing says where others are left out. Of values that are
/// no parameters, [`value_chars`](GraphOptimizerBuilder::value_chars) characters are shown.
///
/// An answer is a JSON object of names and new texts. One that is no such thing, gives a name twice, names what
/// is no parameter, or has a text that breaks a check, is asked for again with all that is wrong, up to a
/// bound. What was sound in an earlier answer counts unless a later one says something else of the same
/// parameter. A parameter of which every new text breaks a check [keeps its own](crate::ParameterUpdate::is_kept).
/// Parameters that no answer names, or that the last one that names them gives the text that they have, are
/// unchanged.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Gradients, Parameter, Variable};
/// use textgrad_ops::{GraphOptimizer, LlmCall, Optimizer, TextLoss};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new([
///     "Mars.",
///     "It gives no reason.",
///     "The prompt asks for none.\n<NEW_TEXTS>\n{\"system_prompt\": \"Answer with a reason.\"}\n</NEW_TEXTS>",
/// ]));
/// let system = Parameter::new("Answer.", "system prompt");
/// let question = Variable::constant("Which planet is red?", "question");
/// let llm = LlmCall::builder(engine.clone()).build();
/// let answer = llm.ask(&question).system(&system).one().await?;
/// let objective = TextLoss::new(engine.clone(), "Judge the answer.").evaluate(&answer).await?;
///
/// let optimizer = GraphOptimizer::builder(engine).build();
/// let proposal = optimizer.propose(&[system.clone()], &objective, &Gradients::default()).await?;
/// proposal.apply()?;
/// assert_eq!(system.text().as_ref(), "Answer with a reason.");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct GraphOptimizer {
    settings: Arc<GraphOptimizerBuilder>,
    /// How many proposals were made, for seeds.
    steps: Arc<AtomicU64>,
}

/// Settings of [`GraphOptimizer`]. With a [`seed`](Self::seed), those of requests are derived from the number of
/// proposals before.
#[derive(Debug, Clone, Setters)]
#[must_use = "a builder does nothing until it builds"]
pub struct GraphOptimizerBuilder {
    #[setters(skip)]
    pub(crate) call: CallSettings,
    #[setters(skip)]
    constraints: Vec<String>,
    /// The tags between which the model is to put the new texts. Default: `<NEW_TEXTS>` and `</NEW_TEXTS>`.
    tags: Tags,
    /// The largest number of calls that are shown; default: [`GraphOptimizer::DEFAULT_MAX_CALLS`].
    max_calls: usize,
    /// How many characters are shown of a value that is no parameter;
    /// default: [`GraphOptimizer::DEFAULT_VALUE_CHARS`].
    value_chars: usize,
    /// How many characters are shown of what the objective says;
    /// default: [`GraphOptimizer::DEFAULT_FEEDBACK_CHARS`].
    feedback_chars: usize,
    /// Whether a later backward pass goes through the update: to the objective, to the texts of the parameters, and to
    /// the templates of the update that are [variables](textgrad_core::PromptPack::with_variable). Default: false.
    create_graph: bool,
}

impl GraphOptimizerBuilder {
    /// Something that every new text must obey, in words, beside what its parameter demands.
    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.constraints.push(constraint.into());
        self
    }

    /// The optimizer.
    #[must_use]
    pub fn build(self) -> GraphOptimizer {
        GraphOptimizer { settings: Arc::new(self), steps: Arc::default() }
    }
}

/// A parameter that may change.
struct Target {
    parameter: Parameter,
    leaf: Variable,
    name: String,
    rules: Rules,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    optimizer: String,
    format: u32,
    steps: u64,
}

const KIND: (&str, u32) = ("graph", 1);

impl GraphOptimizer {
    /// Default number of calls that are shown.
    pub const DEFAULT_MAX_CALLS: usize = 50;
    /// Default number of characters of a value that are shown.
    pub const DEFAULT_VALUE_CHARS: usize = 1_000;
    /// Default number of characters of the feedback that are shown.
    pub const DEFAULT_FEEDBACK_CHARS: usize = 8_000;

    /// An optimizer that asks this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> GraphOptimizerBuilder {
        GraphOptimizerBuilder {
            call: CallSettings::new(engine),
            constraints: Vec::new(),
            tags: Tags::of("<NEW_TEXTS>", "</NEW_TEXTS>"),
            max_calls: Self::DEFAULT_MAX_CALLS,
            value_chars: Self::DEFAULT_VALUE_CHARS,
            feedback_chars: Self::DEFAULT_FEEDBACK_CHARS,
            create_graph: false,
        }
    }

    fn messages(
        &self,
        graph: &Graph,
        objective: &Variable,
        targets: &[Target],
    ) -> Result<Vec<Message>, Error> {
        let settings = &self.settings;
        let prompts = &settings.call.prompts;
        let listing = list(graph, objective, targets, settings.max_calls, settings.value_chars);
        let mut program = Vec::new();
        for call in &listing.calls {
            program.push(prompts.render("graph_call", call)?);
        }
        let parameters = targets.iter().map(|target| {
            let (constraints, constraints_text) = numbered(target.rules.told.iter());
            GraphParameter {
                name: target.name.clone(),
                role: target.parameter.role().to_string(),
                value: target.leaf.value().describe(),
                constraints,
                constraints_text,
            }
        });
        let (feedback, feedback_cut) = cut(&objective.value().describe(), settings.feedback_chars);
        let (constraints, constraints_text) = numbered(settings.constraints.iter());
        let is_objective = targets.iter().find(|target| target.leaf == *objective);
        let name = is_objective.map_or("objective", |target| &target.name).to_owned();
        let context = GraphUpdateContext {
            program: program.join("\n"),
            left_out: listing.left_out,
            values: listing.values,
            parameters: parameters.collect(),
            objective: GraphObjective { name, role: objective.role().to_string() },
            feedback,
            feedback_cut,
            score: objective.score().map(|score| score.to_string()),
            constraints,
            constraints_text,
            start_tag: settings.tags.start().to_owned(),
            end_tag: settings.tags.end().to_owned(),
        };
        Ok(prompts.messages("graph_update", &context)?)
    }
}

#[async_trait]
impl Optimizer for GraphOptimizer {
    fn needs_gradients(&self) -> bool {
        false
    }

    /// # Errors
    /// [`Error::NoParameters`] if none is given that is not frozen, [`Error::NotInGraph`] if the objective does
    /// not depend on one, [`Error::Core`] if one is given twice or the engine failed, [`Error::NoUpdate`] if no
    /// answer was usable.
    async fn propose(
        &self,
        parameters: &[Parameter],
        objective: &Variable,
        _: &Gradients,
    ) -> Result<Proposal, Error> {
        refuse_repeated(parameters)?;
        let (frozen, open): (Vec<&Parameter>, Vec<&Parameter>) =
            parameters.iter().partition(|parameter| parameter.is_frozen());
        if open.is_empty() {
            return Err(Error::NoParameters { frozen: frozen.len() });
        }
        let graph = Graph::trace(objective);
        let mut targets = Vec::new();
        for (parameter, name) in open.iter().copied().zip(names(&open)) {
            let leaf = parameter.variable();
            if !graph.contains(&leaf) {
                return Err(Error::NotInGraph { role: parameter.role().to_string() });
            }
            let (parameter, rules) = (parameter.clone(), Rules::of(parameter)?);
            targets.push(Target { parameter, leaf, name, rules });
        }
        let steps = self.steps.load(Ordering::Relaxed);
        let op = Arc::new(GraphUpdate {
            messages: self.messages(&graph, objective, &targets)?,
            targets,
            seed: self.settings.call.seed.map(|seed| seed.child("step", steps)),
            settings: Arc::clone(&self.settings),
            outcome: OnceLock::new(),
        });
        let mut inputs = vec![("objective", objective.clone())];
        let leaves = op.targets.iter();
        inputs.extend(leaves.map(|target| (target.name.as_str(), target.leaf.clone())));
        if self.settings.create_graph {
            let prompts = &self.settings.call.prompts;
            let templates = ["graph_update_system", "graph_update"];
            inputs.extend(prompts.wording(&templates, &op.messages, &inputs).await?);
        }
        let inputs = Inputs::new(inputs);
        let texts = apply(Arc::clone(&op) as Arc<dyn Op>, inputs).await?;
        let proposal = op.proposal(parameters, texts)?;
        self.steps.store(steps.wrapping_add(1), Ordering::Relaxed);
        Ok(proposal)
    }

    fn settings(&self) -> Json {
        json!({ "constraints": self.settings.constraints })
    }

    fn state_dict(&self) -> Json {
        let state = State {
            optimizer: KIND.0.to_owned(),
            format: KIND.1,
            steps: self.steps.load(Ordering::Relaxed),
        };
        // Without a seed nothing depends on what went before.
        let state = self.settings.call.seed.map(|_| state);
        serde_json::to_value(state).unwrap_or_default()
    }

    fn load_state_dict(&self, _: &[Parameter], state: &Json) -> Result<(), Error> {
        if self.settings.call.seed.is_none() && state.is_null() {
            return Ok(());
        }
        match State::deserialize(state) {
            Ok(saved) if (saved.optimizer.as_str(), saved.format) == KIND => {
                self.steps.store(saved.steps, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(Error::State {
                expected: format!("{:?} in format {}, with its number of steps", KIND.0, KIND.1),
                got: state.to_string(),
            }),
        }
    }
}
