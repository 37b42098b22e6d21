//! `textgrad cache list`.

use std::io::{self, Write};
use std::time::Duration;

use textgrad_core::truncate;
use textgrad_ops::store::DiskEntry;

use super::units::{age, show_size};
use super::{Target, Which, ago};
use crate::failure::Failure;
use crate::screen;
use crate::screen::print_json;

/// As many digits of a key as tell a hundred million answers apart.
const KEY: usize = 16;
/// How much room the names of engines and models have.
const NAME: usize = 28;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    which: Which,

    /// Only answers that were used within this time, such as 90s, 30m, 12h, 7d or 2w.
    #[arg(long, value_name = "AGE", value_parser = age)]
    newer_than: Option<Duration>,

    /// At most so many.
    #[arg(long, value_name = "K")]
    limit: Option<u64>,
}

pub(super) async fn run(args: ListArgs) -> Result<(), Failure> {
    let mut filter = args.which.filter();
    if let Some(age) = args.newer_than {
        filter = filter.used_within(age);
    }
    if let Some(limit) = args.limit {
        filter = filter.limit(limit);
    }
    let cache = args.target.open().await?;
    let entries = cache.entries(filter).await.map_err(Failure::work)?;
    match args.target.json {
        true => print_json(&entries),
        false => Ok(print(&entries)?),
    }
}

fn print(entries: &[DiskEntry]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut row = |cells: [&str; 8]| {
        let [key, engine, model, purpose, tokens, size, created, used] = cells;
        writeln!(
            out,
            "{key:<KEY$}  {purpose:<8} {tokens:>8} {size:>10} {created:>7} {used:>7}  {engine:<NAME$}  {model}"
        )
    };
    row(["KEY", "ENGINE", "MODEL", "PURPOSE", "TOKENS", "SIZE", "KEPT", "USED"])?;
    for entry in entries {
        let name = |name: &str| screen::line(&truncate(name, NAME));
        row([
            entry.key.get(..KEY).unwrap_or(&entry.key),
            &name(&entry.engine),
            &name(&entry.model),
            &screen::line(&entry.purpose),
            &entry.usage.total().to_string(),
            &show_size(entry.bytes),
            &ago(entry.created),
            &ago(entry.used),
        ])?;
    }
    out.flush()
}
