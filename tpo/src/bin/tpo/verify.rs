//! `tpo verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use tpo::Error;
use tpo::run::RecordedRun;

use crate::exit;
use crate::show::line;

/// How many findings are printed.
const SHOWN: usize = 50;

/// Check a run against its journal: every answer, score, loss and gradient of the results is in it, counts
/// match, nothing was paid for twice. Exit code 1 if anything is wrong or the run is not whole.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The folder of the run.
    run: PathBuf,

    /// Print what was found as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<ExitCode, Error> {
    let run = RecordedRun::open(&args.run)?;
    let found = run.verify()?;
    if args.json {
        let report = serde_json::json!({ "sound": found.is_sound(), "verification": found });
        line(format_args!("{report}"))?;
    } else {
        for finding in found.findings.iter().take(SHOWN) {
            line(format_args!("{finding}"))?;
        }
        if let Some(more) = found.findings.len().checked_sub(SHOWN + 1) {
            line(format_args!("... and {} more", more + 1))?;
        }
        let verdict = if found.is_sound() { "sound" } else { "NOT SOUND" };
        let mark = if run.config().simulated { " (SIMULATION)" } else { "" };
        line(format_args!(
            "{verdict}{mark}: {} results ({} failed), {} calls and {} scores in the journal",
            found.results, found.failed, found.calls, found.scores
        ))?;
    }
    Ok(if found.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(exit::RUN_FAILED) })
}
