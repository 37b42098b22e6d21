//! An op of one's own that a model gives feedback for: it drafts and edits in one call, and its backward is a request.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin custom_feedback
//! ```
//! The model is the embedded simulation; for a real one add `-- --engine ollama/llama3`.

use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;
use textgrad_core::{
    Backward, BackwardCx, Engine, Error, Gradient, Gradients, Inputs, Layout, Message, Op,
    OpFailure, Output, Parameter, Purpose, Quote, Request, Sampling, Seed, Variable, apply,
};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::{ContrastiveLoss, FeedbackRequest};

/// Drafts an answer to a query under some rules, and edits it. Both are outputs.
struct DraftAndEdit {
    engine: Arc<dyn Engine>,
    feedback: FeedbackRequest,
    seed: Seed,
}

impl DraftAndEdit {
    fn request(inputs: &Inputs) -> Result<Request, Error> {
        let messages =
            [Message::system(inputs.text("rules")?), Message::user(inputs.text("query")?)];
        Ok(Request::new(Purpose::Forward, messages))
    }

    async fn ask(&self, request: Request, step: u64) -> Result<String, Error> {
        let sampling = Sampling::default().at(Some(self.seed.child("step", step)));
        let response = self.engine.complete(&request.with_sampling(sampling)).await?;
        let first = response.choices.into_iter().next();
        first.map(|choice| choice.text).ok_or_else(|| Error::op("expected a reply, got none"))
    }
}

#[async_trait]
impl Op for DraftAndEdit {
    fn name(&self) -> &str {
        "draft and edit"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let mut request = Self::request(inputs)?;
        let draft = self.ask(request.clone(), 0).await?;
        let edit = Message::user(format!("Write this better:\n{draft}"));
        request.messages.push(edit);
        let answer = self.ask(request, 1).await?;
        Ok(vec![Output::new(draft, "draft of an answer"), Output::new(answer, "answer to a query")])
    }

    /// Base, chain or continued: the pass says which.
    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        self.feedback.send(cx).await
    }

    /// How requests show a call of this op.
    fn quote(&self, inputs: &Inputs) -> Quote {
        match Self::request(inputs) {
            Ok(request) => Quote::Conversation { request, examples: 0 },
            Err(_) => Quote::function("drafts an answer and edits it"),
        }
    }
}

/// The gradients of three passes: from the answer itself, from an evaluation of it, and from an evaluation of it in the
/// continued layout.
async fn passes(
    engine: &Arc<dyn Engine>,
    rules: &Parameter,
    seed: Seed,
) -> Result<[(&'static str, Gradients); 3], Failure> {
    let query = Variable::constant("How do I take care of a wooden table?", "query of a user");
    let feedback = FeedbackRequest::new(Arc::clone(engine));
    let op = DraftAndEdit { engine: Arc::clone(engine), feedback, seed };
    let rules = rules.variable();
    let outputs = apply(Arc::new(op), [("rules", &rules), ("query", &query)]).await?;
    let [_, answer] = outputs.as_slice() else { return Err(Failure::new("expected two outputs")) };
    let loss = ContrastiveLoss::new(Arc::clone(engine), &query).seed(seed.child("loss", 0));
    let evaluation = loss.evaluate(answer).await?;
    let pass = |root: &Variable| Backward::new(root).seed(seed.child("backward", 0));
    Ok([
        ("base", pass(answer).run().await?),
        ("chain", pass(&evaluation).run().await?),
        ("continued", pass(&evaluation).layout(Layout::Continued).run().await?),
    ])
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let engine = options.connect()?;
    announce(&*engine);
    let rules =
        Parameter::new("Answer the query.", "system prompt of a model that answers queries");
    for (form, gradients) in passes(&engine, &rules, options.seed()).await? {
        heading(&format!("feedback on the rules, {form} form"));
        println!("{}", quote(&gradients.text(&rules)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_ops::sim::Sim;

    use super::*;

    #[tokio::test]
    async fn each_form_gives_feedback_on_the_rules_alone() {
        let engine: Arc<dyn Engine> = Arc::new(Sim::default());
        let rules = Parameter::new("Answer the query.", "system prompt");
        for (form, gradients) in passes(&engine, &rules, Seed::new(7)).await.unwrap() {
            let [feedback] = gradients.received(&rules) else {
                panic!("{form}: expected one edge")
            };
            let feedback = feedback.gradient().feedback().unwrap();
            assert!(!feedback.text().is_empty());
            let dialogue = feedback.contexts()[0].dialogue();
            assert_eq!(dialogue.is_some(), form == "continued");
        }
    }
}
