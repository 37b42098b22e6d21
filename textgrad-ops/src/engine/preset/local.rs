//! Model servers of this machine that answer, and a listing of all engines by name.

use std::env;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::timeout;

use super::builder::EngineBuilder;
use super::table::{KeyNeed, PRESETS, Preset};
use crate::util::terminal::is_shell_word;

/// The longest wait for the servers of this machine, all at the same time.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// The most models of a server that the listing shows.
const MAX_SHOWN: usize = 8;

/// A model server of this machine that lists its models.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LocalServer {
    /// Its preset.
    pub preset: &'static Preset,
    /// Its address, without secrets.
    pub base_url: String,
    /// Names of models that need no quotes in a shell, at least one.
    pub models: Vec<String>,
}

impl LocalServer {
    /// The lines of its models, as [`engine`](super::engine()) reads them: `ollama/llama3`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.models.iter().map(|model| format!("{}/{model}", self.preset.name))
    }
}

/// The model servers of this machine that list a model within a quarter of a second, in the order of [`PRESETS`].
///
/// They are looked for at the addresses of the presets, or of the environment variables that replace those, on
/// loopback only. It must be called within a tokio runtime.
pub async fn local_servers() -> Vec<LocalServer> {
    let probe = async |preset: &'static Preset| {
        let builder = EngineBuilder::preset(*preset, "", |name| env::var(name).ok());
        let (base_url, mut models) = timeout(MAX_WAIT, builder.local_models()).await.ok()??;
        models.retain(|model| is_shell_word(model));
        (!models.is_empty()).then_some(LocalServer { preset, base_url, models })
    };
    let local = PRESETS.iter().filter(|preset| preset.is_local());
    join_all(local.map(probe)).await.into_iter().flatten().collect()
}

/// All engines by name in columns of 80 characters, with the variables of their keys and the servers that answer.
#[must_use]
pub fn listing(servers: &[LocalServer]) -> String {
    let mut text = row(["LOCAL SERVERS", "ADDRESS", "KEY, IF NEEDED", "ANSWERS"], [18, 27, 18]);
    for preset in PRESETS.iter().filter(|preset| preset.is_local()) {
        let server = servers.iter().find(|server| server.preset == preset);
        let url = match server {
            Some(server) => server.base_url.clone(),
            // It may hold a password.
            None if env::var_os(preset.base_url_var).is_some() => {
                format!("in {}", preset.base_url_var)
            }
            None => preset.base_url.to_owned(),
        };
        let answers = if server.is_some() { "yes" } else { "no" };
        let name = format!("{}/MODEL", preset.name);
        text += &row([&name, &url, preset.key_var, answers], [18, 27, 18]);
        for line in server.iter().flat_map(|server| server.lines().take(MAX_SHOWN)) {
            text += &format!("  --engine {line}\n");
        }
        let count = server.map_or(0, |server| server.models.len());
        if count > MAX_SHOWN {
            text += &format!("  and {} more\n", count - MAX_SHOWN);
        }
    }
    text += "\n";
    text += &row(["HOSTED SERVERS", "KEY", "SET", "ADDRESS"], [18, 22, 5]);
    for preset in PRESETS.iter().filter(|preset| !preset.is_local()) {
        let key = env::var(preset.key_var).is_ok_and(|key| !key.trim().is_empty());
        let set = if key { "yes" } else { "no" };
        let address = match preset.base_url.trim_start_matches("https://").split('/').next() {
            None | Some("") => format!("in {}", preset.base_url_var),
            Some(host) => host.to_owned(),
        };
        text +=
            &row([&format!("{}/MODEL", preset.name), preset.key_var, set, &address], [18, 22, 5]);
    }
    text + OTHERS
}

const OTHERS: &str = "
OTHER
http://HOST:8000/v1#MODEL    any server with OpenAI's chat API; its key, if it
                             needs one, in TEXTGRAD_API_KEY
local:model.gguf             a model in this process (feature local)
sim                          the simulation: no model, for tries and tests

Keys are environment variables. So are other addresses, as in OLLAMA_BASE_URL.
";

fn row(cells: [&str; 4], columns: [usize; 3]) -> String {
    let cells = cells.into_iter().zip(columns.into_iter().chain([0]));
    let line: String = cells.map(|(cell, columns)| format!("{cell:<columns$}")).collect();
    format!("{}\n", line.trim_end())
}

/// A preset, and the models of its server where that answers.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct ListedPreset<'a> {
    /// The preset.
    #[serde(flatten)]
    pub preset: &'static Preset,
    /// Names of models, where a server of this machine answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<&'a [String]>,
}

/// The presets for programs: the [`listing`] as data.
#[must_use]
pub fn listed(servers: &[LocalServer]) -> Vec<ListedPreset<'_>> {
    let models = |preset: &Preset| {
        let server = servers.iter().find(|server| server.preset == preset)?;
        Some(server.models.as_slice())
    };
    PRESETS.iter().map(|preset| ListedPreset { preset, models: models(preset) }).collect()
}

impl Preset {
    /// Whether its own address is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.key == KeyNeed::Optional && self.base_url.starts_with("http://localhost")
    }
}
