//! `tpo study`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Arg;
use serde_json::json;
use textgrad_ops::util::fs::blocking;
use tpo::report::Bootstrap;
use tpo::run::{RecordedRun, RunConfig};
use tpo::study::{CellFigures, CellState, Grid, GridCell, Shelf, StudyFolder, StudyTable};
use tpo::{Error, Mode, Tpo};

use crate::args::RunArgs;
use crate::run;
use crate::setting::{self, Setting};
use crate::{exit, prompt_data, show};

pub(crate) const HELP: &str = "\
The folder has one run folder for each cell of the grid, study.json, and study.csv. `tpo report FOLDER` and
`tpo report FOLDER/*` make the figures of all its runs. With --resume, cells that are finished are not run again,
and the grid may have grown. Cells of equal width, temperature and seed share the answers to equal requests; the
figures of each are those that it would have alone. Environment and exit codes are those of `tpo run`.

The interval of a reward is over seeds and queries: both are drawn anew.

Examples:
  tpo study
  tpo study --sim-skill 0.2 --modes tpo --iterations 0,1,2,3
  tpo study --data prompts.json --engine vllm/my-model --reward vllm --reward-model my-reward-model \\
      --modes tpo,revision,resample,direct,shuffled --iterations 1,2,5 --samples 5 --seeds 1,2,3 --out studies/first";

/// The folder is searched for a free name up to this number.
const MAX_STUDIES: u32 = 9999;

/// Run each combination of modes, sizes, temperatures and seeds, and compare them.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
#[command(mut_args(renamed))]
pub(crate) struct StudyArgs {
    /// What is done with answers, as with `tpo run --mode`; several with commas between them.
    #[arg(long = "modes", alias = "mode", value_name = "MODES", value_delimiter = ',', default_value = "tpo,revision,resample",
        value_parser = str::parse::<Mode>)]
    modes: Vec<Mode>,

    /// D: how many times the best answer is rewritten.
    #[arg(long = "iterations", value_name = "DS", value_delimiter = ',', default_value = "2")]
    depths: Vec<u32>,

    /// N: how many answers are drawn at a time.
    #[arg(long = "samples", value_name = "NS", value_delimiter = ',', default_value = "5")]
    widths: Vec<u32>,

    /// Temperatures of all requests; with --critic-temperature, of all but losses and gradients.
    #[arg(
        long,
        alias = "temperature",
        value_name = "TS",
        value_delimiter = ',',
        default_value = "0.7"
    )]
    temperatures: Vec<f64>,

    /// The seeds that all seeds are derived from.
    #[arg(
        long,
        alias = "seed",
        value_name = "SEEDS",
        value_delimiter = ',',
        default_value = "1,2,3"
    )]
    seeds: Vec<u64>,

    #[command(flatten)]
    run: RunArgs,
}

/// The settings of one run that a study has lists for, and the identifiers of these lists. In a file, such a
/// setting is a list of one.
pub(crate) const LISTS: [(&str, &str); 5] = [
    ("mode", "modes"),
    ("iterations", "depths"),
    ("samples", "widths"),
    ("temperature", "temperatures"),
    ("seed", "seeds"),
];

/// Hides the arguments of one run that a study has lists for.
fn renamed(arg: Arg) -> Arg {
    let name = match arg.get_id().as_str() {
        "mode" => "one-mode",
        "iterations" => "one-depth",
        "samples" => "one-width",
        "temperature" => "one-temperature",
        "seed" => "one-seed",
        _ => return arg,
    };
    arg.long(name).hide(true)
}

pub(crate) async fn study(args: StudyArgs) -> Result<ExitCode, Error> {
    let StudyArgs { modes, depths, widths, temperatures, seeds, run: args } = args;
    if args.extend {
        let expected = "nothing: a study grows by its lists, with --resume, and keeps its queries";
        return Err(Error::Config { setting: "extend", expected, got: "the flag".to_owned() });
    }
    let critic_temperature = args.critic_temperature;
    let (iterations, samples) = (depths, widths);
    let grid = Grid { modes, iterations, samples, temperatures, critic_temperature, seeds };
    let format = run::format(&args);
    let (source, queries) = prompt_data::read(args.data.as_deref(), format, args.limit).await?;
    let prompts = setting::prompts(&args).await?;
    let setting = Setting::new(&args, prompts).await?;
    let cells = grid.cells()?;
    // All mistakes in settings before anything is paid for.
    let shelf = Shelf::default();
    let mut all: Vec<(GridCell, Tpo)> = Vec::new();
    for cell in &cells {
        let config = cell.config(setting.tpo.config());
        all.push((*cell, setting.search(config, &shelf)?));
    }
    let base = RunConfig::new(&setting.tpo, &source, &queries);
    let folder = open(&args, &grid, &base)?;

    eprintln!("study of {} cells over {} queries from {source}", cells.len(), queries.len());
    if folder.is_simulation() {
        eprintln!(
            "SIMULATION: the model or its reward model is simulated; the figures say nothing about real ones"
        );
    }
    if base.scores.relative {
        eprintln!(
            "warning: the rewards are relative: they hold only among the answers that one search found for a query, \
             so that those of several cells cannot be compared"
        );
    }
    eprintln!("study folder: {}", folder.path().display());
    let mut last: Option<GridCell> = None;
    for (place, (cell, tpo)) in (1..).zip(&all) {
        if last.is_none_or(|last| !last.shares_with(cell)) {
            shelf.clear();
            let group: Vec<PathBuf> = cells
                .iter()
                .filter(|other| other.shares_with(cell))
                .map(|other| folder.run(other))
                .collect();
            fill(&shelf, group).await?;
        }
        last = Some(*cell);
        let name = cell.name();
        let state = {
            let (folder, cell) = (folder.clone(), *cell);
            blocking(move || folder.state(&cell)).await?
        };
        match state {
            CellState::Finished => {
                eprintln!("cell {place} of {}: {name} is finished", cells.len());
                continue;
            }
            CellState::Begun => eprintln!("cell {place} of {}: {name}, continued", cells.len()),
            CellState::New => eprintln!("cell {place} of {}: {name}", cells.len()),
        }
        let config = RunConfig::new(tpo, &source, &queries);
        let opened = Some(folder.begin(cell, &config).await?);
        let queries = queries.clone();
        let done = run::search(&args, &setting.stop, tpo, opened, queries, |_| {}).await?;
        if done.interrupted {
            setting.flush().await;
            eprintln!(
                "interrupted in cell {place} of {}; to continue, run the same command with --out {} --resume",
                cells.len(),
                folder.path().display()
            );
            return Ok(ExitCode::from(exit::INTERRUPTED));
        }
        if !done.is_complete() {
            return done.code();
        }
    }
    setting.flush().await;
    let table = {
        let folder = folder.clone();
        blocking(move || table(&folder)).await?
    };
    let csv = folder.write_csv(&table.to_csv()?)?;
    let failed: usize = table.rows.iter().map(|row| row.failed).sum();
    let sent = setting.meter.snapshot();
    if args.json {
        let shared = shelf.used();
        show::line(format_args!("{}", json!({ "table": table, "sent": sent, "shared": shared })))?;
    } else {
        let title = if table.simulated { "study (SIMULATION)" } else { "study" };
        show::line(format_args!("{title}\n{}", table.shown().trim_end()))?;
        show::line(format_args!("requests sent in this run: {}", sent.requests))?;
        show::line(format_args!("  answered from another cell: {}", shelf.used()))?;
        show::line(format_args!("table: {}", csv.display()))?;
    }
    Ok(ExitCode::from(if failed > 0 { exit::SOME_QUERIES_FAILED } else { 0 }))
}

fn table(folder: &StudyFolder) -> Result<StudyTable, Error> {
    let mut cells = Vec::new();
    for cell in folder.cells() {
        let mut figures = CellFigures::default();
        for record in RecordedRun::open(folder.run(cell))?.results()? {
            figures.add(&record?);
        }
        cells.push((*cell, figures));
    }
    Ok(StudyTable::new(folder.is_simulation(), &cells, &Bootstrap::default()))
}

async fn fill(shelf: &Shelf, runs: Vec<PathBuf>) -> Result<(), Error> {
    let shelf = shelf.clone();
    blocking(move || runs.iter().try_for_each(|run| shelf.fill(run))).await
}

fn open(args: &RunArgs, grid: &Grid, base: &RunConfig) -> Result<StudyFolder, Error> {
    if let Some(out) = &args.out {
        return match args.resume {
            true => StudyFolder::resume(out, grid, base),
            false => StudyFolder::create(out, grid, base),
        };
    }
    let stem = args.data.as_deref().and_then(Path::file_stem).unwrap_or("built-in".as_ref());
    let stem = stem.to_string_lossy();
    let stem = if stem == "-" { "stdin".into() } else { stem };
    let folder = |number: u32| Path::new("runs").join(format!("study-{stem}-{number:03}"));
    for number in 1..=MAX_STUDIES {
        match StudyFolder::create(&folder(number), grid, base) {
            Err(Error::RunExists { .. }) => {}
            other => return other,
        }
    }
    Err(Error::RunExists { path: folder(MAX_STUDIES) })
}
