//! Charts as SVG.

mod axis;
mod draw;
mod svg;

pub(super) use self::axis::Axis;
pub(super) use self::svg::escape;

/// The style of charts, for pages and files. Colours are those of Okabe and Ito, which people who see colours
/// differently can tell apart, lighter in the dark.
pub(super) const STYLE: &str = include_str!("style.css");

/// What of the style is another in the dark: declarations for `.chart`.
pub(super) const DARK: &str = include_str!("dark.css");

/// A chart.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Whether it must say that it shows a simulation.
    pub(super) simulated: bool,
}

/// What is drawn in one colour and named in the legend.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) label: String,
    /// Which of the colours; they repeat.
    pub(super) colour: usize,
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

impl Chart {
    /// As an SVG file that needs nothing else: it has its own style, in light and in dark.
    #[must_use]
    pub fn to_svg(&self, title: &str) -> String {
        format!("{}\n", self.draw(title, Some(STYLE)))
    }

    /// As an element of a page that has the style.
    pub(super) fn element(&self, title: &str) -> String {
        self.draw(title, None)
    }
}
