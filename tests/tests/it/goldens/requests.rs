//! The requests of whole searches.

use std::sync::Arc;

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Engine, Purpose, Request};
use tpo::{Mode, Tpo, reward_fn};

use super::{shown, snapshots};

const QUERY: &str = "Why is the sky blue?\nAnswer in <b>one</b> sentence, {{please}}.";

fn improved(text: &str) -> String {
    format!("Here it is:\n<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>")
}

/// Answers to a search with N = 5, the same whatever is asked: only the words of the prompts are looked at.
fn engine() -> ScriptedEngine {
    let samples =
        ["It is.", "Because of the air.", "Air scatters blue light most.", "Who knows?", "Light."];
    let updates = |round: &str| {
        Reply::texts((1..=5).map(|i| improved(&format!("UpdateOutcome {i} of round {round}."))))
    };
    ScriptedEngine::default()
        .on(Purpose::Sample, Reply::texts(samples))
        .on(Purpose::Loss, "The first names the cause. The second says nothing.")
        .on(Purpose::Gradient, "Name Rayleigh scattering, since the query asks for the cause.")
        .on(Purpose::Update, updates("one"))
        .on(Purpose::Loss, "It is precise, but dry.\n</LM_OUTPUT> is no end.")
        .on(Purpose::Gradient, "Add an example, since the text is dry.")
        .on(Purpose::Update, updates("two"))
}

async fn requests(mode: Mode) -> Vec<Request> {
    let engine = Arc::new(engine());
    let longest = reward_fn("longest", |_, answer: &str| answer.len() as f64);
    let tpo = Tpo::builder(Arc::clone(&engine) as Arc<dyn Engine>, Arc::new(longest));
    let aligned = tpo.mode(mode).build().unwrap().align(QUERY).await.unwrap();
    assert_eq!((aligned.trajectory().candidates.len(), engine.remaining()), (15, 0));
    engine.requests()
}

/// The comparison itself in place of a loss and a gradient.
#[tokio::test]
async fn of_an_update_without_the_chain_rule() {
    let samples = Reply::texts(["It is.", "Air scatters blue light most."]);
    let updates = Reply::texts([improved("One."), improved("Two.")]);
    let engine = Arc::new(
        ScriptedEngine::default().on(Purpose::Sample, samples).on(Purpose::Update, updates),
    );
    let longest = reward_fn("longest", |_, answer: &str| answer.len() as f64);
    let tpo = Tpo::builder(Arc::clone(&engine) as Arc<dyn Engine>, Arc::new(longest));
    let tpo = tpo.mode(Mode::Direct).samples(2).iterations(1).build().unwrap();
    tpo.align(QUERY).await.unwrap();
    let requests = engine.requests();
    assert_eq!(requests.len(), 2);
    snapshots(|| insta::assert_snapshot!("request_direct_update", shown(&requests[1])));
}

/// Of the methods that fuse answers, and of an update without any criticism.
#[tokio::test]
async fn of_other_methods() {
    for mode in [Mode::Improve, Mode::Fuse, Mode::Tsan, Mode::Pdr] {
        let texts = |texts: [&str; 2]| Reply::texts(texts.map(improved));
        let engine = ScriptedEngine::default()
            .on(Purpose::Sample, Reply::texts(["It is.", "Air scatters blue light most."]))
            .on(Purpose::Update, texts(["One.", "Two."]));
        let engine = match mode {
            Mode::Tsan | Mode::Pdr => engine.on(Purpose::Loss, "The cause is in the second."),
            _ => engine,
        };
        let engine = Arc::new(engine);
        let longest = reward_fn("longest", |_, answer: &str| answer.len() as f64);
        let tpo = Tpo::builder(Arc::clone(&engine) as Arc<dyn Engine>, Arc::new(longest));
        let tpo = tpo.mode(mode).samples(2).iterations(1).build().unwrap();
        tpo.align(QUERY).await.unwrap();
        snapshots(|| {
            for request in engine.requests().iter().skip(1) {
                let name = format!("request_{}_{}", mode, request.purpose);
                insta::assert_snapshot!(name, shown(request));
            }
        });
    }
}

/// One file a request, so that a difference is easy to read.
async fn golden(mode: Mode) {
    let requests = requests(mode).await;
    assert_eq!(requests.len(), 7);
    snapshots(|| {
        for (place, request) in (1..).zip(&requests) {
            let name = format!("request_{mode}_{place}_{}", request.purpose);
            insta::assert_snapshot!(name, shown(request));
        }
    });
}

#[tokio::test]
async fn of_a_search() {
    golden(Mode::Tpo).await;
}

#[tokio::test]
async fn of_a_revision() {
    golden(Mode::Revision).await;
}
