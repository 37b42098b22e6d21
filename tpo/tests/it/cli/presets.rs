//! Engines by name.

use serde_json::Value;
use textgrad_tests::fake_server::Route;

use super::{Running, folder, queries, read, simulation, tpo};

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
