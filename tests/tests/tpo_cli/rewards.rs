//! Reward models by name.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use textgrad_ops::engine::sim;
use textgrad_tests::fake_server::{FakeServer, RewardServer, Route};

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

#[test]
fn mistakes_say_what_is_missing() {
    let folder = folder();
    queries(folder.path(), 1);
    fs::write(folder.path().join("empty.json"), "{}").unwrap();
    let url = ["--reward-url", "http://localhost:1", "--reward-model", "m"];
    for (arguments, words) in [
        (
            &["--reward", "vlm"][..],
            &["reward: expected sim, vllm, vllm-text", "openrlhf, nim", "got vlm"][..],
        ),
        (
            &["--reward", "sglang"],
            &["reward-template: expected", "tokenizer_config.json", "got nothing"],
        ),
        (&["--reward", "openrlhf"], &["reward-template: expected", "got nothing"]),
        (
            &["--reward", "vllm-text", "--reward-template", "none.json"],
            &["the reward model can not be set up", "chat template", "none.json"],
        ),
        (
            &["--reward", "vllm-text", "--reward-template", "empty.json"],
            &["the reward model can not be set up", "there is none in empty.json"],
        ),
        (
            &["--reward", "vllm", "--reward-template", "empty.json"],
            &["reward-template: expected none for what --reward names", "empty.json"],
        ),
        (&["--reward", "vllm", "--reward-batch", "3"], &["reward-batch: expected none"]),
        (&["--reward", "nim", "--reward-batch", "0"], &["--reward-batch"]),
        (&["--reward", "tei", "--reward-attribute", "x"], &["reward-attribute: expected none"]),
        (&["--reward", "vllm:urk=x"], &["a setting that it has", "\"urk\"; vllm has url, model"]),
        (&["--reward", "vllm:url"], &["settings as KIND:key=value", "got url"]),
        (&["--reward", "vllm:url=a,url=b"], &["each setting once", "\"url\" twice"]),
        (&["--reward", "tei:batch=x"], &["batch: expected a whole number, got x"]),
        (&["--reward", "tei:batch=0"], &["batch: expected at least 1, got 0"]),
        (&["--reward", "vllm", "--combine", "min"], &["combine: expected several --reward"]),
        (&["--reward", "vllm", "--combine", "max"], &["pessimistic:LAMBDA"]),
        (
            &["--reward", "vllm", "--reward", "sim:weight=0"],
            &["ensemble: expected finite numbers, weights above 0"],
        ),
        (
            &["--reward", "vllm", "--reward", "sim", "--combine", "pessimistic:-1"],
            &["ensemble: expected a finite lambda of 0 or more, got -1"],
        ),
    ] {
        let data = ["--data", "queries.json", "--out", "out"];
        run(folder.path(), &[&data[..], &url, arguments].concat()).refused(words);
    }
    for (arguments, words) in [
        (&["--reward", "sglang"][..], &["reward-template"][..]),
        (&["--reward", "vllm:url=http://localhost:1"], &["reward-model", "got nothing"]),
        (&["--reward", "sim", "--reward-model", "m"], &["reward-model: expected none"]),
        (&["--reward", "length"], &["length:from=50,to=300", "got nothing"]),
        (&["--reward", "length:from=9,to=3"], &["as many words in `to`", "length:from=9,to=3"]),
        (&["--reward", "command"], &["reward-command: expected the program", "got nothing"]),
        (&["--reward", "sim", "--reward-arg", "-x"], &["reward-arg: expected none", "-x"]),
    ] {
        let data = ["--data", "queries.json", "--out", "out"];
        run(folder.path(), &[&data[..], arguments].concat()).refused(words);
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
fn the_help_names_what_can_score() {
    let folder = folder();
    let help = run(folder.path(), &["--help"]).with_code(0).out;
    for word in [
        "vllm-pooling-text",
        "sglang",
        "tei",
        "openrlhf",
        "nim",
        "length",
        "command",
        "--combine",
        "pessimistic:LAMBDA",
        "tokenizer_config.json",
        "--reward-concurrency",
        "http://localhost:8001",
    ] {
        assert!(help.contains(word), "{word}");
    }
}
