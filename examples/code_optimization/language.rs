//! The same two functions, with the same two mistakes and the same four tests, in two languages.

use std::time::Duration;

use clap::ValueEnum;
use textgrad_ops::command::{Run, Runner};

const PYTHON: &str = "\
def largest(values):
    best = 0
    for value in values:
        if value > best:
            best = value
    return best


def triangle(n):
    total = 0
    for i in range(1, n):
        total += i
    return total
";

/// Reported without times: equal runs then say equal things, and so do the requests that quote them.
const PYTHON_TESTS: &str = "\
import sys
import unittest
from solution import largest, triangle


class Tests(unittest.TestCase):
    def test_largest_of_positive_values(self):
        self.assertEqual(largest([3, 9, 4]), 9)

    def test_largest_of_negative_values(self):
        self.assertEqual(largest([-7, -3, -9]), -3)

    def test_triangle_of_nothing(self):
        self.assertEqual(triangle(0), 0)

    def test_triangle_of_four(self):
        self.assertEqual(triangle(4), 10)


result = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromTestCase(Tests).run(result)
failed = result.failures + result.errors
for test, trace in failed:
    print('FAILED', test.id().split('.')[-1], trace.strip().splitlines()[-1])
print('tests:', result.testsRun, 'failed:', len(failed))
sys.exit(1 if failed else 0)
";

const RUST: &str = "\
pub fn largest(values: Vec<i64>) -> i64 {
    let mut best = 0;
    for value in values {
        if value > best {
            best = value;
        }
    }
    best
}

pub fn triangle(n: u64) -> u64 {
    let mut total = 0;
    for i in 1..n {
        total += i;
    }
    total
}
";

/// Compiles and runs the tests; what takes another time or another thread each time is cut from the report.
const RUST_SCRIPT: &str = "\
rustc --edition 2024 --test -o run tests.rs || exit 1
./run --test-threads 1 >report
code=$?
sed -e 's/; finished in .*//' -e 's/ ([0-9]*) panicked/ panicked/' report
exit $code
";

const RUST_TESTS: &str = "\
mod solution;
use solution::{largest, triangle};

#[test]
fn largest_of_positive_values() {
    assert_eq!(largest(vec![3, 9, 4]), 9);
}

#[test]
fn largest_of_negative_values() {
    assert_eq!(largest(vec![-7, -3, -9]), -3);
}

#[test]
fn triangle_of_nothing() {
    assert_eq!(triangle(0), 0);
}

#[test]
fn triangle_of_four() {
    assert_eq!(triangle(4), 10);
}
";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Python,
    Rust,
}

impl Language {
    /// Python where it is, else Rust: whoever runs this has it.
    pub(crate) async fn found() -> Self {
        if Self::Python.is_here().await {
            return Self::Python;
        }
        eprintln!("python3 was not found, so the code is Rust's");
        Self::Rust
    }

    /// Whether what runs the tests is installed.
    pub(crate) async fn is_here(self) -> bool {
        let program = match self {
            Self::Python => Runner::builder("python3").arg("--version"),
            Self::Rust => with_environment(Runner::builder("sh").args(["-c", "rustc --version"])),
        };
        let Ok(runner) = program.build() else { return false };
        runner.run("").await.is_ok_and(|run| run.end.is_success())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Rust => "Rust",
        }
    }

    /// The answers of an offline run.
    pub(crate) fn recording(self) -> &'static str {
        match self {
            Self::Python => "code_optimization/python.jsonl",
            Self::Rust => "code_optimization/rust.jsonl",
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Python => PYTHON,
            Self::Rust => RUST,
        }
    }

    pub(crate) fn tests(self) -> &'static str {
        match self {
            Self::Python => PYTHON_TESTS,
            Self::Rust => RUST_TESTS,
        }
    }

    /// Runs the tests on a text: each time in a new folder, without this process' environment.
    pub(crate) fn runner(self) -> Result<Runner, textgrad_ops::Error> {
        let runner = match self {
            Self::Python => Runner::builder("python3")
                .args(["-B", "tests.py"])
                .text_file("solution.py")
                .file("tests.py", PYTHON_TESTS),
            // The command is ours, the code is a file: no text of a model comes near the shell.
            Self::Rust => with_environment(Runner::builder("sh"))
                .args(["-c", RUST_SCRIPT])
                .text_file("solution.rs")
                .file("tests.rs", RUST_TESTS),
        };
        runner.time_limit(Duration::from_secs(60)).output_limit(16 * 1024).build()
    }

    /// The share of the tests that passed, read from what was reported last.
    pub(crate) fn share_passed(self, run: &Run) -> Option<f64> {
        let (all, failed) = match self {
            Self::Python => ("tests: ", "failed: "),
            // "running 4 tests", "test result: FAILED. 2 passed; 2 failed; ..."
            Self::Rust => ("running ", " passed; "),
        };
        let all = number_after(&run.stdout.text, all).filter(|all| *all > 0.0)?;
        Some(1.0 - number_after(&run.stdout.text, failed)? / all)
    }
}

/// The number behind the last occurrence of a word.
fn number_after(text: &str, word: &str) -> Option<f64> {
    let (_, after) = text.rsplit_once(word)?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// With what a compiler needs of the environment: where programs are, and where rustup keeps its own.
fn with_environment(
    runner: textgrad_ops::command::RunnerBuilder,
) -> textgrad_ops::command::RunnerBuilder {
    ["PATH", "HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_HOME", "TMPDIR"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var(name).ok()?)))
        .fold(runner, |runner, (name, value)| runner.env(name, value))
}
