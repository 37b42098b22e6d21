//! One of several scored answers against the others.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use textgrad_core::{Engine, Error as CoreError, Inputs, Variable};

use super::figure;
use super::judge::{Judge, instruction};
use crate::error::Error;
use crate::prompts::{ListwiseContext, RankedContext};

/// Scored answers to a query, best to worst: what makes the better ones better, and where one of them stands.
///
/// One answer, by default the best, is the user message and is what feedback is given on. The query
/// and all answers with their ranks and scores stand in the system message (template `listwise_system`), are
/// constants, and get none. Answers of equal score keep their order. Scores are shown with four significant
/// digits.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Variable, backward};
/// use textgrad_ops::ListwiseLoss;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Reasons make them better.", "Add an example."]));
/// let query = Variable::constant("Why is the sky blue?", "query of a user");
/// let answer = |text: &str| Variable::differentiable(text, "a response to a user query");
/// let (best, middle, worst) = (answer("Air scatters blue."), answer("Because of air."), answer("?"));
///
/// let loss = ListwiseLoss::new(engine.clone(), &query, [(&middle, 0.5), (&worst, -1.0), (&best, 0.9)])?;
/// let gradients = backward(&loss.evaluate_best().await?).await?;
/// assert_eq!(gradients.text(&best), "Add an example.");
/// assert!(gradients.received(&middle).is_empty());
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ListwiseLoss {
    pub(super) judge: Judge,
    query: Variable,
    best: Variable,
    /// Best to worst.
    answers: Vec<(Variable, f64)>,
}

impl ListwiseLoss {
    /// These answers to a query, with their scores: more is better.
    ///
    /// # Errors
    /// [`Error::NoParts`] without an answer, [`Error::Score`] for a score that is not finite.
    pub fn new<V: Into<Variable>>(
        engine: Arc<dyn Engine>,
        query: impl Into<Variable>,
        answers: impl IntoIterator<Item = (V, f64)>,
    ) -> Result<Self, Error> {
        let query = query.into();
        let mut answers: Vec<(Variable, f64)> =
            answers.into_iter().map(|(answer, score)| (answer.into(), score)).collect();
        if let Some((answer, (_, score))) =
            (1..).zip(&answers).find(|(_, (_, score))| !score.is_finite())
        {
            return Err(Error::Score { answer, score: *score });
        }
        // Stable: equal ones keep their order. Zero and minus zero are equal.
        answers.sort_by(|(_, a), (_, b)| (b + 0.0).total_cmp(&(a + 0.0)));
        let best = answers.first().map(|(best, _)| best.clone());
        let best = best.ok_or(Error::NoParts { what: "a listwise loss" })?;
        Ok(Self { judge: Judge::of_query(engine, &query), query, best, answers })
    }

    /// The answers with their scores, best to worst.
    #[must_use]
    pub fn ranked(&self) -> &[(Variable, f64)] {
        &self.answers
    }

    pub(super) fn own_settings(&self) -> Json {
        json!({ "query": self.query.value().describe() })
    }

    /// Evaluates the best answer.
    ///
    /// # Errors
    /// [`CoreError::Forward`] with the engine's failure, or if one of the texts is an image.
    pub async fn evaluate_best(&self) -> Result<Variable, CoreError> {
        self.evaluate(&self.best).await
    }

    /// Evaluates one of the answers, or a text that is none of them: then all of them are what it is held
    /// against. Which one it is goes by identity, else by an equal text.
    ///
    /// # Errors
    /// Those of [`ListwiseLoss::evaluate_best`].
    pub async fn evaluate(&self, chosen: impl Into<Variable>) -> Result<Variable, CoreError> {
        let chosen = chosen.into();
        let same = |(answer, _): &(Variable, f64)| *answer == chosen;
        let alike = |(answer, _): &(Variable, f64)| answer.value() == chosen.value();
        let position = self.answers.iter().position(same);
        let position = position.or_else(|| self.answers.iter().position(alike));

        let mut inputs = vec![("query", self.query.clone()), ("chosen", chosen.clone())];
        inputs.extend(self.answers.iter().map(|(answer, _)| ("answer", answer.clone())));
        let scores: Vec<f64> = self.answers.iter().map(|(_, score)| *score).collect();
        let prompts = self.judge.prompts.clone();
        let render = move |inputs: &Inputs| {
            let texts = inputs.texts()?;
            // Behind the answers there may be the template.
            let answers = texts.iter().skip(2).zip(&scores).enumerate();
            let answers: Vec<RankedContext<'_>> = answers
                .map(|(place, (text, score))| RankedContext {
                    rank: place + 1,
                    score: figure(*score),
                    text,
                    chosen: position == Some(place),
                })
                .collect();
            let own = answers.iter().find(|answer| answer.chosen);
            let context = ListwiseContext {
                query: inputs.text("query")?,
                chosen: inputs.text("chosen")?,
                chosen_rank: own.map(|own| own.rank),
                chosen_score: own.map(|own| own.score.clone()),
                others: answers.len() > usize::from(own.is_some()),
                count: answers.len(),
                answers,
            };
            Ok(prompts.render("listwise_system", &context)?)
        };
        let template = self.judge.prompts.variable("listwise_system");
        let instruction = instruction(&inputs, template, render).await?;
        self.judge.read(&instruction, &chosen).await
    }
}
