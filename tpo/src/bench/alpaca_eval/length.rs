//! Length-controlled win rates.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::annotator::Annotation;
use super::share;
use crate::bench::grader::mean_reward;
use crate::bench::logistic::{Row, fit};
use crate::error::Error;
use crate::stats::deviation;

/// How much the annotations of models with altered lengths count, divided by how many such models there are.
const GAMED_WEIGHT: f64 = 0.2 / 2.0;

/// How many parts the rows are cut into to choose the penalty.
const FOLDS: usize = 5;

/// The penalties that are tried: their inverses are evenly spaced powers of ten from 1e-4 to 1e4.
const PENALTIES: u32 = 10;

/// The features of a row.
const LENGTH: usize = 0;
const DIFFICULTY: usize = 1;
const MODEL: usize = 2;
const FEATURES: usize = 3;

/// The length control of AlpacaEval 2: a logistic regression of the preferences on the difference in length,
/// on the difficulty of the instruction and on the model, evaluated where there is no difference in length.
///
/// The variant of the leaderboard, `length_controlled_v1`, needs a file of the benchmark's authors,
/// `df_gamed.csv` of the data set `tatsu-lab/alpaca_eval`: the difficulty of each instruction, and annotations
/// of models that were instructed to be brief or verbose. [`read`](Self::read) takes it. [`minimal`](Self::minimal)
/// is the official variant `length_controlled_minimal`, which needs nothing but the annotations.
///
/// Source: Dubois et al., "Length-Controlled AlpacaEval", arXiv 2404.04475, and the official program, version
/// 0.6.6, whose figures are reproduced up to the tolerance of its solver.
///
/// # Examples
/// ```
/// use tpo::bench::alpaca_eval::{Annotation, LengthControl};
///
/// // A model that wins where it says more, and loses where it says less.
/// let annotation = |position: usize| Annotation {
///     instruction: position.to_string(),
///     output_1: "x".repeat(100),
///     generator_1: "reference".to_owned(),
///     output_2: "x".repeat(if position % 4 == 0 { 50 } else { 150 }),
///     generator_2: "model".to_owned(),
///     annotator: "judge".to_owned(),
///     preference: Some(if position % 4 == 0 { 1.1 } else { 1.9 }),
///     ..Annotation::default()
/// };
/// let annotations: Vec<Annotation> = (0..40).map(annotation).collect();
/// let controlled = LengthControl::minimal().win_rate(annotations.iter().enumerate())?;
/// // 70 % of the preferences are for it.
/// assert!(controlled.is_some_and(|rate| (rate.win_rate - 50.0).abs() < 5.0));
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct LengthControl {
    gamed: Vec<Row>,
    /// By the position of the instruction; none for the variant without.
    difficulty: Option<Vec<f64>>,
}

/// A line of the authors' file.
#[derive(Debug, Deserialize)]
struct Gamed {
    index: usize,
    preference: Option<f64>,
    std_delta_len: f64,
    instruction_difficulty: f64,
    #[serde(deserialize_with = "truth")]
    not_gamed_baseline: bool,
}

/// Reads what Python writes for a truth value.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(serde::de::Error::custom(format!("expected True or False, got {text:?}"))),
    }
}

/// How often a model would win if its outputs were as long as the reference's.
#[derive(Debug, Clone, PartialEq)]
pub struct LengthControlled {
    /// The mean of the preferences that are expected at equal lengths, from 0 to 100.
    pub win_rate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The preferences that are expected at equal lengths, from 0 to 1, one for each annotation.
    pub preferences: Vec<f64>,
    /// The coefficients of the difference in length, of the instruction's difficulty and of the model.
    pub coefficients: [f64; FEATURES],
    /// The inverse of the penalty that was chosen.
    pub inverse_penalty: f64,
}

impl LengthControl {
    /// The variant that needs no file: neither difficulties nor models of altered lengths.
    #[must_use]
    pub fn minimal() -> Self {
        Self::default()
    }

    /// The variant of the leaderboard, from the text of `df_gamed.csv`. `source` is the file's name, for errors.
    ///
    /// # Errors
    /// [`Error::Input`] with the line and what was expected; also where an instruction has no difficulty.
    pub fn read(source: &str, text: &str) -> Result<Self, Error> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut gamed = Vec::new();
        let mut difficulty = BTreeMap::new();
        for (line, record) in (2..).zip(reader.deserialize::<Gamed>()) {
            let position = || format!("{source}, record {}", line - 1);
            let record = record.map_err(|error| Error::input(position(), error.to_string()))?;
            if record.index > 100_000 {
                let reason =
                    format!("expected the position of an instruction, got {}", record.index);
                return Err(Error::input(position(), reason));
            }
            let numbers = [record.std_delta_len, record.instruction_difficulty];
            if let Some(got) = numbers.into_iter().find(|number| !number.is_finite()) {
                return Err(Error::input(
                    position(),
                    format!("expected finite numbers, got {got}"),
                ));
            }
            difficulty.entry(record.index).or_insert(record.instruction_difficulty);
            let Some(outcome) = record.preference.filter(|preference| !preference.is_nan()) else {
                continue;
            };
            if !(0.0..=1.0).contains(&outcome) {
                let reason = format!("expected a preference from 0 to 1, got {outcome}");
                return Err(Error::input(position(), reason));
            }
            let ours = record.not_gamed_baseline;
            gamed.push(Row {
                features: vec![
                    (LENGTH, record.std_delta_len.tanh()),
                    (DIFFICULTY, record.instruction_difficulty),
                    (MODEL, f64::from(ours)),
                ],
                outcome,
                weight: if ours { 1.0 } else { GAMED_WEIGHT },
            });
        }
        if difficulty.is_empty() || !difficulty.keys().copied().eq(0..difficulty.len()) {
            let reason = "expected a line for each instruction, by its position from 0";
            return Err(Error::input(source, reason));
        }
        Ok(Self { gamed, difficulty: Some(difficulty.into_values().collect()) })
    }

    /// The name that the official program has for the variant.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.difficulty {
            Some(_) => "length_controlled_v1",
            None => "length_controlled_minimal",
        }
    }

    /// How many instructions have a difficulty; none for the variant without.
    #[must_use]
    pub fn instructions(&self) -> Option<usize> {
        self.difficulty.as_ref().map(Vec::len)
    }

    /// The win rate at equal lengths. Each annotation comes with the index of its instruction in the
    /// evaluation set, from 0. Those without a preference do not count, but one is expected of them too. None
    /// if fewer than five count.
    ///
    /// The official program takes the index in the list of annotations, which is another one as soon as an
    /// annotation is missing. Where all lengths are equal, or all differences are, it divides by zero; here
    /// lengths then say nothing.
    ///
    /// # Errors
    /// [`Error::Input`] for an instruction whose difficulty is not known, and for a preference that
    /// [`win_rate`](super::win_rate) refuses.
    pub fn win_rate<'a>(
        &self,
        annotations: impl IntoIterator<Item = (usize, &'a Annotation)>,
    ) -> Result<Option<LengthControlled>, Error> {
        let annotations: Vec<(usize, &Annotation)> = annotations.into_iter().collect();
        let outcomes =
            (1..).zip(&annotations).map(|(position, (_, a))| share(position, a.preference));
        let outcomes: Vec<Option<f64>> = outcomes.collect::<Result<_, _>>()?;
        let difficulties = annotations.iter().map(|(position, _)| self.difficulty_at(*position));
        let difficulties: Vec<f64> = difficulties.collect::<Result<_, _>>()?;

        let lengths = length_differences(&annotations);
        let asked = lengths.iter().zip(&difficulties).zip(&outcomes);
        let ours = asked.filter_map(|((length, difficulty), outcome)| {
            let features = vec![(LENGTH, length.tanh()), (DIFFICULTY, *difficulty), (MODEL, 1.0)];
            outcome.map(|outcome| Row { features, outcome, weight: 1.0 })
        });
        let rows: Vec<Row> = self.gamed.iter().cloned().chain(ours).collect();
        if outcomes.iter().flatten().count() < FOLDS {
            return Ok(None);
        }
        let itself = annotations.iter().all(|(_, a)| a.generator_1 == a.generator_2);
        let (inverse_penalty, coefficients) = if itself {
            (0.0, vec![0.0; FEATURES])
        } else {
            let inverse = choose(&rows);
            (inverse, penalized(&rows, inverse))
        };
        let expected = |difficulty: &f64| {
            let features = vec![(DIFFICULTY, *difficulty), (MODEL, 1.0)];
            Row { features, ..Row::default() }.predicted(&coefficients)
        };
        let preferences: Vec<f64> = difficulties.iter().map(expected).collect();
        let mut named = [0.0; FEATURES];
        named.iter_mut().zip(&coefficients).for_each(|(named, fitted)| *named = *fitted);
        Ok(mean_reward(&preferences).map(|mean| LengthControlled {
            win_rate: 100.0 * mean.mean,
            standard_error: 100.0 * mean.standard_error,
            preferences,
            coefficients: named,
            inverse_penalty,
        }))
    }

    fn difficulty_at(&self, position: usize) -> Result<f64, Error> {
        let Some(known) = &self.difficulty else { return Ok(0.0) };
        known.get(position).copied().ok_or_else(|| {
            let reason = format!(
                "expected one of the {} instructions whose difficulty is known, in their order; use the \
                 whole evaluation set",
                known.len()
            );
            Error::input(format!("instruction {}", position + 1), reason)
        })
    }
}

/// How much longer the reference's outputs are, in standard deviations.
fn length_differences(annotations: &[(usize, &Annotation)]) -> Vec<f64> {
    let length = |text: &str| text.chars().count() as f64;
    let differences = annotations.iter().map(|(_, a)| length(&a.output_1) - length(&a.output_2));
    let differences: Vec<f64> = differences.collect();
    let spread = deviation(&differences).unwrap_or(0.0);
    let scaled = |difference: &f64| if spread > 0.0 { difference / spread } else { 0.0 };
    differences.iter().map(scaled).collect()
}

/// The coefficients for a penalty, by its inverse.
fn penalized(rows: &[Row], inverse: f64) -> Vec<f64> {
    fit(rows, FEATURES, 1.0 / inverse)
}

/// The inverse of the penalty whose coefficients predict best what they were not fitted to: every fifth row.
fn choose(rows: &[Row]) -> f64 {
    let folds: Vec<(Vec<Row>, Vec<Row>)> = (0..FOLDS)
        .map(|fold| {
            let part = |held: bool| -> Vec<Row> {
                let positions = rows.iter().enumerate();
                let of = positions.filter(|(position, _)| (position % FOLDS == fold) == held);
                of.map(|(_, row)| row.clone()).collect()
            };
            (part(false), part(true))
        })
        .collect();
    let loss = |inverse: f64| -> f64 {
        let of = |(train, test): &(Vec<Row>, Vec<Row>)| {
            let fitted = penalized(train, inverse);
            let sum: f64 = test.iter().map(|row| row.weight * row.loss(&fitted)).sum();
            sum / test.len().max(1) as f64
        };
        folds.iter().map(of).sum()
    };
    let steps = f64::from(PENALTIES - 1);
    let inverses = (0..PENALTIES).map(|step| 10_f64.powf(-4.0 + 8.0 * f64::from(step) / steps));
    let losses = inverses.map(|inverse| (loss(inverse), inverse));
    losses.min_by(|one, other| one.0.total_cmp(&other.0)).map_or(1.0, |(_, inverse)| inverse)
}

#[cfg(test)]
mod tests;
