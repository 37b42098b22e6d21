//! Rules for the new texts of a parameter, and replies that cannot be used.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use textgrad_core::{Check, Choice, Error, Parameter, catch_panic, truncate};

use super::edits;
use crate::tags::Tags;

/// A rule that a text breaks: `rule`, `problem`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
            let checked = catch_panic(|| check.check(text))
                .map_err(|message| Error::op(format!("the check {rule:?} panicked: {message}")))?;
            if let Err(problem) = checked {
                violations.push(Violation { rule: rule.clone(), problem });
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
    /// An answer with this problem, or with these violations.
    pub(super) fn new(problem: String, violations: Vec<Violation>, answer: Choice) -> Self {
        let cut_off = answer.finish_reason.is_cut_off();
        Self { problem, cut_off, violations, text: answer.text }
    }

    /// A request that failed, or whose reply has no answer.
    pub(super) fn failed(problem: String) -> Self {
        Self { problem, cut_off: false, violations: Vec::new(), text: String::new() }
    }

    /// What was wrong, and how it began.
    pub(super) fn summary(&self) -> String {
        match self.text.as_str() {
            "" => self.problem.clone(),
            text => format!("{}; it began: {:?}", self.problem, truncate(text, 80)),
        }
    }
}

/// The grammar of a reply in GBNF: the whole text between its tags, or so many edits at most in place of it.
pub(super) fn grammar(whole: &Tags, limit: Option<u32>) -> String {
    let Some(limit) = limit else { return whole.grammar() };
    let [edit, find, replace, insert] = edits::tags();
    let (start, end, more) = (edit.start(), edit.end(), limit.saturating_sub(1));
    let parts = r#"(find "\n" (replace | insert) | insert)"#;
    [
        format!("root ::= edits | text\nedits ::= edit (\"\\n\" edit){{0,{more}}}\n"),
        format!("edit ::= \"{start}\\n\" {parts} \"\\n{end}\"\n"),
        find.rules("find", "", false),
        replace.rules("replace", "", true),
        insert.rules("insert", "", false),
        whole.rules("text", "\n", false),
    ]
    .concat()
}
