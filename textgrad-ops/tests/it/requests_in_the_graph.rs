//! Requests in the graph equal the requests that were sent.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Graph, Request, Sampling, Seed, Variable, backward};
use textgrad_ops::{LlmCall, LlmReduce, TextLoss, TextualGradientDescent, aggregate};

#[tokio::test]
async fn every_call_of_a_model_tells_the_request_that_it_sent() {
    let engine = Arc::new(ScriptedEngine::new([
        "one",
        "two",
        "loss",
        "on both",
        "on the question, by the second call",
        "on the question, by the first call",
        "merged",
        "<IMPROVED_VARIABLE>\nnew\n</IMPROVED_VARIABLE>",
    ]));
    let sampling = Sampling::default().with_temperature(0.5);
    let builder = || LlmCall::builder(engine.clone()).sampling(sampling.clone());
    let question = Variable::differentiable("question", "question");
    let system = Variable::constant("system", "system prompt");
    let one =
        builder().build().ask(&question).system(&system).seed(Seed::new(7)).one().await.unwrap();
    let two = builder().template("Say {{what}}", ["what"]).unwrap().build();
    let two = two.ask_fields([("what", &question)]).one().await.unwrap();
    let reduce = LlmReduce::new(engine.clone());
    let both = aggregate([&one, &two], Arc::new(reduce)).await.unwrap();
    let loss = TextLoss::new(engine.clone(), "judge").evaluate(&both).await.unwrap();
    let gradients = backward(&loss).await.unwrap();
    let feedback: Vec<_> = gradients.feedback(&question).cloned().collect();
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    let new = optimizer.rewrite(&question, &feedback, Some(Seed::new(8))).await.unwrap();

    let mut ends = vec![loss];
    ends.extend(new.candidates);
    let said = gradients.variables().flat_map(|variable| gradients.feedback(variable));
    ends.extend(said.map(|feedback| feedback.variable().clone()));
    let graph = Graph::trace_all(&ends);
    let told: Vec<Request> =
        graph.calls().filter_map(|call| call.op().request(call.inputs())).collect();
    let sent = engine.requests();
    assert_eq!(sent.len(), 8);
    for request in &sent {
        assert!(told.contains(request), "sent, but not in the graph: {request:#?}");
    }
    for request in &told {
        assert!(sent.contains(request), "in the graph, but not sent: {request:#?}");
    }
}
