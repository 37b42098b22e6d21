//! Results of a run: the end of the program, and its output up to a bound.

use std::collections::VecDeque;
use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use textgrad_core::truncate;
use tokio::io::{AsyncRead, AsyncReadExt};

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

/// What a program wrote to one stream: all of it, or its beginning and its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The text. Bytes that are not UTF-8 are replaced; where some were left out, it says so in their place.
    pub text: String,
    /// How many bytes were left out.
    pub left_out: u64,
}

impl Captured {
    /// With `.` for the folder: its name is another one each time, and equal runs are to say equal things, so
    /// that caches and recordings know the requests that quote them.
    pub(super) fn with_relative_paths(mut self, folder: &str) -> Self {
        if !folder.is_empty() {
            self.text = self.text.replace(folder, ".");
        }
        self
    }
}

/// The beginning and the end of a stream.
pub(super) struct Capture {
    head: Vec<u8>,
    head_limit: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    left_out: u64,
}

impl Capture {
    /// Keeps `limit` bytes at most, half of them from the end: a compiler says the most first, tests last.
    pub(super) fn new(limit: usize) -> Self {
        let tail_limit = limit / 2;
        Self {
            head: Vec::new(),
            head_limit: limit - tail_limit,
            tail: VecDeque::new(),
            tail_limit,
            left_out: 0,
        }
    }

    /// Reads a stream to its end. What was read is kept if the future is dropped.
    pub(super) async fn fill(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 8 * 1024];
        // A pipe that cannot be read any more has ended, whatever the reason.
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            self.take(buffer.get(..read).unwrap_or_default());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = self.head_limit - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.tail_limit);
        self.tail.drain(..excess);
        self.left_out += excess as u64;
    }

    pub(super) fn finish(mut self) -> Captured {
        let left_out = self.left_out;
        if left_out == 0 {
            self.head.extend(self.tail);
            return Captured { text: String::from_utf8_lossy(&self.head).into_owned(), left_out };
        }
        // A character that was cut in two shows as a replacement at the cut.
        let head = String::from_utf8_lossy(&self.head);
        let head = head.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let tail = String::from_utf8_lossy(self.tail.make_contiguous());
        let tail = tail.trim_start_matches(char::REPLACEMENT_CHARACTER);
        Captured { text: format!("{head}\n[{left_out} bytes left out]\n{tail}"), left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, pieces: &[&[u8]]) -> Captured {
        let mut capture = Capture::new(limit);
        pieces.iter().for_each(|piece| capture.take(piece));
        capture.finish()
    }

    #[test]
    fn all_is_kept_up_to_the_bound() {
        assert_eq!(captured(6, &[b"abc", b"def"]), Captured { text: "abcdef".into(), left_out: 0 });
        let cut = captured(6, &[b"abc", b"defg", b"", b"hij"]);
        assert_eq!(cut, Captured { text: "abc\n[4 bytes left out]\nhij".into(), left_out: 4 });
        assert_eq!(captured(0, &[b"ab"]).left_out, 2);
        assert_eq!(captured(1, &[b"ab"]).text, "a\n[1 bytes left out]\n");
    }

    #[test]
    fn characters_are_not_cut_in_two() {
        let cut = captured(8, &["äääääääää".as_bytes()]);
        assert_eq!(cut.text, "ää\n[10 bytes left out]\nää");
        let cut = captured(6, &["äääääääää".as_bytes()]);
        assert_eq!(cut.text, "ä\n[12 bytes left out]\nä");
        assert_eq!(captured(9, &[&[b'a', 0xff, b'b']]).text, "a\u{fffd}b");
    }
}
