//! How a program ended.

use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use textgrad_core::truncate;

use super::Captured;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It ended by itself, with this code; 0 is success.
    Exited(i32),
    /// Something ended it by this signal.
    Signalled(i32),
    /// It ran longer than this and was killed.
    TimedOut(Duration),
}

impl End {
    pub(super) fn of(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Self::Exited(code),
            None => Self::Signalled(signal(status)),
        }
    }

    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.signal().unwrap_or_default()
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> i32 {
    0
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "it exited with code {code}"),
            Self::Signalled(signal) => write!(f, "it was killed by signal {signal}"),
            Self::TimedOut(limit) => {
                write!(f, "it did not end within {} s and was killed", limit.as_secs_f64())
            }
        }
    }
}

/// What came of running a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// What it wrote to standard output.
    pub stdout: Captured,
    /// What it wrote to standard error.
    pub stderr: Captured,
}

impl Run {
    /// The number in the last line of standard output that is not blank.
    ///
    /// # Errors
    /// What was found instead, in words.
    pub fn last_number(&self) -> Result<f64, String> {
        let last = self.stdout.text.lines().rfind(|line| !line.trim().is_empty());
        let last = last.ok_or_else(|| "no output".to_owned())?.trim();
        last.parse().map_err(|_| format!("{:?}", truncate(last, 200)))
    }
}
