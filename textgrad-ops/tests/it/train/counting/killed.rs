//! A training that is killed and resumed is the same as one that was not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use textgrad_core::Seed;
use textgrad_ops::Error;
use textgrad_ops::train::Training;

use super::setup::{Setup, Way};
use crate::train::support::{files, test_name, timeless};

const FOLDER: &str = "COUNTING_RUN";
const CALL: &str = "COUNTING_CALL";
/// How many calls a process may make after the one that it is to be killed at.
const GRACE: usize = 40;

/// Resumes; whoever had the folder before may be about to let go of it.
async fn resume(way: Way, folder: &Path) -> (Training, String) {
    loop {
        let setup = Setup::new(way, 32).await;
        match setup.trainer(|trainer| trainer.resume(folder)).run().await {
            Err(failure) if matches!(failure.error, Error::RunLocked { .. }) => {
                tokio::task::yield_now().await;
            }
            other => return (other.unwrap(), setup.prompt()),
        }
    }
}

async fn undisturbed(way: Way, folder: &Path) -> (Training, usize) {
    let setup = Setup::new(way, 32).await;
    let training = setup.trainer(|trainer| trainer.create(folder)).run().await.unwrap();
    (training, setup.model.calls())
}

#[tokio::test(start_paused = true)]
async fn dropped_at_a_seeded_call_and_resumed_it_is_the_same() {
    for way in Way::ALL {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("whole");
        let (training, calls) = undisturbed(way, &whole).await;
        for round in 0..2 {
            let path = folder.path().join(format!("{round}"));
            let place = Seed::new(5).child("drop", round).value();
            let call = usize::try_from(place).unwrap() % calls;
            let setup = Setup::hanging(way, 32, call, |_| ()).await;
            let trainer = setup.trainer(|trainer| trainer.create(&path));
            tokio::select! {
                _ = trainer.run() => panic!("it cannot end"),
                () = setup.model.hung() => {}
            }
            drop(trainer);
            let (resumed, prompt) = resume(way, &path).await;
            assert_eq!(timeless(&resumed), timeless(&training), "{way:?}, call {call}");
            assert_eq!(files(&path), files(&whole), "{way:?}, call {call}");
            assert_eq!(prompt, training.best.get("system").unwrap());
        }
    }
}

/// A process of its own that trains until it is killed.
#[test]
#[ignore = "it is what other tests kill"]
fn a_process_that_trains() {
    let (Ok(folder), Ok(call)) = (std::env::var(FOLDER), std::env::var(CALL)) else { return };
    static KILLED_AT: OnceLock<usize> = OnceLock::new();
    let call = *KILLED_AT.get_or_init(|| call.parse().unwrap());
    let path = PathBuf::from(folder);
    let watch = |now| {
        if Some(&now) == KILLED_AT.get() {
            // Not by `println!`, which the test harness would keep to itself.
            std::io::stdout().write_all(b"\nnow\n").unwrap();
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let setup = Setup::hanging(Way::Memory, 32, call + GRACE, watch).await;
        let begun = path.join("history.jsonl").exists();
        let trainer = setup.trainer(|trainer| match begun {
            true => trainer.resume(&path),
            false => trainer.create(&path),
        });
        trainer.run().await.unwrap();
    });
}

/// Starts the process and kills it (SIGKILL on Unix) once it makes this call.
fn train_and_kill(folder: &Path, call: usize) {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            test_name(module_path!(), "a_process_that_trains").as_str(),
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(CALL, call.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reached = lines.any(|line| line.is_ok_and(|line| line == "now"));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(reached && !status.success(), "it ended before call {call}: {status}");
}

#[tokio::test]
async fn killed_as_a_process_again_and_again_and_resumed_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    tokio::time::pause();
    let (training, calls) = undisturbed(Way::Memory, &whole).await;
    let path = folder.path().join("run");
    for round in 0..4 {
        // In the first quarter of what is left at most, so that the process has not ended by then.
        let place = Seed::new(9).child("kill", round).value();
        let call = usize::try_from(place).unwrap() % (calls / 4);
        let path = path.clone();
        tokio::task::spawn_blocking(move || train_and_kill(&path, call)).await.unwrap();
    }
    let (resumed, prompt) = resume(Way::Memory, &path).await;
    assert_eq!(timeless(&resumed), timeless(&training));
    assert_eq!(files(&path), files(&whole));
    assert_eq!(prompt, training.best.get("system").unwrap());
}
