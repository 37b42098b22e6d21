//! Style-controlled scores.

use std::collections::{BTreeMap, HashMap};

use textgrad_core::Seed;

use super::answer::Answer;
use super::judgment::Judgment;
use super::markdown::Style;
use super::{ROUNDS, draws, points};
use crate::bench::logistic::{Row, fit, sigmoid};
use crate::error::Error;
use crate::stats::{deviation, mean, quantile};

/// How many features the style has: tokens, headers, items of lists, bold words.
const STYLE: usize = 4;

/// A score and its interval, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The median of the bootstrap samples.
    pub score: f64,
    /// The 5th percentile of the samples.
    pub lower: f64,
    /// The 95th percentile.
    pub upper: f64,
}

/// How models do against a baseline where answers are equally long and have equally much markup.
#[derive(Debug, Clone, PartialEq)]
pub struct StyleControlled {
    /// The scores by the name of the model.
    pub models: BTreeMap<String, Interval>,
    /// How much style counts, by the median: tokens, headers, items of lists, bold words. Each for a standard
    /// deviation more than the baseline has.
    pub coefficients: [f64; STYLE],
}

impl StyleControlled {
    /// The published aggregation with style control (`length` and `markdown`): a Bradley-Terry model of all
    /// verdicts, strong ones three times, with a coefficient for each model and for each of four differences
    /// in style, over 100 bootstrap samples. What style explains is explained by all models together, so give
    /// the judgments of many; those of one model alone tell its style from its merit only as far as its style
    /// changes from answer to answer.
    ///
    /// `judgments` are those of one category, `answers` those of the models and of the baseline. None if no
    /// question counts.
    ///
    /// A difference in style that is the same everywhere, for which the official program divides by zero, says
    /// nothing here; an answer without tokens has no markup.
    ///
    /// # Errors
    /// [`Error::Input`] if the answer to a question is missing or its tokens were not counted, or judgments are
    /// against several baselines.
    pub fn of(
        judgments: &[&Judgment],
        answers: &[&Answer],
        seed: Seed,
    ) -> Result<Option<Self>, Error> {
        let (models, rows) = rows(judgments, answers)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let size = models.len() + STYLE;
        let sample = |round: u64| {
            let mut drawn = rows.clone();
            drawn.iter_mut().for_each(|row| row.weight = 0.0);
            for position in draws(seed, round, rows.len()) {
                if let Some(row) = drawn.get_mut(position) {
                    row.weight += 1.0;
                }
            }
            drawn.retain(|row| row.weight > 0.0);
            fit(&drawn, size, 0.0)
        };
        let fitted: Vec<Vec<f64>> = (0..ROUNDS).map(sample).collect();
        let at = |position: usize| {
            let mut values: Vec<f64> =
                fitted.iter().filter_map(|one| one.get(position).copied()).collect();
            values.sort_by(f64::total_cmp);
            move |share| quantile(&values, share).unwrap_or_default()
        };
        let interval = |(position, model): (usize, &str)| {
            let at = at(position);
            let percent = |share| 100.0 * sigmoid(at(share));
            let (score, lower, upper) = (percent(0.5), percent(0.05), percent(0.95));
            (model.to_owned(), Interval { score, lower, upper })
        };
        let style: [usize; STYLE] = std::array::from_fn(|position| models.len() + position);
        Ok(Some(Self {
            coefficients: style.map(|position| at(position)(0.5)),
            models: models.into_iter().enumerate().map(interval).collect(),
        }))
    }
}

/// The models in order, and a row for each verdict.
fn rows<'a>(
    judgments: &[&'a Judgment],
    answers: &[&Answer],
) -> Result<(Vec<&'a str>, Vec<Row>), Error> {
    let styles: HashMap<(&str, &str), &Style> = answers
        .iter()
        .map(|answer| ((answer.model.as_str(), answer.uid.as_str()), &answer.style))
        .collect();
    let style = |model: &str, uid: &str| match styles.get(&(model, uid)) {
        Some(style) if style.token_len.is_some() => Ok(*style),
        Some(_) => {
            let reason = format!(
                "expected token_len of the answer to {uid:?}, which is not computed; count tokens with a tokenizer, \
                 or build with the feature o200k"
            );
            Err(Error::input(model, reason))
        }
        None => {
            let reason =
                format!("expected an answer to {uid:?}, whose style is needed; found none");
            Err(Error::input(model, reason))
        }
    };
    let counted: Vec<_> = judgments.iter().filter_map(|j| Some((*j, j.verdicts()?))).collect();
    if let Some((first, other)) = counted.first().and_then(|(first, _)| {
        let other = counted.iter().find(|(other, _)| other.baseline != first.baseline);
        other.map(|(other, _)| (first, other))
    }) {
        let (one, other) = (&first.baseline, &other.baseline);
        let reason = format!("expected judgments against one baseline, got {one:?} and {other:?}");
        return Err(Error::input(&first.category, reason));
    }
    let mut models: Vec<&str> = counted.iter().map(|(j, _)| j.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();

    let mut battles = Vec::new();
    for (judgment, verdicts) in &counted {
        let (model, uid) = (judgment.model.as_str(), judgment.uid.as_str());
        let apart = difference(style(model, uid)?, style(&judgment.baseline, uid)?);
        let position = models.binary_search(&model).unwrap_or_default();
        battles.extend(points(verdicts).into_iter().map(|outcome| (position, apart, outcome)));
    }
    let scales: [Option<(f64, f64)>; STYLE] = std::array::from_fn(|feature| {
        let values = battles.iter().filter_map(|(_, apart, _)| apart.get(feature).copied());
        let values: Vec<f64> = values.collect();
        let (mean, spread) = (mean(&values)?, deviation(&values)?);
        (spread > 0.0).then_some((mean, spread))
    });
    let row = |(position, apart, outcome): (usize, [f64; STYLE], f64)| {
        let scaled = apart.iter().zip(&scales).enumerate().filter_map(|(at, (value, scale))| {
            scale.map(|(mean, spread)| (models.len() + at, (value - mean) / spread))
        });
        Row {
            features: std::iter::once((position, 1.0)).chain(scaled).collect(),
            outcome,
            weight: 1.0,
        }
    };
    let rows = battles.into_iter().map(row).collect();
    Ok((models, rows))
}

/// How an answer's style differs from the baseline's.
fn difference(ours: &Style, baseline: &Style) -> [f64; STYLE] {
    let part = |apart: f64, whole: f64| if whole > 0.0 { apart / whole } else { 0.0 };
    let of = |style: &Style| {
        let tokens = style.token_len.unwrap_or(0) as f64;
        (tokens, style.markup().map(|count| part(count as f64, tokens)))
    };
    let ((a, dense), (b, other)) = (of(ours), of(baseline));
    let [headers, lists, bold] = std::array::from_fn(|at| match (dense.get(at), other.get(at)) {
        (Some(one), Some(other)) => (one - other) / (one + other + 1.0),
        _ => 0.0,
    });
    [part(a - b, a + b), headers, lists, bold]
}

#[cfg(test)]
mod tests;
