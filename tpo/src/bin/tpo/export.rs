//! `tpo export` and `tpo merge`.

use std::path::PathBuf;
use std::process::ExitCode;

use textgrad_ops::data::{DataFormat, contents};
use textgrad_ops::util::fs::replace;
use textgrad_ops::util::terminal::note;
use tpo::Error;
use tpo::run::{ExportRows, ExportStyle, RecordedRun, Status};

use crate::config::parsed;
use crate::inspect::folders;
use crate::output::{line, new_file, print_data};

/// Write the results of runs as a data set for training: preference pairs or answers with their scores.
///
/// Each row also has `index`, `simulated` and the other fields of the query's record. Queries that failed have no
/// rows.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Directories of runs or studies.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// File to write: .jsonl, .json, .csv, .tsv or .parquet; default: JSONL on standard output.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the file of --out.
    #[arg(long, requires = "out")]
    force: bool,

    /// Rows: pairs (best and worst answer of each query), comparisons (each pair that was compared), best or
    /// answers.
    #[arg(long, value_name = "ROWS", default_value_t, value_parser = parsed::<ExportRows>)]
    rows: ExportRows,

    /// Form: trl (lists of messages), trl-text (texts) or openrlhf (whole conversations).
    #[arg(long, value_name = "STYLE", default_value_t, value_parser = parsed::<ExportStyle>)]
    style: ExportStyle,
}

pub(crate) fn export(args: &ExportArgs) -> Result<ExitCode, Error> {
    let format = match &args.out {
        None => DataFormat::Jsonl,
        Some(file) => {
            let format = DataFormat::of_name(&file.to_string_lossy());
            let format = format.filter(|format| *format != DataFormat::Text);
            let expected = "a file that ends in .jsonl, .json, .csv, .tsv or .parquet";
            format.ok_or_else(|| Error::config("out", expected, file.display().to_string()))?
        }
    };
    if let Some(file) = args.out.as_deref().filter(|_| !args.force) {
        new_file(file)?;
    }
    let (mut rows, mut failed, mut simulated) = (Vec::new(), 0, false);
    for folder in folders(&args.runs)? {
        for record in RecordedRun::open(folder)?.results()? {
            let record = record?;
            failed += usize::from(record.status == Status::Error);
            simulated |= record.simulated;
            rows.extend(record.export(args.rows, args.style));
        }
    }
    let contents = contents(format, &rows)?;
    match &args.out {
        None if rows.is_empty() => {}
        None => print_data(String::from_utf8_lossy(&contents).trim_end())?,
        Some(file) => {
            replace(file, &contents).map_err(Error::io(file, "cannot be written"))?;
            line(format_args!("{} rows: {}", rows.len(), file.display()))?;
        }
    }
    if failed > 0 {
        note(format_args!("warning: {failed} queries failed and have no rows"));
    }
    if simulated {
        note("SIMULATION: a model or a reward model of these answers is simulated");
    }
    Ok(ExitCode::SUCCESS)
}

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
