//! Reading a score from an evaluation.

use std::sync::Arc;

use textgrad_core::{Error, Score, truncate};

use crate::loss::judge::ReadScore;
use crate::optim::Tags;

type Read = dyn Fn(&str) -> Option<Score> + Send + Sync;

/// Reads a score from between two tags.
#[derive(Clone)]
pub(super) struct ScoreReader {
    tags: Tags,
    read: Arc<Read>,
    required: bool,
}

impl ScoreReader {
    /// Reads a finite number.
    pub(super) fn number(tags: Tags) -> Self {
        let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
        Self::by(tags, move |text| number(text).map(Score::Number))
    }

    pub(super) fn by(
        tags: Tags,
        read: impl Fn(&str) -> Option<Score> + Send + Sync + 'static,
    ) -> Self {
        Self { tags, read: Arc::new(read), required: false }
    }

    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) fn tags(&self) -> &Tags {
        &self.tags
    }

    pub(super) fn into_reader(self) -> Arc<ReadScore> {
        Arc::new(move |evaluation: &str| {
            let found = self.tags.extract(evaluation).map_err(|error| error.to_string());
            let score = found.and_then(|text| {
                (self.read)(text).ok_or_else(|| format!("there stood {:?}", truncate(text, 80)))
            });
            match score {
                Ok(score) => Ok(Some(score)),
                Err(_) if !self.required => Ok(None),
                Err(problem) => Err(Error::op(format!(
                    "expected a score between {} and {} in the evaluation, but {problem}",
                    self.tags.start(),
                    self.tags.end()
                ))),
            }
        })
    }
}
