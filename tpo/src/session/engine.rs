//! Engines within a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, Request, Response};
use textgrad_ops::layer::{ChoicePart, ChoiceStore, with_choice_store};

use super::Session;
use crate::error::Error;
use crate::journal::{Record, StepKey, millis};

/// An engine whose calls are counted, recorded, and answered from the journal where it has them.
pub(super) struct SessionEngine {
    pub(super) inner: Arc<dyn Engine>,
    pub(super) session: Session,
}

impl SessionEngine {
    /// Asks the engine and records the response.
    async fn ask(&self, key: StepKey, request: &Request) -> Result<Response, EngineError> {
        self.session.may_begin()?;
        self.session.ask(&[&key]).await?;
        let began = Instant::now();
        let parts = Arc::new(JournaledParts {
            session: self.session.clone(),
            call: key.clone(),
            is_used: AtomicBool::new(false),
        });
        let answered = {
            let _under_way = self.session.begin();
            match request.sampling.n {
                0 | 1 => self.inner.complete(request).await,
                _ => with_choice_store(parts.clone(), self.inner.complete(request)).await,
            }
        };
        let response = answered.map_err(|error| self.session.fail_call(&key, error))?;
        let is_partial = response.choices.len() < request.sampling.n as usize;
        if is_partial && self.session.is_stopped() && parts.is_used.load(Ordering::Relaxed) {
            // The missing choices may have been given up for the stop. The others are in the journal.
            return Err(self.session.interrupt(Error::Stopped));
        }
        let (purpose, ms) = (request.purpose, millis(began.elapsed()));
        let step = |query| vec![Record::Call { query, purpose, key, response: &response, ms }];
        self.session.write(step).await?;
        Ok(response)
    }
}

#[async_trait]
impl Engine for SessionEngine {
    fn info(&self) -> &EngineInfo {
        self.inner.info()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.session.may_go_on()?;
        self.session.commit_failures().await?;
        let price = self.session.price(self.inner.name())?;
        let key = StepKey::of_call(self.inner.name(), request);
        let journal = self.session.journal();
        let recalled = journal.and_then(|journal| journal.recall_call(&key));
        let is_recalled = recalled.is_some();
        let response = match recalled {
            Some(recalled) => recalled?,
            None => self.ask(key, request).await?,
        };
        self.session.count_call(request, &response, price, is_recalled);
        Ok(response)
    }
}

/// The choices of one call that were delivered one by one, each in the journal as soon as it is there.
struct JournaledParts {
    session: Session,
    call: StepKey,
    /// Whether the call has parts at all.
    is_used: AtomicBool,
}

#[async_trait]
impl ChoiceStore for JournaledParts {
    async fn recall(&self, engine: &str, request: &Request, part: ChoicePart) -> Option<Response> {
        let key = || StepKey::of_choice(engine, request, part);
        let kept = self.session.journal()?.recall_choice(&self.call, key)?;
        self.is_used.store(true, Ordering::Relaxed);
        Some(kept)
    }

    async fn keep(
        &self,
        engine: &str,
        request: &Request,
        part: ChoicePart,
        response: &Response,
    ) -> Result<(), EngineError> {
        if self.session.journal().is_none() {
            return Ok(());
        }
        self.is_used.store(true, Ordering::Relaxed);
        let (call, key) = (self.call.clone(), StepKey::of_choice(engine, request, part));
        self.session.write(|query| vec![Record::Choice { query, call, key, response }]).await
    }
}
