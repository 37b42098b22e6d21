//! Passes through the feedback of passes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use textgrad_core::{
    Backward, BackwardCx, Error, Feedback, Gradient, Graph, Inputs, Module, OpFn, Output,
    Parameter, PromptModule, PromptPack, TemplateSpec, Variable, apply_one, backward, op_fn,
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

#[tokio::test]
async fn a_pass_with_respect_to_nothing_is_an_error_that_says_so() {
    let text = Variable::differentiable("text", "poem");
    let pass = Backward::new(&text).wrt(Vec::<Variable>::new());
    let error = pass.run().await.unwrap_err().error;
    assert!(
        matches!(error, Error::EmptyWrt { .. }) && error.to_string().contains("poem"),
        "{error}"
    );
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

#[derive(Serialize, Deserialize)]
struct Letter {
    name: String,
    body: String,
}

fn letters() -> PromptPack {
    PromptPack::new([
        TemplateSpec::new::<Letter>("letter", "{{> _head}} {{body}}"),
        TemplateSpec::new::<Letter>("copy", "Copy of: {{> letter}}"),
        TemplateSpec::new::<Letter>("note", "{{body}}"),
        TemplateSpec::partial("_head", "Dear {{name}},"),
    ])
    .unwrap()
}

fn letter() -> Letter {
    Letter { name: "Ada".to_owned(), body: "come soon.".to_owned() }
}

#[test]
fn templates_that_include_a_variable_show_its_text_and_clones_do_not() {
    let pack = letters();
    let note =
        pack.with_variable("note", Variable::constant("Note: {{body}}", "template")).unwrap();
    let text = Variable::constant("{{> _head}} please {{body}}", "template");
    let both = note.with_variable("letter", &text).unwrap();
    let copy = |pack: &PromptPack| pack.render("copy", &letter()).unwrap();
    assert_eq!(copy(&both), "Copy of: Dear Ada, please come soon.");
    assert_eq!(both.render("note", &letter()).unwrap(), "Note: come soon.");
    assert_eq!(both.render("letter", &letter()).unwrap(), "Dear Ada, please come soon.");
    assert_eq!(copy(&note), "Copy of: Dear Ada, come soon.");
    assert_eq!((both.variable("letter"), note.variable("letter")), (Some(&text), None));
    // A text that does not fit where it is included is refused.
    assert!(pack.with_variable("letter", Variable::constant("{{> _tail}}", "template")).is_err());
    assert!(pack.with_variable("letter", Variable::constant("{{> copy}}", "template")).is_err());
}

#[test]
fn a_module_of_templates_is_saved_loaded_and_kept_whole() {
    let pack = letters();
    let module = PromptModule::new(&pack, ["letter", "note"]).unwrap();
    let saved = module.state_dict().unwrap();
    let first = module.pack().unwrap();
    assert_eq!(first.variable("note"), Some(&module.parameter("note").unwrap().variable()));
    module.parameter("letter").unwrap().set("{{body}} {{name}}");
    let second = module.pack().unwrap();
    assert_eq!(second.render("letter", &letter()).unwrap(), "come soon. Ada");
    assert_eq!(first.render("letter", &letter()).unwrap(), "Dear Ada, come soon.");
    module.load_state_dict(&saved).unwrap();
    assert_eq!(module.pack().unwrap().render("letter", &letter()).unwrap(), "Dear Ada, come soon.");

    // Texts are checked where an optimizer proposes them; a caller's own are refused when they are used.
    module.parameter("note").unwrap().set("{{boddy}}");
    let error = module.pack().unwrap_err().to_string();
    assert!(error.contains("note") && error.contains("boddy"), "{error}");
    let check = &module.parameter("letter").unwrap().checks()[0];
    assert!(check.rule().contains("body") && check.check("{{> _head}} {{body}}").is_ok());
    for (text, problem) in [("{{body}", "handlebars"), ("{{> _head}}", "body"), ("{{x}}", "\"x\"")]
    {
        assert!(check.check(text).unwrap_err().contains(problem), "{text}");
    }

    assert!(PromptModule::new(&pack, ["lettre"]).is_err());
    assert!(PromptModule::new(&pack, ["_head"]).is_err());
    let own = Parameter::new("{{body}}!", "a note");
    let module = PromptModule::from_parameters(&pack, [("note", own.clone())]).unwrap();
    assert_eq!(module.parameters().unwrap(), [own]);
}
