//! Rules for the new texts of a parameter.

use std::sync::Arc;

use textgrad_core::{Check, Error, Parameter, catch_panic};

/// A rule that a text breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What must hold; see [`Check::rule`].
    pub rule: String,
    /// What is wrong with the text; see [`Check::check`].
    pub problem: String,
}

/// What the new texts of one parameter must obey: what the model is told, and what is checked.
#[derive(Clone, Default)]
pub(super) struct Rules {
    /// The parameter's constraints, then the rules of its checks.
    pub(super) told: Vec<String>,
    checks: Vec<(String, Arc<dyn Check>)>,
}

impl Rules {
    /// The rules of a parameter.
    ///
    /// # Errors
    /// If a check panics when it is asked for its rule.
    pub(super) fn of(parameter: &Parameter) -> Result<Self, Error> {
        let mut rules = Self::default();
        rules.told.extend(parameter.constraints().iter().map(ToString::to_string));
        for check in parameter.checks() {
            let rule = catch_panic(|| check.rule().into_owned()).map_err(|message| {
                Error::op(format!("a check panicked when it was asked for its rule: {message}"))
            })?;
            rules.told.push(rule.clone());
            rules.checks.push((rule, Arc::clone(check)));
        }
        Ok(rules)
    }

    /// The rules that a text breaks, all of them.
    ///
    /// # Errors
    /// If a check panics.
    pub(super) fn violations(&self, text: &str) -> Result<Vec<Violation>, Error> {
        let mut violations = Vec::new();
        for (rule, check) in &self.checks {
            match catch_panic(|| check.check(text)) {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => violations.push(Violation { rule: rule.clone(), problem }),
                Err(message) => {
                    return Err(Error::op(format!("the check {rule:?} panicked: {message}")));
                }
            }
        }
        Ok(violations)
    }
}

/// Violations in one line.
pub(super) fn broken(violations: &[Violation]) -> String {
    let broken: Vec<String> = violations
        .iter()
        .map(|Violation { rule, problem }| {
            format!("the new text breaks the rule {rule:?}: {problem}")
        })
        .collect();
    broken.join("; ")
}
