//! Rewards of two servers' likelihoods, and keys of their own.

use super::*;

fn write_generating_template(folder: &Path) {
    let template =
        format!("{TEMPLATE}{{% if add_generation_prompt %}}<|im_start|>assistant\n{{% endif %}}");
    fs::write(folder.join("t.jinja"), template).unwrap();
}

fn settings(policy: &FakeServer, reference: &FakeServer) -> String {
    format!(
        "url={},model=tuned,template=t.jinja,reference-url={},reference-model=base,beta=0.5",
        policy.url(),
        reference.url()
    )
}

/// How much was asked of a server.
fn asked(server: &FakeServer) -> u64 {
    let stats = server.stats();
    stats.route(Route::Completions).requests + stats.route(Route::Tokenize).requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn likelihoods_of_two_models_score_or_take_away() {
    let tuned = |token: &str| -0.25 * token.len() as f64;
    let policy = FakeServer::builder().bos("<s>").logprob(tuned).start().await.unwrap();
    let reference = FakeServer::builder().bos("<s>").start().await.unwrap();
    let folder = folder();
    queries(folder.path(), 1);
    write_generating_template(folder.path());
    let settings = settings(&policy, &reference);
    let (dpo, kl) = (format!("dpo:{settings}"), format!("kl:{settings}"));
    let run = |out: &str, rewards: &[&str]| {
        let mut command =
            tpo(folder.path(), ["--data", "queries.json", "--no-preflight", "--out", out]);
        command.args(["--samples", "3", "--iterations", "0"]);
        for reward in rewards {
            command.args(["--reward", reward]);
        }
        Running::start(command).end().with_code(0);
        let lines = json_lines(&read(folder.path().join(out).join("results.jsonl")));
        let candidates = lines[0]["trajectory"]["candidates"].as_array().unwrap().clone();
        let scored = |candidate: &Value| {
            (candidate["text"].as_str().unwrap().to_owned(), candidate["score"].as_f64().unwrap())
        };
        candidates.iter().map(scored).collect::<Vec<(String, f64)>>()
    };
    let (implied, less) = (run("a", &[&dpo]), run("b", &["sim", &kl]));
    for (out, ways, requests) in [
        ("c", ",likelihood=echo", [1, 1]),
        ("d", ",likelihood=prompt_logprobs,reference-likelihood=echo", [3, 1]),
    ] {
        let before = [&policy, &reference].map(asked);
        assert_eq!(run(out, &[&format!("{dpo}{ways}")]), implied, "{ways}");
        let now = [&policy, &reference].map(asked);
        for ((now, before), each) in now.iter().zip(before).zip(requests) {
            assert_eq!(now - before, each * implied.len() as u64, "{ways}");
        }
    }
    assert!(!implied.is_empty());
    let query = "Why does wood number 0 float?";
    for ((text, implied), (other, less)) in implied.iter().zip(&less) {
        assert_eq!(text, other);
        assert!((sim::reward(query, text) - implied - less).abs() < 1e-9, "{text}");
        assert!(*implied != 0.0);
    }
    let config: Value = serde_json::from_str(&read(folder.path().join("b/config.json"))).unwrap();
    let identity = config["reward"].as_str().unwrap();
    assert!(identity.starts_with("sim - 0.5 * log-ratio of tuned with template"), "{identity}");
}

/// What the keys are.
const KEYS: [(&str, &str); 3] = [
    ("REWARD_API_KEY", "sk-secret-of-the-reward"),
    ("POLICY_KEY", "sk-secret-of-the-policy"),
    ("REFERENCE_KEY_2", "sk-secret-of-the-reference"),
];

fn assert_clean(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_clean(&path);
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for (_, key) in KEYS {
            assert!(!text.contains(key), "{key} is in {}:\n{text}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_server_has_its_own_key_and_no_file_or_log_has_any() {
    let [usual, own, other] = KEYS.map(|(_, key)| key);
    // What the line says, the keys that the two servers take, and how the run ends.
    for (line, keys, code) in [
        ("", [usual, usual], 0),
        (",key-env=POLICY_KEY,reference-key-env=REFERENCE_KEY_2", [own, other], 0),
        (",key-env=POLICY_KEY", [own, usual], 0),
        (",reference-key-env=REFERENCE_KEY_2", [usual, other], 0),
        // The policy's key is not shown to the reference's server.
        (",key-env=POLICY_KEY", [own, own], 3),
        ("", [usual, other], 3),
    ] {
        for from_file in [false, true] {
            let serving = |key| FakeServer::builder().bos("<s>").api_key(key).start();
            let (policy, reference) =
                (serving(keys[0]).await.unwrap(), serving(keys[1]).await.unwrap());
            let folder = folder();
            queries(folder.path(), 1);
            write_generating_template(folder.path());
            let reward = format!("dpo:{},likelihood=echo{line}", settings(&policy, &reference));
            let data = ["--data", "queries.json", "--out", "out", "--samples", "2"];
            let mut command = tpo(folder.path(), data);
            command.args(["--iterations", "0", "--no-preflight"]);
            if from_file {
                let file = format!("[reward]\nreward = [{reward:?}]\n");
                fs::write(folder.path().join("study.toml"), file).unwrap();
                command.args(["--config", "study.toml"]);
            } else {
                command.args(["--reward", &reward]);
            }
            for (name, key) in KEYS {
                command.env(name, key);
            }
            command.env("TPO_LOG", "trace");
            let log = |name: &str| fs::File::create(folder.path().join(name)).unwrap();
            command.stdout(log("stdout")).stderr(log("stderr"));
            let ended = Running::from(command.spawn().unwrap()).end();
            assert_eq!(ended.code, Some(code), "{line}: {}", read(folder.path().join("stderr")));
            assert_clean(folder.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_servers_have_keys_of_their_own_too() {
    let server = FakeServer::builder().reward_server(RewardServer::Nim).reward(sim::reward);
    let server = server.api_key("sk-secret-of-the-policy").start().await.unwrap();
    for (line, code) in [("nim:key-env=POLICY_KEY", 0), ("nim", 3)] {
        let folder = folder();
        queries(folder.path(), 1);
        let mut command =
            tpo(folder.path(), ["--data", "queries.json", "--no-preflight", "--out", "out"]);
        command.args(["--reward", line, "--reward-url", &server.url(), "--reward-model", "m"]);
        for (name, key) in KEYS {
            command.env(name, key);
        }
        Running::start(command).end().with_code(code);
        assert_clean(folder.path());
    }
}

#[test]
fn a_key_in_place_of_its_variable_is_refused_and_not_shown() {
    let folder = folder();
    queries(folder.path(), 1);
    let key = "gsk_secret_0f_mine";
    let rest = "url=http://localhost:1,model=m,template=t.jinja,reference-url=http://localhost:1,reference-model=b";
    write_generating_template(folder.path());
    for (line, words) in [
        (
            format!("dpo:key-env={key},{rest}"),
            "error: --reward: expected the name of an environment variable",
        ),
        (
            format!("kl:{rest},weight=2,reference-key-env={key}"),
            "error: --reward: expected the name",
        ),
        (format!("vllm:key-env={key},model=m"), "error: --reward: expected the name"),
        ("vllm:key-env=,model=m".to_owned(), "error: --reward: expected the name"),
        (
            format!("dpo:{rest},reference-key-env=NOT_SET"),
            "got reference-key-env=NOT_SET, which is not set",
        ),
        (
            format!("dpo:{rest},likelihood=guess"),
            "expected prompt_logprobs or echo, got likelihood=guess",
        ),
        (format!("dpo:{rest},reference-likelihood=guess"), "got reference-likelihood=guess"),
    ] {
        let data = ["--data", "queries.json", "--out", "out", "--reward", &line];
        let ended = run(folder.path(), &data).with_code(2);
        assert!(ended.err.contains(words), "{line}: {}", ended.err);
        assert!(!ended.err.contains(key), "{}", ended.err);

        let mut command = super::super::program(folder.path());
        command.args(["config", "show", "--reward", &line]);
        let shown = Running::start(command).end().with_code(0).out;
        assert_eq!(
            shown.contains("(hidden)"),
            !line.contains("NOT_SET") && line.contains("key-env"),
            "{shown}"
        );
        assert!(!shown.contains(key), "{shown}");

        fs::write(folder.path().join("study.toml"), format!("[reward]\nreward = {line:?}\n"))
            .unwrap();
        let mut command = tpo(folder.path(), ["--config", "study.toml", "--data", "queries.json"]);
        command.args(["--out", "out"]);
        let ended = Running::start(command).end().with_code(2);
        assert!(!ended.err.contains(key), "{}", ended.err);
    }
    assert!(!folder.path().join("out").exists());
}
