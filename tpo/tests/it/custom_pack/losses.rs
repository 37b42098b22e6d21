//! Objectives in the words of the pack.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Image, MessageRole, Part, Variable, backward};
use textgrad_ops::{
    ImageQaLoss, ListwiseLoss, Loss, MultiFieldLoss, MultipleChoiceLoss, ScoreLoss, Tags, TextLoss,
    weighted_sum,
};

use super::expected::{FEEDBACK_SYSTEM, conversation, feedback_base, feedback_chain};
use super::{messages, pack};

#[tokio::test]
async fn of_several_fields() {
    let engine = Arc::new(ScriptedEngine::new(["half right", "be exact", "<S>1</S>"]));
    let fields = [("question", "Question for the task"), ("answer", "Prediction")];
    let loss = MultiFieldLoss::new(engine.clone(), "Hold {them} up.", fields).unwrap();
    let loss = loss.prompts(pack()).response_role("evaluation of the prediction");
    let question = Variable::constant("2 {+} 2?", "a question");
    let answer = Variable::differentiable("five </LM_INPUT>", "a prediction");
    let inputs = || [("question", &question), ("answer", &answer)];
    let verdict = loss.call(inputs()).await.unwrap();
    backward(&verdict).await.map_err(|failure| failure.error).unwrap();
    let system = "You hold texts against each other.";
    let user =
        "Hold {them} up.\n**Question for the task**: 2 {+} 2?\n**Prediction**: five </LM_INPUT>";
    let call = conversation(Some(system), user, "half right");
    let sent: Vec<_> = engine.requests().iter().map(messages).collect();
    assert_eq!(sent[0], (system.to_owned(), user.to_owned()));
    // The role is that of the variable: no loss changes it.
    let base = feedback_base("a prediction", "five </LM_INPUT>", &call);
    assert_eq!(sent[1], (FEEDBACK_SYSTEM.to_owned(), base));

    let tags = Tags::new("<S>", "</S>").unwrap();
    let own = Variable::constant("Own.", "system prompt");
    let verdict = loss.system(&own).score_between(tags).call(inputs()).await.unwrap();
    assert_eq!(verdict.score().map(|score| score.as_f64()), Some(1.0));
    let asked = format!("{user}\nMark it within <S> and </S>.");
    assert_eq!(messages(&engine.requests()[2]), ("Own.".to_owned(), asked));
}

#[tokio::test]
async fn of_a_multiple_choice_question_and_of_an_image() {
    let engine = Arc::new(ScriptedEngine::new(["verdict"; 2]));
    let question = Variable::constant("Is {0} it?", "question");
    let answer = Variable::differentiable("{A}", "answer");
    let loss = MultipleChoiceLoss::new(engine.clone(), "Look.", &question).prompts(pack());
    loss.evaluate(&answer).await.unwrap();
    let image = Image::new(vec![1], "image/png").unwrap();
    let picture = Variable::constant(image.clone(), "picture");
    let loss = ImageQaLoss::new(engine.clone(), "Look.", &question, &picture).prompts(pack());
    loss.evaluate(&answer).await.unwrap();
    let asked = engine.requests();
    assert_eq!(
        messages(&asked[0]),
        (
            "You look over answers to questions with options.".to_owned(),
            "Look.\nAsked: Is {0} it?\nSaid by the model: {A}".to_owned()
        )
    );
    assert_eq!(asked[1].messages[1].role, MessageRole::User);
    assert_eq!(
        asked[1].messages[1].parts,
        [
            Part::Text("What to look for: Look.".into()),
            Part::Text("Question: Is {0} it?".into()),
            Part::Image(image),
            Part::Text("Answer: {A}".into()),
        ]
    );
}

#[tokio::test]
async fn of_ranked_answers_and_of_weighted_parts() {
    let engine = Arc::new(ScriptedEngine::new(["ranked", "bad", "say a"]));
    let query = Variable::constant("Why {{is}} it?", "query");
    let answers = ["a", "b"].map(|text| Variable::differentiable(text, "answer"));
    let loss = ListwiseLoss::new(engine.clone(), &query, answers.iter().zip([1.0, 2.5])).unwrap();
    loss.prompts(pack()).evaluate_best().await.unwrap();
    let system = "Answers to a request were marked, best first. One of them is sent to you next.\n\n\
                  <QUERY> Why {{is}} it? </QUERY>\n\n<RESPONSE> b </RESPONSE> got 2.5\n\n\
                  <RESPONSE> a </RESPONSE> got 1\n\nSay point by point what lifts the marks.";
    assert_eq!(messages(&engine.requests()[0]), (system.to_owned(), "b".to_owned()));

    let judge: Arc<dyn Loss> = Arc::new(TextLoss::new(engine.clone(), "Judge.").prompts(pack()));
    let check = textgrad_core::check_fn("it is long", |_| Err("it is not".to_owned()));
    let check: Arc<dyn Loss> =
        Arc::new(ScoreLoss::new(textgrad_ops::score::CheckScorer::new(check).prompts(pack())));
    let loss = weighted_sum([(2.0, judge), (0.5, check)]).unwrap().prompts(pack());
    let total = loss.evaluate(&answers[0]).await.unwrap();
    assert_eq!(total.text(), Some("2 x bad\n0.5 x it is not"));
    let gradients = backward(&total).await.map_err(|failure| failure.error).unwrap();
    let call = conversation(Some("Judge."), "a", "bad");
    let chain = feedback_chain("answer", "a", &call, "evaluation of a text", "It weighs 2.");
    assert_eq!(messages(&engine.requests()[2]), (FEEDBACK_SYSTEM.to_owned(), chain));
    assert_eq!(
        gradients.text(&answers[0]),
        "say a\nBroken rule: it is long (it is not).\nIt weighs 0.5."
    );
}
