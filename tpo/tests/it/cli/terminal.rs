//! Text of models and servers on the terminal, and a standard error that cannot be written.

use std::fs::File;
use std::process::{Command, Stdio};

use textgrad_core::{Choice, FinishReason, Request, Response, engine_fn};
use textgrad_tests::fake_server::FakeServer;

use super::{Running, folder, pointed_at, queries, simulation, tpo};

/// Clears the screen, sets the title and the clipboard, moves the cursor, reverses the text.
const HOSTILE: &str = "bad \u{1b}[2J\u{1b}]0;title\u{7}\u{1b}]52;c;ZXZpbA==\u{7} \u{9b}31m \r\u{8}\0\u{202e}end\u{2066}";

async fn hostile() -> FakeServer {
    let engine = engine_fn("m", |request: Request| async move {
        let count = request.sampling.n.max(1);
        let choice = Choice::new(HOSTILE, FinishReason::Stop);
        Ok(Response::new(vec![choice; count as usize]))
    });
    FakeServer::builder().engine(engine).reward(|_, _| 1.0).start().await.unwrap()
}

fn is_shown(c: char) -> bool {
    c == '\n' || c == '\t' || !(c.is_control() || "\u{202e}\u{2066}".contains(c))
}

fn against(server: &FakeServer, folder: &std::path::Path, more: &[&str]) -> Command {
    let mut command = tpo(folder, pointed_at(server));
    command.args(["--limit", "1", "--mode", "bon", "--samples", "2"]).args(more);
    command
}

/// Kind: Secrets and terminals | escape sequences, control and bidirectional characters in an answer | shown escaped
/// Kind: Secrets and terminals | the same with `--raw` | printed as they are
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_shown_and_not_executed() {
    let (folder, server) = (folder(), hostile().await);
    let ended = Running::start(against(&server, folder.path(), &[])).end().with_code(0);
    assert!(ended.out.contains(r"bad \u{1b}[2J\u{1b}]0;title\u{7}"), "{}", ended.out);
    assert!(ended.out.contains(r"\u{202e}end\u{2066}"), "{}", ended.out);
    assert!(ended.out.chars().all(is_shown) && ended.err.chars().all(is_shown));

    let ended = Running::start(against(&server, folder.path(), &["--json"])).end().with_code(0);
    assert!(ended.out.chars().all(is_shown), "{}", ended.out);
    let summary: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(summary["answers"][0]["best"]["text"], HOSTILE);

    let ended = Running::start(against(&server, folder.path(), &["--raw"])).end().with_code(0);
    assert!(ended.out.contains(HOSTILE), "{}", ended.out);
}

/// Kind: Secrets and terminals | the same in a log | shown escaped
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_shown_and_not_executed() {
    let (folder, server) = (folder(), hostile().await);
    let mut command = against(&server, folder.path(), &[]);
    command.env("TPO_LOG", "debug,hyper=off");
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    assert!(command.status().unwrap().success());
    let err = String::from_utf8(std::fs::read(&err).unwrap()).unwrap();
    assert!(err.chars().all(is_shown), "{err}");
}

/// Kind: Secrets and terminals | a standard error that cannot be written | ignored
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_standard_error_ends_nothing() {
    let folder = folder();
    queries(folder.path(), 2);
    let server = simulation().start().await.unwrap();
    for log in ["warn", "debug"] {
        let mut command = tpo(folder.path(), ["--data", "queries.json", "--out", log]);
        command.args(pointed_at(&server)).env("TPO_LOG", log).stdout(Stdio::null());
        command.stderr(File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(command.status().unwrap().code(), Some(0));
        assert!(folder.path().join(log).join("results.jsonl").exists());
    }
}
