//! Worked solutions and code: found wrong, and mended.

use textgrad_core::Message;

use super::{inside, one, sim};

const WRONG: &str = "We solve 3x + 4 = 25.\nTake 4 from both sides:\n3x = 29\nx = 29/3";
const RIGHT: &str = "We solve 3x + 4 = 25.\nTake 4 from both sides:\n3x = 21\nx = 7";

fn critique(solution: &str, skill: f64) -> String {
    let system = "You evaluate solutions. Name the mistakes, and do not solve it yourself.";
    one(&sim(skill), &[Message::system(system), Message::user(solution)], 1)
}

fn update(role: &str, text: &str, feedback: &str, skill: f64) -> String {
    let told = "Rewrite <VARIABLE> by the <FEEDBACK>, between <NEW> and </NEW>.";
    let user = format!(
        "<ROLE>\n{role}\n</ROLE>\n<VARIABLE>\n{text}\n</VARIABLE>\n<FEEDBACK>\n{feedback}\n</FEEDBACK>"
    );
    let text = one(&sim(skill), &[Message::system(told), Message::user(user)], 1);
    inside(&text, "NEW").to_owned()
}

fn feedback(input: &str, output: &str) -> String {
    let user = format!(
        "<CONVERSATION>\n<LM_INPUT>\n{input}\n</LM_INPUT>\n<LM_OUTPUT>\n{output}\n</LM_OUTPUT>\n\
         </CONVERSATION>\n<ROLE>\nsolution\n</ROLE>\n<VARIABLE>\nWe solve (...)\n</VARIABLE>"
    );
    one(&sim(1.0), &[Message::system("Say how <VARIABLE> is to change."), Message::user(user)], 1)
}

#[test]
fn the_first_line_that_does_not_follow_is_found_and_redone() {
    let said = critique(WRONG, 1.0);
    assert!(said.contains("wrong. The line \"3x = 29\" does not follow"), "{said}");
    assert!(said.contains("x is 29/3") && said.contains("are 33 and 25"), "{said}");
    assert!(critique(RIGHT, 1.0).ends_with("The solution is right."));
    assert!(
        critique(WRONG, 0.0).ends_with("The solution is right."),
        "nothing is seen without skill"
    );

    let advice = feedback(WRONG, &said);
    assert!(advice.contains("3x = 29"), "{advice}");
    assert!(feedback(RIGHT, &critique(RIGHT, 1.0)).starts_with("The solution is right."));
    assert_eq!(update("solution", WRONG, &advice, 1.0), RIGHT);
    assert_eq!(update("solution", WRONG, &advice, 0.0), WRONG);
    assert_eq!(update("solution", RIGHT, "The solution is right.", 1.0), RIGHT);
}

#[test]
fn equations_are_read_in_many_forms_or_not_at_all() {
    for (text, line) in [
        ("Solve: 5x = 2x + 12\n3x = 12\nx = 5", Some("x = 5")),
        ("2·x − 6 = 0\n2 * x = 6\nSo x = -3.", Some("So x = -3.")),
        ("x + 1 = 2x - 3\nx = 4", None),
        ("-x = 3\nx = -3", None),
        ("4x = 10\nx = 5/2", None),
        ("six = 6\nmax = 7", None),
        ("x = 9999999999999999999\nx = 1", None),
        ("0x = 0\nx = x\nx/0 = 1", None),
        ("(x + 1) = 2\n(x) = 3", None),
    ] {
        let said = critique(text, 1.0);
        let wrong = said.contains("does not follow");
        assert_eq!(wrong, line.is_some(), "{text}: {said}");
        assert!(line.is_none_or(|line| said.contains(line)), "{said}");
    }
}

const FAILED: &str = "test sums ... FAILED\nassertion failed: total(3) is 3, expected 6";

#[test]
fn a_defect_that_is_known_by_its_look_is_mended() {
    for (code, mended) in [
        (
            "def total(n):\n    out = 0\n    for i in range(1, n):\n        out += i\n    return out\n",
            "def total(n):\n    out = 0\n    for i in range(1, n + 1):\n        out += i\n    return out",
        ),
        (
            "fn total(n: u32) -> u32 {\n    let mut out = 0;\n    for i in 1..n { out += i; }\n    out\n}",
            "fn total(n: u32) -> u32 {\n    let mut out = 0;\n    for i in 1..=n { out += i; }\n    out\n}",
        ),
        (
            "def f(n):\n    return n * f(n - 1)",
            "def f(n):\n    if n <= 1:\n        return 1\n    return n * f(n - 1)",
        ),
        (
            "fn fib(n: u64) -> u64 {\n    fib(n - 1) + fib(n - 2)\n}",
            "fn fib(n: u64) -> u64 {\n    if n <= 1 {\n        return n;\n    }\n    fib(n - 1) + fib(n - 2)\n}",
        ),
        (
            "def top(values):\n    best = 0\n    for v in values:\n        if v > best:\n            best = v\n    return best",
            "def top(values):\n    best = values[0]\n    for v in values:\n        if v > best:\n            best = v\n    return best",
        ),
    ] {
        assert_eq!(update("code", code, FAILED, 1.0), mended);
        assert_eq!(update("code", code, FAILED, 0.0), code.trim_end());
        // What is mended has no defect more that is known.
        assert_eq!(update("code", mended, FAILED, 1.0), mended);
        // What passes its tests is left alone.
        assert_eq!(update("code", code, "3 passed; 0 failed", 0.0), code.trim_end());
    }
}

#[test]
fn failing_tests_are_turned_into_advice() {
    let code = "def f(n):\n    return n * f(n - 1)";
    let user = format!(
        "<CONVERSATION>\n<FUNCTION_PURPOSE>\nruns the tests\n</FUNCTION_PURPOSE>\n<FUNCTION_INPUT>\n{code}\n\
         </FUNCTION_INPUT>\n<LM_OUTPUT>\nRecursionError: too deep\n1 failed\n</LM_OUTPUT>\n</CONVERSATION>\n\
         <ROLE>\ncode\n</ROLE>\n<VARIABLE>\n{code}\n</VARIABLE>"
    );
    let asked = [Message::system("Say how <VARIABLE> is to change."), Message::user(user)];
    let said = one(&sim(1.0), &asked, 1);
    assert_eq!(
        said,
        "The tests failed; they begin with: RecursionError: too deep\nThe function calls itself and has no \
         case in which it ends: add the base case."
    );
    assert_ne!(update("code", code, &said, 1.0), code);
}
