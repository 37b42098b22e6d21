//! Drawings of graphs: hostile texts stay inside their labels, and nothing is lost.

use std::sync::Arc;

use crate::support::{join, on, speaks};
use serde_json::json;
use textgrad_core::{Graph, GraphNode, Image, Inputs, Output, Variable, apply, backward, op_fn};

const HOSTILE: [&str; 16] = [
    r#"a "quoted" text"#,
    r#"a \ backslash \n and \" at the end \"#,
    "two\nlines\r\nand three",
    "n0 --> n1",
    "<script>alert(1)</script>",
    "`code` and ```fences```",
    "#quot; #35; &quot; &amp;",
    "a\u{0}b\u{7}c\u{1b}[31md\te\u{7f}",
    "];\n}\ndigraph other { a -> b",
    "\"]\n  n9[\"injected",
    "end\nsubgraph x\nclick n0 call alert()",
    "%%{init: {\"theme\": \"dark\"}}%%",
    "style n0 fill:#f9f;",
    "1. one\n- two\n  + three\n12) twelve, but 1.5 (or 2) is a number",
    "[text](https://example.com) www.example.com a@example.com",
    r"costs $5, not $$x^2$$, and \nothing \n more",
];

async fn hostile(text: &str) -> Graph {
    let x = Variable::differentiable(text, text);
    let op = op_fn(text, |_: Inputs| async { Ok(vec![Output::new("y", "y")]) });
    let y = apply(Arc::new(op), Inputs::new([(text, x)])).await.unwrap();
    Graph::trace(&y[0])
}

/// What a quoted DOT string stands for; panics if the quotes do not match up.
fn dot_strings(line: &str) -> Vec<String> {
    let mut strings = Vec::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '"' {
            assert_ne!(c, '\\', "{line}");
            continue;
        }
        let mut text = String::new();
        loop {
            match chars.next().unwrap_or_else(|| panic!("an open string: {line}")) {
                '"' => break,
                '\\' => match chars.next().unwrap() {
                    'n' => text.push('\n'),
                    c @ ('"' | '\\') => text.push(c),
                    other => panic!("\\{other} in {line}"),
                },
                c => text.push(c),
            }
        }
        strings.push(text);
    }
    strings
}

/// As a drawing shows a text: control characters, but for newlines, are blanks.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[tokio::test]
async fn dot_holds_any_text() {
    for text in HOSTILE {
        let dot = hostile(text).await.view().max_chars(500).to_dot();
        let lines: Vec<&str> = dot.lines().collect();
        // Header, three nodes, two edges, the closing brace: no text made a line of its own.
        assert_eq!(lines.len(), 4 + 3 + 2 + 1, "{dot}");
        assert_eq!(dot_strings(lines[4]), [format!("{0}\n{0}", shown(text))], "{dot}");
        assert_eq!(dot_strings(lines[5]), [shown(text)], "{dot}");
        assert_eq!(dot_strings(lines[7]), [shown(text)], "{dot}");
        assert!(dot.chars().all(|c| c == '\n' || !c.is_control()), "{dot:?}");
    }
}

/// What a quoted Mermaid label stands for.
fn mermaid_label(line: &str) -> String {
    let (_, label) = line.split_once('"').unwrap();
    let (label, behind) = label.rsplit_once('"').unwrap();
    assert!(["]", "]]", ")", "| n1"].contains(&behind), "{line}");
    let mut text = String::new();
    for (i, piece) in label.replace("<br/>", "\n").split('#').enumerate() {
        match piece.split_once(';') {
            Some((code, rest)) if i > 0 => {
                text.push(char::from_u32(code.parse().unwrap()).unwrap());
                text.push_str(rest);
            }
            _ => {
                assert_eq!(i, 0, "a bare # in {line}");
                text.push_str(piece);
            }
        }
    }
    // Nothing is left that Mermaid, Markdown or HTML would read as markup.
    let left = label.replace("<br/>", "");
    assert!(!left.contains("www."), "a link: {line}");
    assert!(
        !left.contains(['"', '<', '>', '&', '`', '\\', '*', '_', '~', '%', ':', '[', '@', '{']),
        "{line}"
    );
    for line in label.split("<br/>").map(str::trim_start) {
        let marker = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let list =
            line.starts_with(['-', '+']) || (marker != line && marker.starts_with(['.', ')']));
        assert!(!list, "a Markdown list: {line}");
    }
    assert!(!left.contains("$$"), "a formula: {line}");
    assert!(!left.contains("#92;n"), "a line break: {line}");
    // Spaces of no width keep things apart that mean something together.
    text.replace('\u{200b}', "")
}

#[tokio::test]
async fn mermaid_holds_any_text() {
    for text in HOSTILE {
        let mermaid = hostile(text).await.view().max_chars(500).to_mermaid();
        let lines: Vec<&str> = mermaid.lines().collect();
        assert_eq!(lines.len(), 1 + 3 + 2, "{mermaid}");
        assert_eq!(mermaid_label(lines[1]), format!("{0}\n{0}", shown(text)), "{mermaid}");
        assert_eq!(mermaid_label(lines[2]), shown(text), "{mermaid}");
        assert_eq!(mermaid_label(lines[4]), shown(text), "{mermaid}");
        assert!(mermaid.chars().all(|c| c == '\n' || !c.is_control()), "{mermaid:?}");
    }
}

#[tokio::test]
async fn json_holds_any_text_whole() {
    for text in HOSTILE {
        let long = text.repeat(50);
        let json = hostile(&long).await.view().max_chars(3).to_json();
        let read: serde_json::Value = serde_json::from_str(&json.to_string()).unwrap();
        assert_eq!(read["nodes"][0]["value"]["text"], json!(long));
        assert_eq!(read["nodes"][0]["role"], json!(long));
        assert_eq!(read["nodes"][1]["op"], json!(long));
        assert_eq!(read["edges"][0]["name"], json!(long));
    }
}

#[tokio::test]
async fn a_cut_never_parts_a_character() {
    let family = "👩‍👩‍👧";
    let graph = Graph::trace(Variable::constant(family.repeat(5), "e\u{301}".repeat(5)));
    let view = graph.view().max_chars(3);
    let label = format!("{0}{0}…\\n{1}{1}…", "e\u{301}", family);
    assert!(view.to_dot().contains(&format!("label=\"{label}\"")), "{}", view.to_dot());
    let label = format!("{0}{0}…<br/>{1}{1}…", "e\u{301}", family);
    assert!(view.to_mermaid().contains(&format!("[\"{label}\"]")), "{}", view.to_mermaid());
    assert!(graph.view().max_chars(0).to_dot().contains(r#"label="\n""#));
}

#[tokio::test]
async fn gradients_are_drawn_on_request() {
    let x = Variable::differentiable("x", "parameter");
    let y = on(speaks("f"), &[&x, &x]).await;
    let gradients = backward(&y).await.unwrap();
    let graph = Graph::trace(&y);
    assert!(!graph.view().to_dot().contains("f/0"));
    assert!(!graph.view().to_mermaid().contains("f/0"));
    assert_eq!(graph.view().to_json()["gradients"], json!([]));

    let view = graph.view().gradients(&gradients);
    assert_eq!(
        view.to_mermaid(),
        "flowchart TB\n  \
         n0[[\"parameter<br/>x\"]]\n  \
         n1(\"f\")\n  \
         n2[[\"output of f<br/>x+x\"]]\n  \
         n0 -->|\"0\"| n1\n  \
         n0 -->|\"1\"| n1\n  \
         n1 -->|\"0\"| n2\n  \
         n1 -.->|\"f/0\"| n0\n  \
         n1 -.->|\"f/1\"| n0\n"
    );
    let dot = view.to_dot();
    assert_eq!(dot.matches("n0 -> n1 [label=").count(), 2, "f(x, x) has two edges:\n{dot}");
    assert_eq!(dot.matches("style=dashed").count(), 2, "{dot}");
    assert!(dot.contains("n0 [shape=box, peripheries=2, label=\"parameter\\nx\"]"), "{dot}");
}

#[tokio::test]
async fn the_json_format_is_fixed() {
    let x = Variable::differentiable("x", "parameter");
    let image = Variable::constant(Image::new(vec![1, 2, 3], "image/png").unwrap(), "picture");
    let y = on(speaks("f"), &[&x, &image]).await;
    let gradients = backward(&y).await.unwrap();
    let graph = Graph::trace(&y);
    assert_eq!(
        graph.view().gradients(&gradients).to_json(),
        json!({
            "version": 2,
            "nodes": [
                { "id": 0, "class": "parameter", "kind": "variable", "role": "parameter", "requires_grad": true,
                  "value": { "type": "text", "text": "x" } },
                { "id": 1, "class": "input", "kind": "variable", "role": "picture", "requires_grad": false,
                  "value": { "type": "image", "media_type": "image/png", "bytes": 3 } },
                { "id": 2, "class": "function", "kind": "call", "op": "f" },
                { "id": 3, "class": "loss", "kind": "variable", "role": "output of f", "requires_grad": true,
                  "value": { "type": "text", "text": "x+[image/png, 3 bytes]" } },
            ],
            "edges": [
                { "kind": "argument", "from": 0, "to": 2, "name": "0", "position": 0 },
                { "kind": "argument", "from": 1, "to": 2, "name": "1", "position": 1 },
                { "kind": "output", "from": 2, "to": 3, "position": 0 },
            ],
            "gradients": [
                { "variable": 0, "consumer": 2, "argument": 0, "kind": "feedback", "text": "f/0" },
                { "variable": 3, "consumer": null, "argument": 0, "kind": "objective", "text": null },
            ],
            "updates": [],
        })
    );
}

#[tokio::test]
async fn several_roots_make_one_graph() {
    let x = Variable::differentiable("x", "x");
    let (a, b) = (on(join("a"), &[&x]).await, on(join("b"), &[&x]).await);
    let graph = Graph::trace_all([&a, &b, &a]);
    assert_eq!((graph.variables().count(), graph.calls().count()), (3, 2));
    assert_eq!((graph.depth(), graph.width()), (1, 2));
    assert!(graph.contains(&b) && !Graph::trace(&a).contains(&b));
    let empty = Graph::trace_all::<Variable>([]);
    assert_eq!((empty.depth(), empty.width()), (0, 0));
    assert!(empty.critical_path(|_| 1.0).nodes.is_empty());
    let path = graph.critical_path(|call| if call.op().name() == "b" { 2.0 } else { 1.0 });
    assert!(matches!(path.nodes.last(), Some(GraphNode::Variable(end)) if *end == b));
}
