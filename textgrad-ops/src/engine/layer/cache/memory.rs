//! A bounded map of answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use textgrad_core::Response;

use super::front::{Asked, Tier};
use crate::engine::RequestKey;

/// Holds at most `bound` answers; the one that was stored first leaves first.
#[derive(Debug)]
pub(super) struct Memory {
    answers: DashMap<RequestKey, Arc<Response>>,
    order: Mutex<VecDeque<RequestKey>>,
    bound: usize,
}

impl Memory {
    pub(super) fn new(bound: usize) -> Self {
        Self { answers: DashMap::new(), order: Mutex::default(), bound }
    }

    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    fn insert(&self, key: RequestKey, answer: Response) {
        if self.bound == 0 || self.answers.insert(key, Arc::new(answer)).is_some() {
            return;
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back(key);
        while order.len() > self.bound {
            if let Some(oldest) = order.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }
}

impl Tier for Memory {
    async fn get(&self, asked: &Asked<'_>) -> Option<Response> {
        let answer = Arc::clone(&*self.answers.get(&asked.key)?);
        Some(Response::clone(&answer))
    }

    async fn put(&self, asked: &Asked<'_>, response: &Response) {
        self.insert(asked.key, response.clone());
    }
}
