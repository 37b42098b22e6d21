//! Scripts of pages, run by Node.js on a small model of the DOM.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic fails the test")]

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use textgrad_ops::util::terminal::note;

/// The elements that a page's script uses. Markup cannot be set.
const DOM: &str = include_str!("dom.js");

/// Runs the script of a page, and then checks in JavaScript: the body of an async function. It sees the names of the
/// script, `assert` of Node.js, `frame()`, which draws, and `paper.texts`, what was drawn on canvases. Without `node`
/// on the `PATH`, nothing is checked, and the error output says so.
///
/// # Panics
/// If the script or a check fails.
pub fn check(html: &str, checks: &str) {
    let (_, script) = html.rsplit_once("<script>").unwrap();
    let (script, _) = script.split_once("</script>").unwrap();
    let html = serde_json::to_string(html).unwrap();
    let program = format!(
        "globalThis.HTML = {html};\n{DOM}\n{script}\n(async () => {{\n{checks}\n}})().then(() => process.exit(0), \
         (error) => {{ console.error(error); process.exit(1); }});\n"
    );
    let mut node = Command::new("node");
    node.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = match node.spawn() {
        Ok(node) => node,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            note("no `node` is installed: the script of the page is not checked");
            return;
        }
        Err(error) => panic!("node: {error}"),
    };
    node.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    let ended = node.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
