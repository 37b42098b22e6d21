//! One step: from a comparison to new versions of an answer, by loss, gradient and update.

use std::sync::Arc;

use futures_util::future::join_all;
use textgrad_core::{Backward, Feedback, Inputs, Layout, Output, Seed, Variable, apply, op_fn};
use textgrad_ops::{ContrastiveLoss, ListwiseLoss, TextualGradientDescent, sum};

use super::outcome::IterationRecord;
use super::pairs::Comparison;
use super::run::Search;
use super::shuffled::Critique;
use crate::config::Mode;
use crate::error::Error;
use crate::prompts::DirectContext;

/// The outcome of one comparison, complete or failed.
#[derive(Default)]
pub(super) struct StepOutcome {
    pub(super) record: IterationRecord,
    /// New versions of the chosen answer.
    pub(super) updates: Vec<Variable>,
    /// What else the graph of the search is to show.
    pub(super) ends: Vec<Variable>,
    /// Losses and feedback of the chosen answer.
    pub(super) critique: Critique,
}

impl StepOutcome {
    /// Records the losses.
    pub(super) fn add_losses(&mut self, losses: &[Variable]) {
        self.ends.extend(losses.iter().cloned());
        self.record.losses = texts(losses);
        self.critique.losses = losses.to_vec();
    }
}

fn texts(variables: &[Variable]) -> Vec<String> {
    variables.iter().filter_map(Variable::text).map(str::to_owned).collect()
}

impl Search<'_> {
    /// New versions of the chosen answer of a comparison, `samples` at most. What came before a failure is kept.
    pub(super) async fn improve(
        &self,
        iteration: u32,
        index: usize,
        comparison: Comparison,
        samples: u32,
        seed: Seed,
    ) -> (StepOutcome, Result<(), Error>) {
        let mut step = StepOutcome::default();
        step.record.iteration = iteration;
        step.record.chosen = comparison.chosen;
        step.record.rejected.clone_from(&comparison.rejected);
        let outcome = self.rewrite(index, &comparison, samples, seed, &mut step).await;
        (step, outcome)
    }

    async fn rewrite(
        &self,
        index: usize,
        comparison: &Comparison,
        samples: u32,
        seed: Seed,
        step: &mut StepOutcome,
    ) -> Result<(), Error> {
        let (chosen, rejected) = self.choose(comparison).await?;
        let feedback = match self.tpo.config.mode {
            Mode::Direct => self.direct(&chosen, &rejected)?,
            Mode::Shuffled => {
                let critique = self.borrowed.critique(step.record.iteration, index);
                step.record.losses = texts(&critique.losses);
                step.record.gradient = (!critique.feedback.is_empty()).then(|| {
                    let texts: Vec<&str> = critique.feedback.iter().map(Feedback::text).collect();
                    texts.join("\n")
                });
                step.record.critique_of = Some(self.borrowed.index);
                self.swapped(&chosen, &rejected, &critique).await?
            }
            Mode::Listwise => {
                let compared = (comparison.chosen, &comparison.rejected[..]);
                let losses = self.listwise_loss(&chosen, &rejected, compared, seed, step).await?;
                self.gradient(&chosen, &losses, seed, step).await?
            }
            _ => {
                let losses = self.losses(&chosen, &rejected, seed, step).await?;
                self.gradient(&chosen, &losses, seed, step).await?
            }
        };
        if feedback.is_empty() || self.is_critiqued(step.record.iteration) {
            return Ok(());
        }
        self.update(&chosen, &feedback, samples, seed, step).await
    }

    /// The answer that is rewritten and those that it is compared with, truncated for prompts. Here the
    /// differentiable part of an iteration begins: the chosen answer requires a gradient, and nothing before it is
    /// differentiated again.
    async fn choose(&self, comparison: &Comparison) -> Result<(Variable, Vec<Variable>), Error> {
        let answer = |position: usize| self.pool.get(position).map(|c| c.answer.clone());
        let chosen = answer(comparison.chosen).ok_or(Error::NoAnswer)?;
        let rejected = comparison.rejected.iter().filter_map(|position| answer(*position));
        let inputs = [("best", chosen)].into_iter().chain(rejected.map(|answer| ("worst", answer)));
        let role = self.tpo.config.mode.chosen_role();
        let truncator = self.tpo.truncator.clone();
        let choose = op_fn("choose", move |inputs: Inputs| {
            let truncator = truncator.clone();
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
        let mut outputs = apply(Arc::new(choose), inputs.collect::<Vec<_>>()).await?.into_iter();
        Ok((outputs.next().ok_or(Error::NoAnswer)?, outputs.collect()))
    }

    /// One loss for each rejected answer, or one without.
    async fn losses(
        &self,
        chosen: &Variable,
        rejected: &[Variable],
        seed: Seed,
        step: &mut StepOutcome,
    ) -> Result<Vec<Variable>, Error> {
        let critic = &self.tpo.config.critic;
        let loss = |index: u64| {
            let loss = ContrastiveLoss::new(Arc::clone(&self.critic), &self.query);
            let loss = match self.tpo.config.layout {
                Layout::Quoted => loss,
                Layout::Continued => loss.continuing(self.dialogue.iter().cloned()),
            };
            loss.prompts(Arc::clone(&self.tpo.prompts))
                .sampling(critic.clone())
                .feedback_sampling(critic.clone())
                .seed(seed.child("loss", index))
        };
        let losses: Vec<ContrastiveLoss> = match rejected {
            [] => vec![loss(0)],
            rejected => (0..).zip(rejected).map(|(i, one)| loss(i).against(one)).collect(),
        };
        // All end before the first failure is returned, so that none that was delivered is lost.
        let mut delivered = Vec::new();
        let mut outcome = Ok(());
        for loss in join_all(losses.iter().map(|loss| loss.evaluate(chosen))).await {
            match loss {
                Ok(loss) => delivered.push(loss),
                Err(error) => outcome = outcome.and(Err(error.into())),
            }
        }
        step.add_losses(&delivered);
        outcome.map(|()| delivered)
    }

    async fn gradient(
        &self,
        chosen: &Variable,
        losses: &[Variable],
        seed: Seed,
        step: &mut StepOutcome,
    ) -> Result<Vec<Feedback>, Error> {
        let objective = match losses {
            [only] => only.clone(),
            several => sum(several).await?,
        };
        let pass = Backward::new(&objective)
            .layout(self.tpo.config.layout)
            .seed(seed.child("gradient", 0));
        let gradients = pass.run().await.map_err(|failure| failure.error)?;
        let feedback: Vec<Feedback> = gradients.feedback(chosen).cloned().collect();
        step.ends.extend(feedback.iter().map(|feedback| feedback.variable().clone()));
        if !feedback.is_empty() {
            step.record.gradient = Some(gradients.text(chosen));
        }
        step.critique.feedback.clone_from(&feedback);
        Ok(feedback)
    }

    /// New versions of the chosen answer. None at all is not the end of a search: the pool is still there.
    async fn update(
        &self,
        chosen: &Variable,
        feedback: &[Feedback],
        samples: u32,
        seed: Seed,
        step: &mut StepOutcome,
    ) -> Result<(), Error> {
        let config = &self.tpo.config;
        let mut optimizer = TextualGradientDescent::builder(Arc::clone(&self.optimizer))
            .prompts(Arc::clone(&self.tpo.prompts))
            .sampling(config.sampling.clone())
            .candidates(samples)
            .layout(self.tpo.config.layout)
            .parse_retries(config.parse_retries);
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
        step.record.updates = updates.len();
        step.record.unusable = unusable;
        step.updates = updates;
        Ok(())
    }
}

impl Search<'_> {
    /// The comparison itself as feedback.
    pub(super) fn direct(
        &self,
        chosen: &Variable,
        rejected: &[Variable],
    ) -> Result<Vec<Feedback>, Error> {
        let context = DirectContext {
            query: self.query.text().unwrap_or_default(),
            chosen: chosen.text().unwrap_or_default(),
            rejected: rejected.iter().filter_map(Variable::text).collect(),
        };
        Ok(vec![Feedback::new(self.tpo.prompts.render("direct_feedback", &context)?)])
    }

    /// The loss over a ranking.
    pub(super) async fn listwise_loss(
        &self,
        chosen: &Variable,
        others: &[Variable],
        comparison: (usize, &[usize]),
        seed: Seed,
        step: &mut StepOutcome,
    ) -> Result<Vec<Variable>, Error> {
        let (own, positions) = comparison;
        let score = |position: usize| self.pool.get(position).map_or(f64::NAN, |c| c.score);
        let ranked = [(chosen, score(own))].into_iter();
        let ranked =
            ranked.chain(others.iter().zip(positions).map(|(answer, at)| (answer, score(*at))));
        let critic = &self.tpo.config.critic;
        let loss = ListwiseLoss::new(Arc::clone(&self.critic), &self.query, ranked)?
            .prompts(Arc::clone(&self.tpo.prompts))
            .sampling(critic.clone())
            .feedback_sampling(critic.clone())
            .seed(seed.child("loss", 0));
        let losses = vec![loss.evaluate(chosen).await?];
        step.add_losses(&losses);
        Ok(losses)
    }
}
