//! Engines by name.

use serde_json::Value;
use textgrad_ops::engine::PRESETS;
use textgrad_tests::fake_server::Route;

use super::{Running, folder, program, queries, read, run, simulation, tpo};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_found_by_its_preset_or_its_address() {
    let server = simulation().max_choices(1).api_key("k-1").start().await.unwrap();
    let by_address = format!("{}#sim", server.base_url());
    let url = server.base_url();
    for (arguments, variables, policy) in [
        (
            vec!["--engine", "vllm/sim"],
            [("VLLM_BASE_URL", url.as_str()), ("VLLM_API_KEY", "k-1")],
            "vllm:sim",
        ),
        (
            vec!["--engine", "ollama", "--model", "org/sim", "--base-url", &url],
            [("OLLAMA_API_KEY", "k-1"), ("X", "")],
            "ollama:org/sim",
        ),
        (
            vec!["--engine", &by_address],
            [("TEXTGRAD_API_KEY", "k-1"), ("OPENAI_API_KEY", "wrong")],
            "openai:sim",
        ),
        (
            vec!["--engine", &url, "--model", "sim"],
            [("TEXTGRAD_API_KEY", "k-1"), ("OPENAI_API_KEY", "wrong")],
            "openai:sim",
        ),
        (
            vec!["--engine", "openai", "--model", "sim", "--base-url", &url],
            [("OPENAI_API_KEY", "k-1"), ("VLLM_API_KEY", "wrong")],
            "openai:sim",
        ),
    ] {
        let folder = folder();
        queries(folder.path(), 1);
        let asked = server.stats().route(Route::Chat).requests;
        let mut command = tpo(folder.path(), ["--data", "queries.json", "--out", "out"]);
        command.args(&arguments).args(["--reward", "sim", "--samples", "2", "--iterations", "1"]);
        command.envs(variables);
        Running::start(command).end().with_code(0);
        assert!(server.stats().route(Route::Chat).requests > asked, "{arguments:?}");
        let config: Value =
            serde_json::from_str(&read(folder.path().join("out/config.json"))).unwrap();
        assert_eq!(config["policy"], policy);
        assert_eq!(config["simulated"], true, "the reward is");
    }
}

/// The grammar of updates is sent in the field of the server, or refused before anything is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grammar_is_sent_where_its_server_takes_it() {
    let server = simulation().start().await.unwrap();
    let url = server.base_url();
    let arguments = |engine: &str| {
        let fixed = "--data queries.json --out out --reward sim --samples 2 --iterations 1 --constrained-updates";
        let engine = format!("{fixed} --engine {engine}");
        engine.split(' ').map(str::to_owned).collect::<Vec<String>>()
    };
    for (engine, field) in [
        ("vllm/m", Some("/structured_outputs/grammar")),
        ("llamacpp/m", Some("/grammar")),
        ("sglang/m", Some("/ebnf")),
        ("ollama/m", None),
        ("openai/m", None),
        ("sim", None),
    ] {
        let folder = folder();
        queries(folder.path(), 1);
        server.reset_stats();
        let mut command = tpo(folder.path(), arguments(engine));
        if engine != "sim" {
            command.args(["--base-url", &url]);
        }
        let ended = Running::start(command).end();
        let requests = server.requests_to(Route::Chat);
        let Some(field) = field else {
            assert!(ended.err.contains("an --engine that takes grammars"), "{}", ended.err);
            assert!(requests.is_empty(), "{engine}");
            ended.with_code(2);
            continue;
        };
        ended.with_code(0);
        let grammars: Vec<_> = requests.iter().filter_map(|body| body.pointer(field)).collect();
        assert!(!grammars.is_empty() && grammars.len() < requests.len(), "{engine}");
        let is_of_tags =
            |grammar: &&Value| grammar.as_str().unwrap().starts_with("root ::= text\n");
        assert!(grammars.iter().all(is_of_tags), "{grammars:?}");
    }
}

/// `tpo engines` offers the flags of a model that a server of this machine serves, and these run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engines_that_answer_are_listed_with_their_flags() {
    let server = simulation().models(["org/policy-8b"]).start().await.unwrap();
    let (folder, url) = (folder(), server.base_url());
    let engines = |arguments: &[&str]| {
        let mut command = program(folder.path());
        command.arg("engines").args(arguments);
        // Nothing of this machine is probed.
        command.envs(PRESETS.iter().map(|preset| (preset.base_url_var, "http://127.0.0.1:9")));
        command.env("VLLM_BASE_URL", &url);
        Running::start(command).end().with_code(0).out
    };
    let listed = engines(&[]);
    let flags = "--engine vllm/org/policy-8b";
    assert!(listed.contains(&format!("\n  {flags}\n")), "{listed}");
    assert!(listed.contains(&format!("\n    {flags} --reward judge\n")), "{listed}");
    assert!(listed.lines().all(|line| line.len() <= 80), "{listed}");
    let rows: Value = serde_json::from_str(&engines(&["--json"])).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), PRESETS.len());

    let mut command = tpo(folder.path(), ["--limit", "1", "--mode", "bon", "--reward", "sim"]);
    command.args(flags.split(' ')).env("VLLM_BASE_URL", &url);
    Running::start(command).end().with_code(0);
}

/// A run of the user's queries that names no engine says before it starts that a simulation answers.
#[test]
fn a_run_without_an_engine_says_that_it_simulates() {
    let folder = folder();
    queries(folder.path(), 1);
    let note = "no --engine is named: a simulation answers";
    let data = ["--data", "queries.json"];
    for (arguments, is_noted) in [
        (&data[..], true),
        (&["--data", "queries.json", "--json"], true),
        (&["--data", "queries.json", "--engine", "sim"], false),
        (&["--limit", "1"], false),
    ] {
        let ended = run(folder.path(), arguments).with_code(0);
        assert_eq!(ended.err.starts_with(note), is_noted, "{arguments:?}: {}", ended.err);
        assert!(!ended.out.contains(note), "{}", ended.out);
    }
}

#[test]
fn the_simulation_is_set_in_its_line_or_beside_it() {
    for arguments in [
        &["--engine", "sim:skill=0.3"][..],
        &["--sim-skill", "0.3"],
        &["--engine", "sim:skill=0.9,latency_ms=0", "--sim-skill", "0.3"],
    ] {
        let folder = folder();
        queries(folder.path(), 1);
        let mut command = tpo(folder.path(), ["--data", "queries.json", "--out", "out"]);
        command.args(arguments).args(["--iterations", "0"]);
        Running::start(command).end().with_code(0);
        let config: Value =
            serde_json::from_str(&read(folder.path().join("out/config.json"))).unwrap();
        assert_eq!(config["policy"], "sim:skill-0.3", "{arguments:?}");
    }
}
