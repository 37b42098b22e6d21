//! Critiques of the chosen answer of a comparison, and updates: new versions of it by that feedback.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use textgrad_core::{Backward, Feedback, Layout, Message, Variable};
use textgrad_ops::{
    ContrastiveLoss, ListwiseLoss, TextualGradientDescent, sum, weighted_sum_worded,
};

use super::method::Step;
use super::rewrite::ComparisonCx;
use crate::config::TpoConfig;
use crate::error::Error;
use crate::prompts::{AnswerContext, DirectContext};

/// Says what is to be changed in the chosen answer of a comparison.
///
/// # Examples
/// A critique by an objective of one's own:
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use textgrad_core::Feedback;
/// use textgrad_ops::TextLoss;
/// use textgrad_ops::sim::Sim;
/// use tpo::search::{ComparisonCx, Critique, Rewrite, Step};
/// use tpo::{Error, SimReward, Tpo};
///
/// struct Brevity;
///
/// #[async_trait]
/// impl Critique for Brevity {
///     fn name(&self) -> String {
///         "brevity".to_owned()
///     }
///
///     async fn critique(&self, cx: &ComparisonCx<'_>, step: &mut Step) -> Result<Vec<Feedback>, Error> {
///         let loss = TextLoss::new(Arc::clone(cx.search().critic()), "Which sentences could be left out?");
///         let loss = loss.seed(cx.seed().child("loss", 0)).evaluate(cx.chosen()).await?;
///         cx.differentiate([loss], step).await
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let method = Rewrite::default().critique(Arc::new(Brevity));
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).method(Arc::new(method)).build()?;
/// let aligned = tpo.align("Why is the sky blue?").await?;
/// assert_eq!(aligned.trajectory().iterations[0].losses.len(), 1);
/// # Ok::<(), tpo::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Critique: Send + Sync {
    /// A short name, for reports.
    fn name(&self) -> String;

    /// Feedback on the chosen answer; none leaves it as it is. Losses and the gradient belong in the record of
    /// the step, which is kept if the critique fails.
    ///
    /// # Errors
    /// Any failure ends the search with what was found.
    async fn critique(
        &self,
        cx: &ComparisonCx<'_>,
        step: &mut Step,
    ) -> Result<Vec<Feedback>, Error>;

    /// How many requests it takes for one rejected answer. Default: 2, a loss and a gradient.
    fn requests(&self, config: &TpoConfig) -> u64 {
        let _ = config;
        2
    }

    /// Whether it can continue the policy's conversation. Default: no.
    fn can_continue(&self) -> bool {
        false
    }

    /// Whether it needs the critique of another query. Default: no.
    fn needs_donor(&self) -> bool {
        false
    }
}

textgrad_core::debug_by!(dyn Critique, name);

impl ComparisonCx<'_> {
    /// The conversation that says something about the chosen answer, in layouts that continue one: that of the policy
    /// up to its answer; in [`Layout::Chained`] that of the update which wrote the answer, with it, unless prompts
    /// have the answer truncated.
    #[must_use]
    pub fn dialogue(&self) -> Option<Vec<Message>> {
        let search = self.search();
        let layout = search.config().layout;
        let written = || {
            let answer = &search.pool().get(self.comparison().chosen)?.answer;
            let source = answer.source().filter(|_| answer.value() == self.chosen().value())?;
            source.call().op().dialogue(source.output())
        };
        let chained = (layout == Layout::Chained).then(written).flatten();
        chained.or_else(|| layout.is_continued().then(|| search.dialogue().collect()))
    }

    /// The backward pass from losses to the chosen answer, which are recorded in the step. Losses weigh what the
    /// [comparison](super::Comparison::weights) says, or all the same.
    ///
    /// # Errors
    /// Those of the pass.
    pub async fn differentiate(
        &self,
        losses: impl IntoIterator<Item = Variable>,
        step: &mut Step,
    ) -> Result<Vec<Feedback>, Error> {
        step.add_losses(losses);
        let weights = &self.comparison().weights;
        let objective = match step.losses.as_slice() {
            [only] => only.clone(),
            several if weights.len() == several.len() => {
                let parts = weights.iter().copied().zip(several);
                weighted_sum_worded(parts, Arc::clone(self.search().prompts())).await?
            }
            several => sum(several).await?,
        };
        let prompts = self.search().prompts();
        // The chosen answer is the only text of a search that requires a gradient, unless the wording does.
        let has_wording = prompts.sources().any(|(name, _)| prompts.variable(name).is_some());
        let pass = match has_wording {
            true => Backward::new(&objective).wrt([self.chosen()]),
            false => Backward::new(&objective),
        };
        let pass =
            pass.layout(self.search().config().layout).seed(self.seed().child("gradient", 0));
        let gradients = pass.run().await.map_err(|failure| failure.error)?;
        let feedback: Vec<Feedback> = gradients.feedback(self.chosen()).cloned().collect();
        if !feedback.is_empty() {
            step.record.gradient = Some(gradients.text(self.chosen()));
        }
        step.feedback.clone_from(&feedback);
        Ok(feedback)
    }
}

/// Why the chosen answer is preferred to each rejected one; without a rejected one, what is good and bad about it.
/// The paper's losses.
#[derive(Debug, Clone, Copy, Default)]
pub struct PreferenceCritique;

#[async_trait]
impl Critique for PreferenceCritique {
    fn name(&self) -> String {
        "preference".to_owned()
    }

    async fn critique(
        &self,
        cx: &ComparisonCx<'_>,
        step: &mut Step,
    ) -> Result<Vec<Feedback>, Error> {
        let search = cx.search();
        let critic = &search.config().critic;
        let loss = |index: u64| {
            let loss = ContrastiveLoss::new(Arc::clone(search.critic()), search.query_variable());
            let loss = match cx.dialogue() {
                None => loss,
                Some(dialogue) => loss.continuing(dialogue),
            };
            loss.prompts(Arc::clone(search.prompts()))
                .sampling(critic.clone())
                .feedback_sampling(critic.clone())
                .seed(cx.seed().child("loss", index))
        };
        let losses: Vec<ContrastiveLoss> = match cx.rejected() {
            [] => vec![loss(0)],
            rejected => (0..).zip(rejected).map(|(i, one)| loss(i).against(one)).collect(),
        };
        // All end before the first failure is returned, so that none that was delivered is lost.
        let mut delivered = Vec::new();
        let mut outcome = Ok(());
        for loss in join_all(losses.iter().map(|loss| loss.evaluate(cx.chosen()))).await {
            match loss {
                Ok(loss) => delivered.push(loss),
                Err(error) => outcome = outcome.and(Err(error.into())),
            }
        }
        match outcome {
            Ok(()) => cx.differentiate(delivered, step).await,
            Err(error) => {
                step.add_losses(delivered);
                Err(error)
            }
        }
    }

    fn can_continue(&self) -> bool {
        true
    }
}

/// What makes better answers better, over a ranking of the chosen and the rejected answers with their scores.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListwiseCritique;

#[async_trait]
impl Critique for ListwiseCritique {
    fn name(&self) -> String {
        "listwise".to_owned()
    }

    async fn critique(
        &self,
        cx: &ComparisonCx<'_>,
        step: &mut Step,
    ) -> Result<Vec<Feedback>, Error> {
        let search = cx.search();
        let score = |position: usize| search.pool().get(position).map_or(f64::NAN, |c| c.score);
        let comparison = cx.comparison();
        let others = cx.rejected().iter().zip(&comparison.rejected);
        let ranked = [(cx.chosen(), score(comparison.chosen))].into_iter();
        let ranked = ranked.chain(others.map(|(answer, at)| (answer, score(*at))));
        let critic = &search.config().critic;
        let loss = ListwiseLoss::new(Arc::clone(search.critic()), search.query_variable(), ranked)?
            .prompts(Arc::clone(search.prompts()))
            .sampling(critic.clone())
            .feedback_sampling(critic.clone())
            .seed(cx.seed().child("loss", 0));
        let loss = loss.evaluate(cx.chosen()).await?;
        cx.differentiate([loss], step).await
    }
}

/// Feedback that a template words, without a request: no chain rule.
#[derive(Debug, Clone, Copy)]
pub struct TemplateCritique {
    name: &'static str,
    template: &'static str,
}

impl TemplateCritique {
    /// The comparison itself.
    pub const DIRECT: Self = Self { name: "direct", template: "direct_feedback" };
    /// Nothing but the wish for a better answer.
    pub const IMPROVE: Self = Self { name: "improve", template: "improve_feedback" };
}

#[async_trait]
impl Critique for TemplateCritique {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn critique(&self, cx: &ComparisonCx<'_>, _: &mut Step) -> Result<Vec<Feedback>, Error> {
        let context = DirectContext {
            query: cx.search().query_variable().text().unwrap_or_default(),
            chosen: cx.chosen().text().unwrap_or_default(),
            rejected: cx.rejected().iter().filter_map(Variable::text).collect(),
        };
        Ok(vec![Feedback::new(cx.search().prompts().render(self.template, &context)?)])
    }

    fn requests(&self, _: &TpoConfig) -> u64 {
        0
    }
}

/// Makes new versions of the chosen answer of a comparison.
#[async_trait]
pub trait Update: Send + Sync {
    /// A short name, for reports.
    fn name(&self) -> String;

    /// New versions, `samples` at most. None is not the end of a search: the pool is still there. Why replies could
    /// not be used belongs in the record of the step.
    ///
    /// # Errors
    /// Any failure ends the search with what was found.
    async fn update(
        &self,
        cx: &ComparisonCx<'_>,
        feedback: &[Feedback],
        samples: u32,
        step: &mut Step,
    ) -> Result<Vec<Variable>, Error>;
}

textgrad_core::debug_by!(dyn Update, name);

/// Textual gradient descent under the constraints of the template `update_constraints`, one in each line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Descent;

#[async_trait]
impl Update for Descent {
    fn name(&self) -> String {
        "descent".to_owned()
    }

    async fn update(
        &self,
        cx: &ComparisonCx<'_>,
        feedback: &[Feedback],
        samples: u32,
        step: &mut Step,
    ) -> Result<Vec<Variable>, Error> {
        let search = cx.search();
        let config = search.config();
        // Edits of a truncated text would not be edits of the answer.
        let whole = search.pool().get(cx.comparison().chosen).map(|chosen| chosen.text());
        let edits = if whole == cx.chosen().text() { config.edits } else { 0 };
        let mut optimizer = TextualGradientDescent::builder(Arc::clone(search.optimizer()))
            .prompts(Arc::clone(search.prompts()))
            .query(search.query().text())
            .sampling(config.sampling.clone())
            .candidates(samples)
            .edits(edits)
            .constrained_decoding(config.constrained_updates)
            .layout(config.layout)
            .parse_retries(config.parse_retries);
        let compared = !cx.comparison().rejected.is_empty();
        let context = AnswerContext { query: search.query().text(), compared };
        let constraints = search.prompts().render("update_constraints", &context)?;
        for constraint in constraints.lines().map(str::trim).filter(|line| !line.is_empty()) {
            optimizer = optimizer.constraint(constraint);
        }
        let optimizer = optimizer.build();
        let seed = cx.seed().child("update", 0);
        match optimizer.rewrite(cx.chosen(), feedback, Some(seed)).await {
            Ok(rewrite) => {
                let problems = rewrite.rejected.into_iter().map(|answer| answer.problem);
                step.record.unusable.extend(problems);
                Ok(rewrite.candidates)
            }
            Err(error @ textgrad_ops::Error::NoUpdate { .. }) => {
                step.record.unusable.push(error.to_string());
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }
}
