//! Colours and marks of series.

use std::fmt::Write as _;

use super::{Chart, Dash, Series, Shape, Svg, escape};

/// The colours of series; one more is that of references.
const COLOURS: usize = 7;

/// The colour of what is no series of its own: levels and lines that others are compared with.
pub(crate) const REFERENCE: usize = usize::MAX;

impl Chart {
    /// Gives each series its own colour, and a mark of its own where there are more series than colours. Up to there, a
    /// run has one colour in all charts.
    #[must_use]
    pub(crate) fn distinguish(mut self) -> Self {
        let mut own: Vec<usize> = Vec::new();
        for series in &self.series {
            if series.colour != REFERENCE && !own.contains(&series.colour) {
                own.push(series.colour);
            }
        }
        let fits = own.iter().all(|colour| *colour < COLOURS);
        for series in &mut self.series {
            let rank = own.iter().position(|colour| *colour == series.colour);
            (series.colour, series.mark) = match rank {
                Some(_) if fits => (series.colour, 0),
                Some(rank) => (rank % COLOURS, rank / COLOURS),
                None => (COLOURS, 0),
            };
        }
        self
    }
}

impl Series {
    /// The class of its dashes.
    pub(super) fn dash(&self) -> &'static str {
        match &self.shape {
            Shape::Line { dash: Dash::Dotted, .. } => " dotted",
            // A line that has no points shows its mark by its dashes.
            Shape::Level(_) | Shape::Steps { .. } if self.mark > 0 => " dash-dotted",
            Shape::Line { dash: Dash::Dashed, .. } | Shape::Level(_) | Shape::Upright(_) => {
                " dashed"
            }
            _ => "",
        }
    }

    /// Whether its points are drawn.
    pub(super) fn has_points(&self) -> bool {
        match &self.shape {
            Shape::Line { dash, .. } => *dash != Dash::Dotted,
            shape => matches!(shape, Shape::Dots(_)),
        }
    }
}

impl Svg {
    /// A point of a series: a circle, or another mark.
    pub(super) fn mark(&mut self, class: &str, mark: usize, [x, y]: [f64; 2], title: &str) {
        const RADIUS: f64 = 4.5;
        let title = escape(title);
        let corners: &[(f64, f64)] = match mark % 4 {
            0 => {
                let _ = write!(
                    self.0,
                    r#"<circle class="dot {class}" cx="{x:.1}" cy="{y:.1}" r="{RADIUS}"><title>{title}</title></circle>"#
                );
                return;
            }
            1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            2 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
            _ => &[(0.0, -1.3), (1.15, 0.8), (-1.15, 0.8)],
        };
        let _ = write!(self.0, r#"<path class="dot {class}" d=""#);
        for (place, (right, down)) in corners.iter().enumerate() {
            let (x, y) = (x + RADIUS * right, y + RADIUS * down);
            let _ = write!(self.0, "{}{x:.1} {y:.1}", if place == 0 { 'M' } else { 'L' });
        }
        let _ = write!(self.0, r#"Z"><title>{title}</title></path>"#);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::*;

    #[test]
    fn no_two_series_of_a_chart_look_alike() {
        let line = || {
            let points = vec![Point::default(), Point { x: 1.0, ..Point::default() }];
            Shape::Line { points, dash: Dash::Solid }
        };
        for colours in [vec![0, 3, 6], vec![1, 9], (0..20).collect(), vec![7, 0, 8]] {
            let mut chart = Chart::default();
            for colour in &colours {
                chart.add(format!("<{colour}>"), *colour, line());
            }
            chart.add("reference".to_owned(), REFERENCE, Shape::Level(0.5));
            let chart = chart.distinguish();
            let mut looks: Vec<_> = chart.series.iter().map(|one| (one.colour, one.mark)).collect();
            assert_eq!(looks.pop(), Some((7, 0)));
            if colours.iter().all(|colour| *colour < 7) {
                assert_eq!(looks.iter().map(|look| look.0).collect::<Vec<_>>(), colours);
            }
            looks.sort_unstable();
            looks.dedup();
            assert_eq!(looks.len(), colours.len());
            assert!(looks.iter().all(|(colour, _)| *colour < 7), "{looks:?}");
            // A legend shows the mark of each.
            let squares = looks.iter().filter(|(_, mark)| mark % 4 == 1).count();
            let svg = chart.to_svg("marks");
            assert_eq!(
                svg.matches(r#"<path class="dot"#).count() > 0,
                looks.iter().any(|l| l.1 > 0)
            );
            assert!(svg.matches(r#"<path class="dot"#).count() >= 3 * squares, "{svg}");
        }
        let mut levels = Chart::default();
        (0..8).for_each(|colour| levels.add(colour.to_string(), colour, Shape::Level(1.0)));
        let svg = levels.distinguish().to_svg("levels");
        assert_eq!(svg.matches(r#"class="line k0 dashed"#).count(), 2, "drawn, and in the legend");
        assert_eq!(svg.matches(r#"class="line k0 dash-dotted"#).count(), 2);
    }
}
