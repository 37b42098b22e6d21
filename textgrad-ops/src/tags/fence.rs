//! Fences of code around a text.

/// Names of fences around text that is not code.
const PROSE: [&str; 6] = ["markdown", "md", "text", "txt", "plaintext", "plain"];

/// A block of code that is the whole of a text.
pub(super) struct Fenced<'a> {
    name: &'a str,
    pub(super) inner: &'a str,
}

/// The block of code that is the whole of a text. Blocks within it have names, else it is several.
pub(super) fn whole(text: &str) -> Option<Fenced<'_>> {
    let (first, rest) = text.trim().split_once('\n')?;
    let mark = mark_of(first)?;
    let name = first.strip_prefix(mark)?.trim();
    let inner = rest.strip_suffix(mark)?;
    let mut open = 0_usize;
    for (line, other) in inner.lines().filter_map(|line| Some((line.trim(), mark_of(line)?))) {
        if !other.starts_with(mark) {
            continue;
        }
        open = if line == other { open.checked_sub(1)? } else { open + 1 };
    }
    (open == 0 && !name.contains('`')).then_some(Fenced { name, inner })
}

/// A new version of a text without the fence that a model puts around the whole. A fence is part of the new version
/// if the text before was one block of code, or had blocks and the fence is not one of prose.
pub(crate) fn unwrap<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let Fenced { name, inner } = whole(text)?;
    let is_prose = PROSE.iter().any(|prose| prose.eq_ignore_ascii_case(name));
    let had_blocks = before.lines().any(|line| mark_of(line).is_some());
    let is_part = whole(before).is_some() || had_blocks && !is_prose;
    Some(inner.trim()).filter(|inner| !is_part && !inner.is_empty())
}

/// Whether a text ends within a block of code.
pub(super) fn is_open(text: &str) -> bool {
    text.lines().filter(|line| mark_of(line).is_some()).count() % 2 == 1
}

/// The mark of a fence that a line begins with.
fn mark_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let behind = match line.chars().next()? {
        mark @ ('`' | '~') => line.trim_start_matches(mark),
        _ => return None,
    };
    line.strip_suffix(behind).filter(|mark| mark.len() >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_around_the_whole_of_a_new_text_is_taken_off() {
        for text in [
            "```\nnew\n```",
            "```text\nnew\n```",
            "~~~\nnew\n~~~",
            "````markdown\nnew\n````",
            "```python\nnew\n```",
            "```\nnew```",
        ] {
            assert_eq!(unwrap(text, "old"), Some("new"), "{text}");
        }
        let nested = "```markdown\nRun:\n```sh\nls\n```\nDone.\n```";
        assert_eq!(unwrap(nested, "old"), Some("Run:\n```sh\nls\n```\nDone."));
        assert_eq!(unwrap(nested, "Run:\n```sh\nls -l\n```"), Some("Run:\n```sh\nls\n```\nDone."));
    }

    #[test]
    fn a_fence_that_is_part_of_a_new_text_stays() {
        for (text, before) in [
            ("```python\nprint(1)\n```", "```python\nprint(2)\n```"),
            ("```\nls\n```", "Run:\n```\nls -l\n```"),
            ("```python\nprint(1)\n```", "Run this:\n```python\nprint(2)\n```\nDone."),
            ("```\na\n```\nand\n```\nb\n```", "old"),
            ("Run:\n```\nls\n```", "old"),
            ("```\nls\n```\nDone.", "old"),
            ("```\nopen", "old"),
            ("```a``` and ```b```", "old"),
            ("```\n\n```", "old"),
        ] {
            assert_eq!(unwrap(text, before), None, "{text}");
        }
    }
}
