//! Tests of tags.

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
    assert_eq!(extract("<T>\nnew"), Err(ExtractError::NoEnd("</T>".into())));
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
