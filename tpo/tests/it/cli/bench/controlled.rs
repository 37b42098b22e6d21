//! Figures in which length or style does not count.

use async_trait::async_trait;
use serde_json::{Value, json};
use textgrad_core::{
    Choice, Engine, EngineError, EngineInfo, FinishReason, Request, Response, TokenLogprob,
};
use textgrad_tests::fake_server::{FakeServer, Route};

use super::compared::answer;
use super::{ARENA, best_of_two, end, folder, judge, lines, put, read, server};

/// Six instructions, and as many outputs of a reference.
fn instructions() -> Value {
    let item = |n: usize| {
        let output = format!("Red {}", "x".repeat(n));
        json!({ "instruction": format!("Name {n}. "), "output": output, "generator": "ref" })
    };
    (0..6).map(item).collect()
}

/// The authors' file for six instructions.
fn gamed(instructions: usize) -> String {
    let mut text =
        "model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline\n"
            .to_owned();
    for (side, share) in [(-1.0, 0.7), (1.0, 0.3)] {
        for index in 0..instructions {
            let difficulty = index as f64 / 4.0;
            text.push_str(&format!("m,{index},{share},{side},{difficulty},False\n"));
        }
    }
    text
}

/// A judge that finds ours three times as likely to be better, wherever it stands.
#[derive(Debug)]
struct Wavering;

#[async_trait]
impl Engine for Wavering {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("wavering");
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let asked = request.messages.last().map(textgrad_core::Message::text).unwrap_or_default();
        let (ours, other) =
            if asked.find("OURS") < asked.find("Red") { ("m", "M") } else { ("M", "m") };
        let top = [(ours, 0.6_f64), (other, 0.2), ("The", 0.1)];
        let top = top.map(|(token, share)| (token.to_owned(), share.ln())).to_vec();
        let token = TokenLogprob { token: ours.to_owned(), logprob: top[0].1, top };
        let choice = Choice::new(ours, FinishReason::Length).with_logprobs(vec![token]);
        Ok(Response::new(vec![choice]))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alpaca_evals_letters_are_weighed_and_lengths_controlled() {
    let folder = folder();
    put(folder.path(), "set.json", instructions().to_string());
    put(folder.path(), "df_gamed.csv", gamed(6));
    let policy = server(|asked, _| format!("OURS {}", "x".repeat(asked.len() % 7))).await;
    let other = FakeServer::builder().engine(Wavering).start().await.unwrap();
    let mut command = best_of_two(folder.path(), "alpaca-eval", "set.json", &policy);
    command.args(["--judge", &judge(&other), "--weighted", "--one-order"]);
    command.args(["--length-control", "df_gamed.csv"]);
    let ended = end(command).with_code(0);
    let ours = lines(&ended, "ours ");
    assert!(ours[0].contains(" 75.0  win rate +- 0.00 against ref; 6 compared"), "{}", ended.out);
    let grader = lines(&ended, "graded by")[0];
    assert!(grader.ends_with("in one drawn order, weighed by probabilities"), "{grader}");
    let controlled = lines(&ended, "ours, length-controlled")[0];
    assert!(controlled.contains(", length_controlled_v1; coefficient"), "{controlled}");

    let sent = other.requests_to(Route::Chat);
    assert_eq!(sent.len(), 6, "one order each");
    for request in &sent {
        assert_eq!((&request["logprobs"], &request["top_logprobs"]), (&true.into(), &5.into()));
        assert_eq!((&request["max_tokens"], &request["temperature"]), (&1.into(), &1.0.into()));
    }
    let file = folder.path().join("out/bench/results/tpo/openai_judge/annotations.json");
    let annotations: Value = serde_json::from_str(&read(file)).unwrap();
    let of = |name: &str| -> Vec<f64> {
        annotations.as_array().unwrap().iter().map(|a| a[name].as_f64().unwrap()).collect()
    };
    assert!(of("preference").iter().all(|preference| (preference - 1.75).abs() < 1e-6));
    let expected = of("glm_preference").iter().sum::<f64>() / 6.0 * 100.0;
    assert!(controlled.contains(&format!(" {expected:.1}  +- ")), "{expected} {controlled}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn difficulties_of_another_set_are_refused_before_anything_is_asked() {
    let folder = folder();
    put(folder.path(), "set.json", instructions().to_string());
    put(folder.path(), "df_gamed.csv", gamed(5));
    let policy = server(|_, _| "OURS".to_owned()).await;
    let mut command = best_of_two(folder.path(), "alpaca-eval", "set.json", &policy);
    command.args(["--judge", &judge(&policy), "--length-control", "df_gamed.csv"]);
    let ended = end(command).with_code(2);
    assert!(
        ended.err.contains("difficulties of the 6 instructions in set.json, got those of 5"),
        "{}",
        ended.err
    );
    assert_eq!(policy.stats().route(Route::Chat).requests, 0);
}

/// A judgment of another model, which the judge liked.
fn liked(uid: &str, model: &str) -> Value {
    let game = |score: &str| json!({ "score": score, "judgment": { "answer": format!("[[{score}]]") }, "prompt": [] });
    json!({
        "uid": uid, "category": "hard_prompt", "judge": "judge", "model": model, "baseline": "o3",
        "games": [game("B>A"), game("A>B")]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_models_tell_what_style_is_worth() {
    let folder = folder();
    let at = |path: &str| folder.path().join(path);
    put(folder.path(), "question.jsonl", ARENA);
    super::super::cuts::words(&at("words.json"));
    for path in ["data/model_judgment/j", "data/model_answer"] {
        std::fs::create_dir_all(at(path)).unwrap();
    }
    let other = [liked("h1", "other"), liked("h1", "third")].map(|line| format!("{line}\n"));
    put(folder.path(), "data/model_judgment/j/other.jsonl", other.concat());
    put(folder.path(), "data/model_judgment/j/tpo.jsonl", liked("h9", "tpo").to_string());
    put(folder.path(), "data/model_answer/o3.jsonl", answer("h1", "o3", "Theirs").to_string());
    put(folder.path(), "data/model_answer/a.jsonl", answer("h1", "other", "A").to_string());
    let run = |policy: &FakeServer| {
        let mut command = best_of_two(folder.path(), "arena-hard", "question.jsonl", policy);
        command.args(["--judge", &judge(policy), "--baseline", "data/model_answer/o3.jsonl"]);
        command.args(["--leaderboard", "data/model_judgment/j"]);
        command.args(["--style-tokenizer", "words.json"]);
        end(command)
    };
    let policy =
        server(
            |asked, _| {
                if asked.contains("Theirs") { "[[A>B]]".to_owned() } else { "OURS".to_owned() }
            },
        )
        .await;
    let ended = run(&policy).with_code(2);
    assert!(
        ended.err.contains("expected the answer of \"third\" to \"h1\", which is judged"),
        "{}",
        ended.err
    );
    assert_eq!(policy.stats().route(Route::Chat).requests, 0, "nothing is paid for");

    put(folder.path(), "data/model_answer/b.jsonl", answer("h1", "third", "B").to_string());
    let ended = run(&policy).with_code(0);
    let styled = lines(&ended, "ours, hard_prompt, style-controlled")[0];
    assert!(styled.contains("from our answers and those of 2 other models"), "{styled}");
    // The first place always won.
    let plain = lines(&ended, "ours, hard_prompt ")[0];
    assert!(plain.contains("against o3; 1 judged"), "{plain}");
}
