//! Faults of the tags that a prompt asks the model to put around its answer.

/// The name in `<name>` or `</name>`, if the text is just that.
fn tag_name(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('<')?.strip_suffix('>')?;
    let name = inner.strip_prefix('/').unwrap_or(inner);
    is_name(name).then_some(name)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A text divided at its outermost pair of tags.
struct Enclosed<'a> {
    before: &'a str,
    name: &'a str,
    inside: &'a str,
    after: &'a str,
}

/// The first opening tag that has a closing tag, and the last closing tag of that name.
fn enclosed(text: &str) -> Option<Enclosed<'_>> {
    text.match_indices('<').find_map(|(start, _)| {
        let (before, rest) = text.split_at_checked(start)?;
        let (tag, rest) = rest.split_at_checked(rest.find('>')? + 1)?;
        let name = tag_name(tag).filter(|_| !tag.starts_with("</"))?;
        let (inside, after) = rest.rsplit_once(&format!("</{name}>"))?;
        Some(Enclosed { before, name, inside, after })
    })
}

/// The text without lines that are only a tag, and without a pair that holds all of it.
pub(super) fn without_tags(text: &str) -> String {
    let kept: String =
        text.split_inclusive('\n').filter(|line| tag_name(line.trim()).is_none()).collect();
    match enclosed(kept.trim()) {
        Some(part) if part.before.is_empty() && part.after.is_empty() => part.inside.to_owned(),
        _ => kept,
    }
}

/// The text without its last closing tag.
pub(super) fn without_close_tag(text: &str) -> String {
    match enclosed(text) {
        Some(part) => format!("{}<{}>{}{}", part.before, part.name, part.inside, part.after),
        None => text.to_owned(),
    }
}

/// The text with its tags named once more, inline, in the middle of what they enclose.
pub(super) fn with_tags_inside(text: &str) -> String {
    match enclosed(text) {
        Some(Enclosed { before, name, inside, after }) => {
            let (first, second) = halves(inside);
            format!(
                "{before}<{name}>{first} (between <{name}> and </{name}>) {second}</{name}>{after}"
            )
        }
        None => text.to_owned(),
    }
}

/// The text divided in its middle, counted in characters.
pub(super) fn halves(text: &str) -> (&str, &str) {
    let middle = text.chars().count() / 2;
    let bytes = text.chars().take(middle).map(char::len_utf8).sum();
    text.split_at_checked(bytes).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGGED: &str = "Sure:\n<NEW_VARIABLE>\nfour words of text\n</NEW_VARIABLE>\n";

    #[test]
    fn tags_around_the_answer_are_removed() {
        assert_eq!(without_tags(TAGGED), "Sure:\nfour words of text\n");
        assert_eq!(without_tags("<A>x < y</A>"), "x < y");
        assert_eq!(without_tags("a <b> c"), "a <b> c");
    }

    #[test]
    fn the_last_closing_tag_is_removed() {
        assert_eq!(without_close_tag(TAGGED), "Sure:\n<NEW_VARIABLE>\nfour words of text\n\n");
        assert_eq!(without_close_tag("<A>1</A><A>2</A>"), "<A>1</A><A>2");
        assert_eq!(without_close_tag("1 < 2 > 0"), "1 < 2 > 0");
    }

    #[test]
    fn tags_are_repeated_inside() {
        assert_eq!(with_tags_inside("<A>über</A>"), "<A>üb (between <A> and </A>) er</A>");
        assert_eq!(with_tags_inside("plain"), "plain");
    }
}
