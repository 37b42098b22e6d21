//! A search is one graph: samples, losses, gradients, updates, and what was made of what.

use std::sync::Arc;

use serde_json::json;
use textgrad_core::{Graph, GraphNode};
use textgrad_ops::sim::Sim;
use tpo::{Mode, SimReward, Tpo};

async fn search(mode: Mode) -> (tpo::Alignment, Graph) {
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).mode(mode);
    let aligned = tpo.build().unwrap().align("How do I boil an egg?").await.unwrap();
    let graph = aligned.graph();
    (aligned, graph)
}

fn count(graph: &Graph, op: &str) -> usize {
    graph.calls().filter(|call| call.op().name() == op).count()
}

#[tokio::test]
async fn every_call_of_a_search_stands_in_its_graph() {
    for (mode, rounds) in [(Mode::Tpo, 2), (Mode::Revision, 2), (Mode::Bon, 0)] {
        let (aligned, graph) = search(mode).await;
        assert_eq!(count(&graph, "sample"), 1);
        for op in ["choose", "loss instruction", "loss", "gradient", "update"] {
            assert_eq!(count(&graph, op), rounds, "{op} in {mode}");
        }
        for candidate in aligned.pool().candidates() {
            assert!(graph.contains(&candidate.answer), "{mode}");
        }
    }
}

#[tokio::test]
async fn a_drawing_shows_each_answer_with_its_score_and_its_iteration() {
    let (aligned, graph) = search(Mode::Tpo).await;
    let annotations = aligned.annotations();
    let json = graph.view().annotations(&annotations).to_json();
    assert_eq!(json["stages"], json!(["Iteration 0: first answers", "Iteration 1", "Iteration 2"]));
    let nodes = json["nodes"].as_array().unwrap();
    for (position, candidate) in aligned.pool().candidates().iter().enumerate() {
        let returned = if position == aligned.best() { ", returned" } else { "" };
        let label = json!(format!("answer {position}{returned}"));
        let node = nodes.iter().find(|node| node["label"] == label).unwrap();
        let shown = (&node["score"], &node["stage"], &node["value"]["text"]);
        let expected =
            (&json!(candidate.score), &json!(candidate.iteration), &json!(candidate.text()));
        assert_eq!(shown, expected);
    }
    // What led to an update is of its iteration.
    let op = |name: &str| {
        let calls = nodes.iter().filter(|node| node["op"] == json!(name));
        calls.map(|node| node["stage"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(op("sample"), [0]);
    for name in ["choose", "loss instruction", "loss", "gradient", "update"] {
        assert_eq!(op(name), [1, 2], "{name}");
    }
}

#[tokio::test]
async fn an_update_leads_back_to_the_gradient_the_loss_and_the_query() {
    let (aligned, _) = search(Mode::Tpo).await;
    let last = &aligned.pool().candidates().last().unwrap().answer;
    let graph = Graph::trace(last);
    let path = graph.critical_path(|_| 1.0);
    let ops: Vec<&str> =
        path.nodes.iter().filter_map(GraphNode::call).map(|c| c.op().name()).collect();
    assert_eq!(ops[ops.len() - 5..], ["choose", "loss instruction", "loss", "gradient", "update"]);
    assert!(graph.variables().any(|variable| variable.text() == Some("How do I boil an egg?")));
    // A search differentiates the chosen answers only: nothing before them asks for feedback.
    for call in graph.calls().filter(|call| ["sample", "update"].contains(&call.op().name())) {
        assert!(call.outputs().len() == 5, "{call:?}");
    }
    assert!(aligned.pool().candidates().iter().all(|c| !c.answer.requires_grad()));
}

#[tokio::test]
async fn a_conversation_is_continued_as_it_is() {
    let engine = Arc::new(textgrad_core::testing::ScriptedEngine::new(["Blue."]));
    let query = tpo::Query::conversation([
        textgrad_core::Message::system("One word."),
        textgrad_core::Message::user("Mars?"),
        textgrad_core::Message::assistant("Red."),
        textgrad_core::Message::user("Neptune?"),
    ])
    .unwrap();
    let length = tpo::reward_fn("length", |_, answer: &str| answer.len() as f64);
    let tpo = tpo::Tpo::builder(engine.clone(), Arc::new(length)).samples(1).iterations(0);
    let aligned = tpo.build().unwrap().align(&query).await.unwrap();
    assert_eq!(aligned.answer(), "Blue.");
    let sent: Vec<(String, String)> = engine.requests()[0]
        .messages
        .iter()
        .map(|message| (message.role.to_string(), message.text()))
        .collect();
    let turn = |role: &str, text: &str| (role.to_owned(), text.to_owned());
    assert_eq!(
        sent,
        [
            turn("system", "One word."),
            turn("user", "Mars?"),
            turn("assistant", "Red."),
            turn("user", "Neptune?"),
        ]
    );
}
