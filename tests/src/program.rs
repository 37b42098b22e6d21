//! Programs, run as processes.
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// No run of a test takes long; one that does is ended, and its test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A run in the background, which ends with the test.
#[derive(Debug)]
pub struct Running(Option<Child>);

impl Running {
    /// Starts a program.
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    /// Kills it, without a chance to do anything more.
    pub fn kill(&mut self) {
        self.0.as_mut().unwrap().kill().unwrap();
    }

    /// Waits for its end. What it writes fits the pipes: tests do not log.
    pub fn end(mut self) -> Ended {
        let begun = Instant::now();
        while self.0.as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "the program does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }
}

/// A program that was started already, both of its outputs piped.
impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self(Some(child))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a run left.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none if it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    #[track_caller]
    /// The same, if it ended with this code.
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// A failure before anything was done: nothing on standard output, and an error that says this.
    #[track_caller]
    pub fn refused(self, words: &[&str]) {
        let ended = self.with_code(2);
        assert_eq!(ended.out, "");
        for word in words {
            assert!(ended.err.contains(word), "{word:?} is missing in: {}", ended.err);
        }
    }
}
