//! State of a training, and the settings that its run folder keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use textgrad_core::{ParameterState, StateDict};

use super::TrainerBuilder;
use super::population::Members;
use crate::error::Error;
use crate::train::data::Dataset;
use crate::train::observe::Phase;
use crate::train::run::SCHEMA;
use crate::util::hex;

/// All that the next step depends on, besides the settings and the data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    /// Finished steps.
    pub(super) steps: usize,
    /// The parameters after them, with their versions: optimizers derive seeds from those.
    parameters: BTreeMap<String, ParameterState>,
    /// What the optimizer remembers.
    optimizer: Json,
    pub(super) best: Best,
    /// The validation score of the parameters.
    pub(super) score: Option<f64>,
    /// Steps since the best score rose.
    pub(super) stale: usize,
    /// What was measured, by set and SHA-256 of the texts: a score for each example from the first on, none where it
    /// failed.
    evaluations: BTreeMap<String, Vec<Option<f64>>>,
    pub(super) members: Members,
}

/// The best texts so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Best {
    pub(super) step: usize,
    pub(super) score: Option<f64>,
    pub(super) parameters: StateDict,
}

impl State {
    /// Before the baseline.
    pub(super) fn new(settings: &TrainerBuilder) -> Result<Self, Error> {
        let mut state = Self {
            steps: 0,
            parameters: BTreeMap::new(),
            optimizer: Json::Null,
            best: Best { step: 0, score: None, parameters: settings.program.state_dict()? },
            score: None,
            stale: 0,
            evaluations: BTreeMap::new(),
            members: Members::default(),
        };
        state.capture(settings)?;
        Ok(state)
    }

    /// Takes the parameters and the optimizer's memory into the state.
    pub(super) fn capture(&mut self, settings: &TrainerBuilder) -> Result<(), Error> {
        let named = settings.program.named_parameters()?;
        self.parameters =
            named.into_iter().map(|(name, parameter)| (name, parameter.state())).collect();
        self.optimizer = settings.optimizer.state_dict();
        Ok(())
    }

    /// Puts the parameters and the optimizer's memory back.
    pub(super) fn restore(&self, settings: &TrainerBuilder) -> Result<(), Error> {
        for (name, parameter) in settings.program.named_parameters()? {
            if let Some(saved) = self.parameters.get(&name) {
                parameter.restore(saved);
            }
        }
        let parameters = settings.program.parameters()?;
        settings.optimizer.load_state_dict(&parameters, &self.optimizer)
    }

    /// Takes note of the texts that hold after a step, and whether they are the best.
    pub(super) fn advance(&mut self, step: usize, texts: &StateDict, score: Option<f64>) {
        let (rose, not_worse) = match (score, self.best.score) {
            (Some(score), Some(best)) => (score > best, score >= best),
            (Some(_), None) => (true, true),
            // Nothing is measured: the last are the best.
            (None, _) => (false, true),
        };
        self.stale = if rose { 0 } else { self.stale + 1 };
        if rose || (not_worse && *texts != self.best.parameters) {
            self.best = Best { step, score, parameters: texts.clone() };
        }
        self.score = score;
        self.steps = step;
    }

    /// The scores that are known of some texts.
    pub(super) fn known(&self, phase: Phase, texts: &StateDict) -> &[Option<f64>] {
        self.evaluations.get(&key(phase, texts)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn learn(&mut self, phase: Phase, texts: &StateDict, more: Vec<Option<f64>>) {
        self.evaluations.entry(key(phase, texts)).or_default().extend(more);
    }
}

fn key(phase: Phase, texts: &StateDict) -> String {
    // A map of texts is always JSON.
    let json = serde_json::to_vec(texts).unwrap_or_default();
    format!("{} {}", phase.as_str(), hex(&Sha256::digest(json)))
}

impl TrainerBuilder {
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
            "population": self.population,
            "minibatch_gate": self.minibatch_gate,
            "merges": self.merges,
            "successive_halving": self.successive_halving,
            "patience": self.patience,
            "target": self.target,
            "errors_only": self.errors_only,
            "failure_score": self.failure_score,
            "test_each_step": self.test_each_step,
            "loss": self.loss.settings(),
            "optimizer": self.optimizer.settings(),
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
