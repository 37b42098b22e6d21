//! Reward models by name.

mod likelihoods;
#[cfg(feature = "local-reward")]
mod local;
mod settings;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use textgrad_core::{Choice, Engine as _, FinishReason, Request, Response, engine_fn};
use textgrad_ops::sim::{self, Sim};
use textgrad_tests::fake_server::{FakeServer, RewardServer, Route};

#[cfg(feature = "local-reward")]
use super::program;
use super::{Running, folder, json_lines, queries, read, run, tpo};

const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";

fn write_template(folder: &Path) {
    let config = json!({ "bos_token": "<s>", "chat_template": TEMPLATE });
    fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
}

/// The results of a run, without what a journal or a clock adds.
fn results(folder: &Path) -> Vec<(Value, Value)> {
    let lines = json_lines(&read(folder.join("out/results.jsonl")));
    let result = |mut record: Value| (record["best"].take(), record["trajectory"].take());
    let results: Vec<(Value, Value)> = lines.into_iter().map(result).collect();
    assert!(results.iter().all(|(best, trajectory)| best.is_object() && trajectory.is_object()));
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_is_asked_in_its_own_way_and_gives_the_same_run() {
    let expected = {
        let folder = folder();
        queries(folder.path(), 2);
        run(folder.path(), &["--data", "queries.json", "--out", "out", "--reward", "sim"])
            .with_code(0);
        results(folder.path())
    };
    for (name, server, more) in [
        ("vllm", RewardServer::Vllm, &[][..]),
        ("vllm-text", RewardServer::Vllm0_11, &["--reward-template", "tokenizer_config.json"]),
        ("vllm-pooling", RewardServer::Vllm, &["--reward-concurrency", "3"]),
        ("vllm-pooling-text", RewardServer::Vllm, &["--reward-template", "."]),
        ("sglang:batch=2", RewardServer::Sglang, &["--reward-template", "."]),
        ("tei", RewardServer::Tei, &["--reward-template", ".", "--reward-batch", "4"]),
        ("tei", RewardServer::Tei, &[]),
        ("openrlhf:template=tokenizer_config.json", RewardServer::OpenRlhf, &[]),
        ("nim", RewardServer::Nim, &["--reward-attribute", "reward"]),
    ] {
        let server = FakeServer::builder().reward_server(server).reward(sim::reward).bos("<s>");
        let server = server.start().await.unwrap();
        let folder = folder();
        queries(folder.path(), 2);
        write_template(folder.path());
        let url = server.url();
        let mut command = tpo(folder.path(), ["--data", "queries.json", "--out", "out"]);
        command.args(["--reward", name, "--reward-url", &url, "--reward-model", "rm"]).args(more);
        Running::start(command).end().with_code(0);
        assert_eq!(results(folder.path()), expected, "{name}");
        assert!(server.stats().route(Route::Classify).requests > 0, "{name}");
        let config: Value =
            serde_json::from_str(&read(folder.path().join("out/config.json"))).unwrap();
        let kind = name.split(':').next().unwrap();
        let identity = config["reward"].as_str().unwrap();
        assert!(identity.starts_with(&format!("{kind}:rm")), "{identity}");
    }
}

#[test]
fn several_are_combined() {
    let folder = folder();
    queries(folder.path(), 1);
    let arguments = [
        "--data",
        "queries.json",
        "--out",
        "out",
        "--iterations",
        "0",
        "--samples",
        "3",
        "--reward",
        "sim:weight=3",
        "--reward",
        "length:from=0,to=1,slack=2,center=-1,scale=0.5",
        "--combine",
        "pessimistic:0.5",
    ];
    run(folder.path(), &arguments).with_code(0);
    let config: Value = serde_json::from_str(&read(folder.path().join("out/config.json"))).unwrap();
    assert_eq!(
        config["reward"],
        "mean-0.5sd(sim, length): 3 * (sim - 0) / 1; \
         1 * (length of 0 to 1 words, slack 2 - -1) / 0.5"
    );
    let query = "Why does wood number 0 float?";
    let trajectory = &results(folder.path())[0].1;
    let candidates = trajectory["candidates"].as_array().unwrap();
    assert!(!candidates.is_empty());
    for candidate in candidates {
        let text = candidate["text"].as_str().unwrap();
        let words = unicode_words(text);
        let (sim, length) = (sim::reward(query, text), (1.0 - (words - 1.0).max(0.0) / 2.0) / 0.5);
        let mean = (3.0 * sim + length) / 4.0;
        let spread = ((3.0 * (sim - mean).powi(2) + (length - mean).powi(2)) / 4.0).sqrt();
        let score = candidate["score"].as_f64().unwrap();
        assert!((score - (mean - 0.5 * spread)).abs() < 1e-9, "{text}: {score}");
    }
    // Another weight is another reward model: its run is not continued.
    let other = arguments.map(|argument| if argument == "sim:weight=3" { "sim" } else { argument });
    run(folder.path(), &[&other[..], &["--resume"]].concat()).refused(&["reward: ", "then", "now"]);
}

/// Words of the simulation's English.
fn unicode_words(text: &str) -> f64 {
    let words =
        text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
    words.count() as f64
}

#[cfg(unix)]
#[test]
fn a_program_scores() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    queries(folder.path(), 1);
    let script = "#!/usr/bin/env sh\ngrep -q 'wood number 0' query.txt || exit 9\ncat > read\ncmp -s read answer.txt || exit 8\necho scoring\nexpr \"$1\" - $(wc -c < answer.txt)\n";
    fs::write(folder.path().join("score.sh"), script).unwrap();
    fs::set_permissions(folder.path().join("score.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command =
        tpo(folder.path(), ["--data", "queries.json", "--out", "out", "--samples", "3"]);
    command.args(["--iterations", "1", "--reward", "command", "--reward-command", "./score.sh"]);
    command.args(["--reward-arg", "-5"]);
    command.env("PATH", std::env::var("PATH").unwrap());
    Running::start(command).end().with_code(0);
    for candidate in results(folder.path())[0].1["candidates"].as_array().unwrap() {
        let length = candidate["text"].as_str().unwrap().len() as f64;
        assert_eq!(candidate["score"].as_f64().unwrap(), -5.0 - length);
    }
}

/// The simulated model, which judges by length when it is asked to.
fn judging() -> impl textgrad_core::Engine {
    engine_fn("judging", |request: Request| async move {
        let user = request.messages.last().map(textgrad_core::Message::text).unwrap_or_default();
        if !user.contains("</VERDICT>") {
            return Sim::default().complete(&request).await;
        }
        let reply = match user.split_once("Response B:") {
            Some((a, b)) if a.len() > b.len() => "A".to_owned(),
            Some(_) => "B".to_owned(),
            None => (user.len() % 10).to_string(),
        };
        let reply = format!("<VERDICT>{reply}</VERDICT>");
        Ok(Response::new(vec![Choice::new(reply, FinishReason::Stop)]))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_judges_by_name_and_its_requests_are_not_made_twice() {
    for (line, votes) in [
        ("judge:lowest=0,highest=9,votes=2,rubric=rubric.txt,temperature=0.25", 2),
        (
            "pairwise-judge:engine=vllm/other,base-url=URL,votes=1,rubric=rubric.txt,unreadable=skip",
            2,
        ),
    ] {
        let server = FakeServer::builder().engine(judging()).start().await.unwrap();
        let folder = folder();
        queries(folder.path(), 1);
        fs::write(folder.path().join("rubric.txt"), "Mind the grain.\n").unwrap();
        let base_url = server.base_url();
        let line = line.replace("URL", &base_url);
        let arguments =
            ["--data", "queries.json", "--out", "out", "--samples", "2", "--iterations", "1"];
        let server_arguments = ["--engine", "openai", "--base-url", &base_url, "--model", "m"];
        let command = |more: &[&str]| {
            let mut command = tpo(folder.path(), arguments);
            command.args(server_arguments).args(["--reward", &line]).args(more);
            command
        };
        Running::start(command(&[])).end().with_code(0);
        let bodies = server.requests_to(Route::Chat);
        let asked: Vec<&Value> =
            bodies.iter().filter(|body| body.to_string().contains("</VERDICT>")).collect();
        let candidates = results(folder.path())[0].1["candidates"].as_array().unwrap().len();
        let pairwise = line.starts_with("pairwise");
        let expected = if pairwise { candidates * (candidates - 1) / 2 } else { candidates };
        assert_eq!(asked.len(), votes * expected, "{line}: {candidates} candidates");
        for body in asked {
            assert!(body["messages"][0]["content"].as_str().unwrap().contains("Mind the grain.\n"));
            assert_eq!(body["model"], if pairwise { "other" } else { "m" });
            assert_eq!(body["temperature"], if pairwise { 0.7 } else { 0.25 });
        }
        let before = results(folder.path());
        let sent = bodies.len();
        // A run that is resumed asks its judge nothing that it was asked.
        fs::remove_file(folder.path().join("out/results.jsonl")).unwrap();
        Running::start(command(&["--resume"])).end().with_code(0);
        assert_eq!(results(folder.path()), before, "{line}");
        assert_eq!(server.requests_to(Route::Chat).len(), sent, "{line}");
    }
}

#[test]
fn formats_are_rules() {
    let folder = folder();
    queries(folder.path(), 1);
    let scores = |out: &str, line: &str| {
        let settings = ["--samples", "3", "--iterations", "0", "--reward", line];
        let arguments = [&["--data", "queries.json", "--out", out][..], &settings].concat();
        run(folder.path(), &arguments).with_code(0);
        let lines = json_lines(&read(folder.path().join(out).join("results.jsonl")));
        let candidates = lines[0]["trajectory"]["candidates"].as_array().unwrap().clone();
        let scores = candidates.iter().map(|candidate| candidate["score"].as_f64().unwrap());
        scores.collect::<Vec<f64>>()
    };
    assert!(scores("a", "format:pattern=[a-z]").iter().all(|score| *score == 1.0));
    assert!(scores("b", "format:never=[a-z]").iter().all(|score| *score == 0.0));
    assert!(scores("c", "format:json=true").iter().all(|score| *score == 0.0));
    assert!(scores("d", "format:pattern=\"[a-z]{1,}\"").iter().all(|score| *score == 1.0));
    assert!(scores("e", "format:never=\"[a-z]{1,}\"").iter().all(|score| *score == 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_a_rule() {
    let reply =
        |_: &str, draw: u32| [r#"{"a": 1}"#, r#"{"a": "1"}"#, "{"][draw as usize].to_owned();
    let policy = super::bench::server(reply).await;
    let folder = folder();
    queries(folder.path(), 1);
    let schema = |kind: &str| {
        let schema = json!({ "properties": { "a": { "type": kind } } });
        fs::write(folder.path().join("a, b.json"), schema.to_string()).unwrap();
    };
    schema("integer");
    let command = |more: &[&str]| {
        let mut command = tpo(folder.path(), ["--data", "queries.json", "--out", "out"]);
        command.args(["--engine", "openai", "--base-url", &policy.base_url(), "--model", "m"]);
        command.args(["--samples", "3", "--iterations", "0"]);
        command.args(["--reward", "format:schema=\"a, b.json\""]).args(more);
        command
    };
    Running::start(command(&[])).end().with_code(0);
    let candidates = results(folder.path())[0].1["candidates"].as_array().unwrap().clone();
    let scores: Vec<f64> =
        candidates.iter().map(|candidate| candidate["score"].as_f64().unwrap()).collect();
    assert_eq!(scores, [1.0, 0.0, 0.0]);
    // Another schema in the file is another reward model.
    schema("string");
    Running::start(command(&["--resume"])).end().refused(&["reward: "]);
}
