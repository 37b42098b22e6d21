//! The speed of a model, measured while it works.

use std::time::Duration;

use parking_lot::Mutex;

/// Tokens and the time that they took.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    tokens: usize,
    time: Duration,
}

impl Rate {
    fn add(&mut self, tokens: usize, time: Duration) {
        self.tokens += tokens;
        self.time += time;
    }

    /// Tokens per second; none before anything was measured.
    fn per_second(self) -> Option<f64> {
        let tokens = f64::from(u32::try_from(self.tokens).ok()?);
        let seconds = self.time.as_secs_f64();
        (tokens > 0.0 && seconds > 0.0).then(|| tokens / seconds)
    }
}

/// Measurements that threads share.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<[Rate; 2]>);

impl Rates {
    /// Prompt tokens were computed.
    pub(super) fn prefilled(&self, tokens: usize, time: Duration) {
        let [prefill, _] = &mut *self.0.lock();
        prefill.add(tokens, time);
    }

    /// Completion tokens were computed, all answers together.
    pub(super) fn decoded(&self, tokens: usize, time: Duration) {
        let [_, decode] = &mut *self.0.lock();
        decode.add(tokens, time);
    }

    /// Tokens per second of prompts and of completions.
    pub(super) fn per_second(&self) -> [Option<f64>; 2] {
        self.0.lock().map(Rate::per_second)
    }
}
