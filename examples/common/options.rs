//! The options of the command line.

use std::sync::Arc;

use clap::Parser;
use textgrad_core::{Engine, EngineError, Seed};
use textgrad_ops::CancellationToken;
use textgrad_ops::engine::engine;
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::{DefaultStack, Limits, RetryPolicy};

use crate::{Failure, recording, replay};

/// The options that every example has.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// The model: PRESET/MODEL (ollama/llama3, openai/gpt-4o-mini, ...), http://HOST:PORT/v1#MODEL, or sim,
    /// the embedded simulation; nothing leaves this machine unless it is given
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<String>,
    /// All randomness is derived from it: another one shows other runs, among them such that fail
    #[arg(long, value_name = "NUMBER", default_value_t = Options::SEED)]
    pub seed: u64,
    /// How many requests are under way at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub concurrency: u32,
    /// Writes the recording of the example anew, with its answers and the requests of this version
    #[arg(long, hide = true)]
    pub renew_recording: bool,
}

impl Options {
    /// The default seed. The simulation follows an instruction four times of five; with this one
    /// it does so often enough for every example to show something.
    pub const SEED: u64 = 28;

    /// The engine (default: the simulation) within the layers of a usual setup: timeout, limit, retry, choices, trace.
    ///
    /// # Errors
    /// If the line names no engine, or its key is not in the environment.
    pub fn connect(&self) -> Result<Arc<dyn Engine>, EngineError> {
        self.connect_until(&CancellationToken::new())
    }

    /// The same, where cancellation ends the waits between attempts.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub fn connect_until(&self, stop: &CancellationToken) -> Result<Arc<dyn Engine>, EngineError> {
        let layers = DefaultStack::default()
            .limits(Limits::default().concurrency(self.concurrency))
            .retry(RetryPolicy::default().cancellation(stop.clone()));
        Ok(engine(self.engine.as_deref().unwrap_or("sim"))?.build()?.default_stack(layers))
    }

    /// The engine that `--engine` names, else a recording of the example.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect); if the recording cannot be read; if there is no engine for a seed
    /// other than that of the recording.
    pub async fn connect_or_replay(&self, recording: &str) -> Result<Arc<dyn Engine>, Failure> {
        match &self.engine {
            Some(_) => Ok(self.connect()?),
            None if self.renew_recording => recording::renew(recording).await,
            None if self.seed == Self::SEED => replay(recording).await,
            None => Err(Failure::new(format!(
                "expected --engine with --seed {}, got none: the recording has the seed {}",
                self.seed,
                Self::SEED
            ))),
        }
    }

    /// The seed that others are derived from.
    #[must_use]
    pub fn seed(&self) -> Seed {
        Seed::new(self.seed)
    }
}

/// The values of the flags of an example without [`Options`]: its model cannot be replaced. Flags are `--NAME` or
/// `--NAME=VALUE`, those of `switches` without a value.
///
/// # Errors
/// Any other argument.
pub fn flags<const N: usize>(
    known: [&str; N],
    switches: &[&str],
) -> Result<[Option<String>; N], String> {
    let mut values = [const { None }; N];
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let slot = known.iter().zip(&mut values).find(|(flag, _)| **flag == name);
        let Some((flag, slot)) = slot else {
            let known = if N == 0 { "no arguments".to_owned() } else { known.join(" or ") };
            return Err(format!(
                "expected {known}, got {argument}: the model of this example is a part of it"
            ));
        };
        *slot = match (switches.contains(flag), value) {
            (true, _) => Some(String::new()),
            (false, Some(value)) => Some(value),
            (false, None) => match arguments.next() {
                None => return Err(format!("expected a value behind {flag}")),
                value => value,
            },
        };
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_options_it_is_the_simulation_and_a_wrong_engine_is_reported() {
        let options = Options::parse_from(["example"]);
        assert!(options.connect().unwrap().is_simulation());
        let options = Options::parse_from(["example", "--engine", "olama/llama3"]);
        let error = options.connect().err().unwrap().to_string();
        assert!(error.contains("did you mean ollama/MODEL?"), "{error}");
        assert!(Options::try_parse_from(["example", "--concurrency", "0"]).is_err());
    }
}
