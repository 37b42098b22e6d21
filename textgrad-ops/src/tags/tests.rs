//! Tests of tags.

use super::value_tests::grade;
use super::*;

fn extract(reply: &str) -> Result<&str, ExtractError> {
    let tags = Tags::new("<T>", "</T>").unwrap();
    // The borrow of `tags` ends here; the text borrows from the reply only.
    tags.extract(reply)
}

#[test]
fn reads_what_stands_between_the_tags() {
    assert_eq!(extract("<T>new</T>"), Ok("new"));
    assert_eq!(
        extract("thinking\n<T>\nline one\n\nline two\n</T>\nthat is all"),
        Ok("line one\n\nline two")
    );
    assert_eq!(extract("Sure: <T>new</T>"), Ok("new"));
    assert_eq!(extract("  <T> new </T>  "), Ok("new"));
    assert_eq!(extract("<T>\r\nnew\r\n</T>\r\n"), Ok("new"));
}

#[test]
fn a_tag_mentioned_before_does_not_win() {
    assert_eq!(extract("I will use <T> tags.\n<T>\nnew\n</T>"), Ok("new"));
    assert_eq!(extract("I will use <T> and </T>.\n<T>\nnew\n</T>"), Ok("new"));
    assert_eq!(extract("I will use <T> tags: <T>new</T>"), Ok("new"));
}

#[test]
fn tags_inside_the_text_are_text() {
    assert_eq!(
        extract("<T>\nwrite <T> before and </T> behind it\n</T>"),
        Ok("write <T> before and </T> behind it")
    );
    assert_eq!(extract("<T>\na\n<T>\nb\n</T>\nc\n</T>"), Ok("a\n<T>\nb\n</T>\nc"));
}

#[test]
fn the_last_of_several_blocks_counts() {
    assert_eq!(extract("<T>\ndraft\n</T>\nBetter:\n<T>\nfinal\n</T>"), Ok("final"));
    assert_eq!(extract("<T>draft</T>\n<T>final</T>"), Ok("final"));
}

#[test]
fn a_sentence_about_the_tags_is_no_text() {
    for reply in ["Between <T> and </T>: new text", "I use <T> and </T>, as asked.\nnew text"] {
        assert_eq!(extract(reply), Err(ExtractError::NoStart("<T>".into())), "{reply}");
    }
    assert_eq!(
        extract("<T>a</T> is a draft;\nbetween <T> and </T>: new text"),
        Err(ExtractError::NoEnd("</T>".into()))
    );
    assert_eq!(extract("<T>new</T> is the text."), Ok("new"));
    assert_eq!(extract("<T> and </T> are the tags.\n<T>\nnew\n</T>"), Ok("new"));
}

#[test]
fn a_line_that_ends_with_a_mention_of_the_tags_is_no_text() {
    for between in [" and ", " or ", "...", " … ", " to "] {
        let line = format!("I put it between <T>{between}</T>");
        let alone = format!("{line}\nnew");
        assert_eq!(extract(&alone), Err(ExtractError::NoStart("<T>".into())), "{line}");
        assert_eq!(extract(&format!("{line}\n<T>\nnew\n</T>")), Ok("new"));
        assert_eq!(extract(&format!("<T>\nnew\n</T>\n{line}")), Ok("new"));
        assert_eq!(extract(&format!("Final: <T>new</T>\n{line}")), Ok("new"));
        let quoted = format!("<T>\n{line}\nthe rest\n</T>");
        assert_eq!(extract(&quoted), Ok(format!("{line}\nthe rest").as_str()));
    }
    assert_eq!(extract("Final: <T>and more</T>"), Ok("and more"));
    assert_eq!(extract("Final: <T> B </T>"), Ok("B"));
    // Alone on its line it is a text like any other.
    assert_eq!(extract("<T>and</T>"), Ok("and"));
}

#[test]
fn one_more_closing_tag_makes_the_last_pair_count() {
    assert_eq!(
        extract("<T>\nClose it with </T>\nand then go on\n</T>"),
        Ok("Close it with </T>\nand then go on")
    );
    assert_eq!(extract("<T>\ndraft\n</T>\nFinal: <T>final</T>"), Ok("final"));
    // What comes before any block is not about it; what is behind settles it.
    assert_eq!(extract("Between <T> and </T>\n<T>\nnew\n</T>"), Ok("new"));
    assert_eq!(extract("<T>\na </T>\nb\n</T>\n<T>\nc\n<T>\nd\n</T>\n</T>"), Ok("c\n<T>\nd\n</T>"));
}

#[test]
fn what_is_never_closed_is_not_guessed() {
    for reply in [
        "<T>\nThe tag\n<T>\nopens\n</T>",
        "<T>\nUse <T> and </T> so:\n<T>\nopens\n</T>",
        "<T> is where it goes.\n<T>\nnew\n</T>",
        "<T>\nuse <T> and </T>, and th",
        "**<T>**\nThe tag\n<T>\nopens\n</T>",
    ] {
        assert_eq!(extract(reply), Err(ExtractError::NoEnd("</T>".into())), "{reply}");
    }
}

#[test]
fn marks_of_markdown_around_the_tags_are_not_text() {
    for marks in ["*", "**", "***", "_", "__", "`", "``"] {
        for reply in ["M<T>M\nnew\nM</T>M", "So:\r\n M<T>M \r\nnew\r\nM</T>M\r\nDone."] {
            assert_eq!(extract(&reply.replace('M', marks)), Ok("new"), "{marks} {reply}");
        }
        let inline = "M<T>MnewM</T>M".replace('M', marks);
        assert_eq!(extract(&inline), Ok("new"));
    }
    assert_eq!(extract("**_<T>_**\nnew\n**_</T>_**"), Ok("new"));
    assert_eq!(extract("**<T>**\nnew\n</T>"), Ok("new"));
    assert_eq!(extract("**<T>**\n**new**\n**</T>**"), Ok("**new**"));
    assert_eq!(extract("**<T>****new****</T>**"), Ok("**new**"));
    assert_eq!(extract("<T>**new**</T>"), Ok("**new**"));
    assert_eq!(extract("<T>\n*new* `text`</T>"), Ok("*new* `text`"));
    assert_eq!(
        extract("`<T>` and `</T>` are the tags.\n<T>\nnew\n</T>\nI used `<T>` and `</T>`"),
        Ok("new")
    );
    assert_eq!(
        extract("I put it between `<T>` and `</T>`\nnew"),
        Err(ExtractError::NoStart("<T>".into()))
    );
}

#[test]
fn says_what_was_missing() {
    assert_eq!(extract("new"), Err(ExtractError::NoStart("<T>".into())));
    assert_eq!(extract("new</T>"), Err(ExtractError::NoStart("<T>".into())));
    assert_eq!(extract("</T> and then <T>new"), Err(ExtractError::NoEnd("</T>".into())));
    assert_eq!(extract("<T>\ndraft\n</T>\n<T>\nfin"), Err(ExtractError::NoEnd("</T>".into())));
    assert_eq!(extract("<T>\n \n</T>"), Err(ExtractError::Empty("<T>".into())));
    assert_eq!(extract(""), Err(ExtractError::NoStart("<T>".into())));
}

#[test]
fn tags_are_checked() {
    for (start, end) in
        [("", "</T>"), ("<T>", " "), ("<T>", "<T>"), ("<T>\n", "</T>"), ("<a><b>", "<b>")]
    {
        assert!(Tags::new(start, end).is_err(), "{start:?} {end:?}");
    }
}

/// Kind: Tags, grades, verdicts | tags in other letter case, with blanks, attributes, escapes, entities
/// or fullwidth brackets | read
///
/// Kind: Tags, grades, verdicts | sections of the request around the whole text | left out
#[test]
fn tags_are_read_in_any_spelling() {
    for reply in [
        "<improved_variable>\nnew\n</improved_variable>",
        "< IMPROVED_VARIABLE >new< / IMPROVED_VARIABLE >",
        "<IMPROVED\\_VARIABLE>\nnew\n</IMPROVED\\_VARIABLE>",
        "&lt;IMPROVED_VARIABLE&gt;\nnew\n&lt;/IMPROVED_VARIABLE&gt;",
        "<IMPROVED_VARIABLE>\n<VARIABLE> new </VARIABLE>\n</IMPROVED_VARIABLE>",
        "<IMPROVED_VARIABLE>\n<IMPROVED_VARIABLE>\nnew\n</IMPROVED_VARIABLE>\n</IMPROVED_VARIABLE>",
        "<IMPROVED_VARIABLE type=\"text\" n=1>\nnew\n</IMPROVED_VARIABLE\n>",
        "＜IMPROVED VARIABLE＞new＜／Improved-Variable＞",
        "### <ImprovedVariable>\nnew\n### </ImprovedVariable>",
        "```xml\n**<Improved_Variable>**\nnew\n**</Improved_Variable>**\n```",
        "\\<IMPROVED\\_VARIABLE\\>\nnew\n\\</IMPROVED\\_VARIABLE\\>",
    ] {
        assert_eq!(Tags::default().extract(reply), Ok("new"), "{reply}");
    }
}

#[test]
fn other_spellings_and_sections_in_a_text_are_text() {
    assert_eq!(extract("<T>\nuse <t> here\n<t>\nand\n</T>"), Ok("use <t> here\n<t>\nand"));
    assert_eq!(extract("<T>\n<VARIABLE>a</VARIABLE> b\n</T>"), Ok("<VARIABLE>a</VARIABLE> b"));
    assert_eq!(extract("<T>\n<tr>a</tr>\n</T>"), Ok("<tr>a</tr>"));
    let two = "<RESPONSE>a</RESPONSE><RESPONSE>b</RESPONSE>";
    assert_eq!(extract(&format!("<T>{two}</T>")), Ok(two));
    assert_eq!(
        extract("<T>\n<VARIABLE>\n</VARIABLE>\n</T>"),
        Err(ExtractError::Empty("<T>".into()))
    );
}

#[test]
fn escaped_tags_enclose_an_escaped_text() {
    let read = |text: &str| Tags::default().read(&Choice::new(text, FinishReason::Stop));
    let escaped = "&lt;IMPROVED_VARIABLE&gt;a &lt; b &amp;lt;&lt;/IMPROVED_VARIABLE&gt;";
    assert_eq!(read(escaped).unwrap(), "a < b &lt;");
    let plain = "<IMPROVED_VARIABLE>a &lt; b</IMPROVED_VARIABLE>";
    assert_eq!(read(plain).unwrap(), "a &lt; b");
}

/// Kind: Tags, grades, verdicts | no closing tag at the end of a reply that ended | read if there is one opening
/// tag, and nothing behind it looks like another section
#[test]
fn a_closing_tag_may_be_missing_at_the_end() {
    for (reply, text) in [
        ("<T>\nnew", "new"),
        ("Here it is:\n\n**<T>**\nnew\n\nin two\n", "new\n\nin two"),
        ("< t >new text", "new text"),
        ("<think>Use <T> and </T>.</think>\n<T>\nnew", "new"),
        ("<T>\n```sh\nls\n```", "```sh\nls\n```"),
        ("### <T>\n1. one\n2. two", "1. one\n2. two"),
    ] {
        assert_eq!(extract(reply), Ok(text), "{reply}");
    }
    for behind in [
        " is where it goes.\nnew",
        ", as asked: new",
        "",
        " \n \n",
        "\nnew\n\n---\nI made it shorter.",
        "\nnew\n\n**Explanation:** it is shorter.",
        "\nnew\n\n### Changes made\n- shorter",
        "\nnew\n</VARIABLE>",
        "\nnew</IMPROVED_TEXT>",
        "\n<RESPONSE>\nnew",
        "\nnew\n\nI've made it shorter.",
        "\nnew\n```",
        "\nnew\n<T>",
        "\nnew\n***\nmore",
    ] {
        let reply = format!("<T>{behind}");
        assert!(extract(&reply).is_err(), "{reply}");
    }
    assert_eq!(extract("I put it into <T>\nnew"), Err(ExtractError::NoEnd("</T>".into())));
}

#[test]
fn reasoning_before_the_tags_is_left_out() {
    let first = "I could write\n<T>\na draft\n</T>\nbut it is too long.";
    for (open, close) in [("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("", "</think>")] {
        let reply = format!("{open}\n{first}\n{close}\n\n<T>\nnew\n</T>");
        let at = Tags::new("<T>", "</T>").unwrap().find(&reply).unwrap();
        assert_eq!(reply.get(at), Some("new"), "{reply}");
    }
    for open in ["<think>", "<Thinking>", "<reasoning>", "<|channel|>analysis<|message|>"] {
        let reply = format!("{open}\n{first}");
        assert_eq!(extract(&reply), Err(ExtractError::OpenReasoning), "{reply}");
        assert!(grade(&reply.replace("a draft", "8")).is_err(), "{reply}");
    }
}

/// Kind: Finish reasons | a text, a grade or a verdict in a reply with a finish reason other than an end | not used;
/// asked again; the error says that it was truncated or broke off
#[test]
fn a_reply_that_did_not_end_has_no_text_and_no_value() {
    for (reason, words) in [
        ("length", "it was truncated (finish reason length); raise max tokens"),
        ("max_tokens", "it was truncated (finish reason length); raise max tokens"),
        ("abort", "it broke off (finish reason abort)"),
        ("error", "it broke off (finish reason error)"),
        ("", "it broke off (no finish reason)"),
        ("content_filter", "it broke off (finish reason content_filter)"),
        ("unheard", "it broke off (finish reason unheard)"),
    ] {
        let choice = Choice::new("<T>5</T>", FinishReason::from(reason.to_owned()));
        let tags = Tags::new("<T>", "</T>").unwrap();
        let error = tags.read(&choice).unwrap_err().to_string();
        assert_eq!(error, words);
        let value = tags.read_value(&choice, true, |text| read_grade(text, 0.0..=9.0));
        assert_eq!(value.unwrap_err(), error);
        let bare = Choice::new("5", choice.finish_reason);
        assert!(tags.read_value(&bare, true, |text| read_grade(text, 0.0..=9.0)).is_err());
    }
}
