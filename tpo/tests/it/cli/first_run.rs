//! The first run of a new user: one query step by step, a table, and commands to continue with.

use textgrad_core::{Choice, FinishReason, Request, Response, engine_fn};
use textgrad_tests::fake_server::FakeServer;

use super::{Running, folder, read, run, tpo};

/// The lines of a text, without the duration, which differs between runs.
fn stable(text: &str) -> Vec<&str> {
    let duration = |line: &str| line.ends_with(" s").then(|| line.rfind(", ")).flatten();
    text.lines().map(|line| duration(line).map_or(line, |end| &line[..end])).collect()
}

/// README.md shows the output of the first command as it is.
#[cfg(unix)]
#[test]
fn the_readme_shows_the_output_of_the_first_command() {
    use std::os::unix::process::CommandExt as _;
    let folder = folder();
    let mut command = tpo(folder.path(), [""; 0]);
    command.arg0("target/release/tpo");
    let printed = Running::start(command).end().with_code(0).out;
    let readme = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let shown = readme.split("```").find(|block| block.starts_with("text\nSIMULATION: ")).unwrap();
    let shown = shown.trim_start_matches("text\n");
    assert_eq!(stable(shown), stable(&printed), "README.md differs from:\n{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
}

/// Every mode has its steps, in 80 columns, and says that it is simulated.
#[test]
fn each_mode_shows_its_steps() {
    let folder = folder();
    let pair = ["COMPARE", "LOSS", "GRADIENT", "UPDATE"];
    for (mode, steps, absent) in [
        ("tpo", &pair[..], "BEST ANSWER"),
        ("revision", &pair, "rejected  "),
        ("shuffled", &["(of query "], "alone"),
        ("resample", &["2. UPDATE", "Step 2 is iteration"], "GRADIENT"),
        ("bon", &["1. SAMPLE", "BEST ANSWER"], "UPDATE"),
    ] {
        let ended = run(folder.path(), &["--mode", mode, "--limit", "3"]).with_code(0);
        for step in steps {
            assert!(ended.out.contains(step), "{mode}: {step}: {}", ended.out);
        }
        assert!(!ended.out.contains(absent), "{mode}: {absent}: {}", ended.out);
        assert!(ended.out.starts_with("SIMULATION: no language model was called."));
        assert!(ended.out.lines().all(|line| line.len() <= 80), "{}", ended.out);
    }
}

/// With a real model nothing is called simulated, and the flags of engines are not explained. A directory is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_model_is_shown_without_the_simulation() {
    let engine = engine_fn("real", |request: Request| async move {
        let text = |n: u32| format!("<IMPROVED_VARIABLE>答案 {n}\u{1b}[2J</IMPROVED_VARIABLE>");
        let choice = |n: u32| Choice::new(text(n), FinishReason::Stop);
        Ok(Response::new((0..request.sampling.n).map(choice).collect()))
    });
    let server = FakeServer::builder().engine(engine).start().await.unwrap();
    let folder = folder();
    let mut command = tpo(folder.path(), ["--reward", "length:from=1,to=9", "--out", "runs/own"]);
    let engine = format!("{}#real", server.base_url());
    command.args(["--engine", &engine]);
    let ended = Running::start(command).end().with_code(0);
    assert!(!ended.out.contains("SIMULATION") && !ended.out.contains("engines"), "{}", ended.out);
    assert!(ended.out.contains("\ntpo report runs/own\n"), "{}", ended.out);
    assert!(!ended.out.contains('\u{1b}'), "{}", ended.out);
    let flags = format!("--engine='{engine}' --reward=length:from=1,to=9\n");
    assert!(ended.out.contains(&flags), "{}", ended.out);
}

/// Scripts get the whole answers: as JSON, and as they are with `--raw`.
#[test]
fn scripts_get_whole_answers() {
    let folder = folder();
    let json = run(folder.path(), &["--limit", "1", "--json"]).with_code(0).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let best = json["answers"][0]["best"]["text"].as_str().unwrap();
    let raw = run(folder.path(), &["--limit", "1", "--raw"]).with_code(0).out;
    assert!(raw.contains(&format!("\n{best}\n(simulated reward ")), "{raw}");
}
