//! Logistic regression, as the published aggregations of AlpacaEval 2 and Arena-Hard need it: shares as
//! outcomes, weighted rows, features that are mostly zero, no intercept, and a penalty of coefficients' sizes
//! or none. Crates that fit logistic regressions take labels and no weights.

/// The steps of a fit. Rows that a coefficient separates would be fitted for ever.
const MAX_STEPS: usize = 50;

/// The rounds over the coefficients in a step.
const MAX_ROUNDS: usize = 1000;

/// A change of coefficients that is none.
const TOLERANCE: f64 = 1e-10;

/// One observation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    /// Its features that are not zero, each with its place.
    pub(super) features: Vec<(usize, f64)>,
    /// From 0 to 1.
    pub(super) outcome: f64,
    /// How much it counts.
    pub(super) weight: f64,
}

impl Row {
    fn logit(&self, coefficients: &[f64]) -> f64 {
        let product = |(position, value): &(usize, f64)| {
            coefficients.get(*position).map_or(0.0, |coefficient| coefficient * value)
        };
        self.features.iter().map(product).sum()
    }

    /// What the coefficients make of its outcome.
    pub(super) fn predicted(&self, coefficients: &[f64]) -> f64 {
        sigmoid(self.logit(coefficients))
    }

    /// The cross entropy of its outcome and of what is predicted, without its weight.
    pub(super) fn loss(&self, coefficients: &[f64]) -> f64 {
        let logit = self.logit(coefficients);
        // log(1 + exp(logit)), without overflow.
        let log_partition = logit.max(0.0) + (-logit.abs()).exp().ln_1p();
        log_partition - self.outcome * logit
    }
}

pub(super) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The coefficients that make the weighted sum of the rows' losses plus `penalty` times the sum of the
/// coefficients' sizes smallest.
///
/// By Newton's method, whose steps are found one coefficient at a time and halved until they help. Rows that
/// can be told apart without an error have no smallest sum if nothing is penalized: then coefficients are
/// large, and what they predict is next to certain.
pub(super) fn fit(rows: &[Row], size: usize, penalty: f64) -> Vec<f64> {
    let mut coefficients = vec![0.0; size];
    let total = |coefficients: &[f64]| -> f64 {
        let losses: f64 = rows.iter().map(|row| row.weight * row.loss(coefficients)).sum();
        losses + penalty * coefficients.iter().map(|c| c.abs()).sum::<f64>()
    };
    let mut best = total(&coefficients);
    for _ in 0..MAX_STEPS {
        let step = Curve::at(rows, &coefficients).step(&coefficients, penalty);
        let moved = |share: f64| -> Vec<f64> {
            coefficients.iter().zip(&step).map(|(c, by)| c + share * by).collect()
        };
        let halved = std::iter::successors(Some(1.0), |share| Some(share / 2.0)).take(40);
        let better =
            halved.map(moved).map(|moved| (total(&moved), moved)).find(|(after, _)| *after < best);
        let Some((after, moved)) = better else { break };
        best = after;
        coefficients = moved;
        if step.iter().all(|by| by.abs() < TOLERANCE) {
            break;
        }
    }
    coefficients
}

/// How the sum of losses changes about some coefficients.
struct Curve {
    slope: Vec<f64>,
    /// Row by row.
    curvature: Vec<Vec<f64>>,
}

impl Curve {
    fn at(rows: &[Row], coefficients: &[f64]) -> Self {
        let size = coefficients.len();
        let mut curve = Self { slope: vec![0.0; size], curvature: vec![vec![0.0; size]; size] };
        for row in rows {
            let predicted = row.predicted(coefficients);
            let (slope, bend) = (predicted - row.outcome, predicted * (1.0 - predicted));
            for (position, value) in &row.features {
                if let Some(sum) = curve.slope.get_mut(*position) {
                    *sum += row.weight * slope * value;
                }
                let Some(line) = curve.curvature.get_mut(*position) else { continue };
                for (other, by) in &row.features {
                    if let Some(sum) = line.get_mut(*other) {
                        *sum += row.weight * bend * value * by;
                    }
                }
            }
        }
        curve
    }

    /// The step to the lowest point of the parabola, with the penalty.
    fn step(&self, coefficients: &[f64], penalty: f64) -> Vec<f64> {
        let mut step = vec![0.0; coefficients.len()];
        for _ in 0..MAX_ROUNDS {
            let mut furthest: f64 = 0.0;
            let lines = self.slope.iter().zip(&self.curvature).zip(coefficients);
            for (position, ((slope, line), coefficient)) in lines.enumerate() {
                let Some(&bend) = line.get(position).filter(|bend| **bend > 0.0) else { continue };
                let along: f64 = line.iter().zip(&step).map(|(bend, by)| bend * by).sum();
                let Some(by) = step.get_mut(position) else { continue };
                let without = coefficient + *by - (slope + along) / bend;
                let after = without.signum() * (without.abs() - penalty / bend).max(0.0);
                furthest = furthest.max((after - coefficient - *by).abs());
                *by = after - coefficient;
            }
            if furthest < TOLERANCE / 10.0 {
                break;
            }
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(features: &[f64], outcome: f64, weight: f64) -> Row {
        Row { features: features.iter().copied().enumerate().collect(), outcome, weight }
    }

    #[test]
    fn a_share_alone_is_its_log_odds() {
        let rows = [row(&[1.0], 0.8, 1.0), row(&[1.0], 0.2, 2.0)];
        let fitted = fit(&rows, 1, 0.0);
        // The mean is 0.4.
        assert!((fitted[0] - (0.4_f64 / 0.6).ln()).abs() < 1e-9, "{fitted:?}");
        assert!((row(&[1.0], 0.0, 1.0).predicted(&fitted) - 0.4).abs() < 1e-9);
    }

    #[test]
    fn nothing_can_be_changed_for_the_better() {
        let rows: Vec<Row> = (0..40)
            .map(|n| {
                let (a, b) = (f64::from(n % 7) - 3.0, f64::from(n % 5) - 1.0);
                row(&[a, b, a * b], f64::from(n % 3) / 2.0, 1.0 + f64::from(n % 2))
            })
            .collect();
        for penalty in [0.0, 3.0] {
            let total = |c: &[f64]| -> f64 {
                rows.iter().map(|row| row.weight * row.loss(c)).sum::<f64>()
                    + penalty * c.iter().map(|c| c.abs()).sum::<f64>()
            };
            let fitted = fit(&rows, 3, penalty);
            for position in 0..3 {
                for by in [-1e-4, 1e-4] {
                    let mut other = fitted.clone();
                    other[position] += by;
                    assert!(total(&other) > total(&fitted), "{penalty} {position} {by} {fitted:?}");
                }
            }
        }
    }

    #[test]
    fn a_penalty_takes_coefficients_out() {
        let rows = [row(&[1.0, 0.1], 0.9, 1.0), row(&[1.0, -0.1], 0.8, 1.0)];
        assert_eq!(fit(&rows, 2, 100.0), [0.0, 0.0]);
        let fitted = fit(&rows, 2, 0.1);
        assert!(fitted[0] > 0.0 && fitted[1] == 0.0, "{fitted:?}");
    }

    #[test]
    fn rows_without_an_error_end() {
        let rows = [row(&[1.0], 1.0, 1.0), row(&[1.0], 1.0, 1.0)];
        let fitted = fit(&rows, 1, 0.0);
        assert!(fitted[0].is_finite() && sigmoid(fitted[0]) > 0.999_999, "{fitted:?}");
        assert_eq!(fit(&[], 2, 0.0), [0.0, 0.0]);
        let same = [row(&[1.0, -1.0], 0.7, 1.0)];
        let fitted = fit(&same, 2, 0.0);
        assert!((same[0].predicted(&fitted) - 0.7).abs() < 1e-9, "{fitted:?}");
    }
}
