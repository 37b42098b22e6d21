//! Labels, scores and stages of drawings.

use serde_json::{Value as Json, json};
use textgrad_core::{Annotations, Graph, Page, Variable};

use crate::page::data;
use crate::support::{join, on};

/// A search of two iterations that both rewrite the first answer, with a failed end in the second.
async fn search() -> (Graph, Annotations) {
    let query = Variable::constant("Why?", "query");
    let first = on(join("sample"), &[&query]).await;
    let mut annotations = Annotations::default();
    annotations.stage("first", [&first]).label(&first, "answer 0").score(&first, 0.25);
    let mut ends = Vec::new();
    for (number, name) in [(1, "second"), (2, "third")] {
        let loss = on(join("loss"), &[&query, &first]).await;
        let update = on(join("update"), &[&first, &loss]).await;
        let unused = on(join("unused"), &[&loss]).await;
        annotations.stage(name, [&update, &unused]);
        annotations.label(&update, format!("answer {number}")).score(&update, f64::from(number));
        ends.extend([update, unused]);
    }
    (Graph::trace_all(&ends), annotations)
}

#[tokio::test]
async fn nodes_belong_to_the_first_stage_that_uses_them() {
    let (graph, annotations) = search().await;
    let json = graph.view().annotations(&annotations).to_json();
    assert_eq!(json["stages"], json!(["first", "second", "third"]));
    let nodes = json["nodes"].as_array().unwrap();
    let stages =
        |stage: u64| nodes.iter().filter(move |node| node["stage"] == json!(stage)).count();
    // The query, its call and its answer; losses, updates and unused ends with their calls.
    assert_eq!((stages(0), stages(1), stages(2)), (3, 6, 6));
    let labelled: Vec<(&Json, &Json)> = nodes
        .iter()
        .filter(|node| node.get("label").is_some())
        .map(|node| (&node["label"], &node["score"]))
        .collect();
    let expected = [("answer 0", 0.25), ("answer 1", 1.0), ("answer 2", 2.0)];
    let expected = expected.map(|(label, score)| (json!(label), json!(score)));
    assert_eq!(labelled, expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
    // Without annotations there is none of it.
    let plain = graph.view().to_json().to_string();
    assert!(!plain.contains("stage") && !plain.contains("label") && !plain.contains("score"));
}

#[tokio::test]
async fn a_page_draws_each_stage_below_the_one_before() {
    let (graph, annotations) = search().await;
    let view = graph.view().annotations(&annotations);
    let html = view.to_html();
    let page = data(&html);
    let (nodes, layout) = (&page["graphs"][0]["data"]["nodes"], &page["graphs"][0]["layout"]);
    let rows = layout["row"].as_array().unwrap().iter().map(|row| row.as_u64().unwrap());
    let of: Vec<(u64, u64)> = rows
        .zip(nodes.as_array().unwrap())
        .map(|(row, node)| (node["stage"].as_u64().unwrap(), row))
        .collect();
    let rows = |stage| of.iter().filter(move |(own, _)| *own == stage).map(|(_, row)| *row);
    for stage in 1..=2 {
        assert!(rows(stage - 1).max() < rows(stage).min(), "{of:?}");
    }
    let first = |stage| rows(stage).min().unwrap();
    assert_eq!(
        layout["stages"],
        json!([[first(0), "first"], [first(1), "second"], [first(2), "third"]])
    );
    // JSON makes the same page; a stage that has no name is refused.
    let mut json = view.to_json();
    let read = Page::new("textgrad graph").graph_json("graph", &json).unwrap();
    assert_eq!(read.to_html(), html);
    json["nodes"][0]["stage"] = json!(7);
    let error = Page::new("p").graph_json("g", &json).unwrap_err().to_string();
    assert!(error.contains("of stage 7, but there are 3"), "{error}");
}

#[tokio::test]
async fn labels_stages_and_scores_are_in_dot_and_mermaid() {
    let (graph, annotations) = search().await;
    let view = graph.view().annotations(&annotations);
    assert!(
        view.to_dot().contains(r#"label="answer 2\nthird, score 2.000\n"#),
        "{}",
        view.to_dot()
    );
    assert!(
        view.to_mermaid().contains("answer 0<br/>first, score 0.250<br/>"),
        "{}",
        view.to_mermaid()
    );
}
