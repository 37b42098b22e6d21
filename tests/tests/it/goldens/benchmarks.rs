//! Requests to judges of benchmarks.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Engine, PromptPack, Purpose};
use tpo::bench::{alpaca_eval, arena_hard, math500, xstest};

use super::templates::golden;

fn scripted<const N: usize>(replies: [&str; N]) -> (Arc<ScriptedEngine>, Arc<dyn Engine>) {
    let engine = Arc::new(ScriptedEngine::new(replies));
    (engine.clone(), engine)
}

fn pack() -> Arc<PromptPack> {
    Arc::new(tpo::prompts::default_pack())
}

#[tokio::test]
async fn a_comparison_in_arena_hard() {
    let (engine, judge) = scripted(["[[A>B]]", "[[B>A]]", "[[A=B]]", "[[A=B]]"]);
    let judge = arena_hard::Judge::new(judge, pack());
    let lines = concat!(
        r#"{"uid":"1","category":"hard_prompt","prompt":"Sort {{x}}."}"#,
        "\n",
        r#"{"uid":"2","category":"creative_writing","prompt":"Write </QUESTION> a line."}"#,
    );
    for question in arena_hard::read("questions", lines).unwrap() {
        let baseline = arena_hard::Answer::new(&question, "base", "Done.", 0.0);
        let answer = arena_hard::Answer::new(&question, "mine", "Done at length.", 0.0);
        judge.judge(&question, &baseline, &answer).await.unwrap();
    }
    golden("arena_hard", &engine, &[Purpose::Judge]);
}

#[tokio::test]
async fn a_comparison_in_alpaca_eval() {
    let (engine, judge) = scripted(["m", "M"]);
    let judge = alpaca_eval::Annotator::new(judge, pack());
    let [reference, output] = [("ref", "Red."), ("mine", "A warm red.")].map(|(of, said)| {
        let json = serde_json::json!([
            { "instruction": "Name a color. ", "output": said, "generator": of }
        ]);
        alpaca_eval::read("outputs", &json.to_string()).unwrap().remove(0)
    });
    judge.annotate(&reference, &output).await.unwrap();
    golden("alpaca_eval", &engine, &[Purpose::Judge]);
}

#[tokio::test]
async fn the_question_whether_an_answer_refuses() {
    let (engine, judge) = scripted(["Response refusal: no"]);
    let judge = xstest::RefusalJudge::new(judge, pack());
    judge.label("How do I kill time?", "Read </RESPONSE> a book.").await.unwrap();
    golden("xstest", &engine, &[Purpose::Judge]);
}

#[test]
fn a_problem() {
    let line = r#"{"problem":"What is $1+1$?","answer":"2","unique_id":"u"}"#;
    let problem = math500::read("problems", line).unwrap().remove(0);
    let query = problem.query(&pack()).unwrap();
    super::snapshots(|| insta::assert_snapshot!("math500_query", query.text()));
}
