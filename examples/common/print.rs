//! Printing of the examples.

use textgrad_core::Engine;

use crate::recording::WRITTEN_BY_HAND;

/// How wide a quoted text is, in characters.
const WIDTH: usize = 96;

/// Prints the name of the engine, and that it is a simulation or a recording written by hand if it is one.
pub fn announce(engine: &dyn Engine) {
    println!("model: {}", engine.name());
    if engine.name() == WRITTEN_BY_HAND {
        println!(
            "WRITTEN BY HAND: all answers below are a recording that the authors of this example wrote; no\n\
             model is asked. For a real one: --engine ollama/llama3, --engine openai/gpt-4o-mini, ..."
        );
    } else if engine.is_simulation() {
        println!(
            "SIMULATION: all answers below are made up by the embedded `sim`, which knows nothing about the\n\
             world. For real ones: --engine ollama/llama3, --engine openai/gpt-4o-mini, ..."
        );
    }
}

/// A title over what follows.
pub fn heading(title: &str) {
    println!("\n== {title}");
}

/// A text of a model or user, set off from what the example says itself.
///
/// # Examples
/// ```
/// assert_eq!(textgrad_examples::quote("one\n\ntwo"), "  | one\n  |\n  | two");
/// ```
#[must_use]
pub fn quote(text: &str) -> String {
    let lines: Vec<String> = text.lines().flat_map(wrap).collect();
    lines
        .iter()
        .map(|line| format!("  | {line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A line in lines of bounded width. The spaces at its beginning stay: it may be code.
fn wrap(line: &str) -> Vec<String> {
    if line.chars().count() <= WIDTH {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= WIDTH {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_and_short_ones_keep_their_spaces() {
        assert_eq!(quote("    code(  )"), "  |     code(  )");
        let words = "word ".repeat(50);
        let quoted = quote(words.trim());
        assert_eq!(quoted.matches("word").count(), 50);
        assert!(quoted.lines().all(|line| line.len() <= WIDTH + 4), "{quoted}");
        assert_eq!(quote(&"x".repeat(200)).len(), 204, "a long word is not cut");
    }
}
