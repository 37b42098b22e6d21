//! The page around its data.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::texts::PageData;

const STYLE: &str = include_str!("assets/style.css");
/// One script of several files, so that the policy names one hash.
const SCRIPT: &str = concat!(
    include_str!("assets/dom.js"),
    include_str!("assets/unseen.js"),
    include_str!("assets/graph.js"),
    include_str!("assets/camera.js"),
    include_str!("assets/draw.js"),
    include_str!("assets/panel.js"),
    include_str!("assets/calls.js"),
    include_str!("assets/search.js"),
    include_str!("assets/main.js"),
);
/// What the page may do: run this one script and this one style, and nothing else. No address can be asked
/// for anything, and nothing that got into the page otherwise could run. The hashes are checked by a test,
/// which prints those to write here.
const POLICY: &str = "default-src 'none'; script-src 'sha256-aOW0atbKBfh81H/mNWr4I3rf9+IrHEEgULE6vWYHsG0='; style-src 'sha256-2i4/FflebBsdWvFj34FaF73maiIpLPbIeYLbNJnjHDg='; base-uri 'none'; form-action 'none'";
const BODY: &str = include_str!("assets/body.html");

pub(super) fn render(title: &str, data: PageData) -> String {
    let mut html =
        String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"");
    html.push_str(POLICY);
    html.push_str(
        "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    );
    html.push_str("<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    push_text(&mut html, title);
    html.push_str("</title>\n<style>");
    html.push_str(STYLE);
    html.push_str("</style>\n</head>\n<body>\n");
    html.push_str(BODY);
    for (id, json) in [("texts", data.texts), ("data", data.rest)] {
        html.push_str("<script type=\"application/json\" id=\"");
        html.push_str(id);
        html.push_str("\">");
        push_json(&mut html, &json);
        html.push_str("</script>\n");
    }
    html.push_str("<script>");
    html.push_str(SCRIPT);
    html.push_str("</script>\n</body>\n</html>\n");
    html
}

/// Text between tags.
fn push_text(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            c if c.is_control() => html.push(' '),
            c => html.push(c),
        }
    }
}

/// JSON inside a script element: nothing in it can end the element or open a comment, since what could is
/// escaped, as is what an editor would not show. These characters occur in JSON only within strings.
fn push_json(html: &mut String, json: &Json) {
    let json = json.to_string();
    html.reserve(json.len() + json.len() / 16);
    let special =
        |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') || c.is_control();
    for piece in json.split_inclusive(special) {
        match piece.char_indices().next_back() {
            Some((at, c)) if special(c) => {
                html.push_str(piece.get(..at).unwrap_or_default());
                let _ = write!(html, "\\u{:04x}", u32::from(c));
            }
            _ => html.push_str(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_names_the_script_and_the_style() {
        let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        for (what, text) in [("script", SCRIPT), ("style", STYLE)] {
            let expected = format!("{what}-src {};", hash(text));
            assert!(
                POLICY.contains(&expected),
                "the {what} changed, the policy must say: {expected}"
            );
        }
    }

    #[test]
    fn nothing_in_the_script_or_the_style_could_end_its_element() {
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</style"));
    }
}
