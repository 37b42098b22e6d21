//! Published figures of the method.
//!
//! From the tables of Li et al., "Test-Time Preference Optimization", arXiv 2501.12895, version 1. They were
//! measured with the models named there: HH-RLHF and BeaverTails are mean scores of
//! `sfairXC/FsfairX-LLaMA3-RM-v0.1`, Arena-Hard is version 0.1, XSTest was labelled by WildGuard. A figure of
//! another judge or reward model cannot be compared with them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::item::Benchmark;

/// The published figures.
#[derive(Debug, Default, Deserialize)]
pub struct Paper {
    settings: BTreeMap<String, String>,
    /// The rows of the table.
    pub rows: Vec<Row>,
}

/// A row of the table: a policy, as it is or with TPO.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// The policy, and what was done with it.
    pub policy: String,
    /// Length-controlled win rate of AlpacaEval 2, in percent.
    pub alpaca_eval_lc: f64,
    figures: BTreeMap<String, f64>,
}

impl Row {
    /// Its figure for a benchmark: a share in percent, or the mean reward of HH-RLHF and BeaverTails. For AlpacaEval it
    /// is the plain win rate.
    #[must_use]
    pub fn figure(&self, benchmark: Benchmark) -> f64 {
        self.figures.get(benchmark.as_str()).copied().unwrap_or(f64::NAN)
    }
}

impl Paper {
    /// What the figures of a benchmark were measured on, and with what.
    #[must_use]
    pub fn setting(&self, benchmark: Benchmark) -> &str {
        self.settings.get(benchmark.as_str()).map_or("", String::as_str)
    }
}

/// The figures of the paper.
pub static PAPER: LazyLock<Paper> =
    LazyLock::new(|| toml::from_str(include_str!("paper.toml")).unwrap_or_default());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_has_a_setting_and_figures() {
        assert_eq!(PAPER.rows.len(), 9);
        for benchmark in Benchmark::ALL.iter().copied() {
            assert_ne!(PAPER.setting(benchmark), "", "{benchmark}");
            assert!(PAPER.rows.iter().all(|row| row.figure(benchmark).is_finite()), "{benchmark}");
        }
        let best = PAPER.rows.iter().find(|row| row.policy.starts_with("70B-SFT + TPO D5-N20"));
        let best = best.map(|row| (row.alpaca_eval_lc, row.figure(Benchmark::ArenaHard)));
        assert_eq!(best, Some((37.8, 77.5)));
    }
}
