//! Search options of a request: the object `tpo`, the header of the same name, and named presets.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use textgrad_core::Layout;
use textgrad_ops::layer::Prices;
use textgrad_ops::util::json::type_name;
use tokio::time::Instant;

use super::error::ApiError;
use crate::config::{Acceptance, Mode, SearchBudget, TpoConfig};
use crate::search::{Guard, Pairs};

/// What a request, a virtual model or a preset changes of the search. All fields are optional; the fields of a
/// request's body win over those of its header, and these over those of its model.
///
/// # Examples
/// ```
/// use tpo::serve::SearchOptions;
///
/// let options: SearchOptions =
///     serde_json::from_str(r#"{"iterations": 1, "deadline_ms": 5000, "gate": {"score": 2.5}}"#)?;
/// assert_eq!(options.iterations, Some(1));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchOptions {
    /// The mode.
    pub mode: Option<Mode>,
    /// D: iterations.
    pub iterations: Option<u32>,
    /// N: answers sampled first, and rewrites of each iteration.
    pub samples: Option<u32>,
    /// The answers that an iteration compares.
    pub pairs: Option<Pairs>,
    /// The answers that may be rewritten.
    pub accept: Option<Acceptance>,
    /// The layout of requests.
    pub layout: Option<Layout>,
    /// How many edits an update is made of at most; 0: whole texts.
    pub edits: Option<u32>,
    /// What becomes of new versions that are suspected to please the reward model only.
    pub guard: Option<Guard>,
    /// Ends the search when the best score is at least this.
    pub target: Option<f64>,
    /// Ends the search when the best score has not risen for so many iterations.
    pub patience: Option<u32>,
    /// Milliseconds from the arrival of the request to its answer: the best one until then.
    pub deadline_ms: Option<u64>,
    /// What the search may spend. Calls are never exceeded, tokens by at most the calls under way, the others by at
    /// most what one iteration takes; the best answer so far is returned when a bound is reached.
    pub budget: SearchBudget,
    /// When the first answers are good enough.
    pub gate: Option<Gate>,
    /// Whether the answer has the trajectory of the search. Default: false.
    pub trajectory: Option<bool>,
    /// Whether a stream has the events of the search. Default: true.
    pub progress: Option<bool>,
    /// How a stream has the best answer so far before the search has ended. Default: not at all.
    pub draft: Option<DraftForm>,
}

/// How a stream has the best answer so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DraftForm {
    /// As a field of the events of the search, for clients that show and replace it.
    Events,
    /// The best first sample is the text of the answer, sent as soon as it is known; a better one is in the field `tpo`
    /// at the end, for clients that replace it.
    Content,
}

/// Answers at once where the first answers are good enough: easy requests then cost one call.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gate {
    /// The number of first answers. Default: 1.
    pub samples: u32,
    /// Good enough: the best of them has at least this score.
    pub score: Option<f64>,
    /// Good enough: all of them are within this of the best, so that there is nothing to choose. Needs two or more.
    pub margin: Option<f64>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { samples: 1, score: None, margin: None }
    }
}

impl Gate {
    /// Whether answers with these scores are good enough.
    pub(crate) fn is_open(&self, scores: &[f64]) -> bool {
        let Some(best) = scores.iter().copied().reduce(f64::max) else { return false };
        let worst = scores.iter().copied().fold(best, f64::min);
        self.score.is_some_and(|score| best >= score)
            || self.margin.is_some_and(|margin| scores.len() > 1 && best - worst <= margin)
    }

    fn validate(&self) -> Result<(), ApiError> {
        let fail = |field: &str, expected: &str| {
            Err(ApiError::invalid(format!("tpo.gate.{field}"), format!("expected {expected}")))
        };
        if self.samples == 0 {
            return fail("samples", "at least 1, got 0");
        }
        if self.score.is_none() && self.margin.is_none() {
            return fail("score", "a score or a margin that is good enough, got neither");
        }
        if self.score.is_some_and(|score| !score.is_finite()) {
            return fail("score", "a finite number");
        }
        if self.margin.is_some_and(|margin| !margin.is_finite() || margin < 0.0) {
            return fail("margin", "a finite number of 0 or more");
        }
        if self.margin.is_some() && self.samples < 2 {
            return fail("samples", "at least 2 beside a margin");
        }
        Ok(())
    }
}

/// Bounds on what a request may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MaxSearch {
    pub(crate) iterations: u32,
    pub(crate) samples: u32,
}

impl SearchOptions {
    /// Reads the object of a body or a header.
    pub(crate) fn read(json: &Json, place: &str) -> Result<Self, ApiError> {
        Self::deserialize(json).map_err(|error| {
            let (path, reason) = culprit(json, place, &error);
            ApiError::invalid(path.as_str(), format!("{path}: {reason}"))
        })
    }

    /// These options, and those of `other` where these have none.
    #[must_use]
    pub(crate) fn or(self, other: &Self) -> Self {
        Self {
            mode: self.mode.or(other.mode),
            iterations: self.iterations.or(other.iterations),
            samples: self.samples.or(other.samples),
            pairs: self.pairs.or(other.pairs),
            edits: self.edits.or(other.edits),
            guard: self.guard.or(other.guard),
            accept: self.accept.or(other.accept),
            layout: self.layout.or(other.layout),
            target: self.target.or(other.target),
            patience: self.patience.or(other.patience),
            deadline_ms: self.deadline_ms.or(other.deadline_ms),
            budget: self.budget.or(other.budget),
            gate: self.gate.or(other.gate),
            trajectory: self.trajectory.or(other.trajectory),
            progress: self.progress.or(other.progress),
            draft: self.draft.or(other.draft),
        }
    }

    /// The end of the time of a request; none if it is beyond the clock.
    pub(crate) fn deadline(&self, arrived: Instant) -> Option<Instant> {
        arrived.checked_add(Duration::from_millis(self.deadline_ms?))
    }

    /// The settings of the search: those of the server with these changes.
    pub(crate) fn apply(
        &self,
        base: &TpoConfig,
        max: MaxSearch,
        prices: Option<&Prices>,
    ) -> Result<TpoConfig, ApiError> {
        let mut config = base.clone();
        let fail =
            |field: &str, message: String| Err(ApiError::invalid(format!("tpo.{field}"), message));
        for (field, asked, most) in [
            ("iterations", self.iterations, max.iterations),
            ("samples", self.samples, max.samples),
            ("gate.samples", self.gate.map(|gate| gate.samples), max.samples),
        ] {
            if let Some(asked) = asked.filter(|asked| *asked > most) {
                return fail(field, format!("expected at most {most} on this server, got {asked}"));
            }
        }
        if let Some(mode @ (Mode::Shuffled | Mode::Own)) = self.mode {
            return fail("mode", format!("expected one of {}, got {mode}", servable()));
        }
        if self.deadline_ms == Some(0) {
            return fail("deadline_ms", "expected at least 1, got 0".to_owned());
        }
        self.gate.map_or(Ok(()), |gate| gate.validate())?;
        config.mode = self.mode.unwrap_or(config.mode);
        config.iterations = self.iterations.unwrap_or(config.iterations);
        config.samples = self.samples.unwrap_or(config.samples);
        config.pairs = self.pairs.unwrap_or(config.pairs);
        config.edits = self.edits.unwrap_or(config.edits);
        config.guard = self.guard.unwrap_or(config.guard);
        config.accept = self.accept.unwrap_or(config.accept);
        config.layout = self.layout.unwrap_or(config.layout);
        let stop = &mut config.early_stop;
        stop.target = self.target.or(stop.target);
        stop.patience = self.patience.or(stop.patience);
        stop.budget = self.budget.or(stop.budget);
        if self.budget.money.is_some() {
            if prices.is_none() {
                let message = "expected no bound on money: the server has no prices (--prices)";
                return fail("budget.money", message.to_owned());
            }
            stop.prices = prices.cloned();
        }
        Ok(config)
    }
}

/// The modes that a server can search in. `shuffled` takes the critique of another query, and a request has one; `own`
/// is no mode of the program.
pub(crate) fn servable() -> String {
    let modes = Mode::ALL.iter().filter(|mode| **mode != Mode::Shuffled);
    modes.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The field by which options cannot be read, as a path, and what is wrong with it.
fn culprit(json: &Json, place: &str, error: &serde_json::Error) -> (String, String) {
    let Json::Object(fields) = json else {
        return (place.to_owned(), format!("expected an object, got {}", type_name(json)));
    };
    let failure = |options: Json| SearchOptions::deserialize(&options).err();
    for (name, value) in fields {
        let Some(error) = failure(json!({ name: value })) else { continue };
        let path = format!("{place}.{name}");
        // A part of a budget or a gate.
        for (part, value) in value.as_object().into_iter().flatten() {
            let only = json!({ part: value });
            if let Some(error) = failure(json!({ name: only })) {
                return (format!("{path}.{part}"), reason(&error));
            }
        }
        return (path, reason(&error));
    }
    (place.to_owned(), reason(error))
}

/// The words of a failure, without the types of this program.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let Some((got, expected)) = text.rsplit_once(", expected ") else { return text };
    let got = got.strip_prefix("invalid type: ").or_else(|| got.strip_prefix("invalid value: "));
    let Some(got) = got else { return text };
    let expected = match expected {
        "u32" | "u64" => "a whole number of 0 or more",
        "f64" => "a number",
        "a boolean" => "true or false",
        expected if expected.starts_with("struct ") => "an object",
        expected if expected.contains("enum") => "a name",
        expected => expected,
    };
    format!("expected {expected}, got {got}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: MaxSearch = MaxSearch { iterations: 8, samples: 32 };

    fn options(json: &str) -> SearchOptions {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_request_wins_over_its_model_and_both_over_the_server() {
        let model = options(r#"{"mode": "bon", "samples": 8, "budget": {"calls": 3}}"#);
        let own = r#"{"samples": 2, "budget": {"tokens": 9}, "edits": 6, "guard": "exclude"}"#;
        let own = options(own);
        let both = own.or(&model);
        assert_eq!((both.mode, both.samples), (Some(Mode::Bon), Some(2)));
        assert_eq!((both.budget.calls, both.budget.tokens), (Some(3), Some(9)));
        let config = both.apply(&TpoConfig::default(), MAX, None).unwrap();
        assert_eq!((config.mode, config.samples, config.iterations), (Mode::Bon, 2, 2));
        assert_eq!((config.edits, config.guard), (6, Guard::Exclude));
        assert_eq!(config.early_stop.budget.calls, Some(3));
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        for (json, param) in [
            (r#"{"iterations": 9}"#, "tpo.iterations"),
            (r#"{"samples": 33}"#, "tpo.samples"),
            (r#"{"mode": "shuffled"}"#, "tpo.mode"),
            (r#"{"deadline_ms": 0}"#, "tpo.deadline_ms"),
            (r#"{"budget": {"money": 1}}"#, "tpo.budget.money"),
            (r#"{"gate": {}}"#, "tpo.gate.score"),
            (r#"{"gate": {"margin": 0.5}}"#, "tpo.gate.samples"),
            (r#"{"gate": {"score": 1, "samples": 99}}"#, "tpo.gate.samples"),
        ] {
            let error = options(json).apply(&TpoConfig::default(), MAX, None).unwrap_err();
            assert_eq!(error.body()["error"]["param"], param, "{json}");
        }
        for (options, message) in [
            (json!({"samples": 2, "depth": 1}), "tpo.depth: unknown field `depth`"),
            (json!(7), "tpo: expected an object, got a number"),
            (
                json!({"iterations": "two"}),
                "tpo.iterations: expected a whole number of 0 or more, got string \"two\"",
            ),
            (json!({"budget": {"calls": 1, "tokens": -1}}), "tpo.budget.tokens: expected a whole"),
            (json!({"gate": 3}), "tpo.gate: expected an object, got integer `3`"),
            (json!({"mode": "best"}), "tpo.mode: unknown variant `best`, expected one of"),
        ] {
            let error = SearchOptions::read(&options, "tpo").unwrap_err();
            assert!(error.message().starts_with(message), "{}", error.message());
            let path = message.split(':').next();
            assert_eq!(error.body()["error"]["param"].as_str(), path);
        }
    }

    #[test]
    fn a_gate_opens_at_its_score_or_within_its_margin() {
        let gate = |json| serde_json::from_str::<Gate>(json).unwrap();
        assert!(gate(r#"{"score": 1}"#).is_open(&[0.5, 1.0]));
        assert!(!gate(r#"{"score": 1.1}"#).is_open(&[0.5, 1.0]));
        assert!(gate(r#"{"margin": 0.5}"#).is_open(&[0.5, 1.0]));
        assert!(!gate(r#"{"margin": 0.4}"#).is_open(&[0.5, 1.0]));
        assert!(!gate(r#"{"margin": 0.4}"#).is_open(&[0.5]), "one answer has no margin");
        assert!(!gate(r#"{"score": 1}"#).is_open(&[]));
    }
}
