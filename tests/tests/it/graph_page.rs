//! The script of graph pages.

use std::sync::Arc;

use textgrad_core::{Annotations, Graph, Inputs, Output, Page, Variable, apply_one, op_fn};
use textgrad_tests::script::check;

const EVIL: &str = "</script><script>alert(1)</script><img src=x> \u{202e}desrever";

/// A graph of two stages, and its page.
async fn page() -> String {
    let op = |name: &str, text: &'static str| {
        let op = move |_: Inputs| async move { Ok(vec![Output::new(text, "response")]) };
        Arc::new(op_fn(name, op))
    };
    let query = Variable::constant(EVIL, "query");
    let first = apply_one(op("sample", "Because."), [("query", &query)]).await.unwrap();
    let last = apply_one(op("update", "Because of light."), [("text", &first)]).await.unwrap();
    let mut annotations = Annotations::default();
    annotations.stage("Start", [&first]).label(&first, "answer 0").score(&first, 0.25);
    annotations.stage("Iteration 1", [&last]).label(&last, "answer 1").score(&last, -3.5);
    let graph = Graph::trace(&last);
    Page::new("a graph").graph(EVIL, &graph.view().annotations(&annotations)).to_html()
}

#[tokio::test]
async fn boxes_show_labels_and_scores_under_the_headings_of_stages() {
    let checks = r##"
        frame();
        for (const text of ["answer 0", "0.25", "answer 1", "-3.5", "Because.", "sample", "query"]) {
          assert(paper.texts.includes(text), `${text}: ${paper.texts}`);
        }
        // The best so far: the second stage has a lower one.
        assert(paper.texts.includes("Start \u00b7 best score so far 0.25"), paper.texts.join());
        assert(paper.texts.includes("Iteration 1 \u00b7 best score so far 0.25"), paper.texts.join());
        const shown = $("panel").textContent;
        for (const text of ["3 variables, 2 calls", "Start", "answer 0", "Iteration 1", "-3.5"]) {
          assert(shown.includes(text), `${text}: ${shown}`);
        }
        assert($("signs").textContent.includes("The number in a box is its score."));
        // A stage stands below the one before.
        assert(graph.rows[graph.stages[0].row][0] < graph.rows[graph.stages[1].row][0]);
    "##;
    check(&page().await, checks);
}

#[tokio::test]
async fn hostile_texts_are_texts_and_are_found() {
    let checks = r##"
        select(0);
        const shown = $("panel").textContent;
        assert(shown.includes("</script><script>alert(1)</script><img src=x> U+202Edesrever"), shown);
        assert(![...body.all()].some(({ tagName }) => tagName === "img"));
        query.value = "LIGHT";
        search();
        assert.deepEqual([...hits], [4]);
        assert.equal($("found").textContent, "1 match");
        assert(list.textContent.includes("answer 1"));
        query.value = "nowhere";
        search();
        assert.equal($("found").textContent, "0 matches");
        // Keys go along the edges.
        select(4);
        step("ArrowUp");
        assert.equal(graph.nodes[selected].op, "update");
        assert(brief("a\nb   c", 9) === "a b c" && brief("x".repeat(50), 5) === "xxxx\u2026");
    "##;
    check(&page().await, checks);
}
