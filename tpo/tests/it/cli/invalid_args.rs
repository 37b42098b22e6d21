//! Mistakes are told before anything is asked or written, with exit code 2.

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
        (&["--samples", "0"], &["'0' for '--samples <N>': expected at least 1"]),
        (
            &["--temperature", "3"],
            &["'3' for '--temperature", "expected a number from 0 to 2 or none"],
        ),
        (&["--top-p", "0"], &["'0' for '--top-p", "expected a number above 0, at most 1"]),
        (&["--limit", "0"], &["'0' for '--limit <K>': expected at least 1"]),
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
fn mistakes_in_the_queries_are_told_with_their_line() {
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
fn mistakes_in_a_prompt_pack_are_told_with_their_file() {
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
        ("updte.hbs", "text", &["updte.hbs", "update_system"]),
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

/// Files that cannot be read as queries or as settings.
const FILES: &[(&str, &[u8])] = &[
    ("q.json", b"[\"Why?\"]"),
    ("old/config.json", b"{}"),
    ("wrapped.json", b"{\"rows\": [{\"prompt\": \"x\"}]}"),
    (
        "image.json",
        b"[{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}]",
    ),
    ("null.json", b"[{\"prompt\": null}]"),
    ("ok.jsonl", b"{\"prompt\": \"x\"}\n"),
    ("open.csv", b"id,prompt\n1,\"Why"),
    ("short.csv", b"id,prompt\n1,Why\n2\n"),
    ("twice.csv", b"a,a\n1,2\n"),
    ("blank.jsonl", b"{\"prompt\": \"\"}\n"),
    ("turns.jsonl", b"{\"messages\": []}\n"),
    ("role.jsonl", b"{\"messages\": [{\"role\": \"robot\", \"content\": \"x\"}]}\n"),
    ("system.jsonl", b"{\"prompt\": \"x\", \"system\": 4}\n"),
    ("column.jsonl", b"{\"id\": 1, \"text\": \"x\"}\n"),
    ("cut.json", b"{\"prompt\": \"x\""),
    ("empty.json", b""),
    ("q.docx", b"x"),
    ("latin.txt", b"caf\xe9\n"),
    ("q.parquet", b"PAR1xx"),
    ("query.toml", b"prompt = 'x'\n"),
    ("list.toml", b"[search]\nsamples = [1, 2]\n"),
    ("mode.toml", b"[search]\nmode = \"BoN\"\n"),
    ("key.toml", b"[sampling]\napi-key = \"x\"\n"),
    ("half.jsonl", b"{\"prompt\": \"x\"}\n{\"prompt\": \n"),
    ("prompts.jsonl", b"{\"prompt\": \"x\"}\n"),
    ("date.toml", b"[sampling]\nextra-body = { a = 2020-01-01 }\n"),
    ("huge.toml", b"[search]\nseed = 99999999999999999999\n"),
    ("study.toml", b"[search]\nseeds = [1, 2]\n"),
];

/// Mistakes of new users: the command line after `tpo`, and the words of the message that decide.
const MISTAKES: &[(&str, &[&str])] = &[
    // Commands.
    ("rnu", &["unrecognized subcommand 'rnu'"]),
    ("q.json", &["unrecognized subcommand 'q.json'", "use 'tpo run --data q.json'"]),
    ("none.csv.gz", &["'none.csv.gz'", "use 'tpo run --data none.csv.gz'"]),
    ("run ok.jsonl", &["unexpected argument 'ok.jsonl'", "use 'tpo run --data ok.jsonl'"]),
    ("run ..", &["unexpected argument '..'", "use 'tpo report ..'"]),
    ("study --temperatures -1,0", &["a value that begins with a hyphen", "--flag=VALUE"]),
    (
        "bench math500 --subset -1",
        &["'-1' for '--subset <K>': expected a whole number of at least 1"],
    ),
    (
        "compare old old --judge sim --judge-limit x",
        &["'x' for '--judge-limit <K>': expected a whole number of at least 1"],
    ),
    ("report old --resamples 1.5", &["'1.5' for '--resamples", "a whole number from 1 to 1000000"]),
    ("report old --seed x", &["'x' for '--seed <SEED>': expected a whole number of at least 0"]),
    ("config shwo", &["unrecognized subcommand 'shwo'", "'show'"]),
    ("completions tcsh", &["invalid value 'tcsh'", "<SHELL>"]),
    ("bench aime", &["'aime'", "alpaca-eval, arena-hard", "math500"]),
    (
        "bench math500",
        &["--data: expected a local copy of test.jsonl", "HuggingFaceH4/MATH-500", "got nothing"],
    ),
    ("bench xstest", &["--data: expected a local copy of xstest_prompts.csv", "GitHub"]),
    ("bench xstest --data xstest.csv", &["xstest.csv: cannot be read"]),
    ("bench math500 --data prompt.jsonl", &["prompt.jsonl: ", "did you mean prompts.jsonl?"]),
    (
        "bench math500 --data q.json",
        &["q.json, item 1", "an object with problem, answer and unique_id"],
    ),
    ("bench math500 --judge sim --data q.json", &["--judge: expected nothing", "tpo bench --help"]),
    ("study --modes tpo,best", &["'best'", "tpo, revision, bon, resample"]),
    ("study --seeds 1..3", &["'1..3' for '--seeds", "separated by commas, as in --seeds=1,2,3"]),
    ("study --temperatures 0.1-0.5", &["'0.1-0.5'", "separated by commas"]),
    ("study --seeds 1,x", &["'x' for '--seeds", "a whole number of at least 0"]),
    ("study --samples 3,0", &["'0' for '--samples", "expected at least 1"]),
    ("compare q.json", &["required arguments", "<B>"]),
    ("report none", &["none holds no run", "--out"]),
    ("export .", &[". holds no run", "expected the directory of a run, such as ./old"]),
    ("resume runs/first", &["use 'tpo run --out DIR --resume'"]),
    ("run --dataset q.json", &["use '--data FILE'"]),
    ("run -n 5", &["use '--samples N'"]),
    ("run --verbose", &["use 'TPO_LOG=debug tpo COMMAND'"]),
    ("run --reward https://host:8001", &["an address", "--reward vllm --reward-url ADDRESS"]),
    (
        "graph none 0 --out g.png",
        &["--out: expected a file that ends in .html, .dot or .mmd", "g.png"],
    ),
    ("run --data wrapped.json", &["wrapped.json: expected a JSON list", "the list in \"rows\""]),
    ("run --data image.json", &["image.json, item 1", "\"image_url\"", "only text is read"]),
    ("run --data null.json", &["null.json, item 1", "\"prompt\" to be a string, got null"]),
    ("verify q.json", &["q.json holds no run", "--out"]),
    ("graph none", &["required arguments", "<QUERY>"]),
    ("graph none first", &["none holds no run"]),
    ("graph none -1", &["'-1' for '<QUERY>'", "a whole number from 0"]),
    ("export none --rows pair", &["'pair'", "pairs, comparisons, best or answers"]),
    ("export none --style hf", &["'hf'", "trl, trl-text or openrlhf"]),
    ("export none --out x.xlsx", &["--out", ".jsonl, .json, .csv, .tsv or .parquet", "x.xlsx"]),
    ("config show --toml --json", &["expected one of --toml and --json, got both"]),
    // Flags and their values.
    ("run --data", &["a value is required for '--data <FILE>'"]),
    ("run --data=", &["invalid value ''", "expected a path"]),
    ("run --limit -1", &["'-1' for '--limit <K>'", "a whole number of at least 0"]),
    ("run --retries -2", &["'-2' for '--retries", "a whole number from 0"]),
    ("run --samples 2.5", &["'2.5' for '--samples <N>'", "a whole number"]),
    ("run --timeout 0", &["'0' for '--timeout <SECONDS>'", "a whole number from 1"]),
    ("run --concurrency 0", &["'0' for '--concurrency", "from 1"]),
    ("run --early-stop-target high", &["'high'", "expected a number"]),
    ("run --seed 1 --seed 2", &["'--seed <SEED>' cannot be used multiple times"]),
    ("run --resume=maybe", &["'maybe'", "true, false"]),
    ("run --mode best-of-n", &["tpo, revision, bon", "got best-of-n; did you mean bon?"]),
    ("run --mode TPO", &["got TPO; did you mean tpo?"]),
    ("run --mode revison", &["got revison; did you mean revision?"]),
    ("run --format xml", &["'xml'", "json, jsonl, text, csv, tsv, parquet"]),
    ("run --stop-target 1", &["unexpected argument", "'--early-stop-target'"]),
    ("run --api-key hunter2", &["unexpected argument '--api-key", "OPENAI_API_KEY", "environment"]),
    ("run --engine gpt-4", &["did you mean openai/gpt-4?"]),
    ("run --combine median", &["mean, min or pessimistic:LAMBDA", "median"]),
    ("run --truncate 8000", &["chars:N or tokens:N", "8000"]),
    ("run --truncate tokens:10", &["--tokenizer", "tokenizer.json", "got nothing"]),
    ("run --reward lenght:from=1", &["expected sim, vllm", "length, format or command", "lenght"]),
    ("run --reward length:from=9,to=1", &["at least as many words in `to`"]),
    ("run --reward sim:weight=x", &["weight: expected a number, got x"]),
    ("run --reward command", &["--reward-command: expected the program", "got nothing"]),
    ("run --prices {\"x\":1} --budget money:1", &["per million tokens", "\"output\": 10"]),
    ("run --budget 20000", &["answers, calls, tokens", "as in tokens:20000"]),
    ("run --budget tokens:0", &["with an amount above 0"]),
    ("run --budget money:2", &["prices: expected prices of tokens beside a bound on money"]),
    ("study --equal calls:9 --iterations 2", &["none beside --equal", "up to the budget"]),
    ("study --equal calls:9 --modes bon", &["resample in place of bon"]),
    ("run --prompts none", &["none: cannot be read"]),
    (
        "run --data q.json --cache none/cache.db",
        &["the cache none/cache.db: it cannot be opened", "check that its folder exists"],
    ),
    ("run --out q.json --data q.json", &["--out: expected a directory, got the file q.json"]),
    // Files of queries.
    ("run --data prompts.json", &["prompts.json: cannot be read", "mean prompts.jsonl?"]),
    (
        "run --data half.jsonl",
        &["half.jsonl, line 2: not JSON: EOF while parsing a value at column"],
    ),
    ("run --data open.csv", &["open.csv, line 2", "a quotation mark"]),
    ("run --data short.csv", &["short.csv, line 3: expected 2 columns", "got 1"]),
    ("run --data twice.csv", &["twice.csv, line 1", "\"a\" occurs twice"]),
    ("run --data blank.jsonl", &["blank.jsonl, line 1: expected a query, got an empty text"]),
    ("run --data turns.jsonl", &["turns.jsonl, line 1", "got no message"]),
    ("run --data role.jsonl", &["role.jsonl, line 1", "system, user or assistant", "\"robot\""]),
    ("run --data system.jsonl", &["\"system\" to be a string, got a number"]),
    ("run --data column.jsonl", &["\"prompt\"", "got \"id\", \"text\"", "--prompt-column"]),
    ("run --data ok.jsonl --prompt-column q", &["ok.jsonl, line 1", "\"q\"", "\"prompt\""]),
    ("run --data cut.json", &["cut.json", "expected a JSON"]),
    ("run --data empty.json", &["expected at least one query, found none"]),
    ("run --data q.docx", &["got .docx", "convert it"]),
    ("run --data latin.txt", &["latin.txt, line 1: expected UTF-8", "iconv"]),
    ("run --data q.parquet", &["q.parquet: expected Parquet"]),
    ("run --data .", &["one file: name one of those in the directory"]),
    ("run --data hf:org/set", &["expected a local file", "hf download"]),
    // Files of settings.
    ("run --config .", &["expected a file of settings"]),
    ("run --config latin.txt", &["latin.txt: expected a file of settings", "UTF-8"]),
    ("run --config q.json", &["q.json:1: unknown key \"Why?\"; the tables are data"]),
    ("run --config query.toml", &["query.toml:1: unknown key \"prompt\"", "prompts in [search]"]),
    ("run --config mode.toml", &["mode.toml:2: ", "got BoN; did you mean bon?"]),
    ("run --config key.toml", &["key.toml:2: ", "does not belong in a file", "OPENAI_API_KEY"]),
    ("run --config list.toml", &["list.toml:2: samples: expected a whole number, got a list"]),
    ("run --config date.toml", &["date.toml:2: extra-body", "a date; write it as text"]),
    ("run --config huge.toml", &["huge.toml:2: ", "a whole number of at least 0"]),
    ("run --config study.toml", &["study.toml:2: unknown key \"seeds\"", "near: seed"]),
];

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
