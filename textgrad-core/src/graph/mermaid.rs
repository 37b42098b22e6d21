//! Mermaid, which GitHub and many editors draw by themselves.

use std::fmt::Write as _;

use super::{GraphEdge, GraphNode, GraphView};

impl GraphView<'_> {
    /// The graph in Mermaid. Variables are boxes (doubled at the sides if they require a gradient), calls
    /// are rounded, feedback is a dotted edge back.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut mermaid = String::from("flowchart TB\n");
        for (index, node) in self.nodes() {
            let index = index.index();
            let _ = match node {
                GraphNode::Variable(variable) => {
                    let label = format!(
                        "{}\n{}",
                        self.cut(variable.role()),
                        self.cut(&variable.value().describe())
                    );
                    let (open, close) =
                        if variable.requires_grad() { ("[[", "]]") } else { ("[", "]") };
                    writeln!(mermaid, "  n{index}{open}\"{}\"{close}", escape(&label))
                }
                GraphNode::Call(call) => {
                    writeln!(mermaid, "  n{index}(\"{}\")", escape(&self.cut(call.op().name())))
                }
            };
        }
        for (from, to, edge) in self.edges() {
            let label = match edge {
                GraphEdge::Argument { name, .. } => escape(&self.cut(name)),
                GraphEdge::Output { position } => position.to_string(),
            };
            let (from, to) = (from.index(), to.index());
            let _ = writeln!(mermaid, "  n{from} -->|\"{label}\"| n{to}");
        }
        for (from, to, text) in self.drawn_notes() {
            let (from, to) = (from.index(), to.index());
            let _ = writeln!(mermaid, "  n{from} -.->|\"{}\"| n{to}", escape(&text));
        }
        mermaid
    }
}

/// A text inside a quoted Mermaid label: everything that Mermaid, Markdown or HTML could read as markup goes
/// as a character entity. Mermaid looks for directives inside labels too, and refuses to draw a label in
/// which it finds a list or a link; between pairs of dollars it finds formulas, and
/// in a backslash before an n a line break.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let (mut line, mut digits) = (String::new(), true);
    for c in text.chars() {
        let number = digits && !line.is_empty();
        match c {
            '\n' => escaped.push_str("<br/>"),
            '"' | '#' | '%' | '&' | '*' | ':' | ';' | '<' | '>' | '@' | '[' | '\\' | ']' | '_'
            | '`' | '{' | '|' | '}' | '~' => push_entity(&mut escaped, c),
            // Entities do not hide a formula or a line break: a space of no width does.
            '$' if line.ends_with('$') => escaped.push_str("#8203;$"),
            'n' if line.ends_with('\\') => escaped.push_str("#8203;n"),
            '-' | '+' if line.is_empty() => push_entity(&mut escaped, c),
            '.' | ')' if number || line.ends_with("www") => push_entity(&mut escaped, c),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
        if c == '\n' {
            line.clear();
            digits = true;
        } else if !(line.is_empty() && c.is_whitespace()) {
            digits &= c.is_ascii_digit();
            line.push(c);
        }
    }
    escaped
}

fn push_entity(escaped: &mut String, c: char) {
    let _ = write!(escaped, "#{};", u32::from(c));
}
