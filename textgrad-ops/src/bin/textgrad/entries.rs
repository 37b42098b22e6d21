//! `textgrad cache list` and `textgrad cache show`.

use std::io::{self, Write};
use std::time::Duration;

use textgrad_core::{Part, Request, truncate};
use textgrad_ops::store::{CacheEntry, CachedCall};
use textgrad_ops::util::terminal::{escape, escape_line};

use crate::cache::{Target, Which, ago};
use crate::output::{Failure, print_json};
use crate::units::{age, show_size};

/// As many digits of a key as tell a hundred million answers apart.
const KEY: usize = 16;
/// How much room the names of engines and models have.
const NAME: usize = 28;

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
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

pub(crate) async fn list(args: ListArgs) -> Result<(), Failure> {
    let mut filter = args.which.filter();
    filter.used_within = args.newer_than;
    filter.limit = args.limit;
    let cache = args.target.open().await?;
    let entries = cache.entries(filter).await.map_err(Failure::work)?;
    match args.target.json {
        true => print_json(&entries),
        false => Ok(print_entries(&entries)?),
    }
}

fn print_entries(entries: &[CacheEntry]) -> io::Result<()> {
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
        let name = |name: &str| escape_line(&truncate(name, NAME)).into_owned();
        row([
            entry.key.get(..KEY).unwrap_or(&entry.key),
            &name(&entry.engine),
            &name(&entry.model),
            &escape_line(&entry.purpose),
            &entry.usage.total().to_string(),
            &show_size(entry.bytes),
            &ago(entry.created),
            &ago(entry.used),
        ])?;
    }
    out.flush()
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The key of the answer, or its first digits, as `list` shows them.
    #[arg(value_name = "KEY")]
    key: String,

    #[command(flatten)]
    target: Target,
}

pub(crate) async fn show(args: ShowArgs) -> Result<(), Failure> {
    let cache = args.target.open().await?;
    let stored = cache.entry(&args.key).await.map_err(Failure::input)?;
    match args.target.json {
        true => print_json(&stored),
        false => Ok(print_call(&stored)?),
    }
}

fn print_call(stored: &CachedCall) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let entry = &stored.entry;
    writeln!(out, "key      {}", entry.key)?;
    writeln!(out, "engine   {}", escape_line(&entry.engine))?;
    writeln!(out, "model    {}", escape_line(&entry.model))?;
    writeln!(out, "purpose  {}", escape_line(&entry.purpose))?;
    let usage = entry.usage;
    writeln!(
        out,
        "tokens   {} prompt, {} completion",
        usage.prompt_tokens, usage.completion_tokens
    )?;
    writeln!(out, "size     {}", show_size(entry.bytes))?;
    writeln!(out, "kept     {} ago", ago(entry.created))?;
    writeln!(out, "used     {} ago", ago(entry.used))?;
    match &stored.request {
        Some(request) => asked(&mut out, request)?,
        None => writeln!(out, "\n(the request was not kept)")?,
    }
    for (index, choice) in stored.response.choices.iter().enumerate() {
        let reason = escape_line(choice.finish_reason.as_str());
        writeln!(out, "\n--- answer {} ({reason})", index + 1)?;
        writeln!(out, "{}", escape(&choice.text))?;
    }
    out.flush()
}

fn asked(out: &mut impl Write, request: &Request) -> io::Result<()> {
    let sampling = serde_json::to_string(&request.sampling).map_err(io::Error::other)?;
    writeln!(out, "sampling {}", escape_line(&sampling))?;
    for message in &request.messages {
        writeln!(out, "\n--- {}", message.role)?;
        for part in &message.parts {
            match part {
                Part::Text(text) => writeln!(out, "{}", escape(text))?,
                Part::Image(image) => {
                    let size = show_size(image.bytes().len() as u64);
                    writeln!(out, "[{} of {size}]", escape_line(image.media_type()))?;
                }
            }
        }
    }
    Ok(())
}
