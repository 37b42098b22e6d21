//! Whether a judgement says that something is right or wrong.

use crate::sim::text::{has_any, normalise};

/// What a judgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
}

const SPARED: &[&str] =
    &["nothing wrong", "not wrong", "no mistake", "no mistakes", "no error", "no errors"];
const WRONG: &[&str] = &[
    "wrong",
    "incorrect",
    "not correct",
    "not right",
    "not what was expected",
    "mistake",
    "mistakes",
    "mistaken",
    "failed",
    "fails",
    "fail",
    "failure",
    "false",
    "error",
    "errors",
    "expected",
    "does not match",
    "traceback",
    "panicked",
    "assertion",
];
const RIGHT: &[&str] =
    &["right", "correct", "passed", "passes", "pass", "true", "matches", "no changes"];

/// Reads a judgement: a bare figure or word, or what it says in words.
pub(super) fn verdict(text: &str) -> Option<Verdict> {
    let bare = text.trim().trim_end_matches('.').to_lowercase();
    match bare.as_str() {
        "0" | "0.0" | "no" => return Some(Verdict::Wrong),
        "1" | "1.0" | "yes" | "ok" => return Some(Verdict::Right),
        _ => {}
    }
    let mut words = normalise(text);
    for spared in SPARED {
        words = words.replace(&format!(" {spared} "), " right ");
    }
    if has_any(&words, WRONG) {
        // `3 passed; 0 failed` is how test programs say that all is well.
        let well = text.contains(" 0 failed") && !has_any(&words.replace("# failed", ""), WRONG);
        return Some(if well { Verdict::Right } else { Verdict::Wrong });
    }
    has_any(&words, RIGHT).then_some(Verdict::Right)
}

/// The verdict of several judgements: one that finds something wrong decides.
pub(super) fn of_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Verdict> {
    texts.into_iter().filter_map(verdict).fold(None, |all, one| match (all, one) {
        (Some(Verdict::Wrong), _) | (_, Verdict::Wrong) => Some(Verdict::Wrong),
        _ => Some(Verdict::Right),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judgements_are_read_as_they_are_meant() {
        for text in [
            "0",
            "0.0",
            "false",
            "No.",
            "The answer is wrong: expected 7, got 6.",
            "Incorrect!",
            "expected the number 7, got \"8\"",
            "test result: FAILED. 2 passed; 1 failed",
            "That is not correct, although the form is right.",
        ] {
            assert_eq!(verdict(text), Some(Verdict::Wrong), "{text}");
        }
        for text in [
            "1",
            "1.0",
            "true",
            "Correct.",
            "The answer is right.",
            "test result: ok. 3 passed; 0 failed",
            "There is nothing wrong with it.",
        ] {
            assert_eq!(verdict(text), Some(Verdict::Right), "{text}");
        }
        for text in ["", "7", "Add a caveat.", "- Explain why it is so."] {
            assert_eq!(verdict(text), None, "{text}");
        }
        assert_eq!(of_all(["1", "0"]), Some(Verdict::Wrong));
        assert_eq!(of_all(["1", "x"]), Some(Verdict::Right));
        assert_eq!(of_all(["x"]), None);
    }
}
