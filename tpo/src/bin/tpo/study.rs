//! `tpo study`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use textgrad_ops::util::terminal::note;

use serde_json::{Map, Value as Json, json};
use tpo::prompts::default_pack;
use tpo::report::Bootstrap;
use tpo::run::{RecordedRun, ResultRecord, Run, RunConfig};
use tpo::study::{CellState, Grid, GridCell, StudyFolder, StudyPack, StudyTable};
use tpo::{Error, Mode, SharedCache, Tpo};

use crate::args::StudyArgs;
use crate::bench::{Answered, Report, Searched, Suite};
use crate::config::Settings;
use crate::context::{self, RunContext};
use crate::output::{line, print_data};
use crate::queue::queued;
use crate::{blocking, exit, output, run};

pub(crate) async fn study(args: StudyArgs) -> Result<ExitCode, Error> {
    let settings = &args.queue.defaults(&args.settings.0);
    let queue = args.queue.options();
    if settings.flag("extend") {
        let expected = "nothing: a study grows by its lists, with --resume, and keeps its queries";
        return Err(Error::config("extend", expected, "the flag"));
    }
    let equal = context::budget(settings)?;
    if !equal.is_unbounded() && !settings.is_default("iterations") {
        let expected = "none beside --equal: each search goes on up to the budget";
        let given = settings.list::<u32>("iterations")?;
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        return Err(Error::config("iterations", expected, given.join(",")));
    }
    let packs = context::packs(settings).await?;
    let prompts = StudyPack::list(packs.iter().map(|(label, pack)| (label.as_str(), &**pack)))?;
    let grid = Grid {
        modes: settings.list::<Mode>("mode")?,
        pairs: settings.list("pairs")?,
        edits: settings.list("edits")?,
        prompts,
        iterations: settings.list("iterations")?,
        equal,
        samples: settings.list("samples")?,
        temperatures: settings.list("temperature")?,
        critic_temperature: settings.get_one("critic-temperature")?,
        seeds: settings.list("seed")?,
    };
    let pack = |label: &str| match packs.iter().find(|(own, _)| own == label) {
        Some((_, pack)) => Arc::clone(pack),
        // That of modes which only sample.
        None => Arc::new(default_pack()),
    };
    // What scores depend on, all packs word alike.
    let prompts = grid.prompts.first().map_or_else(|| pack(""), |first| pack(first.label()));
    let suite = match args.bench {
        Some(benchmark) => Some(Suite::read(benchmark, &args.grading, settings, &prompts).await?),
        None => None,
    };
    let (source, queries) = match &suite {
        Some(suite) => (suite.source.clone(), suite.queries.clone()),
        None => context::queries(settings).await?,
    };
    let context = RunContext::new(settings, prompts).await?;
    if let Some(suite) = &suite {
        suite.check_graders(&context).await?;
    }
    if queue.is_none() {
        context.preflight().await?;
    }
    let cells = grid.cells()?;
    // All settings are checked before anything is paid for.
    let cache = SharedCache::default();
    let mut all: Vec<(GridCell, Tpo)> = Vec::new();
    for cell in &cells {
        let tpo = context.tpo.with_prompts(pack(cell.prompts.label()));
        let tpo = cache.search(&tpo, cell.config(tpo.config()))?;
        tpo.check_queries(&queries)?;
        all.push((cell.clone(), tpo));
    }
    let base = RunConfig::new(&context.tpo, &source, &queries);
    let folder = open(settings, &grid, &base).await?;

    note(format_args!("study of {source}: cells {}, queries {}", cells.len(), queries.len()));
    if folder.is_simulation() {
        note(format_args!("{}", output::SIMULATION));
    }
    if base.scores.relative {
        note(
            "warning: the rewards are relative: they compare the answers that one search found for a query, \
             so those of different cells cannot be compared",
        );
    }
    note(format_args!("study folder: {}", folder.path().display()));
    let states = {
        let (folder, cells) = (folder.clone(), cells.clone());
        blocking(move || cells.iter().map(|cell| folder.state(cell)).collect::<Result<Vec<_>, _>>())
            .await?
    };
    let mut last: Option<&GridCell> = None;
    for (number, ((cell, tpo), state)) in (1..).zip(all.iter().zip(&states)) {
        let group = (1..).zip(cells.iter().zip(&states)).filter(|(place, (other, state))| {
            *place != number
                && (*place < number || **state != CellState::New)
                && other.shares_with(cell)
        });
        let others: Vec<PathBuf> = group.map(|(_, (other, _))| folder.run(other)).collect();
        if queue.is_none() && last.is_none_or(|last| !last.shares_with(cell)) {
            cache.clear();
            let (cache, own, others) = (cache.clone(), folder.run(cell), others.clone());
            let runs = others.into_iter().chain([own]);
            blocking(move || runs.into_iter().try_for_each(|run| cache.load(&run))).await?;
        }
        last = Some(cell);
        let name = cell.name();
        match state {
            CellState::Finished => {
                note(format_args!("cell {number} of {}: {name} is finished", cells.len()));
                continue;
            }
            CellState::Begun => {
                note(format_args!("cell {number} of {}: {name}, continued", cells.len()))
            }
            CellState::New => note(format_args!("cell {number} of {}: {name}", cells.len())),
        }
        let cell_run = Run::new(tpo.clone(), queries.clone()).source(&source);
        let mut cell_run = folder.begin(cell, cell_run);
        if let Some(queue) = &queue {
            let is_followed = states.iter().skip(number).any(|state| *state != CellState::Finished);
            let queue = queue.clone().study(folder.identity(), is_followed);
            cell_run = queued(cell_run, queue.others(others));
        }
        let report = run::execute(&context, cell_run, None::<fn(&ResultRecord)>).await?;
        if report.cancelled && report.error.is_none() {
            context.layers.flush().await;
            note(format_args!(
                "interrupted in cell {number} of {}; to continue, run the same command with --out {} --resume",
                cells.len(),
                folder.path().display()
            ));
            return Ok(ExitCode::from(exit::INTERRUPTED));
        }
        if !report.is_complete() {
            return run::code(report);
        }
    }
    let graded = match &suite {
        Some(suite) => grade(suite, &context, &folder, &all).await?,
        None => Some(Vec::new()),
    };
    context.layers.flush().await;
    let Some(graded) = graded else {
        note("the cells are not all graded yet; to continue, run the same command with --resume");
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    let (table, csv) = blocking(move || {
        let table = StudyTable::read(&folder, &Bootstrap::default())?;
        let csv = folder.write_csv(&table.to_csv()?)?;
        Ok((table, csv))
    })
    .await?;
    let failed: usize = table.rows.iter().map(|row| row.failed).sum();
    let (sent, shared) = (context.layers.meter.snapshot(), cache.hits());
    if settings.flag("json") {
        let graded = graded.iter().map(|(cell, report)| (cell.clone(), report.json.clone()));
        let bench = args.bench.map(|_| graded.collect::<Map<String, Json>>());
        print_data(json!({ "table": table, "sent": sent, "shared": shared, "bench": bench }))?;
    } else {
        let title = if table.simulated { "study (SIMULATION)" } else { "study" };
        line(format_args!("{title}\n{}", table.shown().trim_end()))?;
        if let Some(benchmark) = args.bench {
            line(format_args!(
                "\n{benchmark}: figures of each cell, beside the paper's in bench/report.json"
            ))?;
        }
        for (cell, report) in &graded {
            for (of, figure) in &report.figures {
                let figure = figure.map_or("-".to_owned(), |figure| format!("{figure:.1}"));
                line(format_args!("{figure:>6}  {cell}, {of}"))?;
            }
        }
        // Workers count their own.
        if queue.is_none() {
            line(format_args!("requests sent in this run: {}", sent.requests))?;
            line(format_args!("  answered from another cell: {shared}"))?;
        }
        line(format_args!("table: {}", csv.display()))?;
        output::figures_hint(csv.parent().unwrap_or(&csv));
    }
    Ok(ExitCode::from(if failed > 0 { exit::SOME_QUERIES_FAILED } else { 0 }))
}

/// Grades all cells by the benchmark, and writes its files into their folders. None if it was interrupted.
async fn grade(
    suite: &Suite<'_>,
    context: &RunContext,
    folder: &StudyFolder,
    cells: &[(GridCell, Tpo)],
) -> Result<Option<Vec<(String, Report)>>, Error> {
    let mut graded = Vec::new();
    for (cell, tpo) in cells {
        let path = folder.run(cell);
        let answers = blocking({
            let path = path.clone();
            move || {
                let mut results = RecordedRun::open(path)?.results()?;
                let answers = results.by_ref().map(|record| Ok(Answered::of(&record?)));
                answers.filter_map(Result::transpose).collect::<Result<Vec<Answered>, Error>>()
            }
        });
        let answers = answers.await?;
        let failed = suite.queries.len().saturating_sub(answers.len());
        let searched = Searched { tpo, answers: &answers, failed, folder: Some(&path) };
        match suite.grade(context, searched).await? {
            Some(report) => graded.push((cell.name(), report)),
            None => return Ok(None),
        }
    }
    Ok(Some(graded))
}

async fn open(settings: &Settings, grid: &Grid, base: &RunConfig) -> Result<StudyFolder, Error> {
    match settings.path("out") {
        Some(out) if settings.flag("resume") => StudyFolder::resume(&out, grid, base),
        Some(out) => StudyFolder::create(&out, grid, base),
        None => {
            let stem =
                settings.path("data").map_or("built-in".to_owned(), |data| run::data_stem(&data));
            let new = async |path: PathBuf| StudyFolder::create(&path, grid, base);
            run::new_folder(&format!("study-{stem}"), new).await
        }
    }
}
