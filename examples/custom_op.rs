//! An op of one's own: an objective that calls no model, in a graph with one that does.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin custom_op
//! ```

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Feedback, Gradient, Graph, Inputs, Op, OpFailure, Output, Parameter, Variable,
    apply_one, backward, op_fn,
};
use textgrad_ops::sum;

/// Checks that a text has at most so many words. Its feedback is computed, not asked for.
struct MaxWords(usize);

#[async_trait]
impl Op for MaxWords {
    fn name(&self) -> &str {
        "max words"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, textgrad_core::Error> {
        let words = inputs.text("text")?.split_whitespace().count();
        let verdict = if words <= self.0 { "short enough" } else { "too long" };
        Ok(vec![Output::new(verdict, "verdict on the length")])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let words = cx.inputs().text("text")?.split_whitespace().count();
        let too_many = words.saturating_sub(self.0);
        // `None` is "nothing to say": it ends the pass on this edge and costs nothing.
        let feedback =
            (too_many > 0).then(|| Feedback::new(format!("Cut at least {too_many} words.")).into());
        Ok(vec![feedback])
    }
}

/// The same kind of thing from closures.
fn politeness() -> impl Op {
    op_fn("politeness", |inputs: Inputs| async move {
        let polite = inputs.text("text")?.contains("please");
        let verdict = if polite { "polite" } else { "rude" };
        Ok(vec![Output::new(verdict, "verdict on the tone")])
    })
    .with_backward(|cx: BackwardCx| async move {
        let rude = !cx.inputs().text("text")?.contains("please");
        Ok(vec![rude.then(|| Feedback::new("Say please.").into())])
    })
}

async fn objective(text: &Variable) -> Result<Variable, textgrad_core::Error> {
    let length = apply_one(Arc::new(MaxWords(6)), [("text", text)]).await?;
    let tone = apply_one(Arc::new(politeness()), [("text", text)]).await?;
    sum([&length, &tone]).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    textgrad_examples::flags([], &[])?;
    let letter = Parameter::new("Send me the book that I lent you last year.", "letter");
    let total = objective(&letter.variable()).await?;
    println!("objective:\n{}\n", total.value().describe());

    let gradients = backward(&total).await?;
    println!("feedback on the letter:\n{}\n", gradients.text(&letter.variable()));
    println!("{}", Graph::trace(&total).view().gradients(&gradients).to_mermaid());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_checks_speak_and_only_where_they_have_something_to_say() {
        let rude =
            Variable::differentiable("Send me the book that I lent you last year.", "letter");
        let gradients = backward(&objective(&rude).await.unwrap()).await.unwrap();
        assert_eq!(gradients.text(&rude), "Cut at least 4 words.\nSay please.");

        let polite = Variable::differentiable("Send the book, please.", "letter");
        let gradients = backward(&objective(&polite).await.unwrap()).await.unwrap();
        assert_eq!(gradients.text(&polite), "");
    }
}
