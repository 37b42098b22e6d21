//! Errors about settings of reward models.

use super::*;

#[test]
fn mistakes_say_what_is_missing() {
    let folder = folder();
    queries(folder.path(), 1);
    fs::write(folder.path().join("empty.json"), "{}").unwrap();
    fs::write(folder.path().join("queries.txt"), "no JSON").unwrap();
    let wrong = r#"{ "properties": { "a": { "type": "text" } } }"#;
    fs::write(folder.path().join("wrong.json"), wrong).unwrap();
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
            &["the reward model cannot be set up", "chat template", "none.json"],
        ),
        (
            &["--reward", "vllm-text", "--reward-template", "empty.json"],
            &["the reward model cannot be set up", "there is none in empty.json"],
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
        (&["--reward", "tei:batch=x"], &["error: --reward: expected a whole number, got batch=x"]),
        (&["--reward", "tei:batch=0"], &["error: --reward: expected at least 1, got batch=0"]),
        (&["--reward", "vllm", "--combine", "min"], &["combine: expected several --reward"]),
        (&["--reward", "vllm", "--combine", "max"], &["pessimistic:LAMBDA"]),
        (
            &["--reward", "vllm", "--reward", "sim:weight=0"],
            &["error: --reward: expected finite numbers, weights above 0"],
        ),
        (
            &["--reward", "vllm", "--reward", "sim", "--combine", "pessimistic:-1"],
            &["error: --combine: expected pessimistic:LAMBDA with a finite number of 0 or more"],
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
        (&["--reward", "format"], &["one of format:pattern=REGEX", "got format"]),
        (&["--reward", "format:json=true,never=x"], &["one of format:pattern=REGEX"]),
        (&["--reward", "format:pattern=("], &["("]),
        (&["--reward", "format:schema=none.json"], &["none.json: expected a JSON schema"]),
        (&["--reward", "format:schema=queries.txt"], &["queries.txt: expected a JSON schema"]),
        (
            &["--reward", "format:schema=wrong.json"],
            &["wrong.json: expected a JSON schema", "/properties/a/type"],
        ),
        (&["--reward", "format:schema=empty.json,json=true"], &["format:schema=FILE"]),
        (&["--reward", "format:pattern=\"a,b"], &["a quoted value to end with a quote"]),
        (&["--reward", "judge:votes=0"], &["--reward: expected at least 1, got votes=0"]),
        (&["--reward", "judge:votes=x"], &["--reward: expected a number of votes, got votes=x"]),
        (&["--reward", "judge:lowest=3"], &["both the lowest and the highest grade"]),
        (&["--reward", "judge:lowest=3,highest=1"], &["grades: expected", "3 to 1"]),
        (&["--reward", "judge:lowest=0,highest=100,expected=true"], &["digits, from 0 to 9"]),
        (&["--reward", "judge:expected=maybe"], &["expected true or false, got expected=maybe"]),
        (&["--reward", "judge:unreadable=hope"], &["fail, worst or skip", "hope"]),
        (&["--reward", "judge:rubric=none.txt"], &["none.txt: expected a rubric"]),
        (&["--reward", "judge:base-url=http://localhost:1"], &["an engine beside its base-url"]),
        (&["--reward", "judge:engine=nonsense"], &["the judge cannot be set up"]),
        (
            &["--reward", "pairwise-judge:lowest=1"],
            &["a setting that it has", "pairwise-judge has engine"],
        ),
        (&["--reward", "dpo:model=m"], &["where the reference model is", "got nothing"]),
        (&["--reward", "dpo"], &["reward-model", "whose likelihoods count"]),
        (
            &["--reward", "dpo:model=m,reference-url=http://localhost:1,reference-model=b"],
            &["reward-template: expected"],
        ),
        (&["--reward", "sim", "--reward", "kl:weight=2"], &["no weight, center or scale for kl"]),
        (&["--reward", "command"], &["reward-command: expected the program", "got nothing"]),
        (&["--reward", "sim", "--reward-arg", "-x"], &["reward-arg: expected none", "-x"]),
    ] {
        let data = ["--data", "queries.json", "--out", "out"];
        run(folder.path(), &[&data[..], arguments].concat()).refused(words);
    }
    assert!(!folder.path().join("out").exists());
}

/// The page names every kind and every setting that the program has, and nothing that it has not.
#[test]
fn the_page_of_reward_models_is_complete() {
    let page = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rewards.md"));
    let folder = folder();
    queries(folder.path(), 1);
    let refused = |reward: &str| {
        let data = ["--data", "queries.json", "--out", "out", "--reward", reward];
        run(folder.path(), &data).with_code(2).err
    };
    let listed = |text: &str, before: &str, behind: &str| -> Vec<String> {
        let (_, rest) = text.split_once(before).unwrap();
        let names = rest.split_once(behind).unwrap().0.replace(" or ", ", ");
        names.split(',').map(|name| name.trim().to_owned()).collect()
    };
    let kinds = listed(&refused("nothing"), "reward: expected ", ", got");
    assert_eq!(kinds.len(), 17, "{kinds:?}");
    for kind in kinds {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{kind}` |")));
        let settings =
            row.unwrap_or_else(|| panic!("no row of {kind}")).rsplit('|').nth(1).unwrap();
        let mut documented: Vec<&str> = settings.split('`').skip(1).step_by(2).collect();
        let said = refused(&format!("{kind}:nothing=1"));
        let keys = listed(&said, &format!("{kind} has "), "\n");
        let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        keys.retain(|key| !["weight", "center", "scale"].contains(key));
        documented.sort_unstable();
        keys.sort_unstable();
        assert_eq!(documented, keys, "{kind}");
    }
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
        "pairwise-judge",
        "dpo",
        "kl",
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
