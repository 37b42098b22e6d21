//! Programs as evaluators.

use std::sync::Arc;
use std::time::Duration;

use textgrad_core::{Score, Seed, describe};
use textgrad_ops::command::{Run, Runner, RunnerBuilder};
use textgrad_ops::score::{CommandScorer, CommandScorerBuilder, Example, Scorer};
use textgrad_ops::train::{EndReason, StepOutcome};

use crate::train::support::{Fault, data, setup, timeless};

fn shell(commands: &str) -> RunnerBuilder {
    Runner::builder("sh").args(["-c", commands]).env("PATH", "/usr/bin:/bin")
}

fn by(runner: RunnerBuilder) -> CommandScorerBuilder {
    CommandScorer::builder(runner.build().unwrap()).example_files().failed(0.0)
}

fn example() -> Example {
    Example::new("q1").with_field("question", "What is $HOME?\n").with_expected("'4'\n$(rm)")
}

#[tokio::test]
async fn the_prediction_and_the_example_are_files_to_the_letter() {
    let evaluator = by(shell("cat said - expected.txt q/text example.json >&2; exit 3")
        .text_file("said")
        .text_on_stdin());
    let evaluator = evaluator.field_file("question", "q/text").score_by(|run| {
        let json =
            r#"{"id":"q1","fields":{"question":"What is $HOME?\n"},"expected":"'4'\n$(rm)"}"#;
        let files = ["`x`", "`x`", "'4'\n$(rm)", "What is $HOME?\n", json].concat();
        assert_eq!(run.stderr.text, files);
        Some(0.25)
    });
    let score = evaluator.build().unwrap().score("`x`", &example()).await.unwrap().score();
    assert_eq!(score, Some(Score::Number(0.25)));
}

#[tokio::test]
async fn the_exit_code_is_the_verdict() {
    let evaluator = by(shell("test \"$(cat)\" = \"$(cat expected.txt)\"")).build().unwrap();
    for (prediction, right) in [("'4'\n$(rm)", true), ("4", false)] {
        let score = evaluator.score(prediction, &example()).await.unwrap().score();
        assert_eq!(score, Some(Score::Passed(right)));
    }
    assert!(evaluator.name().starts_with("command sh -c "), "{}", evaluator.name());
    // Without an expected answer there is no such file.
    let there = by(shell("test -e expected.txt")).name("there").build().unwrap();
    assert_eq!(there.name(), "there");
    assert_eq!(there.score("", &Example::new("1")).await.unwrap().passed(), Some(false));
    let hangs = by(shell("sleep 60").time_limit(Duration::from_millis(50))).build().unwrap();
    assert_eq!(hangs.score("", &example()).await.unwrap().passed(), Some(false));
}

#[tokio::test]
async fn a_number_is_the_score() {
    for (commands, score) in [
        ("echo 1; echo ' 0.5 '; echo", Ok(0.5)),
        ("echo 0.5; exit 1", Ok(0.5)),
        ("exit 1", Ok(-1.0)),
        ("echo nan; kill -9 $$", Ok(-1.0)),
        ("echo half", Err(": it exited with code 0 and printed \"half\\n\"")),
        (
            "echo inf",
            Err("expected the program \"sh -c \\\"echo inf\\\"\" to print a finite number"),
        ),
        ("", Err("for example \"q1\"")),
    ] {
        let evaluator =
            by(shell(commands)).try_score_by(Run::last_number).failed(-1.0).build().unwrap();
        match (evaluator.score("x", &example()).await.unwrap().required(), score) {
            (Ok(got), Ok(score)) => assert_eq!(got, Score::Number(score), "{commands}"),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{commands}: {error}");
            }
            (got, _) => panic!("{commands}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn mistakes_are_reported() {
    let refused = |evaluator: CommandScorerBuilder| evaluator.build().unwrap_err().to_string();
    for (evaluator, part) in [
        (by(shell("true").file("expected.txt", "")), "different names, got \"expected.txt\""),
        (by(shell("true").text_file("example.json")), "different names, got \"example.json\""),
        (by(shell("true")).field_file("a", "x").field_file("b", "x"), "different names, got \"x\""),
        (by(shell("true")).field_file("a", "../x"), "inside of the program's folder"),
        (by(shell("true")).failed(f64::NAN), "failed"),
    ] {
        let error = refused(evaluator);
        assert!(error.contains(part), "{error}");
    }
    let unknown = by(shell("true")).field_file("answer", "a.txt").build().unwrap();
    let error = unknown.score("x", &example()).await.unwrap_err().to_string();
    assert!(error.contains("\"answer\"") && error.contains("[\"question\"]"), "{error}");
    let nowhere = CommandScorer::builder(Runner::builder("./no-such-program").build().unwrap());
    let error = nowhere.build().unwrap().score("x", &example()).await.unwrap_err();
    assert!(
        describe(&error).contains("the program \"./no-such-program\" could not be run"),
        "{error}"
    );
}

#[tokio::test]
async fn a_training_is_measured_by_a_program() {
    // The last number of the answer against the expected one, as the evaluator in the library does it.
    let grade = "test \"$(tr -dc 0-9)\" = \"$(cat expected.txt)\"";
    let evaluator = Arc::new(by(shell(grade).concurrency(4)).build().unwrap());
    let short = |fault| {
        setup(fault).with(|trainer| {
            let trainer = trainer.validation(data("validation", 100, 4)).epochs(1);
            trainer.steps_per_epoch(2).seed(Seed::new(11))
        })
    };
    let by_program = short(Fault::None).with(|trainer| trainer.evaluator(evaluator)).run().await;
    let by_library = short(Fault::None).run().await;
    assert_eq!(timeless(&by_program), timeless(&by_library));
    assert_eq!(by_program.ended, Some(EndReason::Completed));
    assert!(by_program.steps.iter().any(|step| step.outcome != StepOutcome::Failed));
}
