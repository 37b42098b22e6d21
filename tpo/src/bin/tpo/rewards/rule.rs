//! Rewards from rules and programs.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use serde_json::Value as Json;
use textgrad_core::{check_fn, describe};
use textgrad_ops::check::{JsonSchema, RegexCheck};
use textgrad_ops::command::Runner;
use tpo::{Error, RewardModel, ScorerReward};

use super::Source;
use crate::engines::missing;

impl Source<'_> {
    pub(super) fn length(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let [from, to] = [self.line.count("from")?, self.line.count("to")?];
        if from.is_none() && to.is_none() {
            return Err(missing(
                "reward",
                "the words that are wanted, as in length:from=50,to=300",
            ));
        }
        let [from, to] = [from.unwrap_or(0), to.unwrap_or(usize::MAX)];
        if from > to {
            let expected = "at least as many words in `to` as in `from`";
            let got = self.line.to_string();
            return Err(Error::Config { setting: "reward", expected, got });
        }
        Ok(Arc::new(ScorerReward::length(from, to, self.line.count("slack")?.unwrap_or(1))))
    }

    pub(super) fn command(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let rewards = &self.spec.reward;
        let Some(program) = self.text("program", rewards.command.as_deref()) else {
            return Err(missing("reward-command", "the program that scores answers"));
        };
        let cores = || available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let concurrency = self.count("concurrency", rewards.concurrency)?.unwrap_or_else(cores);
        let mut runner = Runner::builder(located(program)?)
            .args(&rewards.args)
            .text_file("answer.txt")
            .text_on_stdin()
            .time_limit(self.spec.engine.timeout)
            .concurrency(concurrency.get());
        // Scripts find what runs them by it.
        if let Ok(path) = std::env::var("PATH") {
            runner = runner.env("PATH", path);
        }
        Ok(Arc::new(ScorerReward::command(runner.build()?)?))
    }

    pub(super) async fn format(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let json: Option<bool> = self.line.parsed("json", "true")?;
        let [pattern, never, schema] =
            ["pattern", "never", "schema"].map(|setting| self.line.get(setting));
        match (pattern, never, json, schema) {
            (Some(pattern), None, None, None) => matching(RegexCheck::new(pattern)),
            (None, Some(pattern), None, None) => matching(RegexCheck::never(pattern)),
            (None, None, Some(true), None) => {
                let is_json = |text: &str| match serde_json::from_str::<Json>(text) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(format!("it is no JSON: {error}")),
                };
                Ok(Arc::new(ScorerReward::check(check_fn("it is JSON", is_json))))
            }
            (None, None, None, Some(path)) => {
                let name = format!("schema:{}", Path::new(path).display());
                Ok(Arc::new(ScorerReward::check(schema_of(path).await?).named(name)))
            }
            _ => Err(Error::Config {
                setting: "reward",
                expected: "one of format:pattern=REGEX, format:never=REGEX, format:json=true or \
                           format:schema=FILE",
                got: self.line.to_string(),
            }),
        }
    }
}

/// The JSON schema in a file.
async fn schema_of(path: &str) -> Result<JsonSchema, Error> {
    let wrong = |reason: String| Error::Input {
        source_name: path.to_owned(),
        reason: format!("expected a JSON schema: {reason}"),
    };
    let text = tokio::fs::read_to_string(path).await.map_err(|error| wrong(error.to_string()))?;
    let schema: Json = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    JsonSchema::new(&schema).map_err(|error| wrong(describe(&error)))
}

fn matching(check: Result<RegexCheck, textgrad_ops::Error>) -> Result<Arc<dyn RewardModel>, Error> {
    let check = check.map_err(|error| Error::Config {
        setting: "pattern",
        expected: "a regular expression",
        got: describe(&error),
    })?;
    Ok(Arc::new(ScorerReward::check(check)))
}

/// A program's path as it is from here: it is run in a folder of its own.
fn located(program: &str) -> Result<String, Error> {
    let path = Path::new(program);
    if path.is_absolute() || path.components().count() < 2 {
        return Ok(program.to_owned());
    }
    let absolute = std::path::absolute(path).map_err(Error::io(path, "cannot be located"))?;
    Ok(absolute.to_string_lossy().into_owned())
}
