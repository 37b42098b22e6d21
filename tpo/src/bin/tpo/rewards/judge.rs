//! Rewards from judges.

use std::path::PathBuf;
use std::sync::Arc;

use textgrad_core::{Sampling, Seed};
use textgrad_ops::score::Unreadable;
use tpo::{Error, JudgeReward, RewardModel};

use super::Source;
use super::line::RewardKind;
use crate::engines;

impl Source<'_> {
    pub(super) async fn judge(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let context = self.context;
        let base_url = self.line.get("base-url");
        let engine = match self.line.get("engine") {
            Some(line) => context.layers.other("judge", &self.spec.engine, line, base_url)?,
            None if base_url.is_some() => {
                return Err(engines::missing("reward", "an engine beside its base-url"));
            }
            None => Arc::clone(context.engine),
        };
        let search = &self.spec.search;
        if let Some(money) = &search.stopping.money
            && money.prices.of(engine.name()).is_none()
        {
            let expected = "a price for each engine, 0 if it costs nothing";
            let got = format!("none for {:?}", engine.name());
            return Err(Error::Config { setting: "prices", expected, got });
        }
        let sampling = Sampling {
            temperature: self.line.number("temperature")?.or(search.sampling.temperature),
            top_p: search.sampling.top_p,
            max_tokens: self
                .line
                .parsed("max-tokens", "a number of tokens")?
                .or(search.critic.max_tokens),
            ..Sampling::default()
        };
        let mut judge = JudgeReward::builder(engine)
            .sampling(sampling)
            .seed(Seed::new(search.seed))
            .prompts(Arc::clone(context.prompts));
        if let Some(path) = self.line.get("rubric") {
            judge = judge.rubric(rubric(path.into()).await?);
        }
        if self.line.kind() == RewardKind::PairwiseJudge {
            judge = judge.pairwise();
        }
        let [lowest, highest] = [self.line.number("lowest")?, self.line.number("highest")?];
        match (lowest, highest) {
            (Some(lowest), Some(highest)) => judge = judge.grades(lowest, highest),
            (None, None) => {}
            _ => return Err(engines::missing("reward", "both the lowest and the highest grade")),
        }
        if self.line.parsed("expected", "true or false")?.unwrap_or(false) {
            judge = judge.expected();
        }
        if let Some(votes) = self.line.parsed("votes", "a number of votes")? {
            judge = judge.votes(votes);
        }
        if let Some(retries) = self.line.parsed("parse-retries", "a number of retries")? {
            judge = judge.parse_retries(retries);
        }
        if let Some(unreadable) = self.line.get("unreadable") {
            judge = judge.unreadable(match unreadable {
                "fail" => Unreadable::Fail,
                "worst" => Unreadable::Worst,
                "skip" => Unreadable::Skip,
                _ => {
                    let (expected, got) = ("fail, worst or skip", unreadable.to_owned());
                    return Err(Error::Config { setting: "unreadable", expected, got });
                }
            });
        }
        Ok(Arc::new(judge.build()?))
    }
}

async fn rubric(path: PathBuf) -> Result<String, Error> {
    let text = tokio::fs::read_to_string(&path).await.map_err(|error| Error::Input {
        source_name: path.display().to_string(),
        reason: format!("expected a rubric as text: {error}"),
    })?;
    Ok(text.trim().to_owned())
}
