//! Invalid arguments and files fail with exit code 2 before a request is sent or a file written.

mod table;

use self::table::{FILES, MISTAKES};
use super::{Running, folder, program, queries, read, run};

/// An address where no server listens: one at the usual port of a preset would be asked for its models.
const NOBODY: &str = "http://127.0.0.1:9/v1";

#[test]
fn mistakes_on_the_command_line() {
    let folder = folder();
    queries(folder.path(), 1);
    for (arguments, words) in [
        (
            &["--engine", "openai", "--reward", "sim", "--base-url", NOBODY][..],
            &["model", "got nothing"][..],
        ),
        (
            &["--engine", "openai", "--model", "m"],
            &["expected the key of openai", "OPENAI_API_KEY"],
        ),
        (
            &["--engine", "openai", "--model", "m", "--base-url", NOBODY],
            &["reward", "vllm", "got nothing"],
        ),
        (&["--engine", "vllm", "--base-url", NOBODY], &["model", "got nothing"]),
        (
            &["--engine", "olama/llama3"],
            &["the engine cannot be set up", "did you mean ollama/MODEL?", "openrouter", "sim"],
        ),
        (&["--engine", "ollama/"], &["expected ollama/MODEL"]),
        (&["--engine", "ollama/llama3", "--model", "m"], &["model: expected none beside", "m"]),
        (&["--engine", "groq/m"], &["the engine cannot be set up", "GROQ_API_KEY"]),
        (&["--engine", "vllm/m"], &["pairwise-judge", "tei", "got nothing", "REWARD_API_KEY"]),
        (&["--engine", "http://localhost:1/v1"], &["no `#MODEL` at the end"]),
        (&["--engine", "sim:skil=1"], &["expected `skill=0.8` or `latency_ms=5`", "skil=1"]),
        (&["--reward", "vllm", "--reward-url", NOBODY], &["reward-model", "got nothing"]),
        (&["--samlpes", "3"], &["unexpected argument '--samlpes'", "--samples"]),
        (&["--mode", "best"], &["mode", "tpo, revision, bon", "best"]),
        (&["--samples", "0"], &["'0' for '--samples <N>': expected a whole number of at least 1"]),
        (
            &["--temperature", "3"],
            &["'3' for '--temperature", "expected a number from 0 to 2 or none"],
        ),
        (&["--top-p", "0"], &["'0' for '--top-p", "expected a number above 0, at most 1"]),
        (&["--limit", "0"], &["'0' for '--limit <K>': expected a whole number of at least 1"]),
        (&["--sim-skill", "2"], &["'2' for '--sim-skill", "expected a number from 0 to 1"]),
        (&["--model", "m"], &["model: expected --engine with a server", "the simulation and m"]),
        (&["--engine", "sim", "--base-url", "http://a:b@c"], &["base-url", "an address"]),
        (&["--resume"], &["--out <DIR>"]),
        (&["--out", "none", "--resume"], &["none holds no run to resume", "leave out --resume"]),
        (
            &["--engine", "openai", "--model", "m", "--reward", "sim", "--base-url", "what"],
            &["the engine cannot be set up: expected a base URL such as http://localhost:8000/v1"],
        ),
        (
            &["--reward", "vllm", "--reward-model", "m", "--reward-url", "ftp://x"],
            &["the reward model cannot be set up: expected a base URL"],
        ),
    ] {
        let data = ["--data", "queries.json"];
        run(folder.path(), &[&data[..], arguments].concat()).refused(words);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was written");
}

#[test]
fn mistakes_in_the_queries_are_reported_with_their_line() {
    let folder = folder();
    let cases = [
        ("a.jsonl", "{\"prompt\": \"x\"}\n{\"prompt\": \n", &["a.jsonl, line 2: not JSON"][..]),
        (
            "b.jsonl",
            "{\"prompt\": \"x\"}\n\n{\"promt\": \"y\"}\n",
            &["b.jsonl, line 3", "\"instruction\"", "got \"promt\""],
        ),
        ("c.json", "[\"x\", 7]", &["c.json, item 2: expected a string or an object"]),
        ("d.txt", "\n\n", &["d.txt: expected at least one query, found none"]),
    ];
    for (name, text, words) in cases {
        std::fs::write(folder.path().join(name), text).unwrap();
        run(folder.path(), &["--data", name, "--out", "out"]).refused(words);
    }
    run(folder.path(), &["--data", "none.json"]).refused(&["none.json: cannot be read"]);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn mistakes_in_a_prompt_pack_are_reported_with_their_file() {
    let folder = folder();
    queries(folder.path(), 1);
    let pack = folder.path().join("pack");
    for (name, text, words) in [
        (
            "update.hbs",
            "one\n{{varaible.role}}\n",
            &["update.hbs, line 2", "\"varaible.role\""][..],
        ),
        ("update.hbs", "{{#if constraints}}", &["update.hbs, line 1"]),
        ("updte.hbs", "text", &["updte.hbs", "are update, update_retry"]),
        ("readme.txt", "text", &["pack", ".hbs"]),
    ] {
        std::fs::create_dir(&pack).unwrap();
        std::fs::write(pack.join(name), text).unwrap();
        let arguments = ["--data", "queries.json", "--out", "out", "--prompts", "pack"];
        run(folder.path(), &arguments).refused(words);
        std::fs::remove_dir_all(&pack).unwrap();
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_folder_with_a_run_is_not_written_over() {
    let folder = folder();
    queries(folder.path(), 2);
    let arguments = ["--data", "queries.json", "--out", "out"];
    run(folder.path(), &arguments).with_code(0);
    let files = ["config.json", "journal.jsonl", "results.jsonl"];
    let before = files.map(|file| read(folder.path().join("out").join(file)));
    run(folder.path(), &arguments).refused(&["out holds a run already", "--resume", "--out"]);
    let other = [&arguments[..], &["--seed", "8"]].concat();
    run(folder.path(), &other).refused(&["out holds a run already"]);
    assert_eq!(before, files.map(|file| read(folder.path().join("out").join(file))));
}

#[test]
fn a_run_is_not_continued_with_other_settings() {
    let folder = folder();
    queries(folder.path(), 2);
    let arguments = ["--data", "queries.json", "--out", "out"];
    run(folder.path(), &arguments).with_code(0);
    let journal = read(folder.path().join("out/journal.jsonl"));
    let other = ["--resume", "--samples", "4", "--temperature", "0.5", "--mode", "revision"];
    run(folder.path(), &[&arguments[..], &other].concat()).refused(&[
        "out was run with other settings",
        "search.samples: 5 then, 4 now",
        "search.sampling.temperature: 0.7 then, 0.5 now",
        "search.critic.temperature: 0.7 then, 0.5 now",
        "search.mode: \"tpo\" then, \"revision\" now",
    ]);
    let fewer = [&arguments[..], &["--resume", "--limit", "1"]].concat();
    run(folder.path(), &fewer).refused(&["data.queries: 2 then, 1 now", "; the queries"]);
    assert_eq!(read(folder.path().join("out/journal.jsonl")), journal);

    // What does not change the results may differ: where the queries were read from, and how many at a time.
    std::fs::rename(folder.path().join("queries.json"), folder.path().join("moved.json")).unwrap();
    let moved = ["--data", "moved.json", "--out", "out", "--resume", "--concurrency", "1"];
    run(folder.path(), &moved).with_code(0);
    assert_eq!(read(folder.path().join("out/journal.jsonl")), journal, "nothing was asked again");
}

#[test]
fn the_help_says_what_a_user_must_know() {
    let folder = folder();
    let ended = run(folder.path(), &["--help"]).with_code(0);
    for words in ["OPENAI_API_KEY", "REWARD_API_KEY", "TPO_LOG", "Exit codes:", "130", "Examples:"]
    {
        assert!(ended.out.contains(words), "{words}");
    }
}

/// A query in place of a file gets the command that reads it.
#[test]
fn a_query_on_the_command_line_gets_a_hint() {
    let folder = folder();
    run(folder.path(), &["Why is the sky blue?"]).refused(&[
        "unexpected argument 'Why is the sky blue?'",
        "echo \"QUERY\" | tpo run --data -",
    ]);
}

#[test]
fn mistakes_of_new_users() {
    let folder = folder();
    for (name, bytes) in FILES {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    for (line, words) in MISTAKES {
        let mut command = program(folder.path());
        command.args(line.split(' '));
        let ended = Running::start(command).end();
        assert!(!ended.err.contains("hunter2"), "{line}: {}", ended.err);
        assert!(ended.err.matches("none/cache.db").count() <= 1, "{line}: {}", ended.err);
        for technical in ["struct ", "panicked", "None", "Some(", "invalid digit"] {
            assert!(!ended.err.contains(technical), "{line}: {}", ended.err);
        }
        ended.refused(words);
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        FILES.len(),
        "nothing was written"
    );
}

/// A setting that the mode of a run does not use is no error, since a file may serve several modes.
#[test]
fn settings_without_effect_are_warned_of() {
    let folder = folder();
    for (arguments, warnings) in [
        (
            &["--mode", "bon", "--iterations", "3", "--pairs", "all"][..],
            &["--iterations has no effect in mode bon", "--pairs has no effect in mode bon"][..],
        ),
        (&["--fuse", "2"], &["--fuse has no effect in mode tpo; fuse, rsa and tsan use it"]),
        (&["--mode", "rsa", "--fuse", "2", "--iterations", "1"], &[]),
        (&["--pairs", "group:2"], &[]),
    ] {
        let ended = run(folder.path(), &[&["--limit", "1"], arguments].concat()).with_code(0);
        assert_eq!(ended.err.matches("has no effect").count(), warnings.len(), "{}", ended.err);
        for words in warnings {
            assert!(ended.err.contains(words), "{}", ended.err);
        }
    }
}
