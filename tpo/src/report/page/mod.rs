//! The report as one HTML page.

mod details;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use textgrad_core::Page;

pub(super) use self::details::Details;
use super::chart::{DARK as CHART_DARK, STYLE as CHART_STYLE, escape};
use super::figure::Figure;
use super::table::{Cell, Table};
use super::{Report, shown_runs};

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
const BODY: &str = include_str!("assets/body.html");

pub(super) fn render(report: &Report) -> String {
    let style =
        format!("{CHART_STYLE}:root[data-theme=\"dark\"] .chart {{ {CHART_DARK} }}\n{STYLE}");
    let script = SCRIPT.concat();
    let title = format!("TPO report: {}", shown_runs(report));
    let mut html = String::with_capacity(1 << 20);
    // What the page may do: run this one script and this one style, and nothing else. No address can be asked
    // for anything, and nothing that got into the page otherwise could run.
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n",
        hash(&script),
        hash(&style),
        escape(&title),
    );
    let _ = write!(html, "<header><h1>{}</h1>", escape(&title));
    if report.is_simulation() {
        html.push_str(
            "<p class=\"simulation\"><strong>SIMULATION</strong> A model or a reward model of these runs is \
             simulated. The figures say nothing about real ones.</p>",
        );
    }
    for warning in report.warnings() {
        let _ = write!(html, "<p class=\"warning\">{}</p>", escape(warning));
    }
    html.push_str("<nav>");
    for figure in report.figures() {
        let _ = write!(html, "<a href=\"#{}\">{}</a>", figure.name, escape(figure.title));
    }
    html.push_str("<a href=\"#queries\">Queries</a><button id=\"theme\" type=\"button\">Theme</button></nav></header>\n<main>\n");
    // Figures with a drawing stand side by side, except for the last if it has no neighbour.
    let beside = |figure: &&Figure| figure.chart.is_some() && figure.name != "cost";
    let pairs: Vec<&Figure> = report.figures().iter().filter(beside).collect();
    let alone = pairs.last().filter(|_| pairs.len() % 2 == 1).map(|last| last.name);
    for figure in report.figures() {
        push_figure(&mut html, figure, alone == Some(figure.name));
    }
    html.push_str(BODY);
    html.push_str("</main>\n");
    let lists: Vec<Json> = report
        .runs
        .iter()
        .zip(&report.details)
        .map(|(run, details)| json!({ "name": run.name, "rows": details.rows() }))
        .collect();
    push_json(&mut html, "lists", &Json::Array(lists));
    // Of base64 and commas: nothing in it could end the element.
    html.push_str("<script type=\"application/json\" id=\"blocks\">[");
    for (place, details) in report.details.iter().enumerate() {
        html.push_str(if place == 0 { "[" } else { ",[" });
        details.push_blocks(&mut html);
        html.push(']');
    }
    html.push_str("]</script>\n<script>");
    html.push_str(&script);
    html.push_str("</script>\n</body>\n</html>\n");
    html
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

fn push_figure(html: &mut String, figure: &Figure, alone: bool) {
    let _ = writeln!(
        html,
        "<section id=\"{}\" class=\"figure{}\"><h2>{}</h2>",
        figure.name,
        if alone { " alone" } else { "" },
        escape(figure.title)
    );
    match &figure.chart {
        Some(chart) => {
            let chart = chart.element(figure.title);
            let _ = write!(
                html,
                "<div class=\"wide\">{chart}</div>\n<p class=\"soft\">{}</p>",
                escape(&figure.caption)
            );
            let open = if figure.name == "cost" { " open" } else { "" };
            let _ = write!(html, "<details{open}><summary>Numbers</summary>");
            push_table(html, &figure.table);
            html.push_str("</details>");
        }
        None => {
            push_table(html, &figure.table);
            let _ = write!(html, "<p class=\"soft\">{}</p>", escape(&figure.caption));
        }
    }
    html.push_str("</section>\n");
}

/// A table; of a long one the beginning, for all of it is in the CSV file.
fn push_table(html: &mut String, table: &Table) {
    const MAX_LENGTH: usize = 400;
    html.push_str("<div class=\"wide\"><table><thead><tr>");
    for column in &table.columns {
        let _ = write!(html, "<th>{}</th>", escape(column));
    }
    html.push_str("</tr></thead><tbody>");
    for row in table.rows.iter().take(MAX_LENGTH) {
        html.push_str("<tr>");
        for cell in row {
            let class = if matches!(cell, Cell::Text(_)) { "" } else { " class=\"n\"" };
            let _ = write!(html, "<td{class}>{}</td>", escape(&cell.shown()));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    if table.rows.len() > MAX_LENGTH {
        let _ = write!(
            html,
            "<p class=\"soft\">The first {MAX_LENGTH} of {} rows.</p>",
            table.rows.len()
        );
    }
}

fn push_json(html: &mut String, id: &str, json: &Json) {
    let _ = write!(html, "<script type=\"application/json\" id=\"{id}\">");
    html.push_str(&harmless(json));
    html.push_str("</script>\n");
}

/// JSON for the inside of a script element: nothing in it can end the element or open a comment, for what could
/// is escaped. These characters occur in JSON only within strings.
fn harmless(json: &Json) -> String {
    let mut text = String::new();
    for c in json.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
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
        let mut html = String::new();
        push_json(&mut html, "x", &json!(["</script><!--", "a\u{2028}&b"]));
        let inside = html.split_once('>').unwrap().1.strip_suffix("</script>\n").unwrap();
        assert!(!inside.contains('<') && !inside.contains('\u{2028}'), "{inside}");
        let read: Json = serde_json::from_str(inside).unwrap();
        assert_eq!(read, json!(["</script><!--", "a\u{2028}&b"]));
    }
}
