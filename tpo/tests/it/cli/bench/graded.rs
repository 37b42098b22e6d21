//! Graders without a judge.

use std::io::Write;

use serde_json::{Value, json};
use textgrad_tests::fake_server::{FakeServer, FaultRule, Route};

use super::{
    ALPACA, BEAVERTAILS, MATH, XSTEST, bench, best_of_two, dialogues, end, folder, json_lines,
    lines, pointed_at, put, read, report, server, simulation,
};

#[test]
fn each_benchmark_runs_on_the_simulation_and_says_so() {
    let hh = dialogues(3);
    for (name, text, file) in [
        ("alpaca-eval", ALPACA, "results/tpo/model_outputs.json"),
        ("arena-hard", super::ARENA, "model_answer/tpo.jsonl"),
        ("hh", hh.as_str(), "pairs.jsonl"),
        ("beavertails", BEAVERTAILS, "responses.json"),
        ("xstest", XSTEST, "completions.csv"),
        ("math500", MATH, "pairs.csv"),
    ] {
        let folder = folder();
        put(folder.path(), "data", text);
        let ended = end(bench(folder.path(), name, "data", [""; 0])).with_code(0);
        assert!(ended.out.starts_with(&format!("{name} (SIMULATION)\n")), "{}", ended.out);
        assert!(ended.out.contains("SIMULATION: our figures say nothing"), "{}", ended.out);
        assert_eq!(lines(&ended, "70B-SFT + TPO D2-N5, FsfairX").len(), 1, "{}", ended.out);
        assert!(lines(&ended, "ours").iter().all(|line| line.contains("(SIMULATION)")));
        let out = folder.path().join("out");
        assert!(out.join("bench").join(file).is_file(), "{name}");
        let report = report(folder.path());
        assert_eq!((&report["benchmark"], &report["simulated"]), (&name.into(), &true.into()));
        assert_eq!((&report["judge"], &report["reward"]), (&Value::Null, &"sim".into()));
        assert_eq!(report["paper"]["rows"].as_array().unwrap().len(), 9);
        // It is the folder of a run besides.
        let results = json_lines(&read(out.join("results.jsonl")));
        assert_eq!(
            report["data"],
            json!({ "source": "data", "items": results.len(), "failed": 0 })
        );
        assert!(out.join("config.json").is_file() && out.join("journal.jsonl").is_file());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn math_is_graded_by_the_rules() {
    let folder = folder();
    put(folder.path(), "math.jsonl", MATH);
    // Wrong at first; longer answers please the reward model.
    let policy = server(|asked, draw| match draw {
        0 => r"\boxed{0}".to_owned(),
        _ if asked.starts_with("What is 1/2+1?") => r"It is \boxed{\dfrac{3}{2}}.".to_owned(),
        _ => r"It is \boxed{\mathfrak{3}}, I think".to_owned(),
    })
    .await;
    let ended = end(best_of_two(folder.path(), "math500", "math.jsonl", &policy)).with_code(0);
    let ours = lines(&ended, "ours");
    assert!(ours[0].contains(" 50.0  1 of 2 right, 1 undecided"), "{}", ended.out);
    assert!(ours[0].contains("at most 100.0"), "{}", ended.out);
    assert!(ours[1].starts_with("ours, first answer without search") && ours[1].contains(" 0.0 "));
    assert!(!ended.out.contains("SIMULATION"), "{}", ended.out);
    assert!(lines(&ended, "graded by")[0].contains("PRM800K"));
    let asked = policy.requests_to(Route::Chat);
    let first = asked[0]["messages"].as_array().unwrap().last().unwrap()["content"].as_str();
    assert!(first.unwrap().ends_with("\\boxed{}."), "{first:?}");

    let out = folder.path().join("out/bench");
    assert_eq!(
        read(out.join("pairs.csv")),
        concat!(
            "answer,gold\n",
            "It is \\boxed{\\dfrac{3}{2}}.,\\boxed{\\frac{3}{2}}\n",
            "\"It is \\boxed{\\mathfrak{3}}, I think\",\\boxed{3}\n"
        )
    );
    assert_eq!(json_lines(&read(out.join("pairs.jsonl"))).len(), 2);
    let graded = json_lines(&read(out.join("graded.jsonl")));
    assert_eq!((&graded[0]["grade"], &graded[0]["level"]), (&"correct".into(), &2.into()));
    assert_eq!(graded[1]["grade"], "undecided");
    assert!(graded[1]["reason"].as_str().unwrap().contains("mathfrak"));
    let report = report(folder.path());
    assert_eq!(report["ours"][0]["figure"], 50.0);
    assert_eq!(report["paper"]["rows"][4]["figure"], 71.2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialogues_are_drawn_graded_and_written_as_pairs() {
    let folder = folder();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(dialogues(30).as_bytes()).unwrap();
    put(folder.path(), "test.jsonl.gz", gzip.finish().unwrap());
    let policy = server(|_, draw| ["short", "rather long"][draw as usize].to_owned()).await;
    let grader = FakeServer::builder().reward(|_, answer| -(answer.len() as f64)).start();
    let grader = grader.await.unwrap();
    let url = grader.url();
    let mut command = best_of_two(folder.path(), "hh", "test.jsonl.gz", &policy);
    let grade = format!("vllm:model=other,url={url}");
    command.args(["--subset", "4", "--grade", &grade]);
    let ended = end(command).with_code(0);
    // The search liked the long ones, the grader does not.
    let ours = lines(&ended, "ours");
    assert!(ours[0].contains("-11.0") && ours[0].contains("4 answers"), "{}", ended.out);
    assert!(ours[1].contains("-5.0"), "{}", ended.out);
    assert!(lines(&ended, "graded by")[0].contains("mean score of vllm:other"), "{}", ended.out);
    assert!(
        ended.out.contains("500 sampled prompts (the paper does not list them)"),
        "{}",
        ended.out
    );
    assert_eq!(report(folder.path())["grading_reward"], "vllm:other");

    let pairs = json_lines(&read(folder.path().join("out/bench/pairs.jsonl")));
    let results = json_lines(&read(folder.path().join("out/results.jsonl")));
    let asked: Vec<&str> = pairs.iter().map(|pair| pair["chosen"].as_str().unwrap()).collect();
    assert_eq!((asked.len(), results.len()), (4, 4));
    assert!(!asked.iter().enumerate().all(|(n, asked)| asked.contains(&format!("Hi {n}\n"))));
    for pair in &pairs {
        let [chosen, rejected] = ["chosen", "rejected"].map(|key| pair[key].as_str().unwrap());
        assert!(chosen.starts_with("\n\nHuman: Hi "), "{chosen:?}");
        assert!(chosen.ends_with("float?\n\nAssistant: rather long"), "{chosen:?}");
        assert!(rejected.ends_with("float?\n\nAssistant: short"), "{rejected:?}");
    }
    // Turns are sent as turns.
    let sent = &policy.requests_to(Route::Chat)[0]["messages"];
    let roles: Vec<_> =
        sent.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert!(roles.ends_with(&["user", "assistant", "user"]), "{roles:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reward_model_of_the_search_grades_where_no_other_is_named() {
    let folder = folder();
    put(folder.path(), "beavertails.json", BEAVERTAILS);
    let policy = server(|_, draw| ["four", "sixsix"][draw as usize].to_owned()).await;
    let command = best_of_two(folder.path(), "beavertails", "beavertails.json", &policy);
    let ended = end(command).with_code(0);
    let ours = lines(&ended, "ours");
    assert!(ours[0].contains("6.0") && ours[1].contains("4.0"), "{}", ended.out);
    assert!(lines(&ended, "graded by")[0].contains("also guided the search"), "{}", ended.out);
    let said: Value =
        serde_json::from_str(&read(folder.path().join("out/bench/responses.json"))).unwrap();
    let expected = json!({
        "prompt": "How do I lie?", "response": "sixsix", "category": "b", "category_id": 1
    });
    assert_eq!(said[1], expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_that_fail_are_left_out_and_counted() {
    let folder = folder();
    put(folder.path(), "math.jsonl", MATH);
    // The first answers of the first problem are there when its search fails.
    let fault = "400@nth:2".parse::<FaultRule>().unwrap();
    let policy = simulation().fault(fault).start().await.unwrap();
    let mut command = bench(folder.path(), "math500", "math.jsonl", pointed_at(&policy));
    command.args(["--concurrency", "1", "--json"]);
    let ended = end(command).with_code(3);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["data"]["failed"], 1, "{}", ended.out);
    assert!(report["ours"][0]["detail"].as_str().unwrap().starts_with("0 of 1 right"));
    assert_eq!(read(folder.path().join("out/bench/pairs.jsonl")).lines().count(), 1);
}
