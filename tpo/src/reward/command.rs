//! A program as reward model.

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;
use textgrad_core::{EngineError, ErrorKind, truncate};
use textgrad_ops::command::{Run, Runner};

use super::RewardModel;
use super::sanity::{Expected, Sanity};
use crate::query::Query;

/// The most of a program's output that an error shows, in characters.
const SHOWN: usize = 200;

/// What to look at if scores do not tell answers apart.
const ADVICE: &str = "see whether the program reads the answer, and where its texts stand";

/// A reward from a program: it is run on each answer, and the last line that it writes to standard output is
/// the score.
///
/// The answer is where the [`Runner`] puts its text: on standard input, or in a file. The query is in the file
/// [`QUERY_FILE`](Self::QUERY_FILE) of the program's folder. A program that ends with another code than 0,
/// runs too long or writes no finite number last is an error that names what came: it is no score.
///
/// # Examples
/// ```
/// # #[cfg(unix)]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use textgrad_ops::command::Runner;
/// use tpo::{CommandReward, RewardModel};
///
/// let script = "echo \"scoring an answer to: $(cat query.txt)\"; wc -c < answer.txt";
/// let runner = Runner::builder("sh").args(["-c", script]).text_file("answer.txt");
/// let path = std::env::var("PATH")?;
/// let reward = CommandReward::new(runner.env("PATH", path).build()?);
/// assert_eq!(reward.score(&"?".into(), &["four", "seventh"]).await?, [4.0, 7.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct CommandReward {
    name: String,
    runner: Runner,
    sanity: Sanity,
}

impl CommandReward {
    /// The file that holds the query, as prompts show it.
    pub const QUERY_FILE: &str = "query.txt";

    /// A reward by this program. Its name is `command:` and the command line, unless said otherwise.
    #[must_use]
    pub fn new(runner: Runner) -> Self {
        let sanity = Sanity::new(Expected::any(ADVICE));
        Self { name: format!("command:{}", runner.command_line()), runner, sanity }
    }

    /// The name in journals and reports.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    async fn of(&self, query: &Query, answer: &str) -> Result<f64, EngineError> {
        let file = (Self::QUERY_FILE.to_owned(), query.text().as_bytes().to_vec());
        let run = self.runner.run_with(answer, [file]).await;
        let run = run.map_err(|error| {
            let message = format!("the program {} could not be run", self.runner.command_line());
            EngineError::new(ErrorKind::Other, message).with_source(error).with_retryable(false)
        })?;
        number(&run).map_err(|got| {
            let message = format!(
                "expected a finite number as the last line of {}, got {got}, for the answer {:?}",
                self.runner.command_line(),
                truncate(answer, 80)
            );
            EngineError::new(ErrorKind::BadResponse, message).with_retryable(false)
        })
    }
}

/// The number in the last line that is not empty, or what came instead.
fn number(run: &Run) -> Result<f64, String> {
    if !run.end.is_success() {
        let said = truncate(run.stderr.text.trim(), SHOWN);
        return Err(format!("none: {}; standard error: {said:?}", run.end));
    }
    let last = run.stdout.text.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.ok_or_else(|| "no output".to_owned())?.trim();
    let number = last.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("{:?}", truncate(last, SHOWN)))
}

#[async_trait]
impl RewardModel for CommandReward {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> Cow<'_, str> {
        format!("{} ({})", self.name, self.runner.command_line()).into()
    }

    /// One: each is a run of its own, so the failure of one does not lose the others.
    fn batch(&self) -> usize {
        1
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let runs = answers.iter().map(|answer| self.of(query, answer));
        let scores = futures_util::future::try_join_all(runs).await?;
        self.sanity.look_at(&self.name, query, answers, &scores);
        Ok(scores)
    }
}

impl fmt::Debug for CommandReward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandReward")
            .field("name", &self.name)
            .field("runner", &self.runner)
            .finish()
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn score(script: &str, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let runner = Runner::builder("/bin/sh").args(["-c", script]);
        let runner = runner.time_limit(Duration::from_millis(300)).build().unwrap();
        CommandReward::new(runner).score(&"$(q)".into(), answers).await
    }

    #[tokio::test]
    async fn the_last_line_is_the_score() {
        let script =
            "read a; read q < query.txt; test \"$q\" = '$(q)' && echo 5 && echo \" $a \" && echo";
        assert_eq!(score(script, &["-1.5", "2e3"]).await.unwrap(), [-1.5, 2000.0]);
    }

    #[tokio::test]
    async fn what_is_no_score_is_an_error_that_says_what_came() {
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
    async fn a_program_that_is_not_there_is_named() {
        let runner = Runner::builder("/no/such/program").build().unwrap();
        let error = CommandReward::new(runner).score(&"q".into(), &["a"]).await.unwrap_err();
        assert!(error.to_string().contains("/no/such/program could not be run"), "{error}");
    }

    #[tokio::test]
    async fn a_runner_that_has_a_query_file_of_its_own_is_refused() {
        let runner =
            Runner::builder("/bin/sh").file(CommandReward::QUERY_FILE, "x").build().unwrap();
        let error = CommandReward::new(runner).score(&"q".into(), &["a"]).await.unwrap_err();
        assert!(textgrad_core::describe(&error).contains("query.txt"), "{error:?}");
    }
}
