//! `textgrad cache`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use serde::Serialize;
use textgrad_core::{EngineError, ErrorKind};
use textgrad_ops::store::{CacheFilter, RemovedEntries, SqliteCache, SqliteConfig, SqliteInfo};

use crate::entries::{ListArgs, ShowArgs, list, show};
use crate::output::{Failure, print_json};
use crate::units::{age, show_age, show_size, size};

#[derive(Debug, clap::Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a file holds.
    Info(InfoArgs),
    /// The answers of a file, the one used last first.
    List(ListArgs),
    /// One answer with its request.
    Show(ShowArgs),
    /// Remove old answers, or enough answers to reach a file size.
    Prune(PruneArgs),
    /// Remove all answers.
    Clear(Target),
}

#[derive(Debug, clap::Args)]
struct InfoArgs {
    #[command(flatten)]
    target: Target,

    /// Read the whole file and say what is damaged; ends with code 1 if anything is.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, clap::Args)]
struct PruneArgs {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    which: Which,

    /// Then remove what was not used for the longest until the file has at most so many bytes: 500MB, 1GiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<u64>,
}

/// Which file, and for whom the output is.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The file of answers.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Target {
    pub(crate) async fn open(&self) -> Result<SqliteCache, Failure> {
        let opened = SqliteCache::open_existing(&self.file, SqliteConfig::default()).await;
        opened.map_err(Failure::input)
    }
}

/// Which answers are meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Only answers of this engine, such as openai:my-model.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,

    /// Only answers of this model, as the server names it.
    #[arg(long)]
    model: Option<String>,

    /// Only answers that were first asked for this: sample, forward, loss, gradient, reduce, update or judge.
    #[arg(long)]
    purpose: Option<String>,

    /// Only answers that were not used for this long, such as 90s, 30m, 12h, 7d or 2w.
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
}

impl Which {
    pub(crate) fn filter(self) -> CacheFilter {
        let Self { engine, model, purpose, older_than } = self;
        CacheFilter { engine, model, purpose, unused_for: older_than, ..CacheFilter::default() }
    }
}

pub(crate) async fn run(args: CacheArgs) -> Result<(), Failure> {
    match args.command {
        Command::Info(args) => info(args).await,
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
        Command::Prune(args) => prune(args).await,
        Command::Clear(target) => {
            let removed = target.open().await?.remove(CacheFilter::default()).await;
            report(&target, removed.map_err(Failure::work)?)
        }
    }
}

/// How long ago a moment was, in milliseconds since 1970.
pub(crate) fn ago(moment: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_millis(moment);
    show_age(SystemTime::now().duration_since(then).unwrap_or_default())
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    info: SqliteInfo,
    /// What is damaged, where that was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<Vec<String>>,
}

async fn info(args: InfoArgs) -> Result<(), Failure> {
    let cache = args.target.open().await?;
    let info = cache.info().await.map_err(Failure::work)?;
    let damage = match args.check {
        true => Some(cache.check().await.map_err(Failure::work)?),
        false => None,
    };
    let is_damaged = damage.as_ref().is_some_and(|damage| !damage.is_empty());
    let report = Report { info, damage };
    match args.target.json {
        true => print_json(&report)?,
        false => print(&report)?,
    }
    if is_damaged {
        let file = args.target.file.display();
        let what = "the file is damaged; move it away, and a new one is begun";
        return Err(Failure::work(format!("the cache {file}: {what}")));
    }
    Ok(())
}

fn print(Report { info, damage }: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut row = |name: &str, value: String| writeln!(out, "{name:<18} {value:>16}");
    row("answers", info.entries.to_string())?;
    row("size", show_size(info.bytes))?;
    row("  free beside that", show_size(info.free_bytes))?;
    row("prompt tokens", info.usage.prompt_tokens.to_string())?;
    row("completion tokens", info.usage.completion_tokens.to_string())?;
    for (name, moment) in
        [("oldest answer", info.oldest), ("newest answer", info.newest), ("last used", info.used)]
    {
        if let Some(moment) = moment {
            row(name, format!("{} ago", ago(moment)))?;
        }
    }
    row("format version", info.schema.to_string())?;
    match damage.as_deref() {
        None => {}
        Some([]) => row("damage", "none".to_owned())?,
        Some(damage) => {
            for line in damage {
                writeln!(out, "damage: {line}")?;
            }
        }
    }
    out.flush()
}

async fn prune(args: PruneArgs) -> Result<(), Failure> {
    let filter = args.which.filter();
    let is_filtered = filter != CacheFilter::default();
    if !is_filtered && args.max_bytes.is_none() {
        return Err(Failure::input(EngineError::new(
            ErrorKind::InvalidRequest,
            "expected what to remove: --max-bytes, --older-than, --engine, --model or --purpose; `clear` removes all",
        )));
    }
    let cache = args.target.open().await?;
    let mut removed = RemovedEntries::default();
    if is_filtered {
        removed = cache.remove(filter).await.map_err(Failure::work)?;
    }
    if let Some(max_bytes) = args.max_bytes {
        let more = cache.prune(max_bytes).await.map_err(Failure::work)?;
        removed.entries += more.entries;
        removed.bytes += more.bytes;
    }
    report(&args.target, removed)
}

fn report(target: &Target, removed: RemovedEntries) -> Result<(), Failure> {
    if target.json {
        return print_json(&removed);
    }
    let mut out = io::stdout().lock();
    let answers = if removed.entries == 1 { "answer" } else { "answers" };
    let size = show_size(removed.bytes);
    writeln!(out, "removed {} {answers}; the file is {size} smaller", removed.entries)?;
    Ok(out.flush()?)
}
