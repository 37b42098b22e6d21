//! Programs as scorers.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use textgrad_core::{Error as CoreError, truncate};

use super::{Example, Scorer, Verdict};
use crate::command::{Run, Runner};
use crate::error::Error;
use crate::prompts::{CommandContext, Prompts};

type ReadNumber = dyn Fn(&Run) -> Result<f64, String> + Send + Sync;

/// A program as a scorer: unit tests, a compiler, a linter, a simulator, a grader.
///
/// The [`Runner`] gives the text to the program, as a file or on standard input. The text passes if the program
/// exits with code 0; with [`score_by`](CommandScorerBuilder::score_by) and its like the score is a number
/// instead. The report holds the exit and the output (template `command_report`), the feedback on a text on
/// which the program failed as well (template `command_feedback`).
///
/// Files of the example are written beside the text on demand:
///
/// | file | content | written by |
/// |---|---|---|
/// | [`expected.txt`](Self::EXPECTED_FILE) | the expected answer, if the example has one | [`example_files`](CommandScorerBuilder::example_files) |
/// | [`example.json`](Self::EXAMPLE_FILE) | `id`, `fields`, `choices`, `image`, `expected`, `metadata` | [`example_files`](CommandScorerBuilder::example_files) |
/// | any name | the text of one field | [`field_file`](CommandScorerBuilder::field_file) |
///
/// [`command`](crate::command) documents the limits of a run. It is no sandbox.
///
/// # Examples
/// ```
/// # #[cfg(unix)]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use textgrad_ops::command::Runner;
/// use textgrad_ops::score::{CommandScorer, Example, Scorer};
///
/// let tests = Runner::builder("sh")
///     .arg("tests.sh")
///     .text_file("add.sh")
///     .file("tests.sh", ". ./add.sh\n[ \"$(add $(cat numbers.txt))\" = \"$(cat expected.txt)\" ]")
///     .env("PATH", "/usr/bin:/bin")
///     .build()?;
/// let tests = CommandScorer::builder(tests).example_files().field_file("numbers", "numbers.txt").build()?;
/// let example = Example::new("1").with_field("numbers", "2 3").with_expected("5");
/// let verdict = tests.score("add() { echo $(( $1 + $2 )); }", &example).await?;
/// assert_eq!(verdict.passed(), Some(true));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct CommandScorer(Arc<CommandScorerBuilder>);

/// Settings of a [`CommandScorer`].
#[derive(Clone, Setters)]
#[setters(generate = false)]
#[must_use = "a builder does nothing until it builds"]
pub struct CommandScorerBuilder {
    runner: Runner,
    /// The name in reports. Default: `command` and the command line.
    #[setters(generate, into)]
    name: String,
    /// The purpose of the program in words. Default: its command line.
    #[setters(generate, into)]
    purpose: String,
    /// The role of the verdict. Default: [`CommandScorer::ROLE`].
    #[setters(generate, into)]
    role: String,
    /// The templates of report and feedback.
    #[setters(generate, into)]
    prompts: Prompts,
    /// Writes [`EXPECTED_FILE`](CommandScorer::EXPECTED_FILE) and [`EXAMPLE_FILE`](CommandScorer::EXAMPLE_FILE)
    /// into the program's folder.
    #[setters(generate, bool)]
    example_files: bool,
    field_files: Vec<(String, String)>,
    number: Option<Arc<ReadNumber>>,
    /// The score of a text on which the program failed without a number. Default: no score.
    #[setters(generate, strip_option)]
    failed: Option<f64>,
}

impl CommandScorer {
    /// File of the expected answer.
    pub const EXPECTED_FILE: &'static str = "expected.txt";

    /// File of the whole example.
    pub const EXAMPLE_FILE: &'static str = "example.json";

    /// Default role of the verdict.
    pub const ROLE: &'static str = "result of running a program on a text";

    /// A scorer that runs this program.
    pub fn builder(runner: Runner) -> CommandScorerBuilder {
        let command = runner.command_line();
        let input = match runner.text_file() {
            Some(file) => format!("the text as the file {file}"),
            None => "the text on its standard input".to_owned(),
        };
        CommandScorerBuilder {
            name: format!("command {command}"),
            purpose: format!("runs `{command}` with {input}"),
            role: Self::ROLE.to_owned(),
            runner,
            prompts: Prompts::default(),
            example_files: false,
            field_files: Vec::new(),
            number: None,
            failed: None,
        }
    }

    fn files(&self, example: &Example) -> Result<Vec<(String, Vec<u8>)>, CoreError> {
        let mut files = Vec::new();
        if self.0.example_files {
            let json = serde_json::to_vec(example)
                .map_err(|error| CoreError::op_caused_by("the example cannot be written", error))?;
            files.push((Self::EXAMPLE_FILE.to_owned(), json));
            let expected = example.expected();
            files.extend(expected.map(|text| (Self::EXPECTED_FILE.to_owned(), text.into())));
        }
        for (field, file) in &self.0.field_files {
            files.push((file.clone(), example.text(field)?.into()));
        }
        Ok(files)
    }

    fn verdict(&self, run: &Run, example: &Example) -> Verdict {
        let Some(number) = &self.0.number else { return run.end.is_success().into() };
        let finite = |number: f64| match number.is_finite() {
            true => Ok(number),
            false => Err(format!("{:?}", number.to_string())),
        };
        match (number(run).and_then(finite), self.0.failed) {
            (Ok(number), _) => number.into(),
            (Err(_), Some(failed)) if !run.end.is_success() => failed.into(),
            (Err(got), _) => Verdict::without_score(format!(
                "expected the program {:?} to print a finite number for example {}, got {got}: {} and printed {:?}",
                self.0.runner.command_line(),
                example.quoted_id(),
                run.end,
                truncate(&run.stdout.text, 80)
            )),
        }
    }
}

#[async_trait]
impl Scorer for CommandScorer {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{} ({})", self.0.name, self.0.runner.command_line()))
    }

    fn purpose(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.purpose)
    }

    fn role(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.role)
    }

    /// # Errors
    /// [`CoreError::Op`] if the program could not be run, or the example lacks a field. A program that fails, or
    /// runs too long, is no error but the verdict.
    async fn score(&self, text: &str, example: &Example) -> Result<Verdict, CoreError> {
        let files = self.files(example)?;
        let run = self.0.runner.run_with(text, files).await.map_err(could_not_run)?;
        let context = CommandContext::new(&self.0.purpose, &run);
        let report = self.0.prompts.render("command_report", &context)?;
        let verdict = self.verdict(&run, example).with_report(report);
        if run.end.is_success() {
            return Ok(verdict);
        }
        Ok(verdict.with_rendered_feedback(self.0.prompts.render("command_feedback", &context)))
    }
}

/// The failure to run a program, as an error of the core.
fn could_not_run(error: Error) -> CoreError {
    match error {
        Error::Command { program, source } => {
            CoreError::op_caused_by(format!("the program {program:?} could not be run"), source)
        }
        error => CoreError::op_caused_by("the program could not be run", error),
    }
}

impl CommandScorerBuilder {
    /// Writes the text of a field into a file of the program's folder. An example without the field cannot be
    /// scored.
    pub fn field_file(mut self, field: impl Into<String>, file: impl Into<String>) -> Self {
        self.field_files.push((field.into(), file.into()));
        self
    }

    /// Reads the score, higher is better, from a run: the share of tests that passed, a speed. Without a finite
    /// number the verdict has no score, unless the run failed and [`failed`](Self::failed) is set.
    pub fn score_by(self, number: impl Fn(&Run) -> Option<f64> + Send + Sync + 'static) -> Self {
        self.try_score_by(move |run| number(run).ok_or_else(|| "none".to_owned()))
    }

    /// Reads the score from a run, as [`score_by`](Self::score_by) does; the error is what was found instead.
    /// [`Run::last_number`] is that of standard output.
    pub fn try_score_by(
        mut self,
        number: impl Fn(&Run) -> Result<f64, String> + Send + Sync + 'static,
    ) -> Self {
        self.number = Some(Arc::new(number));
        self
    }

    /// Builds the scorer.
    ///
    /// # Errors
    /// [`Error::Runner`] for a file name that leaves the program's folder or occurs twice, [`Error::Setting`] if
    /// the score of a failure is not finite.
    pub fn build(self) -> Result<CommandScorer, Error> {
        let own = [CommandScorer::EXPECTED_FILE, CommandScorer::EXAMPLE_FILE].map(str::to_owned);
        let own = own.iter().filter(|_| self.example_files);
        self.runner.check_names(own.chain(self.field_files.iter().map(|(_, file)| file)))?;
        if let Some(failed) = self.failed.filter(|failed| !failed.is_finite()) {
            let got = failed.to_string();
            return Err(Error::Setting { setting: "failed", expected: "a finite number", got });
        }
        Ok(CommandScorer(Arc::new(self)))
    }
}

textgrad_core::debug_by!(CommandScorerBuilder { name, runner, field_files, failed });
