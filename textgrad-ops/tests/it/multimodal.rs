//! Calls over ordered fields of text and images: what is sent, and what is refused.

use crate::support::{lines, pack, picture, script, tagged, user};
use std::sync::Arc;
use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Backward, Error, Feedback, Inputs, Layout, Part, Quote, Variable, backward};
use textgrad_ops::{Field, ImageQaLoss, LlmCall, MultipleChoiceLoss, TextualGradientDescent};

fn judge(engine: &Arc<ScriptedEngine>) -> LlmCall {
    let fields = [
        Field::text("question"),
        Field::image("figure"),
        Field::text("answer"),
        Field::image("key"),
    ];
    let call = LlmCall::builder(engine.clone()).prompts(pack());
    call.fields(fields).unwrap().build()
}

fn variables() -> [(&'static str, Variable); 4] {
    let answer = Variable::differentiable("four {key}: </A>", "answer");
    let question = Variable::differentiable("how many?", "question");
    [("key", picture()), ("answer", answer), ("figure", picture()), ("question", question)]
}

#[tokio::test]
async fn fields_are_sent_in_their_order_as_one_message() {
    let engine = script(["B", "on the answer", "on the question"]);
    let fields = variables();
    let verdict = judge(&engine).ask_fields(Inputs::new(fields.clone())).one().await.unwrap();
    let gradients = backward(&verdict).await.unwrap();
    let requests = engine.requests();
    assert_eq!(
        lines(&requests[0]),
        ["user: question: how many? + (image) + answer: four {key}: </A> + (image)"]
    );
    assert_eq!(requests.len(), 3, "an image is never asked about");
    let prompt = "question: how many?\nanswer: four {key}: </A>";
    assert_eq!(
        lines(&requests[1]),
        [
            "system: feedback on answer".to_owned(),
            format!(
                "user: (image) + (image) + base four {{key}}: </A> in [P={prompt} R=B] function=false"
            ),
        ]
    );
    assert_eq!(gradients.text(&fields[1].1), "on the answer");
    assert_eq!(gradients.text(&fields[3].1), "on the question");
    assert!(gradients.received(&fields[0].1).is_empty());
    // Whoever quotes the call later can say that there were images.
    let feedback = gradients.feedback(&fields[1].1).next().unwrap();
    let call = feedback.contexts()[0].call();
    let Quote::Conversation { request, .. } = call.op().quote(call.inputs()) else {
        panic!("{feedback:?}")
    };
    let parts = &request.messages.last().unwrap().parts;
    let images = parts.iter().filter(|part| matches!(part, Part::Image(_))).count();
    assert_eq!(images, 2, "{request:?}");

    let continued = script(["on the answer", "on the question"]);
    let pass = Backward::new(&verdict).layout(Layout::Continued).engine(continued.clone());
    pass.run().await.unwrap();
    assert_eq!(lines(&continued.requests()[0])[0], lines(&requests[0])[0]);
}

#[tokio::test]
async fn an_optimizer_sees_each_image_of_what_it_improves_once() {
    let new = tagged("five");
    for show_images in [true, false] {
        let engine = script(["B", "on the answer", "on the question", &new, &new]);
        let fields = variables();
        let verdict = judge(&engine).ask_fields(Inputs::new(fields.clone())).one().await.unwrap();
        let gradients = backward(&verdict).await.unwrap();
        let feedback: Vec<Feedback> = gradients.feedback(&fields[1].1).cloned().collect();
        let optimizer = TextualGradientDescent::builder(engine.clone()).show_images(show_images);
        let updated = optimizer.build().rewrite(&fields[1].1, &feedback, None).await.unwrap();
        assert_eq!(updated.candidates[0].text(), Some("five"));
        let update = engine.requests().pop().unwrap();
        // The figure and the key are equal pictures.
        let images = update.messages[1].parts.iter().map(|part| matches!(part, Part::Image(_)));
        let expected: &[bool] = if show_images { &[true, false] } else { &[false] };
        assert_eq!(images.collect::<Vec<bool>>(), expected);
        assert!(!update.messages[0].has_image());
    }
}

#[tokio::test]
async fn losses_of_questions_take_a_system_prompt_that_is_learned() {
    let engine = script(["B", "on the system prompt", "C", "on the image's system prompt"]);
    let system = Variable::differentiable("Be strict.", "system prompt");
    let (question, answer) =
        (Variable::constant("Which?", "question"), Variable::constant("A", "answer"));
    let loss = MultipleChoiceLoss::new(engine.clone(), "Judge.", &question).system(&system);
    let gradients = backward(&loss.evaluate(&answer).await.unwrap()).await.unwrap();
    assert_eq!(gradients.text(&system), "on the system prompt");
    let loss = ImageQaLoss::new(engine.clone(), "Judge.", &question, picture()).system(&system);
    let gradients = backward(&loss.evaluate(&answer).await.unwrap()).await.unwrap();
    assert_eq!(gradients.text(&system), "on the image's system prompt");
    for request in [&engine.requests()[0], &engine.requests()[2]] {
        assert_eq!(lines(request)[0], "system: Be strict.");
        assert!(!lines(request)[1].contains("Be strict."));
    }
    let loss = MultipleChoiceLoss::new(script([]), "Judge.", &question).system(picture());
    assert!(loss.evaluate(&answer).await.is_err());
}

#[tokio::test]
async fn a_system_prompt_is_a_constant_or_a_variable() {
    let engine = script(["B", "B", "B", "on the system prompt", "on a"]);
    let call = LlmCall::builder(engine.clone()).prompts(pack());
    let judge = call.clone().fields([Field::text("system")]).unwrap();
    let judge = judge.system("be fair").build();
    // A field may have the name under which the system prompt is recorded.
    let (system, a) = (
        Variable::differentiable("be strict", "system prompt"),
        Variable::differentiable("yes", "answer"),
    );
    judge.ask_fields([("system", &a)]).one().await.unwrap();
    judge.ask_fields([("system", &a)]).system(Variable::constant("", "none")).one().await.unwrap();
    let verdict = judge.ask_fields([("system", &a)]).system(&system).one().await.unwrap();
    let gradients = backward(&verdict).await.unwrap();
    let requests = engine.requests();
    assert_eq!(lines(&requests[0]), ["system: be fair", "user: system: yes"]);
    assert_eq!(lines(&requests[1]), ["user: system: yes"]);
    assert_eq!(lines(&requests[2]), ["system: be strict", "user: system: yes"]);
    assert_eq!(gradients.text(&system), "on the system prompt");
    assert!(user(&requests[4]).starts_with("base yes in [S=be strict P=system: yes R=B]"));

    // The same of a formatted call.
    let engine = script(["B", "on the system prompt", "on a"]);
    let call = LlmCall::builder(engine.clone()).prompts(pack());
    let judge = call.template("A: {{system}}", ["system", "system"]).unwrap();
    let judge = judge.system("be fair").build();
    let verdict = judge.ask_fields([("system", &a)]).system(&system).one().await.unwrap();
    let gradients = backward(&verdict).await.unwrap();
    assert_eq!(lines(&engine.requests()[0]), ["system: be strict", "user: A: yes"]);
    assert_eq!(gradients.text(&a), "on a");
}

#[tokio::test]
async fn what_does_not_fit_the_fields_is_refused_before_anything_is_sent() {
    let engine = script([]);
    let [key, answer, figure, question] = variables();
    let text = || ("key", Variable::constant("no image", "key"));
    let image = || ("answer", picture());
    for (inputs, said) in [
        (vec![], r#"expected an input named "question", but the inputs are []"#),
        (
            vec![question.clone(), answer.clone(), key.clone()],
            r#"expected an input named "figure""#,
        ),
        (
            vec![
                question.clone(),
                answer.clone(),
                key.clone(),
                figure.clone(),
                ("x", answer.1.clone()),
            ],
            r#"expected exactly the fields ["question", "figure", "answer", "key"], each once, but got"#,
        ),
        (
            vec![question.clone(), answer.clone(), key.clone(), figure.clone(), answer.clone()],
            "expected exactly the fields",
        ),
        (
            vec![question.clone(), answer, text(), figure.clone()],
            r#"expected an image for input "key" (role: key), but it holds text"#,
        ),
        (
            vec![question, image(), key, figure],
            r#"expected text for input "answer" (role: picture), but it holds an image"#,
        ),
    ] {
        let error = judge(&engine).ask_fields(inputs).one().await.unwrap_err();
        let Error::Forward { source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().starts_with(said), "{source}");
    }
    let error = judge(&engine)
        .ask_fields(Inputs::new(variables()))
        .system(picture())
        .one()
        .await
        .unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.starts_with(r#"expected text for input "system" (role: picture)"#), "{source}");
    assert!(engine.requests().is_empty());
}

#[test]
fn fields_have_names_of_their_own() {
    let call = LlmCall::builder(script([]));
    for (fields, named) in [
        (vec![], "[]"),
        (vec![Field::text("a"), Field::image("b"), Field::image("a")], r#"["a", "b", "a"]"#),
    ] {
        let error = call.clone().fields(fields).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("expected at least one field, and each name once, but got the fields {named}")
        );
    }
}
