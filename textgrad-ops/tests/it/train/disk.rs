//! A disk that takes no more: what is in the folder stays of use.

use std::path::{Path, PathBuf};
use std::process::Command;

use textgrad_ops::Error;

use crate::train::support::{Fault, files, setup, test_name, timeless};

const FOLDER: &str = "FULL_DISK_RUN";

/// A process of its own, whose files may only be so long.
#[test]
#[ignore = "it is what the other test runs"]
fn a_process_that_trains() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let path = PathBuf::from(folder);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let setup = setup(Fault::None);
        let solver = std::sync::Arc::clone(&setup.solver);
        let trainer = setup.with(|trainer| trainer.create(&path)).trainer.build().unwrap();
        let failure = trainer.run().await.unwrap_err();
        let Error::Io { path, .. } = &failure.error else { panic!("{failure:?}") };
        assert!(path.ends_with("history.jsonl"), "{failure:?}");
        // What was found is there: for the caller, and in the program.
        let training = failure.so_far.unwrap();
        assert!(training.baseline.is_some() && training.ended.is_none());
        assert!(!training.steps.is_empty());
        assert_eq!(*solver.system.text(), *training.best.get("system").unwrap());
    });
}

/// Runs the process with files of at most so many blocks of 512 bytes.
fn train_within(blocks: u64, folder: &Path) {
    let child = Command::new("/bin/sh")
        // Without the trap the signal would kill it; POSIX counts in blocks of 512 bytes.
        .args(["-c", "trap '' XFSZ; ulimit -f \"$1\" || exit 9; shift; exec \"$@\"", "sh"])
        .arg(blocks.to_string())
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            test_name(module_path!(), "a_process_that_trains").as_str(),
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].concat();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn a_history_that_cannot_be_written_ends_it_and_it_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    tokio::time::pause();
    let training = setup(Fault::None).with(|trainer| trainer.create(&whole)).run().await;
    let lengths = || std::fs::read_to_string(whole.join("history.jsonl")).unwrap();
    let total = lengths().len() as u64;
    // The other files must fit, or they are what fails.
    let others = ["config.json", "checkpoint.json"]
        .map(|name| std::fs::metadata(whole.join(name)).unwrap().len());
    let least = others.into_iter().max().unwrap() + 512;
    assert!(least + 1024 < total, "{least} {total}");
    for (round, blocks) in [least.div_ceil(512), (total - 512) / 512].into_iter().enumerate() {
        let path = folder.path().join(round.to_string());
        let run = path.clone();
        tokio::task::spawn_blocking(move || train_within(blocks, &run)).await.unwrap();
        let text = std::fs::read_to_string(path.join("history.jsonl")).unwrap();
        assert!(text.ends_with('\n') && lengths().len() > text.len());
        let setup = setup(Fault::None).with(|trainer| trainer.resume(&path));
        let resumed = setup.trainer.build().unwrap().run().await.unwrap();
        assert_eq!(timeless(&resumed), timeless(&training));
        assert_eq!(files(&path), files(&whole));
    }
}
