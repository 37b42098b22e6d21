//! Language models as reward models.

mod grades;
mod pairs;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use futures_util::future::join_all;
use parking_lot::Mutex;
use textgrad_core::{
    Choice, Engine, EngineError, Error as CoreError, ErrorKind, Message, PromptPack, Sampling,
    Seed, TemplateContext, truncate,
};
use textgrad_ops::Tags;
use textgrad_ops::score::{TaggedRequest, Unreadable};

use self::grades::Grades;
use self::pairs::AnswerKey;
pub use self::pairs::Verdict;
use super::monitor::{ExpectedScores, ScoreMonitor};
use super::{EngineScope, RewardInfo, RewardModel, engine_error};
use crate::error::Error;
use crate::journal::digest;
use crate::prompts::default_pack;
use crate::query::Query;

const START: &str = "<VERDICT>";
const END: &str = "</VERDICT>";

/// The number of alternatives that are requested for each token: as many as most servers report, and more than there
/// are digits.
const TOP_LOGPROBS: u32 = 20;

/// Advice for grades that do not distinguish answers.
const GRADES_ADVICE: &str = "a rubric that says what each grade is given for, a wider scale, expected grades \
    or comparisons may tell more";
/// Advice for comparisons that do not.
const PAIRS_ADVICE: &str =
    "the judge seems to see nothing but ties, or to prefer a position whatever stands there";

/// A language model that judges answers, by grades or by comparing them.
///
/// **Grades** (the default): each answer is graded by itself, `votes` times with different seeds; its score is
/// the mean of the grades. With [`expected`](JudgeRewardBuilder::expected) a grade is the mean over what the
/// model could have written, weighted by its probabilities.
///
/// **Comparisons** ([`pairwise`](JudgeRewardBuilder::pairwise)): every two answers are compared, in both
/// orders, since judges favor a position, `votes` times each; the scores are the strengths of the answers in the
/// model of Bradley and Terry (Biometrika 39, 1952), in which an answer of strength `a` beats one of strength
/// `b` with probability `1 / (1 + exp(b - a))`. Beside that, each answer counts as having drawn once with an
/// answer of strength 0: so strengths are finite whoever wins, and an answer that was compared with none has
/// strength 0. They depend on the answers that are there: a search scores its whole pool anew when answers are
/// added, and compares no two answers twice. [`sparse_pairs`](JudgeRewardBuilder::sparse_pairs) compares fewer.
///
/// Votes are read from between `<VERDICT>` and `</VERDICT>`, or from a reply that is the vote alone. One that cannot
/// be read, is ambiguous or stands in a reply that did not end is asked for again with what was wrong;
/// [`Unreadable`](textgrad_ops::score::Unreadable) is the
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
    info: RewardInfo,
    settings: JudgeRewardBuilder,
    prompts: Arc<PromptPack>,
    compared: Mutex<Compared>,
    monitor: ScoreMonitor,
}

/// The share of the votes that the first of two answers got; none if no vote counts.
type Compared = HashMap<(AnswerKey, AnswerKey), Option<f64>>;

/// Settings of a [`JudgeReward`].
#[derive(Debug, Clone, Setters)]
#[setters(generate = false)]
#[must_use = "a builder does nothing until it builds"]
pub struct JudgeRewardBuilder {
    engine: Arc<dyn Engine>,
    /// None for comparisons.
    grades: Option<Grades>,
    /// Whether the expected grade is the score.
    expected: bool,
    /// Whether comparisons are of some pairs only.
    sparse_pairs: bool,
    /// The rubric in words. Default: the general one of the templates.
    #[setters(generate, into, strip_option)]
    rubric: Option<String>,
    /// How many votes an answer gets, or two answers in each of their orders; at least 1, which is the
    /// default. More than one needs a temperature above 0.
    #[setters(generate)]
    votes: u32,
    /// How often a vote that cannot be read is asked for again. Default:
    /// [`TaggedRequest::DEFAULT_PARSE_RETRIES`].
    #[setters(generate)]
    parse_retries: u32,
    /// Policy for a vote that cannot be parsed after all retries. [`Worst`](Unreadable::Worst) is the worst grade,
    /// in a comparison a tie; [`Skip`](Unreadable::Skip) leaves it out: an answer none of whose grades counts cannot
    /// be scored, two answers none of whose votes counts are not compared.
    #[setters(generate)]
    unreadable: Unreadable,
    /// Sampling parameters of votes; `n` and `seed` are ignored.
    #[setters(generate)]
    sampling: Sampling,
    /// The seed that, with the request, the seeds of votes are derived from. Default: 0.
    #[setters(generate)]
    seed: Seed,
    /// The wording; it needs the [templates](crate::prompts::templates) of this crate.
    #[setters(generate, strip_option)]
    prompts: Option<Arc<PromptPack>>,
}

impl JudgeRewardBuilder {
    /// Asks for grades from `lowest` to `highest`. Default: 1 to 10.
    pub fn grades(self, lowest: f64, highest: f64) -> Self {
        Self { grades: Some(Grades { lowest, highest, expected: false }), ..self }
    }

    /// Scores by the grade that is expected, in place of the grade that was written: the mean of all grades of
    /// one digit weighted by how likely each was in the position of the one that was written, by their
    /// logprobs (Liu et al., "G-Eval", EMNLP 2023). It tells apart what one grade would not, from one vote. The
    /// grades must be digits. Default: 1 to 9. The engine must return
    /// [`top_logprobs`](Sampling::top_logprobs).
    pub fn expected(self) -> Self {
        Self { expected: true, ..self }
    }

    /// Asks for comparisons of two answers, in place of grades.
    pub fn pairwise(self) -> Self {
        Self { grades: None, ..self }
    }

    /// Asks for comparisons of each answer with those 1, 2, 4, 8, ... places after it, in place of all: of N answers,
    /// fewer than N log2 N pairs in place of N (N - 1) / 2. Any two answers are then connected by a few comparisons,
    /// and answers that are added change nothing about the pairs before. Strengths are less certain.
    pub fn sparse_pairs(self) -> Self {
        Self { sparse_pairs: true, ..self.pairwise() }
    }

    /// The judge.
    ///
    /// # Errors
    /// [`Error::Config`] without votes, for grades that are not finite or not in order, and for the
    /// [`expected`](Self::expected) one of grades that are not digits.
    pub fn build(mut self) -> Result<JudgeReward, Error> {
        if self.votes == 0 {
            return Err(Error::config("votes", "at least 1", "0"));
        }
        if self.expected {
            self.grades = Some(Grades::digits(self.grades)?);
            self.sampling.top_logprobs = Some(TOP_LOGPROBS);
        }
        self.sampling.n = 1;
        let (kind, batch, expected_scores, advice) = match self.grades {
            Some(grades) => {
                grades.validate()?;
                let scale = ExpectedScores::Scale(grades.lowest, grades.highest);
                // The failure of one answer does not lose the others.
                ("judge", 1, scale, GRADES_ADVICE)
            }
            None => ("pairwise-judge", usize::MAX, ExpectedScores::Any, PAIRS_ADVICE),
        };
        let prompts = self.prompts.take().unwrap_or_else(|| Arc::new(default_pack()));
        let name = format!("{kind}:{}", self.engine.name());
        let settings = digest([self.identity(&prompts).as_str()]);
        let settings: String = settings.chars().take(12).collect();
        let info = RewardInfo::new(name.clone())
            .with_identity(format!("{name} with settings {settings}"))
            .with_batch(batch)
            .with_simulation(self.engine.is_simulation())
            .with_relative(self.grades.is_none());
        let monitor = ScoreMonitor::new(expected_scores, advice);
        Ok(JudgeReward { info, settings: self, prompts, compared: Mutex::default(), monitor })
    }

    /// All of it that can change a score, as text.
    fn identity(&self, prompts: &PromptPack) -> String {
        let Self { rubric, votes, parse_retries, unreadable, sampling, seed, .. } = self;
        let pairs = if self.sparse_pairs { "SparsePairs" } else { "Pairs" };
        let form = self.grades.map_or_else(|| pairs.to_owned(), |grades| format!("{grades:?}"));
        let wording = prompts.sources().filter(|(name, _)| name.starts_with("reward_"));
        let wording: Vec<(&str, &str)> = wording.collect();
        format!(
            "{form} {rubric:?} {votes} {parse_retries} {unreadable:?} {sampling:?} {seed:?} {wording:?}"
        )
    }
}

impl JudgeReward {
    /// A judge by this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> JudgeRewardBuilder {
        JudgeRewardBuilder {
            engine,
            grades: Some(Grades::DEFAULT),
            expected: false,
            sparse_pairs: false,
            rubric: None,
            votes: 1,
            parse_retries: TaggedRequest::DEFAULT_PARSE_RETRIES,
            unreadable: Unreadable::default(),
            sampling: Sampling::default(),
            seed: Seed::new(0),
            prompts: None,
        }
    }

    /// One vote, or why it could not be read. Its seeds come from what is asked and from its number.
    async fn vote<C: TemplateContext + Sync, T: PartialEq>(
        &self,
        [system, user]: [&str; 2],
        context: &C,
        vote: u32,
        read: impl Fn(&str, &Choice) -> Result<T, String>,
    ) -> Result<Result<T, String>, EngineError> {
        let JudgeRewardBuilder { engine, sampling, parse_retries, seed, .. } = &self.settings;
        let render = |name: &str| {
            self.prompts.render(name, context).map_err(|error| engine_error(error.into()))
        };
        let messages = vec![Message::system(render(system)?), Message::user(render(user)?)];
        let ask = TaggedRequest::new(Arc::clone(engine), tags().map_err(engine_error)?);
        let ask = ask.prompts(Arc::clone(&self.prompts)).sampling(sampling.clone());
        let ask = ask.parse_retries(*parse_retries).seed(*seed).bare_values(true);
        let reply = ask.ask(messages, Some(vote), read, "reward_retry").await;
        let reply = reply.map_err(engine_error)?;
        let unreadable = reply.unreadable as usize;
        let replies = unreadable + usize::from(reply.value.is_ok());
        self.monitor.observe_replies(self.name(), replies, unreadable);
        Ok(reply.value)
    }

    fn unreadable(&self, problem: &str, answer: &str) -> EngineError {
        let message = format!(
            "a vote of {} could not be read after {}: {problem}, for the answer {:?}; set max-tokens or \
             parse-retries of the judge higher, as in --reward judge:max-tokens=2048,parse-retries=4, take another \
             model, or count such votes as {} (unreadable=worst)",
            self.name(),
            match self.settings.parse_retries {
                0 => "1 request".to_owned(),
                retries => format!("{} requests", 1 + u64::from(retries)),
            },
            truncate(answer, 80),
            match self.settings.grades {
                Some(_) => "the worst grade",
                None => "ties",
            }
        );
        EngineError::new(ErrorKind::BadResponse, message).with_retryable(false)
    }
}

fn tags() -> Result<Tags, CoreError> {
    Tags::new(START, END).map_err(|error| CoreError::op(error.to_string()))
}

#[async_trait]
impl RewardModel for JudgeReward {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scores = match &self.settings.grades {
            Some(grades) => {
                let graded = answers.iter().map(|answer| self.grade(query, answer, grades));
                join_all(graded).await.into_iter().collect::<Result<Vec<f64>, EngineError>>()?
            }
            None => self.compare_all(query, answers).await?,
        };
        self.monitor.observe(self.name(), query, answers, &scores);
        Ok(scores)
    }

    fn bind(&self, scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        let engine = scope.engine(&self.settings.engine);
        Some(Arc::new(Self {
            info: self.info.clone(),
            settings: JudgeRewardBuilder { engine, ..self.settings.clone() },
            prompts: Arc::clone(&self.prompts),
            compared: Mutex::default(),
            monitor: self.monitor.clone(),
        }))
    }
}

textgrad_core::debug_by!(JudgeReward { settings });
