//! `textgrad cache prune` and `textgrad cache clear`.

use std::io::{self, Write};

use textgrad_core::{EngineError, ErrorKind};
use textgrad_ops::store::{DiskFilter, DiskRemoved};

use super::units::{show_size, size};
use super::{Target, Which};
use crate::failure::Failure;
use crate::screen::print_json;

#[derive(Debug, clap::Args)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    which: Which,

    /// Then remove what was not used for the longest until the file has at most so many bytes: 500MB, 1GiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ClearArgs {
    #[command(flatten)]
    target: Target,
}

pub(super) async fn prune(args: PruneArgs) -> Result<(), Failure> {
    if args.which.is_everything() && args.max_bytes.is_none() {
        return Err(Failure::input(EngineError::new(
            ErrorKind::InvalidRequest,
            "expected what to remove: --max-bytes, --older-than, --engine, --model or --purpose; `clear` removes all",
        )));
    }
    let cache = args.target.open().await?;
    let mut removed = DiskRemoved::default();
    if !args.which.is_everything() {
        removed = cache.remove(args.which.filter()).await.map_err(Failure::work)?;
    }
    if let Some(max_bytes) = args.max_bytes {
        let more = cache.prune(max_bytes).await.map_err(Failure::work)?;
        removed.entries += more.entries;
        removed.bytes += more.bytes;
    }
    say(&args.target, removed)
}

pub(super) async fn clear(args: ClearArgs) -> Result<(), Failure> {
    let cache = args.target.open().await?;
    let removed = cache.remove(DiskFilter::default()).await.map_err(Failure::work)?;
    say(&args.target, removed)
}

fn say(target: &Target, removed: DiskRemoved) -> Result<(), Failure> {
    if target.json {
        return print_json(&removed);
    }
    let mut out = io::stdout().lock();
    let answers = if removed.entries == 1 { "answer" } else { "answers" };
    writeln!(
        out,
        "removed {} {answers}; the file is {} smaller",
        removed.entries,
        show_size(removed.bytes)
    )?;
    Ok(out.flush()?)
}
