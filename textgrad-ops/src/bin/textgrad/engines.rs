//! `textgrad engines`.

use std::io::{self, Write};

use textgrad_ops::engine::preset::{KeyNeed, PRESETS, Preset};

use crate::output::{Failure, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct EnginesArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const HEAD: [&str; 4] = ["NAME", "BASE URL", "KEY", "NOTES"];

const OTHERS: &str = "
A model of such a server is written NAME/MODEL, as in ollama/llama3. An address in the variable NAME_BASE_URL,
as in OLLAMA_BASE_URL, replaces the base URL. Other engines:

http://HOST:8000/v1#MODEL    any other server that speaks OpenAI's chat completions; its key, if it needs one, is
                             taken from TEXTGRAD_API_KEY
sim                          the simulation";

pub(crate) fn run(args: &EnginesArgs) -> Result<(), Failure> {
    if args.json {
        return print_json(PRESETS);
    }
    let rows: Vec<[String; 4]> = PRESETS.iter().map(row).collect();
    let [mut name, mut url, mut key, _] = HEAD.map(str::len);
    for row in &rows {
        let [of_name, of_url, of_key, _] = row;
        (name, url, key) = (name.max(of_name.len()), url.max(of_url.len()), key.max(of_key.len()));
    }
    let mut out = io::stdout().lock();
    for [a, b, c, d] in std::iter::once(HEAD.map(str::to_owned)).chain(rows) {
        let line = format!("{a:<name$}  {b:<url$}  {c:<key$}  {d}");
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "{OTHERS}")?;
    Ok(out.flush()?)
}

fn row(preset: &Preset) -> [String; 4] {
    let url = match preset.base_url {
        "" => format!("from {}", preset.base_url_var),
        url => url.to_owned(),
    };
    let key = match preset.key {
        KeyNeed::Optional => format!("{} (optional)", preset.key_var),
        _ => preset.key_var.to_owned(),
    };
    let quirks = preset.quirks.iter().map(ToString::to_string);
    let notes: Vec<String> = std::iter::once(preset.api.to_string()).chain(quirks).collect();
    [preset.name.to_owned(), url, key, notes.join("; ")]
}
