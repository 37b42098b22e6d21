//! The loop.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use textgrad_core::{
    Backward, Engine, Feedback, Graph, Purpose, Sampling, Seed, Variable, apply, apply_one,
    panic_message,
};
use textgrad_ops::{ContrastiveLoss, LlmCall, TextualGradientDescent};

use super::builder::Inner;
use super::nodes::{Choose, SampleInstruction};
use super::pool::{Candidate, Pool};
use super::trajectory::{CandidateRecord, IterationRecord, Trajectory};
use crate::config::Mode;
use crate::error::Error;
use crate::session::Session;

/// What came of a query.
#[derive(Debug, Clone)]
pub struct Alignment {
    query: Variable,
    best: usize,
    pool: Pool,
    trajectory: Trajectory,
    ends: Vec<Variable>,
    busy: Duration,
}

impl Alignment {
    /// The query.
    #[must_use]
    pub fn query(&self) -> &str {
        self.query.text().unwrap_or_default()
    }

    /// The best answer: that with the highest score of all, whichever iteration it comes from.
    #[must_use]
    pub fn answer(&self) -> &str {
        self.pool.get(self.best).map(Candidate::text).unwrap_or_default()
    }

    /// Its score.
    #[must_use]
    pub fn score(&self) -> f64 {
        // The best of a pool is a position in it.
        self.pool.get(self.best).map_or(f64::NAN, |candidate| candidate.score)
    }

    /// The position of the best answer among the candidates.
    #[must_use]
    pub fn best(&self) -> usize {
        self.best
    }

    /// All answers, as variables of the graph.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Everything that happened, as plain data.
    #[must_use]
    pub fn trajectory(&self) -> &Trajectory {
        &self.trajectory
    }

    /// The whole search as one graph: samples, losses, gradients, updates, and what was made of what.
    #[must_use]
    pub fn graph(&self) -> Graph {
        Graph::trace_all(&self.ends)
    }

    /// How long the search waited for calls, with the waits between retries. Calls whose answers
    /// came from a journal count nothing.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.busy
    }
}

/// A search that ended early.
#[derive(Debug)]
pub struct AlignError {
    /// What went wrong.
    pub error: Error,
    /// Everything that had been found by then.
    pub trajectory: Trajectory,
}

impl fmt::Display for AlignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.trajectory.candidates.len();
        write!(f, "the search ended early; {found} scored answer(s) are kept")
    }
}

impl std::error::Error for AlignError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Keeps the error and drops what had been found: for callers that only want to pass it on.
impl From<AlignError> for Error {
    fn from(failure: AlignError) -> Self {
        failure.error
    }
}

/// The search for one query, while it runs.
pub(super) struct Search<'a> {
    tpo: &'a Inner,
    session: Session,
    policy: Arc<dyn Engine>,
    critic: Arc<dyn Engine>,
    optimizer: Arc<dyn Engine>,
    query: Variable,
    seed: Seed,
    pool: Pool,
    iterations: Vec<IterationRecord>,
    ends: Vec<Variable>,
}

impl<'a> Search<'a> {
    pub(super) fn new(tpo: &'a Inner, index: usize, query: &str, session: Session) -> Self {
        Self {
            policy: session.engine(&tpo.policy),
            critic: session.engine(&tpo.critic),
            optimizer: session.engine(&tpo.optimizer),
            session,
            tpo,
            query: Variable::new(query, "query of a user"),
            seed: Seed::new(tpo.config.seed).child("query", index as u64),
            pool: Pool::default(),
            iterations: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Alignment, AlignError> {
        // A panic of a user's engine or reward model is an error of this query, and keeps what was found.
        let outcome = match AssertUnwindSafe(self.search()).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(panic) => Err(Error::Panic { message: panic_message(&*panic) }),
        };
        let outcome = match outcome {
            Ok(()) => self.session.went_on().await.map_err(Error::from),
            Err(error) => Err(error),
        };
        // An interruption may have been taken for a failure that a search can go on without.
        let outcome = self.session.interruption().map_or(outcome, Err);
        self.session.close();
        let trajectory = Trajectory {
            candidates: self.pool.candidates().iter().map(record).collect(),
            iterations: self.iterations,
            usage: self.session.usage(),
        };
        let best = match outcome {
            Ok(()) => self.pool.best().ok_or(Error::NoAnswer),
            Err(error) => Err(error),
        };
        match best {
            Ok(best) => {
                let busy = self.session.busy();
                let (query, pool, ends) = (self.query, self.pool, self.ends);
                Ok(Alignment { query, best, pool, trajectory, ends, busy })
            }
            Err(error) => Err(AlignError { error, trajectory }),
        }
    }

    async fn search(&mut self) -> Result<(), Error> {
        let answers = self.sample().await?;
        self.admit(answers, 0).await?;
        for iteration in 1..=self.tpo.config.depth() {
            let seed = self.seed.child("iteration", u64::from(iteration));
            self.iterate(iteration, seed).await?;
        }
        Ok(())
    }

    async fn sample(&mut self) -> Result<Vec<Variable>, Error> {
        let instruction = SampleInstruction(Arc::clone(&self.tpo.prompts));
        let system = apply_one(Arc::new(instruction), [("query", &self.query)]).await?;
        let config = &self.tpo.config;
        let call = LlmCall::builder(Arc::clone(&self.policy))
            .name("sample")
            .purpose(Purpose::Sample)
            .sampling(config.sampling.clone().with_n(config.samples))
            .response_role("a response to a user query")
            .build();
        let seed = self.seed.child("sample", 0);
        Ok(call.ask(&self.query).system(&system).seed(seed).all().await?)
    }

    /// Scores answers and puts them into the pool. Identical texts are scored once.
    async fn admit(&mut self, answers: Vec<Variable>, iteration: u32) -> Result<(), Error> {
        self.ends.extend(answers.iter().cloned());
        let mut new: Vec<&str> = Vec::new();
        for text in answers.iter().filter_map(Variable::text) {
            if self.pool.score_of(text).is_none() && !new.contains(&text) {
                new.push(text);
            }
        }
        let query = self.query.text().unwrap_or_default();
        let scores = self.session.score(&self.tpo.reward, query, &new).await?;
        let scored: Vec<(String, f64)> = new.into_iter().map(str::to_owned).zip(scores).collect();
        for answer in answers {
            let text = answer.text().unwrap_or_default();
            let fresh = scored.iter().find(|(known, _)| known == text).map(|(_, score)| *score);
            if let Some(score) = fresh.or_else(|| self.pool.score_of(text)) {
                self.pool.push(Candidate { answer, score, iteration })?;
            }
        }
        Ok(())
    }

    async fn iterate(&mut self, iteration: u32, seed: Seed) -> Result<(), Error> {
        let (Some(best), Some(worst)) = (self.pool.best(), self.pool.worst()) else {
            return Err(Error::NoAnswer);
        };
        // An answer is not compared with itself, whether it is alone or all scores are equal.
        let rejected = (self.tpo.config.mode == Mode::Tpo && worst != best).then_some(worst);
        self.iterations.push(IterationRecord {
            iteration,
            chosen: best,
            rejected,
            ..IterationRecord::default()
        });

        let chosen = self.choose(best, rejected).await?;
        let loss = self.loss(&chosen, seed).await?;
        let feedback = self.gradient(&chosen.0, &loss, seed).await?;
        if feedback.is_empty() {
            return Ok(());
        }
        let updates = self.update(&chosen.0, &feedback, seed).await?;
        self.admit(updates, iteration).await
    }

    async fn choose(
        &self,
        best: usize,
        rejected: Option<usize>,
    ) -> Result<(Variable, Option<Variable>), Error> {
        let answer = |position: usize| self.pool.get(position).map(|c| c.answer.clone());
        let mut inputs: Vec<(&str, Variable)> = Vec::new();
        inputs.extend(answer(best).map(|answer| ("best", answer)));
        inputs.extend(rejected.and_then(answer).map(|answer| ("worst", answer)));
        let mut pair = apply(Arc::new(Choose(self.tpo.config.mode)), inputs).await?.into_iter();
        Ok((pair.next().ok_or(Error::NoAnswer)?, pair.next()))
    }

    async fn loss(
        &mut self,
        (chosen, rejected): &(Variable, Option<Variable>),
        seed: Seed,
    ) -> Result<Variable, Error> {
        let sampling: &Sampling = &self.tpo.config.critic;
        let mut loss = ContrastiveLoss::new(Arc::clone(&self.critic), &self.query)
            .prompts(Arc::clone(&self.tpo.prompts))
            .sampling(sampling.clone())
            .feedback_sampling(sampling.clone())
            .seed(seed.child("loss", 0));
        if let Some(rejected) = rejected {
            loss = loss.against(rejected);
        }
        let loss = loss.evaluate(chosen).await?;
        self.ends.push(loss.clone());
        if let Some(record) = self.iterations.last_mut() {
            record.loss = loss.text().map(str::to_owned);
        }
        Ok(loss)
    }

    async fn gradient(
        &mut self,
        chosen: &Variable,
        loss: &Variable,
        seed: Seed,
    ) -> Result<Vec<Feedback>, Error> {
        let pass = Backward::new(loss).seed(seed.child("gradient", 0));
        let gradients = pass.run().await.map_err(|failure| failure.error)?;
        let feedback: Vec<Feedback> = gradients.feedback(chosen).cloned().collect();
        self.ends.extend(feedback.iter().map(|feedback| feedback.variable().clone()));
        if let Some(record) = self.iterations.last_mut()
            && !feedback.is_empty()
        {
            record.gradient = Some(gradients.text(chosen));
        }
        Ok(feedback)
    }

    /// New versions of the chosen answer. None at all is not the end of a search: the pool is still there.
    async fn update(
        &mut self,
        chosen: &Variable,
        feedback: &[Feedback],
        seed: Seed,
    ) -> Result<Vec<Variable>, Error> {
        let config = &self.tpo.config;
        let mut optimizer = TextualGradientDescent::builder(Arc::clone(&self.optimizer))
            .prompts(Arc::clone(&self.tpo.prompts))
            .sampling(config.sampling.clone())
            .candidates(config.samples)
            .reasks(config.reasks);
        for constraint in config.mode.constraints() {
            optimizer = optimizer.constraint(*constraint);
        }
        let optimizer = optimizer.build();
        let seed = seed.child("update", 0);
        let (updates, unusable) = match optimizer.rewrite(chosen, feedback, Some(seed)).await {
            Ok(rewrite) => {
                let problems = rewrite.rejected.into_iter().map(|answer| answer.problem).collect();
                (rewrite.candidates, problems)
            }
            Err(error @ textgrad_ops::Error::NoUpdate { .. }) => {
                (Vec::new(), vec![error.to_string()])
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(record) = self.iterations.last_mut() {
            record.updates = updates.len();
            record.unusable = unusable;
        }
        Ok(updates)
    }
}

fn record(candidate: &Candidate) -> CandidateRecord {
    CandidateRecord {
        iteration: candidate.iteration,
        text: candidate.text().to_owned(),
        score: candidate.score,
    }
}
