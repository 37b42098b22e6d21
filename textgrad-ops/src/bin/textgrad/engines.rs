//! `textgrad engines`.

use std::io::{self, Write};

use textgrad_ops::engine::preset::{listed, listing, local_servers};

use crate::output::{Failure, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct EnginesArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &EnginesArgs) -> Result<(), Failure> {
    let servers = local_servers().await;
    if args.json {
        return print_json(&listed(&servers));
    }
    let mut out = io::stdout().lock();
    write!(out, "{}", listing(&servers))?;
    Ok(out.flush()?)
}
