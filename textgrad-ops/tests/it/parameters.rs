//! Parameters as arguments, and proposals of new texts for them.

use crate::support::{Answers, picture, script};
use textgrad_core::{
    Annotations, Feedback, Gradients, Graph, Parameter, Variable, backward, check_fn,
};
use textgrad_ops::score::Example;
use textgrad_ops::{
    ContrastiveLoss, Error, ImageQaLoss, ListwiseLoss, LlmCall, Loss, MultiFieldLoss,
    MultipleChoiceLoss, ParameterUpdate, Proposal, ScoreLoss, StringFn, TextLoss,
    TextualGradientDescent, all_of, all_passed, first_failing, loss_fn, weighted_sum,
    weighted_sum_of,
};

#[tokio::test]
async fn a_parameter_is_taken_wherever_a_text_is_read() {
    let engine = Answers::plain("e");
    let p = Parameter::new("text", "role");
    let call = LlmCall::builder(engine.clone()).build();
    let answer = call.ask(&p).system(&p).attach(&p).one().await.unwrap();
    let text = || TextLoss::with_instruction(engine.clone(), &p);
    let check = || ScoreLoss::check(check_fn("any", |_| Ok(())));
    let fields = [("a", "role")];
    let field = MultiFieldLoss::with_instruction(engine.clone(), &p, fields).unwrap().system(&p);
    let over = field.over("a", Vec::<(&str, &Parameter)>::new()).unwrap();
    let listwise = ListwiseLoss::new(engine.clone(), &p, [(&p, 1.0)]).unwrap();
    let choice = MultipleChoiceLoss::with_instruction(engine.clone(), &p, &p).system(&p);
    let picture = picture();
    let image = ImageQaLoss::with_instruction(engine.clone(), &p, &p, &picture);
    let function = loss_fn(|text: Variable| async move { Ok(text) });
    let sum = weighted_sum([(1.0, text().shared()), (2.0, check().shared())]).unwrap();
    let all = all_of([check().shared(), text().shared()]).unwrap();
    let first = first_failing([check().shared(), text().shared()]).unwrap();
    let contrastive = ContrastiveLoss::new(engine.clone(), &p).against(&p);
    for evaluation in [
        text().evaluate(&p).await,
        check().evaluate(&p).await,
        check().evaluate_for(&p, &Example::new("x")).await,
        over.evaluate(&p).await,
        listwise.evaluate(&p).await,
        choice.evaluate(&p).await,
        image.evaluate(&p).await,
        function.evaluate(&p).await,
        sum.evaluate(&p).await,
        all.evaluate(&p).await,
        first.evaluate(&p).await,
        contrastive.evaluate(&p).await,
    ] {
        let graph = Graph::trace(evaluation.unwrap());
        assert!(graph.contains(&p));
    }
    assert!(all_passed([&p]).await.is_ok() && weighted_sum_of([(1.0, &p)]).await.is_ok());
    let graph = Graph::trace(&answer);
    assert_eq!(graph.consumers(&p).count(), 3);
    Annotations::default().label(&p, "label").score(&p, 1.0).stage("first", [&p]);
    let optimizer = TextualGradientDescent::builder(engine).build();
    let feedback = [Feedback::new("better")];
    assert!(optimizer.rewrite(&p, &feedback, None).await.is_ok());
}

#[tokio::test]
async fn a_panic_of_an_engine_is_an_error_of_its_call() {
    let engine = Answers::new("e", |_| panic!("oh"));
    let x = Parameter::new("x", "text");
    let function = StringFn::new(engine.clone(), "a function", |_| panic!("oh"));
    let descent = TextualGradientDescent::builder(engine.clone()).build();
    for text in [
        LlmCall::builder(engine).build().ask(&x).one().await.unwrap_err().to_string(),
        function.call([("x", &x)]).await.unwrap_err().to_string(),
        descent.rewrite(&x, &[Feedback::new("no")], None).await.unwrap_err().to_string(),
    ] {
        assert!(text.ends_with(" panicked: oh"), "{text}");
    }
}

#[tokio::test]
async fn a_step_without_a_parameter_says_so() {
    let error = TextualGradientDescent::builder(script([]))
        .build()
        .step([], &Gradients::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoParameters { frozen: 0 }), "{error}");
    assert!(error.to_string().ends_with("got none"), "{error}");
}

#[tokio::test]
async fn a_proposal_says_which_parameters_it_changes() {
    let [a, b, c] = ["a", "b", "c"].map(|text| Parameter::new(text, "text"));
    let mut proposal = Proposal::of([(&a, "a"), (&b, "new")]);
    let new = ParameterUpdate::new(&c, ["first", "second"]);
    assert_eq!(new.rewrite.as_ref().unwrap().candidates.len(), 2);
    proposal.updates.push(new);
    let changed: Vec<&Parameter> = proposal.changed().collect();
    assert_eq!(changed, [&b, &c]);
    proposal.apply().unwrap();
    assert_eq!([a, b, c].map(|parameter| parameter.text().to_string()), ["a", "new", "first"]);

    // A step that succeeds may change nothing.
    let rule = check_fn("it is short", |_: &str| Err("it is long".to_owned()));
    let kept = Parameter::builder("a1", "first").check(rule).build();
    let engine = Answers::plain("e");
    let loss = TextLoss::new(engine.clone(), "judge").evaluate(&kept).await.unwrap();
    let gradients = backward(&loss).await.unwrap();
    let optimizer = TextualGradientDescent::builder(engine).parse_retries(0).build();
    let step = optimizer.step([&kept], &gradients).await.unwrap();
    assert_eq!(step.changed().count(), 0);
}
