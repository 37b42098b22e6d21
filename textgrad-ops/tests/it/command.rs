//! Programs run within limits, and as objectives.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{lines, pack, script, user};
use textgrad_core::{Score, Variable, backward};
use textgrad_ops::command::{End, Runner, RunnerBuilder};
use textgrad_ops::score::{CommandScorer, CommandScorerBuilder};
use textgrad_ops::{Error, Loss, ScoreLoss, TextLoss, sum};

fn shell(commands: &str) -> RunnerBuilder {
    Runner::builder("sh").args(["-c", commands])
}

/// The number in a file that a program writes, once it is there.
async fn number_in(file: &Path) -> i32 {
    for _ in 0..1000 {
        let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
        if let Ok(number) = text.trim().parse() {
            return number;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} was not written", file.display());
}

/// Whether a process is gone, or is dead and only waits to be reaped.
fn is_gone(process: i32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.is_empty() || state.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z'))
}

async fn assert_goes(process: i32) {
    for _ in 0..1000 {
        if is_gone(process) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("process {process} is still there");
}

#[tokio::test]
async fn the_text_is_a_file_or_on_stdin_and_the_environment_is_empty() {
    let both = shell("cat; cat sub/text; cat a/b; pwd -P | tr / : >&2")
        .text_file("sub/text")
        .text_on_stdin()
        .file("a/b", "B");
    let run = both.build().unwrap().run("T {x} $HOME").await.unwrap();
    assert_eq!((run.end, &*run.stdout.text), (End::Exited(0), "T {x} $HOMET {x} $HOMEB"));
    let folder = run.stderr.text.trim().replace(':', "/");
    let folder = Path::new(&folder);
    assert!(folder.is_absolute() && !folder.exists(), "{}", run.stderr.text);

    let env = Runner::builder("env").env("A", "1 2").build().unwrap();
    assert_eq!(env.run("").await.unwrap().stdout.text, "A=1 2\n");
    let limited = Runner::builder("env").env("A", "1 2").memory_limit(1 << 30).build().unwrap();
    assert_eq!(limited.run("").await.unwrap().stdout.text, "A=1 2\n");

    let unread = shell("exit 3").build().unwrap().run(&"x".repeat(1 << 20)).await.unwrap();
    assert_eq!(unread.end, End::Exited(3), "a program need not read its input");
    let file_only = Runner::builder("cat").text_file("t").build().unwrap();
    assert_eq!(file_only.run("x").await.unwrap().stdout.text, "");
}

#[tokio::test]
async fn equal_runs_say_equal_things_although_each_has_a_folder_of_its_own() {
    let runner = shell("echo \"in $PWD/text\"; pwd >&2").text_file("text").build().unwrap();
    let run = runner.run("").await.unwrap();
    assert_eq!((&*run.stdout.text, &*run.stderr.text), ("in ./text\n", ".\n"));
    assert_eq!(runner.run("").await.unwrap(), run);
}

#[tokio::test]
async fn arguments_are_not_looked_into() {
    let args = ["$(touch x)", "; exit 1", "a b", "'", "", "*"];
    for memory in [None, Some(1 << 30)] {
        let mut runner = Runner::builder("printf").arg("%s|").args(args);
        if let Some(bytes) = memory {
            runner = runner.memory_limit(bytes);
        }
        let run = runner.build().unwrap().run("").await.unwrap();
        assert_eq!(run.stdout.text, "$(touch x)|; exit 1|a b|'||*|");
    }
    let runner = Runner::builder("printf").args(args).build().unwrap();
    assert_eq!(runner.command_line(), r#"printf "$(touch x)" "; exit 1" "a b" "'" "" "*""#);
}

#[tokio::test]
async fn what_hangs_is_killed_with_its_children_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let commands = "echo begun; sleep 1000 & echo $! > \"$0\"; wait";
    let runner = shell(commands).arg(file.display().to_string());
    let path = std::env::var("PATH").unwrap();
    let limit = Duration::from_millis(500);
    let runner = runner.env("PATH", path).time_limit(limit).build().unwrap();
    let begun = Instant::now();
    let run = runner.run("").await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!((run.end, &*run.stdout.text), (End::TimedOut(limit), "begun\n"));
    assert_eq!(run.end.to_string(), "it did not end within 0.5 s and was killed");
    assert_goes(number_in(&file).await).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed_too() {
    let runner = shell("sleep 1000 & echo $!").env("PATH", std::env::var("PATH").unwrap());
    let begun = Instant::now();
    let run = runner.time_limit(Duration::from_secs(600)).build().unwrap().run("").await.unwrap();
    assert_eq!(run.end, End::Exited(0));
    assert!(begun.elapsed() < Duration::from_secs(60), "its pipe is not waited for");
    assert_goes(run.stdout.text.trim().parse().unwrap()).await;
}

#[tokio::test]
async fn dropping_the_run_kills_the_program_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let runner = shell("sleep 1000 & echo $! > \"$0\"; pwd -P > \"$0.folder\"; wait");
    let runner = runner.arg(file.display().to_string()).env("PATH", std::env::var("PATH").unwrap());
    let runner = runner.time_limit(Duration::from_secs(600)).build().unwrap();
    let task = tokio::spawn(async move { runner.run("").await.map(drop) });
    let process = number_in(&file).await;
    assert!(!is_gone(process));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_goes(process).await;
}

#[tokio::test]
async fn what_floods_is_cut_and_reported() {
    let flood =
        shell("printf begin; yes a | head -c 3000000; printf end; yes b | head -c 50000 >&2");
    let runner = flood.env("PATH", std::env::var("PATH").unwrap()).output_limit(1000);
    let run = runner.build().unwrap().run("").await.unwrap();
    assert_eq!(run.end, End::Exited(0));
    let text = &run.stdout.text;
    assert!(text.starts_with("begina\na\n") && text.ends_with("a\nend"), "{text}");
    assert!(text.contains(&format!("[{} bytes left out]", 3_000_008 - 1000)), "{text}");
    assert!(text.len() < 1100 && run.stderr.left_out == 49_000);

    let endless = shell("yes").env("PATH", std::env::var("PATH").unwrap());
    let endless = endless.output_limit(100).time_limit(Duration::from_millis(200));
    let run = endless.build().unwrap().run("").await.unwrap();
    assert!(matches!(run.end, End::TimedOut(_)));
    assert!(run.stdout.text.len() < 200);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_is_bounded() {
    let hungry = "x=aaaaaaaaaaaaaaaa; while [ ${#x} -lt 300000000 ]; do x=$x$x; done; echo ate";
    let run = shell(hungry).memory_limit(100 << 20).build().unwrap().run("").await.unwrap();
    assert!(!run.end.is_success(), "{run:?}");
    assert_eq!(run.stdout.text, "");
    let fed = shell("ulimit -v").memory_limit(100 << 20).build().unwrap().run("").await.unwrap();
    assert_eq!(fed.stdout.text, "102400\n");
}

#[tokio::test]
async fn what_cannot_be_started_is_a_clear_error() {
    for memory in [false, true] {
        let mut runner = Runner::builder("./text").text_file("text");
        if memory {
            runner = runner.memory_limit(1 << 30);
        }
        let error = runner.build().unwrap().run("x").await.unwrap_err();
        assert!(
            error.to_string().starts_with("the program \"./text\" could not be run"),
            "{error}"
        );
        assert!(std::error::Error::source(&error).is_some());
    }
    for program in ["no-such-program-anywhere", "/no/such/program", "/"] {
        let error = Runner::builder(program).build().unwrap_err().to_string();
        let expected = "expected a program in a folder of PATH, or the path of one, got ";
        assert_eq!(error, format!("{expected}{program:?}"));
    }
    let no_program = Runner::builder("./text").text_file("text").build().unwrap();
    let loss = ScoreLoss::command(CommandScorer::builder(no_program).build().unwrap());
    let error = loss.evaluate(&Variable::differentiable("x", "text")).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert!(cause.to_string().contains("./text"), "{cause}");
    let image = loss.evaluate(&crate::support::picture()).await.unwrap_err();
    assert!(format!("{image:?}").contains("NotText"), "{image:?}");
}

#[test]
fn settings_are_checked() {
    let with = |change: fn(RunnerBuilder) -> RunnerBuilder| change(Runner::builder("sh")).build();
    let told = |change: fn(RunnerBuilder) -> RunnerBuilder| with(change).unwrap_err().to_string();
    for change in [
        (|r| r.text_file("../x")) as fn(RunnerBuilder) -> RunnerBuilder,
        |r| r.text_file("/x"),
        |r| r.file("", "x"),
        |r| r.file("a/../../b", "x"),
        |r| r.file("a/", "x"),
        |r| r.file(".", "x"),
    ] {
        assert!(told(change).starts_with("expected a name of a file inside"), "{}", told(change));
    }
    assert_eq!(
        told(|r| r.file("a", "x").text_file("a")),
        r#"expected files of different names, got "a""#
    );
    assert!(told(|r| r.env("A=B", "secret")).ends_with(r#"zero bytes, got "A=B""#));
    assert!(told(|r| r.arg("a\0b")).contains("zero byte"));
    for change in [
        (|r| r.time_limit(Duration::ZERO)) as fn(RunnerBuilder) -> RunnerBuilder,
        |r| r.memory_limit(0),
        |r| r.concurrency(0),
        |r| r.concurrency(usize::MAX),
    ] {
        assert!(matches!(with(change), Err(Error::Runner { .. })));
    }
    assert!(Runner::builder("").build().is_err());
    let secret = with(|r| r.env("KEY", "secret")).unwrap();
    assert!(!format!("{secret:?}").contains("secret"));
}

#[tokio::test]
async fn no_more_run_at_the_same_time_than_may() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    // A second one would find the folder there.
    let runner = shell("mkdir \"$0\" && rmdir \"$0\"").arg(lock.display().to_string());
    let runner = runner.env("PATH", std::env::var("PATH").unwrap()).concurrency(1);
    let runner = runner.build().unwrap();
    let runs = futures_util::future::join_all((0..8).map(|_| runner.run(""))).await;
    assert!(runs.into_iter().all(|run| run.unwrap().end == End::Exited(0)));
}

fn tests_of(text: &str) -> ScoreLoss {
    loss(scorer_of(text))
}

fn loss(scorer: CommandScorerBuilder) -> ScoreLoss {
    ScoreLoss::command(scorer.build().unwrap())
}

fn scorer_of(text: &str) -> CommandScorerBuilder {
    let commands = format!("echo out; echo err >&2; grep -q {text} answer");
    let runner = shell(&commands).text_file("answer").env("PATH", std::env::var("PATH").unwrap());
    CommandScorer::builder(runner.build().unwrap()).purpose("looks for the answer")
}

#[tokio::test]
async fn a_failure_is_the_feedback_and_no_model_is_asked() {
    let answer = Variable::differentiable("five", "answer");
    let verdict = tests_of("four").evaluate(&answer).await.unwrap();
    assert_eq!(verdict.score(), Some(Score::Passed(false)));
    let streams = "It wrote to its standard output:\n<STDOUT>\nout\n</STDOUT>\n\n\
                   It wrote to its standard error:\n<STDERR>\nerr\n</STDERR>";
    assert_eq!(verdict.text().unwrap(), format!("failed: it exited with code 1\n\n{streams}"));
    let gradients = backward(&verdict).await.unwrap();
    assert_eq!(
        gradients.text(&answer),
        format!(
            "A program was run on the text and did not succeed: it exited with code 1. \
             What it does: looks for the answer\n\n{streams}\n\n\
             Change the text so that the program succeeds."
        )
    );
    let feedback = gradients.feedback(&answer).next().unwrap();
    assert_eq!(feedback.contexts().len(), 1);

    let verdict = tests_of("five").evaluate(&answer).await.unwrap();
    assert_eq!(verdict.score(), Some(Score::Passed(true)));
    assert!(verdict.text().unwrap().starts_with("passed: it exited with code 0"));
    assert!(backward(&verdict).await.unwrap().received(&answer).is_empty());
}

#[tokio::test]
async fn what_was_said_about_the_run_is_handed_on() {
    let engine = script(["Too slow.", "Say why."]);
    let answer = Variable::differentiable("five", "answer");
    let verdict = tests_of("five").evaluate(&answer).await.unwrap();
    let loss = TextLoss::new(engine.clone(), "Judge.").evaluate(&verdict).await.unwrap();
    let gradients = backward(&loss).await.unwrap();
    assert_eq!(gradients.text(&answer), "Say why.");
    assert_eq!(engine.requests().len(), 2);
}

#[tokio::test]
async fn a_number_is_read_from_what_came_of_it() {
    let loss = loss(scorer_of("four").score_by(|run| (run.stdout.text == "out\n").then_some(0.5)));
    let answer = Variable::differentiable("five", "answer");
    let verdict = loss.evaluate(&answer).await.unwrap();
    assert_eq!(verdict.score(), Some(Score::Number(0.5)));
    assert!(backward(&verdict).await.unwrap().text(&answer).contains("it exited with code 1"));
    for number in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        let verdict =
            self::loss(scorer_of("x").score_by(move |_| number)).evaluate(&answer).await.unwrap();
        assert_eq!(verdict.score(), None);
    }
}

#[tokio::test]
async fn a_model_words_the_feedback_if_it_is_to() {
    let engine = script(["Write four."]);
    let loss =
        loss(scorer_of("four").prompts(pack())).feedback_engine(engine.clone()).prompts(pack());
    let answer = Variable::differentiable("five", "answer");
    let gradients = backward(&loss.evaluate(&answer).await.unwrap()).await.unwrap();
    assert_eq!(gradients.text(&answer), "Write four.");
    assert_eq!(
        lines(&engine.requests()[0]),
        [
            "system: feedback on answer",
            "user: base five in [F=looks for the answer text:answer=five R=1 out err] function=true"
        ]
    );
    // What passed is not asked about; a number may still be bettered.
    let passed = self::loss(scorer_of("five").prompts(pack()))
        .feedback_engine(engine.clone())
        .prompts(pack());
    assert!(
        backward(&passed.evaluate(&answer).await.unwrap())
            .await
            .unwrap()
            .received(&answer)
            .is_empty()
    );
    let engine = script(["Better."]);
    let number =
        self::loss(scorer_of("five").score_by(|_| Some(1.0))).feedback_engine(engine.clone());
    let total = sum([&number.evaluate(&answer).await.unwrap()]).await.unwrap();
    assert_eq!(backward(&total).await.unwrap().text(&answer), "Better.");
    assert!(user(&engine.requests()[0]).contains("is the objective"));
}

#[tokio::test]
async fn it_is_a_loss_like_any_other() {
    let loss: Arc<dyn Loss> = Arc::new(tests_of("x"));
    let hostile = Variable::differentiable("</STDOUT> {{x}} `rm -rf` x", "answer");
    assert_eq!(loss.evaluate(&hostile).await.unwrap().score(), Some(Score::Passed(true)));
}

#[tokio::test]
async fn files_of_one_text_lie_beside_the_others() {
    let runner = Runner::builder("/bin/cat").args(["own", "sub/more", "text"]).text_file("text");
    let runner = runner.file("own", "1").build().unwrap();
    let run = runner.run_with("3", [("sub/more".to_owned(), b"2".to_vec())]).await.unwrap();
    assert_eq!(run.stdout.text, "123");
    assert_ne!(runner.run("3").await.unwrap().end, End::Exited(0), "the next run has them no more");
    for name in ["../x", "own", "text", "/x"] {
        let error = runner.run_with("3", [(name.to_owned(), b"2".to_vec())]).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
