//! The style of an answer, as the official program counts it.
//!
//! The length in tokens is that of OpenAI's o200k vocabulary with the feature `o200k`. Without it, no length is
//! computed unless a [`Tokenizer`] is given.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::truncate::Tokenizer;

/// What the style control of Arena-Hard knows of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Style {
    /// Its length in tokens; none where they were not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_len: Option<usize>,
    /// Headers by level, `h1` to `h6`.
    pub header_count: MarkupCount,
    /// Items of lists, `ordered` and `unordered`.
    pub list_count: MarkupCount,
    /// Bold words or phrases by their mark, `**` and `__`.
    pub bold_count: MarkupCount,
}

/// Counts of markup of one kind, by the names of the official files.
pub type MarkupCount = BTreeMap<String, usize>;

/// The patterns of fences, and of headers, lists and bold words by name. A pattern that would not compile counts
/// nothing, and a test would fail.
struct Markup {
    code: Option<Regex>,
    kinds: [Vec<(&'static str, Regex)>; 3],
}

static MARKUP: LazyLock<Markup> = LazyLock::new(|| {
    // White space as Python's patterns have it, with the four separators of ASCII.
    let regex = |pattern: &str| Regex::new(&pattern.replace(r"\s", r"[\s\x1c-\x1f]")).ok();
    let headers = ["h1", "h2", "h3", "h4", "h5", "h6"].into_iter().zip(1..);
    let header =
        |(name, level): (&'static str, u32)| Some((name, regex(&format!(r"(?m)^#{{{level}}}\s"))?));
    let named = |patterns: [(&'static str, &str); 2]| {
        let named = patterns.into_iter().map(|(name, pattern)| Some((name, regex(pattern)?)));
        named.flatten().collect()
    };
    Markup {
        code: regex("```([^`]*)```"),
        kinds: [
            headers.filter_map(header).collect(),
            named([("ordered", r"(?m)^\s*\d+\.\s"), ("unordered", r"(?m)^\s*[-*+]\s")]),
            named([("**", r"\*\*[^*\n]+\*\*"), ("__", r"__[^_\n]+__")]),
        ],
    }
});

impl Style {
    /// The style of an answer. The length in tokens is counted with the feature `o200k` only; see
    /// [`count_tokens`](Self::count_tokens).
    ///
    /// # Examples
    /// ```
    /// use tpo::bench::arena_hard::Style;
    ///
    /// let style = Style::of("# Title\n\n1. **one**\n2. two\n");
    /// assert_eq!((style.header_count["h1"], style.list_count["ordered"]), (1, 2));
    /// assert_eq!(style.bold_count["**"], 1);
    /// ```
    #[must_use]
    pub fn of(answer: &str) -> Self {
        let text = without_code(answer, MARKUP.code.as_ref());
        let count = |kind: &Vec<(&str, Regex)>| {
            let counts =
                kind.iter().map(|(name, of)| ((*name).to_owned(), of.find_iter(&text).count()));
            counts.collect()
        };
        let [header_count, list_count, bold_count] = MARKUP.kinds.each_ref().map(count);
        Self { token_len: o200k_tokens(answer), header_count, list_count, bold_count }
    }

    /// Counts the length of the answer in tokens of a tokenizer. Style control compares lengths, so all answers need
    /// the same one; the official files have the o200k vocabulary of OpenAI.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn count_tokens(&mut self, answer: &str, tokenizer: &dyn Tokenizer) -> Result<(), Error> {
        self.token_len = Some(tokenizer.tokens(answer)?.len());
        Ok(())
    }

    /// Headers, items of lists and bold words, of all kinds.
    pub(super) fn markup(&self) -> [usize; 3] {
        let kinds = [&self.header_count, &self.list_count, &self.bold_count];
        kinds.map(|counts| counts.values().sum())
    }
}

/// Removes the text inside of fences from an answer as the official program does: the text of each fence in turn,
/// wherever it is in what is left of the answer; the fences stay.
///
/// That text has no back-ticks, so each occurrence is within one of the segments between them. An index of the
/// segments by their first bytes finds those that can have it, so that many fences take no quadratic time.
fn without_code(answer: &str, code: Option<&Regex>) -> String {
    const WINDOW: usize = 4;
    let Some(code) = code.filter(|code| code.is_match(answer)) else { return answer.to_owned() };
    let mut segments: Vec<Cow<'_, str>> = answer.split('`').map(Cow::Borrowed).collect();
    let mut windows: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (index, segment) in answer.split('`').enumerate() {
        for window in segment.as_bytes().windows(WINDOW) {
            let segments = windows.entry(window).or_default();
            if segments.last() != Some(&index) {
                segments.push(index);
            }
        }
    }
    // Segments that lost a part can have texts that they had not before.
    let mut changed: BTreeSet<usize> = BTreeSet::new();
    let mut changes = 0_u64;
    let mut removed_at: HashMap<&str, u64> = HashMap::new();
    let texts = code.captures_iter(answer).filter_map(|found| found.get(1));
    for text in texts.map(|text| text.as_str()).filter(|text| !text.is_empty()) {
        if removed_at.insert(text, changes) == Some(changes) {
            continue;
        }
        let candidates: Vec<usize> = match text
            .as_bytes()
            .windows(WINDOW)
            .map(|window| windows.get(window).map(Vec::as_slice).unwrap_or_default())
            .min_by_key(|segments| segments.len())
        {
            Some(segments) => segments.iter().chain(&changed).copied().collect(),
            None => (0..segments.len()).collect(),
        };
        for index in candidates {
            let Some(segment) = segments.get_mut(index).filter(|segment| segment.contains(text))
            else {
                continue;
            };
            *segment = Cow::Owned(segment.replace(text, ""));
            if segment.is_empty() {
                changed.remove(&index);
            } else {
                changed.insert(index);
                changes += 1;
            }
        }
        removed_at.insert(text, changes);
    }
    segments.join("`")
}

/// The length of a text in tokens of the o200k vocabulary, with special tokens as text.
fn o200k_tokens(text: &str) -> Option<usize> {
    #[cfg(feature = "o200k")]
    return Some(bpe_openai::o200k_base().count(text));
    #[cfg(not(feature = "o200k"))]
    {
        let _ = text;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_fence_disappears_elsewhere_too() {
        // Both items of the list are counted where the fence holds other text.
        assert_eq!(Style::of("```\nother\n```\n- a\n- b\n").list_count["unordered"], 2);
        // The text in the fence is "- a\n": the item outside goes with it, the fence itself stays.
        assert_eq!(Style::of("```- a\n```\n- a\n- b\n").list_count["unordered"], 1);
        let code = MARKUP.code.as_ref();
        assert_eq!(without_code("x ```x``` y x", code), " `````` y ");
        // A back-tick inside is no code at all; what stands between the fences then is.
        assert_eq!(without_code("```a`b``` c ``````", code), "```a`b`````````");
        // An empty one takes nothing.
        assert_eq!(without_code("a ``````", code), "a ``````");
    }

    /// The loop of the official program.
    fn one_fence_after_the_other(answer: &str, code: &Regex) -> String {
        let found = code.captures_iter(answer).filter_map(|found| found.get(1));
        found
            .filter(|text| !text.is_empty())
            .fold(answer.to_owned(), |left, text| left.replace(text.as_str(), ""))
    }

    #[test]
    fn the_text_of_a_fence_is_removed_from_what_is_left() {
        let code = MARKUP.code.as_ref();
        // "cdef" is there once "ab" is removed, "abab" no more.
        assert_eq!(without_code("cabdef ```ab``` ```cdef``` abab", code), " `````` `````` ");
        let parts = ["a", "ab", "abcd", "cabdef", "efgh", "abcdefgh", " ", "\u{e9}\u{e9}", "`", ""];
        let draw = |seed: u64, step: u64| {
            let drawn = textgrad_core::Seed::new(seed).child("draw", step).value();
            parts[usize::try_from(drawn % parts.len() as u64).unwrap()]
        };
        for seed in 0..2000 {
            let fences: String = (0..12)
                .map(|step| {
                    format!(
                        "{}{}{}```",
                        draw(seed, 3 * step),
                        draw(seed, 3 * step + 1),
                        draw(seed, 3 * step + 2)
                    )
                })
                .collect();
            let expected = one_fence_after_the_other(&fences, code.unwrap());
            assert_eq!(without_code(&fences, code), expected, "{fences}");
        }
    }

    #[test]
    fn many_fences_take_no_quadratic_time() {
        let same = "```let x = 1;\n```\n".repeat(30_000);
        let other: String = (0..30_000).map(|i| format!("```let x{i} = 1;\n```\n")).collect();
        let began = std::time::Instant::now();
        for answer in [same, other] {
            let left = without_code(&answer, MARKUP.code.as_ref());
            assert!(left.len() < answer.len());
        }
        let took = began.elapsed();
        assert!(took < std::time::Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn each_pattern_counts_what_it_says() {
        let style = Style::of(
            "# a\n## b\n###### c\n####### d\n#e\n 1. x\n2) y\n10. z\n* i\n  + j\n-k\n**b** ** c ** **d\ne** __u__ __ __",
        );
        let headers = &style.header_count;
        assert_eq!((headers["h1"], headers["h2"], headers["h3"], headers["h6"]), (1, 1, 0, 1));
        assert_eq!((style.list_count["ordered"], style.list_count["unordered"]), (2, 2));
        assert_eq!((style.bold_count["**"], style.bold_count["__"]), (2, 2));
        assert_eq!(MARKUP.kinds.each_ref().map(Vec::len), [6, 2, 2]);
        assert!(MARKUP.code.is_some());
    }

    #[test]
    fn blank_lines_before_an_item_belong_to_it() {
        // The white space at the start of the pattern runs over lines, so this is one match and not two.
        assert_eq!(Style::of("\n\n- a").list_count["unordered"], 1);
        assert_eq!(Style::of("\u{1f}- a\n*\u{1c}b").list_count["unordered"], 2);
    }

    #[test]
    #[cfg(feature = "o200k")]
    fn tokens_are_those_of_o200k() {
        // Counted by the reference implementation of the vocabulary.
        assert_eq!(
            o200k_tokens("Hello <|endoftext|> world, naïve 東京!  \n\n x  y 1234567 I'LL don't"),
            Some(25)
        );
        assert_eq!(o200k_tokens(""), Some(0));
        // A text that makes tokenizers with backtracking fail.
        assert_eq!(o200k_tokens(&" ".repeat(200_000)), Some(1563));
    }

    #[test]
    fn fields_have_the_names_of_the_file() {
        let json = serde_json::to_value(Style::of("__a__ **b**")).unwrap();
        assert_eq!(json["bold_count"], serde_json::json!({ "**": 1, "__": 1 }));
        assert_eq!(json["header_count"]["h6"], 0);
    }
}
