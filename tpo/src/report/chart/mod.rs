//! Charts as SVG.

mod attributes;
mod axis;
mod draw;
mod marks;
mod series;

use std::fmt::Write as _;

pub(super) use self::axis::Axis;
pub(super) use self::marks::REFERENCE;
use super::stats::Interval;

/// The style of charts, whose colours are variables.
pub(super) const STYLE: &str = include_str!("style.css");

/// The variables of the style: declarations for `.chart`. Colours are those of Okabe and Ito, which people who see
/// colours differently can tell apart.
pub(super) const LIGHT: &str = include_str!("light.css");

/// The variables on dark pages.
pub(super) const DARK: &str = include_str!("dark.css");

/// About the width of a card of the page, so that texts are as large on the screen as in the style.
const WIDTH: f64 = 560.0;

/// The width of a card on a phone.
const NARROW_WIDTH: f64 = 320.0;

/// A chart.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Whether it must say that it shows a simulation.
    pub(super) simulated: bool,
    /// The most values that a row has.
    pub(super) per_row: usize,
}

/// What is drawn in one colour and named in the legend.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) label: String,
    /// Which of the colours.
    pub(super) colour: usize,
    /// Which of the marks: series of one colour have different ones.
    pub(super) mark: usize,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// Points joined by lines, with a band where they have ends.
    Line { points: Vec<Point>, dash: Dash },
    /// A dashed line across.
    Level(f64),
    /// A dashed line from top to bottom.
    Upright(f64),
    /// A histogram: left, right, height. Many are not filled, so that none is hidden.
    Steps { steps: Vec<(f64, f64, f64)>, filled: bool },
    /// Points with whiskers, along the axis that has no categories.
    Dots(Vec<Point>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dash {
    Solid,
    Dashed,
    Dotted,
}

/// A point with the ends of its interval along y, or along x where y has categories.
#[derive(Debug, Clone, Default)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) ends: Option<(f64, f64)>,
    /// What stands beside it.
    pub(super) label: Option<String>,
}

impl Point {
    /// A mean over a place on the x axis, with its interval along y.
    pub(super) fn over(x: f64, interval: Interval) -> Self {
        let ends = Some((interval.low, interval.high));
        Self { x, y: interval.mean, ends, label: None }
    }

    /// A mean with its interval along x.
    pub(super) fn along(interval: Interval) -> Self {
        let ends = Some((interval.low, interval.high));
        Self { x: interval.mean, ends, ..Self::default() }
    }
}

impl Chart {
    pub(super) fn add(&mut self, label: String, colour: usize, shape: Shape) {
        self.series.push(Series { label, colour, mark: 0, shape });
    }

    /// Adds a row with a name below those that are there. Its values stand one below the other. A legend names their
    /// kinds; a kind without a name has no entry.
    pub(super) fn add_row(&mut self, name: String, values: Vec<(&str, usize, Point)>) {
        let row = self.y.categories.len() as f64;
        let share = 0.9 / values.len().max(1) as f64;
        let middle = (values.len() as f64 - 1.0) / 2.0;
        self.y.categories.push(name);
        self.per_row = self.per_row.max(values.len());
        for (position, (kind, colour, point)) in values.into_iter().enumerate() {
            let point = Point { y: row + share * (position as f64 - middle), ..point };
            let same = self.series.iter_mut().find_map(|series| match &mut series.shape {
                Shape::Dots(points) if series.label == kind && series.colour == colour => {
                    Some(points)
                }
                _ => None,
            });
            match same {
                Some(points) => points.push(point),
                None => self.add(kind.to_owned(), colour, Shape::Dots(vec![point])),
            }
        }
    }

    /// As an SVG file for papers and slides: colours and sizes are plain attributes, without a style sheet.
    #[must_use]
    pub fn to_svg(&self, title: &str) -> String {
        format!("{}\n", attributes::with_attributes(&self.draw(title, WIDTH, "broad", true)))
    }

    /// How high it is drawn.
    pub(super) fn height(&self) -> f64 {
        self.layout(WIDTH).3
    }

    /// As elements of a page that has the style: one for wide screens, and one for narrow ones.
    pub(super) fn elements(&self, title: &str) -> String {
        let forms = [(WIDTH, "broad"), (NARROW_WIDTH, "slim")];
        forms.map(|(wide, class)| self.draw(title, wide, class, false)).concat()
    }
}

/// Text as XML and HTML show it. What XML cannot hold, and what would turn the order of what follows around, is
/// left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// How wide a text is at 13 px, estimated without the font.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(|c| if c.is_ascii() { 7.4 } else { 10.0 }).sum()
}

/// As much of a text as has room, with a sign that there was more.
pub(super) fn fit(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut wide = width("…");
    let fits = |c: &char| {
        wide += width(c.encode_utf8(&mut [0; 4]));
        wide <= room
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// An SVG element under construction. Attributes are ours; texts are escaped.
#[derive(Default)]
pub(super) struct Svg(pub(super) String);

impl Svg {
    pub(super) fn line(&mut self, class: &str, [x1, y1, x2, y2]: [f64; 4]) {
        // Writing to a string cannot fail.
        let _ = write!(
            self.0,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    pub(super) fn text(&mut self, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        let _ = write!(
            self.0,
            r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#
        );
    }

    /// A number on the chart, with an outline in the colour of the background. The outline is a text of its own, since
    /// not all programs know `paint-order`: they would draw the outline of a text over it.
    pub(super) fn number(&mut self, anchor: &str, x: f64, y: f64, text: &str) {
        self.text("halo", anchor, x, y, text);
        self.text("soft", anchor, x, y, text);
    }

    /// A line through points, or the area within them.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        let _ = write!(self.0, r#"<path class="{class}" d=""#);
        for (place, (x, y)) in points.iter().enumerate() {
            let _ = write!(self.0, "{}{x:.1} {y:.1}", if place == 0 { 'M' } else { 'L' });
        }
        self.0.push_str(if closed { "Z\"/>" } else { "\"/>" });
    }
}
