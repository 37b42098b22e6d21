//! Processes, their time and their memory.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Clock ticks per second of `/proc`.
const TICKS: f64 = 100.0;

/// A process that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) wall: f64,
    /// User and system time, in seconds.
    pub(crate) cpu: f64,
    /// The most resident memory, in KiB.
    pub(crate) peak: usize,
}

/// User and system time of the children that this process has waited for.
fn cpu_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() as f64 / TICKS
}

fn peak(id: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Runs a program to its end.
pub(crate) fn run(mut command: Command) -> Result<Ended, Box<dyn Error>> {
    let before = cpu_of_children();
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut most = 0;
    let status = loop {
        most = peak(child.id()).unwrap_or_default().max(most);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        sleep(Duration::from_millis(1));
    };
    let wall = begun.elapsed().as_secs_f64();
    if !status.success() {
        let mut reason = String::new();
        if let Some(mut errors) = child.stderr.take() {
            std::io::Read::read_to_string(&mut errors, &mut reason)?;
        }
        return Err(format!("{status}: {reason}").into());
    }
    Ok(Ended { wall, cpu: cpu_of_children() - before, peak: most })
}

/// The process of the server, ended when it is dropped.
pub(crate) struct Serving {
    child: Child,
    address: String,
    _output: BufReader<ChildStdout>,
}

impl Serving {
    pub(crate) fn start(role: &str) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.env(role, "server").stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        Ok(Self { child, address: line.trim().to_owned(), _output: output })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
