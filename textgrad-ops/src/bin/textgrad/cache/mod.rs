//! `textgrad cache`.

mod info;
mod list;
mod remove;
mod show;
mod units;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use textgrad_ops::store::{DiskCache, DiskCacheConfig, DiskFilter};

use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a file holds.
    Info(info::InfoArgs),
    /// The answers of a file, the one used last first.
    List(list::ListArgs),
    /// One answer with what was asked.
    Show(show::ShowArgs),
    /// Remove answers that are old, or as many as it takes to make the file small.
    Prune(remove::PruneArgs),
    /// Remove all answers.
    Clear(remove::ClearArgs),
}

/// Which file, and for whom the output is.
#[derive(Debug, clap::Args)]
struct Target {
    /// The file of answers.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Target {
    async fn open(&self) -> Result<DiskCache, Failure> {
        let opened = DiskCache::open_existing(&self.file, DiskCacheConfig::default()).await;
        opened.map_err(Failure::input)
    }
}

/// Which answers are meant.
#[derive(Debug, clap::Args)]
struct Which {
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
    #[arg(long, value_name = "AGE", value_parser = units::age)]
    older_than: Option<Duration>,
}

impl Which {
    fn filter(&self) -> DiskFilter {
        let mut filter = DiskFilter::default();
        if let Some(engine) = &self.engine {
            filter = filter.engine(engine);
        }
        if let Some(model) = &self.model {
            filter = filter.model(model);
        }
        if let Some(purpose) = &self.purpose {
            filter = filter.purpose(purpose);
        }
        if let Some(age) = self.older_than {
            filter = filter.unused_for(age);
        }
        filter
    }

    fn is_everything(&self) -> bool {
        self.filter() == DiskFilter::default()
    }
}

pub(crate) async fn run(args: CacheArgs) -> Result<(), Failure> {
    match args.command {
        Command::Info(args) => info::run(args).await,
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Prune(args) => remove::prune(args).await,
        Command::Clear(args) => remove::clear(args).await,
    }
}

/// How long ago a moment was, in milliseconds since 1970.
fn ago(moment: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_millis(moment);
    units::show_age(SystemTime::now().duration_since(then).unwrap_or_default())
}
