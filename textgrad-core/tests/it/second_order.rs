//! Passes through the feedback of passes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use textgrad_core::{
    Backward, BackwardCx, Error, Feedback, Gradient, Graph, Inputs, OpFn, Output, PromptPack,
    TemplateSpec, Variable, apply_one, backward, op_fn,
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

#[tokio::test]
async fn a_drawing_shows_a_variable_as_it_is_whichever_reference_comes_first() {
    let a = Variable::differentiable("a", "a");
    for sum in
        [a.stop_gradient() + &a, &a + a.stop_gradient(), a.stop_gradient() + a.stop_gradient()]
    {
        let graph = Graph::trace(sum.unwrap().stop_gradient());
        assert!(graph.variables().filter(|drawn| **drawn == a).all(Variable::requires_grad));
        let mermaid = graph.view().to_mermaid();
        assert!(mermaid.contains("[[\"a<br/>a\"]]"), "{mermaid}");
    }
}

#[test]
fn a_variable_in_place_of_a_template_is_checked_where_it_is_included() {
    #[derive(Serialize, Deserialize)]
    struct Person {
        name: String,
        title: String,
    }
    #[derive(Serialize, Deserialize)]
    struct Name {
        name: String,
    }
    let pack = PromptPack::new([
        TemplateSpec::new::<Person>("greeting", "Hello {{name}}"),
        TemplateSpec::new::<Name>("letter", "{{> greeting}}, goodbye."),
    ]);
    let pack = pack.unwrap();
    let formal = Variable::constant("Dear {{title}} {{name}}", "template");
    let error = pack.with_variable("greeting", &formal).unwrap_err();
    assert!(error.to_string().contains("\"title\""), "{error}");
    let short = pack.with_variable("greeting", Variable::constant("Hi {{name}}", "template"));
    let letter = short.unwrap().render("letter", &Name { name: "Ada".to_owned() });
    assert_eq!(letter.unwrap(), "Hi Ada, goodbye.");
}
