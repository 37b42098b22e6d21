//! `tpo engines`, and the note of a run that names no engine.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use textgrad_ops::engine::preset::{LocalServer, listed, listing, local_servers};
use textgrad_ops::util::terminal::note;
use tpo::Error;

use crate::config::Settings;
use crate::output::{print, print_data};

/// List the engines, the variables of their keys, and the servers of this machine that answer.
#[derive(Debug, clap::Args)]
pub(crate) struct EnginesArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `tpo engines`.
pub(crate) async fn engines(args: &EnginesArgs) -> Result<ExitCode, Error> {
    let servers = local_servers().await;
    if args.json {
        print_data(serde_json::json!(listed(&servers)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let engine = first(&servers).unwrap_or_else(|| "ollama/llama3".to_owned());
    let example = format!("tpo run --data prompts.txt \\\n    --engine {engine} --reward judge");
    print(&format!("{}\nEXAMPLE\n{example}\n", listing(&servers)))?;
    Ok(ExitCode::SUCCESS)
}

/// The line of the first model that a server of this machine serves.
fn first(servers: &[LocalServer]) -> Option<String> {
    servers.iter().flat_map(LocalServer::lines).next()
}

/// The line of a model that is served on this machine, for people: scripts and tests get none, and probe nothing.
pub(crate) async fn served_model(terminal: &impl IsTerminal) -> Option<String> {
    if terminal.is_terminal() { first(&local_servers().await) } else { None }
}

/// Notes that queries of the user are about to be answered by the simulation, if no engine is named.
pub(crate) async fn note_simulation(settings: &Settings) {
    if settings.path("data").is_some() && settings.is_default("engine") {
        note(simulation(served_model(&stderr()).await));
    }
}

fn simulation(served: Option<String>) -> String {
    let (model, engine, end) = match &served {
        Some(engine) => ("the model served here", engine.as_str(), ""),
        None => ("a model", "vllm", "; `tpo engines` lists engines"),
    };
    format!(
        "no --engine is named: a simulation answers. For {model}, add:\n\
         \x20 --engine {engine} --reward judge{end}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_has_the_flags_of_the_model_that_is_served() {
        let served = simulation(Some("ollama/llama3".to_owned()));
        assert!(served.ends_with("\n  --engine ollama/llama3 --reward judge"), "{served}");
        let none = simulation(None);
        assert!(none.contains("\n  --engine vllm --reward judge; `tpo engines`"), "{none}");
        assert!(served.lines().chain(none.lines()).all(|line| line.len() <= 80));
    }
}
