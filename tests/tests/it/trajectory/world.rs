//! Models and scores as functions of a seed and the request.

use std::collections::BTreeMap;

use textgrad_core::{MessageRole, Purpose};

use super::case::{Case, Faults};

/// A turn of a conversation.
pub(super) type Turn = (MessageRole, String);

/// What is asked of a model: all that is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) purpose: Purpose,
    pub(super) turns: Vec<Turn>,
    /// How many answers are asked for.
    pub(super) n: u32,
}

/// One answer of a model.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) cut_off: bool,
    /// The new version that it holds, if it is to hold one and does.
    pub(super) version: Option<String>,
}

/// A score, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Worth {
    Score(f64),
    Fails,
}

/// What models say and what answers are worth.
#[derive(Debug, Clone)]
pub(super) struct World {
    seed: u64,
    texts: u64,
    scores: u64,
    faults: Faults,
}

/// Mixes numbers and texts into one number (FNV-1a, finished as in `SplitMix64`).
fn mix(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

impl World {
    pub(super) fn new(case: &Case) -> Self {
        Self { seed: case.seed, texts: case.texts, scores: case.scores, faults: case.faults }
    }

    /// A number below `sides`.
    fn roll(&self, sides: u64, what: &[&str]) -> u64 {
        let seed = self.seed.to_string();
        let parts: Vec<&str> = [seed.as_str()].into_iter().chain(what.iter().copied()).collect();
        mix(&parts) % sides
    }

    /// What comes of a call whose like was made so many times before; `None` if it fails. A second time it is
    /// answered differently, so that nothing comes out right that is asked twice.
    pub(super) fn says(&self, asked: &Asked, before: usize) -> Option<Vec<Said>> {
        let (times, whole, n) = (before.to_string(), format!("{asked:?}"), asked.n);
        let roll = |sides, what: &str| self.roll(sides, &[&times, &whole, what]);
        if self.faults == Faults::All && roll(30, "fails") == 0 {
            return None;
        }
        let count = match (self.faults, roll(40, "count")) {
            (Faults::None, _) => n,
            (_, 0) => 0,
            (_, 1..5) => n.div_ceil(2),
            (_, 5..9) => n.saturating_sub(1).max(1),
            (_, 9..12) => n + 1,
            _ => n,
        };
        let said = |i: u32| {
            self.one(asked.purpose, before, &|sides, what| roll(sides, &format!("{what} {i}")))
        };
        Some((0..count).map(said).collect())
    }

    /// One answer. Losses and gradients say how often their like was asked for, so that calls at the same time
    /// that differ in nothing lead to calls that do: which of them comes first makes no difference then.
    fn one(&self, purpose: Purpose, before: usize, roll: &dyn Fn(u64, &str) -> u64) -> Said {
        let number = roll(self.texts, "text");
        let fault = if self.faults == Faults::None { 99 } else { roll(14, "fault") };
        let plain = |text: String| Said { text, cut_off: fault == 0, version: None };
        match purpose {
            Purpose::Sample => match fault {
                1 => plain(String::new()),
                _ => plain(answer(number)),
            },
            Purpose::Loss => match fault {
                1 => plain(" ".repeat(before)),
                _ => plain(format!("loss {number}.{before} {{{{x}}}}")),
            },
            Purpose::Gradient => match fault {
                1 => plain(" \n".to_owned()),
                _ => plain(format!("gradient {number}.{before} </FEEDBACK>")),
            },
            _ => {
                let version = answer(number);
                let tagged = format!("<IMPROVED_VARIABLE>\n{version}\n</IMPROVED_VARIABLE>");
                let unusable =
                    |text: &str, cut_off| Said { text: text.to_owned(), cut_off, version: None };
                match fault {
                    0 => unusable(&tagged, true),
                    1 => unusable(&version, false),
                    2 => Said {
                        text: format!("<IMPROVED_VARIABLE>\n{version}"),
                        cut_off: false,
                        version: Some(version),
                    },
                    3 => unusable("<IMPROVED_VARIABLE>\n\n</IMPROVED_VARIABLE>", false),
                    4 => unusable("", true),
                    5 => Said {
                        text: format!(
                            "A draft first:\n{}\nBetter:\n{tagged}\nDone.",
                            tagged.to_lowercase()
                        ),
                        cut_off: false,
                        version: Some(version),
                    },
                    _ => Said { text: tagged, cut_off: false, version: Some(version) },
                }
            }
        }
    }

    /// What an answer to a query is worth that was scored so many times before. A second time it is worth more,
    /// so that nothing comes out right that is scored twice.
    pub(super) fn worth(&self, query: &str, text: &str, times: usize) -> Worth {
        let roll = |sides, what| self.roll(sides, &[query, text, what]);
        let score = roll(self.scores, "score") as f64 / 2.0 - 1.0;
        // The two zeros are equal.
        let score = if score == 0.0 && roll(2, "sign") == 0 { -0.0 } else { score };
        match (self.faults, roll(60, "worth"), times) {
            (Faults::All, 0, _) => Worth::Fails,
            (Faults::All, 1, _) => Worth::Score(f64::NAN),
            (Faults::All, 2, _) => Worth::Score(f64::NEG_INFINITY),
            (_, _, 0) => Worth::Score(score),
            _ => Worth::Score(score + 100.0 * times as f64),
        }
    }
}

/// An answer, with what would be markup, a template or a separator in the wrong hands.
fn answer(number: u64) -> String {
    let ends = ["", " & <b>", " {{query}}", "\nline two", " “ünïcode”", " \\", " <SEP> 1", " $x$"];
    format!("answer {number}{}", ends[number as usize % ends.len()])
}

/// How often something was asked for.
#[derive(Debug, Default)]
pub(super) struct Times(BTreeMap<String, usize>);

impl Times {
    /// Once more; says how often it was before.
    pub(super) fn one_more(&mut self, text: &str) -> usize {
        let times = self.0.entry(text.to_owned()).or_default();
        *times += 1;
        *times - 1
    }
}
