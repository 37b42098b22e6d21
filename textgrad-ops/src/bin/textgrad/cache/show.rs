//! `textgrad cache show`.

use std::io::{self, Write};

use textgrad_core::{Part, Request};
use textgrad_ops::store::DiskStored;

use super::units::show_size;
use super::{Target, ago};
use crate::failure::Failure;
use crate::screen;
use crate::screen::print_json;

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The key of the answer, or its first digits, as `list` shows them.
    #[arg(value_name = "KEY")]
    key: String,

    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: ShowArgs) -> Result<(), Failure> {
    let cache = args.target.open().await?;
    let stored = cache.entry(&args.key).await.map_err(Failure::input)?;
    match args.target.json {
        true => print_json(&stored),
        false => Ok(print(&stored)?),
    }
}

fn print(stored: &DiskStored) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let entry = &stored.entry;
    writeln!(out, "key      {}", entry.key)?;
    writeln!(out, "engine   {}", screen::line(&entry.engine))?;
    writeln!(out, "model    {}", screen::line(&entry.model))?;
    writeln!(out, "purpose  {}", screen::line(&entry.purpose))?;
    let usage = entry.usage;
    writeln!(out, "tokens   {} read, {} written", usage.prompt_tokens, usage.completion_tokens)?;
    writeln!(out, "size     {}", show_size(entry.bytes))?;
    writeln!(out, "kept     {} ago", ago(entry.created))?;
    writeln!(out, "used     {} ago", ago(entry.used))?;
    match &stored.request {
        Some(request) => asked(&mut out, request)?,
        None => writeln!(out, "\n(the request was not kept)")?,
    }
    for (index, choice) in stored.response.choices.iter().enumerate() {
        let reason = screen::line(choice.finish_reason.as_str());
        writeln!(out, "\n--- answer {} ({reason})", index + 1)?;
        writeln!(out, "{}", screen::lines(&choice.text))?;
    }
    out.flush()
}

fn asked(out: &mut impl Write, request: &Request) -> io::Result<()> {
    let sampling = serde_json::to_string(&request.sampling).map_err(io::Error::other)?;
    writeln!(out, "sampling {}", screen::line(&sampling))?;
    for message in &request.messages {
        writeln!(out, "\n--- {}", message.role)?;
        for part in &message.parts {
            match part {
                Part::Text(text) => writeln!(out, "{}", screen::lines(text))?,
                Part::Image(image) => {
                    let size = show_size(image.bytes().len() as u64);
                    writeln!(out, "[{} of {size}]", screen::line(image.media_type()))?;
                }
            }
        }
    }
    Ok(())
}
