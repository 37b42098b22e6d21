//! `textgrad page`.

use std::io::{self, Write};
use std::path::PathBuf;

use textgrad_ops::store::{LogError, write_page};

use crate::output::Failure;

/// The page shows all that the log holds, so it is as confidential as the conversation. It needs no network
/// and no file beside it.
#[derive(Debug, clap::Args)]
pub(crate) struct PageArgs {
    /// The run log, JSON lines as `logged` engines write them.
    #[arg(value_name = "LOG")]
    log: PathBuf,

    /// The page; an older one is replaced once the new one is whole.
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(args: &PageArgs) -> Result<(), Failure> {
    let PageArgs { log, output } = args;
    let same =
        log.canonicalize().is_ok_and(|log| output.canonicalize().is_ok_and(|out| out == log));
    if same {
        let log = log.display();
        return Err(Failure::input(format!(
            "expected another file for the page than the log {log}"
        )));
    }
    let read = write_page(log, output).map_err(|error| match error {
        LogError::Page { .. } => Failure::work(error),
        error => Failure::input(error),
    })?;
    let mut out = io::stdout().lock();
    let (calls, graphs) = (read.calls().len(), read.graphs().len());
    writeln!(out, "{}: {calls} call(s), {graphs} graph(s)", output.display())?;
    if read.is_torn() {
        writeln!(out, "The last line of the log is not whole and was left out.")?;
    }
    Ok(out.flush()?)
}
