//! Settings of a search.

mod budget;
mod early_stop;
mod mode;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use textgrad_core::{Layout, Sampling};

pub use self::budget::{SearchBudget, Spent};
pub use self::early_stop::{EarlyStop, Progress, StopReason, StopRule};
pub use self::mode::{Acceptance, Mode};
use crate::error::Error;
use crate::search::{Guard, Pairs};
use crate::truncate::Truncation;
use crate::util::is_default;

/// Texts that end an answer in the chat formats of Llama and Qwen models. The reference implementation sends
/// them with every request.
pub const STOP_TEXTS: [&str; 3] = ["<|end_of_text|>", "<|eot_id|>", "<|im_end|>"];

/// The settings of a search. Defaults are those of the paper and of its reference implementation, except
/// where noted.
///
/// # Examples
/// ```
/// use tpo::TpoConfig;
///
/// let config = TpoConfig { samples: 8, ..TpoConfig::default() };
/// assert_eq!(config.requests(), 1 + 3 * 2);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TpoConfig {
    /// Which objective drives the search.
    pub mode: Mode,
    /// D: how many times the best answer is rewritten. 2, as in the paper's tables (the reference's
    /// command line has 5).
    pub iterations: u32,
    /// N: how many answers are sampled, and how many new versions are asked for in each iteration. 5.
    pub samples: u32,
    /// How answers and new versions are drawn: temperature 0.7, top-p 0.95, at most 2048 tokens. `n` and
    /// `seed` are set by the search.
    pub sampling: Sampling,
    /// How losses and gradients are drawn: temperature 0.7, top-p 0.99, at most 8192 tokens. `n` and `seed`
    /// are set by the search.
    pub critic: Sampling,
    /// K: how many answers one new answer is made of, at least 1, in the modes `fuse`, `rsa` and `tsan`. 4, as in the
    /// paper of `rsa`.
    pub fuse: u32,
    /// The seed that the seeds of all requests are derived from. 7.
    pub seed: u64,
    /// Which answers are compared in an iteration. The best with the worst.
    pub pairs: Pairs,
    /// Which answers may be rewritten. The best of all.
    pub accept: Acceptance,
    /// What becomes of new versions that seem to please the reward model only. A warning.
    #[serde(skip_serializing_if = "is_default")]
    pub guard: Guard,
    /// When the search ends before its last iteration. Never.
    pub early_stop: EarlyStop,
    /// Whether losses, gradients and updates quote what was said before, as the paper does, or continue the
    /// policy's own conversation, so that a server with automatic prefix caching need not read it again.
    /// Quoted. Continuing pays only where one engine plays all three parts. Where an answer is compared with
    /// several, each comparison continues by itself, and the update quotes them, for they have no common end.
    pub layout: Layout,
    /// The longest beginning of a chosen or rejected answer that enters a prompt; answers are scored, kept and
    /// returned whole. `None`: answers enter whole. (The reference cuts at 2048 tokens of the reward model.)
    pub truncate: Option<Truncation>,
    /// How often new versions that could not be read are asked for again. 2.
    pub parse_retries: u32,
    /// How many edits of the chosen answer an update may be made of; 0: whole answers are written. 0. See
    /// [`TextualGradientDescent`](textgrad_ops::TextualGradientDescent#edits). An answer that enters prompts truncated
    /// is written whole.
    pub edits: u32,
    /// Whether updates are decoded under a grammar, so that their tags are always closed. For engines that take the
    /// field `grammar`: models in the process, and the server of llama.cpp. False.
    #[serde(skip_serializing_if = "is_default")]
    pub constrained_updates: bool,
}

impl Default for TpoConfig {
    fn default() -> Self {
        let sampling = |top_p, max_tokens| Sampling {
            temperature: Some(0.7),
            top_p: Some(top_p),
            max_tokens: Some(max_tokens),
            stop: STOP_TEXTS.map(str::to_owned).to_vec(),
            ..Sampling::default()
        };
        Self {
            mode: Mode::Tpo,
            iterations: 2,
            samples: 5,
            sampling: sampling(0.95, 2048),
            critic: sampling(0.99, 8192),
            fuse: 4,
            seed: 7,
            pairs: Pairs::default(),
            accept: Acceptance::default(),
            guard: Guard::default(),
            early_stop: EarlyStop::default(),
            layout: Layout::default(),
            truncate: None,
            parse_retries: 2,
            edits: 0,
            constrained_updates: false,
        }
    }
}

impl TpoConfig {
    /// How many times the best answer is rewritten in this mode.
    #[must_use]
    pub fn depth(&self) -> u32 {
        match self.mode {
            Mode::Bon => 0,
            _ => self.iterations,
        }
    }

    /// How many requests a query takes where the server gives all answers to one: 1 + 3D for the paper's method. An
    /// estimate where an iteration compares more than one pair, since the pool grows. A method of one's own
    /// [says](crate::search::Method::requests) so itself: [`Tpo::requests`](crate::Tpo::requests).
    #[must_use]
    pub fn requests(&self) -> u64 {
        let method = self.mode.method(self, Arc::new(self.pairs));
        method.requests(self).saturating_mul(self.depth().into()).saturating_add(1)
    }

    /// How many answers a query draws, the best of which is returned: N(D + 1).
    #[must_use]
    pub fn answers(&self) -> u64 {
        u64::from(self.samples) * (1 + u64::from(self.depth()))
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] that names the setting, what was expected and what came.
    pub fn validate(&self) -> Result<(), Error> {
        let fail = |setting, expected, got: String| Err(Error::config(setting, expected, got));
        if self.samples == 0 {
            return fail("samples", "at least 1", self.samples.to_string());
        }
        if self.fuse == 0 {
            return fail("fuse", "at least 1", "0".to_owned());
        }
        if let Some(truncation) = self.truncate.filter(|truncation| truncation.limit() == 0) {
            return fail("truncate", "at least 1", truncation.to_string());
        }
        if self.layout.is_continued()
            && self.mode != Mode::Own
            && !self.mode.method(self, Arc::new(self.pairs)).can_continue()
        {
            let expected =
                "quoted, or a mode that can continue a conversation, such as tpo or revision";
            return fail("layout", expected, format!("{} with {}", self.layout, self.mode));
        }
        if self.constrained_updates && self.sampling.extra.contains_key("grammar") {
            let got = "one in --extra-body beside --constrained-updates";
            return fail("extra-body", "no grammar, for that of updates is made", got.to_owned());
        }
        self.early_stop.validate()?;
        for sampling in [&self.sampling, &self.critic] {
            for (setting, penalty) in [
                ("frequency-penalty", sampling.frequency_penalty),
                ("presence-penalty", sampling.presence_penalty),
            ] {
                if let Some(penalty) = penalty.filter(|penalty| !(-2.0..=2.0).contains(penalty)) {
                    return fail(setting, "a number from -2 to 2", penalty.to_string());
                }
            }
            if let Some(t) = sampling.temperature.filter(|t| !(0.0..=2.0).contains(t)) {
                return fail("temperature", "a number from 0 to 2", t.to_string());
            }
            if let Some(p) = sampling.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
                return fail("top-p", "a number above 0, at most 1", p.to_string());
            }
            if sampling.max_tokens == Some(0) {
                return fail("max-tokens", "at least 1", "0".to_owned());
            }
        }
        Ok(())
    }
}
