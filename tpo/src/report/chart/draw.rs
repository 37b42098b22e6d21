//! Drawing of charts.

use std::fmt::Write as _;

use super::axis::Scale;
use super::{Chart, Series, Shape};
use super::{Svg, escape, fit, width};

/// The share of the width for names of categories; longer ones have several lines.
const MAX_NAMES: f64 = 0.45;
const MAX_LINES: usize = 4;
const NAME_ROW: f64 = 16.0;
/// Between a name and the axis, and at its other side.
const NAME_GAP: f64 = 12.0;
/// The height of a row of categories, of each of several values in it, and of a row of the legend.
const ROW: f64 = 26.0;
const VALUE_ROW: f64 = 17.0;
/// The height of each of more rows than these.
const MANY_ROWS: f64 = 8.0;
const SMALL_ROW: f64 = 20.0;
const LEGEND_ROW: f64 = 20.0;
const LABEL_ROW: f64 = 17.0;

pub(super) struct Frame {
    pub(super) wide: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Chart {
    /// The frame, the lines of the label below, the legend, and the height of all.
    pub(super) fn layout(&self, wide: f64) -> (Frame, Vec<String>, Svg, f64) {
        let names = self.y.categories.iter().map(|name| width(name)).fold(44.0, f64::max);
        let most = wide * MAX_NAMES;
        let left = (names + 24.0).min(most);
        let top = if self.simulated { 38.0 } else { 18.0 };
        let rows = self.y.categories.len() as f64;
        let high = self.y.categories.iter().map(|name| lines(name, left - NAME_GAP).len());
        let row = match high.max().unwrap_or_default() {
            0 | 1 if rows > MANY_ROWS => SMALL_ROW,
            0 | 1 => ROW,
            high => NAME_ROW * high as f64 + 7.0,
        };
        let row = row.max(VALUE_ROW * self.per_row as f64 + 2.0);
        let height = if rows > 0.0 { rows * row + 10.0 } else { 300.0 };
        // Beside dots there stand their values.
        let right = if rows > 0.0 { wide - 76.0 } else { wide - 22.0 };
        let frame = Frame { wide, left, right, top, bottom: top + height };
        let label = lines(&self.x.label, wide - 8.0);
        let below = frame.bottom + 52.0 + LABEL_ROW * (label.len() as f64 - 1.0);
        let (legend, legend_height) = self.legend(wide, below + 12.0);
        (frame, label, legend, below + legend_height)
    }

    pub(super) fn draw(&self, title: &str, wide: f64, class: &str, is_file: bool) -> String {
        let (frame, label, legend, total) = self.layout(wide);
        let rows = self.y.categories.len() as f64;
        let x = Scale::new(&self.x, self.values(true), frame.left, frame.right);
        // Numbers go upwards, categories downwards.
        let (from, to) =
            if rows > 0.0 { (frame.top, frame.bottom) } else { (frame.bottom, frame.top) };
        let y = Scale::new(&self.y, self.values(false), from, to);

        let mut svg = Svg::default();
        let title = escape(title);
        let _ = write!(
            svg.0,
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart {class}" viewBox="0 0 {wide} {total:.0}" role="img" aria-label="{title}">"#
        );
        if is_file {
            let _ = write!(svg.0, "<title>{title}</title>");
            let _ = write!(svg.0, r#"<rect class="back" width="{wide}" height="{total:.0}"/>"#);
        }
        self.axes(&mut svg, &frame, &label, x, y);
        // Values stand before the lines that they are compared with.
        let is_upright = |series: &&Series| matches!(series.shape, Shape::Upright(_));
        let (uprights, others): (Vec<&Series>, Vec<&Series>) =
            self.series.iter().partition(is_upright);
        for series in uprights.into_iter().chain(others) {
            series.draw(&mut svg, &frame, x, y, rows > 0.0);
        }
        // No line runs through a number, of whichever series it is.
        for series in &self.series {
            series.numbers(&mut svg, &frame, x, y, rows > 0.0);
        }
        if self.simulated {
            svg.text("mark", "end", frame.right, 18.0, "SIMULATION");
        }
        svg.0.push_str(&legend.0);
        svg.0.push_str("</svg>");
        svg.0
    }

    /// Everything that is drawn, along x or along y.
    fn values(&self, along_x: bool) -> impl Iterator<Item = f64> {
        let across = !self.y.categories.is_empty();
        self.series.iter().flat_map(move |series| match &series.shape {
            Shape::Line { points, .. } | Shape::Dots(points) => {
                let own = points.iter().map(|p| if along_x { p.x } else { p.y });
                let ends = points.iter().filter_map(|point| point.ends);
                let ends = ends.filter(|_| along_x == across).flat_map(|(low, high)| [low, high]);
                own.chain(ends).collect::<Vec<f64>>()
            }
            Shape::Level(level) if !along_x => vec![*level],
            Shape::Upright(place) if along_x => vec![*place],
            Shape::Steps { steps, .. } => match along_x {
                true => steps.iter().flat_map(|(left, right, _)| [*left, *right]).collect(),
                false => steps.iter().map(|(_, _, height)| *height).chain([0.0]).collect(),
            },
            _ => Vec::new(),
        })
    }

    fn axes(&self, svg: &mut Svg, frame: &Frame, label: &[String], x: Scale, y: Scale) {
        for (value, label) in y.ticks(&self.y) {
            let at = y.at(value);
            svg.line("grid", [frame.left, at, frame.right, at]);
            let lines = lines(&label, frame.left - NAME_GAP);
            for (place, line) in lines.iter().enumerate() {
                let above = NAME_ROW * ((lines.len() as f64 - 1.0) / 2.0 - place as f64);
                svg.text("soft", "end", frame.left - 8.0, at + 4.0 - above, line);
            }
        }
        let mut free = f64::NEG_INFINITY;
        for (value, tick) in x.ticks(&self.x) {
            let at = x.at(value);
            svg.line("grid", [at, frame.top, at, frame.bottom]);
            let half = width(&tick) / 2.0;
            // A mark that would overlap the one before has no number.
            if at - half > free {
                svg.text("soft", "middle", at, frame.bottom + 18.0, &tick);
                free = at + half + 4.0;
            }
        }
        svg.line("axis", [frame.left, frame.bottom, frame.right, frame.bottom]);
        for (place, line) in label.iter().enumerate() {
            // Under the middle of the axis, or as near as there is room.
            let half = width(line) / 2.0;
            let middle = (frame.left + frame.right) / 2.0;
            let middle = middle.min(frame.wide - 4.0 - half).max(half + 4.0);
            svg.text("", "middle", middle, frame.bottom + 38.0 + LABEL_ROW * place as f64, line);
        }
        let (turned, at) = (escape(&self.y.label), (frame.top + frame.bottom) / 2.0);
        let _ = write!(
            svg.0,
            r#"<text text-anchor="middle" transform="translate(14 {at:.1}) rotate(-90)">{turned}</text>"#
        );
    }

    /// The legend from a place downwards, with its height.
    fn legend(&self, wide: f64, top: f64) -> (Svg, f64) {
        let mut svg = Svg::default();
        let named: Vec<&Series> = self.series.iter().filter(|s| !s.label.is_empty()).collect();
        if named.is_empty() {
            return (svg, 0.0);
        }
        let (mut x, mut y) = (24.0, top);
        for series in named {
            let label = fit(&series.label, wide - 64.0);
            let room = width(&label) + 48.0;
            if x + room > wide - 10.0 && x > 24.0 {
                (x, y) = (24.0, y + LEGEND_ROW);
            }
            let (colour, at) = (series.colour, [x + 12.0, y - 4.0]);
            let is_line = !matches!(series.shape, Shape::Dots(_));
            if is_line {
                let class = format!("line k{colour}{}", series.dash());
                svg.line(&class, [x, y - 4.0, x + 24.0, y - 4.0]);
            }
            if !is_line || series.mark > 0 && series.has_points() {
                svg.mark(&format!("f{colour}"), series.mark, at, &series.label);
            }
            svg.text("", "start", x + 30.0, y, &label);
            x += room;
        }
        (svg, y - top + LEGEND_ROW + 4.0)
    }
}

/// A name in one line, or in several that are parted between words, or else after a hyphen.
fn lines(name: &str, room: f64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = name;
    while width(rest) > room && lines.len() + 1 < MAX_LINES {
        let parted = |marks: &[char]| {
            let ends = rest.match_indices(marks).map(|(at, mark)| at + mark.trim_end().len());
            let parts = ends.filter_map(|at| rest.split_at_checked(at));
            parts.rev().find(|(first, _)| width(first) <= room)
        };
        let is_long = |(first, _): &(&str, &str)| width(first) > room / 2.0;
        let Some((first, after)) = parted(&[' ']).filter(is_long).or_else(|| parted(&[' ', '-']))
        else {
            break;
        };
        lines.push(first.to_owned());
        rest = after.trim_start();
    }
    lines.push(fit(rest, room));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Dash, Point};
    use super::*;

    #[test]
    fn what_stands_in_a_name_is_text() {
        let point = Point { label: Some("<b>&".into()), ..Point::default() };
        let chart = Chart {
            x: Axis::new("<script>alert(1)</script>"),
            y: Axis { categories: vec!["a\"b'".into()], ..Axis::default() },
            series: vec![Series {
                label: "</svg>\u{202e}\u{0}".into(),
                colour: 6,
                mark: 0,
                shape: Shape::Dots(vec![point]),
            }],
            simulated: true,
            ..Chart::default()
        };
        let svg = chart.to_svg("<title>");
        for part in
            ["&lt;script&gt;", "a&quot;b&#39;", "&lt;b&gt;&amp;", "&lt;/svg&gt;", "SIMULATION"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("<script") && !svg.contains('\u{202e}') && !svg.contains('\u{0}'));
        assert_eq!(svg.matches("</svg>").count(), 1);
    }

    #[test]
    fn a_narrow_chart_wraps_its_label_and_leaves_out_numbers_that_would_overlap() {
        let point = Point { x: 2e5, ..Point::default() };
        let chart = Chart {
            x: Axis {
                log: true,
                holds: vec![0.5],
                ..Axis::new("a long label with many words ".repeat(3).trim())
            },
            y: Axis { categories: vec!["a category of many words".into()], ..Axis::default() },
            series: vec![Series {
                label: "x".repeat(99),
                colour: 0,
                mark: 0,
                shape: Shape::Dots(vec![point]),
            }],
            ..Chart::default()
        };
        let elements = chart.elements("both");
        let (broad, narrow) = elements.split_at(elements.rfind("<svg").unwrap());
        let texts = |svg: &str| -> Vec<(f64, String)> {
            let texts = svg.split("<text").skip(1).filter(|text| text.contains(" x=\""));
            let x = |text: &str| {
                text.split(" x=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
            };
            let words =
                |text: &str| text.split_once('>').unwrap().1.split_once('<').unwrap().0.to_owned();
            texts.map(|text| (x(text), words(text))).collect()
        };
        assert!(broad.contains("chart broad") && narrow.contains("chart slim"), "{elements}");
        for (svg, wide) in [(broad, 560.0), (narrow, 320.0)] {
            let long = |(x, text): &(f64, String)| *x > wide || width(text) > wide;
            assert!(!texts(svg).iter().any(long), "{svg}");
        }
        let shown = |svg: &str, text: &str| texts(svg).iter().any(|(_, own)| own == text);
        assert!(shown(broad, "10,000") && !shown(narrow, "10,000"), "{narrow}");
        assert!(shown(narrow, "1"), "{narrow}");
    }

    #[test]
    fn long_names_have_several_lines() {
        assert_eq!(lines("tpo vs bon", 200.0), ["tpo vs bon"]);
        let name = "tpo-d2-n5-t0.7-s1 vs bon-n15-t0.7-s1, k = 15 (equal)";
        assert_eq!(lines(name, 240.0), ["tpo-d2-n5-t0.7-s1 vs", "bon-n15-t0.7-s1, k = 15 (equal)"]);
        let name = "revision-d2-n3-t0.7-s1 (2 seeds) vs bon-n9-t0.7-s1 (2 seeds)";
        let narrow = ["revision-d2-n3-", "t0.7-s1 (2 seeds)", "vs bon-n9-t0.7-s1", "(2 seeds)"];
        assert_eq!(lines(name, 132.0), narrow);
        assert_eq!(lines(&"x".repeat(99), 50.0), [fit(&"x".repeat(99), 50.0)]);
    }

    #[test]
    fn an_empty_chart_is_a_chart() {
        let shape = Shape::Line { points: Vec::new(), dash: Dash::Solid };
        let series = vec![
            Series { label: String::new(), colour: 0, mark: 0, shape },
            Series {
                label: String::new(),
                colour: 1,
                mark: 0,
                shape: Shape::Steps { steps: Vec::new(), filled: true },
            },
        ];
        let svg = Chart { series, ..Chart::default() }.to_svg("nothing");
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{svg}");
    }
}
