//! The settings of a training.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use textgrad_core::{Engine, Layout, Reduce, Seed};

use super::Trainer;
use crate::CancellationToken;
use crate::error::Error;
use crate::layer::Meter;
use crate::optim::Optimizer;
use crate::score::Scorer;
use crate::train::data::{Batches, Dataset};
use crate::train::observe::TrainObserver;
use crate::train::program::{ExampleLoss, Program};
use crate::train::run::SCHEMA;

/// Which new texts are kept, by their score on the validation set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Acceptance {
    /// Those that are not worse than the texts they would replace. TextGrad does the same: it takes a step
    /// back if the score has fallen.
    #[default]
    NotWorse,
    /// Those that are better.
    Better,
    /// All. The best texts are remembered nevertheless.
    Always,
}

/// Where a run is kept.
pub(super) enum Place {
    Create(PathBuf),
    Resume(PathBuf),
}

/// Settings of a [`Trainer`].
#[must_use = "a builder does nothing until it builds"]
pub struct TrainerBuilder {
    pub(super) program: Arc<dyn Program>,
    pub(super) loss: Arc<dyn ExampleLoss>,
    pub(super) optimizer: Arc<dyn Optimizer>,
    pub(super) train: Dataset,
    pub(super) validation: Option<Dataset>,
    pub(super) test: Option<Dataset>,
    pub(super) evaluator: Option<Arc<dyn Scorer>>,
    batch_size: usize,
    drop_last: bool,
    epochs: usize,
    steps_per_epoch: Option<usize>,
    pub(super) seed: Seed,
    pub(super) acceptance: Acceptance,
    pub(super) patience: Option<usize>,
    pub(super) target: Option<f64>,
    pub(super) errors_only: bool,
    pub(super) failure_score: f64,
    pub(super) test_each_step: bool,
    pub(super) reduction: Option<Arc<dyn Reduce>>,
    pub(super) layout: Layout,
    pub(super) feedback_engine: Option<Arc<dyn Engine>>,
    pub(super) meter: Option<Meter>,
    pub(super) observer: Option<Arc<dyn TrainObserver>>,
    pub(super) stop: CancellationToken,
    pub(super) place: Option<Place>,
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
        loss: Arc<dyn ExampleLoss>,
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
    /// Measures new texts on these examples, selects the best [candidate](Optimizer::candidates), and reverts
    /// texts that are not [good enough](Self::acceptance). Without a validation set every step is kept.
    pub fn validation(mut self, examples: Dataset) -> Self {
        self.validation = Some(examples);
        self
    }

    /// Measures the best texts on these examples at the end.
    pub fn test(mut self, examples: Dataset) -> Self {
        self.test = Some(examples);
        self
    }

    /// What measures predictions; needed for validation, test and [`errors_only`](Self::errors_only).
    pub fn evaluator(mut self, evaluator: Arc<dyn Scorer>) -> Self {
        self.evaluator = Some(evaluator);
        self
    }

    /// Examples in a minibatch, from 1 on; default: [`Trainer::DEFAULT_BATCH_SIZE`].
    pub fn batch_size(mut self, examples: usize) -> Self {
        self.batch_size = examples;
        self
    }

    /// Whether the last minibatch of an epoch is left out if it is not full.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// How often the training set is gone through, from 1 on; [`Trainer::DEFAULT_EPOCHS`] unless said
    /// otherwise.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Makes at most so many steps in an epoch, from 1 on. TextGrad's script makes 4.
    pub fn steps_per_epoch(mut self, steps: usize) -> Self {
        self.steps_per_epoch = Some(steps);
        self
    }

    /// From which the order of the examples and the seeds of all requests are derived; 0 unless said
    /// otherwise.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Which new texts are kept; default: [`Acceptance::NotWorse`].
    pub fn acceptance(mut self, acceptance: Acceptance) -> Self {
        self.acceptance = acceptance;
        self
    }

    /// Ends when the best validation score has not risen for so many steps, from 1 on.
    pub fn patience(mut self, steps: usize) -> Self {
        self.patience = Some(steps);
        self
    }

    /// Ends when the validation score is at least this.
    pub fn target(mut self, score: f64) -> Self {
        self.target = Some(score);
        self
    }

    /// Evaluates the predictions of a minibatch, and asks the objective and for feedback only about those
    /// that are not right: that failed, or score less than 1.
    pub fn errors_only(mut self, errors_only: bool) -> Self {
        self.errors_only = errors_only;
        self
    }

    /// The score of an example on which the program or the evaluator fails; default: 0. One on
    /// which an engine fails has no score; see [`Trainer`].
    pub fn failure_score(mut self, score: f64) -> Self {
        self.failure_score = score;
        self
    }

    /// Whether the test set is measured before the first step and after each one too. Nothing depends on
    /// what comes out.
    pub fn test_each_step(mut self, test: bool) -> Self {
        self.test_each_step = test;
        self
    }

    /// Merges the feedback of a minibatch on each text; see [`aggregate`](crate::aggregate). Without it the
    /// optimizer is shown all of it.
    pub fn reduction(mut self, reduction: Arc<dyn Reduce>) -> Self {
        self.reduction = Some(reduction);
        self
    }

    /// How requests for feedback show the call that they are about.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Asks this engine for all feedback, instead of each op's own.
    pub fn feedback_engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.feedback_engine = Some(engine);
        self
    }

    /// Where the engines of the training count their calls, for the costs in the history.
    pub fn meter(mut self, meter: &Meter) -> Self {
        self.meter = Some(meter.clone());
        self
    }

    /// Is told what happens.
    pub fn observer(mut self, observer: Arc<dyn TrainObserver>) -> Self {
        self.observer = Some(observer);
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

    /// Continues the run in this folder, which must have been begun with the same settings, data and first
    /// texts.
    pub fn resume(mut self, folder: impl Into<PathBuf>) -> Self {
        self.place = Some(Place::Resume(folder.into()));
        self
    }

    /// A setting that the training does not know of, such as a model or an optimizer's: a run is not resumed
    /// with another one.
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
            // Candidates are selected by their validation score.
            ("candidates", self.optimizer.candidates() > 1),
        ];
        if let (None, Some((setting, _))) =
            (&self.validation, needs_validation.into_iter().find(|(_, set)| *set))
        {
            return Err(wrong(setting, "a validation set beside it", &"none"));
        }
        let sets = [Some(&self.train), self.validation.as_ref(), self.test.as_ref()];
        if let Some(empty) = sets.into_iter().flatten().find(|set| set.is_empty()) {
            let (place, reason) =
                (empty.name().to_owned(), "expected at least one example, got none");
            return Err(Error::Data { place, reason: reason.to_owned(), bad: 1 });
        }
        let evaluates = self.validation.is_some() || self.test.is_some() || self.errors_only;
        if evaluates && self.evaluator.is_none() {
            let expected = "one for the validation set, the test set or errors_only";
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

    /// What a run must have in common with the one that it continues.
    pub(super) fn config(&self) -> Result<Json, Error> {
        let data = |set: &Dataset| json!({ "examples": set.len(), "sha256": set.sha256() });
        Ok(json!({
            "schema": SCHEMA,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "acceptance": self.acceptance,
            "patience": self.patience,
            "target": self.target,
            "errors_only": self.errors_only,
            "failure_score": self.failure_score,
            "test_each_step": self.test_each_step,
            "evaluator": self.evaluator.as_ref().map(|evaluator| evaluator.name()),
            "reduction": self.reduction.as_ref().map(|reduction| reduction.name()),
            "layout": format!("{:?}", self.layout).to_lowercase(),
            "feedback_engine": self.feedback_engine.as_ref().map(|engine| engine.name()),
            "data": {
                "train": data(&self.train),
                "validation": self.validation.as_ref().map(data),
                "test": self.test.as_ref().map(data),
            },
            "parameters": self.program.state_dict()?,
            "more": self.more,
        }))
    }
}

impl fmt::Debug for TrainerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainerBuilder")
            .field("train", &self.train)
            .field("validation", &self.validation)
            .field("test", &self.test)
            .field("batch_size", &self.batch_size)
            .field("epochs", &self.epochs)
            .field("acceptance", &self.acceptance)
            .finish_non_exhaustive()
    }
}
