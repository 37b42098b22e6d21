//! Replay of a search from the journal and the results of its run.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use textgrad_core::{
    Engine, EngineError, EngineInfo, ErrorKind, PromptPack, Purpose, Request, Response,
};
use textgrad_ops::CancellationToken;
use textgrad_ops::util::fs::blocking;

use super::config::{RunConfig, pack_digest};
use super::folder::{RecordedRun, same};
use super::results::ResultRecord;
use crate::config::{EarlyStop, Mode, StopReason};
use crate::error::Error;
use crate::journal::Journal;
use crate::query::Query;
use crate::reward::{EngineScope, RewardInfo, RewardModel};
use crate::search::{
    Alignment, CandidateRecord, Comparison, IterationRecord, PairCx, PairSelection, Tpo,
};
use crate::session::Session;

impl RecordedRun {
    /// Searches a query of the run once more, every step answered by the journal: the search takes the same
    /// way as when it is resumed, no engine and no reward model is asked, and nothing is written. What comes
    /// of it has the graph that a record cannot hold.
    ///
    /// `prompts` must be the pack that the run was made with, and a run that cut answers to a number of tokens
    /// needs its [tokenizer](RecordedRun::with_tokenizer). It must be called within a tokio runtime.
    ///
    /// Where the reward model asked engines, or scored answers relative to one another, the scores are those of the
    /// record, and in the second case the comparisons too; what the reward model asked is then left out of the usage.
    /// The partners of [`Mode::Shuffled`] have no scores in the record, so such a run cannot be searched again then.
    ///
    /// # Errors
    /// [`Error::Input`] for such a run of [`Mode::Shuffled`],
    /// [`Error::RunDiffers`] if the prompts, the tokenizer or the selection of pairs are not those of the run,
    /// [`Error::NotRecorded`] if the journal lacks a step, as where the search ended with an error, and those
    /// of [`result`](RecordedRun::result) and [`Journal::read`].
    pub async fn align(&self, index: usize, prompts: Arc<PromptPack>) -> Result<Alignment, Error> {
        self.check(&prompts)?;
        let run = self.clone();
        let read = blocking(move || {
            let queries = match run.config().search.mode {
                Mode::Shuffled => run.queries()?,
                _ => Vec::new(),
            };
            Ok::<_, Error>((run.result(index)?, queries))
        });
        let (record, queries) = read.await?;
        let journal = Journal::read(&self.journal()).await?;
        let missing = Missing::default();
        let tpo = self.tpo(&record, prompts, &missing)?;
        let session = Session::new(Some(journal.query(index).await?), CancellationToken::new());
        let donor = tpo.donor(index, &queries);
        let outcome = tpo.align_in(index, record.query, donor, session).await;
        match missing.get() {
            Some(step) => Err(Error::NotRecorded {
                path: self.path().to_owned(),
                index,
                step: step.clone(),
                ended: record.error.map(|error| error.message),
            }),
            None => Ok(outcome?),
        }
    }

    fn check(&self, prompts: &PromptPack) -> Result<(), Error> {
        let config = self.config();
        if config.search.mode == Mode::Shuffled && (config.scores.asked || config.scores.relative) {
            let reason = "a search of mode shuffled is repeated with the scores of another query's answers, and a run \
                          whose reward model is a judge or compares answers does not store these: it cannot be drawn";
            return Err(Error::input(self.path().display(), reason));
        }
        let mut differences = Vec::new();
        if pack_digest(prompts) != config.prompts {
            let what = "the wording of the prompts (give the pack that it was run with)";
            differences.push(what.to_owned());
        }
        let tokenizer = self.tokenizer.as_ref().map(|tokenizer| tokenizer.identity());
        if tokenizer.as_deref() != config.tokenizer.as_deref() {
            let what = match &config.tokenizer {
                Some(_) => "the tokenizer (give the tokenizer.json that it was run with)",
                None => "the tokenizer (it was run without one)",
            };
            differences.push(what.to_owned());
        }
        if config.pairs != config.search.pairs.to_string() {
            differences.push(format!("pairs: {:?} is not a selection of this crate", config.pairs));
        }
        if let (Some(shard), Mode::Shuffled) = (config.shard, config.search.mode) {
            let what = format!(
                "shard: {shard} has not the other queries that mode shuffled uses (merge the parts)"
            );
            differences.push(what);
        }
        for (part, name) in &config.own_parts {
            differences.push(format!("{part}: {name:?} is not of this crate"));
        }
        same(self.path(), differences)
    }

    fn tpo(
        &self,
        record: &ResultRecord,
        prompts: Arc<PromptPack>,
        missing: &Missing,
    ) -> Result<Tpo, Error> {
        let RunConfig { simulated, policy, critic, optimizer, reward, scores, pairs, .. } =
            self.config();
        let replay = |name: &String| {
            let info = EngineInfo::new(name.clone()).with_simulation(*simulated);
            Arc::new(Replay { info, missing: missing.clone() })
        };
        let mut search = self.config().search.clone();
        // Time does not pass again: a search that time ended ends where it did.
        search.early_stop.seconds = None;
        let from_record = scores.asked || scores.relative;
        let made = record.trajectory.iterations.iter().map(|made| made.iteration).max();
        match &record.trajectory.stopped {
            // The steps of the iteration that it ended are not all there. Tokens are counted where one is done.
            Some(limit) if limit.is_request_limit() => {
                let done = record.trajectory.tokens_by.len().saturating_sub(1);
                search.iterations = u32::try_from(done).unwrap_or(u32::MAX);
            }
            Some(StopReason::Seconds) => search.iterations = made.unwrap_or(0),
            _ if from_record => search.iterations = made.unwrap_or(0),
            _ => {}
        }
        let candidates = &record.trajectory.candidates;
        let score = |candidate: &CandidateRecord| (candidate.text.clone(), candidate.score);
        let info = RewardInfo::new(reward.clone()).with_simulation(*simulated);
        let replayed = Arc::new(Replay { info, missing: missing.clone() });
        let reward: Arc<dyn RewardModel> = match from_record {
            true => Arc::new(RecordedScores {
                replay: replayed,
                query: record.query.clone(),
                scores: Arc::new(candidates.iter().map(score).collect()),
            }),
            false => replayed,
        };
        if from_record {
            // It ends where it did: rules look at what the reward model asked, and at scores that were others then.
            search.early_stop = EarlyStop::default();
        }
        let mut builder = Tpo::builder(replay(policy), reward);
        if scores.relative {
            let (name, made) = (pairs.clone(), record.trajectory.iterations.clone());
            builder = builder.pairs(Arc::new(RecordedPairs { name, made }));
        }
        if let Some(tokenizer) = &self.tokenizer {
            builder = builder.tokenizer(Arc::clone(tokenizer));
        }
        builder
            .critic(replay(critic))
            .optimizer(replay(optimizer))
            .prompts(prompts)
            .config(search)
            .build()
    }
}

/// The first step that was asked for and is not in the journal.
type Missing = Arc<OnceLock<String>>;

fn lacks(missing: &Missing, step: String) -> EngineError {
    missing.get_or_init(|| step);
    EngineError::new(ErrorKind::Other, "the journal does not have this step")
}

/// An engine and reward model whose answers are all in the journal: any request that reaches it is missing there.
#[derive(Debug)]
struct Replay<Info> {
    info: Info,
    missing: Missing,
}

#[async_trait]
impl Engine for Replay<EngineInfo> {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let purpose: Purpose = request.purpose;
        Err(lacks(&self.missing, format!("a call for {purpose}")))
    }
}

#[async_trait]
impl RewardModel for Replay<RewardInfo> {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn score(&self, _: &Query, _: &[&str]) -> Result<Vec<f64>, EngineError> {
        Err(lacks(&self.missing, "a score".to_owned()))
    }
}

/// A reward model whose scores are those that a record has: where it asked engines, the journal has the requests.
#[derive(Debug, Clone)]
struct RecordedScores {
    replay: Arc<Replay<RewardInfo>>,
    query: Query,
    scores: Arc<HashMap<String, f64>>,
}

#[async_trait]
impl RewardModel for RecordedScores {
    fn info(&self) -> &RewardInfo {
        &self.replay.info
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let score = |answer: &&str| {
            let score = self.scores.get(*answer).filter(|_| *query == self.query).copied();
            score.ok_or_else(|| lacks(&self.replay.missing, "a score".to_owned()))
        };
        answers.iter().map(score).collect()
    }

    /// Itself, since its scores are not to be written down.
    fn bind(&self, _: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        Some(Arc::new(self.clone()))
    }
}

/// The comparisons that a record has: the scores by which they were chosen were others than those of the end.
#[derive(Debug)]
struct RecordedPairs {
    name: String,
    made: Vec<IterationRecord>,
}

impl PairSelection for RecordedPairs {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison> {
        let made = self.made.iter().filter(|made| made.iteration == cx.iteration());
        made.map(IterationRecord::comparison).collect()
    }
}
