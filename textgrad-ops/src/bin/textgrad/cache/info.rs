//! `textgrad cache info`.

use std::io::{self, Write};

use serde::Serialize;
use textgrad_ops::store::DiskCacheInfo;

use super::units::show_size;
use super::{Target, ago};
use crate::failure::Failure;
use crate::screen::print_json;

#[derive(Debug, clap::Args)]
pub(super) struct InfoArgs {
    #[command(flatten)]
    target: Target,

    /// Read the whole file and say what is damaged; ends with code 1 if anything is.
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    info: DiskCacheInfo,
    /// What is damaged, where that was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<Vec<String>>,
}

pub(super) async fn run(args: InfoArgs) -> Result<(), Failure> {
    let cache = args.target.open().await?;
    let info = cache.info().await.map_err(Failure::work)?;
    let damage = match args.check {
        true => Some(cache.check().await.map_err(Failure::work)?),
        false => None,
    };
    let damaged = damage.as_ref().map_or(0, Vec::len);
    let report = Report { info, damage };
    match args.target.json {
        true => print_json(&report)?,
        false => print(&report)?,
    }
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::work(textgrad_core::EngineError::new(
            textgrad_core::ErrorKind::Other,
            format!(
                "the cache {}: the file is damaged; move it away, and a new one is begun",
                args.target.file.display()
            ),
        ))),
    }
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
