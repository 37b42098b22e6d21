//! Scorers of `textgrad-ops` as reward models: programs, checks, functions, graders.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use textgrad_core::{Check, EngineError, truncate};
use textgrad_ops::command::{Run, Runner};
use textgrad_ops::score::{CheckScorer, CommandScorer, Example, Scorer, scorer_fn};
use unicode_segmentation::UnicodeSegmentation;

use super::monitor::{ExpectedScores, ScoreMonitor};
use super::{EngineScope, RewardInfo, RewardModel, engine_error};
use crate::error::Error;
use crate::query::Query;

/// Advice for scores of a program that do not distinguish answers.
const COMMAND_ADVICE: &str = "see whether the program reads the answer, and where its texts stand";

/// A [`Scorer`] as a reward model. The query is the field [`QUERY_FIELD`](Self::QUERY_FIELD) of the example.
///
/// # Examples
/// ```
/// use textgrad_core::check_fn;
/// use tpo::{RewardModel, ScorerReward};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let list = ScorerReward::check(check_fn("a list", |text: &str| match text.starts_with("- ") {
///     true => Ok(()),
///     false => Err("it is no list".to_owned()),
/// }));
/// assert_eq!(list.score(&"?".into(), &["- one", "one"]).await?, [1.0, 0.0]);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ScorerReward {
    scorer: Arc<dyn Scorer>,
    info: RewardInfo,
    monitor: Option<ScoreMonitor>,
}

impl ScorerReward {
    /// Field of the query in the example.
    pub const QUERY_FIELD: &str = "query";

    /// File of the query in the folder of a [`command`](Self::command).
    pub const QUERY_FILE: &str = "query.txt";

    /// A reward by this scorer. Answers are scored one by one, so the failure of one does not lose the others.
    pub fn new(scorer: impl Scorer + 'static) -> Self {
        let info = RewardInfo::new(scorer.name().to_owned())
            .with_identity(scorer.identity())
            .with_simulation(scorer.is_simulation());
        Self { scorer: Arc::new(scorer), info: info.with_batch(1), monitor: None }
    }

    /// A reward by a program: the last line of its standard output is the score.
    ///
    /// The [`Runner`] gives it the answer, on standard input or in a file; the query is in
    /// [`QUERY_FILE`](Self::QUERY_FILE). A program that exits with another code than 0, runs too long or writes no
    /// finite number last is an error that names what it wrote. The name is `command:` and the command line.
    ///
    /// # Errors
    /// [`Error::Ops`] if the runner has a file of that name.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(unix)]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use textgrad_ops::command::Runner;
    /// use tpo::{RewardModel, ScorerReward};
    ///
    /// let script = "echo \"scoring an answer to: $(cat query.txt)\"; wc -c < answer.txt";
    /// let runner = Runner::builder("sh").args(["-c", script]).text_file("answer.txt");
    /// let path = std::env::var("PATH")?;
    /// let reward = ScorerReward::command(runner.env("PATH", path).build()?)?;
    /// assert_eq!(reward.score(&"?".into(), &["four", "seventh"]).await?, [4.0, 7.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn command(runner: Runner) -> Result<Self, Error> {
        let number = |run: &Run| match run.end.is_success() {
            true => run.last_number(),
            false => {
                let written = truncate(run.stderr.text.trim(), 200);
                Err(format!("nothing (standard error: {written:?})"))
            }
        };
        let name = format!("command:{}", runner.command_line());
        let scorer = CommandScorer::builder(runner)
            .name(name)
            .field_file(Self::QUERY_FIELD, Self::QUERY_FILE)
            .try_score_by(number);
        let monitor = Some(ScoreMonitor::new(ExpectedScores::Any, COMMAND_ADVICE));
        Ok(Self { monitor, ..Self::new(scorer.build()?) })
    }

    /// A reward for answers that a [`Check`] holds for, such as a format: 1 if it does, else 0. The name is `check: `
    /// and the rule.
    pub fn check(check: impl Check + 'static) -> Self {
        Self::new(CheckScorer::new(check)).unbatched()
    }

    /// A reward for answers of `least` to `most` words: 0 within the bounds, and minus one for each `slack` words
    /// (at least 1) that are missing or too many. In an [`Ensemble`](super::Ensemble) it keeps a reward model that
    /// favors long answers from being pleased by length alone.
    ///
    /// # Examples
    /// ```
    /// use tpo::{RewardModel, ScorerReward};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let length = ScorerReward::length(2, 3, 2);
    /// let answers = ["two words", "one", "one two three four five"];
    /// assert_eq!(length.score(&"?".into(), &answers).await?, [0.0, -0.5, -1.0]);
    /// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn length(least: usize, most: usize, slack: usize) -> Self {
        let slack = slack.max(1);
        let length = reward_fn("length", move |_, answer: &str| {
            let words = count_words(answer);
            let off = least.saturating_sub(words).max(words.saturating_sub(most));
            // Not -0, which would stand in journals.
            if off == 0 { 0.0 } else { -(off as f64 / slack as f64) }
        });
        let identity = format!("length of {least} to {most} words, slack {slack}");
        Self { info: length.info.with_identity(identity), ..length }
    }

    /// Scores all answers at once: no request is made.
    fn unbatched(self) -> Self {
        Self { info: self.info.with_batch(usize::MAX), ..self }
    }

    /// Replaces the name in journals and reports. The identity stays.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.info.name = name.into().into();
        self
    }

    async fn one(&self, query: &Query, answer: &str) -> Result<f64, EngineError> {
        // Errors name an example by its id.
        let example = Example::new(answer).with_field(Self::QUERY_FIELD, query.text());
        let verdict = self.scorer.score(answer, &example).await;
        let score = verdict.and_then(|verdict| verdict.required()).map_err(engine_error)?;
        Ok(score.as_f64())
    }
}

/// A reward model from a function of the query and one answer. It runs in the search's task: it must return quickly
/// and not wait for anything.
///
/// # Examples
/// ```
/// use tpo::{RewardModel, reward_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let brevity = reward_fn("brevity", |_query, answer: &str| -(answer.len() as f64));
/// assert_eq!(brevity.score(&"why?".into(), &["because", "so"]).await?, [-7.0, -2.0]);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
pub fn reward_fn<F>(name: impl Into<String>, function: F) -> ScorerReward
where
    F: Fn(&str, &str) -> f64 + Send + Sync + 'static,
{
    let scorer = scorer_fn(name, move |answer: &str, example: &Example| {
        Ok(function(example.text(ScorerReward::QUERY_FIELD)?, answer))
    });
    ScorerReward::new(scorer).unbatched()
}

#[async_trait]
impl RewardModel for ScorerReward {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scores = try_join_all(answers.iter().map(|answer| self.one(query, answer))).await?;
        if let Some(monitor) = &self.monitor {
            monitor.observe(self.name(), query, answers, &scores);
        }
        Ok(scores)
    }

    fn bind(&self, scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        let scorer = self.scorer.with_engines(&|engine| scope.engine(engine))?;
        Some(Arc::new(Self { scorer, ..self.clone() }))
    }
}

/// The number of words of a text, by the boundaries of Unicode (UAX #29).
fn count_words(text: &str) -> usize {
    if !text.is_ascii() {
        return text.unicode_words().count();
    }
    // The same rules where they are simple. A mark joins what it stands between: two letters, or two digits.
    let is_joined = |before: u8, mark: u8, after: u8| match mark {
        b'.' | b'\'' if before.is_ascii_digit() => after.is_ascii_digit(),
        b',' | b';' => before.is_ascii_digit() && after.is_ascii_digit(),
        b'.' | b'\'' | b':' => before.is_ascii_alphabetic() && after.is_ascii_alphabetic(),
        _ => mark == b'_',
    };
    let at = |position: usize| text.as_bytes().get(position).copied().unwrap_or_default();
    let (mut words, mut in_word) = (0, false);
    for (position, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() {
            words += usize::from(!in_word);
            in_word = true;
        } else if in_word {
            in_word = is_joined(at(position - 1), byte, at(position + 1));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use textgrad_core::testing::ScriptedEngine;
    use textgrad_core::{Engine, ErrorKind, Request, engine_fn};
    use textgrad_ops::score::LlmJudge;

    use super::*;

    #[test]
    fn words_are_counted_as_unicode_says() {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b"ab1290 _.:,;'-\n\"x\xE9"[(state >> 24) as usize % 18])
        };
        for _ in 0..20_000 {
            let text: String = (0..9).map(|_| next()).collect();
            assert_eq!(count_words(&text), text.unicode_words().count(), "{text:?}");
        }
        assert_eq!(count_words("Don't pay 1,000.50: it's \u{201C}free\u{201D} \u{2014} now."), 6);
    }

    /// A judge that was bound asks the engine of the scope.
    #[tokio::test]
    async fn a_judge_of_ops_is_a_reward_model_of_the_search() {
        let never = engine_fn("judge", |_: Request| async {
            Err(EngineError::new(ErrorKind::Other, "not bound"))
        });
        let judge = ScorerReward::new(LlmJudge::builder(Arc::new(never), "It is short.").build());
        assert_eq!(judge.score(&"q".into(), &["a"]).await.unwrap_err().to_string(), "not bound");
        struct Scope;
        impl EngineScope for Scope {
            fn engine(&self, _: &Arc<dyn Engine>) -> Arc<dyn Engine> {
                Arc::new(ScriptedEngine::new(["<SCORE>8</SCORE>"]))
            }
            fn reward(&self, reward: &Arc<dyn RewardModel>) -> Arc<dyn RewardModel> {
                Arc::clone(reward)
            }
        }
        let bound = judge.bind(&Scope).unwrap();
        assert_eq!(bound.score(&"q".into(), &["a"]).await.unwrap(), [0.8]);
        assert!(reward_fn("none", |_, _: &str| 0.0).bind(&Scope).is_none());
    }

    #[cfg(unix)]
    mod commands {
        use std::time::Duration;

        use super::*;

        async fn score(script: &str, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
            let runner = Runner::builder("/bin/sh").args(["-c", script]);
            let runner = runner.time_limit(Duration::from_millis(300)).build().unwrap();
            ScorerReward::command(runner).unwrap().score(&"$(q)".into(), answers).await
        }

        #[tokio::test]
        async fn the_last_line_is_the_score() {
            let script = "read a; read q < query.txt; test \"$q\" = '$(q)' && echo 5 && echo \" $a \" && echo";
            assert_eq!(score(script, &["-1.5", "2e3"]).await.unwrap(), [-1.5, 2000.0]);
        }

        #[tokio::test]
        async fn what_is_no_score_is_an_error_that_says_what_it_got() {
            for (script, words) in [
                ("echo why >&2; exit 3", &["it exited with code 3", "why"][..]),
                ("true", &["no output"]),
                ("echo good", &["got \"good\""]),
                ("echo NaN", &["got \"NaN\""]),
                ("echo inf", &["got \"inf\""]),
                ("echo 7 points", &["7 points"]),
                ("while :; do :; done", &["did not end within 0.3 s"]),
            ] {
                let error = score(script, &["the answer"]).await.unwrap_err();
                assert!(!error.is_retryable());
                for word in [words, &["the answer"]].concat() {
                    assert!(error.to_string().contains(word), "{script}: {error}");
                }
            }
        }

        #[tokio::test]
        async fn a_program_that_cannot_be_run_is_named() {
            let runner = Runner::builder("./answer.txt").text_file("answer.txt").build().unwrap();
            let reward = ScorerReward::command(runner).unwrap();
            let error = reward.score(&"q".into(), &["a"]).await.unwrap_err();
            assert!(error.to_string().contains("\"./answer.txt\" could not be run"), "{error}");
        }

        #[test]
        fn a_runner_that_has_a_query_file_of_its_own_is_refused() {
            let runner =
                Runner::builder("/bin/sh").file(ScorerReward::QUERY_FILE, "x").build().unwrap();
            let error = ScorerReward::command(runner).unwrap_err();
            assert!(textgrad_core::describe(&error).contains("query.txt"), "{error:?}");
        }
    }
}
