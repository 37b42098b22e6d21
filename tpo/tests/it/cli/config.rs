//! Settings from a file.

#[allow(unreachable_pub, reason = "a part of the crate of the fuzz targets")]
#[path = "../../../../tests/fuzz/src/mutate.rs"]
mod mutate;

use std::path::Path;

use serde_json::{Value, json};

use self::mutate::Mutator;
use super::cuts::words;
use super::{Ended, Running, folder, json_lines, program, queries, read, run, simulation, tpo};

fn show(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = program(folder);
    command.args(["config", "show"]).args(arguments);
    Running::start(command).end()
}

pub(super) fn shown(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let ended = show(folder, &[arguments, &["--json"]].concat()).with_code(0);
    serde_json::from_str(&ended.out).unwrap()
}

fn setting<'a>(settings: &'a [Value], name: &str) -> &'a Value {
    settings.iter().find(|setting| setting["name"] == name).unwrap()
}

fn file(folder: &Path, text: &str) {
    std::fs::write(folder.join("study.toml"), text).unwrap();
}

/// The file of docs/configuration.md.
fn example() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let document = read(path);
    let (_, after) = document.split_once("```toml\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 2);
    file(
        folder,
        "[data]\ndata = \"queries.json\"\n\n[search]\niterations = 1\nsamples = 3\npairs = \"median\"\n\
         [run]\nout = \"from-file\"\njson = true\n[engine]\nstream = true\n",
    );
    let arguments = ["--config", "study.toml", "--samples", "4", "--stream=false"];
    run(folder, &arguments).with_code(0);
    let of_server = shown(folder, &["--max-connections", "9"]);
    assert_eq!(setting(&of_server, "max-connections")["value"], 9);
    let config: Value = serde_json::from_str(&read(folder.join("from-file/config.json"))).unwrap();
    let search = &config["search"];
    assert_eq!(
        (&search["iterations"], &search["samples"], &search["pairs"], &search["seed"]),
        (&json!(1), &json!(4), &json!("median"), &json!(7))
    );

    let settings = shown(folder, &arguments);
    let expected = |name, table, value: Value, source| {
        assert_eq!(
            setting(&settings, name),
            &json!({ "name": name, "table": table, "value": value, "source": source })
        );
    };
    expected("samples", "search", json!(4), "flag");
    expected("stream", "engine", json!(false), "flag");
    expected("seed", "search", json!(7), "default");
    expected("limit", "data", Value::Null, "default");
    assert_eq!(
        setting(&settings, "pairs"),
        &json!({
            "name": "pairs", "table": "search", "value": "median",
            "source": "file", "file": "study.toml", "line": 7,
        })
    );
    assert_eq!(setting(&settings, "json")["value"], true, "of the file, not of this command");
    let table = show(folder, &arguments).with_code(0).out;
    let row = table.lines().find(|line| line.contains("pairs ")).unwrap();
    assert!(row.contains("median") && row.ends_with(" study.toml:7"), "{row}");

    // The folder of the file is what --resume continues, whose flag needs one.
    let again = run(folder, &[&arguments[..], &["--resume"]].concat()).with_code(0);
    assert!(again.err.contains("resuming: "), "{}", again.err);
}

#[test]
fn a_list_of_the_file_is_replaced_by_flags() {
    let folder = folder();
    let folder = folder.path();
    file(folder, "[reward]\nreward = [\"sim\", \"length:from=1,to=9,slack=2\"]\n");
    let both = setting(&shown(folder, &["--config", "study.toml"]), "reward")["value"].clone();
    assert_eq!(both, json!(["sim", "length:from=1,to=9,slack=2"]));
    let one = shown(folder, &["--config", "study.toml", "--reward", "sim"]);
    assert_eq!(setting(&one, "reward")["value"], json!(["sim"]));
}

#[test]
fn mistakes_are_reported_with_their_line() {
    let folder = folder();
    let folder = folder.path();
    for (text, words) in [
        (
            "[search]\nsampels = 3\n",
            &["study.toml:2: unknown key \"sampels\" in [search]; near: samples"][..],
        ),
        ("[search]\ntop_p = 1\n", &["study.toml:2: ", "near: top-p in [sampling]"]),
        ("[search]\nxyz = 1\n", &["unknown key \"xyz\" in [search]; [search] has mode, layout"]),
        ("\n[sampling]\nseed = 3\n", &["study.toml:3: seed belongs in [search], not [sampling]"]),
        ("seed = 3\n", &["study.toml:1: seed belongs in the table [search]"]),
        ("[serach]\nseed = 3\n", &["study.toml:1: unknown key \"serach\"; near: [search]"]),
        ("search = 3\n", &["study.toml:1: expected a table [search], got a value"]),
        ("[quite]\n", &["unknown key \"quite\"; the tables are data, search, early-stop"]),
        (
            "[search]\n\nsamples = \"5\"\n",
            &["study.toml:3: samples: expected a whole number, got text"],
        ),
        ("[search]\nsamples = 2.5\n", &["expected a whole number, got the number 2.5"]),
        ("[engine]\nstream = 1\n", &["stream: expected true or false, got the number 1"]),
        (
            "[reward]\nreward = [1]\n",
            &["reward: expected a list of texts, got a list with the number 1"],
        ),
        ("[sampling]\nextra-body = 7\n", &["extra-body: expected a table, got the number 7"]),
        (
            "[sampling]\nextra-body = \"x\"\n",
            &["study.toml:2: invalid value 'x' for '--extra-body", "JSON object"],
        ),
        ("[search]\nsamples = -3\n", &["study.toml:2: invalid value '-3' for '--samples"]),
        (
            "[search]\nlayout = \"sideways\"\n",
            &["study.toml:2: ", "[possible values: quoted, continued, chained]"],
        ),
        ("[search]\npairs = \"top-bottom:0\"\n", &["study.toml:2: ", "group:K with K at least 1"]),
        ("[search]\nseed = 1\nseed = 2\n", &["study.toml:3: not TOML: duplicate key"]),
        ("[search]\nseed = \n", &["study.toml:2: not TOML: "]),
        (
            "[early-stop]\nprices = \"none.json\"\n",
            &["the table of prices cannot be set up: the prices in none.json"],
        ),
        (
            "[search]\nsamples = 0\n",
            &[
                "study.toml:2: invalid value '0' for '--samples': expected a whole number of at least 1",
            ],
        ),
        (
            "[early-stop]\nearly-stop-seconds = -1\n",
            &[
                "study.toml:2: invalid value '-1' for '--early-stop-seconds': expected a number above 0",
            ],
        ),
    ] {
        file(folder, text);
        // The built-in queries, so that nothing is written where it is not refused.
        run(folder, &["--config", "study.toml"]).refused(words);
    }
    run(folder, &["--config", "none.toml"]).refused(&["none.toml: expected a file of settings"]);
    run(folder, &["--config"]).refused(&["--config <FILE>"]);
    show(folder, &["--sampels", "3"]).refused(&["unexpected argument '--sampels'"]);
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let folder = folder();
    let folder = folder.path();
    for (text, messages) in [
        (
            "[search]\nsamples = \"x\"\nseed = 1\nsampels = 1\n[smapling]\n[reward]\nseed = 2\n",
            &[
                ":2: samples: expected a whole number, got text",
                ":4: unknown key \"sampels\" in [search]; near: samples",
                ":5: unknown key \"smapling\"; near: [sampling]",
                ":7: seed belongs in [search], not [reward]",
            ][..],
        ),
        (
            "[search]\nsamples = 0\nseeed = 1\n[sampling]\ntemperature = 2.5\ntop-p = 0\n[data]\nlimit = 0\n\
             [engine]\nsim-skill = -0.5\n[early-stop]\nearly-stop-target = nan\nearly-stop-patience = 0\n",
            &[
                ":2: invalid value '0' for '--samples': expected a whole number of at least 1",
                ":3: unknown key \"seeed\" in [search]; near: seed",
                ":5: invalid value '2.5' for '--temperature': expected a number from 0 to 2 or none",
                ":6: invalid value '0' for '--top-p': expected a number above 0, at most 1",
                ":8: invalid value '0' for '--limit': expected a whole number of at least 1",
                ":10: invalid value '-0.5' for '--sim-skill': expected a number from 0 to 1",
                ":12: invalid value 'nan' for '--early-stop-target': expected a finite number",
                ":13: invalid value '0' for '--early-stop-patience': expected a whole number of at least 1",
            ],
        ),
        (
            // The rest of a line that is not TOML is not judged.
            "[search]\nlayout = \"sideways\"\nseed = five\n[engine]\napi-key = \"hunter2\"\nstream = 1\nmodel x\n",
            &[
                ":2: invalid value 'sideways' for '--layout'",
                ":3: not TOML: ",
                ":5: api-key looks like a secret",
                ":6: stream: expected true or false, got the number 1",
                ":7: not TOML: key with no value",
            ],
        ),
    ] {
        file(folder, text);
        let ended = run(folder, &["--config", "study.toml"]).with_code(2);
        let lines: Vec<&str> = ended.err.lines().collect();
        assert_eq!(lines[0], format!("error: study.toml: {} mistakes", messages.len()));
        assert_eq!(lines.len(), 1 + messages.len(), "{}", ended.err);
        for (line, message) in lines[1..].iter().zip(messages) {
            assert!(line.starts_with(&format!("  study.toml{message}")), "{message}: {line}");
        }
        assert!(!ended.err.contains("hunter2"), "{}", ended.err);
    }
    let many: String = (0..30).map(|i| format!("unknown-{i} = 1\n")).collect();
    file(folder, &many);
    let ended = run(folder, &["--config", "study.toml"]).with_code(2);
    assert_eq!(ended.err.lines().count(), 22);
    assert!(ended.err.contains("30 mistakes") && ended.err.ends_with("... and 10 more\n"));
}

#[test]
fn secrets_never_stand_in_a_file_nor_are_they_printed() {
    let folder = folder();
    let folder = folder.path();
    for (text, words) in [
        ("[engine]\napi-key = \"hunter2\"\n", &["study.toml:2: ", "OPENAI_API_KEY"][..]),
        ("[engine]\ngroq_api_key = \"hunter2\"\n", &["study.toml:2: ", "GROQ_API_KEY"]),
        ("[reward]\nkey = \"hunter2\"\n", &["study.toml:2: ", "REWARD_API_KEY"]),
        (
            "OPENAI_API_KEY = \"hunter2\"\n",
            &["study.toml:1: ", "environment variable OPENAI_API_KEY"],
        ),
        ("[engine]\nbase-url = \"http://me:hunter2@h/v1\"\n", &["study.toml:2: ", "environment"]),
        (
            "[sampling.extra-body]\napi_key = \"hunter2\"\n",
            &["study.toml:1: extra-body holds", "environment"],
        ),
        ("[engine]\napi-key = \"hunter2\n", &["study.toml:2: not TOML"]),
    ] {
        file(folder, text);
        let ended = run(folder, &["--config", "study.toml"]);
        let told = format!("{}{}", ended.out, ended.err);
        ended.refused(words);
        assert!(!told.contains("hunter2"), "{told}");
    }
    let with_password = ["--base-url", "http://me:hunter2@h/v1"];
    for form in [&[][..], &["--json"], &["--toml"]] {
        let ended = show(folder, &[&with_password[..], form].concat());
        assert!(!format!("{}{}", ended.out, ended.err).contains("hunter2"), "{form:?}");
        assert_eq!(ended.code, Some(if form == ["--toml"] { 2 } else { 0 }), "{form:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_takes_the_complete_file() {
    let folder = folder();
    let folder = folder.path();
    file(folder, &example());
    std::fs::write(folder.join("prompts.jsonl"), "{\"prompt\": \"Why does wood float?\"}\n")
        .unwrap();
    std::fs::create_dir(folder.join("reward")).unwrap();
    words(&folder.join("reward/tokenizer.json"));
    let server = simulation().start().await.unwrap();
    let (base_url, url) = (server.base_url(), server.url());
    let places = ["--config", "study.toml", "--base-url", &base_url, "--reward-url", &url];
    Running::start(tpo(folder, places)).end().with_code(0);
    assert_eq!(json_lines(&read(folder.join("runs/study/results.jsonl")))[0]["status"], "ok");
}

#[test]
fn what_is_written_as_toml_gives_the_same_settings() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("example.toml"), example()).unwrap();
    for arguments in [
        &[][..],
        &["--config", "example.toml", "--limit", "3"],
        &["--seed", "18446744073709551615", "--temperature", "1e-3", "--early-stop-target=-2"],
        &["--extra-body", r#"{"a":null,"b":[1,2.0]}"#, "--model", "a \"quoted\" \\ name\n"],
        &[
            "--extra-body",
            r#"{"a":{"b c":[1,2.0]}}"#,
            "--reward",
            "sim",
            "--reward",
            "sim:weight=2",
        ],
        &[
            "--prices",
            r#"{"x":{"input":1,"output":2.5}}"#,
            "--budget",
            "money:0.5",
            "--engine",
            "openai/x",
        ],
    ] {
        let toml = show(folder, &[arguments, &["--toml"]].concat()).with_code(0).out;
        file(folder, &toml);
        let values = |settings: Vec<Value>| {
            let value = |setting: &Value| {
                let value = setting["value"].clone();
                // 1 and 1.0 are the same number, not the same JSON.
                (setting["name"].clone(), value.as_f64().map_or(value, Value::from))
            };
            settings.iter().map(value).collect::<Vec<(Value, Value)>>()
        };
        let (given, read) = (shown(folder, arguments), shown(folder, &["--config", "study.toml"]));
        assert_eq!(values(given), values(read), "{toml}");
        let again = show(folder, &["--config", "study.toml", "--toml"]).with_code(0).out;
        assert_eq!(again, toml);
    }
}

#[test]
fn whole_numbers_stay_whole() {
    let folder = folder();
    let arguments = ["--temperature", "1", "--early-stop-target", "-2", "--top-p", "0.5"];
    let toml = show(folder.path(), &[&arguments[..], &["--toml"]].concat()).with_code(0).out;
    for line in ["temperature = 1\n", "early-stop-target = -2\n", "top-p = 0.5\n"] {
        assert!(toml.contains(line), "{line}: {toml}");
    }
    let settings = shown(folder.path(), &arguments);
    assert_eq!(setting(&settings, "temperature")["value"].to_string(), "1");
}

#[test]
fn the_schema_accepts_the_example_of_the_documents() {
    let folder = folder();
    let mut command = program(folder.path());
    command.args(["config", "schema"]);
    let schema: Value =
        serde_json::from_str(&Running::start(command).end().with_code(0).out).unwrap();
    let validator = textgrad_ops::check::JsonSchema::new(&schema).unwrap();
    let valid = |text: &str| {
        let settings: Value = toml::from_str(text).unwrap();
        textgrad_core::Check::check(&validator, &settings.to_string())
    };
    assert_eq!(valid(&example()), Ok(()));
    for wrong in ["[search]\nsampels = 3\n", "[search]\nsamples = \"5\"\n", "[quite]\n"] {
        assert!(valid(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_example_of_the_documents_names_every_setting_and_each_line_is_right() {
    let folder = folder();
    let folder = folder.path();
    let names: Vec<Value> =
        shown(folder, &[]).iter().map(|setting| setting["name"].clone()).collect();
    let example = example();
    // With the settings that it leaves out.
    let all: Vec<&str> = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") => setting,
            _ => line,
        })
        .collect();
    let all = all.join("\n");
    for (text, complete) in [(&example, false), (&all, true)] {
        file(folder, text);
        let settings = shown(folder, &["--config", "study.toml"]);
        for name in names.iter().filter(|_| complete) {
            let name = name.as_str().unwrap();
            assert_eq!(setting(&settings, name)["source"], "file", "{name}");
        }
    }
}

/// A file of settings is read or refused, whatever it holds.
///
/// Kind: Limits | a damaged file of settings | its settings, or an error that names the file; no panic
#[test]
fn a_damaged_file_of_settings_is_read_or_refused() {
    let folder = folder();
    let whole = "[engine]\nengine = \"openai\"\nmodel = \"m\"\nbase-url = \"http://localhost:1/v1\"\n\
                 [search]\nsamples = 5\niterations = 2\ntemperature = 0.7\n[reward]\nreward = [\"length\"]\n";
    let inputs = vec![whole.as_bytes().to_vec(), b"samples = 1e999\nmode = \"tpo\"\n".to_vec()];
    let mut mutator = Mutator::new(3);
    for _ in 0..60 {
        let bytes = mutator.mutate(&inputs);
        std::fs::write(folder.path().join("tpo.toml"), &bytes).unwrap();
        let ended = show(folder.path(), &["--config", "tpo.toml"]);
        let text = String::from_utf8_lossy(&bytes);
        let refused = ended.code == Some(2) && ended.err.starts_with("error: ");
        assert!(ended.code == Some(0) || refused, "{text}: {ended:?}");
        assert!(ended.err.chars().count() < 4_000, "{text}: {ended:?}");
    }
}
