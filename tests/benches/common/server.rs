//! The fake server as a process of its own, so that its work does not count as the client's.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running server; stopped when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    url: String,
    /// Held open: a program whose output nobody can read fails when it writes.
    _output: BufReader<ChildStdout>,
}

impl ServerProcess {
    /// A server that echoes.
    pub(crate) fn start() -> io::Result<Self> {
        Self::start_with(&["--echo", "--max-seconds", "120"])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fake-server"))
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no output to read"))?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.map(str::to_owned).unwrap_or_default();
        let server = Self { child, url, _output: output };
        if server.url.is_empty() {
            return Err(io::Error::other(format!("the server did not say where it is: {line:?}")));
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Neither can fail in a way that matters: the server also stops by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
