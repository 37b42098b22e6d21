//! Published figures of the method.
//!
//! From the tables of Li et al., "Test-Time Preference Optimization", arXiv 2501.12895, version 1. They were
//! measured with the models named there: HH-RLHF and BeaverTails are mean scores of
//! `sfairXC/FsfairX-LLaMA3-RM-v0.1`, Arena-Hard is version 0.1, XSTest was labelled by WildGuard. A figure of
//! another judge or reward model cannot be compared with them.

use super::item::Benchmark;

/// A row of the table: a policy, as it is or with TPO.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The policy, and what was done with it.
    pub policy: &'static str,
    /// Length-controlled win rate of AlpacaEval 2, in percent.
    pub alpaca_eval_lc: f64,
    /// The figures in the order of [`Benchmark::ALL`]: shares in percent, or mean rewards.
    figures: [f64; Benchmark::ALL.len()],
}

impl Row {
    /// Its figure for a benchmark: a share in percent, or the mean reward of HH-RLHF and BeaverTails. For AlpacaEval it
    /// is the plain win rate.
    #[must_use]
    pub fn figure(&self, benchmark: Benchmark) -> f64 {
        let mut figures = Benchmark::ALL.iter().zip(self.figures);
        figures.find(|(known, _)| **known == benchmark).map_or(f64::NAN, |(_, figure)| figure)
    }
}

const fn row(policy: &'static str, alpaca_eval_lc: f64, figures: [f64; 6]) -> Row {
    Row { policy, alpaca_eval_lc, figures }
}

/// The table.
pub const TABLE: [Row; 9] = [
    row("Llama-3.1-70B-DPO (trained)", 32.3, [23.1, 50.4, -2.8, -6.7, 89.8, 63.4]),
    row("Llama-3.1-70B-Instruct", 36.9, [34.9, 59.0, -0.5, -6.4, 88.7, 66.4]),
    row("Llama-3.1-70B-SFT", 27.8, [16.8, 44.1, -4.1, -7.2, 87.8, 61.8]),
    row("70B-SFT + TPO D2-N5, Tulu RM", 33.2, [39.5, 70.5, 0.1, -4.1, 89.8, 70.0]),
    row("70B-SFT + TPO D2-N5, FsfairX", 33.0, [40.5, 69.7, -0.6, -4.8, 90.4, 71.2]),
    row("70B-SFT + TPO D5-N20, FsfairX", 37.8, [55.7, 77.5, 0.4, -4.1, 89.6, 71.8]),
    row("70B-Instruct + TPO D2-N5, FsfairX", 39.1, [48.5, 69.5, 1.3, -3.6, 89.6, 71.6]),
    row("Mistral-Small-2409 (22B)", 45.7, [38.5, 53.8, -0.4, -5.2, 87.1, 57.6]),
    row("Mistral-Small + TPO D2-N5, FsfairX", 53.4, [60.5, 72.2, 1.1, -3.4, 90.7, 62.2]),
];

/// What the figures of a benchmark were measured on, and with what.
#[must_use]
pub fn setting(benchmark: Benchmark) -> &'static str {
    match benchmark {
        Benchmark::AlpacaEval => {
            "AlpacaEval 2, 805 instructions; its own annotator, GPT-4 Turbo, against gpt4_1106_preview"
        }
        Benchmark::ArenaHard => "Arena-Hard v0.1, 500 questions; win rate against gpt-4-0314",
        Benchmark::HhRlhf => {
            "HH-RLHF, 500 sampled prompts (not said which); mean of sfairXC/FsfairX-LLaMA3-RM-v0.1"
        }
        Benchmark::BeaverTails => {
            "BeaverTails-Evaluation, 700 prompts; mean of sfairXC/FsfairX-LLaMA3-RM-v0.1"
        }
        Benchmark::XsTest => "XSTest, 450 prompts; refusals as seen by WildGuard",
        Benchmark::Math500 => "MATH-500, 500 problems; one answer each, without examples",
    }
}
