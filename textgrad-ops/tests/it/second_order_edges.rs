//! Passes through earlier turns, through the calls that an update quotes, and through updates of a whole graph.

use std::sync::Arc;

use serde_json::json;
use textgrad_core::{
    Backward, Error, Feedback, Gradients, Layout, Message, Parameter, PromptPack, Purpose,
    Variable, backward,
};
use textgrad_ops::prompts::templates;
use textgrad_ops::{GraphOptimizer, LlmCall, Optimizer, TextLoss, TextualGradientDescent, Turn};

use crate::support::{Answers, lines, picture};

#[tokio::test]
async fn turns_that_are_variables_are_sent_in_their_place_and_receive_feedback() {
    let engine = Answers::plain("model");
    let call = LlmCall::builder(engine.clone()).build();
    let first = Variable::differentiable("first question", "question");
    let count = call.ask(&first).one().await.unwrap();
    let system = Variable::differentiable("be kind", "system prompt");
    let prompt = Variable::constant("second question", "question");
    let turns = [Turn::user(&first), Turn::assistant(&count), Message::user("a constant").into()];
    let chat = call.ask(&prompt).system(&system).attach(Variable::constant("note", "note"));
    let answer = chat.history(turns).one().await.unwrap();
    let sent = engine.requests().pop().unwrap();
    assert_eq!(
        lines(&sent),
        [
            "system: be kind",
            "user: first question",
            "assistant: model forward",
            "user: a constant",
            "user: note + second question",
        ]
    );
    let gradients = backward(&answer).await.unwrap();
    // On the system prompt, on both turns; then on the first question as the prompt of the first call.
    assert_eq!(engine.asked(Purpose::Gradient).len(), 4);
    assert_eq!(gradients.received(&first).len(), 2);
    assert_eq!((gradients.received(&count).len(), gradients.received(&system).len()), (1, 1));

    // Messages are constants: nothing more is asked.
    let constants = [Message::user("first question"), Message::assistant("model forward")];
    let answer = call.ask(&prompt).system(&system).history(constants).one().await.unwrap();
    Backward::new(&answer).layout(Layout::Continued).run().await.unwrap();
    assert_eq!(engine.asked(Purpose::Gradient).len(), 5);

    // In the other forms of a prompt, turns are no fields.
    let form = LlmCall::builder(engine.clone()).template("Q: {{turn}}", ["turn"]).unwrap().build();
    let field = [("turn", &prompt)];
    form.ask_fields(field).history([Turn::user(&first)]).one().await.unwrap();
    let sent = engine.requests().pop().unwrap();
    assert_eq!(lines(&sent), ["user: first question", "user: Q: second question"]);
    let pictured = call.ask(&prompt).history([Turn::user(picture())]).one().await.unwrap();
    assert!(engine.requests().pop().unwrap().messages[0].has_image());
    assert!(!pictured.requires_grad());
}

/// The requests of a pass from the judgement of an update to the system prompt of the call that the update quotes.
async fn through_contexts(differentiate: bool) -> (usize, usize, Result<Gradients, Error>) {
    let engine = Answers::plain("model");
    let system = Variable::constant("be kind", "system prompt");
    let prompt = Variable::constant("why?", "question");
    let call = LlmCall::builder(engine.clone()).build();
    let answer = call.ask(&prompt).system(&system).one().await.unwrap();
    // Feedback on the question, whose context is the call with that system prompt.
    let inner = Backward::new(&answer).wrt([&prompt]).create_graph(true);
    let inner = inner.run().await.unwrap();
    let feedback: Vec<Feedback> = inner.feedback(&prompt).cloned().collect();
    let optimizer = TextualGradientDescent::builder(engine.clone()).create_graph(true);
    let optimizer = optimizer.differentiate_contexts(differentiate).build();
    let new = optimizer.rewrite(&prompt, &feedback, None).await.unwrap();
    let new = &new.candidates[0];
    let loss = TextLoss::new(engine.clone(), "Judge.").evaluate(new).await.unwrap();
    let before = engine.asked(Purpose::Gradient).len();
    let outer = Backward::new(&loss).wrt([&system]).run().await.map_err(Error::from);
    let inputs = new.source().unwrap().call().inputs().len();
    (
        inputs,
        engine.asked(Purpose::Gradient).len() - before,
        outer.inspect(|outer| {
            let consumers = outer.received(&system).iter().filter_map(|edge| edge.consumer());
            let names: Vec<&str> = consumers.map(|call| call.op().name()).collect();
            let expected: &[&str] = if differentiate { &["llm", "update"] } else { &["llm"] };
            assert_eq!(names, expected);
        }),
    )
}

#[tokio::test]
async fn quoted_calls_are_part_of_the_graph_on_demand_only() {
    // The text and the feedback. The system prompt is reached through the feedback, which is on the answer.
    let (inputs, requests, outer) = through_contexts(false).await;
    assert!(outer.is_ok());
    assert_eq!((inputs, requests), (2, 1 + 1 + 1 + 1));
    // The system prompt and the answer beside them: two requests more.
    let (inputs, requests, outer) = through_contexts(true).await;
    assert!(outer.is_ok());
    assert_eq!((inputs, requests), (4, 4 + 2));
}

#[tokio::test]
async fn a_pass_goes_through_an_update_of_a_whole_graph_on_demand_only() {
    let new = json!({ "system_prompt": "Be kind and brief." });
    let answer = format!("<NEW_TEXTS>\n{new}\n</NEW_TEXTS>");
    let engine = Answers::new("model", move |request| match request.purpose {
        Purpose::Update => answer.clone(),
        purpose => format!("on {purpose}"),
    });
    let wording = Parameter::new("Write new texts.", "template");
    let pack = PromptPack::new(templates()).unwrap();
    let pack = Arc::new(pack.with_variable("graph_update_system", &wording).unwrap());
    for create_graph in [true, false] {
        let system = Parameter::new("Be kind.", "system prompt");
        let prompt = Variable::constant("why?", "question");
        let call = LlmCall::builder(engine.clone()).build();
        let answer = call.ask(&prompt).system(&system).one().await.unwrap();
        let optimizer = GraphOptimizer::builder(engine.clone()).prompts(Arc::clone(&pack));
        let optimizer = optimizer.create_graph(create_graph).build();
        let parameters = std::slice::from_ref(&system);
        let proposal = optimizer.propose(parameters, &answer, &Gradients::default()).await.unwrap();
        let new = &proposal.updates[0].rewrite.as_ref().unwrap().candidates[0];
        assert_eq!((new.text(), new.requires_grad()), (Some("Be kind and brief."), create_graph));
        let loss = TextLoss::new(engine.clone(), "Judge.").evaluate(new).await.unwrap();
        let outer = Backward::new(&loss).wrt([&wording]).run().await;
        if create_graph {
            let gradients = outer.unwrap();
            assert_eq!(gradients.text(&wording), "on gradient");
            assert_eq!(gradients.received(&wording).len(), 1);
            let whole = backward(&loss).await.unwrap();
            // As the text that was shown, and as the system prompt of the answer.
            assert_eq!(whole.received(&system).len(), 2);
        } else {
            let error = outer.unwrap_err().error;
            assert!(matches!(error, Error::NothingInGraph { .. }), "{error}");
        }
    }
}
