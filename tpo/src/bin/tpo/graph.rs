//! `tpo graph`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use textgrad_core::{Page, truncate};
use textgrad_ops::util::fs::blocking;
use tpo::Error;
use tpo::run::RecordedRun;

use crate::setting::tokenizer;

/// Draw the search of one query: samples, losses, gradients, updates, and what was made of what. Everything is
/// taken from the journal; nothing is asked again.
#[derive(Debug, clap::Args)]
pub(crate) struct GraphArgs {
    /// The folder of the run.
    run: PathBuf,

    /// The place of the query, from 0, as `index` in results.jsonl.
    query: usize,

    #[command(flatten)]
    form: Form,

    /// The file to write; standard output unless given.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// The folder of prompt templates that the run was made with, if it was made with one.
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,

    /// The tokenizer.json that the run cut answers by, if it did.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,

    /// How much of each text DOT and Mermaid show, in characters.
    #[arg(long, value_name = "CHARS", default_value_t = 60)]
    max_chars: usize,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Form {
    /// A page with all texts and requests (default).
    #[arg(long)]
    html: bool,
    /// DOT, for Graphviz.
    #[arg(long)]
    dot: bool,
    /// Mermaid.
    #[arg(long)]
    mermaid: bool,
}

pub(crate) async fn graph(args: GraphArgs) -> Result<ExitCode, Error> {
    let (folder, prompts) = (args.run.clone(), args.prompts.clone());
    let opened = blocking(move || {
        let pack = match prompts {
            Some(dir) => tpo::prompts::load_pack(&dir)?,
            None => tpo::prompts::default_pack()?,
        };
        Ok::<_, Error>((RecordedRun::open(folder)?, pack))
    });
    let (mut run, pack) = opened.await?;
    if let Some(tokenizer) = tokenizer(args.tokenizer.as_deref()).await? {
        run = run.with_tokenizer(tokenizer);
    }
    let aligned = run.align(args.query, Arc::new(pack)).await?;
    let graph = aligned.graph();
    let view = graph.view().max_chars(args.max_chars);
    let simulated = run.config().simulated;
    let said = |comment: &str, drawing: String| match simulated {
        true => format!("{comment} SIMULATION: a model or a reward model is simulated\n{drawing}"),
        false => drawing,
    };
    let drawing = if args.form.dot {
        said("//", view.to_dot())
    } else if args.form.mermaid {
        said("%%", view.to_mermaid())
    } else {
        let mark = if simulated { " (SIMULATION)" } else { "" };
        let title = format!("{} query {}{mark}", run.name(), args.query);
        Page::new(title).graph(truncate(aligned.query(), 60), &view).to_html()
    };
    match &args.out {
        None => crate::show::line(format_args!("{}", drawing.trim_end()))?,
        Some(file) => {
            let written = tokio::fs::write(file, drawing).await;
            written.map_err(Error::io(file, "cannot be written"))?;
            eprintln!("graph: {}", file.display());
        }
    }
    if simulated {
        eprintln!("SIMULATION: a model or a reward model of this run is simulated");
    }
    Ok(ExitCode::SUCCESS)
}
