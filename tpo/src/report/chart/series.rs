//! Drawing of series: lines, bands, marks, and the numbers of points.

use std::fmt::Write as _;

use super::axis::Scale;
use super::draw::Frame;
use super::{Point, Series, Shape, Svg, width};
use crate::report::table::shown;

impl Series {
    pub(super) fn draw(&self, svg: &mut Svg, frame: &Frame, x: Scale, y: Scale, across: bool) {
        let colour = self.colour;
        let (line, fill) = (format!("line k{colour}{}", self.dash()), format!("f{colour}"));
        match &self.shape {
            Shape::Line { points, .. } => {
                let ended = |end: fn((f64, f64)) -> f64| {
                    let points = points.iter();
                    points.filter_map(move |p| Some((x.at(p.x), y.at(end(p.ends?)))))
                };
                let band: Vec<(f64, f64)> =
                    ended(|ends| ends.1).chain(ended(|ends| ends.0).rev()).collect();
                if band.len() > 2 {
                    svg.path(&format!("band {fill}"), &band, true);
                }
                let path: Vec<(f64, f64)> = points.iter().map(|p| (x.at(p.x), y.at(p.y))).collect();
                svg.path(&line, &path, false);
                if self.has_points() {
                    points.iter().for_each(|point| self.dot(svg, point, across, x, y));
                }
            }
            Shape::Level(level) => {
                svg.line(&line, [frame.left, y.at(*level), frame.right, y.at(*level)]);
            }
            Shape::Upright(place) => {
                svg.line(&line, [x.at(*place), frame.top, x.at(*place), frame.bottom]);
            }
            Shape::Steps { steps, filled } => {
                let corners = steps.iter().flat_map(|(left, right, height)| {
                    [(x.at(*left), y.at(*height)), (x.at(*right), y.at(*height))]
                });
                let ground = |at: Option<f64>| at.map(|at| (x.at(at), y.at(0.0)));
                let mut outline: Vec<(f64, f64)> =
                    ground(steps.first().map(|step| step.0)).into_iter().collect();
                outline.extend(corners);
                outline.extend(ground(steps.last().map(|step| step.1)));
                if *filled {
                    svg.path(&format!("fill {fill}"), &outline, true);
                }
                svg.path(&line, &outline, false);
            }
            Shape::Dots(points) => {
                for point in points {
                    if let Some((low, high)) = point.ends {
                        let (px, py) = (x.at(point.x), y.at(point.y));
                        let ends = match across {
                            true => [x.at(low), py, x.at(high), py],
                            false => [px, y.at(low), px, y.at(high)],
                        };
                        svg.line(&format!("whisker k{colour}"), ends);
                    }
                    self.dot(svg, point, across, x, y);
                }
            }
        }
    }

    fn dot(&self, svg: &mut Svg, point: &Point, across: bool, x: Scale, y: Scale) {
        let value = if across { point.x } else { point.y };
        let kind = if self.label.is_empty() { "" } else { ": " };
        let mut title = format!("{}{kind}{}", self.label, shown(value));
        if let Some((low, high)) = point.ends {
            let _ = write!(title, " ({} to {})", shown(low), shown(high));
        }
        svg.mark(&format!("f{}", self.colour), self.mark, [x.at(point.x), y.at(point.y)], &title);
    }

    /// The values and labels of points.
    pub(super) fn numbers(&self, svg: &mut Svg, frame: &Frame, x: Scale, y: Scale, across: bool) {
        let (Shape::Line { points, .. } | Shape::Dots(points)) = &self.shape else { return };
        for point in points.iter().filter(|_| self.has_points()) {
            let (px, py) = (x.at(point.x), y.at(point.y));
            if across {
                // The value beside the dot and its whiskers, on the side where there is room.
                let (low, high) = point.ends.unwrap_or((point.x, point.x));
                let text = shown(point.x);
                let right = x.at(high) + 9.0;
                match right + width(&text) <= frame.wide - 8.0 {
                    true => svg.number("start", right, py + 4.0, &text),
                    false => svg.number("end", x.at(low) - 9.0, py + 4.0, &text),
                }
            }
            if let Some(label) = &point.label {
                svg.number("middle", px, py - 10.0, label);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Chart, Dash};
    use super::*;

    #[test]
    fn numbers_are_outlined_above_all_lines() {
        let points = |label: Option<&str>| {
            let label = label.map(str::to_owned);
            vec![Point { x: 1.0, y: 0.0, label, ..Point::default() }, Point::default()]
        };
        let series = |shape| Series { label: String::new(), colour: 0, mark: 0, shape };
        let line = Shape::Line { points: points(Some("D2")), dash: Dash::Dashed };
        let dots = Shape::Dots(points(None));
        let categories = vec!["a row".to_owned()];
        for (shape, number, categories) in [(line, "D2", vec![]), (dots, "1", categories)] {
            let y = Axis { categories, ..Axis::default() };
            let series =
                vec![series(shape), series(Shape::Upright(1.0)), series(Shape::Level(0.0))];
            let svg = Chart { y, series, ..Chart::default() }.to_svg("numbers");
            let last_line = svg.rfind("<line class=\"line k0 dashed\"").unwrap();
            let (_, after) = svg.split_at(last_line);
            let halo =
                after.find("<text class=\"halo\" fill=\"#ffffff\" stroke=\"#ffffff\"").unwrap();
            let text = after.rfind(&format!(">{number}</text>")).unwrap();
            assert!(halo < text && svg.matches(&format!(">{number}</text>")).count() >= 2, "{svg}");
        }
    }
}
