//! A bounded map of answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use textgrad_core::Response;

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

    pub(super) fn get(&self, key: RequestKey) -> Option<Response> {
        let answer = Arc::clone(&*self.answers.get(&key)?);
        Some(Response::clone(&answer))
    }

    pub(super) fn put(&self, key: RequestKey, answer: Response) {
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
