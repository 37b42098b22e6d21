//! Updates by edits of the chosen answer.

use std::sync::{Arc, Mutex};

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Engine, Layout, Message, Purpose, Request, engine_fn};
use textgrad_ops::sim::Sim;
use tpo::{SimReward, Tpo, TpoConfig, reward_fn};

use crate::support::recorded;

const CHOSEN: &str = "Oil the table. Wipe it dry, and do so once a year.";

fn edit(find: &str, put: &str) -> String {
    format!("<EDIT>\n<FIND>{find}</FIND>\n<REPLACE>{put}</REPLACE>\n</EDIT>")
}

async fn search(config: TpoConfig, updates: [Reply; 2]) -> (Vec<String>, Vec<String>) {
    let engine = ScriptedEngine::default()
        .on(Purpose::Sample, Reply::texts([CHOSEN, "Leave it."]))
        .on(Purpose::Loss, "the loss")
        .on(Purpose::Gradient, "the gradient");
    let engine =
        updates.into_iter().fold(engine, |engine, reply| engine.on(Purpose::Update, reply));
    let engine = Arc::new(engine);
    let reward = Arc::new(reward_fn("length", |_, answer: &str| answer.len() as f64));
    let config = TpoConfig { edits: 3, iterations: 1, samples: 2, ..config };
    let tpo = Tpo::builder(engine.clone(), reward).config(config).build().unwrap();
    let aligned = tpo.align("How?").await.unwrap();
    let answers = aligned.trajectory().candidates.iter().map(|one| one.text.clone());
    let requests = engine.requests().into_iter();
    let asked = requests.filter(|request| request.purpose == Purpose::Update);
    let asked = asked.map(|request| request.messages.iter().map(Message::text).collect());
    (answers.collect(), asked.collect())
}

#[tokio::test]
async fn edits_are_applied_to_the_chosen_answer() {
    let first = Reply::texts([edit("Oil", "Wax"), edit("the chair", "it")]);
    let second = Reply::text("<IMPROVED_VARIABLE>\nWax it.\n</IMPROVED_VARIABLE>");
    let (answers, asked) = search(TpoConfig::default(), [first, second]).await;
    assert_eq!(answers[2..], [CHOSEN.replace("Oil", "Wax"), "Wax it.".to_owned()]);
    assert!(asked[0].contains("at most 3 edits"), "{}", asked[0]);
    assert!(asked[1].contains("\"the chair\" of edit 1 is not in the text"), "{}", asked[1]);
}

/// Edits of the beginning that prompts have would lose the rest.
#[tokio::test]
async fn an_answer_that_enters_prompts_truncated_is_written_whole() {
    let truncate = Some("chars:30".parse().unwrap());
    let whole =
        |text: &str| Reply::text(format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>"));
    let config = TpoConfig { truncate, parse_retries: 1, ..TpoConfig::default() };
    let updates = [Reply::text(edit("Oil", "Wax")), whole("Wax it.")];
    let (answers, asked) = search(config, updates).await;
    assert_eq!(answers[2..], ["Wax it."]);
    assert!(asked.iter().all(|asked| !asked.contains("<FIND>")), "{asked:?}");
}

/// The loss of an answer that edits made shows it whole: the conversation of the update has only the edits.
#[tokio::test]
async fn chained_losses_show_edited_answers_whole() {
    let config = TpoConfig { edits: 6, layout: Layout::Chained, ..TpoConfig::default() };
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let losses = Arc::clone(&seen);
    let engine = engine_fn("sim", move |request: Request| {
        if request.purpose == Purpose::Loss {
            losses.lock().unwrap().push(request.clone());
        }
        async move { Sim::default().complete(&request).await }
    });
    let tpo = Tpo::builder(Arc::new(engine), Arc::new(SimReward)).config(config).build().unwrap();
    let aligned = tpo.align("How do I take care of a wooden table?").await.unwrap();
    let trajectory = aligned.trajectory();
    let losses = seen.lock().unwrap();
    assert_eq!(losses.len(), trajectory.iterations.len());
    let mut edited = 0;
    for (request, made) in losses.iter().zip(&trajectory.iterations) {
        let chosen = &trajectory.candidates[made.chosen];
        let mut turns = request.messages.iter().map(Message::text);
        assert!(turns.any(|turn| turn.contains(&chosen.text)), "{request:?}");
        edited += usize::from(chosen.iteration > 0);
    }
    assert!(edited > 0);
}

/// On the simulation, with some misquoted passages, a run is sound, and updates cost fewer tokens.
#[tokio::test]
async fn a_run_with_edits_is_sound_and_its_updates_are_shorter() {
    let place = tempfile::tempdir().unwrap();
    let queries = ["How do I take care of a wooden table?", "Why is the sky blue?", "Why sleep?"];
    let mut tokens = Vec::new();
    for edits in [0, 6] {
        let config = TpoConfig { edits, ..TpoConfig::default() };
        let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).config(config);
        let folder = place.path().join(edits.to_string());
        let run = recorded(&folder, tpo.build().unwrap(), &queries, 2).await;
        assert!(run.verify().unwrap().is_sound());
        let results = run.results().unwrap().map(|result| result.unwrap().trajectory.usage);
        let used = results.map(|usage| usage.by_purpose[&Purpose::Update].tokens.completion_tokens);
        tokens.push(used.sum::<u64>());
    }
    assert!(tokens[1] < tokens[0], "{tokens:?}");
}
