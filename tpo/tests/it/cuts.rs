//! Answers that are cut to a number of tokens before they enter a prompt.

use std::path::Path;
use std::sync::Arc;

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Message, Purpose};
use textgrad_ops::sim::Sim;
use tpo::run::{RecordedRun, RunConfig};
use tpo::{
    Error, HfTokenizer, Mode, SimReward, Tokenizer, Tpo, TpoBuilder, TpoConfig, Truncation,
    reward_fn,
};

use crate::support::recorded;

/// Every word is a token, and punctuation too.
fn words(known: &str) -> Arc<dyn Tokenizer> {
    let json = serde_json::json!({
        "pre_tokenizer": { "type": "Whitespace" },
        "model": { "type": "WordLevel", "vocab": { "?": 0, known: 1 }, "unk_token": "?" },
    });
    Arc::new(HfTokenizer::from_json(json.to_string()).unwrap())
}

fn cutting(tpo: TpoBuilder, tokens: usize, known: &str) -> TpoBuilder {
    let config = TpoConfig {
        truncate: Some(Truncation::Tokens(tokens)),
        iterations: 1,
        samples: 2,
        ..TpoConfig::default()
    };
    tpo.config(config).tokenizer(words(known))
}

#[tokio::test]
async fn prompts_are_shown_beginnings_and_the_pool_keeps_all() {
    let long = "Rub the wood\u{1F9FF} dry, oil it \u{e9}very year.";
    let short = "Leave it.";
    let engine = ScriptedEngine::default()
        .on(Purpose::Sample, Reply::texts([long, short]))
        .on(Purpose::Loss, "the loss")
        .on(Purpose::Gradient, "the gradient")
        .on(Purpose::Update, Reply::texts(["<IMPROVED_VARIABLE>new</IMPROVED_VARIABLE>"; 2]));
    let engine = Arc::new(engine);
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let scored = Arc::clone(&seen);
    let reward = reward_fn("length", move |_, answer: &str| {
        scored.lock().unwrap().push(answer.to_owned());
        answer.len() as f64
    });
    let tpo = cutting(Tpo::builder(engine.clone(), Arc::new(reward)), 7, "wood");
    let aligned = tpo.build().unwrap().align("How?").await.unwrap();
    assert_eq!(aligned.answer(), long);
    assert_eq!(*seen.lock().unwrap(), [long, short, "new"], "what is scored is whole");
    assert_eq!(aligned.trajectory().candidates[0].text, long);
    let requests = engine.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests[1..] {
        let text: String = request.messages.iter().map(Message::text).collect();
        assert!(!text.contains("it \u{e9}very"), "{text}");
    }
    // Of the emoji and the comma each is a token.
    let text: String = requests[1].messages.iter().map(Message::text).collect();
    assert!(
        text.contains("Rub the wood\u{1F9FF} dry, oil") && text.contains("Leave it."),
        "{text}"
    );
}

async fn run(path: &Path, tpo: Tpo) -> RecordedRun {
    recorded(path, tpo, &["How do I take care of a wooden table?"], 64).await
}

#[tokio::test]
async fn a_run_knows_the_tokenizer_that_it_cut_by() {
    let folder = tempfile::tempdir().unwrap();
    let sim = || Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).mode(Mode::Tpo);
    let tpo = cutting(sim(), 6, "oil").build().unwrap();
    let recorded = run(&folder.path().join("a"), tpo.clone()).await;
    let identity = words("oil").identity().into_owned();
    assert_eq!(recorded.config().tokenizer, Some(identity));
    assert!(recorded.verify().unwrap().is_sound());

    let prompts = Arc::new(tpo::prompts::default_pack());
    let differs = |outcome: Result<_, Error>| match outcome {
        Err(Error::RunDiffers { differences, .. }) => differences.join("; "),
        other => unreachable!("{other:?}"),
    };
    let without = differs(recorded.align(0, Arc::clone(&prompts)).await);
    assert!(without.contains("give the tokenizer.json"), "{without}");
    let with = |known| recorded.clone().with_tokenizer(words(known));
    let other = differs(with("wax").align(0, Arc::clone(&prompts)).await);
    assert!(other.contains("the tokenizer"), "{other}");
    let recalled = with("oil").align(0, Arc::clone(&prompts)).await.unwrap();
    assert_eq!(recalled.trajectory(), &recorded.result(0).unwrap().trajectory);

    let uncut = run(&folder.path().join("b"), sim().build().unwrap()).await;
    let idle = differs(uncut.with_tokenizer(words("oil")).align(0, prompts).await);
    assert!(idle.contains("run without one"), "{idle}");

    let now = cutting(sim(), 6, "wax").build().unwrap();
    let config = RunConfig::new(&now, "test", &["x".into()]);
    let then = serde_json::to_value(recorded.config()).unwrap();
    assert!(config.differences(&then).contains(&"the tokenizer".to_owned()));
}
