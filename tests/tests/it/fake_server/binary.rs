//! The server as a program.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{client, hello, json_of};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-server"));
    command.args(arguments);
    command
}

#[test]
fn mistakes_in_flags_are_named_and_what_exists_is_listed() {
    for (arguments, expected) in [
        (&["--fault", "teapot"][..], &["there is no kind `teapot`", "cut-off-body", "every:K"][..]),
        (&["--fault", "stall"], &["`stall` needs an argument: milliseconds"]),
        (&["--fault", "500@sometimes"], &["`sometimes` is neither a selector nor a route"]),
        (&["--error-shape", "round"], &["nested, flat, string, typed or text", "`round`"]),
        (&["--max-choices", "0"], &["--max-choices"]),
        (&["--latency-ms", "600001"], &["--latency-ms", "600000"]),
        (&["--host", "0.0.0.0"], &["unexpected argument '--host'"]),
    ] {
        let output = program(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        for part in expected {
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_tells_how_faults_are_written() {
    let output = program(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("429-ms=<milliseconds"), "{help}");
}

#[tokio::test]
async fn it_says_where_it_is_and_stops_after_the_last_request() {
    let arguments = [
        "--port",
        "0",
        "--max-requests",
        "2",
        "--max-seconds",
        "5",
        "--fault",
        "503",
        "--api-key",
        "sesame",
        "--error-shape",
        "flat",
        "--model",
        "m",
        "--max-choices",
        "1",
    ];
    let mut child = program(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.ends_with("(answers by sim, simulated)"), "{first}");
    let url = first.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:")).unwrap();

    let ask = || async {
        let request = client().post(format!("{url}/v1/chat/completions")).json(&hello());
        request.bearer_auth("sesame").send().await.unwrap()
    };
    let response = ask().await;
    assert_eq!(response.status(), 503);
    assert_eq!(json_of(response).await["object"], "error");
    assert_eq!(ask().await.status(), 200);

    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    let place = rest.iter().position(|line| line == "point tpo at it:").unwrap();
    assert_eq!(
        rest[place + 1].trim_start(),
        format!(
            "OPENAI_API_KEY=<the key> tpo run --engine openai --base-url {url}/v1 --model m \
             --reward vllm --reward-url {url} --reward-model m"
        )
    );
    assert!(rest.iter().any(|line| line == "all requests answered"), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("\"503\": 1")), "{rest:?}");
}
