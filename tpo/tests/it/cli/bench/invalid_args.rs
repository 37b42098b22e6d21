//! Mistakes are told before anything is asked or written.

use super::compared::answer;
use super::{ALPACA, ARENA, BEAVERTAILS, MATH, XSTEST, dialogues, end, folder, program, put};

#[test]
fn mistakes_are_reported_before_anything_is_paid_for() {
    let folder = folder();
    for (name, text) in [
        ("math", MATH),
        ("alpaca", ALPACA),
        ("arena", ARENA),
        ("beavertails", BEAVERTAILS),
        ("xstest", XSTEST),
        ("hh", &dialogues(1)),
        ("answers", &answer("h1", "o3", "x").to_string()),
        ("empty", ""),
        ("list", "[]"),
    ] {
        put(folder.path(), name, text);
    }
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    for (arguments, words) in [
        (&["maths", "--data", "math"][..], &["alpaca-eval, arena-hard, hh", "maths"][..]),
        (&["math500"], &["--data: ", "MATH-500", "got nothing"]),
        (&["math500", "--data", "none"], &["none", "cannot be read"]),
        (&["math500", "--data", "empty"], &["empty: expected at least one record"]),
        (&["beavertails", "--data", "list"], &["list: expected at least one record"]),
        (&["math500", "--data", "xstest"], &["xstest, line 1: "]),
        (&["xstest", "--data", "math"], &["math: expected CSV"]),
        (&["arena-hard", "--data", "beavertails"], &["beavertails, item 1: ", "uid"]),
        (&["hh", "--data", "math"], &["math, line 1: ", "chosen"]),
        (
            &["math500", "--data", "math", "--limit", "0"],
            &["'0' for '--limit <K>': expected a whole number of at least 1"],
        ),
        (
            &["math500", "--data", "math", "--subset", "0"],
            &["'0' for '--subset <K>': expected a whole number of at least 1"],
        ),
        (
            &["math500", "--data", "math", "--judge", "sim"],
            &["judge: expected nothing: nothing is graded with it here"],
        ),
        (&["alpaca-eval", "--data", "alpaca", "--weighted"], &["--weighted: expected nothing"]),
        (
            &["arena-hard", "--data", "arena", "--one-order", "--judge", "sim"],
            &["--one-order: expected nothing"],
        ),
        (
            &["alpaca-eval", "--data", "alpaca", "--leaderboard", "x", "--judge", "sim"],
            &["leaderboard: expected nothing"],
        ),
        (
            &["alpaca-eval", "--data", "alpaca", "--judge", "sim", "--length-control", "xstest"],
            &["xstest, record 1: "],
        ),
        (
            &[
                "arena-hard",
                "--data",
                "arena",
                "--judge",
                "sim",
                "--baseline",
                "answers",
                "--leaderboard",
                "none",
            ],
            &["none", "cannot be read"],
        ),
        (&["xstest", "--data", "xstest", "--grade", "sim"], &["grade: expected nothing"]),
        (&["math500", "--data", "math", "--format", "json"], &["format: expected nothing"]),
        (&["hh", "--data", "hh", "--baseline", "x"], &["baseline: expected nothing"]),
        (&["hh", "--data", "hh", "--grade", "grader"], &["sim, vllm, ", "grader"]),
        (
            &["hh", "--data", "hh", "--grade", "vllm:model=m,url=what"],
            &["the reward model cannot be set up: expected a base URL"],
        ),
        (
            &["alpaca-eval", "--data", "alpaca", "--judge", "sim", "--model-name", "ref"],
            &["--model-name: expected another name", "ref"],
        ),
        (
            &[
                "arena-hard",
                "--data",
                "arena",
                "--judge",
                "sim",
                "--baseline",
                "answers",
                "--model-name",
                "o3",
            ],
            &["--model-name: expected another name", "o3"],
        ),
        (&["arena-hard", "--data", "arena", "--judge", "sim"], &["baseline: ", "got nothing"]),
        (
            &["arena-hard", "--data", "arena", "--judge", "sim", "--baseline", "xstest"],
            &["xstest, line 1: "],
        ),
        (
            &["arena-hard", "--data", "arena", "--model-name", "meta/llama"],
            &["error: --model-name: ", "\"meta/llama\""],
        ),
        (
            &["alpaca-eval", "--data", "alpaca", "--baseline", "alpaca", "--baseline", "alpaca"],
            &["baseline: expected one file of outputs, got 2 files"],
        ),
        (
            &["alpaca-eval", "--data", "alpaca", "--model-name", " "],
            &["error: --model-name: expected a name of the model"],
        ),
        (
            &["xstest", "--data", "xstest", "--judge", "olama/x"],
            &["the judge cannot be set up", "did you mean ollama/MODEL?"],
        ),
    ] {
        let mut command = program(folder.path());
        command.arg("bench").args(arguments).args(["--out", "out"]);
        end(command).refused(words);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), files, "nothing was written");
}
