//! Setting up a judge.

use std::path::PathBuf;
use std::sync::Arc;

use textgrad_core::{Sampling, Seed};
use tpo::{Error, JudgeReward, RewardModel, UnreadableVote};

use super::Source;
use super::line::Kind;
use crate::engines;

impl Source<'_> {
    pub(super) async fn judge(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let around = self.around;
        let base_url = self.line.get("base-url");
        let engine = match self.line.get("engine") {
            Some(line) => {
                let (meter, stop, cache) = (around.meter, self.stop, around.cache);
                engines::other(self.args, "judge", line, base_url, meter, stop, cache)?
            }
            None if base_url.is_some() => {
                return Err(engines::missing("reward", "an engine beside its base-url"));
            }
            None => Arc::clone(around.engine),
        };
        self.args.stopping.priced(engine.name()).await?;
        let sampling = Sampling {
            temperature: self.line.number("temperature")?.or(Some(self.args.temperature)),
            top_p: Some(self.args.top_p),
            max_tokens: self
                .line
                .parsed("max-tokens", "a number of tokens")?
                .or(Some(self.args.critic_max_tokens)),
            ..Sampling::default()
        };
        let mut judge = JudgeReward::builder(engine)
            .sampling(sampling)
            .seed(Seed::new(self.args.seed))
            .prompts(Arc::clone(around.prompts));
        if let Some(path) = self.line.get("rubric") {
            judge = judge.rubric(rubric(path.into()).await?);
        }
        if self.line.kind() == Kind::PairwiseJudge {
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
        if let Some(parse_retries) = self.line.parsed("parse-retries", "how often to ask again")? {
            judge = judge.parse_retries(parse_retries);
        }
        if let Some(unreadable) = self.line.get("unreadable") {
            judge = judge.unreadable(match unreadable {
                "fail" => UnreadableVote::Fail,
                "worst" => UnreadableVote::Worst,
                "skip" => UnreadableVote::Skip,
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
