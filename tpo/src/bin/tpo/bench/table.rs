//! The figure beside those of the paper.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;
use tpo::Tpo;
use tpo::bench::{Benchmark, paper};

use super::graders::Graded;

/// Ours.
pub(super) struct Figure<'a> {
    pub(super) benchmark: Benchmark,
    pub(super) simulated: bool,
    pub(super) failed: usize,
    pub(super) source: &'a str,
    pub(super) tpo: &'a Tpo,
    pub(super) graded: &'a Graded,
    pub(super) folder: Option<&'a Path>,
}

impl Figure<'_> {
    /// For a person.
    pub(super) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let (config, [policy, ..]) = (self.tpo.config(), self.tpo.engines());
        let mark = if self.simulated { " (SIMULATION)" } else { "" };
        writeln!(out, "{}{mark}", self.benchmark)?;
        let mut row = |name: &str, value: &str| writeln!(out, "{name:<16} {value}");
        row("data", self.source)?;
        row("policy", policy)?;
        row("reward model", self.tpo.reward())?;
        row("search", &format!("{} D={} N={}", config.mode, config.depth(), config.samples))?;
        row("graded by", &self.graded.grader)?;
        if self.failed > 0 {
            row("left out", &format!("{} queries that failed", self.failed))?;
        }
        if let Some(folder) = self.folder {
            row("files", &folder.join("bench").display().to_string())?;
        }
        let ours = self.graded.figure.map_or("-".to_owned(), |figure| format!("{figure:.1}"));
        let mark = if self.simulated { ", SIMULATION" } else { "" };
        writeln!(out)?;
        writeln!(out, "{:<38} {ours:>6}  {}", format!("ours{mark}"), self.graded.detail)?;
        for paper in paper::TABLE {
            writeln!(out, "{:<38} {:>6.1}", paper.policy, paper.figure(self.benchmark))?;
        }
        let note = "The rows below ours are those of arXiv 2501.12895; they compare only with the same data, judge and reward model.";
        writeln!(out, "{note}")?;
        out.flush()
    }

    /// For machines.
    pub(super) fn print_json(&self) -> io::Result<()> {
        let [policy, ..] = self.tpo.engines();
        let rows = paper::TABLE.map(|row| (row.policy, row.figure(self.benchmark)));
        let report = json!({
            "benchmark": self.benchmark.as_str(),
            "simulated": self.simulated,
            "data": self.source,
            "policy": policy,
            "reward_model": self.tpo.reward(),
            "search": self.tpo.config(),
            "graded_by": self.graded.grader,
            "figure": self.graded.figure,
            "detail": self.graded.detail,
            "failed": self.failed,
            "paper": rows,
        });
        let mut out = io::stdout().lock();
        writeln!(out, "{report}")?;
        out.flush()
    }
}
