//! An engine as one query sees it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};

use super::Session;
use crate::journal::StepKey;

pub(super) struct SessionEngine {
    inner: Arc<dyn Engine>,
    session: Session,
}

impl SessionEngine {
    pub(super) fn new(inner: Arc<dyn Engine>, session: Session) -> Self {
        Self { inner, session }
    }
}

#[async_trait]
impl Engine for SessionEngine {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.inner.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.session.went_on().await?;
        let price = self.session.price(self.inner.name())?;
        let key = StepKey::of_call(self.inner.name(), request);
        let response = match self.session.recall_call(&key) {
            Some(recalled) => recalled?,
            None => {
                self.session.may_begin()?;
                let begun = Instant::now();
                let answered = {
                    let _under_way = self.session.begin();
                    self.inner.complete(request).await
                };
                match answered {
                    Ok(response) => {
                        let took = begun.elapsed();
                        self.session.finish_call(&key, request.purpose, &response, took).await?;
                        response
                    }
                    Err(error) => return Err(self.session.fail_call(key, error)),
                }
            }
        };
        self.session.count_call(request, &response, price);
        Ok(response)
    }

    fn is_simulation(&self) -> bool {
        self.inner.is_simulation()
    }
}
