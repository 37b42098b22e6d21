//! `tpo compare`.

use std::path::PathBuf;
use std::process::ExitCode;

use tpo::Error;
use tpo::report::{Comparison, Interval, Side};
use tpo::run::RecordedRun;

use crate::report::FigureArgs;
use crate::show::line;

/// Compare two runs over the same queries, query by query.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// The folder of one run.
    a: PathBuf,

    /// The folder of the other.
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
    row("tokens read per query", &|side| Some(side.tokens.prompt_tokens as f64 / queries), 0)?;
    row(
        "tokens written per query",
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
