//! Configuration of a judge.

use std::fmt;
use std::sync::Arc;

use textgrad_core::{Engine, PromptPack, Sampling, Seed};
use textgrad_ops::score::{TaggedRequest, Unreadable};

use super::JudgeReward;
use crate::error::Error;
use crate::prompts::default_pack;

/// How many tokens are asked for in the place of a grade: as many as most servers tell, and more than there
/// are digits.
const TOP_LOGPROBS: u32 = 20;

/// The form of the verdicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    Grades { lowest: f64, highest: f64, expected: bool },
    Pairs,
}

pub(super) struct Settings {
    pub(super) form: Form,
    pub(super) rubric: Option<String>,
    pub(super) votes: u32,
    pub(super) parse_retries: u32,
    pub(super) unreadable: Unreadable,
    pub(super) sampling: Sampling,
    pub(super) seed: Seed,
    pub(super) prompts: Arc<PromptPack>,
}

impl Settings {
    /// All of it that can change a score, as text.
    pub(super) fn identity(&self) -> String {
        let Self { form, rubric, votes, parse_retries, unreadable, sampling, seed, prompts } = self;
        let wording = prompts.sources().filter(|(name, _)| name.starts_with("reward_"));
        let wording: Vec<(&str, &str)> = wording.collect();
        format!(
            "{form:?} {rubric:?} {votes} {parse_retries} {unreadable:?} {sampling:?} {seed:?} {wording:?}"
        )
    }
}

/// Settings of a [`JudgeReward`].
#[must_use = "a builder does nothing until it builds"]
pub struct JudgeRewardBuilder {
    engine: Arc<dyn Engine>,
    form: Form,
    expected: bool,
    rubric: Option<String>,
    votes: u32,
    parse_retries: u32,
    unreadable: Unreadable,
    sampling: Sampling,
    seed: Seed,
    prompts: Option<Arc<PromptPack>>,
}

impl JudgeRewardBuilder {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            form: Form::Grades { lowest: 1.0, highest: 10.0, expected: false },
            expected: false,
            rubric: None,
            votes: 1,
            parse_retries: TaggedRequest::DEFAULT_PARSE_RETRIES,
            unreadable: Unreadable::default(),
            sampling: Sampling::default(),
            seed: Seed::new(0),
            prompts: None,
        }
    }

    /// Asks for grades from `lowest` to `highest`. Default: 1 to 10.
    pub fn grades(mut self, lowest: f64, highest: f64) -> Self {
        self.form = Form::Grades { lowest, highest, expected: false };
        self
    }

    /// Scores by the grade that is expected, in place of the grade that was written: the mean of all grades of
    /// one digit weighted by how likely each was in the place of the one that was written, as their logprobs
    /// tell (Liu et al., "G-Eval", EMNLP 2023). It tells apart what one grade would not, from one vote. The
    /// grades must be digits. Default: 1 to 9. The engine must return
    /// [`top_logprobs`](Sampling::top_logprobs).
    pub fn expected(mut self) -> Self {
        self.expected = true;
        self
    }

    /// Asks for comparisons of two answers, in place of grades.
    pub fn pairwise(mut self) -> Self {
        self.form = Form::Pairs;
        self
    }

    /// The rubric in words. Default: the general one of the templates.
    pub fn rubric(mut self, rubric: impl Into<String>) -> Self {
        self.rubric = Some(rubric.into());
        self
    }

    /// How many votes an answer gets, or two answers in each of their orders; at least 1, which is the
    /// default. More than one needs a temperature above 0.
    pub fn votes(mut self, votes: u32) -> Self {
        self.votes = votes;
        self
    }

    /// How often a vote that cannot be read is asked for again; [`TaggedRequest::DEFAULT_PARSE_RETRIES`] unless said
    /// otherwise.
    pub fn parse_retries(mut self, parse_retries: u32) -> Self {
        self.parse_retries = parse_retries;
        self
    }

    /// Policy for a vote that cannot be parsed after all retries. [`Worst`](Unreadable::Worst) is the worst grade,
    /// in a comparison a tie; [`Skip`](Unreadable::Skip) leaves it out: an answer none of whose grades counts cannot
    /// be scored, two answers none of whose votes counts are not compared.
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.unreadable = unreadable;
        self
    }

    /// Sampling parameters of votes; `n` and `seed` are ignored.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling.with_n(1);
        self
    }

    /// The seed that, with the request, the seeds of votes are derived from. Default: 0.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// The wording; it needs the [templates](crate::prompts::templates) of this crate.
    pub fn prompts(mut self, prompts: Arc<PromptPack>) -> Self {
        self.prompts = Some(prompts);
        self
    }

    fn form(&self) -> Result<Form, Error> {
        let wrong = |expected, got| Error::Config { setting: "grades", expected, got };
        match self.form {
            form if !self.expected => Ok(form),
            Form::Pairs => {
                let expected = "grades where the expected one is asked for";
                Err(wrong(expected, "comparisons".to_owned()))
            }
            // The default.
            Form::Grades { lowest: 1.0, highest: 10.0, .. } => {
                Ok(Form::Grades { lowest: 1.0, highest: 9.0, expected: true })
            }
            Form::Grades { lowest, highest, .. } => {
                let is_digit = |grade: f64| (0.0..=9.0).contains(&grade) && grade.fract() == 0.0;
                if is_digit(lowest) && is_digit(highest) {
                    return Ok(Form::Grades { lowest, highest, expected: true });
                }
                let expected = "digits, from 0 to 9, where the expected grade is asked for";
                Err(wrong(expected, format!("{lowest} to {highest}")))
            }
        }
    }

    /// The judge.
    ///
    /// # Errors
    /// [`Error::Config`] without votes, for grades that are not finite or not in order, and for the
    /// [`expected`](Self::expected) one of grades that are not digits.
    pub fn build(self) -> Result<JudgeReward, Error> {
        if self.votes == 0 {
            let got = self.votes.to_string();
            return Err(Error::Config { setting: "votes", expected: "at least 1", got });
        }
        let form = self.form()?;
        if let Form::Grades { lowest, highest, .. } = form
            && !(lowest.is_finite() && highest.is_finite() && lowest < highest)
        {
            let expected = "a lowest grade below the highest, both finite";
            let got = format!("{lowest} to {highest}");
            return Err(Error::Config { setting: "grades", expected, got });
        }
        let prompts = match self.prompts {
            Some(prompts) => prompts,
            None => Arc::new(default_pack()?),
        };
        let settings = Settings {
            form,
            rubric: self.rubric,
            votes: self.votes,
            parse_retries: self.parse_retries,
            unreadable: self.unreadable,
            sampling: match form {
                Form::Grades { expected: true, .. } => {
                    self.sampling.with_top_logprobs(TOP_LOGPROBS)
                }
                _ => self.sampling,
            },
            seed: self.seed,
            prompts,
        };
        Ok(JudgeReward::new(Arc::new(settings), self.engine))
    }
}

impl fmt::Debug for JudgeRewardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JudgeRewardBuilder")
            .field("engine", &self.engine.name())
            .field("form", &self.form)
            .field("votes", &self.votes)
            .field("parse_retries", &self.parse_retries)
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}
