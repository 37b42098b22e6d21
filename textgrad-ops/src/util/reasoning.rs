//! Separation of a model's reasoning from its answer, for texts that no engine has separated.

use std::ops::Range;

use super::scan::positions;

/// Marks that models and chat templates put around reasoning.
const MARKS: [(&str, &str); 13] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("\u{25C1}think\u{25B7}", "\u{25C1}/think\u{25B7}"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<unused94>", "<unused95>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("<|channel|>analysis<|message|>", "<|start|>assistant"),
];

/// What stands before an answer in formats that mark it too.
const ANSWER_MARKS: [&str; 4] = [
    "<|start|>assistant<|channel|>final<|message|>",
    "<|channel|>final<|message|>",
    "<|begin_of_solution|>",
    "<|START_RESPONSE|>",
];

/// A text whose reasoning is apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Separated<'a> {
    /// The answer, without white space before it.
    pub(crate) answer: &'a str,
    /// The reasoning before the answer, without its marks.
    pub(crate) reasoning: Option<String>,
    /// Whether the reasoning has no end, so that there is no answer.
    pub(crate) is_open: bool,
}

/// The position of the answer in a text that may begin with reasoning, in bytes; none if the reasoning has no end.
///
/// # Examples
/// ```
/// use textgrad_ops::util::reasoning::answer_in;
///
/// let reply = "<think>Is it 3? No.</think>\n\nIt is 4.";
/// assert_eq!(answer_in(reply).map(|answer| &reply[answer]), Some("It is 4."));
/// assert_eq!(answer_in("<think>Is it 3?"), None);
/// ```
#[must_use]
pub fn answer_in(text: &str) -> Option<Range<usize>> {
    let separated = separate(text);
    (!separated.is_open).then(|| text.len() - separated.answer.len()..text.len())
}

/// Separates the reasoning that a text begins with.
///
/// Reasoning is what stands between marks at the beginning, once or several times, or before a closing mark whose
/// opening one was in the prompt. A closing mark in code, in quotes or between the words of a sentence is text.
pub(crate) fn separate(text: &str) -> Separated<'_> {
    let mut thoughts: Vec<&str> = Vec::new();
    let mut rest = text.trim_start();
    while let Some((open, close)) = marks_at(rest) {
        let inside = rest.get(open.len()..).unwrap_or_default();
        let Some(end) = find(inside, close) else {
            thoughts.push(inside);
            return Separated { answer: "", reasoning: joined(&thoughts), is_open: true };
        };
        thoughts.push(inside.get(..end).unwrap_or_default());
        rest = inside.get(end + close.len()..).unwrap_or_default().trim_start();
    }
    if thoughts.is_empty() {
        match lone_close(rest) {
            Some((before, after)) => {
                thoughts.push(before);
                rest = after.trim_start();
            }
            None => return Separated { answer: text, ..Separated::default() },
        }
    }
    let marked = ANSWER_MARKS.iter().find_map(|mark| rest.strip_prefix(mark));
    Separated { answer: marked.unwrap_or(rest), reasoning: joined(&thoughts), is_open: false }
}

fn joined(thoughts: &[&str]) -> Option<String> {
    let thoughts: Vec<&str> = thoughts
        .iter()
        .map(|thought| thought.trim())
        .filter(|thought| !thought.is_empty())
        .collect();
    (!thoughts.is_empty()).then(|| thoughts.join("\n\n"))
}

/// The marks whose opening one the text begins with; of several the one that is closed.
fn marks_at(text: &str) -> Option<(&'static str, &'static str)> {
    let mut at = MARKS.into_iter().filter(|(open, _)| begins(text, open));
    let first = at.next()?;
    if find(text, first.1).is_some() {
        Some(first)
    } else {
        Some(at.find(|(_, close)| find(text, close).is_some()).unwrap_or(first))
    }
}

/// What stands before and after the first closing mark without an opening one.
fn lone_close(text: &str) -> Option<(&str, &str)> {
    // Most answers have none of the bytes that marks begin with.
    let starts = positions(text, |byte| matches!(byte, b'<' | b'[' | 0xE2));
    let tails: Vec<&str> = starts.filter_map(|at| text.get(at..)).collect();
    let found = MARKS.into_iter().filter_map(|(open, close)| {
        let at = text.len() - tails.iter().find(|tail| begins(tail, close))?.len();
        let (before, after) = (text.get(..at)?, text.get(at + close.len()..)?);
        // `<|end|>` and the like end other things too.
        let is_own = close.contains('/') || close.contains("thought") || close.contains("THINK");
        let is_quoted =
            before.ends_with(['`', '"', '\'']) || before.matches("```").count() % 2 == 1;
        // A sentence may name the mark.
        let is_mention =
            before.ends_with([' ', '(']) && after.starts_with([' ', '.', ',', ';', ')']);
        let is_reasoning = is_own && !is_mention && !is_quoted && find(before, open).is_none();
        is_reasoning.then_some((before, after))
    });
    found.min_by_key(|(before, _)| before.len())
}

/// Whether a text begins with a mark, in whatever case of its ASCII letters.
fn begins(text: &str, mark: &str) -> bool {
    text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark))
}

/// Where a mark stands first, in whatever case of its ASCII letters. A mark begins with no letter.
fn find(text: &str, mark: &str) -> Option<usize> {
    let mut starts = text.match_indices(mark.chars().next()?);
    starts.find_map(|(at, _)| begins(text.get(at..)?, mark).then_some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(text: &str) -> (&str, Option<String>, bool) {
        let Separated { answer, reasoning, is_open } = separate(text);
        (answer, reasoning, is_open)
    }

    #[test]
    fn an_answer_without_reasoning_stays_as_it_is() {
        for text in [
            "",
            " 4 ",
            "Write `<think>` first.",
            "The tag `</think>` ends it.",
            "```\na</think>\n```",
            "It says \"</think>\".",
            "Four. <think>Hm.</think>",
            "Models end their reasoning with </think> and then answer.",
        ] {
            assert_eq!(apart(text), (text, None, false));
        }
    }

    #[test]
    fn reasoning_at_the_beginning_is_apart() {
        let some = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("<think>\n2+2\n</think>\n\n4", ("4", some("2+2"), false)),
            ("\n<THINK>a</think> 4", ("4", some("a"), false)),
            ("[THINK]a[/THINK]4", ("4", some("a"), false)),
            ("<think>\n\n</think>\n\n4", ("4", None, false)),
            ("<think>a</think><thinking>b</thinking>4", ("4", some("a\n\nb"), false)),
            ("a\n</think>\n\n4", ("4", some("a"), false)),
            ("a.</think>\r\n4", ("4", some("a."), false)),
            ("\u{25C1}think\u{25B7}a\u{25C1}/think\u{25B7}4", ("4", some("a"), false)),
            (
                "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>4",
                ("4", some("a"), false),
            ),
        ] {
            assert_eq!(apart(text), expected, "{text}");
        }
    }

    #[test]
    fn reasoning_without_an_end_leaves_no_answer() {
        assert_eq!(apart("<think>a <b>4</b>"), ("", Some("a <b>4</b>".to_owned()), true));
        assert_eq!(apart("<think>"), ("", None, true));
    }
}
