//! Reductions that need no model.

use std::collections::HashMap;

use async_trait::async_trait;

use super::{Reduce, ReduceCx};
use crate::error::Error;
use crate::gradient::Feedback;

/// A reduction that keeps all feedback as it is.
///
/// For a place that asks for a reduction and should have none. A reduction further outside still merges what
/// passed through here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepAll;

#[async_trait]
impl Reduce for KeepAll {
    fn name(&self) -> &str {
        "keep all"
    }

    async fn reduce(&self, cx: &ReduceCx) -> Result<Vec<Feedback>, Error> {
        Ok(cx.feedback().to_vec())
    }
}

/// A reduction that says the same thing once: of feedback in the same words, but for white space and case,
/// the first is kept, with the contexts of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deduplicate;

#[async_trait]
impl Reduce for Deduplicate {
    fn name(&self) -> &str {
        "deduplicate"
    }

    async fn reduce(&self, cx: &ReduceCx) -> Result<Vec<Feedback>, Error> {
        let mut kept: Vec<Feedback> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for feedback in cx.feedback() {
            let place = *places.entry(plain_words(feedback.text())).or_insert(kept.len());
            match kept.get_mut(place) {
                Some(known) => {
                    *known = known.clone().with_contexts(feedback.contexts().iter().cloned());
                }
                None => kept.push(feedback.clone()),
            }
        }
        Ok(kept)
    }
}

fn plain_words(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}
