//! The call of the model that writes new texts for a graph.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error, Gradient, Inputs, Message, Op, OpFailure, Output, Part, Purpose, Request,
    Seed,
};

use super::answer::{Answer, Expected, read};
use super::builder::GraphOptimizerBuilder as Settings;
use crate::optim::update::Rejected;
use crate::prompts::GraphRetryContext;

/// What became of the requests.
#[derive(Default)]
pub(super) struct GraphOutcome {
    /// What the answers said that could be read; the texts are the op's outputs.
    pub(super) answer: Option<Answer>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) requests: usize,
}

/// Not differentiable so far: a pass ends here.
pub(super) struct GraphUpdate {
    pub(super) settings: Arc<Settings>,
    pub(super) messages: Vec<Message>,
    pub(super) expected: Vec<Expected>,
    pub(super) roles: Vec<Arc<str>>,
    pub(super) seed: Option<Seed>,
    pub(super) outcome: Arc<Mutex<GraphOutcome>>,
}

impl GraphUpdate {
    fn request(&self, attempt: u32, note: Option<&GraphRetryContext>) -> Result<Request, Error> {
        let mut messages = self.messages.clone();
        if let Some(note) = note
            && let Some(message) = messages.last_mut()
        {
            let note = self.settings.prompts.render("graph_retry", note)?;
            message.parts.push(Part::Text(format!("\n\n{note}")));
        }
        let place = self.seed.map(|seed| seed.child("attempt", u64::from(attempt)));
        let sampling = self.settings.sampling.clone().with_n(1).at(place);
        Ok(Request::new(Purpose::Update, messages).with_sampling(sampling))
    }

    async fn ask(&self) -> Result<GraphOutcome, Error> {
        let tags = &self.settings.tags;
        let mut outcome = GraphOutcome::default();
        let mut note: Option<GraphRetryContext> = None;
        for attempt in 0..=self.settings.parse_retries {
            let request = self.request(attempt, note.as_ref())?;
            outcome.requests += 1;
            let response = match self.settings.engine.complete(&request).await {
                Ok(response) => response,
                Err(error) if outcome.answer.is_none() => return Err(error.into()),
                // What was paid for is kept.
                Err(error) => {
                    let problem = format!("the request failed: {error}");
                    outcome.rejected.push(Rejected::unusable(problem, String::new()));
                    break;
                }
            };
            let Some(choice) = response.choices.into_iter().next() else { continue };
            let reading = read(choice, tags, &self.expected)?;
            if let Some(answer) = reading.answer {
                outcome.answer.get_or_insert_default().add(answer);
            }
            let Some(rejected) = reading.rejected else { break };
            note = Some(GraphRetryContext {
                problems: reading.problems,
                answer: rejected.text.clone(),
                cut_off: rejected.cut_off,
                attempts: attempt + 1,
                start_tag: tags.start().to_owned(),
                end_tag: tags.end().to_owned(),
            });
            outcome.rejected.push(rejected);
        }
        Ok(outcome)
    }
}

#[async_trait]
impl Op for GraphUpdate {
    fn name(&self) -> &str {
        "graph update"
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        let outcome = self.ask().await?;
        let texts = outcome.answer.iter().flat_map(|answer| &answer.texts);
        let outputs = texts.filter_map(|(place, text)| {
            let role = Arc::clone(self.roles.get(*place)?);
            Some(Output::new(text.as_str(), role).with_requires_grad(false))
        });
        let outputs = outputs.collect();
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        Ok(outputs)
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Self::request(self, 0, None).ok()
    }
}
