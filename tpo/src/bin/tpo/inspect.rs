//! `tpo verify`, `tpo compare` and `tpo graph`.

use std::path::PathBuf;
use std::process::ExitCode;

use textgrad_core::{Page, truncate};
use tpo::Error;
use tpo::report::{Comparison, Interval, Side};
use tpo::run::RecordedRun;

use crate::context::{prompts, tokenizer};
use crate::output::line;
use crate::report::FigureArgs;
use crate::{blocking, exit};

/// The maximum number of findings that are printed.
const MAX_SHOWN: usize = 50;

/// Verify a run against its journal.
///
/// Every answer, score, loss and gradient of the results is in the journal, counts match, and nothing was paid for
/// twice. The exit code is 1 if anything is wrong or the run is incomplete.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Directory of the run.
    run: PathBuf,

    /// Print the findings as one JSON object.
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
        for finding in found.findings.iter().take(MAX_SHOWN) {
            line(format_args!("{finding}"))?;
        }
        if let Some(more) = found.findings.len().checked_sub(MAX_SHOWN + 1) {
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

/// Compare two runs over the same queries by their paired difference.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// Directory of one run.
    a: PathBuf,

    /// Directory of the other run.
    b: PathBuf,

    #[command(flatten)]
    figures: FigureArgs,

    /// Print the comparison as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn compare(args: &CompareArgs) -> Result<ExitCode, Error> {
    let (a, b) = (RecordedRun::open(&args.a)?, RecordedRun::open(&args.b)?);
    let compared = Comparison::read(&a, &b, &args.figures.bootstrap(), &args.figures.cost())?;
    if args.json {
        let json = serde_json::to_value(&compared).unwrap_or_default();
        line(format_args!("{json}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mark = if compared.simulated { " (SIMULATION)" } else { "" };
    let (a, b) = (&compared.a, &compared.b);
    line(format_args!("A: {}\nB: {}", args.a.display(), args.b.display()))?;
    line(format_args!("{} queries that both finished{mark}", compared.queries))?;
    if let Some(reward) = &compared.reward {
        line(format_args!(
            "wins / ties / losses of A    {} / {} / {}",
            reward.wins, reward.ties, reward.losses
        ))?;
        line(format_args!("win rate of A                {}", interval(&reward.win_rate)))?;
        line(format_args!("reward of A less that of B   {}", interval(&reward.difference)))?;
    }
    line(format_args!("{:<28} {:>12} {:>12}", "", "A", "B"))?;
    let row = |name: &str, of: &dyn Fn(&Side) -> Option<f64>, digits: usize| {
        let text = |side| of(side).map_or("-".to_owned(), |number| format!("{number:.digits$}"));
        line(format_args!("{name:<28} {:>12} {:>12}", text(a), text(b)))
    };
    row("mean reward", &|side| side.reward, 3)?;
    row("requests per query", &|side| side.requests, 1)?;
    row("answers per query", &|side| side.answers, 1)?;
    let queries = compared.queries.max(1) as f64;
    row("prompt tokens per query", &|side| Some(side.tokens.prompt_tokens as f64 / queries), 0)?;
    row(
        "completion tokens per query",
        &|side| Some(side.tokens.completion_tokens as f64 / queries),
        0,
    )?;
    row("PFLOPs per query", &|side| side.pflops, 4)?;
    row("seconds of calls per query", &|side| side.call_seconds, 3)?;
    row("queries failed", &|side| Some(side.failed as f64), 0)?;
    Ok(ExitCode::SUCCESS)
}

fn interval(interval: &Interval) -> String {
    format!("{:.3} ({:.3} to {:.3})", interval.mean, interval.low, interval.high)
}

/// Draw the graph of one query: samples, losses, gradients and updates.
///
/// Everything comes from the journal; no engine is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct GraphArgs {
    /// Directory of the run.
    run: PathBuf,

    /// Index of the query, from 0, as `index` in results.jsonl.
    query: usize,

    #[command(flatten)]
    form: Form,

    /// File to write; default: standard output.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Directory of the prompt templates of the run, if it had one.
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,

    /// The tokenizer.json by which the run truncated answers, if it did.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,

    /// Maximum characters of each text in DOT and Mermaid.
    #[arg(long, value_name = "CHARS", default_value_t = 60)]
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

pub(crate) async fn graph(args: GraphArgs) -> Result<ExitCode, Error> {
    let pack = prompts(args.prompts.as_deref()).await?;
    let folder = args.run.clone();
    let mut run = blocking(move || RecordedRun::open(folder)).await?;
    if let Some(tokenizer) = tokenizer(args.tokenizer.as_deref()).await? {
        run = run.with_tokenizer(tokenizer);
    }
    let aligned = run.align(args.query, pack).await?;
    let graph = aligned.graph();
    let view = graph.view().max_chars(args.max_chars);
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
        let title = format!("{} query {}{mark}", run.name(), args.query);
        Page::new(title).graph(truncate(aligned.query(), 60), &view).to_html()
    };
    match &args.out {
        None => line(format_args!("{}", drawing.trim_end()))?,
        Some(file) => {
            let written = tokio::fs::write(file, drawing).await;
            written.map_err(Error::io(file, "cannot be written"))?;
            eprintln!("graph: {}", file.display());
        }
    }
    if simulated {
        eprintln!("SIMULATION: a model or a reward model of this run is simulated");
    }
    Ok(ExitCode::SUCCESS)
}
