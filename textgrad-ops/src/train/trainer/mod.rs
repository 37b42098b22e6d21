//! The training loop.

mod population;
mod state;
mod step;
mod train;
mod trial;
mod work;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use derive_setters::Setters;
use serde_json::{Map, Value as Json};
use textgrad_core::{Engine, Layout, Reduce, Seed};

pub use self::population::Population;
pub use self::trial::Acceptance;
use super::data::{Batches, Dataset};
use super::observe::TrainObserver;
use super::program::Program;
use crate::CancellationToken;
use crate::error::Error;
use crate::layer::Meter;
use crate::loss::Loss;
use crate::optim::Optimizer;
use crate::score::Scorer;

/// Improves the texts of a program, minibatch by minibatch.
///
/// The validation set is measured before the first step. Each step then takes the next minibatch of its
/// epoch (every epoch has an order of its own), makes predictions and objectives of all its examples at the
/// same time, runs one backward pass from their sum, asks the optimizer for new texts, measures those on the
/// validation set and keeps them or puts the old ones back. Limits on concurrency belong to the engines.
///
/// * An example that fails is counted and reported. A step in which all fail ends the training with an error.
/// * An example of a set that is measured counts as failed if the program, the evaluator or its request is at
///   fault. If an engine is (a broken connection, a rate limit, a wrong key), it is measured again, up to three
///   times in all where the failure may pass; then the training ends with [`Error::Unmeasured`] rather than
///   take texts back, or remember them, for a score that is not theirs.
/// * A step that brings no new texts is recorded, and the training goes on.
/// * Texts that were measured before are not measured again.
/// * All seeds are derived from places (epoch, step, example), so the same answers give the same training at
///   any concurrency.
/// * In a run folder the training can be killed at any time and [resumed](TrainerBuilder::resume): it goes on
///   after the last whole step as if nothing had happened.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{
///     Choice, Error, FinishReason, Members, Module, Parameter, Purpose, Request, Response, Seed, Variable,
///     async_trait, engine_fn, Engine,
/// };
/// use textgrad_ops::ScoreLoss;
/// use textgrad_ops::score::{ExactMatch, Example};
/// use textgrad_ops::train::{Dataset, EndReason, Program, Trainer};
/// use textgrad_ops::{LlmCall, TextualGradientDescent};
///
/// struct Solver { system: Parameter, llm: LlmCall }
///
/// impl Module for Solver {
///     fn members(&self) -> Members<'_> {
///         vec![("system".into(), (&self.system).into())]
///     }
/// }
///
/// #[async_trait]
/// impl Program for Solver {
///     async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, Error> {
///         let question = Variable::constant(example.text("question")?, "question");
///         self.llm.ask(&question).system(&self.system).seed(seed).one().await
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // A model that only shouts if it is told to.
/// let engine: Arc<dyn Engine> = Arc::new(engine_fn("echo", |request: Request| async move {
///     let text = match request.purpose {
///         Purpose::Forward if request.messages[0].text().contains("capitals") => {
///             request.messages[1].text().to_uppercase()
///         }
///         Purpose::Forward => request.messages[1].text(),
///         Purpose::Update => "<IMPROVED_VARIABLE>\nAnswer in capitals.\n</IMPROVED_VARIABLE>".to_owned(),
///         _ => "It must be in capitals.".to_owned(),
///     };
///     Ok(Response::new(vec![Choice::new(text, FinishReason::Stop)]))
/// }));
/// let solver = Solver {
///     system: Parameter::new("Answer.", "system prompt"),
///     llm: LlmCall::builder(engine.clone()).build(),
/// };
/// let words = ["mars", "venus", "earth", "moon"];
/// let examples = words.map(|word| {
///     Example::new(word).with_field("question", word).with_expected(word.to_uppercase())
/// });
/// let split = Dataset::new("planets", examples)?.split_counts(2, 2)?;
///
/// let evaluator = Arc::new(ExactMatch::new());
/// let loss = ScoreLoss::new(evaluator.clone())
///     .purpose("says whether the answer is right")
///     .feedback_engine(engine.clone());
/// let optimizer = TextualGradientDescent::builder(engine).build();
/// let trainer = Trainer::builder(Arc::new(solver), Arc::new(loss), Arc::new(optimizer), split.train)
///     .validation(split.validation)
///     .evaluator(evaluator)
///     .target(1.0)
///     .build()?;
/// let training = trainer.run().await?;
/// assert_eq!(training.curve(), [(0, 0.0), (1, 1.0)]);
/// assert_eq!(training.ended, Some(EndReason::Target));
/// assert_eq!(training.best.get("system"), Some("Answer in capitals."));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Trainer {
    settings: TrainerBuilder,
    batches: Batches,
    per_epoch: usize,
    steps: usize,
}

/// Where a run is kept.
#[derive(Debug)]
enum Place {
    Create(PathBuf),
    Resume(PathBuf),
}

/// Settings of a [`Trainer`].
#[must_use = "a builder does nothing until it builds"]
#[derive(Debug, Setters)]
#[setters(strip_option)]
pub struct TrainerBuilder {
    #[setters(skip)]
    program: Arc<dyn Program>,
    #[setters(skip)]
    loss: Arc<dyn Loss>,
    #[setters(skip)]
    optimizer: Arc<dyn Optimizer>,
    #[setters(skip)]
    train: Dataset,
    /// Measures new texts on these examples, selects the best [candidate](Optimizer::candidates), and reverts
    /// texts that are not [good enough](Self::acceptance). Without a validation set every step is kept.
    validation: Option<Dataset>,
    /// Measures the best texts on these examples at the end.
    test: Option<Dataset>,
    /// What measures predictions; needed for validation, test and [`errors_only`](Self::errors_only).
    evaluator: Option<Arc<dyn Scorer>>,
    /// Examples in a minibatch, from 1 on; default: [`Trainer::DEFAULT_BATCH_SIZE`].
    batch_size: usize,
    /// Whether the last minibatch of an epoch is left out if it is not full.
    drop_last: bool,
    /// How often the training set is gone through, from 1 on; default: [`Trainer::DEFAULT_EPOCHS`].
    epochs: usize,
    /// Makes at most so many steps in an epoch, from 1 on. TextGrad's script makes 4.
    steps_per_epoch: Option<usize>,
    /// From which the order of the examples and the seeds of all requests are derived; default: 0.
    seed: Seed,
    /// Which new texts are kept; default: [`Acceptance::NotWorse`].
    acceptance: Acceptance,
    /// The texts that steps start from; default: [`Population::Last`].
    population: Population,
    /// Whether new texts go to the validation set only if they score more on the minibatch than the texts that they
    /// come from; an evaluator measures both. Default: false.
    minibatch_gate: bool,
    /// How many times at most two members of a [`Population::Pareto`] are merged: after a step that brought a member,
    /// one that takes of each text the side that changed it, if it is not worse than either on five examples of the
    /// validation set. Default: 0. Only a program with two or more texts can gain by it.
    merges: usize,
    /// Whether several [candidates](Optimizer::candidates) are measured on a part of the validation set first, and the
    /// worse half is dropped, until two are left for the whole: Karnin et al., "Almost Optimal Exploration in
    /// Multi-Armed Bandits", 2013. Default: false, all are measured on all.
    successive_halving: bool,
    /// Ends when the best validation score has not risen for so many steps, from 1 on.
    patience: Option<usize>,
    /// Ends when the validation score is at least this.
    target: Option<f64>,
    /// Evaluates the predictions of a minibatch, and asks the objective and for feedback only about those
    /// that are not right: that failed, or score less than 1.
    errors_only: bool,
    /// The score of an example on which the program or the evaluator fails; default: 0. One on
    /// which an engine fails has no score; see [`Trainer`].
    failure_score: f64,
    /// Whether the test set is measured before the first step and after each one too. Nothing depends on
    /// what comes out.
    test_each_step: bool,
    /// Merges the feedback of a minibatch on each text; see [`aggregate`](crate::aggregate). Without it the
    /// optimizer is shown all of it.
    reduction: Option<Arc<dyn Reduce>>,
    /// How requests for feedback show the call that they are about.
    layout: Layout,
    /// Asks this engine for all feedback, instead of each op's own.
    feedback_engine: Option<Arc<dyn Engine>>,
    /// Is told what happens.
    observer: Option<Arc<dyn TrainObserver>>,
    #[setters(skip)]
    meter: Option<Meter>,
    #[setters(skip)]
    stop: CancellationToken,
    #[setters(skip)]
    place: Option<Place>,
    #[setters(skip)]
    more: Map<String, Json>,
}

impl Trainer {
    /// Default examples in a minibatch, as in TextGrad's script for prompt optimization.
    pub const DEFAULT_BATCH_SIZE: usize = 3;

    /// Default epochs, as in TextGrad's script for prompt optimization.
    pub const DEFAULT_EPOCHS: usize = 3;

    /// Trains the parameters of `program` on the examples of `train`, by an objective for each prediction.
    pub fn builder(
        program: Arc<dyn Program>,
        loss: Arc<dyn Loss>,
        optimizer: Arc<dyn Optimizer>,
        train: Dataset,
    ) -> TrainerBuilder {
        TrainerBuilder {
            program,
            loss,
            optimizer,
            train,
            validation: None,
            test: None,
            evaluator: None,
            batch_size: Self::DEFAULT_BATCH_SIZE,
            drop_last: false,
            epochs: Self::DEFAULT_EPOCHS,
            steps_per_epoch: None,
            seed: Seed::new(0),
            acceptance: Acceptance::default(),
            population: Population::default(),
            minibatch_gate: false,
            merges: 0,
            successive_halving: false,
            patience: None,
            target: None,
            errors_only: false,
            failure_score: 0.0,
            test_each_step: false,
            reduction: None,
            layout: Layout::default(),
            feedback_engine: None,
            meter: None,
            observer: None,
            stop: CancellationToken::new(),
            place: None,
            more: Map::new(),
        }
    }
}

impl TrainerBuilder {
    /// Where the engines of the training count their calls, for the costs in the history.
    pub fn meter(mut self, meter: &Meter) -> Self {
        self.meter = Some(meter.clone());
        self
    }

    /// Cancellation: the training ends before its next step. A step during which calls failed because of
    /// it is as if it had not begun.
    pub fn stop(mut self, stop: &CancellationToken) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Keeps the run in this folder, which must not hold one.
    pub fn create(mut self, folder: impl Into<PathBuf>) -> Self {
        self.place = Some(Place::Create(folder.into()));
        self
    }

    /// Continues the run in this folder, which must have been begun with the same settings, data and first texts.
    /// The settings of the [loss](Loss::settings) and of the [optimizer](Optimizer::settings) are among them. Not
    /// compared are models, the program, objectives of functions and whatever else has no settings: add it with
    /// [`setting`](Self::setting).
    pub fn resume(mut self, folder: impl Into<PathBuf>) -> Self {
        self.place = Some(Place::Resume(folder.into()));
        self
    }

    /// A setting that the training does not know of, such as a model or what a function of one's own computes: a run
    /// is not resumed with another one.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.more.insert(name.into(), value.into());
        self
    }

    /// The trainer.
    ///
    /// # Errors
    /// [`Error::Setting`] if a number is out of range or something lacks what it needs, [`Error::Data`] if a
    /// set is empty, [`Error::Core`] if a name in the program makes no path.
    pub fn build(self) -> Result<Trainer, Error> {
        let wrong = |setting, expected, got: &dyn fmt::Display| Error::Setting {
            setting,
            expected,
            got: got.to_string(),
        };
        let Some(size) = NonZeroUsize::new(self.batch_size) else {
            return Err(wrong("batch_size", "1 or more", &0));
        };
        for (setting, value) in [
            ("epochs", Some(self.epochs)),
            ("steps_per_epoch", self.steps_per_epoch),
            ("patience", self.patience),
        ] {
            if value == Some(0) {
                return Err(wrong(setting, "1 or more", &0));
            }
        }
        for (setting, value) in
            [("target", self.target), ("failure_score", Some(self.failure_score))]
        {
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                return Err(wrong(setting, "a finite number", &value));
            }
        }
        let needs_validation = [
            ("patience", self.patience.is_some()),
            ("target", self.target.is_some()),
            ("acceptance", self.acceptance != Acceptance::NotWorse),
            ("population", self.population != Population::Last),
            // Candidates are selected by their validation score.
            ("candidates", self.optimizer.candidates() > 1),
        ];
        if let (None, Some((setting, _))) =
            (&self.validation, needs_validation.into_iter().find(|(_, set)| *set))
        {
            return Err(wrong(setting, "a validation set beside it", &"none"));
        }
        if self.merges > 0 && self.population != Population::Pareto {
            return Err(wrong("merges", "0 without Population::Pareto", &self.merges));
        }
        let sets = [Some(&self.train), self.validation.as_ref(), self.test.as_ref()];
        if let Some(empty) = sets.into_iter().flatten().find(|set| set.is_empty()) {
            let (location, reason) =
                (empty.name().to_owned(), "expected at least one example, got none");
            return Err(Error::Data { location, reason: reason.to_owned(), bad: 1 });
        }
        let evaluates = self.validation.is_some()
            || self.test.is_some()
            || self.errors_only
            || self.minibatch_gate;
        if evaluates && self.evaluator.is_none() {
            let expected = "one for the validation set, the test set, errors_only or the gate";
            return Err(wrong("evaluator", expected, &"none"));
        }
        if self.program.parameters()?.is_empty() {
            return Err(wrong("program", "at least one parameter", &"none"));
        }
        let batches = Batches::new(self.train.len(), size, self.seed).drop_last(self.drop_last);
        let per_epoch = batches.per_epoch().min(self.steps_per_epoch.unwrap_or(usize::MAX));
        let steps = per_epoch.saturating_mul(self.epochs);
        Ok(Trainer { settings: self, batches, per_epoch, steps })
    }
}
