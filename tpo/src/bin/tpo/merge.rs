//! `tpo merge`.

use std::path::PathBuf;
use std::process::ExitCode;

use tpo::Error;

use crate::output::line;

/// Make one run of all parts of a run that were made with --shard.
///
/// The results are those of a run that was made at once, byte for byte. The merged run is verified before it appears.
#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// Directories of all parts, in any order.
    #[arg(required = true, value_name = "PART")]
    parts: Vec<PathBuf>,

    /// Directory to create.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn merge(args: &MergeArgs) -> Result<ExitCode, Error> {
    let found = tpo::run::merge(&args.parts, &args.out)?;
    let (parts, out) = (args.parts.len(), args.out.display());
    line(format_args!(
        "{out}: {parts} parts, {} results ({} failed), {} calls and {} scores in the journal; sound",
        found.results, found.failed, found.calls, found.scores
    ))?;
    Ok(ExitCode::SUCCESS)
}
