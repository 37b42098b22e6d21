//! Our figures beside those of the paper.

use std::path::Path;

use serde_json::{Value as Json, json};
use tpo::Tpo;
use tpo::bench::Benchmark;
use tpo::bench::paper::PAPER;

use super::graders::Graded;

/// What is printed, and written into the folder.
pub(super) struct Table<'a> {
    pub(super) benchmark: Benchmark,
    pub(super) simulated: bool,
    pub(super) source: &'a str,
    /// How many items were asked.
    pub(super) items: usize,
    /// How many of them failed.
    pub(super) failed: usize,
    pub(super) tpo: &'a Tpo,
    pub(super) judge: Option<&'a str>,
    pub(super) grading_reward: Option<&'a str>,
    pub(super) graded: &'a Graded,
    pub(super) folder: Option<&'a Path>,
}

impl Table<'_> {
    /// For a person.
    pub(super) fn text(&self) -> String {
        let (config, [policy, ..]) = (self.tpo.config(), self.tpo.engines());
        let mark = if self.simulated { " (SIMULATION)" } else { "" };
        let mut lines = vec![format!("{}{mark}", self.benchmark)];
        let mut row = |name: &str, value: &str| lines.push(format!("{name:<14} {value}"));
        row("data", &format!("{}, {} items", self.source, self.items));
        row("policy", policy);
        row("reward model", self.tpo.reward());
        row("search", &format!("{} D={} N={}", config.mode, config.depth(), config.samples));
        row("judge", self.judge.unwrap_or("none"));
        row("graded by", &self.graded.grader);
        if self.failed > 0 {
            row("left out", &format!("{} items that failed", self.failed));
        }
        if let Some(folder) = self.folder {
            row("files", &folder.join("bench").display().to_string());
        }
        lines.push(String::new());
        let ours = self.graded.figures.iter().map(|figure| format!("{}{mark}", figure.of));
        let ours: Vec<String> = ours.collect();
        let names =
            ours.iter().map(String::as_str).chain(PAPER.rows.iter().map(|row| row.policy.as_str()));
        let width = names.map(|name| name.chars().count()).max().unwrap_or_default();
        let line = |of: &str, figure: Option<f64>, detail: &str| {
            let figure = figure.map_or("-".to_owned(), |figure| format!("{figure:.1}"));
            format!("{of:<width$} {figure:>6}  {detail}").trim_end().to_owned()
        };
        let figures = ours.iter().zip(&self.graded.figures);
        lines.extend(figures.map(|(of, figure)| line(of, figure.figure, &figure.detail)));
        let setting = PAPER.setting(self.benchmark);
        lines.push(format!("the paper's (arXiv 2501.12895): {setting}"));
        lines.extend(PAPER.rows.iter().map(|row| {
            let detail = match self.benchmark {
                Benchmark::AlpacaEval => format!("length-controlled {:.1}", row.alpaca_eval_lc),
                _ => String::new(),
            };
            line(&row.policy, Some(row.figure(self.benchmark)), &detail)
        }));
        let note = match self.simulated {
            true => {
                "SIMULATION: our figures say nothing about real models; they do not compare with the paper's."
            }
            false => {
                "The figures compare only if data, judge and reward model are those of the paper."
            }
        };
        lines.push(format!("{note}\n"));
        lines.join("\n")
    }

    /// For machines, and for `bench/report.json`.
    pub(super) fn json(&self) -> Json {
        let [policy, ..] = self.tpo.engines();
        let rows = PAPER.rows.iter().map(|row| {
            let lc = (self.benchmark == Benchmark::AlpacaEval).then_some(row.alpaca_eval_lc);
            let figure = row.figure(self.benchmark);
            json!({ "policy": row.policy, "figure": figure, "length_controlled": lc })
        });
        json!({
            "benchmark": self.benchmark.as_str(),
            "simulated": self.simulated,
            "data": { "source": self.source, "items": self.items, "failed": self.failed },
            "policy": policy,
            "reward": self.tpo.reward(),
            "search": self.tpo.config(),
            "judge": self.judge,
            "grading_reward": self.grading_reward,
            "graded_by": self.graded.grader,
            "ours": self.graded.figures,
            "paper": { "setting": PAPER.setting(self.benchmark), "rows": rows.collect::<Vec<Json>>() },
        })
    }
}
