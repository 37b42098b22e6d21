//! Settings of momentum by sampling.

use std::sync::{Arc, Mutex};

use textgrad_core::Seed;

use super::history::Draw;
use super::{Inner, SampledMomentum};
use crate::error::Error;
use crate::optim::descent::TextualGradientDescent;

/// Settings of [`SampledMomentum`].
#[derive(Debug, Clone)]
pub struct SampledMomentumBuilder {
    descent: TextualGradientDescent,
    seed: Seed,
    draw: Draw,
}

impl SampledMomentumBuilder {
    pub(super) fn new(descent: TextualGradientDescent, seed: Seed) -> Self {
        let draw = Draw {
            temperature: SampledMomentum::DEFAULT_TEMPERATURE,
            bases: 1,
            limit: SampledMomentum::DEFAULT_HISTORY,
        };
        Self { descent, seed, draw }
    }

    /// By how much a score must be higher for its text to be drawn e times as often, in units of the scores;
    /// above 0; default: [`SampledMomentum::DEFAULT_TEMPERATURE`].
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.draw.temperature = temperature;
        self
    }

    /// How many texts are drawn in each step; default: 1, and never less.
    #[must_use]
    pub fn bases(mut self, bases: usize) -> Self {
        self.draw.bases = bases.max(1);
        self
    }

    /// How many texts of each parameter are kept; default: [`SampledMomentum::DEFAULT_HISTORY`],
    /// and never less than 1.
    #[must_use]
    pub fn history(mut self, texts: usize) -> Self {
        self.draw.limit = texts.max(1);
        self
    }

    /// The optimizer, with an empty history.
    ///
    /// # Errors
    /// [`Error::Setting`] if the temperature is not a finite number above 0, or the optimizer was told to
    /// remember earlier steps, which it would not do here.
    pub fn build(self) -> Result<SampledMomentum, Error> {
        let setting = |setting, expected, got| Error::Setting { setting, expected, got };
        let temperature = self.draw.temperature;
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(setting("temperature", "a finite number above 0", temperature.to_string()));
        }
        let memory_config = self.descent.settings().memory_config;
        if memory_config.longest() > 0 {
            return Err(setting(
                "descent",
                "an optimizer without memory, for sampled momentum keeps its own",
                format!("{memory_config:?}"),
            ));
        }
        Ok(SampledMomentum(Arc::new(Inner {
            descent: self.descent,
            draw: self.draw,
            seed: self.seed,
            history: Mutex::default(),
        })))
    }
}
