//! The style of an answer, as the official program counts it.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// What the style control of Arena-Hard knows of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Style {
    /// Its length in tokens; see [`count_tokens`].
    pub token_len: usize,
    /// Headers by level.
    pub header_count: HeaderCount,
    /// Items of lists.
    pub list_count: ListCount,
    /// Bold words or phrases.
    pub bold_count: BoldCount,
}

/// Headers by level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are all there is to say")]
pub struct HeaderCount {
    pub h1: usize,
    pub h2: usize,
    pub h3: usize,
    pub h4: usize,
    pub h5: usize,
    pub h6: usize,
}

/// Items of lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCount {
    /// With numbers.
    pub ordered: usize,
    /// With bullets.
    pub unordered: usize,
}

/// Bold words or phrases, by their mark.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoldCount {
    /// Two asterisks.
    #[serde(rename = "**")]
    pub asterisks: usize,
    /// Two underscores.
    #[serde(rename = "__")]
    pub underscores: usize,
}

/// The patterns, compiled once. A pattern that would not compile counts nothing, and a test would fail.
struct Patterns {
    code: Option<Regex>,
    headers: [Option<Regex>; 6],
    ordered: Option<Regex>,
    unordered: Option<Regex>,
    asterisks: Option<Regex>,
    underscores: Option<Regex>,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    // White space as Python's patterns have it, with the four separators of ASCII.
    let regex = |pattern: &str| Regex::new(&pattern.replace(r"\s", r"[\s\x1c-\x1f]")).ok();
    Patterns {
        code: regex("```([^`]*)```"),
        headers: [1, 2, 3, 4, 5, 6].map(|level| regex(&format!(r"(?m)^#{{{level}}}\s"))),
        ordered: regex(r"(?m)^\s*\d+\.\s"),
        unordered: regex(r"(?m)^\s*[-*+]\s"),
        asterisks: regex(r"\*\*[^*\n]+\*\*"),
        underscores: regex(r"__[^_\n]+__"),
    }
});

impl Style {
    /// The style of an answer.
    ///
    /// # Examples
    /// ```
    /// use tpo::bench::arena_hard::Style;
    ///
    /// let style = Style::of("# Title\n\n1. **one**\n2. two\n");
    /// assert_eq!((style.header_count.h1, style.list_count.ordered), (1, 2));
    /// assert_eq!(style.bold_count.asterisks, 1);
    /// ```
    #[must_use]
    pub fn of(answer: &str) -> Self {
        let patterns = &*PATTERNS;
        let text = without_code(answer, patterns.code.as_ref());
        let count = |pattern: &Option<Regex>| {
            pattern.as_ref().map_or(0, |pattern| pattern.find_iter(&text).count())
        };
        let [h1, h2, h3, h4, h5, h6] = patterns.headers.each_ref().map(count);
        Self {
            token_len: count_tokens(answer),
            header_count: HeaderCount { h1, h2, h3, h4, h5, h6 },
            list_count: ListCount {
                ordered: count(&patterns.ordered),
                unordered: count(&patterns.unordered),
            },
            bold_count: BoldCount {
                asterisks: count(&patterns.asterisks),
                underscores: count(&patterns.underscores),
            },
        }
    }

    /// Headers, items of lists and bold words, of all kinds.
    pub(super) fn markup(&self) -> [usize; 3] {
        let HeaderCount { h1, h2, h3, h4, h5, h6 } = self.header_count;
        let ListCount { ordered, unordered } = self.list_count;
        let BoldCount { asterisks, underscores } = self.bold_count;
        [h1 + h2 + h3 + h4 + h5 + h6, ordered + unordered, asterisks + underscores]
    }
}

/// Takes the text inside of fences out of an answer the way the official program does: wherever that text
/// stands in the answer, not only in its fence, while the fences stay.
fn without_code(answer: &str, code: Option<&Regex>) -> String {
    let mut text = answer.to_owned();
    let Some(code) = code else { return text };
    for found in code.captures_iter(answer) {
        if let Some(inner) = found.get(1).map(|inner| inner.as_str())
            && !inner.is_empty()
        {
            text = text.replace(inner, "");
        }
    }
    text
}

/// The length of a text in tokens of the o200k vocabulary, special tokens read as text. Without the feature
/// `o200k` it is estimated as a quarter of the bytes, which is near it for English only.
#[must_use]
pub fn count_tokens(text: &str) -> usize {
    #[cfg(feature = "o200k")]
    return bpe_openai::o200k_base().count(text);
    #[cfg(not(feature = "o200k"))]
    text.len().div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_fence_disappears_elsewhere_too() {
        // Both items of the list are counted where the fence holds other text.
        assert_eq!(Style::of("```\nother\n```\n- a\n- b\n").list_count.unordered, 2);
        // The text in the fence is "- a\n": the item outside goes with it, the fence itself stays.
        assert_eq!(Style::of("```- a\n```\n- a\n- b\n").list_count.unordered, 1);
        let code = PATTERNS.code.as_ref();
        assert_eq!(without_code("x ```x``` y x", code), " `````` y ");
        // A back-tick inside is no code at all; what stands between the fences then is.
        assert_eq!(without_code("```a`b``` c ``````", code), "```a`b`````````");
        // An empty one takes nothing.
        assert_eq!(without_code("a ``````", code), "a ``````");
    }

    #[test]
    fn each_pattern_counts_what_it_says() {
        let style = Style::of(
            "# a\n## b\n###### c\n####### d\n#e\n 1. x\n2) y\n10. z\n* i\n  + j\n-k\n**b** ** c ** **d\ne** __u__ __ __",
        );
        let headers = &style.header_count;
        assert_eq!((headers.h1, headers.h2, headers.h3, headers.h6), (1, 1, 0, 1));
        assert_eq!((style.list_count.ordered, style.list_count.unordered), (2, 2));
        assert_eq!((style.bold_count.asterisks, style.bold_count.underscores), (2, 2));
        assert!(
            PATTERNS.headers.iter().all(Option::is_some)
                && PATTERNS.code.is_some()
                && PATTERNS.underscores.is_some()
        );
    }

    #[test]
    fn blank_lines_before_an_item_belong_to_it() {
        // The white space at the start of the pattern runs over lines, so this is one match and not two.
        assert_eq!(Style::of("\n\n- a").list_count.unordered, 1);
        assert_eq!(Style::of("\u{1f}- a\n*\u{1c}b").list_count.unordered, 2);
    }

    #[test]
    #[cfg(feature = "o200k")]
    fn tokens_are_those_of_o200k() {
        // Counted by the reference implementation of the vocabulary.
        assert_eq!(
            count_tokens("Hello <|endoftext|> world, naïve 東京!  \n\n x  y 1234567 I'LL don't"),
            25
        );
        assert_eq!(count_tokens(""), 0);
        // A text that makes tokenizers with backtracking fail.
        assert_eq!(count_tokens(&" ".repeat(200_000)), 1563);
    }

    #[test]
    fn fields_have_the_names_of_the_file() {
        let json = serde_json::to_value(Style::of("__a__ **b**")).unwrap();
        assert_eq!(json["bold_count"], serde_json::json!({ "**": 1, "__": 1 }));
        assert_eq!(json["header_count"]["h6"], 0);
    }
}
