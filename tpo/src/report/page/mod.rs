//! The report as one HTML page.

mod details;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handlebars::Handlebars;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use textgrad_core::Page;

pub(super) use self::details::Details;
use super::chart::{DARK, LIGHT, STYLE as CHART_STYLE, escape};
use super::figure::Figure;
use super::table::readable;
use super::{Report, shown_runs};
use crate::config::Mode;
use crate::error::Error;

const STYLE: &str = include_str!("assets/style.css");
/// One script of several files, so that the policy names one hash.
const SCRIPT: [&str; 8] = [
    include_str!("assets/dom.js"),
    Page::UNSEEN_SCRIPT,
    include_str!("assets/markdown.js"),
    include_str!("assets/difference.js"),
    include_str!("assets/plot.js"),
    include_str!("assets/graph.js"),
    include_str!("assets/detail.js"),
    include_str!("assets/list.js"),
];
const TEMPLATE: &str = include_str!("assets/page.hbs");

/// The most runs whose gains are in large letters, and the most gains of each; a table has the others.
const MAX_RUNS: usize = 4;
const MAX_GAINS: usize = 3;

/// The longest text of a cell that is not wrapped, in bytes.
const SHORT: usize = 26;

/// The most rows of a table; all of it is in the CSV file.
const MAX_ROWS: usize = 400;

pub(super) fn render(report: &Report) -> Result<String, Error> {
    let colours = format!(".chart {{ {LIGHT} }} :root[data-theme=\"dark\"] .chart {{ {DARK} }}");
    let style = format!("{colours}\n{CHART_STYLE}{STYLE}");
    let script = SCRIPT.concat();
    let lists = report.runs.iter().zip(&report.details);
    let lists = lists.map(|(run, details)| {
        let mode = run.config.search.mode.as_str();
        json!({ "name": run.name, "mode": mode, "rows": details.rows() })
    });
    let named = |name| report.figures().iter().find(|figure| figure.name == name).map(figure);
    let blocks = report.details.iter().map(Details::blocks);
    let context = json!({
        "title": format!("TPO report: {}", shown_runs(report)),
        "generator": Report::GENERATOR,
        "script_hash": hash(&script),
        "style_hash": hash(&style),
        "style": style,
        "script": script,
        "simulated": report.is_simulation(),
        "warnings": report.warnings(),
        "gains": gains(report),
        "links": report.figures().iter().map(|figure| [figure.name, figure.title]).collect::<Vec<_>>(),
        "gain": named("gain"),
        "runs": named("runs"),
        "columns": columns(report.figures()),
        "cost": named("cost"),
        "lists": Page::script_json(&lists.collect()),
        "blocks": Page::script_json(&blocks.collect()),
    });
    let mut page = Handlebars::new();
    page.register_escape_fn(escape);
    page.render_template(TEMPLATE, &context).map_err(|error| Error::Input {
        source_name: "the page of a report".to_owned(),
        reason: error.to_string(),
    })
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// The gains of the first runs in large letters, baselines last.
fn gains(report: &Report) -> Vec<Json> {
    let rows = report.figures().iter().filter(|figure| figure.name == "gain");
    let rows: Vec<&Vec<Json>> = rows.flat_map(|figure| &figure.table.rows).collect();
    let of_run = |rows: &[&Vec<Json>]| {
        let gains = rows.iter().filter_map(|row| {
            let [_, _, over, _, gain, low, high] = row.as_slice() else { return None };
            let sign = if gain.as_f64()? > 0.0 { "+" } else { "" };
            // All with as many digits, unless they are too small.
            let is_small =
                [gain, low, high].iter().all(|n| n.as_f64().is_none_or(|n| n.abs() < 0.05));
            let number = |number: &Json| match number.as_f64() {
                Some(n) if !is_small => format!("{n:.3}").replace('-', "\u{2212}"),
                _ => readable(number),
            };
            let (gain, low, high) = (number(gain), number(low), number(high));
            Some(json!({ "over": over, "gain": format!("{sign}{gain}"), "low": low, "high": high }))
        });
        let gains = gains.take(MAX_GAINS);
        let first = rows.first().map(|row| json!([row.first(), row.get(1), row.get(3)]));
        json!({ "run": first, "gains": gains.collect::<Vec<Json>>() })
    };
    let mut runs: Vec<&[&Vec<Json>]> = rows.chunk_by(|a, b| a.first() == b.first()).collect();
    let is_baseline = |rows: &&[&Vec<Json>]| {
        rows.first().and_then(|row| row.get(1)).is_some_and(|mode| mode == Mode::Bon.as_str())
    };
    runs.sort_by_key(is_baseline);
    runs.into_iter().take(MAX_RUNS).map(of_run).collect()
}

/// Figures with a drawing in two columns of about equal height; one of them has a row of its own where the columns
/// are nearer to each other without it.
fn columns(figures: &[Figure]) -> Json {
    /// What stands around a drawing and its caption, and the height of a character of a caption, in pixels.
    const AROUND: f64 = 110.0;
    const CHARACTER: f64 = 0.3;
    let height = |figure: &Figure| {
        let chart = figure.chart.as_ref().filter(|_| figure.name != "cost")?;
        Some(chart.height() + AROUND + CHARACTER * figure.caption.len() as f64)
    };
    let drawn = figures.iter().filter_map(|one| Some((one, height(one)?)));
    let mut drawn: Vec<(&Figure, f64)> = drawn.collect();
    drawn.sort_by(|a, b| b.1.total_cmp(&a.1));
    // The tallest first, each into the shorter column.
    let split = |alone: Option<&'static str>| {
        let (mut left, mut right) = ((0.0_f64, Vec::new()), (0.0_f64, Vec::new()));
        for (one, height) in drawn.iter().filter(|(one, _)| alone != Some(one.name)) {
            let shorter = if left.0 > right.0 { &mut right } else { &mut left };
            shorter.0 += height;
            shorter.1.push(one.name);
        }
        ((left.0 - right.0).abs(), [left.1, right.1], alone)
    };
    let choices = drawn.iter().map(|(one, _)| split(Some(one.name))).chain([split(None)]);
    let Some((_, both, alone)) = choices.min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Json::Null;
    };
    // Within a column in the order of the report.
    let shown = |holds: &dyn Fn(&'static str) -> bool| {
        figures.iter().filter(|one| holds(one.name)).map(figure).collect::<Vec<Json>>()
    };
    let both = both.map(|column| shown(&|name| column.contains(&name)));
    let alone = figures.iter().find(|one| alone == Some(one.name));
    let alone = alone.map(|one| json!({ "figure": figure(one), "open": true }));
    json!({ "both": both, "alone": alone })
}

fn figure(figure: &Figure) -> Json {
    let class = |cell: &Json| match cell {
        Json::String(text) if text.len() > SHORT => "long",
        Json::String(_) => "",
        _ => "n",
    };
    let cell = |cell: &Json| json!({ "text": readable(cell), "class": class(cell) });
    let rows = figure.table.rows.iter().take(MAX_ROWS);
    let rows: Vec<Vec<Json>> = rows.map(|row| row.iter().map(cell).collect()).collect();
    let all = figure.table.rows.len();
    json!({
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "chart": figure.chart.as_ref().map(|chart| chart.elements(figure.title)),
        "beside": figure.name != "cost",
        "columns": figure.table.columns,
        "rows": rows,
        "cut": (all > MAX_ROWS).then(|| json!({ "shown": MAX_ROWS, "all": all })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_script_or_the_style_could_end_its_element() {
        let script = SCRIPT.concat();
        assert!(!script.contains("</script") && !script.contains("<!--"));
        assert!(!STYLE.contains("</style") && !CHART_STYLE.contains("</style"));
    }

    #[test]
    fn json_cannot_end_its_element() {
        let inside = Page::script_json(&json!(["</script><!--", "a\u{2028}&b"]));
        assert!(!inside.contains('<') && !inside.contains('\u{2028}'), "{inside}");
        let read: Json = serde_json::from_str(&inside).unwrap();
        assert_eq!(read, json!(["</script><!--", "a\u{2028}&b"]));
    }
}
