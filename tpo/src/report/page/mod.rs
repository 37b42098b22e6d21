//! The report as one HTML page.

mod details;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handlebars::Handlebars;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use textgrad_core::Page;

pub(super) use self::details::Details;
use super::chart::{DARK as CHART_DARK, STYLE as CHART_STYLE, escape};
use super::figure::Figure;
use super::table::readable;
use super::{Report, shown_runs};
use crate::error::Error;

const STYLE: &str = include_str!("assets/style.css");
/// One script of several files, so that the policy names one hash.
const SCRIPT: [&str; 6] = [
    include_str!("assets/dom.js"),
    Page::UNSEEN_SCRIPT,
    include_str!("assets/plot.js"),
    include_str!("assets/graph.js"),
    include_str!("assets/detail.js"),
    include_str!("assets/list.js"),
];
const TEMPLATE: &str = include_str!("assets/page.hbs");

/// The most rows of a table; all of it is in the CSV file.
const MAX_ROWS: usize = 400;

pub(super) fn render(report: &Report) -> Result<String, Error> {
    let style =
        format!("{CHART_STYLE}:root[data-theme=\"dark\"] .chart {{ {CHART_DARK} }}\n{STYLE}");
    let script = SCRIPT.concat();
    // Figures with a drawing stand side by side, except for the last if it has no neighbour.
    let beside = |figure: &&Figure| figure.chart.is_some() && figure.name != "cost";
    let pairs: Vec<&Figure> = report.figures().iter().filter(beside).collect();
    let alone = pairs.last().filter(|_| pairs.len() % 2 == 1).map(|last| last.name);
    let figures: Vec<Json> =
        report.figures().iter().map(|one| figure(one, alone == Some(one.name))).collect();
    let lists = report.runs.iter().zip(&report.details);
    let lists = lists.map(|(run, details)| json!({ "name": run.name, "rows": details.rows() }));
    let blocks = report.details.iter().map(Details::blocks);
    let context = json!({
        "title": format!("TPO report: {}", shown_runs(report)),
        "script_hash": hash(&script),
        "style_hash": hash(&style),
        "style": style,
        "script": script,
        "simulated": report.is_simulation(),
        "warnings": report.warnings(),
        "figures": figures,
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

fn figure(figure: &Figure, alone: bool) -> Json {
    let cell = |cell: &Json| json!({ "text": readable(cell), "number": !cell.is_string() });
    let rows = figure.table.rows.iter().take(MAX_ROWS);
    let rows: Vec<Vec<Json>> = rows.map(|row| row.iter().map(cell).collect()).collect();
    let all = figure.table.rows.len();
    json!({
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "chart": figure.chart.as_ref().map(|chart| chart.element(figure.title)),
        "alone": alone,
        "open": figure.name == "cost",
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
    fn json_can_not_end_its_element() {
        let inside = Page::script_json(&json!(["</script><!--", "a\u{2028}&b"]));
        assert!(!inside.contains('<') && !inside.contains('\u{2028}'), "{inside}");
        let read: Json = serde_json::from_str(&inside).unwrap();
        assert_eq!(read, json!(["</script><!--", "a\u{2028}&b"]));
    }
}
