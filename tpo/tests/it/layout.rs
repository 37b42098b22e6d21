//! The continued layout: each request begins with what the server has read and written before.

use std::sync::{Arc, Mutex};

use textgrad_core::{Engine, Layout, Message, MessageRole, Purpose, Request, engine_fn};
use textgrad_ops::sim::Sim;
use tpo::{Mode, Pairs, Query, SimReward, Tpo, TpoConfig};

type Exchange = (Request, Vec<String>);

/// A search on the simulation, with all that was asked and answered.
async fn search(mode: Mode, pairs: Pairs, query: Query) -> (tpo::Alignment, Vec<Exchange>) {
    let said: Arc<Mutex<Vec<Exchange>>> = Arc::default();
    let written = Arc::clone(&said);
    let sim = Arc::new(Sim::default());
    let engine = engine_fn("sim", move |request: Request| {
        let (sim, written) = (Arc::clone(&sim), Arc::clone(&written));
        async move {
            let response = sim.complete(&request).await?;
            let answers = response.choices.iter().map(|choice| choice.text.clone()).collect();
            written.lock().unwrap().push((request, answers));
            Ok(response)
        }
    });
    let config = TpoConfig { mode, pairs, layout: Layout::Continued, ..TpoConfig::default() };
    let tpo = Tpo::builder(Arc::new(engine), Arc::new(SimReward)).config(config).build().unwrap();
    let aligned = tpo.align(query).await.unwrap();
    let said = said.lock().unwrap().clone();
    (aligned, said)
}

fn turns(request: &Request) -> Vec<(MessageRole, String)> {
    request.messages.iter().map(|message| (message.role, message.text())).collect()
}

/// How much the best score rose.
async fn each_request_continues(mode: Mode, query: Query) -> f64 {
    let (aligned, said) = search(mode, Pairs::BestWorst, query).await;
    let purposes: Vec<Purpose> = said.iter().map(|(request, _)| request.purpose).collect();
    let [loss, gradient, update] = [Purpose::Loss, Purpose::Gradient, Purpose::Update];
    assert_eq!(purposes, [Purpose::Sample, loss, gradient, update, loss, gradient, update]);
    let sampled = turns(&said[0].0);
    for (iteration, record) in aligned.trajectory().iterations.iter().enumerate() {
        let [loss, gradient, update] = [1, 2, 3].map(|step| &said[iteration * 3 + step]);
        let chosen = &aligned.trajectory().candidates[record.chosen].text;
        let loss_turns = turns(&loss.0);
        assert_eq!(
            loss_turns[..sampled.len()],
            sampled,
            "the loss continues the policy's dialogue"
        );
        assert_eq!(loss_turns[sampled.len()], (MessageRole::Assistant, chosen.clone()));
        assert_eq!(loss_turns.len(), sampled.len() + 2);
        for rejected in &record.rejected {
            let text = &aligned.trajectory().candidates[*rejected].text;
            assert!(loss_turns[sampled.len() + 1].1.contains(text));
        }
        for (earlier, later) in [(loss, gradient), (gradient, update)] {
            let mut expected = turns(&earlier.0);
            expected.push((MessageRole::Assistant, earlier.1[0].clone()));
            let later = turns(&later.0);
            assert_eq!(later[..expected.len()], expected);
            assert_eq!(later.len(), expected.len() + 1);
            assert!(!later.last().unwrap().1.contains(chosen.as_str()), "it is pointed to");
        }
    }
    aligned.score() - aligned.trajectory().best_score_by(0).unwrap()
}

#[tokio::test]
async fn losses_gradients_and_updates_continue_the_policys_conversation() {
    let gain =
        each_request_continues(Mode::Tpo, "How do I take care of a wooden table?".into()).await;
    assert!(gain > 0.0, "the simulation reads the continued layout too");
}

#[tokio::test]
async fn without_a_rejected_answer_too() {
    let query = "How do I take care of a wooden table?".into();
    assert!(each_request_continues(Mode::Revision, query).await > 0.0);
}

#[tokio::test]
async fn a_conversation_is_continued_after_its_last_turn() {
    let query = Query::conversation([
        Message::system("You help with furniture."),
        Message::user("I bought a wooden table."),
        Message::assistant("Congratulations!"),
        Message::user("How do I take care of it?"),
    ]);
    each_request_continues(Mode::Tpo, query.unwrap()).await;
}

/// Several conversations have no common end: the update quotes them, with the turns before the comparison.
#[tokio::test]
async fn an_update_after_several_comparisons_quotes_their_conversations() {
    let query = "How do I take care of a wooden table?";
    let (aligned, said) = search(Mode::Tpo, Pairs::All, query.into()).await;
    let updates = said.iter().filter(|(request, _)| request.purpose == Purpose::Update);
    for ((update, _), record) in updates.zip(&aligned.trajectory().iterations) {
        assert!(record.rejected.len() > 1);
        let turns = turns(update);
        let [(MessageRole::System, _), (MessageRole::User, user)] = &turns[..] else {
            panic!("{turns:?}")
        };
        let compared = record.rejected.len();
        let asked = format!("<LM_EARLIER_INPUT>\n{query}\n</LM_EARLIER_INPUT>");
        assert_eq!(user.matches(&asked).count(), compared, "{user}");
        assert_eq!(user.matches("The language model said the text in VARIABLE.").count(), compared);
        let chosen = &aligned.trajectory().candidates[record.chosen].text;
        assert_eq!(user.matches(chosen.as_str()).count(), 1, "it is shown once, as the variable");
    }
}
