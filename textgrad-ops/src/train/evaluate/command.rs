//! A program as evaluator.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Error as CoreError, Score, truncate};

use super::{Evaluator, Example};
use crate::command::{Run, Runner, could_not_run};
use crate::error::Error;

type ReadNumber = dyn Fn(&Run) -> Option<f64> + Send + Sync;

/// An evaluator that runs a program on the prediction: unit tests, a checker, a grader of one's own.
///
/// The program gets the prediction as its [`Runner`] says, as a file or on standard input, and the example as
/// files beside it:
///
/// | file | |
/// |---|---|
/// | [`expected.txt`](Self::EXPECTED_FILE) | what is expected of an answer, to the letter; not there if nothing is |
/// | [`example.json`](Self::EXAMPLE_FILE) | the whole example: `id`, `fields`, `choices`, `image`, `expected`, `metadata` |
/// | those of [`field_file`](CommandEvaluatorBuilder::field_file) | the text of one field each |
///
/// The prediction is right if the program exits with code 0. With
/// [`score_by_output`](CommandEvaluatorBuilder::score_by_output) or
/// [`score_by`](CommandEvaluatorBuilder::score_by) it has a number instead. What holds of limits, and that this
/// is no sandbox, is in the documentation of [`command`](crate::command).
///
/// The verdict is remembered, so the program must say the same about the same prediction each time.
///
/// # Examples
/// ```
/// # #[cfg(unix)]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use textgrad_ops::command::Runner;
/// use textgrad_ops::train::{CommandEvaluator, Evaluator, Example};
///
/// let tests = Runner::builder("sh")
///     .arg("tests.sh")
///     .text_file("add.sh")
///     .file("tests.sh", ". ./add.sh\n[ \"$(add $(cat numbers.txt))\" = \"$(cat expected.txt)\" ]")
///     .env("PATH", "/usr/bin:/bin")
///     .build()?;
/// let evaluator = CommandEvaluator::builder(tests).field_file("numbers", "numbers.txt").build()?;
/// let example = Example::new("1").with_field("numbers", "2 3").with_expected("5");
/// let verdict = evaluator.evaluate("add() { echo $(( $1 + $2 )); }", &example).await?;
/// assert_eq!(verdict.passed(), Some(true));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct CommandEvaluator(CommandEvaluatorBuilder);

/// Settings of a [`CommandEvaluator`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct CommandEvaluatorBuilder {
    runner: Runner,
    name: String,
    field_files: Vec<(String, String)>,
    number: Option<Arc<ReadNumber>>,
    failed: f64,
}

impl CommandEvaluator {
    /// The file that holds what is expected of an answer.
    pub const EXPECTED_FILE: &'static str = "expected.txt";

    /// The file that holds the whole example.
    pub const EXAMPLE_FILE: &'static str = "example.json";

    /// An evaluator that runs this program.
    pub fn builder(runner: Runner) -> CommandEvaluatorBuilder {
        CommandEvaluatorBuilder {
            name: format!("command {}", runner.command_line()),
            runner,
            field_files: Vec::new(),
            number: None,
            failed: 0.0,
        }
    }

    fn files(&self, example: &Example) -> Result<Vec<(String, Vec<u8>)>, CoreError> {
        let json = serde_json::to_vec(example)
            .map_err(|error| CoreError::op_caused_by("the example cannot be written", error))?;
        let mut files = vec![(Self::EXAMPLE_FILE.to_owned(), json)];
        if let Some(expected) = example.expected() {
            files.push((Self::EXPECTED_FILE.to_owned(), expected.into()));
        }
        for (field, file) in &self.0.field_files {
            files.push((file.clone(), example.text(field)?.into()));
        }
        Ok(files)
    }
}

#[async_trait]
impl Evaluator for CommandEvaluator {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn evaluate(&self, prediction: &str, example: &Example) -> Result<Score, CoreError> {
        let files = self.files(example)?;
        let run = self.0.runner.run_with(prediction, files).await.map_err(could_not_run)?;
        let Some(number) = &self.0.number else { return Ok(run.end.is_success().into()) };
        match number(&run).filter(|number| number.is_finite()) {
            Some(number) => Ok(number.into()),
            None if !run.end.is_success() => Ok(self.0.failed.into()),
            None => Err(CoreError::op(format!(
                "expected the program {:?} to give a finite number for example {:?}, but {} and wrote {:?}",
                self.0.runner.command_line(),
                truncate(example.id(), 80),
                run.end,
                truncate(&run.stdout.text, 80)
            ))),
        }
    }
}

impl CommandEvaluatorBuilder {
    /// What it is called in reports; `command` and the command line unless said otherwise. A run is not
    /// resumed with an evaluator of another name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Puts the text of a field into a file of the program's folder. An example without the field cannot be
    /// evaluated.
    pub fn field_file(mut self, field: impl Into<String>, file: impl Into<String>) -> Self {
        self.field_files.push((field.into(), file.into()));
        self
    }

    /// Reads the score, more is better, from what came of a run. A run that failed, so that there is no
    /// number, has the score of [`failed`](Self::failed); if the program says that all is well (code 0) and
    /// there is none, that is an error.
    pub fn score_by(
        mut self,
        number: impl Fn(&Run) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        self.number = Some(Arc::new(number));
        self
    }

    /// Takes the number that is the last line of standard output, blank lines left out, for the score; else
    /// as [`score_by`](Self::score_by).
    pub fn score_by_output(self) -> Self {
        self.score_by(|run| {
            let last = run.stdout.text.lines().rfind(|line| !line.trim().is_empty())?;
            last.trim().parse().ok()
        })
    }

    /// The score of a prediction on which the program failed without a number; 0 unless said otherwise.
    pub fn failed(mut self, score: f64) -> Self {
        self.failed = score;
        self
    }

    /// The evaluator.
    ///
    /// # Errors
    /// [`Error::Runner`] for a name of a file that leaves the program's folder or is there twice,
    /// [`Error::Setting`] if the score of a failure is not finite.
    pub fn build(self) -> Result<CommandEvaluator, Error> {
        let own = [CommandEvaluator::EXPECTED_FILE, CommandEvaluator::EXAMPLE_FILE];
        let own = own.map(str::to_owned);
        self.runner.check_names(own.iter().chain(self.field_files.iter().map(|(_, file)| file)))?;
        if !self.failed.is_finite() {
            let got = self.failed.to_string();
            return Err(Error::Setting { setting: "failed", expected: "a finite number", got });
        }
        Ok(CommandEvaluator(self))
    }
}

impl fmt::Debug for CommandEvaluatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandEvaluator")
            .field("name", &self.name)
            .field("runner", &self.runner)
            .field("field_files", &self.field_files)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
