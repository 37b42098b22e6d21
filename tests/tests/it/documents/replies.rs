//! The table of what servers and users send, and the outcome of each.
//!
//! A test that shows a kind of fault has a row of the table in its doc comment. The row may go on over several
//! lines, and ends at an empty line, at the next row or with the comment. A test may have several rows.
//!
//! ```text
//! /// Kind: Streams | a whole JSON body under `text/event-stream` | read as JSON; nothing is asked again
//! #[tokio::test]
//! async fn a_body_is_read_as_what_it_is() {
//! ```
//!
//! The first cell is one of the areas below. `UPDATE_DOCS=1 cargo test -p textgrad-tests --test it replies` writes
//! the tables into `docs/replies.md`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// The areas of the document, in order.
const AREAS: &[&str] = &[
    "Parameters",
    "Reasoning",
    "Finish reasons",
    "Empty, truncated, refused",
    "Streams",
    "Malformed JSON",
    "Tags, grades, verdicts",
    "Errors",
    "System role",
    "Silent truncation",
    "Reward servers",
    "Costs",
    "Signals",
    "Files",
    "Secrets and terminals",
    "Limits",
    "Queries",
];

/// The folders whose tests are read.
const SOURCES: &[&str] = &["textgrad-core", "textgrad-ops", "tpo", "tests"];

const MARKS: [&str; 2] = ["<!-- kinds -->\n", "<!-- end of kinds -->\n"];

/// A row of the table, and the test that shows it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    area: usize,
    sent: String,
    outcome: String,
    test: String,
}

/// The rows of a source file.
fn kinds(text: &str) -> Result<Vec<Kind>, String> {
    let (mut kinds, mut open): (Vec<Kind>, Vec<String>) = (Vec::new(), Vec::new());
    let mut continued = false;
    for line in text.lines().map(str::trim) {
        let comment = line.strip_prefix("///").map(str::trim);
        match comment {
            Some(comment) if comment.starts_with("Kind:") => {
                open.push(comment.trim_start_matches("Kind:").trim().to_owned());
                continued = true;
            }
            Some("") => continued = false,
            Some(more) if continued => {
                let row = open.last_mut().ok_or("no row")?;
                row.push(' ');
                row.push_str(more);
            }
            _ => continued = false,
        }
        let function = line.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next());
        if let (None, Some(test), false) = (comment, function, open.is_empty()) {
            for row in open.drain(..) {
                kinds.push(kind(&row, test)?);
            }
        }
    }
    match open.first() {
        None => Ok(kinds),
        Some(row) => Err(format!("expected a test after: {row}")),
    }
}

fn kind(row: &str, test: &str) -> Result<Kind, String> {
    let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
    let [area, sent, outcome] = cells[..] else {
        return Err(format!("{test}: expected AREA | SENT | OUTCOME, got: {row}"));
    };
    let known = || format!("{test}: expected one of {}, got {area:?}", AREAS.join("; "));
    let area = AREAS.iter().position(|known| *known == area).ok_or_else(known)?;
    let (sent, outcome, test) = (sent.to_owned(), outcome.to_owned(), test.to_owned());
    Ok(Kind { area, sent, outcome, test })
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn tables() -> String {
    let mut found = Vec::new();
    SOURCES.iter().for_each(|folder| sources(&root().join(folder), &mut found));
    found.retain(|path| !path.ends_with(file!()) && !path.ends_with("documents/replies.rs"));
    let mut all = Vec::new();
    for path in found {
        let kinds = kinds(&fs::read_to_string(&path).unwrap());
        all.extend(kinds.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
    all.sort();
    let mut text = String::new();
    for (index, area) in AREAS.iter().enumerate() {
        let mut rows = all.iter().filter(|kind| kind.area == index).peekable();
        if rows.peek().is_none() {
            continue;
        }
        write!(text, "\n## {area}\n\n| sent | outcome | test |\n|---|---|---|\n").unwrap();
        for row in rows {
            writeln!(text, "| {} | {} | `{}` |", row.sent, row.outcome, row.test).unwrap();
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_document_of_replies_has_the_rows_of_the_tests() {
    let path = root().join("docs/replies.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).unwrap();
    let (written, after) = rest.split_once(MARKS[1]).unwrap();
    let expected = tables();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, format!("{before}{}{expected}{}{after}", MARKS[0], MARKS[1])).unwrap();
        return;
    }
    assert_eq!(written, expected, "run with UPDATE_DOCS=1 to write docs/replies.md");
}

#[test]
fn rows_are_read_from_comments_of_tests() {
    let text = "/// Says more.\n///\n/// Kind: Streams | a `b`\n///   c | read\n/// Kind: Finish reasons | x | y\n\
                #[test]\nfn shows_it() {}\n/// Other.\nfn other() {}\n";
    let row = |area, sent: &str, outcome: &str| Kind {
        area,
        sent: sent.to_owned(),
        outcome: outcome.to_owned(),
        test: "shows_it".to_owned(),
    };
    assert_eq!(kinds(text), Ok(vec![row(4, "a `b` c", "read"), row(2, "x", "y")]));
    for (text, words) in [
        ("/// Kind: Streams | a\nfn f() {}", "expected AREA | SENT | OUTCOME"),
        ("/// Kind: Rivers | a | b\nfn f() {}", "expected one of Parameters;"),
        ("/// Kind: Streams | a | b\n", "expected a test"),
    ] {
        let error = kinds(text).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}
