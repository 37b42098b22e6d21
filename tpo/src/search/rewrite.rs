//! The method of test-time preference optimization: select pairs, criticize, update.

use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use futures_util::future::join_all;
use textgrad_core::{Inputs, Output, Seed, Variable, apply, op_fn};

use super::critique::{Critique, Descent, PreferenceCritique, Update};
use super::method::{Iteration, IterationCx, Method, Step};
use super::pairs::{Comparison, PairCx, PairSelection, Pairs};
use crate::config::TpoConfig;
use crate::error::Error;
use crate::prompts::AnswerContext;

/// The method that rewrites chosen answers: a selection of pairs, a critique of each comparison, and an update.
///
/// The new versions of an iteration are shared out among the comparisons; each gets one at least.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use tpo::Pairs;
/// use tpo::search::{Method, Rewrite};
///
/// let method = Rewrite::default().pairs(Arc::new(Pairs::Median));
/// assert_eq!(method.name(), "rewrite: median, preference, descent");
/// ```
#[derive(Debug, Clone, Setters)]
#[must_use]
pub struct Rewrite {
    /// Which answers are compared. Default: the best with the worst.
    pub(super) pairs: Arc<dyn PairSelection>,
    /// What is said about the chosen answer. Default: why it is preferred.
    critique: Arc<dyn Critique>,
    /// How new versions are made. Default: textual gradient descent.
    update: Arc<dyn Update>,
}

impl Default for Rewrite {
    fn default() -> Self {
        Self {
            pairs: Arc::new(Pairs::BestWorst),
            critique: Arc::new(PreferenceCritique),
            update: Arc::new(Descent),
        }
    }
}

#[async_trait]
impl Method for Rewrite {
    fn name(&self) -> String {
        let Self { pairs, critique, update, .. } = self;
        format!("rewrite: {}, {}, {}", pairs.name(), critique.name(), update.name())
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let comparisons = self.selected(&cx.pairs())?;
        let groups = u32::try_from(comparisons.len()).unwrap_or(u32::MAX);
        let samples = cx.config().samples;
        let improving = (0..).zip(comparisons).map(|(index, comparison)| {
            // New versions are shared out, the first comparisons getting what is left over.
            let share = samples / groups + u32::from(index < samples % groups);
            // The only comparison, or the first, has the seeds of the iteration itself.
            let seed = match index {
                0 => cx.seed(),
                later => cx.seed().child("comparison", u64::from(later)),
            };
            self.improve(*cx, index as usize, comparison, share.max(1), seed)
        });
        let mut outcome = Ok(());
        for (step, answers, end) in join_all(improving).await {
            made.ends.extend(step.losses.iter().cloned());
            made.ends.extend(step.feedback.iter().map(|feedback| feedback.variable().clone()));
            made.steps.push(step);
            made.answers.extend(answers);
            outcome = outcome.and(end);
        }
        outcome
    }

    fn comparisons(&self, cx: &PairCx<'_>) -> Result<Option<Vec<Comparison>>, Error> {
        self.selected(cx).map(Some)
    }

    fn requests(&self, config: &TpoConfig) -> u64 {
        let (comparisons, rejected) = self.pairs.size(config.samples);
        self.critique.requests(config).saturating_mul(rejected).saturating_add(comparisons)
    }

    fn can_continue(&self) -> bool {
        self.critique.can_continue()
    }

    fn needs_donor(&self) -> bool {
        self.critique.needs_donor()
    }
}

impl Rewrite {
    /// The comparisons of an iteration, checked. None ends the search.
    fn selected(&self, cx: &PairCx<'_>) -> Result<Vec<Comparison>, Error> {
        let selected = self.pairs.select(cx);
        for (index, comparison) in selected.iter().enumerate() {
            comparison.check(cx.pool()).map_err(|(expected, got)| Error::Part {
                part: "pair selection",
                name: self.pairs.name(),
                iteration: cx.iteration(),
                expected: format!("{expected} in comparison {index}"),
                got,
            })?;
        }
        Ok(selected)
    }

    /// New versions of the chosen answer of a comparison, `samples` at most. What came before a failure is kept.
    async fn improve(
        &self,
        cx: IterationCx<'_>,
        index: usize,
        comparison: Comparison,
        samples: u32,
        seed: Seed,
    ) -> (Step, Vec<Variable>, Result<(), Error>) {
        let mut step = Step::of(cx.iteration(), comparison.clone(), 0);
        let (mut answers, mut outcome) = (Vec::new(), Ok(()));
        match self.rewrite(cx, index, &comparison, samples, seed, &mut step).await {
            Ok(made) => answers = made,
            Err(error) => outcome = Err(error),
        }
        step.record.updates = answers.len();
        (step, answers, outcome)
    }

    async fn rewrite(
        &self,
        search: IterationCx<'_>,
        index: usize,
        comparison: &Comparison,
        samples: u32,
        seed: Seed,
        step: &mut Step,
    ) -> Result<Vec<Variable>, Error> {
        let cx = search.compare(index, comparison, seed).await?;
        let feedback = self.critique.critique(&cx, step).await?;
        if feedback.is_empty() || search.ends_with_critique() {
            return Ok(Vec::new());
        }
        let answers = self.update.update(&cx, &feedback, samples, step).await?;
        match answers.iter().position(|answer| answer.text().is_none()) {
            Some(position) => Err(Error::Part {
                part: "update",
                name: self.update.name(),
                iteration: search.iteration(),
                expected: "texts as new versions".to_owned(),
                got: format!("no text as number {position}"),
            }),
            None => Ok(answers),
        }
    }
}

impl<'a> IterationCx<'a> {
    /// The input of critiques and updates: the answer that is rewritten and those that it is compared with, truncated
    /// for prompts. The template `answer_role` says what the first is.
    ///
    /// Here the differentiable part of an iteration begins: the chosen answer requires a gradient, and nothing before
    /// it is differentiated again.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] if the chosen answer does not exist, [`Error::Prompt`] if the template cannot be rendered,
    /// and failures of the truncation.
    pub async fn compare(
        &self,
        index: usize,
        comparison: &'a Comparison,
        seed: Seed,
    ) -> Result<ComparisonCx<'a>, Error> {
        let answer = |position: usize| self.pool().get(position).map(|c| c.answer.clone());
        let chosen = answer(comparison.chosen).ok_or(Error::NoAnswer)?;
        let rejected = comparison.rejected.iter().filter_map(|position| answer(*position));
        let inputs = [("best", chosen)].into_iter().chain(rejected.map(|answer| ("worst", answer)));
        let context =
            AnswerContext { query: self.query().text(), compared: !comparison.rejected.is_empty() };
        let role = self.prompts().render("answer_role", &context)?.trim().to_owned();
        let truncator = self.truncator().clone();
        let choose = op_fn("choose", move |inputs: Inputs| {
            let (truncator, role) = (truncator.clone(), role.clone());
            async move {
                let answers = inputs.iter().map(|input| input.variable().value().clone());
                let mut truncated = truncator.all(answers.collect()).await?.into_iter();
                let chosen = truncated.next();
                let chosen = chosen.map(|text| Output::new(text, role).with_requires_grad(true));
                let rejected = truncated.map(|text| {
                    let role = "a rejected response to a user query";
                    Output::new(text, role).with_requires_grad(false)
                });
                Ok(chosen.into_iter().chain(rejected).collect())
            }
        });
        let outputs = apply(Arc::new(choose), inputs.collect::<Vec<_>>()).await?;
        let mut outputs = outputs.into_iter();
        let chosen = outputs.next().ok_or(Error::NoAnswer)?;
        Ok(ComparisonCx {
            search: *self,
            index,
            comparison,
            chosen,
            rejected: outputs.collect(),
            seed,
        })
    }
}

/// The input of a [`Critique`] and of an [`Update`]: one comparison in a search.
#[derive(Debug, Clone)]
pub struct ComparisonCx<'a> {
    search: IterationCx<'a>,
    index: usize,
    comparison: &'a Comparison,
    chosen: Variable,
    rejected: Vec<Variable>,
    seed: Seed,
}

impl<'a> ComparisonCx<'a> {
    /// The search so far, and its engines.
    #[must_use]
    pub fn search(&self) -> IterationCx<'a> {
        self.search
    }

    /// The position of the comparison among those of the iteration.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// What is compared, as positions in the pool.
    #[must_use]
    pub fn comparison(&self) -> &'a Comparison {
        self.comparison
    }

    /// The answer that is rewritten, as prompts have it. It requires a gradient.
    #[must_use]
    pub fn chosen(&self) -> &Variable {
        &self.chosen
    }

    /// The answers that were rejected in favour of it, in the order of the comparison.
    #[must_use]
    pub fn rejected(&self) -> &[Variable] {
        &self.rejected
    }

    /// The seed of this comparison.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }
}
