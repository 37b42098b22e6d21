//! Feedback on the wording of losses, of requests for feedback and of updates.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{
    Backward, Error, Feedback, Gradient, Gradients, Image, Layout, Message, Parameter, PromptPack,
    Purpose, Value, Variable, backward,
};
use textgrad_ops::prompts::templates;
use textgrad_ops::{
    ContrastiveLoss, LlmReduce, Loss, TextLoss, TextualGradientDescent, aggregate, all_of,
    first_failing, sum, weighted_sum,
};

/// What the parts of a step are worded by.
struct Wording {
    pack: Arc<PromptPack>,
    parameters: [Parameter; 3],
}

impl Wording {
    fn new() -> Self {
        let texts = [
            ("contrastive_system", "Query: {{query}} Rejected: {{rejected}} Judge the answer."),
            ("feedback_system", "Say how the text has to change."),
            ("update_system", "Write a better text."),
        ];
        let parameters = texts.map(|(name, text)| Parameter::new(text, format!("template {name}")));
        let mut pack = PromptPack::new(templates()).unwrap();
        for ((name, _), parameter) in texts.iter().zip(&parameters) {
            pack = pack.with_variable(name, parameter).unwrap();
        }
        Self { pack: Arc::new(pack), parameters }
    }

    fn received(&self, gradients: &Gradients) -> [usize; 3] {
        std::array::from_fn(|at| gradients.received(&self.parameters[at]).len())
    }
}

/// An engine that answers each request by its purpose.
fn engine() -> Arc<ScriptedEngine> {
    let mut engine = ScriptedEngine::default();
    for number in 0..32 {
        engine = engine
            .on(Purpose::Loss, format!("loss {number}"))
            .on(Purpose::Gradient, format!("feedback {number}"))
            .on(Purpose::Reduce, format!("merged {number}"))
            .on(
                Purpose::Update,
                format!("<IMPROVED_VARIABLE>\nnew {number}\n</IMPROVED_VARIABLE>"),
            );
    }
    Arc::new(engine)
}

/// An iteration of test-time preference optimization, made of stock parts.
async fn iteration(
    engine: &Arc<ScriptedEngine>,
    wording: &Wording,
    chosen: &Variable,
    rejected: &[&Variable],
) -> Variable {
    let query = Variable::constant("Why is the sky blue?", "query");
    let mut losses = Vec::new();
    for rejected in rejected {
        let loss = ContrastiveLoss::new(engine.clone(), &query).against(*rejected);
        losses.push(loss.prompts(wording.pack.clone()).evaluate(chosen).await.unwrap());
    }
    let objective = match losses.as_slice() {
        [only] => only.clone(),
        several => sum(several).await.unwrap(),
    };
    let pass = Backward::new(&objective).wrt([chosen]).create_graph(true);
    let gradients = pass.run().await.unwrap();
    let feedback: Vec<Feedback> = gradients.feedback(chosen).cloned().collect();
    let optimizer = TextualGradientDescent::builder(engine.clone());
    let optimizer = optimizer.prompts(wording.pack.clone()).create_graph(true).build();
    let new = optimizer.rewrite(chosen, &feedback, None).await.unwrap();
    new.candidates.into_iter().next().unwrap()
}

async fn judged(engine: &Arc<ScriptedEngine>, answer: &Variable) -> Variable {
    TextLoss::new(engine.clone(), "Judge the answer.").evaluate(answer).await.unwrap()
}

fn requests(engine: &ScriptedEngine) -> usize {
    engine.requests().len()
}

#[tokio::test]
async fn an_iteration_gives_feedback_on_all_of_its_wording() {
    let (engine, wording) = (engine(), Wording::new());
    let chosen = Variable::constant("Air scatters light.", "answer");
    let rejected = Variable::constant("It just is.", "answer");
    let new = iteration(&engine, &wording, &chosen, &[&rejected]).await;
    assert_eq!(requests(&engine), 3, "a loss, one feedback (none on instructions), an update");

    let outer = judged(&engine, &new).await;
    let gradients = Backward::new(&outer).wrt(&wording.parameters).run().await.unwrap();
    // On the answer; on feedback and wording of the update; on loss and wording of the feedback; on that of the loss.
    assert_eq!(requests(&engine), 4 + 1 + 2 + 2 + 1);
    assert_eq!(wording.received(&gradients), [1, 1, 1]);
    assert!(gradients.get(&chosen).is_empty(), "nothing else is asked about");
    let sent = engine.requests();
    let shows = |text: &str| {
        let last = sent[4..]
            .iter()
            .filter(|request| request.messages.iter().any(|message| message.text().contains(text)));
        last.count()
    };
    assert!(shows("Query: Why is the sky blue? Rejected: It just is. Judge the answer.") >= 1);
    assert!(shows("Say how the text has to change.") >= 1);
    assert!(shows("Write a better text.") >= 1);

    // A step on the templates shows each template and the feedback on its text.
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    optimizer.step(&wording.parameters, &gradients).await.unwrap();
    assert!(wording.parameters.iter().all(|parameter| parameter.text().starts_with("new ")));
    let update = engine.requests().into_iter().find(|request| {
        request.messages.iter().any(|message| message.text().contains("Rejected: {{rejected}}"))
    });
    assert!(update.is_some_and(|update| update.purpose == Purpose::Update));
}

#[tokio::test]
async fn a_pass_goes_through_two_iterations() {
    let (engine, wording) = (engine(), Wording::new());
    let chosen = Variable::constant("Air scatters light.", "answer");
    let rejected = Variable::constant("It just is.", "answer");
    let first = iteration(&engine, &wording, &chosen, &[&rejected]).await;
    let second = iteration(&engine, &wording, &first, &[&chosen]).await;
    let outer = judged(&engine, &second).await;
    assert_eq!(requests(&engine), 7);
    let gradients = Backward::new(&outer).wrt(&wording.parameters).run().await.unwrap();
    assert_eq!(wording.received(&gradients), [2, 2, 2]);
    // The second update, feedback and loss use the first answer too.
    assert_eq!(requests(&engine), 7 + (1 + 3 + 3 + 2) + (2 + 2 + 1));
    assert_eq!(gradients.received(&first).len(), 3);
}

#[tokio::test]
async fn several_losses_each_have_their_edge() {
    let (engine, wording) = (engine(), Wording::new());
    let chosen = Variable::constant("Air scatters light.", "answer");
    let others = ["a", "b"].map(|text| Variable::constant(text, "answer"));
    let new = iteration(&engine, &wording, &chosen, &others.each_ref()).await;
    assert_eq!(requests(&engine), 2 + 2 + 1);
    let outer = judged(&engine, &new).await;
    let gradients = Backward::new(&outer).wrt(&wording.parameters).run().await.unwrap();
    assert_eq!(wording.received(&gradients), [2, 2, 1]);
    assert_eq!(requests(&engine), 6 + 1 + 3 + 4 + 2);
}

#[tokio::test]
async fn merged_feedback_leads_to_what_it_was_merged_of_and_to_the_wording_of_the_merge() {
    let engine = engine();
    let merge = Parameter::new("Merge the feedback.", "template");
    let pack = PromptPack::new(templates()).unwrap().with_variable("reduce_system", &merge);
    let reduce = LlmReduce::new(engine.clone()).prompts(Arc::new(pack.unwrap()));
    let text = Variable::differentiable("text", "text");
    let judges = ["a", "b"].map(|judge| TextLoss::new(engine.clone(), judge));
    let [one, two] = judges.each_ref().map(|judge| judge.evaluate(&text));
    let both = aggregate([&one.await.unwrap(), &two.await.unwrap()], Arc::new(reduce)).await;
    let pass = Backward::new(both.unwrap()).create_graph(true);
    let gradients = pass.run().await.unwrap();
    let [merged] = gradients.get(&text) else { panic!("{:?}", gradients.get(&text)) };
    let words = merged.feedback().unwrap().variable().clone();
    let outer = Backward::new(&words).wrt([&merge]).run().await.unwrap();
    assert_eq!(outer.received(&merge).len(), 1);
}

#[tokio::test]
async fn by_default_steps_are_differentiated_by_themselves() {
    let engine = engine();
    let text = Variable::differentiable("text", "text");
    let loss = judged(&engine, &text).await;
    let gradients = backward(&loss).await.unwrap();
    let feedback: Vec<Feedback> = gradients.feedback(&text).cloned().collect();
    assert!(!feedback[0].variable().requires_grad());
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    let new = optimizer.rewrite(&text, &feedback, None).await.unwrap().candidates.remove(0);
    let outer = judged(&engine, &new).await;
    let before = requests(&engine);
    for pass in [Backward::new(&outer), Backward::new(&outer).wrt([&text])] {
        let error = pass.run().await.unwrap_err().error;
        assert!(
            matches!(error, Error::NothingRequiresGrad { .. } | Error::NothingInGraph { .. }),
            "{error}"
        );
    }
    assert_eq!(requests(&engine), before);
}

#[tokio::test]
async fn a_conversation_that_goes_on_is_worded_by_rendered_templates_too() {
    for (name, rejected, asked) in [
        ("contrastive_continue", Some("It just is."), "Better than It just is.?"),
        ("evaluation_continue", None, "Is it good?"),
    ] {
        let engine = engine();
        let text = if rejected.is_some() { "Better than {{rejected}}?" } else { "Is it good?" };
        let template = Parameter::new(text, "template");
        let pack = PromptPack::new(templates()).unwrap().with_variable(name, &template).unwrap();
        // Query and rejected response are constants of a loss, whatever they require.
        let query = Variable::differentiable("Why is the sky blue?", "query");
        let rejected = rejected.map(|text| Variable::differentiable(text, "answer"));
        let chosen = Variable::differentiable("Air scatters light.", "answer");
        let mut loss = ContrastiveLoss::new(engine.clone(), &query).prompts(Arc::new(pack));
        if let Some(rejected) = &rejected {
            loss = loss.against(rejected);
        }
        let loss = loss.continuing([Message::user("Why is the sky blue?")]);
        let loss = loss.evaluate(&chosen).await.unwrap();
        let pass = Backward::new(&loss).layout(Layout::Continued);
        let gradients = pass.run().await.unwrap();
        assert_eq!(requests(&engine), 1 + 2, "feedback on the answer and on the wording");
        assert_eq!(gradients.received(&template.variable()).len(), 1);
        let about = engine.requests()[1..].iter().any(|request| {
            let [.., wording, _, last] = request.messages.as_slice() else { return false };
            wording.text() == asked && last.text().contains(&format!("\n{asked}\n"))
        });
        assert!(about, "{:?}", engine.requests());
    }
}

#[tokio::test]
async fn feedback_through_compositions_leads_to_instructions_and_to_the_wording_of_weights() {
    let weight = Parameter::new("It counts {{share}} %.", "template");
    let pack = PromptPack::new(templates()).unwrap().with_variable("weight_feedback", &weight);
    let pack = Arc::new(pack.unwrap());
    for (composition, expected) in
        [("weighted", [1, 1, 2]), ("all", [1, 1, 0]), ("first", [1, 0, 0])]
    {
        let engine = engine();
        let instructions = ["Judge the style.", "Judge the facts."];
        let instructions = instructions.map(|text| Variable::constant(text, "instruction"));
        let parts = instructions.clone().map(|instruction| -> Arc<dyn Loss> {
            Arc::new(TextLoss::with_instruction(engine.clone(), instruction))
        });
        let loss: Arc<dyn Loss> = match composition {
            "weighted" => {
                let parts = [1.0, 3.0].into_iter().zip(parts);
                Arc::new(weighted_sum(parts).unwrap().prompts(Arc::clone(&pack)))
            }
            "all" => Arc::new(all_of(parts).unwrap()),
            _ => Arc::new(first_failing(parts).unwrap()),
        };
        let text = Variable::constant("The sky is green.", "text");
        let loss = loss.evaluate(&text).await.unwrap();
        let pass = Backward::new(&loss).wrt([&text]).create_graph(true);
        let gradients = pass.run().await.unwrap();
        let words = Gradient::join(gradients.get(&text)).unwrap();
        let [style, facts] = instructions;
        let wording = [style, facts, weight.variable()];
        let words = words.feedback().unwrap().variable();
        let outer = Backward::new(words).wrt(&wording).run().await.unwrap();
        assert_eq!(wording.map(|text| outer.received(&text).len()), expected, "{composition}");
    }
}

#[test]
fn a_template_is_a_text_of_a_message() {
    let pack = PromptPack::new(templates()).unwrap();
    let image = Image::new(vec![1], "image/png").unwrap();
    for (name, template, expected) in [
        ("feedback_system", image.into(), "expected a text, got an image"),
        ("_subject", Value::from("text"), "got a partial"),
        ("feedback", Value::from("text"), "has no template \"feedback\""),
        ("update", Value::from("{{> _subject}}\n{{nothing}}"), "update, line 2: unknown variable"),
    ] {
        let error = pack.with_variable(name, Variable::constant(template, "template")).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let update = Variable::constant("{{> _subject}}", "template");
    let pack = pack.with_variable("update", &update).unwrap();
    // One variable may be several templates.
    let pack = pack.with_variable("update_system", &update).unwrap();
    assert_eq!(pack.variable("update"), pack.variable("update_system"));
}
