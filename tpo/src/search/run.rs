//! The search loop.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use textgrad_core::{
    Engine, Inputs, Message, Output, Purpose, Seed, Variable, apply_one, catch_panic_async, op_fn,
};
use textgrad_ops::LlmCall;

use super::TpoParts;
use super::outcome::{AlignError, Alignment, CandidateRecord, IterationRecord, Trajectory};
use super::pairs::{Comparison, comparisons};
use super::pool::{Candidate, Pool};
use super::shuffled::{BorrowedCritique, Critique, DonorQuery};
use crate::config::{Mode, Progress, StopReason};
use crate::error::Error;
use crate::prompts::SampleContext;
use crate::query::Query;
use crate::reward::EngineScope;
use crate::session::{BoundReward, Session};
use crate::util::dedup;

/// The search for one query, while it runs.
pub(super) struct Search<'a> {
    pub(super) tpo: &'a TpoParts,
    pub(super) policy: Arc<dyn Engine>,
    pub(super) critic: Arc<dyn Engine>,
    pub(super) optimizer: Arc<dyn Engine>,
    /// The query as a variable of the graph.
    pub(super) query: Variable,
    pub(super) pool: Pool,
    iterations: Vec<IterationRecord>,
    ends: Vec<(u32, Variable)>,
    /// Critiques by iteration and comparison.
    critiques: Vec<Vec<Critique>>,
    /// The critique of another query.
    pub(super) borrowed: BorrowedCritique,
    /// Whether only critiques are needed: the last iteration then rewrites nothing.
    critiques_only: bool,
    /// The policy's conversation up to its answer.
    pub(super) dialogue: Vec<Message>,
    asked: Query,
    session: Session,
    reward: BoundReward,
    seed: Seed,
    begun: Instant,
    /// The best score by each iteration.
    best: Vec<f64>,
    /// How far the newest answers reached below it.
    margins: Vec<Option<f64>>,
    stopped: Option<StopReason>,
}

impl<'a> Search<'a> {
    pub(super) fn new(tpo: &'a TpoParts, index: usize, query: Query, session: Session) -> Self {
        let session = match &tpo.config.early_stop.money {
            Some(money) => session.priced(&money.prices),
            None => session,
        };
        Self {
            policy: session.engine(&tpo.policy),
            critic: session.engine(&tpo.critic),
            optimizer: session.engine(&tpo.optimizer),
            reward: session.bind(&tpo.reward),
            session,
            tpo,
            query: Variable::constant(query.text(), "query of a user"),
            dialogue: Vec::new(),
            asked: query,
            seed: Seed::new(tpo.config.seed).child("query", index as u64),
            pool: Pool::default(),
            iterations: Vec::new(),
            ends: Vec::new(),
            critiques: Vec::new(),
            borrowed: BorrowedCritique::default(),
            critiques_only: false,
            begun: Instant::now(),
            best: Vec::new(),
            margins: Vec::new(),
            stopped: None,
        }
    }

    pub(super) async fn run(mut self, donor: Option<DonorQuery>) -> Result<Alignment, AlignError> {
        // A panic of a user's engine or reward model is an error of this query, and keeps what was found.
        let session = self.session.clone();
        let outcome = session.until_aborted(catch_panic_async(self.search_with(donor))).await;
        let outcome = outcome.unwrap_or(Ok(Err(Error::Stopped)));
        let outcome = outcome.unwrap_or_else(|message| Err(Error::Panic { message }));
        // An interruption may have been taken for a failure that a search can go on without.
        let outcome = self.session.take_interruption().map_or(outcome, Err);
        self.session.close();
        let trajectory = Trajectory {
            candidates: self
                .pool
                .candidates()
                .iter()
                .map(|one| record(one, &self.session))
                .collect(),
            iterations: self.iterations,
            stopped: self.stopped,
            usage: self.session.usage(),
        };
        match outcome.and_then(|()| self.pool.best().ok_or(Error::NoAnswer)) {
            Ok(best) => {
                let model_time = self.session.model_time();
                let (query, pool, ends) = (self.asked, self.pool, self.ends);
                Ok(Alignment { query, best, pool, trajectory, ends, model_time })
            }
            Err(error) => Err(AlignError { error, trajectory }),
        }
    }

    async fn search_with(&mut self, donor: Option<DonorQuery>) -> Result<(), Error> {
        // First, so that a failure there ends this search before it has gone on after anything else.
        if self.tpo.config.mode == Mode::Shuffled && self.tpo.config.depth() > 0 {
            self.borrowed = BorrowedCritique::search(self.tpo, donor, &self.session).await?;
            self.ends.append(&mut self.borrowed.ends);
        }
        self.search().await?;
        Ok(self.session.commit_failures().await?)
    }

    /// All critiques of this search, by iteration and comparison, and the ends of its graph.
    pub(super) async fn critiques(
        mut self,
    ) -> Result<(Vec<Vec<Critique>>, Vec<(u32, Variable)>), Error> {
        self.critiques_only = true;
        self.search().await?;
        Ok((self.critiques, self.ends))
    }

    /// Whether the search is over after the critique of this iteration.
    pub(super) fn is_critiqued(&self, iteration: u32) -> bool {
        self.critiques_only && iteration == self.tpo.config.depth()
    }

    async fn search(&mut self) -> Result<(), Error> {
        let answers = self.sample(0).await?;
        self.admit(answers, 0).await?;
        for iteration in 1..=self.tpo.config.depth() {
            self.stopped = self.reason_to_stop(iteration - 1);
            if self.stopped.is_some() {
                break;
            }
            let seed = self.seed.child("iteration", u64::from(iteration));
            if !self.iterate(iteration, seed).await? {
                self.stopped = Some(StopReason::NoPair);
                break;
            }
        }
        Ok(())
    }

    /// Why the search is to end after this iteration, if it is.
    fn reason_to_stop(&mut self, iteration: u32) -> Option<StopReason> {
        let best = self.pool.best().and_then(|best| self.pool.get(best))?.score;
        self.best.push(best);
        let newest = self.pool.candidates().iter().filter(|c| c.iteration == iteration);
        let newest_low = newest.map(|candidate| candidate.score).reduce(f64::min);
        self.margins.push(newest_low.map(|low| best - low));
        let usage = self.session.usage();
        self.tpo.config.early_stop.reason(Progress {
            best: &self.best,
            margins: &self.margins,
            calls: usage.requests,
            tokens: usage.tokens.total(),
            seconds: self.begun.elapsed().as_secs_f64(),
            money: self.session.money(),
        })
    }

    /// The system message of the first answers.
    async fn instruction(&self) -> Result<Variable, Error> {
        let prompts = Arc::clone(&self.tpo.prompts);
        let instruction = op_fn("sample instruction", move |inputs: Inputs| {
            let prompts = Arc::clone(&prompts);
            async move {
                let context = SampleContext { query: inputs.text("query")? };
                let text = prompts.render("sample_system", &context)?;
                Ok(vec![Output::new(text, "system prompt of the policy").with_requires_grad(false)])
            }
        });
        Ok(apply_one(Arc::new(instruction), [("query", &self.query)]).await?)
    }

    /// Answers to the query itself: the first ones, or those of an iteration that rewrites nothing.
    async fn sample(&mut self, iteration: u32) -> Result<Vec<Variable>, Error> {
        let system = match self.asked.system() {
            Some(own) => Variable::constant(own, "system prompt of the query"),
            None => self.instruction().await?,
        };
        let config = &self.tpo.config;
        let call = LlmCall::builder(Arc::clone(&self.policy))
            .name("sample")
            .purpose(Purpose::Sample)
            .sampling(config.sampling.clone().with_n(config.samples))
            .response_role("a response to a user query")
            .build();
        let seed = self.seed.child("sample", u64::from(iteration));
        let mut history = self.asked.dialogue();
        let instruction = system.text().filter(|text| !text.is_empty()).map(Message::system);
        self.dialogue = instruction.into_iter().chain(history.iter().cloned()).collect();
        let last = history.pop().map(|turn| turn.text()).unwrap_or_default();
        // A query of one turn is the prompt itself; of several, the prompt is only the last.
        let prompt = match self.query.text() == Some(last.as_str()) {
            true => self.query.clone(),
            false => Variable::constant(last, "last turn of a user"),
        };
        Ok(call.ask(&prompt).system(&system).history(history).seed(seed).all().await?)
    }

    /// Scores answers and puts them into the pool. Identical texts are scored once. Where scores are relative,
    /// the whole pool is scored anew.
    async fn admit(&mut self, answers: Vec<Variable>, iteration: u32) -> Result<(), Error> {
        self.ends.extend(answers.iter().map(|answer| (iteration, answer.clone())));
        let texts = answers.iter().filter_map(Variable::text);
        let new = dedup(texts.filter(|text| self.pool.score_of(text).is_none()));
        // Among the same texts scores stay as they are.
        let relative = self.reward.model.is_relative() && !new.is_empty();
        let mut texts = match relative {
            true => dedup(self.pool.candidates().iter().map(Candidate::text)),
            false => Vec::new(),
        };
        texts.extend(new);
        let scores = self.session.score(&self.reward, &self.asked, &texts).await?;
        let scored = texts.into_iter().map(str::to_owned).zip(scores);
        let scored = scored.filter_map(|(text, score)| Some((text, score?)));
        let scored: Vec<(String, f64)> = scored.collect();
        if relative {
            self.pool.rescore(&scored)?;
        }
        for answer in answers {
            let text = answer.text().unwrap_or_default();
            let fresh = scored.iter().find(|(known, _)| known == text).map(|(_, score)| *score);
            if let Some(score) = fresh.or_else(|| self.pool.score_of(text)) {
                self.pool.push(Candidate { answer, score, iteration })?;
                if !self.critiques_only {
                    self.session.report_newest(&self.pool);
                }
            }
        }
        Ok(())
    }

    /// One iteration; false if there is nothing to compare.
    async fn iterate(&mut self, iteration: u32, seed: Seed) -> Result<bool, Error> {
        let config = &self.tpo.config;
        let comparisons = comparisons(config, self.tpo.pairs.as_ref(), &self.pool, iteration)?;
        if config.mode == Mode::Resample {
            return self.resample(iteration, comparisons.first()).await;
        }
        let groups = u32::try_from(comparisons.len()).unwrap_or(u32::MAX);
        let samples = config.samples;
        let improving = (0..).zip(comparisons).map(|(index, comparison)| {
            // New versions are shared out, the first comparisons getting what is left over.
            let share = samples / groups + u32::from(index < samples % groups);
            // The only comparison, or the first, has the seeds of the iteration itself.
            let seed = if index == 0 { seed } else { seed.child("comparison", u64::from(index)) };
            self.improve(iteration, index as usize, comparison, share.max(1), seed)
        });
        let (mut updates, mut critiques) = (Vec::new(), Vec::new());
        let mut outcome = Ok(());
        for (step, end) in join_all(improving).await {
            self.iterations.push(step.record);
            self.ends.extend(step.ends.into_iter().map(|end| (iteration, end)));
            updates.extend(step.updates);
            critiques.push(step.critique);
            outcome = outcome.and(end);
        }
        outcome?;
        self.critiques.push(critiques);
        if !self.is_critiqued(iteration) {
            self.admit(updates, iteration).await?;
        }
        Ok(groups > 0)
    }

    /// An iteration without critique: more answers to the query.
    async fn resample(&mut self, iteration: u32, best: Option<&Comparison>) -> Result<bool, Error> {
        let Some(Comparison { chosen, .. }) = best.cloned() else { return Ok(false) };
        let answers = self.sample(iteration).await?;
        let updates = answers.len();
        self.iterations.push(IterationRecord { iteration, chosen, updates, ..Default::default() });
        self.admit(answers, iteration).await?;
        Ok(true)
    }
}

fn record(candidate: &Candidate, session: &Session) -> CandidateRecord {
    CandidateRecord {
        iteration: candidate.iteration,
        text: candidate.text().to_owned(),
        score: candidate.score,
        truncated: session.is_truncated(candidate.text()),
    }
}
