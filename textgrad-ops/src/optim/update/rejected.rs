//! Answers that could not be used.

use textgrad_core::truncate;

use crate::optim::rules::{Violation, broken};
use crate::optim::tags::Tags;
use crate::prompts::{BrokenRule, RetryContext};

/// An answer that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// What was wrong.
    pub problem: String,
    /// Whether it was cut off at its longest length.
    pub cut_off: bool,
    /// The rules that its text breaks, if that is what was wrong.
    pub violations: Vec<Violation>,
    /// The answer; empty if the request failed.
    pub text: String,
}

impl Rejected {
    pub(crate) fn unusable(problem: impl Into<String>, text: String) -> Self {
        Self { problem: problem.into(), cut_off: false, violations: Vec::new(), text }
    }

    pub(crate) fn cut_off(problem: impl Into<String>, text: String) -> Self {
        Self { cut_off: true, ..Self::unusable(problem, text) }
    }

    pub(crate) fn violating(violations: Vec<Violation>, text: String) -> Self {
        Self { problem: broken(&violations), cut_off: false, violations, text }
    }

    /// What was wrong, and how it began.
    pub(crate) fn summary(&self) -> String {
        format!("{}; it began: {:?}", self.problem, truncate(&self.text, 80))
    }

    /// What the note to a repeated request is made of. `text` is the new text in it, if it had one.
    pub(crate) fn retry(&self, tags: &Tags, attempts: u32, text: &str) -> RetryContext {
        let violations = self.violations.iter();
        RetryContext {
            problem: self.problem.clone(),
            cut_off: self.cut_off,
            attempts,
            start_tag: tags.start().to_owned(),
            end_tag: tags.end().to_owned(),
            violations: violations
                .map(|Violation { rule, problem }| BrokenRule {
                    rule: rule.clone(),
                    problem: problem.clone(),
                })
                .collect(),
            text: text.to_owned(),
        }
    }
}
