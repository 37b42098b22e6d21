//! Textual gradient descent.

use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use textgrad_core::{Engine, Feedback, Gradients, Layout, Parameter, Score, Seed, Variable};

use self::TextualGradientDescentBuilder as Settings;
use super::edits;
use super::memory::{Memory, MemoryConfig, Slots, Step};
use super::optimizer::{
    FeedbackTarget, Optimizer, ParameterUpdate, Proposal, ProposalOutcome, refuse_repeated,
    with_feedback,
};
use super::rules::Rules;
use super::shown::UpdateRequest;
use super::update::{UpdateOutcome, rewrite};
use crate::error::Error;
use crate::layer::with_all_choices;
use crate::prompts::RejectedChange;
use crate::tags::{CallSettings, TaggedRequest, Tags};

/// An optimizer that shows a model a text and the feedback on it, and asks for a new version.
///
/// The model sees the whole text. An answer that was cut off is never taken for a text: it is asked for again, with
/// what was wrong, up to a bound. A closing tag may be missing at the end of an answer that ended; see
/// [`Tags::extract`]. A text with a mark of its request is asked for again, too, and so is one that breaks one of the
/// [checks](Parameter::checks) of its parameter. If no text passes all checks, the parameter keeps its text, the other
/// parameters are assigned, and [`ParameterUpdate::rejected`] lists the answers. The model is told the optimizer's
/// constraints, the parameter's, and the rules of its checks.
///
/// # Edits
/// With [`edits`](TextualGradientDescentBuilder::edits) the model is asked for changes of quoted passages: replace one,
/// delete one, insert behind one. They are applied exactly as written, all of them or none, to a passage that stands in
/// the text once (it may differ in white space). Where one cannot be applied, the whole text is asked for, as one of
/// the [retries](TextualGradientDescentBuilder::parse_retries). An answer with the whole text between the tags counts
/// too. A long text then costs few output tokens, and each step is bounded, as in SkillOpt (arXiv:2605.23904). Short
/// texts and weak models are better off with whole texts.
///
/// # Memory
/// With [`gradient_memory`](TextualGradientDescentBuilder::gradient_memory),
/// [`momentum`](TextualGradientDescentBuilder::momentum) or
/// [`response_history`](TextualGradientDescentBuilder::response_history), requests show earlier steps on the
/// same parameter. A step is remembered, with the text that the feedback was about, when
/// [`propose_updates`](Self::propose_updates) returns, for every parameter for which the model gave a text,
/// whether the text
/// may be assigned or not and whether it is; not where the request failed, for that step will be repeated.
/// Clones share the memory, and it holds the parameters. [`Optimizer::state_dict`] saves it, with the versions
/// that seeds are derived from, so that an optimizer that loads it sends what the first would have sent; the
/// parameters' texts are their module's to save, before or after.
///
/// The state tells parameters apart by their position: in the order in which they were first given to
/// [`propose_updates`](Self::propose_updates). Give the same list each time, and to [`Optimizer::load_state_dict`].
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, backward};
/// use textgrad_ops::{TextLoss, TextualGradientDescent};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new([
///     "It gives no reason.",
///     "Add a reason.",
///     "<IMPROVED_VARIABLE>\nMars is red because of its rust.\n</IMPROVED_VARIABLE>",
/// ]));
/// let answer = Parameter::new("Mars is red.", "answer to a question");
/// let loss = TextLoss::new(engine.clone(), "Say what the answer lacks.");
/// let optimizer = TextualGradientDescent::builder(engine).constraint("One sentence only.").build();
///
/// let evaluation = loss.evaluate(&answer.variable()).await?;
/// let gradients = backward(&evaluation).await?;
/// optimizer.step([&answer], &gradients).await?;
/// assert_eq!(answer.text().as_ref(), "Mars is red because of its rust.");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct TextualGradientDescent {
    pub(super) settings: Arc<TextualGradientDescentBuilder>,
    memory: Arc<Mutex<Slots<Memory>>>,
}

/// Settings of [`TextualGradientDescent`]. A [`seed`](Self::seed) is that of
/// [`propose_updates`](TextualGradientDescent::propose_updates) and [`step`](TextualGradientDescent::step), whose
/// requests derive theirs from the parameter's place in the list and from its version.
#[derive(Debug, Clone, Setters)]
#[must_use = "a builder does nothing until it builds"]
pub struct TextualGradientDescentBuilder {
    #[setters(skip)]
    pub(crate) call: CallSettings,
    #[setters(skip)]
    pub(super) constraints: Vec<String>,
    #[setters(skip)]
    pub(super) examples: Vec<String>,
    /// The query that the texts answer, for templates that show it by itself. The default ones do not.
    #[setters(into, strip_option)]
    pub(super) query: Option<Arc<str>>,
    /// The tags between which the model is to put the new text.
    pub(super) tags: Tags,
    /// How many new versions are asked for at once; default: 1, and never less.
    pub(super) candidates: u32,
    /// Asks for that many edits at most in place of the whole text, the most important first; default: 0, the whole
    /// text. What comes beyond them is left out. See [`TextualGradientDescent`](TextualGradientDescent#edits).
    pub(super) edits: u32,
    /// Whether replies are decoded under a [grammar](textgrad_core::Format::Grammar), so that their tags are always
    /// closed. Engines that do not take grammars refuse such requests; a model that reasons before it answers cannot
    /// do so under a grammar. Default: false.
    pub(super) constrained_decoding: bool,
    /// Whether the request continues the exchange that the feedback came out of, where there is exactly one.
    pub(super) layout: Layout,
    /// Whether the request shows the images of the calls that the feedback is about, before its text. Default: true.
    /// Set it to false for an engine without vision. Of earlier steps no images are shown.
    pub(super) show_images: bool,
    /// Whether a later backward pass goes through the update: to the feedback, to the text that was improved, and to
    /// the templates of the update that are [variables](textgrad_core::PromptPack::with_variable). Default: false, each
    /// step is differentiated by itself.
    pub(super) create_graph: bool,
    /// Whether such a pass also goes to the inputs and the responses of the calls that the request quotes, each of
    /// which costs a request. Default: false, they are constants to the update.
    pub(super) differentiate_contexts: bool,
    #[setters(skip)]
    pub(super) memory_config: MemoryConfig,
}

impl TextualGradientDescentBuilder {
    /// Something that a new text must obey, in words.
    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.constraints.push(constraint.into());
        self
    }

    /// An example of a good text of this kind.
    pub fn example(mut self, example: impl Into<String>) -> Self {
        self.examples.push(example.into());
        self
    }

    /// The optimizer, remembering nothing yet.
    #[must_use]
    pub fn build(self) -> TextualGradientDescent {
        let mut settings = Self { candidates: self.candidates.max(1), ..self };
        if settings.candidates > 1 {
            settings.call.engine = with_all_choices(settings.call.engine);
        }
        TextualGradientDescent { settings: Arc::new(settings), memory: Arc::default() }
    }
}

const KIND: &str = "textual gradient descent";

impl TextualGradientDescent {
    /// Default number of retries after an unusable answer.
    pub const DEFAULT_PARSE_RETRIES: u32 = TaggedRequest::DEFAULT_PARSE_RETRIES;
    /// How many responses of a step the [response history](TextualGradientDescentBuilder::response_history)
    /// keeps.
    pub const SHOWN_RESPONSES: usize = Step::RESPONSES;
    /// How many characters of each it keeps.
    pub const RESPONSE_CHARS: usize = Step::RESPONSE_CHARS;

    /// An optimizer that asks this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> TextualGradientDescentBuilder {
        TextualGradientDescentBuilder {
            call: CallSettings::new(engine),
            constraints: Vec::new(),
            examples: Vec::new(),
            query: None,
            tags: Tags::default(),
            candidates: 1,
            edits: 0,
            constrained_decoding: false,
            layout: Layout::Quoted,
            show_images: true,
            create_graph: false,
            differentiate_contexts: false,
            memory_config: MemoryConfig::default(),
        }
    }

    /// Whether there is anything to be saved.
    fn remembers(&self) -> bool {
        self.settings.memory_config.remembers() || self.settings.call.seed.is_some()
    }

    /// New versions of one text, as many as the optimizer is set to, and at least one. They are variables
    /// of the graph, made of the text and the feedback; nothing is assigned. It shows nothing of earlier steps
    /// and is none that is remembered: those are a parameter's.
    ///
    /// # Errors
    /// [`Error::NoFeedback`] without feedback, [`Error::NoUpdate`] if no answer was usable,
    /// [`Error::Core`] if the engine failed before any was.
    pub async fn rewrite(
        &self,
        variable: impl Into<Variable>,
        feedback: &[Feedback],
        seed: Option<Seed>,
    ) -> Result<UpdateOutcome, Error> {
        let variable = variable.into();
        if feedback.is_empty() {
            return Err(Error::NoFeedback { roles: vec![variable.role().to_string()] });
        }
        let ask = UpdateRequest::new(&self.settings, &variable, feedback)?;
        rewrite(&self.settings, ask, seed).await
    }

    /// New texts for the parameters that have feedback, all asked for at the same time. Assigns nothing; a
    /// parameter for which no text could be had is part of the proposal, with the reason.
    ///
    /// # Errors
    /// [`Error::NoFeedback`] if none of the parameters has feedback, and [`Error::Core`] if one is given twice;
    /// nothing is asked then.
    #[must_use = "nothing is assigned until the proposal is applied"]
    pub async fn propose_updates<'a>(
        &self,
        parameters: impl IntoIterator<Item = &'a Parameter>,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        let parameters: Vec<Parameter> = parameters.into_iter().cloned().collect();
        refuse_repeated(&parameters)?;
        if self.remembers() {
            let mut memory = self.memory.lock();
            memory.register(&parameters);
            memory.iter_mut().for_each(|(parameter, memory)| memory.follow(parameter));
        }
        let (targets, unchanged) = with_feedback(&parameters, gradients)?;
        let asked = targets.into_iter().map(|target| self.update(target));
        let (updates, steps): (Vec<ParameterUpdate>, Vec<Step>) =
            join_all(asked).await.into_iter().unzip();
        let limit = self.settings.memory_config.longest();
        let mut memory = self.memory.lock();
        for (update, step) in updates.iter().zip(steps) {
            if (update.rewrite.is_ok() || update.is_kept())
                && let Some(memory) = memory.get(&update.parameter)
            {
                memory.record(step, limit);
            }
        }
        drop(memory);
        Ok(Proposal { updates, unchanged })
    }

    /// New texts for one parameter, and what is to be remembered of the step.
    async fn update(&self, target: FeedbackTarget) -> (ParameterUpdate, Step) {
        let FeedbackTarget { position, parameter, base, feedback } = target;
        let Settings { call, memory_config, .. } = &*self.settings;
        let memory = self.memory.lock().get(&parameter).cloned().unwrap_or_default();
        let seed = call
            .seed
            .map(|seed| seed.child("parameter", position).child("version", memory.version));
        let text = base.text().unwrap_or_default();
        let step = Step::new(text, &feedback, memory_config.responses > 0);
        let ask = || {
            let mut ask = UpdateRequest::new(&self.settings, &base, &feedback)?;
            ask.rules = Rules::of(&parameter)?;
            ask.past = memory.past(text, *memory_config);
            Ok::<UpdateRequest, Error>(ask)
        };
        let rewrite = match ask() {
            Ok(ask) => rewrite(&self.settings, ask, seed).await,
            Err(error) => Err(error),
        };
        let rewrite = rewrite.map_err(Arc::new);
        (ParameterUpdate { parameter, base, rewrite }, step)
    }

    /// Proposes new texts and assigns them: all of them or none. Where a step may fail and what it brought
    /// is dear, call [`propose_updates`](Self::propose_updates) and [`Proposal::apply`] yourself: the proposal
    /// keeps it.
    ///
    /// # Errors
    /// Those of [`propose_updates`](Self::propose_updates) and of [`Proposal::apply`].
    pub async fn step<'a>(
        &self,
        parameters: impl IntoIterator<Item = &'a Parameter>,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        let proposal = self.propose_updates(parameters, gradients).await?;
        proposal.apply()?;
        Ok(proposal)
    }
}

#[async_trait]
impl Optimizer for TextualGradientDescent {
    fn candidates(&self) -> usize {
        self.settings.candidates as usize
    }

    async fn propose(
        &self,
        parameters: &[Parameter],
        _: &Variable,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        self.propose_updates(parameters, gradients).await
    }

    /// Remembers the texts of a proposal that no parameter has now, or forgets all of an accepted one.
    fn report(&self, proposal: &Proposal, outcome: ProposalOutcome) {
        let MemoryConfig { rejected: limit, reset_on_acceptance, .. } = self.settings.memory_config;
        let score = outcome.score.map(Score::as_f64).filter(|score| score.is_finite());
        let mut memory = self.memory.lock();
        for ParameterUpdate { parameter, base, rewrite } in &proposal.updates {
            let (Some(memory), Ok(rewrite)) = (memory.get(parameter), rewrite) else { continue };
            if outcome.accepted && reset_on_acceptance {
                memory.forget();
                continue;
            }
            let texts = rewrite.candidates.iter().filter_map(Variable::text);
            let turned_down = texts.filter(|text| !outcome.accepted || **text != *parameter.text());
            // Of several, the score is that of the best.
            let score = score.filter(|_| !outcome.accepted && rewrite.candidates.len() == 1);
            for text in turned_down.filter(|_| limit > 0) {
                let edits = edits::between(base.text().unwrap_or_default(), text);
                let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
                let score = score.map(|score| format!("{score:.3}"));
                memory.reject(RejectedChange { changes: edits.join("\n"), score }, limit);
            }
        }
    }

    fn settings(&self) -> Json {
        let Settings { constraints, examples, query, candidates, edits, .. } = &*self.settings;
        json!({
            "constraints": constraints, "examples": examples, "query": query, "candidates": candidates, "edits": edits,
        })
    }

    fn state_dict(&self) -> Json {
        let mut memory = self.memory.lock();
        memory.iter_mut().for_each(|(parameter, memory)| memory.refresh(parameter));
        if self.remembers() { memory.save(KIND) } else { Json::Null }
    }

    fn load_state_dict(&self, parameters: &[Parameter], state: &Json) -> Result<(), Error> {
        if !self.remembers() && state.is_null() {
            return Ok(());
        }
        let loaded = Slots::load(KIND, parameters, state)?;
        *self.memory.lock() = loaded;
        Ok(())
    }
}
