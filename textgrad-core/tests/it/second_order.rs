//! Passes through the feedback of passes.

use std::sync::Arc;

use textgrad_core::{
    Backward, BackwardCx, Error, Feedback, Gradient, Inputs, OpFn, Output, Variable, apply_one,
    backward, op_fn,
};

/// An op whose feedback on each input is made of an instruction, as a call in the graph.
fn worded(instruction: &Variable) -> OpFn {
    let instruction = instruction.clone();
    op_fn("judge", |_: Inputs| async { Ok(vec![Output::new("a verdict", "verdict")]) })
        .with_backward(move |cx: BackwardCx| {
            let instruction = instruction.clone();
            async move {
                let asked = cx.for_each_input(|input| {
                    let (instruction, cx) = (instruction.clone(), cx.clone());
                    async move {
                        let input = cx.inputs().get(input).unwrap().variable().clone();
                        let inputs = [("about", input), ("instruction", instruction)];
                        let words = apply_one(Arc::new(word()), inputs).await?;
                        Ok(Some(Feedback::from_variable(words).into()))
                    }
                });
                asked.await
            }
        })
}

fn word() -> OpFn {
    op_fn("word", |_: Inputs| async { Ok(vec![Output::new("Be brief.", "feedback")]) })
        .with_backward(|cx: BackwardCx| async move {
            Ok(vec![Gradient::join(cx.gradients(0)); cx.inputs().len()])
        })
}

async fn verdict(of: &Variable, instruction: &Variable) -> Variable {
    apply_one(Arc::new(worded(instruction)), [("text", of)]).await.unwrap()
}

#[tokio::test]
async fn feedback_is_differentiable_on_demand_only() {
    let text = Variable::differentiable("text", "text");
    let instruction = Variable::differentiable("Say what to change.", "instruction");
    let verdict = verdict(&text, &instruction).await;
    for create_graph in [true, false] {
        let pass = Backward::new(&verdict).create_graph(create_graph);
        let gradients = pass.run().await.unwrap();
        let words = gradients.feedback(&text).next().unwrap().variable().clone();
        assert_eq!(words.requires_grad(), create_graph);
        assert!(words.source().is_some(), "the past is kept");
        let outer = Backward::new(&words).wrt([&instruction]).run().await;
        match create_graph {
            true => assert_eq!(outer.unwrap().get(&instruction).len(), 1),
            false => {
                let error = outer.unwrap_err().error;
                assert!(
                    matches!(&error, Error::NothingInGraph { wrt, .. } if wrt == &["instruction"])
                );
            }
        }
    }
}

#[tokio::test]
async fn joined_feedback_leads_to_all_that_it_was_joined_of() {
    let text = Variable::differentiable("text", "text");
    let instructions = ["one", "two"].map(|text| Variable::differentiable(text, "instruction"));
    let [one, two] = &instructions;
    let both = (verdict(&text, one).await + verdict(&text, two).await).unwrap();
    let gradients = Backward::new(&both).create_graph(true).run().await.unwrap();
    let words = Gradient::join(gradients.get(&text)).unwrap();
    let words = words.feedback().unwrap().variable().clone();
    let outer = backward(&words).await.unwrap();
    assert!(instructions.iter().all(|instruction| outer.get(instruction).len() == 1));
    assert_eq!(outer.get(&text).len(), 2);
}

#[tokio::test]
async fn constants_that_are_named_have_gradients_and_stopped_edges_have_none() {
    let (a, b) = (Variable::constant("a", "a"), Variable::differentiable("b", "b"));
    let sum = ((&a + &b).unwrap() + a.stop_gradient()).unwrap();
    let gradients = Backward::new(&sum).wrt([&a]).run().await.unwrap();
    assert_eq!((gradients.received(&a).len(), gradients.received(&b).len()), (1, 0));
    assert_eq!(backward(&sum).await.unwrap().received(&b).len(), 1);

    let stopped = (a.stop_gradient() + b.stop_gradient()).unwrap();
    assert!(!stopped.requires_grad());
    for root in [stopped, sum.stop_gradient()] {
        let error = Backward::new(&root).wrt([&a, &b]).run().await.unwrap_err().error;
        assert!(matches!(error, Error::NothingInGraph { .. }), "{error}");
    }
}
