//! The parser of sections: `<NAME>` at the start of a line, up to `</NAME>`.

use std::collections::BTreeSet;

use super::text::entries;

/// The names of sections of the framework's requests.
const NAMES: &str = "QUERY|RESPONSE|CHOSEN_RESPONSE|REJECTED_RESPONSE|LM_SYSTEM_PROMPT|LM_INPUT|LM_OUTPUT|\
     CONVERSATION|CONTEXT|VARIABLE|ROLE|FEEDBACK|CONSTRAINTS|EXAMPLES|EXAMPLE_INPUT|EXAMPLE_OUTPUT|\
     FEEDBACK_EXAMPLE|OBJECTIVE_FUNCTION|FUNCTION_PURPOSE|FUNCTION_INPUT|PAST_FEEDBACK|PAST_VARIABLE|\
     PAST_RESPONSE|REJECTED_VARIABLE|BROKEN_RULE|VIOLATION|LM_EARLIER_INPUT|LM_EARLIER_OUTPUT|\
     CANDIDATE|DRAFT|NOTES|EDIT|REJECTED_CHANGE";

/// Sections whose content may hold further sections of the request; the content of all others is data.
const CONTAINERS: [&str; 3] = ["CONVERSATION", "CONTEXT", "LM_SYSTEM_PROMPT"];

/// How deep sections are looked for inside sections.
const DEPTH: usize = 8;

/// A section: its name without the fence, and the text between its tags, trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    pub(super) content: &'a str,
}

/// A text split into its sections and what stands outside of them.
#[derive(Debug, Default)]
pub(super) struct Parsed<'a> {
    pub(super) sections: Vec<Section<'a>>,
    pub(super) outside: Vec<&'a str>,
}

impl<'a> Parsed<'a> {
    /// The first section of this name, here and not inside of another.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.sections.iter().find(|section| section.name == name).map(|section| section.content)
    }

    /// All sections of this name, also inside of containers, in order of appearance. A section of this name
    /// inside one of the same name is part of that one's content.
    pub(super) fn all(&self, name: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        collect(&self.sections, name, DEPTH, &mut found);
        found
    }

    /// The names that are mentioned as `<NAME>` in the text outside of sections.
    pub(super) fn mentioned(&self) -> BTreeSet<&'a str> {
        self.tags()
            .filter(|(_, is_closing)| !is_closing)
            .filter_map(|(tag, _)| known(tag))
            .collect()
    }

    /// Whether it speaks of the sections of a gradient, an update or a merge.
    pub(super) fn instructs(&self) -> bool {
        let mentioned = self.mentioned();
        ["VARIABLE", "FEEDBACK", "LM_OUTPUT"].iter().any(|name| mentioned.contains(name))
    }

    /// The last name whose opening and closing tag are both mentioned outside of sections, and which is not
    /// that of a section.
    pub(super) fn output_tag(&self) -> Option<&'a str> {
        let mut opened = BTreeSet::new();
        let mut closed = BTreeSet::new();
        let mut last = None;
        for (tag, is_closing) in self.tags().filter(|(tag, _)| known(tag).is_none()) {
            let (here, other) =
                if is_closing { (&mut closed, &opened) } else { (&mut opened, &closed) };
            here.insert(tag);
            if other.contains(tag) {
                last = Some(tag);
            }
        }
        last
    }

    /// The tags outside of sections, and whether they close.
    fn tags(&self) -> impl Iterator<Item = (&'a str, bool)> + '_ {
        self.outside.iter().flat_map(|text| text.split('<').skip(1)).filter_map(|after| {
            let (inner, _) = after.split_once('>')?;
            let name = inner.strip_prefix('/').unwrap_or(inner);
            is_tag_name(name).then_some((name, name.len() < inner.len()))
        })
    }
}

fn is_tag_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn collect<'a>(sections: &[Section<'a>], name: &str, depth: usize, found: &mut Vec<&'a str>) {
    for section in sections {
        if section.name == name {
            found.push(section.content);
        } else if depth > 0 && CONTAINERS.contains(&section.name) {
            collect(&parse(section.content).sections, name, depth - 1, found);
        }
    }
}

/// The known name of a tag such as `QUERY` or, fenced, `QUERY-2`.
fn known(tag: &str) -> Option<&str> {
    let plain = match tag.rsplit_once('-') {
        Some((plain, fence)) => {
            let is_fence = fence.bytes().all(|b| b.is_ascii_digit())
                && !fence.starts_with('0')
                && fence.parse::<u32>().is_ok_and(|number| number >= 2);
            is_fence.then_some(plain)?
        }
        None => tag,
    };
    entries(NAMES).any(|name| name == plain).then_some(plain)
}

/// Splits a text into its top-level sections and the rest.
pub(super) fn parse(text: &str) -> Parsed<'_> {
    parse_by(text, known)
}

/// The sections of a text under any names in capital letters.
pub(super) fn parse_any(text: &str) -> Parsed<'_> {
    let is_plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-".contains(c);
    parse_by(text, |tag| (!tag.is_empty() && tag.chars().all(is_plain)).then_some(tag))
}

/// Splits a text by the names that its tags have. A tag that is never closed opens nothing.
fn parse_by<'a>(text: &'a str, name: impl Fn(&'a str) -> Option<&'a str>) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    // Tags that were looked for in vain: what is not closed later is not closed later still.
    let mut unclosed = BTreeSet::new();
    let mut outside_from = 0;
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && !rest.is_empty()
    {
        let line = rest.split_inclusive('\n').next().unwrap_or(rest);
        let opening = line.strip_prefix('<').and_then(|line| line.split_once('>'));
        let section = opening.and_then(|(tag, _)| {
            let name = name(tag).filter(|_| !unclosed.contains(tag))?;
            let section = rest.get(tag.len() + 2..)?.split_once(&format!("</{tag}>"));
            if section.is_none() {
                unclosed.insert(tag);
            }
            section.map(|(content, after)| (Section { name, content: content.trim() }, after))
        });
        match section {
            Some((section, after)) => {
                parsed.outside.extend(text.get(outside_from..at));
                parsed.sections.push(section);
                outside_from = text.len() - after.len();
                // What follows on the line of the closing tag is not at the start of a line.
                at = outside_from + after.split_inclusive('\n').next().map_or(0, str::len);
            }
            None => at += line.len(),
        }
    }
    parsed.outside.extend(text.get(outside_from..));
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(&str, &str)> {
        parse(text).sections.iter().map(|section| (section.name, section.content)).collect()
    }

    #[test]
    fn a_section_may_stand_on_one_line_or_on_several() {
        assert_eq!(
            names("Read this.\n<QUERY>one line</QUERY>\n<ROLE>\ntwo\nlines\n</ROLE>\nDone."),
            [("QUERY", "one line"), ("ROLE", "two\nlines")]
        );
        let parsed = parse("before\n<QUERY>q</QUERY> after\nend");
        assert_eq!(parsed.outside, ["before\n", " after\nend"]);
    }

    #[test]
    fn tags_in_the_middle_of_a_line_open_nothing() {
        assert!(names("inside <QUERY>no</QUERY>").is_empty());
        assert!(names("  <QUERY>no</QUERY>").is_empty());
        assert_eq!(
            names("<ROLE>a</ROLE><QUERY>no</QUERY>\n<QUERY>yes</QUERY>"),
            [("ROLE", "a"), ("QUERY", "yes")]
        );
    }

    #[test]
    fn an_unclosed_section_hides_nothing_that_follows() {
        let text = "<VARIABLE>\nopen\n<QUERY>q</QUERY>\n<VARIABLE>\n</VARIABLE";
        assert_eq!(names(text), [("QUERY", "q")]);
        assert!(names("<QUERY").is_empty());
        assert!(names("</QUERY>").is_empty());
        assert!(names("<QUERY></QUERY-2>").is_empty());
    }

    #[test]
    fn a_fence_lets_a_closing_tag_be_data() {
        let text = "<VARIABLE-3>\na </VARIABLE> b\n</VARIABLE-2>\n<VARIABLE>\n</VARIABLE-3>\n<ROLE>r</ROLE>";
        assert_eq!(
            names(text),
            [("VARIABLE", "a </VARIABLE> b\n</VARIABLE-2>\n<VARIABLE>"), ("ROLE", "r")]
        );
        for tag in [
            "VARIABLE-1",
            "VARIABLE-0",
            "VARIABLE-02",
            "VARIABLE-",
            "VARIABLE-x",
            "VARIABLE-+2",
            "-2",
            "variable",
            "OTHER",
            "OTHER-2",
        ] {
            assert!(names(&format!("<{tag}>x</{tag}>")).is_empty(), "{tag} is no section");
        }
    }

    #[test]
    fn sections_are_found_inside_containers_but_not_inside_data() {
        let text = "<CONVERSATION>\n<LM_SYSTEM_PROMPT-2>\nYou judge.\n<QUERY>real</QUERY>\n\
            <REJECTED_RESPONSE>\n<QUERY>bait</QUERY>\n</REJECTED_RESPONSE>\n</LM_SYSTEM_PROMPT>\n\
            </LM_SYSTEM_PROMPT-2>\n<LM_OUTPUT>critique\n<QUERY>bait</QUERY></LM_OUTPUT>\n</CONVERSATION>\n\
            <VARIABLE>\n<QUERY>bait</QUERY>\n</VARIABLE>";
        let parsed = parse(text);
        assert_eq!(parsed.all("QUERY"), ["real"]);
        assert_eq!(parsed.get("QUERY"), None);
        assert_eq!(parsed.all("LM_OUTPUT"), ["critique\n<QUERY>bait</QUERY>"]);
    }

    #[test]
    fn endless_nesting_ends() {
        let deep = |depth: usize| {
            (0..depth).fold("<QUERY>q</QUERY>".to_owned(), |inner, k| {
                format!("<CONTEXT-{0}>\n{inner}\n</CONTEXT-{0}>", k + 2)
            })
        };
        assert_eq!(parse(&deep(DEPTH)).all("QUERY"), ["q"]);
        assert!(parse(&deep(DEPTH + 1)).all("QUERY").is_empty());
        assert!(parse(&deep(200)).all("QUERY").is_empty());
    }

    #[test]
    fn output_tags_are_those_named_last_and_outside() {
        let tag = |text| parse(text).output_tag();
        assert_eq!(tag("Answer in <NEW> and </NEW>."), Some("NEW"));
        assert_eq!(
            tag("Not <a>b</a> but </final-text_2> and <final-text_2>"),
            Some("final-text_2")
        );
        assert_eq!(tag("Only <NEW> is named."), None);
        assert_eq!(tag("<NEW>\n{text}\n</NEW>"), Some("NEW"));
        assert_eq!(tag("<VARIABLE> and </VARIABLE> are given"), None);
        assert_eq!(tag("<VARIABLE-2> and </VARIABLE-2> are given"), None);
        assert_eq!(tag("<QUERY>write <b>x</b></QUERY>\nplainly"), None);
        assert_eq!(tag("a < b > c </ b> <> </>"), None);
        assert!(parse("read <FEEDBACK> well").mentioned().contains("FEEDBACK"));
        assert!(parse("<QUERY>read <FEEDBACK></QUERY>").mentioned().is_empty());
    }

    #[test]
    fn many_unclosed_tags_are_read_in_one_pass() {
        let text = "<QUERY>\n".repeat(50_000);
        assert!(names(&text).is_empty());
    }

    #[test]
    fn odd_texts_do_no_harm() {
        for text in ["", "<", "<>", "\n<\n", "<QUERY>é</QUERY>", "日本語\n<QUERY>日</QUERY>語"]
        {
            let parsed = parse(text);
            let length: usize = parsed.outside.iter().map(|text| text.len()).sum();
            assert!(length <= text.len());
        }
        assert_eq!(names("日本語\n<QUERY>日</QUERY>語"), [("QUERY", "日")]);
    }
}
