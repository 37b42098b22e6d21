//! Settings of a run in `config.json`, and their comparison on resume.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::PromptPack;
use textgrad_ops::util::json;

use super::shard::Shard;
use crate::config::{Mode, TpoConfig};
use crate::error::Error;
use crate::journal::{SCHEMA, digest};
use crate::query::Query;
use crate::search::Tpo;

/// The settings of a run, as `config.json` and the journal hold them. Secrets are not among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The version of the formats in the folder.
    pub schema: u32,
    /// The version of this crate that began the run.
    pub tpo: String,
    /// Whether any part of the run is simulated.
    pub simulated: bool,
    /// The search.
    pub search: TpoConfig,
    /// The engine that answers.
    pub policy: String,
    /// The engine that gives losses and gradients.
    pub critic: String,
    /// The engine that rewrites.
    pub optimizer: String,
    /// The reward model, with the settings that tell its scores from those of others.
    pub reward: String,
    /// What the journal has of the scores.
    #[serde(default, skip_serializing_if = "Scores::is_each")]
    pub scores: Scores,
    /// How answers are paired.
    pub pairs: String,
    /// The names of parts of the search that are not of this crate: `method`, `pool_policy`, `stop_rule`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own_parts: BTreeMap<String, String>,
    /// What tells the tokenizer that answers are cut by from others: SHA-256 of its file. None where they are
    /// not cut so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// SHA-256 of the prompt pack.
    pub prompts: String,
    /// The queries.
    pub data: DataConfig,
    /// The part of the queries that the run has. None: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

/// What a journal has of the scores, for whoever checks a run against it; default: each of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scores {
    /// The requests that the scores came of, or the scores of parts, in place of the scores: the reward model
    /// asks engines.
    pub asked: bool,
    /// Scores hold only among the answers that were scored together, so that those of a trajectory are the last.
    pub relative: bool,
}

impl Scores {
    fn is_each(&self) -> bool {
        *self == Self::default()
    }
}

/// The queries of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Where they come from.
    pub source: String,
    /// How many there are.
    pub queries: usize,
    /// SHA-256 over all of them.
    pub sha256: String,
}

impl DataConfig {
    fn new(source: &str, queries: &[Query]) -> Self {
        let (source, sha256) = (source.to_owned(), queries_digest(queries));
        Self { source, queries: queries.len(), sha256 }
    }
}

impl RunConfig {
    /// The settings of a run of `tpo` over `queries`.
    #[must_use]
    pub fn new(tpo: &Tpo, source: &str, queries: &[Query]) -> Self {
        let [policy, critic, optimizer] = tpo.engines().map(str::to_owned);
        Self {
            schema: SCHEMA,
            tpo: env!("CARGO_PKG_VERSION").to_owned(),
            simulated: tpo.is_simulation(),
            search: tpo.config().clone(),
            policy,
            critic,
            optimizer,
            reward: tpo.reward_identity().to_owned(),
            scores: tpo.scores(),
            pairs: tpo.pairs(),
            own_parts: tpo.own_parts(),
            tokenizer: tpo.tokenizer().map(Cow::into_owned),
            prompts: pack_digest(tpo.prompts()),
            data: DataConfig::new(source, queries),
            shard: None,
        }
    }

    /// How many queries the run has: those of its part.
    #[must_use]
    pub fn queries(&self) -> usize {
        self.shard.map_or(self.data.queries, |shard| shard.len(self.data.queries))
    }

    /// The same settings with other queries.
    #[cfg(feature = "serve")]
    pub(crate) fn with_queries(self, source: &str, queries: &[Query]) -> Self {
        Self { data: DataConfig::new(source, queries), ..self }
    }

    /// What keeps a run of `queries` with these settings from extending one with `then`, as
    /// [`differences`](Self::differences) tells it: more iterations, and more queries behind those of then, keep
    /// it from nothing. A run of [`Mode::Shuffled`] takes no more queries.
    #[must_use]
    pub fn differences_beyond(&self, then: &Json, queries: &[Query]) -> Vec<String> {
        let mut then = then.clone();
        if let Some(iterations) = then.pointer_mut("/search/iterations")
            && iterations.as_u64().is_some_and(|then| then <= u64::from(self.search.iterations))
        {
            *iterations = self.search.iterations.into();
        }
        // Whose critique a query is given depends on how many there are.
        let may_grow = self.search.mode != Mode::Shuffled;
        if let Some(data) = then.pointer_mut("/data").filter(|_| may_grow) {
            let before = data.pointer("/queries").and_then(Json::as_u64);
            let before = before.and_then(|before| queries.get(..usize::try_from(before).ok()?));
            let known = before.map(|before| Json::from(queries_digest(before)));
            if known.is_some() && known.as_ref() == data.pointer("/sha256") {
                *data = serde_json::to_value(&self.data).unwrap_or_default();
            }
        }
        self.differences(&then)
    }

    pub(crate) fn to_json(&self) -> Result<Json, Error> {
        serde_json::to_value(self).map_err(Error::journal_write)
    }

    /// What keeps a run with these settings from continuing one with `then`: each as `setting: then, now`.
    /// Where the queries were read from, and the version of this crate, may differ.
    #[must_use]
    pub fn differences(&self, then: &Json) -> Vec<String> {
        differences(then, &serde_json::to_value(self).unwrap_or_default())
    }
}

/// A setting that differs between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingDifference {
    /// The setting, as `config.json` has it, with dots between keys.
    pub setting: String,
    /// Its value in the one run; null where it has none.
    pub a: Json,
    /// Its value in the other run.
    pub b: Json,
}

impl SettingDifference {
    /// The settings that differ between two runs. The version of this crate and the file of the queries are none, and
    /// `search.sampling.n` is that of `search.samples`. A mode without iterations has 0.
    #[must_use]
    pub fn all(a: &RunConfig, b: &RunConfig) -> Vec<Self> {
        let [a, b] = [a, b].map(|config| {
            let mut settings = serde_json::to_value(config).unwrap_or_default();
            if let Some(iterations) = settings.pointer_mut("/search/iterations") {
                *iterations = config.search.depth().into();
            }
            settings
        });
        let differences = json::differences(&a, &b).into_iter();
        let settings = differences.filter(|found| !is_derived(&found.path));
        settings
            .map(|found| Self { setting: found.path, a: found.then.clone(), b: found.now.clone() })
            .collect()
    }
}

/// Whether a value is no setting, or follows from another one.
fn is_derived(path: &str) -> bool {
    matches!(path, "tpo" | "data.source" | "search.sampling.n")
}

/// The differences between settings, each as `setting: then, now`.
pub(crate) fn differences(then: &Json, now: &Json) -> Vec<String> {
    let shown = |difference: json::Difference<'_>| {
        let json::Difference { path, then, now } = difference;
        match path.as_str() {
            path if is_derived(path) => None,
            // The reward model says what is kept of its scores.
            path if path == "scores" || path.starts_with("scores.") => None,
            "prompts" => Some("the wording of the prompts".to_owned()),
            "tokenizer" => Some("the tokenizer".to_owned()),
            "data.sha256" => Some("the queries".to_owned()),
            path => Some(format!("{path}: {then} then, {now} now")),
        }
    };
    json::differences(then, now).into_iter().filter_map(shown).collect()
}

fn queries_digest(queries: &[Query]) -> String {
    let identities: Vec<String> = queries.iter().map(Query::identity).collect();
    digest(identities.iter().map(String::as_str))
}

/// SHA-256 of a prompt pack.
pub(crate) fn pack_digest(prompts: &PromptPack) -> String {
    digest(prompts.sources().flat_map(|(name, text)| [name, text]))
}
