//! Requests to a judge.

use std::fmt;
use std::sync::Arc;

use textgrad_core::{
    Choice, Engine, Message, PromptPack, Purpose, Request, Sampling, Seed, TemplateContext,
};

use crate::error::Error;

/// An engine that judges, with the wording of its questions.
#[derive(Clone)]
pub(super) struct Asker {
    engine: Arc<dyn Engine>,
    prompts: Arc<PromptPack>,
    pub(super) sampling: Sampling,
    pub(super) seed: Seed,
}

impl Asker {
    /// At temperature 0, as judges are asked.
    pub(super) fn new(engine: Arc<dyn Engine>, prompts: Arc<PromptPack>) -> Self {
        let sampling = Sampling::default().with_temperature(0.0);
        Self { engine, prompts, sampling, seed: Seed::new(0) }
    }

    pub(super) fn name(&self) -> &str {
        self.engine.name()
    }

    /// The request and the reply of the judge, see [`choice`](Self::choice).
    pub(super) async fn ask<C: TemplateContext>(
        &self,
        templates: [&str; 2],
        context: &C,
        seed: Seed,
    ) -> Result<(Vec<Message>, String), Error> {
        let (messages, choice) = self.choice(templates, context, seed).await?;
        Ok((messages, choice.map(|choice| choice.text).unwrap_or_default()))
    }

    /// The request and the judge's reply, if there is one. `templates` name the system message, which is not
    /// sent if it is empty, and the user's.
    pub(super) async fn choice<C: TemplateContext>(
        &self,
        templates: [&str; 2],
        context: &C,
        seed: Seed,
    ) -> Result<(Vec<Message>, Option<Choice>), Error> {
        let [system, user] = templates;
        let system = self.prompts.render(system, context)?;
        let system = (!system.trim().is_empty()).then(|| Message::system(system));
        let user = Message::user(self.prompts.render(user, context)?);
        let messages: Vec<Message> = system.into_iter().chain([user]).collect();
        let sampling = self.sampling.clone().with_n(1).at(Some(seed));
        let request = Request::new(Purpose::Judge, messages.clone()).with_sampling(sampling);
        let response = self.engine.complete(&request).await?;
        Ok((messages, response.choices.into_iter().next()))
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker")
            .field("engine", &self.engine.name())
            .field("sampling", &self.sampling)
            .finish_non_exhaustive()
    }
}
