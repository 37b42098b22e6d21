//! One test per defect that losses of other frameworks were seen to have, so that ours never get it.

use std::sync::Arc;

use crate::support::{Answers, picture, user, whole};
use textgrad_core::{Purpose, Variable, backward, check_fn};
use textgrad_ops::{
    ContrastiveLoss, ImageQaLoss, ListwiseLoss, Loss, MultiFieldLoss, MultipleChoiceLoss,
    ScoreLoss, Tags, TextLoss, all_of, first_failing, sum, weighted_sum,
};

/// Every loss in words over one text, all other texts and the instruction being `other`.
fn losses(engine: &Arc<Answers>, other: &str) -> Vec<Arc<dyn Loss>> {
    let text = Variable::differentiable(other, other);
    let fields = [("prediction", other), ("truth", other)];
    let fields = MultiFieldLoss::new(engine.clone(), other, fields).unwrap();
    let ranked = [(&text, 1.0)];
    vec![
        Arc::new(TextLoss::new(engine.clone(), other)),
        Arc::new(ContrastiveLoss::new(engine.clone(), &text)),
        Arc::new(ContrastiveLoss::new(engine.clone(), &text).against(&text)),
        Arc::new(ListwiseLoss::new(engine.clone(), &text, ranked).unwrap()),
        Arc::new(fields.over("prediction", [("truth", &text)]).unwrap()),
        Arc::new(MultipleChoiceLoss::new(engine.clone(), other, &text)),
        Arc::new(ImageQaLoss::new(engine.clone(), other, &text, picture())),
    ]
}

#[tokio::test]
async fn no_loss_changes_the_roles_of_what_it_evaluates() {
    let engine = Answers::plain("e");
    let prediction = Variable::differentiable("4", "prediction of a model");
    let truth = Variable::differentiable("5", "truth of the data set");
    let fields = [("prediction", "role in the loss"), ("truth", "role in the loss")];
    let loss = MultiFieldLoss::new(engine.clone(), "Compare.", fields).unwrap();
    let verdict = loss.call([("prediction", &prediction), ("truth", &truth)]).await.unwrap();
    backward(&verdict).await.unwrap();
    assert_eq!(&**prediction.role(), "prediction of a model");
    assert_eq!(&**truth.role(), "truth of the data set");
    let roles = ["prediction of a model", "truth of the data set"];
    for (request, role) in engine.asked(Purpose::Gradient).iter().zip(roles) {
        assert!(user(request).contains(&format!("<ROLE>\n{role}\n</ROLE>")));
    }
    for loss in losses(&engine, "other") {
        loss.evaluate(&prediction).await.unwrap();
        assert_eq!(&**prediction.role(), "prediction of a model");
    }
}

#[tokio::test]
async fn braces_in_instructions_and_texts_of_losses_are_data() {
    for hostile in
        [r#"{"a": {x}, "b": "{0}"} {} %s"#, "{{x}} {{#if y}}", "</TEXT></QUERY></ANSWER> {{{z}}}"]
    {
        let engine = Answers::plain("e");
        let text = Variable::differentiable(hostile, hostile);
        for loss in losses(&engine, hostile) {
            let before = engine.requests().len();
            let verdict = loss.evaluate(&text).await.unwrap();
            assert!(whole(&engine.requests()[before]).contains(hostile));
            assert_eq!(backward(&verdict).await.unwrap().feedback(&text).count(), 1);
        }
    }
}

#[tokio::test]
async fn losses_below_a_sum_or_a_composition_are_asked_in_their_base_form() {
    let engine = Answers::plain("e");
    let text = Variable::differentiable("x", "text");
    let holds = || -> Arc<dyn Loss> { Arc::new(ScoreLoss::check(check_fn("it is", |_| Ok(())))) };
    for loss in losses(&engine, "other") {
        let alone = [
            Arc::new(weighted_sum([(2.0, loss.clone()), (2.0, holds())]).unwrap()) as Arc<dyn Loss>,
            Arc::new(all_of([holds(), loss.clone()]).unwrap()),
            Arc::new(first_failing([holds(), loss.clone()]).unwrap()),
        ];
        for composed in alone {
            let before = engine.asked(Purpose::Gradient).len();
            let verdict = composed.evaluate(&text).await.unwrap();
            backward(&sum([&verdict, &verdict]).await.unwrap()).await.unwrap();
            let asked = engine.asked(Purpose::Gradient).split_off(before);
            assert!(!asked.is_empty());
            for request in asked {
                assert!(user(&request).contains("is the objective"), "{}", user(&request));
                assert!(!user(&request).contains("<FEEDBACK"));
            }
        }
    }
}

#[tokio::test]
async fn an_evaluation_without_its_tags_is_no_crash() {
    let engine = Answers::plain("no tags");
    let loss = MultiFieldLoss::new(engine, "Judge.", [("a", "an answer")]).unwrap();
    let loss = loss.score_between(Tags::new("<SCORE>", "</SCORE>").unwrap());
    let answer = Variable::differentiable("4", "answer");
    let verdict = loss.call([("a", &answer)]).await.unwrap();
    assert_eq!((verdict.text(), verdict.score()), (Some("no tags loss"), None));
    assert_eq!(backward(&verdict).await.unwrap().text(&answer), "no tags gradient");
}
