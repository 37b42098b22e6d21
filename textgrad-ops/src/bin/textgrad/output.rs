//! Standard output, failures and exit codes.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use textgrad_ops::util::terminal::{escape_json, note};

use serde::Serialize;

/// Exit code of work that failed.
pub(crate) const FAILED: u8 = 1;
/// Exit code of wrong input, which is also what a wrong command line gives.
const BAD_INPUT: u8 = 2;

/// Why the program ends before its work is done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What it was given cannot be used.
    Input(Box<dyn Error>),
    /// What it was to do failed.
    Work(Box<dyn Error>),
    /// What it has to say cannot be written.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    pub(crate) fn input(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Input(error.into())
    }

    pub(crate) fn work(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Work(error.into())
    }

    /// Says it, and with which code to end.
    pub(crate) fn report(self) -> ExitCode {
        let (text, code) = match self {
            // Whoever reads the output has seen enough, as in `textgrad cache list FILE | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Output(error) => (format!("standard output: cannot be written: {error}"), FAILED),
            Self::Work(error) => (textgrad_core::describe(&*error), FAILED),
            Self::Input(error) => (textgrad_core::describe(&*error), BAD_INPUT),
        };
        note(format_args!("error: {text}"));
        ExitCode::from(code)
    }
}

/// Prints a completion script of the program.
pub(crate) fn completions(
    shell: clap_complete::Shell,
    command: &mut clap::Command,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "textgrad", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    Ok(out.flush()?)
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", escape_json(&text))?;
    Ok(out.flush()?)
}
