//! Keys are in no output and no file.

use std::path::Path;

use textgrad_tests::fake_server::FaultRule;

use super::{Running, folder, queries, read, simulation, tpo};

const SECRETS: [&str; 4] =
    ["sk-secret-of-the-engine", "sk-secret-of-the-reward", "the-password", "the-token"];

fn assert_clean(place: &str, text: &[u8]) {
    for secret in SECRETS {
        let found = text.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{secret} is in {place}:\n{}", String::from_utf8_lossy(text));
    }
}

fn assert_clean_files(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_clean_files(&path);
        } else {
            assert_clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
            files += 1;
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_written_or_logged() {
    for (fault, code, login) in [
        ("429-ms=1", 0, true),
        ("401@nth:3", 3, false),
        ("html@always,classify", 3, true),
        ("reset@any", 0, false),
    ] {
        let folder = folder();
        queries(folder.path(), 2);
        let rule: FaultRule = fault.parse().unwrap();
        let server = simulation().api_key(SECRETS[0]).fault(rule).start().await.unwrap();
        let base_url = format!("{}?token=the-token", server.base_url());
        // A key or a login, not both.
        let reward_url = match login {
            true => server.url().replacen("http://", "http://user:the-password@", 1),
            false => server.url(),
        };
        let mut command = tpo(folder.path(), ["--data", "queries.json", "--out", "out"]);
        command.args(["--engine", "openai", "--base-url", &base_url, "--model", "m"]);
        command.args(["--reward", "vllm", "--reward-url", &reward_url, "--reward-model", "r"]);
        command.args([
            "--retries",
            "1",
            "--concurrency",
            "1",
            "--no-preflight",
            "--max-consecutive-failures",
            "0",
        ]);
        command.env("OPENAI_API_KEY", SECRETS[0]);
        if !login {
            command.env("REWARD_API_KEY", SECRETS[1]);
        }
        command.env("TPO_LOG", "trace");
        // A log can be longer than a pipe: it goes to files, which are looked at with the others.
        let log = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
        command.stdout(log("stdout")).stderr(log("stderr"));
        let ended = Running::from(command.spawn().unwrap()).end();
        assert_eq!(ended.code, Some(code), "{fault}");
        let figures = server.stats();
        assert!(figures.routes.values().any(|route| route.statuses.contains_key("2xx")), "{fault}");
        assert!(read(folder.path().join("stderr")).len() > 1000, "the log is there");
        // The queries, both outputs, and the three files of the run.
        assert_eq!(assert_clean_files(folder.path()), 6, "{fault}");
    }
}

#[test]
fn an_address_or_a_key_that_cannot_be_used_is_refused_without_its_secrets() {
    let folder = folder();
    for (url, key) in [
        ("http://user:the-password@ho st/v1?token=the-token", ""),
        ("http://user:the-password@host/v1?token=the-token", SECRETS[0]),
        ("http://host/v1", "sk-secret-of-the-engine\nand more"),
    ] {
        let model = ["--engine", "openai", "--base-url", url, "--model", "m", "--reward", "sim"];
        let mut command = tpo(folder.path(), model);
        command.env("OPENAI_API_KEY", key);
        let ended = Running::start(command).end().with_code(2);
        assert!(ended.err.starts_with("error: the engine cannot be set up: "), "{}", ended.err);
        assert_clean("standard error", ended.err.as_bytes());
    }
}

#[test]
fn a_value_that_is_refused_is_shown_without_its_login() {
    let folder = folder();
    let address = "nats://user:the-password@host/bad name";
    for args in [
        ["worker", "--queue", address],
        ["worker", "--queue", "nats://user:one the-password@ho st?tls=the-token"],
        ["run", "--queue", address],
        ["run", "--cache", address],
        ["run", "--max-tokens", address],
        ["run", "--extra-body", address],
        ["run", "--reward", "vllm:model=m,url=http://user:the-password@host,batch=x"],
        ["run", "--reward", "http://user:the-password@host?token=the-token"],
        ["bench", "http://user:the-password@host?token=the-token", "--json"],
        ["run", "http://user:the-password@host?token=the-token", "--json"],
    ] {
        let mut command = super::program(folder.path());
        command.args(args);
        let ended = Running::start(command).end().with_code(2);
        assert!(ended.err.starts_with("error: "), "{}", ended.err);
        assert_clean(&format!("standard error of {args:?}"), ended.err.as_bytes());
    }
}
