//! The grid of a study.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::prompts::StudyPack;
use crate::config::{Mode, SearchBudget, TpoConfig};
use crate::error::Error;
use crate::search::Pairs;
use crate::util::is_default;

/// The iterations of a search that ends at its budget: none has as many.
const UNTIL_BUDGET: u32 = 1_000;

/// The settings that a study varies; it runs each combination of them once.
///
/// # Examples
/// ```
/// use tpo::Mode;
/// use tpo::study::Grid;
///
/// let grid = Grid { modes: vec![Mode::Tpo, Mode::Bon], iterations: vec![1, 2], ..Grid::default() };
/// let names: Vec<String> = grid.cells()?.iter().map(|cell| cell.name()).collect();
/// let tpo = ["tpo-d2-n5-t0.7-s7", "tpo-d1-n5-t0.7-s7"];
/// // Best-of-N has no iterations. It also runs with as many answers as the other mode.
/// let bon = ["bon-n5-t0.7-s7", "bon-n15-t0.7-s7", "bon-n10-t0.7-s7"];
/// assert_eq!(names, [&tpo[..], &bon].concat());
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// What is done with answers. Beside other modes, best-of-N also runs with N(1 + D) answers for each D, so that
    /// each of them has a partner of equal budget.
    pub modes: Vec<Mode>,
    /// Which answers are compared, in modes that [have pairs](Mode::has_pairs).
    #[serde(default = "best_worst", skip_serializing_if = "is_best_worst")]
    pub pairs: Vec<Pairs>,
    /// How many edits an update may be made of, in modes that [have updates](Mode::has_updates); 0: whole texts.
    #[serde(default = "whole_texts", skip_serializing_if = "is_whole_texts")]
    pub edits: Vec<u32>,
    /// The wordings of requests. Modes that [only sample](Mode::has_wording) run with the default pack alone, unless a
    /// pack words samples or judges otherwise.
    #[serde(default = "default_prompts")]
    pub prompts: Vec<StudyPack>,
    /// D: how many times the best answer is rewritten.
    pub iterations: Vec<u32>,
    /// The budget up to which each search goes on, whatever its mode; D has no meaning then, and best-of-N is
    /// [`Mode::Resample`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub equal: SearchBudget,
    /// N: how many answers are drawn at a time.
    pub samples: Vec<u32>,
    /// Temperatures of all requests, or of all but the critic's.
    pub temperatures: Vec<f64>,
    /// The temperature of losses and gradients in all cells, if it is not that of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_temperature: Option<f64>,
    /// The seeds that the seeds of all requests are derived from.
    pub seeds: Vec<u64>,
}

impl Default for Grid {
    /// The paper's setting alone.
    fn default() -> Self {
        Self {
            modes: vec![Mode::Tpo],
            pairs: best_worst(),
            edits: whole_texts(),
            prompts: default_prompts(),
            iterations: vec![2],
            equal: SearchBudget::default(),
            samples: vec![5],
            temperatures: vec![0.7],
            critic_temperature: None,
            seeds: vec![7],
        }
    }
}

fn best_worst() -> Vec<Pairs> {
    vec![Pairs::BestWorst]
}

fn is_best_worst(pairs: &[Pairs]) -> bool {
    pairs == best_worst()
}

fn whole_texts() -> Vec<u32> {
    vec![0]
}

fn is_whole_texts(edits: &[u32]) -> bool {
    edits == whole_texts()
}

fn default_prompts() -> Vec<StudyPack> {
    vec![StudyPack::default()]
}

/// One combination of a [`Grid`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GridCell {
    /// What is done with answers.
    pub mode: Mode,
    /// Which answers are compared; the default in modes that compare none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pairs: Pairs,
    /// How many edits an update may be made of; 0 in modes without updates.
    #[serde(default, skip_serializing_if = "is_default")]
    pub edits: u32,
    /// The wording of its requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prompts: StudyPack,
    /// D, 0 where the mode has none, or a budget is its end.
    pub iterations: u32,
    /// The budget up to which it goes on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub equal: SearchBudget,
    /// N.
    pub samples: u32,
    /// The temperature of all requests, or of all but the critic's.
    pub temperature: f64,
    /// The temperature of losses and gradients, if it is not that of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_temperature: Option<f64>,
    /// The seed.
    pub seed: u64,
}

impl Grid {
    /// The cells, those that share answers behind one another, and the deepest first. None stands twice.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting has no values, for best-of-N up to a budget, and if two cells have one name, as
    /// `tpo-all` with pairs and with a pack of that label.
    pub fn cells(&self) -> Result<Vec<GridCell>, Error> {
        let Self { modes, pairs, edits, prompts, iterations, equal, samples, .. } = self;
        let Self { temperatures, critic_temperature, seeds, .. } = self;
        for (setting, empty) in [
            ("modes", modes.is_empty()),
            ("pairs", pairs.is_empty()),
            ("edits", edits.is_empty()),
            ("prompts", prompts.is_empty()),
            ("iterations", iterations.is_empty()),
            ("samples", samples.is_empty()),
            ("temperatures", temperatures.is_empty()),
            ("seeds", seeds.is_empty()),
        ] {
            if empty {
                return Err(Error::config(setting, "at least one value", "none"));
            }
        }
        let has_budget = !equal.is_unbounded();
        if has_budget && modes.contains(&Mode::Bon) {
            let expected = "modes that go on up to a budget; best-of-N up to one is resample";
            return Err(Error::config("mode", expected, "bon"));
        }
        let mut descending = if has_budget { vec![0] } else { iterations.clone() };
        descending.sort_unstable_by(|a, b| b.cmp(a));
        let only_bon = modes.iter().all(|mode| *mode == Mode::Bon);
        let mut methods = Vec::new();
        for mode in modes {
            for pairs in pairs {
                for edits in edits {
                    methods.extend(prompts.iter().map(|prompts| (mode, pairs, edits, prompts)));
                }
            }
        }
        let mut cells: Vec<GridCell> = Vec::new();
        let mut add = |cell: GridCell| {
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        };
        for temperature in temperatures {
            for seed in seeds {
                for samples in samples {
                    for (mode, pairs, edits, prompts) in &methods {
                        let (mode, prompts) = (*mode, prompts.for_mode(**mode));
                        let cell = |iterations| GridCell {
                            mode: *mode,
                            pairs: if mode.has_pairs() { **pairs } else { Pairs::default() },
                            edits: if mode.has_updates() { **edits } else { 0 },
                            prompts: prompts.clone(),
                            iterations,
                            equal: *equal,
                            samples: *samples,
                            temperature: *temperature,
                            critic_temperature: *critic_temperature,
                            seed: *seed,
                        };
                        match mode {
                            Mode::Bon => {
                                add(cell(0));
                                let others = descending.iter().filter(|_| !only_bon);
                                others.for_each(|iterations| add(cell(*iterations).best_of_n()));
                            }
                            _ => descending.iter().for_each(|iterations| add(cell(*iterations))),
                        }
                    }
                }
            }
        }
        let mut names = HashSet::new();
        match cells.iter().map(GridCell::name).find(|name| !names.insert(name.clone())) {
            None => Ok(cells),
            Some(name) => {
                let expected = "directories whose names differ from those of pairs and edits";
                Err(Error::config("prompts", expected, format!("two cells named {name}")))
            }
        }
    }
}

impl GridCell {
    /// The name of its folder.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { iterations, equal, samples, temperature, seed, .. } = self;
        let depth = match self.mode {
            _ if !equal.is_unbounded() => {
                format!("-{}", equal.to_string().replace([':', ','], "-"))
            }
            Mode::Bon => String::new(),
            _ => format!("-d{iterations}"),
        };
        format!("{}{depth}-n{samples}-t{temperature}-s{seed}", self.method())
    }

    /// The mode, with pairs, edits and prompt pack where they are not the defaults: `tpo`, `tpo-group-2`, `tpo-all-e6`,
    /// `tpo-compact`.
    #[must_use]
    pub fn method(&self) -> String {
        let Self { mode, pairs, edits, prompts, .. } = self;
        let mut method = mode.to_string();
        if !is_default(pairs) {
            method.push_str(&format!("-{pairs}").replace(':', "-"));
        }
        if !is_default(edits) {
            method.push_str(&format!("-e{edits}"));
        }
        if prompts.is_named() {
            method.push_str(&format!("-{}", prompts.label()));
        }
        method
    }

    /// The settings of its run.
    #[must_use]
    pub fn config(&self, base: &TpoConfig) -> TpoConfig {
        let mut config = base.clone();
        config.mode = self.mode;
        config.pairs = self.pairs;
        config.edits = self.edits;
        config.iterations = self.iterations;
        if !self.equal.is_unbounded() {
            config.iterations = UNTIL_BUDGET;
            config.early_stop.budget = self.equal.or(config.early_stop.budget);
        }
        config.samples = self.samples;
        config.seed = self.seed;
        config.sampling.temperature = Some(self.temperature);
        config.critic.temperature = Some(self.critic_temperature.unwrap_or(self.temperature));
        config
    }

    /// The cell of best-of-N with an equal number of answers, N(1 + D), or up to the same budget.
    #[must_use]
    pub fn best_of_n(&self) -> Self {
        let (mode, iterations, samples) = match self.equal.is_unbounded() {
            true => (Mode::Bon, 0, self.samples.saturating_mul(self.iterations.saturating_add(1))),
            false => (Mode::Resample, self.iterations, self.samples),
        };
        let (pairs, prompts) = (Pairs::default(), self.prompts.for_mode(mode));
        Self { mode, pairs, edits: 0, prompts, iterations, samples, ..self.clone() }
    }

    /// Whether its requests, or the answers that it scores, may be those of another cell.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        let key = |cell: &Self| (cell.seed, cell.temperature.to_bits());
        key(self) == key(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_share_answers_stand_together_and_none_stands_twice() {
        let grid = Grid {
            modes: vec![Mode::Tpo, Mode::Bon, Mode::Tpo],
            iterations: vec![0, 2, 1],
            samples: vec![3, 5],
            temperatures: vec![0.7, 1.0],
            seeds: vec![1, 2, 1],
            ..Grid::default()
        };
        let cells = grid.cells().unwrap();
        assert_eq!(cells.len(), (3 + 3) * 2 * 2 * 2);
        let mut groups = 1;
        for pair in cells.windows(2) {
            groups += usize::from(!pair[0].shares_with(&pair[1]));
        }
        assert_eq!(groups, 4);
        let names: Vec<String> = cells.iter().take(4).map(GridCell::name).collect();
        let expected =
            ["tpo-d2-n3-t0.7-s1", "tpo-d1-n3-t0.7-s1", "tpo-d0-n3-t0.7-s1", "bon-n3-t0.7-s1"];
        assert_eq!(names, expected);
        let config = cells[0].config(&TpoConfig { parse_retries: 9, ..TpoConfig::default() });
        assert_eq!(
            (config.iterations, config.samples, config.seed, config.parse_retries),
            (2, 3, 1, 9)
        );
        let hot = cells.last().unwrap().config(&TpoConfig::default());
        assert_eq!((hot.sampling.temperature, hot.critic.temperature), (Some(1.0), Some(1.0)));
        let cells = Grid { critic_temperature: Some(0.2), ..grid }.cells().unwrap();
        let own = cells.last().unwrap().config(&TpoConfig::default());
        assert_eq!((own.sampling.temperature, own.critic.temperature), (Some(1.0), Some(0.2)));
    }

    #[test]
    fn pairs_and_edits_vary_in_modes_that_have_them() {
        let grid = Grid {
            modes: vec![Mode::Tpo, Mode::FeedbackDescent, Mode::Resample],
            pairs: vec![Pairs::BestWorst, Pairs::Group(2)],
            edits: vec![0, 6],
            ..Grid::default()
        };
        let cells = grid.cells().unwrap();
        let methods: Vec<String> = cells.iter().map(GridCell::method).collect();
        let expected = [
            "tpo",
            "tpo-e6",
            "tpo-group-2",
            "tpo-group-2-e6",
            "feedback-descent",
            "feedback-descent-e6",
            "resample",
        ];
        assert_eq!(methods, expected);
        let config = cells[3].config(&TpoConfig::default());
        assert_eq!((config.pairs, config.edits), (Pairs::Group(2), 6));
        assert_eq!(cells[3].best_of_n().name(), "bon-n15-t0.7-s7");
        let text = serde_json::to_string(&grid).unwrap();
        assert_eq!(serde_json::from_str::<Grid>(&text).unwrap(), grid);
        let plain = serde_json::to_string(&Grid::default()).unwrap();
        assert!(!plain.contains("pairs") && !plain.contains("edits"), "{plain}");
    }

    #[test]
    fn cells_of_an_equal_budget_have_no_depth() {
        let equal: SearchBudget = "tokens:20000".parse().unwrap();
        let modes = vec![Mode::Tpo, Mode::Resample];
        let grid = Grid { modes, equal, iterations: vec![1, 2], ..Grid::default() };
        let cells = grid.cells().unwrap();
        let names: Vec<String> = cells.iter().map(GridCell::name).collect();
        assert_eq!(names, ["tpo-tokens-20000-n5-t0.7-s7", "resample-tokens-20000-n5-t0.7-s7"]);
        assert_eq!(cells[0].best_of_n(), cells[1]);
        let base = TpoConfig::default();
        let config = cells[0].config(&base);
        assert_eq!((config.iterations, config.early_stop.budget), (UNTIL_BUDGET, equal));
        let bon = Grid { modes: vec![Mode::Bon], ..grid };
        let error = bon.cells().unwrap_err().to_string();
        assert!(error.contains("best-of-N up to one is resample"), "{error}");
    }

    #[test]
    fn a_setting_without_values_is_named() {
        for (grid, name) in [
            (Grid { modes: vec![], ..Grid::default() }, "modes"),
            (Grid { iterations: vec![], ..Grid::default() }, "iterations"),
            (Grid { samples: vec![], ..Grid::default() }, "samples"),
            (Grid { temperatures: vec![], ..Grid::default() }, "temperatures"),
            (Grid { seeds: vec![], ..Grid::default() }, "seeds"),
        ] {
            let error = grid.cells().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
