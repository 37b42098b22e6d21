//! Axes: ranges and ticks.

use crate::report::table::shown;

/// An axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Axis {
    pub(crate) label: String,
    /// Names in place of numbers; the first stands at 0.
    pub(crate) categories: Vec<String>,
    pub(crate) log: bool,
    /// Only whole numbers are marked.
    pub(crate) whole: bool,
    /// What must be seen besides the data.
    pub(crate) holds: Vec<f64>,
}

impl Axis {
    pub(crate) fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }
}

/// From numbers to places on the paper.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    /// A scale for these values between two places. It is a little wider than the values.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        if !axis.categories.is_empty() {
            let high = axis.categories.len() as f64 - 0.5;
            return Self { low: -0.5, high, from, to, log: false };
        }
        let log = axis.log;
        let seen = values.chain(axis.holds.iter().copied());
        let seen = seen.filter(|value| value.is_finite() && (!log || *value > 0.0));
        // Beyond these the distance of two numbers may be no number.
        let seen = seen.map(|value| if log { value.log10() } else { value.clamp(-1e300, 1e300) });
        let (low, high) = seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = match low <= high {
            true if high - low > f64::EPSILON * high.abs().max(1.0) => (low, high),
            true => {
                let room = (high.abs() * 0.05).max(0.5);
                (low - room, high + room)
            }
            false => (0.0, 1.0),
        };
        let room = (high - low) * 0.05;
        Self { low: low - room, high: high + room, from, to, log }
    }

    /// The place of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Where the axis is marked, and with what.
    pub(super) fn ticks(&self, axis: &Axis) -> Vec<(f64, String)> {
        if !axis.categories.is_empty() {
            return axis
                .categories
                .iter()
                .cloned()
                .enumerate()
                .map(|(i, c)| (i as f64, c))
                .collect();
        }
        if self.log && self.high - self.low < MIN_DECADES {
            return self.log_ticks();
        }
        let step = step(self.high - self.low, axis.whole || self.log);
        let first = (self.low / step).ceil();
        let count = ((self.high / step).floor() - first).max(0.0) as u32;
        let places = (0..=count.min(100)).map(|i| (first + f64::from(i)) * step);
        let tick = |place: f64| match self.log {
            true => (10_f64.powf(place), power(place)),
            false => (place, marked(place, step)),
        };
        places.map(tick).collect()
    }
}

/// A logarithmic axis with fewer decades is marked between them too.
const MIN_DECADES: f64 = 2.0;

impl Scale {
    /// Marks of a logarithmic axis over few decades: 1, 2, 5 and so on, or equal steps where it has too few of these.
    fn log_ticks(&self) -> Vec<(f64, String)> {
        let within = |value: &f64| (self.low..=self.high).contains(&value.log10());
        let decades = self.low.floor() as i32..=self.high.floor() as i32;
        let round = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|m| (m, 10_f64.powi(decade))));
        let round = round.map(|(m, ten)| (m * ten, ten)).filter(|(value, _)| within(value));
        let round: Vec<(f64, f64)> = round.collect();
        if round.len() > 2 {
            return round.into_iter().map(|(value, ten)| (value, marked(value, ten))).collect();
        }
        let (low, high) = (10_f64.powf(self.low), 10_f64.powf(self.high));
        let step = step(high - low, false);
        let first = (low / step).ceil();
        let values = (0..10).map(|place| (first + f64::from(place)) * step).filter(within);
        values.map(|value| (value, marked(value, step))).collect()
    }
}

/// A round step of which about five fit into a range.
fn step(range: f64, whole: bool) -> f64 {
    let rough = (range / 5.0).max(f64::MIN_POSITIVE);
    let ten = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * ten).into_iter().find(|s| *s >= rough * 0.999);
    let step = step.unwrap_or(10.0 * ten);
    if whole { step.max(1.0).round() } else { step }
}

fn marked(place: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    // No "-0".
    let place = if place.abs() < step / 1e6 { 0.0 } else { place };
    match digits {
        0 if place.abs() >= 1000.0 => shown(place),
        _ => format!("{place:.digits$}").replace('-', "−"),
    }
}

fn power(exponent: f64) -> String {
    match exponent {
        e if (-3.0..=5.0).contains(&e) => marked(10_f64.powf(e), 10_f64.powf(e)),
        e => format!("1e{e:.0}").replace('-', "−"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis, values: &[f64]) -> Vec<String> {
        let scale = Scale::new(axis, values.iter().copied(), 0.0, 100.0);
        scale.ticks(axis).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = Axis::default();
        assert_eq!(ticks(&axis, &[-1.8, 4.2]), ["−2", "0", "2", "4"]);
        assert_eq!(ticks(&axis, &[0.0, 0.37]), ["0.0", "0.1", "0.2", "0.3"]);
        let whole = Axis { whole: true, ..Axis::default() };
        assert_eq!(ticks(&whole, &[0.0, 2.0]), ["0", "1", "2"]);
        let log = Axis { log: true, ..Axis::default() };
        assert_eq!(ticks(&log, &[0.02, 72_840.0]), ["0.01", "1", "100", "10,000"]);
        assert_eq!(ticks(&log, &[234.0, 5_700.0]), ["200", "500", "1,000", "2,000", "5,000"]);
        assert_eq!(ticks(&log, &[0.03, 0.4]), ["0.05", "0.1", "0.2"]);
        assert_eq!(ticks(&log, &[600.0, 1_900.0]), ["1,000", "1,500", "2,000"]);
        assert_eq!(ticks(&log, &[1_010.0, 1_020.0]), ["1,010", "1,015", "1,020"]);
    }

    #[test]
    fn a_scale_takes_what_comes() {
        let axis = Axis::default();
        for values in [
            vec![],
            vec![3.0],
            vec![f64::NAN, f64::INFINITY],
            vec![1e300, 1e300],
            vec![f64::MIN, f64::MAX],
        ] {
            let scale = Scale::new(&axis, values.iter().copied(), 10.0, 90.0);
            assert!(scale.at(3.0).is_finite());
            assert!(scale.ticks(&axis).len() <= 101);
        }
        let scale = Scale::new(&axis, [0.0, 10.0].into_iter(), 0.0, 110.0);
        assert_eq!((scale.at(0.0), scale.at(10.0)), (5.0, 105.0));
    }
}
