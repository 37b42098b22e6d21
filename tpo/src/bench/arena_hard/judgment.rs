//! Judge that plays two games per question, its verdicts, and lines of `model_judgment`.

use std::sync::{Arc, LazyLock};

use futures_util::future::try_join;
use regex::Regex;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use textgrad_core::{Engine, Message, PromptPack, Sampling};
use textgrad_ops::util::reasoning::answer_in;

use super::{Answer, Question};
use crate::bench::grader::Asker;
use crate::bench::records::records;
use crate::error::Error;

/// Which of two answers is better, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Verdict {
    /// A is much better.
    #[strum(to_string = "A>>B", serialize = "B<<A")]
    AMuchBetter,
    /// A is better.
    #[strum(to_string = "A>B", serialize = "B<A")]
    ABetter,
    /// Neither is better.
    #[strum(to_string = "A=B", serialize = "B=A")]
    Tie,
    /// B is better.
    #[strum(to_string = "B>A", serialize = "A<B")]
    BBetter,
    /// B is much better.
    #[strum(to_string = "B>>A", serialize = "A<<B")]
    BMuchBetter,
}

impl Verdict {
    /// The verdict that a label says, either way round; none for something else.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        label.parse().ok()
    }

    /// Its label.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.into()
    }

    /// The verdict of a judgment, letters of any case: the last label in two square brackets, else the last
    /// in one. None if there is none, or if the last is no comparison. Reasoning before the judgment does not count.
    /// Where there is none, labels with marks of Markdown, escapes or entities in them count. One with blanks
    /// is none, as in the official program.
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
        let label = |judgment: &str| {
            let upper = judgment.to_uppercase();
            let last = |pattern: &Regex| {
                let found = pattern.captures_iter(&upper).last()?;
                Some(found.get(1)?.as_str().to_owned())
            };
            PATTERNS.iter().flatten().find_map(last)
        };
        let answer = judgment.get(answer_in(judgment)?)?;
        Self::from_label(&label(answer).or_else(|| label(&without_marks(answer)))?)
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

/// A judgment without marks of Markdown, escapes and entities.
fn without_marks(judgment: &str) -> String {
    let judgment = judgment.replace("&gt;", ">").replace("&lt;", "<").replace('\u{226b}', ">>");
    judgment.replace('\u{226a}', "<<").replace(['*', '_', '`', '\\'], "")
}

impl TryFrom<String> for Verdict {
    type Error = String;

    fn try_from(label: String) -> Result<Self, String> {
        let wrong = || format!("expected a verdict such as A>>B, got {label:?}");
        Self::from_label(&label).ok_or_else(wrong)
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

/// Reads a file of judgments, of this crate or of the official program. `source` is the file's name, for
/// errors.
///
/// # Errors
/// [`Error::Input`] with the line and what was expected.
pub fn read_judgments(source: &str, text: &str) -> Result<Vec<Judgment>, Error> {
    let read = records::<Judgment>(source, text)?;
    Ok(read.into_iter().map(|(_, judgment)| judgment).collect())
}

/// The variables of `duel_system` and `duel`, which word a game.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GameContext<'a> {
    /// The request.
    pub question: &'a str,
    /// The category of the question.
    pub category: &'a str,
    /// Whether the category is one where a judge need not answer the question first.
    pub creative: bool,
    /// The answer in the first position.
    pub answer_a: &'a str,
    /// The answer in the second position.
    pub answer_b: &'a str,
}

/// Compares answers: two games a question, with the positions swapped, as Arena-Hard does. The wording is
/// ours unless a pack brings the official one, and the score depends on the judge: compare only scores of the
/// same judge and wording.
#[derive(Debug, Clone)]
pub struct Judge {
    pub(crate) asker: Asker,
}

impl Judge {
    /// A judge, at temperature 0 and at most 16000 tokens a judgment, as the authors have it for version 2.
    /// The pack needs the [templates](crate::prompts::templates) of this crate.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, prompts: Arc<PromptPack>) -> Self {
        let sampling = Sampling::default().with_temperature(0.0).with_max_tokens(16_000);
        Self { asker: Asker::new(engine, prompts).sampling(sampling) }
    }

    /// Plays both games of a question at the same time. A judgment without a verdict is kept as it is.
    ///
    /// # Errors
    /// [`Error::Input`] if the answers are to another question, else those of the engine and of the templates.
    pub async fn judge(
        &self,
        question: &Question,
        baseline: &Answer,
        answer: &Answer,
    ) -> Result<Judgment, Error> {
        for given in [baseline, answer] {
            if given.uid != question.uid {
                let reason =
                    format!("expected an answer to {:?}, got one to {:?}", question.uid, given.uid);
                return Err(Error::input(&given.model, reason));
            }
        }
        let (first, second) = try_join(
            self.game(question, baseline.text(), answer.text(), 0),
            self.game(question, answer.text(), baseline.text(), 1),
        )
        .await?;
        Ok(Judgment {
            uid: question.uid.clone(),
            category: question.category.clone(),
            judge: self.asker.name().to_owned(),
            model: answer.model.clone(),
            baseline: baseline.model.clone(),
            games: [Some(first), Some(second)],
        })
    }

    async fn game(
        &self,
        question: &Question,
        a: &str,
        b: &str,
        position: u64,
    ) -> Result<Game, Error> {
        let context = GameContext {
            question: &question.prompt,
            category: &question.category,
            creative: question.category == "creative_writing",
            answer_a: a,
            answer_b: b,
        };
        let seed = self.asker.seed.child(&question.uid, 0).child("game", position);
        let (messages, reply) = self.asker.ask(["duel_system", "duel"], &context, seed).await?;
        let is_end = reply.as_ref().is_some_and(|choice| choice.finish_reason.is_end());
        let game = Game::new(&messages, reply.map(|choice| choice.text).unwrap_or_default());
        // The last verdict of a reply that was truncated is not the final one.
        Ok(Game { score: game.score.filter(|_| is_end), ..game })
    }
}

#[cfg(test)]
mod tests;
