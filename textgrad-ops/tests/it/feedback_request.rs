//! Requests for feedback from ops of one's own.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    Backward, BackwardCx, Error, Gradient, Inputs, Layout, Message, Op, OpFailure, Output, Purpose,
    Quote, Request, Seed, Variable, apply, backward,
};
use textgrad_ops::{FeedbackRequest, LlmCall};

use crate::support::{Answers, lines, pack, user};

/// An agent of the user's own: it takes notes and a task, and makes a plan and a result.
struct Agent {
    feedback: FeedbackRequest,
    is_model: bool,
}

#[async_trait]
impl Op for Agent {
    fn name(&self) -> &str {
        "agent"
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![Output::new("a plan", "plan"), Output::new("a result", "result")])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        self.feedback.send(cx).await
    }

    fn quote(&self, inputs: &Inputs) -> Quote {
        match inputs.text("task") {
            Ok(task) if self.is_model => {
                let request = Request::new(Purpose::Forward, [Message::user(task)]);
                Quote::Conversation { request, examples: 0 }
            }
            _ => Quote::function("plans and works"),
        }
    }
}

fn agent(engine: &Arc<Answers>, is_model: bool) -> Arc<Agent> {
    let feedback =
        FeedbackRequest::new(engine.clone()).prompts(pack()).feedback_example("Be exact.");
    Arc::new(Agent { feedback, is_model })
}

fn inputs() -> [(&'static str, Variable); 2] {
    let notes = Variable::differentiable("some notes", "notes");
    [("notes", notes), ("task", Variable::differentiable("a task", "task"))]
}

#[tokio::test]
async fn the_form_follows_from_the_pass() {
    let engine = Answers::plain("model");
    let inputs = inputs();
    let outputs = apply(agent(&engine, false), Inputs::new(inputs.clone())).await.unwrap();
    // Base: an output is the objective.
    let gradients = backward(&outputs[1]).await.unwrap();
    assert_eq!(gradients.text(&inputs[0].1), "model gradient");
    let asked = engine.asked(Purpose::Gradient);
    assert_eq!(asked.len(), 2);
    assert!(user(&asked[0]).starts_with("base some notes in [F=plans and works"), "{asked:?}");

    // Chain: both outputs have feedback, each with its number; the feedback has its past.
    let judge = LlmCall::builder(engine.clone()).prompts(pack()).build();
    let both = judge.ask(&outputs[0]).attach(&outputs[1]).one().await.unwrap();
    let gradients = Backward::new(&both).create_graph(true).run().await.unwrap();
    let asked = engine.asked(Purpose::Gradient);
    let last = user(asked.last().unwrap());
    assert!(last.starts_with("chain a task in [F=plans and works"), "{last}");
    assert!(
        last.contains("On output 1: model gradient") && last.contains("On output 2: "),
        "{last}"
    );
    let feedback = gradients.feedback(&inputs[1].1).next().unwrap();
    let made_of = feedback.variable().source().unwrap().call().inputs();
    let names: Vec<&str> = made_of.iter().map(|input| &**input.name()).collect();
    assert_eq!(names, ["variable", "response", "response", "feedback", "feedback"]);
    assert_eq!(feedback.contexts().len(), 2);

    // Continued: the quote is a conversation, and one output has gradients.
    let outputs = apply(agent(&engine, true), Inputs::new(inputs.clone())).await.unwrap();
    let pass = Backward::new(&outputs[1]).layout(Layout::Continued);
    pass.run().await.unwrap();
    let continued = engine.requests().pop().unwrap();
    assert_eq!(lines(&continued)[..2], ["user: a task", "assistant: a result"]);
    assert_eq!(continued.messages.len(), 3);
}

#[tokio::test]
async fn a_variable_that_enters_a_call_twice_is_asked_about_once() {
    let engine = Answers::plain("model");
    let text = Variable::differentiable("some text", "text");
    let twice = [("notes", text.clone()), ("task", text.clone())];
    let outputs = apply(agent(&engine, false), Inputs::new(twice)).await.unwrap();
    let gradients = backward(&outputs[0]).await.unwrap();
    assert_eq!((gradients.received(&text).len(), engine.asked(Purpose::Gradient).len()), (1, 1));

    let call = LlmCall::builder(engine.clone()).prompts(pack());
    let call = call.template("{{a}} {{b}}", ["a", "b"]).unwrap().build();
    let verdict = call.ask_fields([("a", &text), ("b", &text)]).system(&text).one().await.unwrap();
    let gradients = backward(&verdict).await.unwrap();
    assert_eq!((gradients.received(&text).len(), engine.asked(Purpose::Gradient).len()), (1, 2));

    // Only arguments that are part of the pass count; the seed is that of the argument.
    let stopped = [("notes", text.stop_gradient()), ("task", text.clone())];
    let outputs = apply(agent(&engine, false), Inputs::new(stopped)).await.unwrap();
    Backward::new(&outputs[0]).seed(Seed::new(7)).run().await.unwrap();
    assert_eq!(engine.asked(Purpose::Gradient).len(), 3);
    // Two texts that are equal are two variables.
    let equal = ["a", "b"].map(|name| (name, Variable::differentiable("some text", "text")));
    let outputs = apply(agent(&engine, false), Inputs::new(equal)).await.unwrap();
    backward(&outputs[0]).await.unwrap();
    assert_eq!(engine.asked(Purpose::Gradient).len(), 5);
}
