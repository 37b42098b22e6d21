//! What models say and what answers are worth: functions of a seed and of what is asked.

use std::collections::BTreeMap;

use tpo::{Accept, Mode};

/// One random search.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) mode: Mode,
    pub(super) accept: Accept,
    pub(super) faults: Faults,
    pub(super) iterations: u32,
    pub(super) samples: u32,
    pub(super) reasks: u32,
    /// How many answers are scored together.
    pub(super) batch: usize,
    /// How many different answers there are.
    pub(super) texts: u64,
    /// How many different scores there are.
    pub(super) scores: u64,
    pub(super) seed: u64,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Faults {
    None,
    /// Answers are missing, superfluous, empty, cut off or without tags.
    OfAnswers,
    /// Calls and scores fail too.
    All,
}

/// What is asked of a model, whatever the words.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Answers { query: String },
    Loss { query: String, rejected: Option<String>, chosen: String },
    Gradient { of: Box<Asked>, loss: String },
    Versions { of: Box<Asked>, gradient: String, again: bool },
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
    /// The world of one query.
    pub(super) fn new(case: &Case, place: u64) -> Self {
        let seed = mix(&[&case.seed.to_string(), &place.to_string()]);
        Self { seed, texts: case.texts, scores: case.scores, faults: case.faults }
    }

    /// A number below `sides`.
    fn roll(&self, sides: u64, what: &[&str]) -> u64 {
        let seed = self.seed.to_string();
        let parts: Vec<&str> = [seed.as_str()].into_iter().chain(what.iter().copied()).collect();
        mix(&parts) % sides
    }

    /// What comes of the `call`th call of a search, which asks for `n` answers; `None` if it fails.
    pub(super) fn says(&self, call: usize, asked: &Asked, n: u32) -> Option<Vec<Said>> {
        let (call, whole) = (call.to_string(), format!("{asked:?}"));
        let roll = |sides, what: &str| self.roll(sides, &[&call, &whole, what]);
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
        let said = |i: u32| self.one(asked, &|sides, what| roll(sides, &format!("{what} {i}")));
        Some((0..count).map(said).collect())
    }

    fn one(&self, asked: &Asked, roll: &dyn Fn(u64, &str) -> u64) -> Said {
        let number = roll(self.texts, "text");
        let fault = if self.faults == Faults::None { 99 } else { roll(14, "fault") };
        let plain = |text: String| Said { text, cut_off: fault == 0, version: None };
        match asked {
            Asked::Answers { .. } => match fault {
                1 => plain(String::new()),
                _ => plain(answer(number)),
            },
            Asked::Loss { .. } => match fault {
                1 => plain(String::new()),
                _ => plain(format!("loss {number} {{{{x}}}}")),
            },
            Asked::Gradient { .. } => match fault {
                1 => plain(" \n".to_owned()),
                _ => plain(format!("gradient {number} </FEEDBACK>")),
            },
            Asked::Versions { .. } => {
                let version = answer(number);
                let tagged = format!("<IMPROVED_VARIABLE>\n{version}\n</IMPROVED_VARIABLE>");
                let unusable =
                    |text: &str, cut_off| Said { text: text.to_owned(), cut_off, version: None };
                match fault {
                    0 => unusable(&tagged, true),
                    1 => unusable(&version, false),
                    2 => unusable(&format!("<IMPROVED_VARIABLE>\n{version}"), false),
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

    /// What an answer is worth that was scored so many times before. A second time it is worth more, so that
    /// nothing comes out right that is scored twice.
    pub(super) fn worth(&self, text: &str, times: usize) -> Worth {
        let roll = |sides, what| self.roll(sides, &[text, what]);
        let score = roll(self.scores, "score") as f64 - 1.5 + 100.0 * times as f64;
        match (self.faults, roll(60, "worth")) {
            (Faults::All, 0) => Worth::Fails,
            (Faults::All, 1) => Worth::Score(f64::NAN),
            (Faults::All, 2) => Worth::Score(f64::NEG_INFINITY),
            _ => Worth::Score(score),
        }
    }
}

/// An answer, with what would be markup, a template or a separator in the wrong hands.
fn answer(number: u64) -> String {
    let ends = ["", " & <b>", " {{query}}", "\nline two", " “ünïcode”", " \\", " <SEP> 1", " $x$"];
    format!("answer {number}{}", ends[number as usize % ends.len()])
}

/// How often each text was scored.
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
