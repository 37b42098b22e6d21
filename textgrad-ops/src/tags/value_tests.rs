//! Tests of values.

use super::*;

/// A grade from 0 to 10 in a reply that ended.
pub(super) fn grade(reply: &str) -> Result<f64, String> {
    let tags = Tags::new("<T>", "</T>").unwrap();
    let choice = Choice::new(reply, FinishReason::Stop);
    tags.read_value(&choice, true, |text| read_grade(text, 0.0..=10.0))
}

/// Kind: Tags, grades, verdicts | a grade with marks of Markdown, quotes, brackets, fences, a label or
/// its scale, or without tags | read
#[test]
fn grades_are_read_in_any_decoration() {
    for form in [
        "8",
        "8.0",
        "+8",
        "**8**",
        "__8__",
        "`8`",
        "```\n8\n```",
        "```text\n8\n```",
        "[[8]]",
        "(8)",
        "\"8\"",
        "“8”",
        "'8'",
        "«8»",
        "８",
        "８．０",
        "8/10",
        "**8**/10",
        "8 / 10",
        "8 out of 10",
        "８／１０",
        "8 of 10",
        "Score: 8",
        "**Score:** 8",
        "Rating is 8",
        "The final grade is 8.",
        "\"score\": 8",
        "{\"score\": 8}",
        "Score\n8",
        "8\n8",
        "Score: 8\n8/10",
        "8 points",
        "&quot;8&quot;",
        "\\[8\\]",
        "$\\boxed{8}$",
        "# 8",
        "8!",
        "<SCORE>8</SCORE>",
        "\u{200b}8",
        "Grade = 8",
        "Score：8",
        "I would rate this an 8 out of 10.",
        "I give it a 8",
        "{\"score\": 8, \"explanation\": \"It is clear.\"}",
        "{\n  \"final_score\": \"8/10\",\n}",
        "```json\n{\"grade\": 8.0, \"reason\": \"7 of 10\"}\n```",
    ] {
        for reply in
            [form.to_owned(), format!("<T>{form}</T>"), format!("Good.\n< t >\n{form}\n</T>")]
        {
            assert_eq!(grade(&reply), Ok(8.0), "{reply}");
        }
    }
    assert_eq!(grade("Good.\n<T>8"), Ok(8.0));
    assert_eq!(grade("8</T>"), Ok(8.0));
    assert_eq!(grade("<think>7 or <T>9</T>?</think>8"), Ok(8.0));
    assert_eq!(grade("<T>8</T>\nI repeat: <T>8.0</T>"), Ok(8.0));
    assert_eq!(grade("I answer between <T> and </T>.\n<T>8</T>"), Ok(8.0));
    assert_eq!(read_grade("0,25", 0.0..=1.0), Ok(0.25));
}

/// Kind: Tags, grades, verdicts | a range, two different grades, a grade out of range or of another scale
/// | asked again with the
/// problem
#[test]
fn grades_that_are_ambiguous_are_refused() {
    for form in [
        "7-8",
        "7–8",
        "7 to 8",
        "7 or 8",
        "8 or 9, say 8",
        "7\n8",
        "8, 7",
        "8,5",
        "11",
        "-1",
        "80%",
        "8/100",
        "4/5",
        "8 out of 5",
        "4 stars",
        "not 8",
        "eight",
        "NaN",
        "inf",
        "8e400",
        "A8",
        "8?",
        "1,000",
        "",
        "8/10/10",
        "{\"score\": 8, \"total\": 9}",
        "{\"clarity\": 8}",
        "{\"score\": [7, 8]}",
        "I would not give it an 8",
    ] {
        for reply in [form.to_owned(), format!("<T>{form}</T>")] {
            assert!(grade(&reply).is_err(), "{reply}");
        }
    }
    assert!(grade("<T>3</T> or rather\n<T>8</T>").unwrap_err().contains("got two"));
    assert!(grade("<T>8").is_ok() && grade("<T>8, for it is").is_err());
    assert!(grade("I think 8").is_err());
}

/// Kind: Tags, grades, verdicts | a verdict with the same decorations | read; two different ones are asked again
#[test]
fn words_are_read_in_any_decoration() {
    let words = [("A", 'a'), ("B", 'b'), ("tie", 't')];
    for form in [
        "A",
        "a",
        "**A**",
        "[[A]]",
        "Answer A",
        "The better answer is A.",
        "\"A\"",
        "Ａ",
        "A\nA",
        "Verdict: A",
        "I choose A.",
        "Assistant A",
        "Response A",
        "Response A is better.",
        "{\"verdict\": \"A\", \"reason\": \"B is wrong.\"}",
    ] {
        assert_eq!(read_word(form, &words), Ok('a'), "{form}");
    }
    for form in ["_Tie_", "It is a tie.", "A tie", "a TIE", "Verdict: it is a tie", "this is a tie"]
    {
        assert_eq!(read_word(form, &words), Ok('t'), "{form}");
    }
    let labels = [("yes", true), ("no", false)];
    for form in [
        "no answer",
        "No score.",
        "**no verdict**",
        "The response: no response",
        "no better answer",
    ] {
        assert!(read_word(form, &labels).is_err(), "{form}");
    }
    for form in ["No.", "The answer is no", "no is my answer", "No. Final answer: no", "\"no\""] {
        assert_eq!(read_word(form, &labels), Ok(false), "{form}");
    }
    let by_case = [("m", 1), ("M", 2)];
    assert_eq!((read_word("M", &by_case), read_word("Answer: m", &by_case)), (Ok(2), Ok(1)));
    let alike = [("A", 1), ("B", 0), ("tie", 2), ("draw", 2)];
    assert_eq!(read_word("a draw: tie", &alike), Ok(2));
    assert!(read_word("C", &alike).unwrap_err().contains("expected A, B or tie between"));
    for form in [
        "A or B",
        "A/B",
        "A>B",
        "not A",
        "C",
        "",
        "A?",
        "A, B",
        "A+",
        "answer",
        "A bit",
        "A/A",
        "A, tie",
        "A\ntie",
        "not a tie",
    ] {
        assert!(read_word(form, &words).is_err(), "{form}");
    }
}
