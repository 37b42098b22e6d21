//! Lines of `model_judgment`, and verdicts.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};
use textgrad_core::Message;

use crate::bench::records::{jsonl, records};
use crate::error::Error;

/// Which of two answers is better, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Verdict {
    /// `A>>B`.
    AMuchBetter,
    /// `A>B`.
    ABetter,
    /// `A=B`.
    Tie,
    /// `B>A`.
    BBetter,
    /// `B>>A`.
    BMuchBetter,
}

impl Verdict {
    /// The verdict that a label says, either way round; none for something else.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        match label {
            "A>>B" | "B<<A" => Some(Self::AMuchBetter),
            "A>B" | "B<A" => Some(Self::ABetter),
            "A=B" | "B=A" => Some(Self::Tie),
            "B>A" | "A<B" => Some(Self::BBetter),
            "B>>A" | "A<<B" => Some(Self::BMuchBetter),
            _ => None,
        }
    }

    /// Its label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AMuchBetter => "A>>B",
            Self::ABetter => "A>B",
            Self::Tie => "A=B",
            Self::BBetter => "B>A",
            Self::BMuchBetter => "B>>A",
        }
    }

    /// The verdict of a judgment, letters of any case: the last label in two square brackets, else the last
    /// in one. None if there is none, or if the last is no comparison.
    ///
    /// # Examples
    /// ```
    /// use tpo::bench::arena_hard::Verdict;
    ///
    /// let reply = "At first [[A>B]], but then: [[b>>a]]. Not [A=B].";
    /// assert_eq!(Verdict::of(reply), Some(Verdict::BMuchBetter));
    /// ```
    #[must_use]
    pub fn of(judgment: &str) -> Option<Self> {
        static PATTERNS: LazyLock<[Option<Regex>; 2]> = LazyLock::new(|| {
            [r"\[\[([AB<>=]+)\]\]", r"\[([AB<>=]+)\]"].map(|pattern| Regex::new(pattern).ok())
        });
        let upper = judgment.to_uppercase();
        let last = |pattern: &Regex| {
            let found = pattern.captures_iter(&upper).last()?;
            Some(found.get(1)?.as_str().to_owned())
        };
        let label = PATTERNS.iter().flatten().find_map(last)?;
        Self::from_label(&label)
    }

    /// What it gives A, from 0 to 1, and whether it counts more than once.
    pub(super) fn points(self) -> (f64, bool) {
        match self {
            Self::AMuchBetter => (1.0, true),
            Self::ABetter => (1.0, false),
            Self::Tie => (0.5, false),
            Self::BBetter => (0.0, false),
            Self::BMuchBetter => (0.0, true),
        }
    }
}

impl TryFrom<String> for Verdict {
    type Error = String;

    fn try_from(label: String) -> Result<Self, String> {
        let wrong = || format!("expected a verdict such as A>>B, got {label:?}");
        Self::from_label(&label).ok_or_else(wrong)
    }
}

impl From<Verdict> for &'static str {
    fn from(verdict: Verdict) -> Self {
        verdict.label()
    }
}

/// One game: two answers, one judgment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Game {
    /// The verdict; none if the judge gave none.
    pub score: Option<Verdict>,
    judgment: Said,
    prompt: Vec<PromptTurn>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    answer: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PromptTurn {
    role: String,
    content: String,
}

impl Game {
    /// A game from the request and the reply of the judge.
    #[must_use]
    pub fn new(prompt: &[Message], judgment: impl Into<String>) -> Self {
        let judgment = judgment.into();
        let turn = |message: &Message| PromptTurn {
            role: message.role.as_str().to_owned(),
            content: message.text(),
        };
        Self {
            score: Verdict::of(&judgment),
            judgment: Said { answer: judgment },
            prompt: prompt.iter().map(turn).collect(),
        }
    }

    /// The reply of the judge.
    #[must_use]
    pub fn judgment(&self) -> &str {
        &self.judgment.answer
    }
}

/// What was judged of one question: one line of `model_judgment/<judge>/<model>.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgment {
    /// The question.
    pub uid: String,
    /// Its category.
    pub category: String,
    /// The judge.
    pub judge: String,
    /// The model.
    pub model: String,
    /// What it is compared with.
    pub baseline: String,
    /// The first with the baseline's answer as A, the second with the model's; a game that was not played is
    /// null in a file.
    pub games: [Option<Game>; 2],
}

impl Judgment {
    /// Both verdicts, where both games have one; else the question is left out of the score.
    #[must_use]
    pub fn verdicts(&self) -> Option<[Verdict; 2]> {
        let [first, second] = self.games.each_ref().map(|game| game.as_ref()?.score);
        Some([first?, second?])
    }
}

/// The text of a file of judgments.
///
/// # Errors
/// None in practice.
pub fn write_judgments(judgments: &[Judgment]) -> Result<String, Error> {
    jsonl(judgments)
}

/// Reads a file of judgments, of this crate or of the official program. `source` is the file's name, for
/// errors.
///
/// # Errors
/// [`Error::Input`] with the line and what was expected.
pub fn read_judgments(source: &str, text: &str) -> Result<Vec<Judgment>, Error> {
    let read = records::<Judgment>(source, text)?;
    Ok(read.into_iter().map(|(_, judgment)| judgment).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_verdict_in_two_brackets_counts() {
        for (reply, verdict) in [
            ("[[A>B]] then [[B>A]]", Some(Verdict::BBetter)),
            ("my verdict is: [[a>>b]]", Some(Verdict::AMuchBetter)),
            ("[[A=B]] ... [B>A]", Some(Verdict::Tie)),
            ("[A>B] or rather [B>>A]", Some(Verdict::BMuchBetter)),
            ("[[B<<A]]", Some(Verdict::AMuchBetter)),
            ("[[A<B]]", Some(Verdict::BBetter)),
            ("A>B", None),
            ("[[C>B]]", None),
            // A verdict that is no comparison is none, also after one that is.
            ("[[A>B]] [[A]]", None),
            ("", None),
        ] {
            assert_eq!(Verdict::of(reply), verdict, "{reply}");
        }
    }

    #[test]
    fn files_of_the_official_program_are_read() {
        let line = r#"{"uid":"u","category":"hard_prompt","judge":"j","model":"m","baseline":"b","games":[{"score":"A<<B","judgment":{"answer":"x"},"prompt":[{"role":"user","content":"p"}]},null]}"#;
        let judgments = read_judgments("f", line).unwrap();
        assert_eq!(judgments[0].verdicts(), None);
        let first = judgments[0].games[0].as_ref().unwrap();
        assert_eq!((first.score, first.judgment()), (Some(Verdict::BMuchBetter), "x"));
        let error = read_judgments("f", &line.replace("A<<B", "A")).unwrap_err().to_string();
        assert!(error.contains("expected a verdict such as A>>B, got \"A\""), "{error}");
        let back = read_judgments("f", &write_judgments(&judgments).unwrap()).unwrap();
        assert_eq!(back, judgments);
    }
}
