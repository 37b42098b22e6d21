//! Calls over named fields, of text and of images.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Image, MessageRole, Part, Variable, backward};
use textgrad_ops::{Field, LlmCall, concat};

use super::expected::{FEEDBACK_SYSTEM, conversation, feedback_base};
use super::{messages, pack};

#[tokio::test]
async fn a_call_over_named_texts() {
    let engine = Arc::new(ScriptedEngine::new(["wrong", "look again"]));
    let template = "JSON such as {\"a\": 1}.\nQ: {{question}}\nA: {{answer}}";
    let call = LlmCall::builder(engine.clone()).prompts(pack());
    let call = call.template(template, ["question", "answer"]).unwrap();
    let (question, answer) =
        (Variable::constant("2 {+} 2?", "q"), Variable::differentiable("5", "an answer"));
    let verdict = call.system("Judge.").build();
    let verdict =
        verdict.ask_fields([("answer", &answer), ("question", &question)]).one().await.unwrap();
    backward(&verdict).await.map_err(|failure| failure.error).unwrap();
    let prompt = "JSON such as {\"a\": 1}.\nQ: 2 {+} 2?\nA: 5";
    let call = conversation(Some("Judge."), prompt, "wrong");
    let sent: Vec<_> = engine.requests().iter().map(messages).collect();
    assert_eq!(
        sent,
        [
            ("Judge.".to_owned(), prompt.to_owned()),
            (FEEDBACK_SYSTEM.to_owned(), feedback_base("an answer", "5", &call)),
        ]
    );
}

#[tokio::test]
async fn a_call_over_texts_and_an_image() {
    let engine = Arc::new(ScriptedEngine::new(["wrong", "count the dogs"]));
    let fields = [Field::text("Question"), Field::image("Image"), Field::text("Answer")];
    let call = LlmCall::builder(engine.clone()).prompts(pack());
    let call = call.fields(fields).unwrap().system("Judge.").build();
    let image = Image::new(vec![1], "image/png").unwrap();
    let question = Variable::constant("How many?", "question");
    let (picture, answer) =
        (Variable::constant(image.clone(), "p"), Variable::differentiable("5", "an answer"));
    let inputs = [("Question", &question), ("Image", &picture), ("Answer", &answer)];
    let verdict = call.ask_fields(inputs).one().await.unwrap();
    backward(&verdict).await.map_err(|failure| failure.error).unwrap();
    let [asked, about] = &engine.requests()[..] else { panic!() };
    assert_eq!(asked.messages[0].text(), "Judge.");
    assert_eq!(
        asked.messages[1].parts,
        [
            Part::Text("Question: How many?".into()),
            Part::Image(image.clone()),
            Part::Text("Answer: 5".into()),
        ]
    );
    // Such a framework sends the fields once more before the request and says that they stand above. Here the
    // images do, and the texts are quoted.
    let call = conversation(Some("Judge."), "Question: How many?\nAnswer: 5", "wrong");
    assert_eq!(about.messages[0].text(), FEEDBACK_SYSTEM);
    assert_eq!(about.messages[1].role, MessageRole::User);
    assert_eq!(
        about.messages[1].parts,
        [Part::Image(image), Part::Text(feedback_base("an answer", "5", &call).into())]
    );
}

#[tokio::test]
async fn texts_that_are_put_together_ask_nothing_of_their_own() {
    let engine = Arc::new(ScriptedEngine::new(["answer", "say a", "say b"]));
    let (a, b) = (
        Variable::differentiable("Be brief.", "rules"),
        Variable::differentiable("Why?", "question"),
    );
    let prompt = (&a + &concat([&b], "\n").await.unwrap()).unwrap();
    let call = LlmCall::builder(engine.clone()).prompts(pack()).build();
    let answer = call.ask(&prompt).one().await.unwrap();
    let gradients = backward(&answer).await.map_err(|failure| failure.error).unwrap();
    assert_eq!((gradients.text(&a), gradients.text(&b)), ("say a".into(), "say a".into()));
    let call = conversation(None, "Be brief.Why?", "answer");
    let asked = engine.requests();
    assert_eq!(asked.len(), 2);
    let base = feedback_base(prompt.role(), "Be brief.Why?", &call);
    assert_eq!(messages(&asked[1]), (FEEDBACK_SYSTEM.to_owned(), base));
}
