//! Which controls of sampling a model takes.

use std::sync::atomic::{AtomicU8, Ordering};

use textgrad_core::{EngineError, ErrorKind, Sampling};

/// What is sent of temperature and `top_p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Controls {
    /// Whatever is set.
    Both,
    /// The temperature; `top_p` only where there is none.
    One,
    /// Neither.
    Neither,
}

impl Controls {
    /// The temperature and `top_p` to send.
    pub(super) fn of(self, sampling: &Sampling) -> (Option<f64>, Option<f64>) {
        match (self, sampling.temperature, sampling.top_p) {
            (Self::Neither, ..) => (None, None),
            (Self::One, Some(temperature), _) => (Some(temperature), None),
            (_, temperature, top_p) => (temperature, top_p),
        }
    }

    /// What to send after a refusal; `None` if the refusal is for something else.
    ///
    /// Models from Claude Opus 4.1 to 4.6 take one of the two; those after it take none and call both
    /// deprecated. The server tells so in words only.
    fn after(self, error: &EngineError, sampling: &Sampling) -> Option<Self> {
        let says = |word| error.message().contains(word);
        let refused = error.kind() == ErrorKind::InvalidRequest
            && error.status() == Some(400)
            && (says("temperature") || says("top_p"));
        let next = if refused && says("cannot both be specified") {
            Self::One
        } else if refused && says("deprecated for this model") {
            Self::Neither
        } else {
            return None;
        };
        (next.of(sampling) != self.of(sampling)).then_some(next)
    }
}

/// What was learned of a model so far.
#[derive(Debug, Default)]
pub(super) struct Known(AtomicU8);

impl Known {
    pub(super) fn get(&self) -> Controls {
        match self.0.load(Ordering::Relaxed) {
            0 => Controls::Both,
            1 => Controls::One,
            _ => Controls::Neither,
        }
    }

    /// Takes note of a refusal; what to send instead, if that can help.
    pub(super) fn learn(
        &self,
        sent: Controls,
        error: &EngineError,
        sampling: &Sampling,
    ) -> Option<Controls> {
        let next = sent.after(error, sampling)?;
        if self.0.fetch_max(next as u8, Ordering::Relaxed) < next as u8 {
            tracing::warn!(
                temperature = next.of(sampling).0,
                "the model refuses these controls of sampling; going on without top_p{}",
                if next == Controls::Neither { " and temperature" } else { "" }
            );
        }
        Some(next)
    }
}
