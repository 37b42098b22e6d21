//! `tpo verify`, `tpo graph` and `tpo report`.

use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use textgrad_ops::util::terminal::note;

use textgrad_core::{Page, Seed, truncate};
use tpo::Error;
use tpo::report::{Bootstrap, Cost, Report, ReportConfig};
use tpo::run::RecordedRun;
use tpo::study::{StudyFolder, is_study_file};

use crate::context::{prompts, tokenizer};
use crate::output::{is_page_of, line, new_file, new_page};
use crate::{blocking, exit};

/// The generator that a page of `tpo graph` names.
const GRAPH: &str = "tpo graph";
/// The maximum number of findings that are printed.
const MAX_SHOWN: usize = 50;

/// Verify a run against its journal.
///
/// Every answer, score, loss and gradient of the results is in the journal, counts match, and nothing was paid for
/// twice. The exit code is 1 if anything is wrong, or if the run is incomplete.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Directory of the run.
    run: PathBuf,

    /// Print the findings as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<ExitCode, Error> {
    let run = open(&args.run)?;
    let found = run.verify()?;
    if args.json {
        let (sound, incomplete) = (found.is_sound(), found.is_incomplete());
        let report = serde_json::json!({
            "sound": sound, "incomplete": incomplete, "verification": found
        });
        line(format_args!("{report}"))?;
    } else {
        for finding in found.findings.iter().take(MAX_SHOWN) {
            line(format_args!("{finding}"))?;
        }
        if let Some(more) = found.findings.len().checked_sub(MAX_SHOWN + 1) {
            line(format_args!("... and {} more", more + 1))?;
        }
        let verdict = match (found.is_sound(), found.is_incomplete()) {
            (true, _) => "sound",
            (_, true) => "INCOMPLETE",
            _ => "NOT SOUND",
        };
        let mark = if run.config().simulated { " (SIMULATION)" } else { "" };
        line(format_args!(
            "{verdict}{mark}: {} results ({} failed), {} calls and {} scores in the journal",
            found.results, found.failed, found.calls, found.scores
        ))?;
    }
    Ok(if found.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(exit::RUN_FAILED) })
}

/// Draw the graph of one query: samples, losses, gradients and updates.
///
/// Everything comes from the journal; no request is made.
#[derive(Debug, clap::Args)]
pub(crate) struct GraphArgs {
    /// Directory of the run.
    run: PathBuf,

    /// Index of the query, from 0, as `index` in results.jsonl, or its id.
    ///
    /// The id is the field `id` of the data, or else `uid`, `question_id` or `unique_id`. A number that is an index
    /// is one.
    #[arg(allow_negative_numbers = true, value_parser = index_or_id)]
    query: String,

    #[command(flatten)]
    form: Form,

    /// File to write: .html, .dot or .mmd; default: standard output, for a page only if it is no terminal.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the file of --out, also if it is no page of this command.
    #[arg(long, requires = "out")]
    force: bool,

    /// Directory of the prompt templates of the run, if it had one.
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,

    /// The tokenizer.json by which the run truncated answers, if it did.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,

    /// Maximum characters of each text in DOT and Mermaid.
    #[arg(long, value_name = "CHARS", default_value_t = 60, allow_negative_numbers = true, value_parser = whole::<usize>)]
    max_chars: usize,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Form {
    /// HTML page with all texts and requests (default).
    #[arg(long)]
    html: bool,
    /// DOT, for Graphviz.
    #[arg(long)]
    dot: bool,
    /// Mermaid.
    #[arg(long)]
    mermaid: bool,
}

impl Form {
    fn is_page(&self) -> bool {
        !self.dot && !self.mermaid
    }
}

/// The form that a file's name has, if no flag names one.
fn form_of(file: &Path) -> Result<Form, Error> {
    let extension = file.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let (html, dot, mermaid) = match extension.as_deref() {
        None | Some("html" | "htm") => (true, false, false),
        Some("dot" | "gv") => (false, true, false),
        Some("mmd") => (false, false, true),
        Some(_) => {
            let expected =
                "a file that ends in .html, .dot or .mmd (`dot -Tpng` draws a .dot file)";
            return Err(Error::config("out", expected, file.display().to_string()));
        }
    };
    Ok(Form { html, dot, mermaid })
}

pub(crate) async fn graph(mut args: GraphArgs) -> Result<ExitCode, Error> {
    if let Some(file) = &args.out
        && !(args.form.html || args.form.dot || args.form.mermaid)
    {
        args.form = form_of(file)?;
    }
    if args.out.is_none() && args.form.is_page() && stdout().is_terminal() {
        let expected = "a file of the page, such as graph.html; or --mermaid or --dot";
        return Err(Error::config("out", expected, "a terminal"));
    }
    if let Some(file) = args.out.clone().filter(|_| !args.force) {
        let is_page = args.form.is_page();
        blocking(move || if is_page { new_page(&file, GRAPH) } else { new_file(&file) }).await?;
    }
    let pack = prompts(args.prompts.as_deref()).await?;
    let folder = args.run.clone();
    let mut run = blocking(move || open(&folder)).await?;
    if let Some(tokenizer) = tokenizer(args.tokenizer.as_deref()).await? {
        run = run.with_tokenizer(tokenizer);
    }
    let index = blocking({
        let run = run.clone();
        let query = std::mem::take(&mut args.query);
        move || index(&run, &query)
    })
    .await?;
    let aligned = run.align(index, pack).await?;
    let graph = aligned.graph();
    let annotations = aligned.annotations();
    let view = graph.view().annotations(&annotations).max_chars(args.max_chars);
    let simulated = run.config().simulated;
    let marked = |comment: &str, drawing: String| match simulated {
        true => format!("{comment} SIMULATION: a model or a reward model is simulated\n{drawing}"),
        false => drawing,
    };
    let drawing = if args.form.dot {
        marked("//", view.to_dot())
    } else if args.form.mermaid {
        marked("%%", view.to_mermaid())
    } else {
        let mark = if simulated { " (SIMULATION)" } else { "" };
        let title = format!("{} query {}{mark}", run.name(), index);
        Page::new(title).generator(GRAPH).graph(truncate(aligned.query(), 60), &view).to_html()
    };
    match &args.out {
        None => line(format_args!("{}", drawing.trim_end()))?,
        Some(file) => {
            let written = tokio::fs::write(file, drawing).await;
            written.map_err(Error::io(file, "cannot be written"))?;
            note(format_args!("graph: {}", file.display()));
        }
    }
    if simulated {
        note("SIMULATION: a model or a reward model of this run is simulated");
    }
    Ok(ExitCode::SUCCESS)
}

/// Report figures over runs as an HTML page, SVG and CSV.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// Directories of runs or studies.
    ///
    /// Baselines are runs too: best-of-N and revision are drawn dashed.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Directory of the page, SVG and CSV files, or an .html file for the page alone.
    ///
    /// Default: the directory `report` in that of the first run.
    #[arg(short, long, value_name = "DIR|FILE")]
    out: Option<PathBuf>,

    /// Replace files that are not those of an earlier report.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    figures: FigureArgs,

    /// Show gains by the values of this field of the data too, such as a category.
    #[arg(long, value_name = "FIELD")]
    by: Option<String>,

    /// Maximum size of the texts of single queries in the page, in megabytes.
    #[arg(long, value_name = "MB", default_value_t = 9.0, value_parser = positive)]
    max_mb: f64,
}

/// Parameters of figures.
#[derive(Debug, clap::Args)]
pub(crate) struct FigureArgs {
    /// Parameters of the policy, for PFLOPs.
    #[arg(long, value_name = "COUNT", default_value = "70e9", value_parser = positive)]
    policy_params: f64,

    /// Parameters of the reward model, for PFLOPs.
    #[arg(long, value_name = "COUNT", default_value = "8e9", value_parser = positive)]
    reward_params: f64,

    /// Bootstrap resamples of an interval.
    #[arg(long, value_name = "TIMES", default_value_t = 1000, allow_negative_numbers = true, value_parser = resamples)]
    resamples: u32,

    /// Confidence level of intervals, above 0 and below 1.
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = share)]
    level: f64,

    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 7, allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: u64,
}

impl FigureArgs {
    pub(crate) fn bootstrap(&self) -> Bootstrap {
        let (resamples, level) = (self.resamples, self.level);
        Bootstrap { resamples, level, seed: Seed::new(self.seed) }
    }

    pub(crate) fn cost(&self) -> Cost {
        Cost { policy_params: self.policy_params, reward_params: self.reward_params }
    }
}

/// Refuses negative numbers: all else may be an id.
fn index_or_id(text: &str) -> Result<String, String> {
    match text.parse::<f64>() {
        Ok(number) if number < 0.0 => {
            Err("expected the index of a query, a whole number from 0, or its id".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// The index of the query that is named by its index or its id. It blocks.
fn index(run: &RecordedRun, named: &str) -> Result<usize, Error> {
    let number = named.parse::<usize>().ok();
    let queries = run.config().data.queries;
    if let Some(number) = number.filter(|number| *number < queries) {
        return Ok(number);
    }
    match (run.index_of(named)?, number) {
        (Some(index), _) | (None, Some(index)) => Ok(index),
        (None, None) => {
            let reason = format!(
                "expected the index of a query, from 0 to {}, or its id, got {named:?}; no result has this id",
                queries.saturating_sub(1)
            );
            Err(Error::input(run.path().display(), reason))
        }
    }
}

fn resamples(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| "expected a whole number from 1 to 1000000".to_owned())
}

fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number of at least 0".to_owned())
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0, such as 0.5 or 70e9".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| "expected a number above 0 and below 1".to_owned())
}

/// The run in a folder. The error of a study names its runs.
pub(crate) fn open(path: &Path) -> Result<RecordedRun, Error> {
    let run = RecordedRun::open(path);
    if let Err(Error::NotARun { .. }) = run
        && let Some(study) = StudyFolder::open(path)?
    {
        let runs = study.cells().iter().map(|cell| study.run(cell).display().to_string());
        let runs: Vec<String> = runs.collect();
        let reason =
            format!("expected a run, got a study; name one of its runs: {}", runs.join(", "));
        return Err(Error::input(path.display(), reason));
    }
    run
}

/// The folders of runs: those of its cells for a study, and not the files of a study beside them.
pub(crate) fn folders(named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut folders = Vec::new();
    for path in named.iter().filter(|path| !(is_study_file(path) && path.is_file())) {
        match StudyFolder::open(path)? {
            Some(study) => folders.extend(study.cells().iter().map(|cell| study.run(cell))),
            None => folders.push(path.clone()),
        }
    }
    Ok(folders)
}

/// The names of the studies, if all that is named are studies.
fn studies(named: &[PathBuf]) -> Result<Option<String>, Error> {
    let mut names = Vec::new();
    for path in named {
        if StudyFolder::open(path)?.is_none() {
            return Ok(None);
        }
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(Some(names.join(", ")))
}

pub(crate) fn report(args: &ReportArgs) -> Result<ExitCode, Error> {
    let runs: Result<Vec<RecordedRun>, Error> =
        folders(&args.runs)?.into_iter().map(RecordedRun::open).collect();
    let config = ReportConfig {
        bootstrap: args.figures.bootstrap(),
        cost: args.figures.cost(),
        max_bytes: (args.max_mb * 1e6) as usize,
        slice: args.by.clone(),
        title: studies(&args.runs)?,
    };
    let first = args.runs.first().map_or(Path::new("."), PathBuf::as_path);
    let out = args.out.clone().unwrap_or_else(|| first.join("report"));
    let is_page = out.extension().is_some_and(|extension| extension == "html");
    if is_page && !args.force {
        new_page(&out, Report::GENERATOR)?;
    }
    let report = Report::read(&runs?, &config)?;
    let page = if is_page {
        report.write_html(&out)?;
        out
    } else {
        let page = out.join("report.html");
        // The files beside the page of an earlier report are replaced with it.
        if !args.force && !is_page_of(&page, Report::GENERATOR) {
            new_file(&page)?;
            let names = report.figures().iter().map(|figure| figure.name).chain(["queries"]);
            for name in names {
                new_file(&out.join(format!("{name}.csv")))?;
                new_file(&out.join(format!("{name}.svg")))?;
            }
        }
        report.write(&out)?;
        page
    };
    if report.is_simulation() {
        note("SIMULATION: the figures say nothing about real models");
    }
    for warning in report.warnings() {
        note(format_args!("warning: {warning}"));
    }
    line(format_args!("report: {}", page.display()))?;
    Ok(ExitCode::SUCCESS)
}
