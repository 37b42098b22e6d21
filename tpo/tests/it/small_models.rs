//! Small models: they echo the query, copy marks of a request, and need short prompts.

use std::sync::Arc;

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Engine, Part, Purpose};
use tpo::search::Guard;
use tpo::{RewardModel, Summary, Tpo, TpoBuilder, prompts, reward_fn};

const QUERY: &str = "What is the color of Mars?";
const ECHO: &str = "<IMPROVED_VARIABLE>\nWhat is the color of Mars?\n</IMPROVED_VARIABLE>";
const REWRITE: &str =
    "<IMPROVED_VARIABLE>\nMars is a rusty red, for its dust has iron in it.\n</IMPROVED_VARIABLE>";

/// A relevance scorer, which likes an echo best.
fn relevance() -> Arc<dyn RewardModel> {
    Arc::new(reward_fn("relevance", |_, answer: &str| {
        let words = answer.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.collect();
        words.iter().filter(|word| QUERY.contains(**word)).count() as f64
            / words.len().max(1) as f64
    }))
}

fn engine(updates: [&'static str; 2]) -> Arc<ScriptedEngine> {
    let engine = ScriptedEngine::default()
        .on(Purpose::Sample, Reply::texts(["Mars looks red.", "It is red like rust."]))
        .on(Purpose::Loss, "It gives no reason.")
        .on(Purpose::Gradient, "Give the reason.")
        .on(Purpose::Update, Reply::texts(updates));
    Arc::new(engine)
}

fn tpo(engine: &Arc<ScriptedEngine>) -> TpoBuilder {
    Tpo::builder(Arc::clone(engine) as Arc<dyn Engine>, relevance()).samples(2).iterations(1)
}

#[tokio::test]
async fn an_answer_that_echoes_the_query_is_counted_or_left_out() {
    let engine = engine([ECHO, REWRITE]);
    let warned = tpo(&engine).build().unwrap();
    let aligned = warned.align(QUERY).await.unwrap();
    assert_eq!(aligned.answer(), QUERY);
    let mut summary = Summary::new(false);
    let query = QUERY.into();
    summary.add(&tpo::QueryOutcome { index: 0, query, result: Ok(aligned) });
    assert_eq!(summary.suspicious["echo"], 1);

    let engine = self::engine([ECHO, REWRITE]);
    let guarded = tpo(&engine).guard(Guard::Exclude).build().unwrap();
    let aligned = guarded.align(QUERY).await.unwrap();
    assert_ne!(aligned.answer(), QUERY);
    let step = &aligned.trajectory().iterations[0];
    assert_eq!(
        (step.updates, &step.unusable[..]),
        (1, &["left out by the guard: echo".to_owned()][..])
    );
    assert_eq!(aligned.trajectory().candidates.len(), 3);
}

#[tokio::test]
async fn an_update_with_marks_of_its_request_is_asked_for_again_in_one_text() {
    let copied =
        "<IMPROVED_VARIABLE>\n<LM_OUTPUT>\nMars is red, for it rusts.\n</IMPROVED_VARIABLE>";
    let engine = ScriptedEngine::default()
        .on(Purpose::Sample, Reply::texts(["Mars looks red.", "It is red like rust."]))
        .on(Purpose::Loss, "It gives no reason.")
        .on(Purpose::Gradient, "Give the reason.")
        .on(Purpose::Update, Reply::texts([copied, REWRITE]))
        .on(Purpose::Update, REWRITE);
    let engine = Arc::new(engine);
    let aligned = tpo(&engine).build().unwrap().align(QUERY).await.unwrap();
    let step = &aligned.trajectory().iterations[0];
    assert_eq!(step.updates, 2);
    assert!(step.unusable[0].contains("<LM_OUTPUT>"), "{:?}", step.unusable);
    let requests = engine.requests();
    let again = requests.last().unwrap();
    let [Part::Text(text)] = again.messages.last().unwrap().parts.as_slice() else {
        panic!("{again:?}")
    };
    assert!(text.contains("could not be used: its text had <LM_OUTPUT>"), "{text}");
}

#[tokio::test]
async fn the_compact_pack_asks_for_one_thing_at_a_time_with_the_query_first() {
    let engine = engine([REWRITE, REWRITE]);
    let pack = Arc::new(prompts::compact_pack());
    let compact = tpo(&engine).prompts(pack).build().unwrap();
    compact.align(QUERY).await.unwrap();
    let asked = engine.requests();
    let default_engine = self::engine([REWRITE, REWRITE]);
    tpo(&default_engine).build().unwrap().align(QUERY).await.unwrap();
    let length = |request: &textgrad_core::Request| {
        request.messages.iter().map(|message| message.text().len()).sum::<usize>()
    };
    for (compact, default) in asked.iter().zip(default_engine.requests()) {
        let texts: Vec<String> = compact.messages.iter().map(|message| message.text()).collect();
        let all = texts.join("\n");
        assert!(all.contains(QUERY), "{all}");
        let tags = all.matches('<').count();
        match compact.purpose {
            Purpose::Sample => continue,
            Purpose::Update => {
                assert!(texts[1].starts_with("A user asked:\nWhat is the color of Mars?"), "{all}");
                assert!(all.contains("Give the reason.") && tags <= 4, "{all}");
            }
            Purpose::Gradient => {
                assert!(texts[1].starts_with("A user asked:\nWhat is the color of Mars?"), "{all}");
                assert!(all.contains("It gives no reason.") && tags == 0, "{all}");
            }
            _ => assert_eq!(tags, 0, "{all}"),
        }
        assert!(length(compact) < length(&default) / 2, "{}: {all}", length(&default));
    }
}
