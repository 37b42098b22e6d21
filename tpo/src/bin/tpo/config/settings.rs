//! The settings of a run, as the tables of a file have them.

/// How the value of a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Whole,
    Number,
    Bool,
    /// A list of texts, or one text.
    Texts,
    /// A table, or text: JSON or, where the flag says so, the file of it.
    Object,
}

impl Kind {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Texts => "a list of texts",
            Self::Object => "a table",
        }
    }
}

/// A setting of a run. It has the same name as its flag.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) table: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What holds where it is not given, in words; empty where the flag has a default.
    pub(crate) unset: &'static str,
}

impl Setting {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// The name that the parser of flags has for it.
    pub(crate) fn id(&self) -> String {
        match self.name {
            "reward" => "lines".to_owned(),
            "reward-arg" => "reward_args".to_owned(),
            name => name.replace('-', "_"),
        }
    }
}

/// The tables, in the order in which they are shown.
pub(crate) fn tables() -> Vec<&'static str> {
    let mut tables: Vec<&str> = SETTINGS.iter().map(|setting| setting.table).collect();
    tables.dedup();
    tables
}

const fn of(table: &'static str, name: &'static str, kind: Kind, unset: &'static str) -> Setting {
    Setting { table, name, kind, unset }
}

use Kind::{Bool, Number, Object, Text, Texts, Whole};

/// Every setting of a run but the file itself.
pub(crate) const SETTINGS: &[Setting] = &[
    of("data", "data", Text, "a few built-in queries"),
    of("data", "format", Text, "what the file's name or its first character says"),
    of("data", "limit", Whole, "all queries"),
    of("search", "mode", Text, ""),
    of("search", "layout", Text, ""),
    of("search", "iterations", Whole, ""),
    of("search", "samples", Whole, ""),
    of("search", "pairs", Text, ""),
    of("search", "accept", Text, ""),
    of("search", "truncate", Text, "answers enter prompts whole"),
    of("search", "tokenizer", Text, "none"),
    of("search", "parse-retries", Whole, ""),
    of("search", "seed", Whole, ""),
    of("search", "prompts", Text, "the built-in templates"),
    of("early-stop", "early-stop-target", Number, "never"),
    of("early-stop", "early-stop-patience", Whole, "never"),
    of("early-stop", "early-stop-min-gain", Number, "0"),
    of("early-stop", "early-stop-margin", Number, "never"),
    of("early-stop", "early-stop-margin-patience", Whole, "1"),
    of("early-stop", "early-stop-calls", Whole, "never"),
    of("early-stop", "early-stop-tokens", Whole, "never"),
    of("early-stop", "early-stop-seconds", Number, "never"),
    of("early-stop", "early-stop-money", Number, "never"),
    of("early-stop", "prices", Object, "none"),
    of("sampling", "temperature", Number, ""),
    of("sampling", "critic-temperature", Number, "as temperature"),
    of("sampling", "top-p", Number, ""),
    of("sampling", "critic-top-p", Number, ""),
    of("sampling", "frequency-penalty", Number, ""),
    of("sampling", "presence-penalty", Number, ""),
    of("sampling", "max-tokens", Whole, ""),
    of("sampling", "critic-max-tokens", Whole, ""),
    of("sampling", "no-stop-sequences", Bool, ""),
    of("sampling", "extra-body", Object, "none"),
    of("engine", "engine", Text, ""),
    of("engine", "base-url", Text, "what the preset says; http://localhost:8000/v1 for openai"),
    of("engine", "model", Text, "what engine names"),
    of("engine", "critic", Text, "as engine"),
    of("engine", "optimizer", Text, "as engine"),
    of("engine", "max-tokens-field", Text, "what the preset says; max_tokens for openai"),
    of("engine", "stream", Bool, ""),
    of("engine", "one-per-request", Bool, ""),
    of("engine", "timeout", Whole, ""),
    of("engine", "retries", Whole, ""),
    of("engine", "cache", Text, "none"),
    of("engine", "sim-skill", Number, "0.8"),
    of("engine", "sim-latency-ms", Whole, "0"),
    of("reward", "reward", Texts, "sim for engine sim; else it must be given"),
    of("reward", "combine", Text, "mean"),
    of("reward", "reward-url", Text, "http://localhost:8001"),
    of("reward", "reward-model", Text, "none"),
    of("reward", "reward-template", Text, "none"),
    of("reward", "reward-attribute", Text, "reward"),
    of("reward", "reward-batch", Whole, "16 for openrlhf, else 1"),
    of("reward", "reward-concurrency", Whole, "64 requests, a program per core"),
    of("reward", "reward-command", Text, "none"),
    of("reward", "reward-arg", Texts, "none"),
    of("run", "out", Text, "a new folder under runs; with built-in queries, none"),
    of("run", "resume", Bool, ""),
    of("run", "extend", Bool, ""),
    of("run", "concurrency", Whole, ""),
    of("run", "json", Bool, ""),
];
