//! Properties of the reader of values that models write.

use proptest::prelude::*;
use proptest::sample::select;
use textgrad_ops::Tags;
use textgrad_ops::score::{read_grade, read_word};

/// What models write around a value, `@`.
const DECORATIONS: &[&str] = &[
    "@",
    " @\n",
    "**@**",
    "__@__",
    "`@`",
    "```\n@\n```",
    "```json\n@\n```",
    "\"@\"",
    "“@”",
    "'@'",
    "[[@]]",
    "(@)",
    "{@}",
    "$@$",
    "<SCORE>@</SCORE>",
    "&quot;@&quot;",
    "Score: @",
    "**Score:** @",
    "The verdict is @.",
    "Answer = @",
    "# @",
    "\u{200b}@",
    "\\[@\\]",
    "@!",
];

/// Spellings of a pair of tags around a text, `@`.
const TAGS: &[&str] = &[
    "<NEW_TEXT>@</NEW_TEXT>",
    "<new_text>\n@\n</new_text>",
    "< NEW_TEXT >\n@\n</ NEW_TEXT>",
    "&lt;NEW_TEXT&gt;\n@\n&lt;/NEW_TEXT&gt;",
    "<NEW\\_TEXT>\n@\n</NEW\\_TEXT>",
    "**<NEW_TEXT>**\n@\n**</NEW_TEXT>**",
    "<NEW_TEXT lang='en'>@</NEW_TEXT>",
    "<NEW_TEXT>\n<VARIABLE>\n@\n</VARIABLE>\n</NEW_TEXT>",
    "```\n<NEW_TEXT>\n@\n</NEW_TEXT>\n```",
    "## <NEW_TEXT>\n@\n## </NEW_TEXT>",
];

fn decorated(outer: &str, inner: &str, value: &str) -> String {
    outer.replace('@', &inner.replace('@', value))
}

proptest! {
    #[test]
    fn decorations_do_not_change_a_grade(
        outer in select(DECORATIONS), inner in select(DECORATIONS), tenths in 0_u32..=100,
    ) {
        let grade = f64::from(tenths) / 10.0;
        // Two ends of a sentence are not written.
        prop_assume!(!inner.ends_with(['!', '.']) || outer == "@");
        prop_assume!(!(inner.contains("```") || inner.contains("<SCORE>")) || outer == "@");
        for value in [grade.to_string(), format!("{grade:.1}"), format!("{grade}/10"), format!("{grade} out of 10")] {
            let text = decorated(outer, inner, &value);
            prop_assert_eq!(read_grade(&text, 0.0..=10.0), Ok(grade), "{}", text);
        }
    }

    #[test]
    fn two_grades_are_none(
        outer in select(DECORATIONS), one in 0_u32..=10, other in 0_u32..=10,
        between in select(&["-", " - ", "–", " to ", " or ", " and ", ", ", "\n", "; ", " / ", " "][..]),
    ) {
        prop_assume!(one != other && !(between == " / " && other == 10));
        let text = decorated(outer, "@", &format!("{one}{between}{other}"));
        prop_assert!(read_grade(&text, 0.0..=10.0).is_err(), "{}", text);
    }

    #[test]
    fn decorations_do_not_change_a_verdict(
        decoration in select(DECORATIONS), (word, other) in select(&[("A", "B"), ("b", "Tie"), ("TIE", "a")][..]),
    ) {
        let words = [("A", 'a'), ("B", 'b'), ("tie", 't')];
        let expected = word.to_lowercase().chars().next();
        let text = decorated(decoration, "@", word);
        prop_assert_eq!(read_word(&text, &words).ok(), expected, "{}", text);
        for between in [" ", "/", " or ", ">", "\n", ", "] {
            let text = decorated(decoration, "@", &format!("{word}{between}{other}"));
            prop_assert!(read_word(&text, &words).is_err(), "{}", text);
        }
    }

    #[test]
    fn the_spelling_of_tags_does_not_change_a_text(
        tags in select(TAGS), text in "[a-z0-9.,*_ \n]{0,40}[a-z]", before in "[a-z .\n]{0,20}",
    ) {
        let tags_of_text = Tags::new("<NEW_TEXT>", "</NEW_TEXT>").unwrap();
        let reply = format!("{before}\n{}", tags.replace('@', &format!("x{text}")));
        let expected = format!("x{text}");
        prop_assert_eq!(tags_of_text.extract(&reply), Ok(expected.as_str()), "{}", reply);
    }
}
