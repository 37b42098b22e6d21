//! Language models as reward models.

mod builder;
mod grades;
mod pairs;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use textgrad_core::{
    Choice, Engine, EngineError, Error, ErrorKind, Message, TemplateContext, truncate,
};
use textgrad_ops::Tags;
use textgrad_ops::score::TaggedRequest;

pub use self::builder::JudgeRewardBuilder;
use self::builder::{Form, Settings};
use self::grades::Scale;
use super::monitor::{ExpectedScores, ScoreMonitor};
use super::{EngineScope, RewardModel};
use crate::journal::digest;
use crate::query::Query;

const START: &str = "<VERDICT>";
const END: &str = "</VERDICT>";

/// Advice for grades that do not distinguish answers.
const GRADES_ADVICE: &str = "a rubric that says what each grade is given for, a wider scale, expected grades \
    or comparisons may tell more";
/// Advice for comparisons that do not.
const PAIRS_ADVICE: &str =
    "the judge seems to see nothing but ties, or to prefer a place whatever stands there";

/// A language model that judges answers, by grades or by comparing them.
///
/// **Grades** (the default): each answer is graded by itself, `votes` times with different seeds; its score is
/// the mean of the grades. With [`expected`](JudgeRewardBuilder::expected) a grade is the mean over what the
/// model could have written, weighted by its probabilities.
///
/// **Comparisons** ([`pairwise`](JudgeRewardBuilder::pairwise)): every two answers are compared, in both
/// orders, since judges favor a place, `votes` times each; the scores are the strengths of the answers in the
/// model of Bradley and Terry (Biometrika 39, 1952), in which an answer of strength `a` beats one of strength
/// `b` with probability `1 / (1 + exp(b - a))`. Beside that, each answer counts as having drawn once with an
/// answer of strength 0: so strengths are finite whoever wins, and an answer that was compared with none has
/// strength 0. They depend on the answers that are there: a search scores its whole pool anew when answers are
/// added, and compares no two answers twice.
///
/// Votes are read from between `<VERDICT>` and `</VERDICT>`. One that cannot be read is asked for again with
/// what was wrong; [`Unreadable`](textgrad_ops::score::Unreadable) is the
/// policy for one that stays so. A vote that the engine fails to give
/// fails the scoring.
///
/// A warning is logged once for each thing that looks wrong: a quarter of the replies cannot be read, all grades
/// are at one end of the scale, or all answers have the same score in many queries in a row.
///
/// The wording is that of the templates `reward_pointwise_system`, `reward_pointwise`,
/// `reward_pairwise_system`, `reward_pairwise` and `reward_retry` ([`prompts`](crate::prompts)).
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{Choice, EngineError, FinishReason, Request, Response, engine_fn};
/// use tpo::{JudgeReward, RewardModel};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = engine_fn("judge", |request: Request| async move {
///     let grade = if request.messages[1].text().contains("Rust.") { 8 } else { 3 };
///     let reply = format!("Well.\n<VERDICT>{grade}</VERDICT>");
///     Ok::<_, EngineError>(Response::new(vec![Choice::new(reply, FinishReason::Stop)]))
/// });
/// let judge = JudgeReward::builder(Arc::new(engine)).rubric("Facts count double.").votes(2).build()?;
/// assert_eq!(judge.score(&"Why is Mars red?".into(), &["Rust.", "Blood."]).await?, [8.0, 3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct JudgeReward {
    name: String,
    settings: Arc<Settings>,
    engine: Arc<dyn Engine>,
    /// What came of the comparisons so far.
    compared: Mutex<Compared>,
    monitor: ScoreMonitor,
}

/// The share of the votes that the first of two answers got, by query and answers; none if no vote counts.
type Compared = HashMap<(String, String, String), Option<f64>>;

impl JudgeReward {
    /// A judge by this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> JudgeRewardBuilder {
        JudgeRewardBuilder::new(engine)
    }

    fn new(settings: Arc<Settings>, engine: Arc<dyn Engine>) -> Self {
        let expected = match settings.form {
            Form::Grades { lowest, highest, .. } => {
                ExpectedScores::scale(lowest, highest, GRADES_ADVICE)
            }
            Form::Pairs => ExpectedScores::any(PAIRS_ADVICE),
        };
        Self::watched(settings, engine, ScoreMonitor::new(expected))
    }

    fn watched(settings: Arc<Settings>, engine: Arc<dyn Engine>, monitor: ScoreMonitor) -> Self {
        let form = match settings.form {
            Form::Grades { .. } => "judge",
            Form::Pairs => "pairwise-judge",
        };
        let name = format!("{form}:{}", engine.name());
        Self { name, settings, engine, compared: Mutex::default(), monitor }
    }

    fn compared(&self) -> MutexGuard<'_, Compared> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One vote, or why it could not be read. Its seeds come from what is asked and from its number.
    async fn vote<C: TemplateContext + Sync, T>(
        &self,
        [system, user]: [&str; 2],
        context: &C,
        vote: u32,
        read: impl Fn(&str, &Choice) -> Result<T, String>,
    ) -> Result<Result<T, String>, EngineError> {
        let Settings { prompts, sampling, parse_retries, seed, .. } = &*self.settings;
        let render = |name: &str| prompts.render(name, context).map_err(Error::from);
        let messages = vec![
            Message::system(render(system).map_err(engine_error)?),
            Message::user(render(user).map_err(engine_error)?),
        ];
        let ask = TaggedRequest::new(Arc::clone(&self.engine), tags().map_err(engine_error)?);
        let ask = ask.prompts(Arc::clone(prompts)).sampling(sampling.clone());
        let ask = ask.parse_retries(*parse_retries).seed(*seed);
        let reply = ask.ask(messages, Some(vote), read, "reward_retry").await;
        let reply = reply.map_err(engine_error)?;
        let unreadable = reply.unreadable as usize;
        let replies = unreadable + usize::from(reply.value.is_ok());
        self.monitor.observe_replies(&self.name, replies, unreadable);
        Ok(reply.value)
    }

    fn unreadable(&self, problem: &str, answer: &str) -> EngineError {
        let message = format!(
            "a vote of {} could not be read in {} request(s): {problem}, for the answer {:?}; let the judge say \
             more (max-tokens), ask it again more often (parse-retries), take a model that does what it is asked, or \
             let such votes count as {} (unreadable)",
            self.name,
            1 + self.settings.parse_retries,
            truncate(answer, 80),
            match self.settings.form {
                Form::Grades { .. } => "the worst grade",
                Form::Pairs => "ties",
            }
        );
        EngineError::new(ErrorKind::BadResponse, message).with_retryable(false)
    }
}

fn tags() -> Result<Tags, Error> {
    Tags::new(START, END).map_err(|error| Error::op(error.to_string()))
}

/// The engine's own error, or a final one.
fn engine_error(error: Error) -> EngineError {
    match error.engine() {
        Some(engine) => engine.clone(),
        None => EngineError::new(ErrorKind::Other, "the judge could not be asked")
            .with_source(error)
            .with_retryable(false),
    }
}

#[async_trait]
impl RewardModel for JudgeReward {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> Cow<'_, str> {
        let settings = self.settings.identity();
        let short: String = digest([settings.as_str()]).chars().take(12).collect();
        format!("{} with settings {short}", self.name).into()
    }

    /// One for grades, so that the failure of one answer does not lose the others; as many as there are for
    /// comparisons.
    fn batch(&self) -> usize {
        match self.settings.form {
            Form::Grades { .. } => 1,
            Form::Pairs => usize::MAX,
        }
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scores = match self.settings.form {
            Form::Grades { lowest, highest, expected } => {
                self.grade_all(query, answers, &Scale { lowest, highest, expected }).await?
            }
            Form::Pairs => self.compare_all(query, answers).await?,
        };
        self.monitor.observe(&self.name, query, answers, &scores);
        Ok(scores)
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }

    fn is_relative(&self) -> bool {
        matches!(self.settings.form, Form::Pairs)
    }

    fn bind(&self, scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        let engine = scope.engine(&self.engine);
        let settings = Arc::clone(&self.settings);
        Some(Arc::new(Self::watched(settings, engine, self.monitor.clone())))
    }
}

impl fmt::Debug for JudgeReward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JudgeReward").field("name", &self.name).finish_non_exhaustive()
    }
}
