//! The settings of a training that its run folder keeps.

use serde_json::{Value as Json, json};

use super::TrainerBuilder;
use crate::error::Error;
use crate::train::data::Dataset;
use crate::train::run::SCHEMA;

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
