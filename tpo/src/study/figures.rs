//! Figures of the cells of a study, and their table.

use serde::Serialize;

use super::columns::table;
use super::folder::StudyFolder;
use super::grid::GridCell;
use crate::config::{Mode, SearchBudget};
use crate::error::Error;
use crate::report::{Bootstrap, Interval, QueryData, deviation, mean};
use crate::run::RecordedRun;
use crate::search::Pairs;

/// The numbers of one cell.
#[derive(Debug, Clone, Default)]
struct CellFigures {
    /// The best score of each query; none where it failed.
    best: Vec<Option<f64>>,
    /// The held-out grade of each returned answer; none where there is none.
    held_out: Vec<Option<f64>>,
    /// The queries that were searched to their end.
    queries: Vec<QueryData>,
}

impl CellFigures {
    fn read(run: &RecordedRun) -> Result<Self, Error> {
        let (queries, failed) = QueryData::all(run, |_| Ok(()))?;
        let mut best = vec![None; queries.len() + failed];
        let mut held_out = best.clone();
        for query in &queries {
            if let Some(best) = best.get_mut(query.index) {
                *best = Some(query.best);
            }
            if let Some(grade) = held_out.get_mut(query.index) {
                *grade = query.held_out.map(|[_, returned]| returned);
            }
        }
        Ok(Self { best, held_out, queries })
    }
}

/// Differences, query by query.
fn differences(own: &[Option<f64>], other: &[Option<f64>]) -> Vec<Option<f64>> {
    own.iter().zip(other).map(|(own, other)| Some((*own)? - (*other)?)).collect()
}

/// A row of the table: the cells that differ in nothing but the seed. Figures per query are means over all
/// searches that came to their end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyRow {
    /// The [name](GridCell::method) of the method.
    pub method: String,
    /// What was done with answers.
    pub mode: Mode,
    /// Which answers were compared.
    pub pairs: Pairs,
    /// How many edits an update might be made of.
    pub edits: u32,
    /// The label of the prompt pack.
    pub prompts: String,
    /// D, 0 where a budget is the end.
    pub iterations: u32,
    /// N.
    pub samples: u32,
    /// The temperature.
    pub temperature: f64,
    /// How many seeds.
    pub seeds: usize,
    /// Searches that came to their end, over all seeds.
    pub searches: usize,
    /// Searches that failed.
    pub failed: usize,
    /// Iterations that were made, per query.
    pub mean_iterations: f64,
    /// The part of the scarcest bound of an equal budget that was left, per query: 0.1 is a tenth of it, below 0 is
    /// what was spent beyond it. None without one.
    pub budget_left: Option<f64>,
    /// Answers drawn and kept per query.
    pub answers: f64,
    /// The mean of the best scores, with its interval over seeds and queries; none if all failed.
    pub reward: Option<Interval>,
    /// How far the best scores are above those of the study's first mode at equal D, N and temperature (of
    /// best-of-N at an equal number of answers), query by query and seed by seed, with the interval over both; none
    /// for that mode itself, and if there is nothing to pair.
    pub difference: Option<Interval>,
    /// How far the best scores are above those of best-of-N with an equal number of answers, N(1 + D), or up to the
    /// same budget, paired as [`difference`](Self::difference); none for best-of-N itself, and if the study lacks it.
    pub difference_from_bon: Option<Interval>,
    /// How far the best scores are above those of the study's first prompt pack with all other settings equal, paired
    /// as [`difference`](Self::difference); none for that pack itself, and for modes without a wording.
    pub difference_from_prompts: Option<Interval>,
    /// The mean held-out grade of the returned answers, as [`reward`](Self::reward); none if nothing was graded.
    pub held_out: Option<Interval>,
    /// How far the held-out grades are above those of the study's first mode, as [`difference`](Self::difference).
    pub held_out_difference: Option<Interval>,
    /// The mean score of the newest answers of a search: those of its last iteration, better or not.
    pub newest: Option<f64>,
    /// The mean standard deviation of the scores of the newest answers of a search.
    pub spread: Option<f64>,
    /// The mean standard deviation of a query's best score over the seeds; none for a single seed.
    pub seed_spread: Option<f64>,
    /// Requests to language models per query, whether they were sent or answered from another cell.
    pub calls: f64,
    /// Prompt tokens per query.
    pub prompt_tokens: f64,
    /// Completion tokens per query.
    pub completion_tokens: f64,
    /// Answers scored per query.
    pub scored: f64,
}

/// The table of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyTable {
    /// Whether any part of it is simulated: then the figures say nothing about real models.
    pub simulated: bool,
    /// The [method](GridCell::method) of the study's first cell, with which the others are compared.
    pub against: Option<String>,
    /// The label of the first prompt pack, with which the others are compared.
    pub against_prompts: Option<String>,
    /// The budget up to which all searches went on; none if they had a number of iterations.
    #[serde(skip_serializing_if = "SearchBudget::is_unbounded")]
    pub equal: SearchBudget,
    /// The rows: by temperature and samples, then mode, then iterations.
    pub rows: Vec<StudyRow>,
}

impl StudyTable {
    /// The table of a study whose cells are finished. It blocks.
    ///
    /// # Errors
    /// Those of [`RecordedRun::open`], [`RecordedRun::results`] and its items.
    pub fn read(study: &StudyFolder, bootstrap: &Bootstrap) -> Result<Self, Error> {
        let read = |cell: &GridCell| {
            Ok((cell.clone(), CellFigures::read(&RecordedRun::open(study.run(cell))?)?))
        };
        let cells: Vec<_> = study.cells().iter().map(read).collect::<Result<_, Error>>()?;
        Ok(Self::new(study.is_simulation(), &cells, bootstrap))
    }

    fn new(simulated: bool, cells: &[(GridCell, CellFigures)], bootstrap: &Bootstrap) -> Self {
        let alike = |a: &GridCell, b: &GridCell| GridCell { seed: b.seed, ..a.clone() } == *b;
        let against = cells.first().map(|(cell, _)| cell);
        let first_method = |cell: &GridCell| match against {
            Some(GridCell { mode, pairs, edits, prompts, .. }) if *mode != Mode::Bon => {
                let prompts = prompts.clone();
                GridCell { mode: *mode, pairs: *pairs, edits: *edits, prompts, ..cell.clone() }
            }
            _ => cell.best_of_n(),
        };
        let first_prompts = |cell: &GridCell| {
            let prompts = against.map(|cell| cell.prompts.clone()).unwrap_or_default();
            GridCell { prompts, ..cell.clone() }
        };
        let mut rows = Vec::new();
        for (place, (cell, _)) in cells.iter().enumerate() {
            if cells.iter().take(place).any(|(earlier, _)| alike(earlier, cell)) {
                continue;
            }
            let same: Vec<&(GridCell, CellFigures)> =
                cells.iter().filter(|(other, _)| alike(other, cell)).collect();
            let figures: Vec<&CellFigures> = same.iter().map(|(_, figures)| figures).collect();
            let difference =
                |of: &dyn Fn(&GridCell) -> GridCell, number: fn(&CellFigures) -> &[Option<f64>]| {
                    let pairs = same.iter().filter_map(|(cell, figures)| {
                        let against = of(cell);
                        let other = cells.iter().find(|(other, _)| *other == against);
                        let (_, other) = other.filter(|_| against.method() != cell.method())?;
                        Some(differences(number(figures), number(other)))
                    });
                    let pairs: Vec<Vec<Option<f64>>> = pairs.collect();
                    bootstrap.crossed(&pairs.iter().map(Vec::as_slice).collect::<Vec<_>>())
                };
            let best: fn(&CellFigures) -> &[Option<f64>] = |figures| &figures.best;
            rows.push(StudyRow {
                difference: difference(&first_method, best),
                difference_from_bon: difference(&GridCell::best_of_n, best),
                difference_from_prompts: difference(&first_prompts, best),
                held_out_difference: difference(&first_method, |figures| &figures.held_out),
                ..row(cell, &figures, bootstrap)
            });
        }
        // Beside one another what is compared: by temperature and samples, then mode, then iterations.
        let packs: Vec<&str> = cells.iter().map(|(cell, _)| cell.prompts.label()).collect();
        let mode = |mode: Mode| Mode::ALL.iter().position(|known| *known == mode);
        rows.sort_by(|a: &StudyRow, b: &StudyRow| {
            let key = |row: &StudyRow| {
                let others = (row.pairs != Pairs::default()).then(|| row.pairs.to_string());
                let pack = packs.iter().position(|label| *label == row.prompts);
                (row.samples, mode(row.mode), others, row.edits, pack, row.iterations)
            };
            a.temperature.total_cmp(&b.temperature).then_with(|| key(a).cmp(&key(b)))
        });
        let equal = against.map(|cell| cell.equal).unwrap_or_default();
        let against_prompts = against.map(|cell| cell.prompts.label().to_owned());
        let against = against.map(GridCell::method);
        Self { simulated, against, against_prompts, equal, rows }
    }

    /// As CSV.
    ///
    /// # Errors
    /// None in practice; see [`Table::to_csv`](crate::report::Table::to_csv).
    pub fn to_csv(&self) -> Result<String, Error> {
        table(self.rows.iter(), |_| true).to_csv(self.simulated)
    }

    /// The row of these settings.
    #[must_use]
    pub fn row(&self, mode: Mode, iterations: u32, samples: u32) -> Option<&StudyRow> {
        self.rows
            .iter()
            .find(|row| (row.mode, row.iterations, row.samples) == (mode, iterations, samples))
    }
}

/// A row without the differences from others.
fn row(cell: &GridCell, seeds: &[&CellFigures], bootstrap: &Bootstrap) -> StudyRow {
    let queries = || seeds.iter().flat_map(|figures| &figures.queries);
    let searches = queries().count();
    let all: usize = seeds.iter().map(|figures| figures.best.len()).sum();
    let means = |number: fn(&QueryData) -> Option<f64>| -> Option<f64> {
        mean(&queries().filter_map(number).collect::<Vec<f64>>())
    };
    let each = |number| means(number).unwrap_or(0.0);
    let best: Vec<&[Option<f64>]> = seeds.iter().map(|figures| &figures.best[..]).collect();
    let held_out: Vec<&[Option<f64>]> = seeds.iter().map(|figures| &figures.held_out[..]).collect();
    let count = best.iter().map(|best| best.len()).max().unwrap_or(0);
    let over_seeds: Vec<f64> = (0..count)
        .filter_map(|query| {
            let scores = best.iter().filter_map(|best| *best.get(query)?);
            deviation(&scores.collect::<Vec<f64>>())
        })
        .collect();
    StudyRow {
        method: cell.method(),
        mode: cell.mode,
        pairs: cell.pairs,
        edits: cell.edits,
        prompts: cell.prompts.label().to_owned(),
        iterations: cell.iterations,
        samples: cell.samples,
        temperature: cell.temperature,
        seeds: seeds.len(),
        searches,
        failed: all - searches,
        mean_iterations: each(|query| Some(query.scores.len().saturating_sub(1) as f64)),
        budget_left: means(|query| query.budget_left),
        answers: each(|query| Some(query.answers() as f64)),
        reward: bootstrap.crossed(&best),
        difference: None,
        difference_from_bon: None,
        difference_from_prompts: None,
        held_out: bootstrap.crossed(&held_out),
        held_out_difference: None,
        newest: means(|query| mean(query.newest())),
        spread: means(|query| deviation(query.newest())),
        seed_spread: mean(&over_seeds),
        calls: each(|query| Some(query.requests as f64)),
        prompt_tokens: each(|query| Some(query.tokens.prompt_tokens as f64)),
        completion_tokens: each(|query| Some(query.tokens.completion_tokens as f64)),
        scored: each(|query| Some(query.scored as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::{compact_pack, default_pack};
    use crate::study::StudyPack;
    use crate::study::columns::COLUMNS;

    fn cell(mode: Mode, seed: u64) -> GridCell {
        GridCell {
            mode,
            pairs: Pairs::default(),
            edits: 0,
            prompts: StudyPack::default(),
            iterations: 2,
            samples: 5,
            temperature: 0.7,
            critic_temperature: None,
            equal: SearchBudget::default(),
            seed,
        }
    }

    fn figures(best: [Option<f64>; 3]) -> CellFigures {
        CellFigures { best: best.to_vec(), ..CellFigures::default() }
    }

    #[test]
    fn differences_are_of_the_same_query_and_seed() {
        // Queries differ by far more than modes, and the seeds too.
        let cells = [
            (cell(Mode::Tpo, 1), figures([Some(1.0), Some(10.0), Some(100.0)])),
            (cell(Mode::Tpo, 2), figures([Some(2.0), Some(20.0), None])),
            (cell(Mode::Revision, 1), figures([Some(0.5), Some(9.5), Some(99.5)])),
            (cell(Mode::Revision, 2), figures([Some(1.5), Some(19.5), Some(7.0)])),
            (GridCell { samples: 9, ..cell(Mode::Revision, 1) }, figures([Some(0.0); 3])),
        ];
        let table = StudyTable::new(false, &cells, &Bootstrap::default());
        let found = table.row(Mode::Revision, 2, 5).and_then(|row| row.difference).expect("pairs");
        assert_eq!((found.low, found.mean, found.high), (-0.5, -0.5, -0.5));
        assert_eq!(table.against.as_deref(), Some("tpo"));
        assert_eq!(table.row(Mode::Tpo, 2, 5).map(|row| row.difference), Some(None));
        let alone = table.row(Mode::Revision, 2, 9).map(|row| row.difference);
        assert_eq!(alone, Some(None), "nothing with equal samples");
        let shown = table.shown();
        let (_, paired) =
            shown.split_once("paired difference in reward from tpo\n").expect("a part");
        assert_eq!(
            paired,
            "method    D  N  difference   low  high\n\
             revision  2  5        -0.5  -0.5  -0.5\n"
        );
        let csv = table.to_csv().expect("text");
        assert!(
            csv.lines()
                .next()
                .is_some_and(|line| line.contains(",difference,difference_low,difference_high,"))
        );
    }

    #[test]
    fn modes_are_paired_with_best_of_n_of_equal_budget() {
        let bon =
            |samples| GridCell { mode: Mode::Bon, iterations: 0, samples, ..cell(Mode::Bon, 1) };
        for modes in [[Mode::Tpo, Mode::Revision], [Mode::Ungated, Mode::Listwise]] {
            let cells = [
                (cell(modes[0], 1), figures([Some(2.0), Some(20.0), None])),
                (cell(modes[1], 1), figures([Some(1.0), Some(19.0), Some(7.0)])),
                (bon(5), figures([Some(0.0); 3])),
                (bon(15), figures([Some(1.5), Some(19.5), Some(6.5)])),
            ];
            let table = StudyTable::new(false, &cells, &Bootstrap::default());
            let found = modes.map(|mode| {
                let found =
                    table.row(mode, 2, 5).and_then(|row| row.difference_from_bon).expect("a pair");
                (found.low, found.mean, found.high)
            });
            assert_eq!(found[0], (0.5, 0.5, 0.5));
            assert!((found[1].1 + 1.0 / 6.0).abs() < 1e-9, "{found:?}");
            assert!(
                table.row(Mode::Bon, 0, 15).is_some_and(|row| row.difference_from_bon.is_none())
            );
            let shown = table.shown();
            let title = "paired difference in reward from best-of-N at N(1 + D) answers";
            assert!(shown.contains(title), "{shown}");
            assert!(COLUMNS.iter().all(|(name, _)| {
                shown.contains(name.trim_end_matches("_low").trim_end_matches("_high"))
                    || name.starts_with("held_out")
                    || name.starts_with("difference_from_prompts")
                    || [
                        "mean_iterations",
                        "budget_left",
                        "temperature",
                        "mode",
                        "pairs",
                        "edits",
                        "prompts",
                    ]
                    .contains(name)
            }));
            assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
        }
    }

    #[test]
    fn wordings_are_compared_within_each_mode() {
        let packs = [("default", &default_pack()), ("compact", &compact_pack())];
        let [first, other] = &StudyPack::list(packs).expect("packs")[..] else { panic!("two") };
        let with = |mode, pack: &StudyPack| GridCell { prompts: pack.clone(), ..cell(mode, 1) };
        let cells = [
            (with(Mode::Tpo, first), figures([Some(2.0), Some(20.0), None])),
            (with(Mode::Tpo, other), figures([Some(2.5), Some(20.5), Some(1.0)])),
            (with(Mode::Revision, first), figures([Some(1.0), Some(19.0), Some(7.0)])),
            (with(Mode::Revision, other), figures([Some(2.0), Some(20.0), Some(8.0)])),
        ];
        let table = StudyTable::new(false, &cells, &Bootstrap::default());
        let rows = table.rows.iter().map(|row| {
            let mean = |found: Option<Interval>| found.map(|found| found.mean);
            let differences = (mean(row.difference), mean(row.difference_from_prompts));
            (row.method.as_str(), row.prompts.as_str(), differences)
        });
        let expected = [
            ("tpo", "default", (None, None)),
            ("tpo-compact", "compact", (Some(0.5), Some(0.5))),
            ("revision", "default", (Some(-1.0), None)),
            ("revision-compact", "compact", (Some(0.0), Some(1.0))),
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        let shown = table.shown();
        let title = "difference in reward from the prompts default, all else equal\n";
        assert!(shown.contains(title), "{shown}");
        // With one mode, it would be the same table twice.
        let one = StudyTable::new(false, &cells[..2], &Bootstrap::default()).shown();
        assert!(one.contains("from tpo\n") && !one.contains("all else equal"), "{one}");
    }
}
