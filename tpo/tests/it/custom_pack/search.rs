//! A whole search, in process and as a program.

use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Engine, Message, Purpose, Request, engine_fn};
use textgrad_tests::fake_server::{FakeServer, Route};
use tpo::{Mode, Tpo, reward_fn};

use super::expected::{
    FEEDBACK_SYSTEM, SAMPLE_SYSTEM, UPDATE_SYSTEM, contrastive_system, conversation,
    evaluation_system, feedback_base, gradient, update,
};
use super::{folder, messages, pack};

const QUERY: &str = "Why {{is}} the <sky> blue &\n\"clear\"?";
const LONG: &str = "one two three four five six seven eight nine ten eleven twelve thirteen \
                    fourteen fifteen sixteen seventeen eighteen nineteen twenty twenty-one!!";
const LOSS_ROLE: &str = "evaluation of a text";
const TPO_ROLE: &str = "the preferred answer of the assistant";
const TPO_RULES: [&str; 2] = ["Give the answer alone.", "Keep away from what was not preferred."];

/// Answers get better with their marks.
fn marks(answer: &str) -> f64 {
    answer.matches('!').count() as f64
}

fn improved(text: &str) -> String {
    format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>")
}

/// The answers to the seven requests of a search with D = 2 and N = 2.
fn script() -> Vec<(Purpose, Vec<String>)> {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    vec![
        (Purpose::Sample, texts(&["plain {{x}}", LONG])),
        (Purpose::Loss, texts(&["loss 1 </LM_OUTPUT>"])),
        (Purpose::Gradient, texts(&["gradient 1"])),
        (Purpose::Update, vec![improved("better!!!"), improved("no better")]),
        (Purpose::Loss, texts(&["loss 2"])),
        (Purpose::Gradient, texts(&["gradient 2"])),
        (Purpose::Update, vec![improved("best!!!!"), improved("good!")]),
    ]
}

/// System and user message of the seven requests.
fn expected(mode: Mode) -> Vec<(String, String)> {
    let (role, rules) = match mode {
        Mode::Revision => ("an answer of the assistant", &["Give the answer alone."][..]),
        _ => (TPO_ROLE, &TPO_RULES[..]),
    };
    let mut requests = vec![(SAMPLE_SYSTEM.to_owned(), QUERY.to_owned())];
    // The worst answer stays the first one: of equal ones, the earliest.
    let rounds =
        [(LONG, "loss 1 </LM_OUTPUT>", "gradient 1"), ("better!!!", "loss 2", "gradient 2")];
    for (chosen, loss, feedback) in rounds {
        let instruction = match mode {
            Mode::Revision => evaluation_system(QUERY),
            _ => contrastive_system(QUERY, "plain {{x}}"),
        };
        let call = conversation(Some(&instruction), chosen, loss);
        let said = gradient(role, &call, LOSS_ROLE, feedback);
        requests.push((instruction, chosen.to_owned()));
        requests.push((FEEDBACK_SYSTEM.to_owned(), feedback_base(role, chosen, &call)));
        requests.push((UPDATE_SYSTEM.to_owned(), update(role, chosen, &[said], rules, &[])));
    }
    requests
}

#[tokio::test]
async fn a_search_sends_what_is_expected() {
    for mode in [Mode::Tpo, Mode::Revision] {
        let script = script().into_iter().fold(ScriptedEngine::default(), |engine, (on, texts)| {
            engine.on(on, Reply::texts(texts))
        });
        let engine = Arc::new(script);
        let judge = reward_fn("marks", |_, answer: &str| marks(answer));
        let tpo = Tpo::builder(Arc::clone(&engine) as Arc<dyn Engine>, Arc::new(judge));
        let tpo = tpo.prompts(pack()).mode(mode).samples(2).build().unwrap();
        let aligned = tpo.align(QUERY).await.unwrap();
        assert_eq!(aligned.answer(), "best!!!!");
        let sent: Vec<(String, String)> = engine.requests().iter().map(messages).collect();
        assert_eq!(sent, expected(mode), "{mode}");
    }
}

/// What an engine that only sees messages answers in the script's place.
fn answer(messages: &[Message]) -> Vec<String> {
    let last = messages.last().map(Message::text).unwrap_or_default();
    let place = expected(Mode::Tpo).iter().position(|(_, user)| *user == last);
    script()[place.unwrap_or_else(|| panic!("not expected: {last}"))].1.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_sends_what_is_expected() {
    let engine = engine_fn("expecting", |request: Request| async move {
        let choices = answer(&request.messages).into_iter();
        let choices =
            choices.map(|text| textgrad_core::Choice::new(text, textgrad_core::FinishReason::Stop));
        Ok(textgrad_core::Response::new(choices.collect()))
    });
    let server = FakeServer::builder().engine(engine).reward(|_, answer| marks(answer));
    let server = server.start().await.unwrap();
    let run = tempfile::tempdir().unwrap();
    let queries = json!([QUERY]).to_string();
    std::fs::write(run.path().join("queries.json"), queries).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpo"));
    command.env_clear().current_dir(run.path()).args(["run", "--data", "queries.json"]);
    command.args(["--out", "out", "--samples", "2", "--no-preflight", "--prompts"]).arg(folder());
    command.args(["--engine", "openai", "--base-url", &server.base_url(), "--model", "m"]);
    command.args(["--reward", "vllm", "--reward-url", &server.url(), "--reward-model", "r"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let sent: Vec<(String, String)> = server
        .requests_to(Route::Chat)
        .iter()
        .map(|body| {
            let of = |place: usize, role: &str| {
                assert_eq!(body["messages"][place]["role"], role);
                body["messages"][place]["content"].as_str().unwrap().to_owned()
            };
            (of(0, "system"), of(1, "user"))
        })
        .collect();
    assert_eq!(sent, expected(Mode::Tpo));
    let results = std::fs::read_to_string(run.path().join("out/results.jsonl")).unwrap();
    let result: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(result["best"]["text"], "best!!!!");
}

#[test]
fn the_simulation_understands_the_pack() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpo"));
    command.env_clear().args(["run", "--json", "--prompts"]).arg(folder());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    // It rewrites what it is shown as the text, which this style shortens: so its texts have the mark of that, and are
    // asked for again twice.
    assert_eq!((&told["summary"]["succeeded"], &told["summary"]["failed"]), (&json!(8), &json!(0)));
    assert_eq!(told["summary"]["usage"]["requests"], 8 * (1 + 2 * (2 + 3)));
    assert!(told["summary"]["fruitless"].as_u64().unwrap() > 8, "{told}");
}
