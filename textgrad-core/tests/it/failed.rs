//! An op's failure as feedback: which failures, to whom, and in what words.

use std::sync::Arc;

use crate::support::{on, speaks, words};
use textgrad_core::{
    EngineError, Error, ErrorKind, Feedback, Graph, Image, Inputs, OpFn, Output, PromptError,
    Quote, Score, Variable, apply, apply_one, backward, op_fn,
};

/// An op that ends as `end` says.
fn ends(end: impl Fn(&Inputs) -> Result<Vec<Output>, Error> + Send + Sync + 'static) -> Arc<OpFn> {
    Arc::new(op_fn("parse", move |inputs: Inputs| {
        let end = end(&inputs);
        async move { end }
    }))
}

fn fails(error: impl Fn() -> Error + Send + Sync + 'static) -> Arc<OpFn> {
    ends(move |_| Err(error()))
}

fn io() -> std::io::Error {
    std::io::Error::other("no digits")
}

/// The failure of an op with its variable.
async fn failure(op: Arc<OpFn>, inputs: impl Into<Inputs>) -> (Error, Variable) {
    let inputs = inputs.into();
    let error = apply_one(op, inputs.clone()).await.unwrap_err();
    let variable = error.to_variable(inputs).unwrap();
    (error, variable)
}

#[tokio::test]
async fn every_input_that_may_change_receives_feedback_and_no_other() {
    let (number, unit) =
        (Variable::differentiable("four", "a number"), Variable::differentiable("m", "a unit"));
    let constant = Variable::constant("c", "constant");
    let inputs = [("number", &number), ("unit", &unit), ("constant", &constant)];
    let op = fails(|| Error::op_caused_by("not a length", io()));
    let (error, variable) = failure(op, inputs).await;
    assert_eq!(error.to_string(), r#"op "parse" failed"#);
    assert_eq!(variable.text(), Some("not a length: no digits"));
    assert_eq!(&**variable.role(), r#"error of op "parse""#);
    assert_eq!(variable.score(), Some(Score::Passed(false)));

    let gradients = backward(&variable).await.unwrap();
    assert_eq!(
        gradients.text(&number),
        r#"The op "parse" failed with this text as its input "number": not a length: no digits"#
    );
    assert!(gradients.text(&unit).contains(r#"as its input "unit""#));
    assert!(gradients.received(&constant).is_empty());
    let feedback: Vec<&Feedback> = gradients.feedback(&number).collect();
    let [context] = feedback[0].contexts() else { panic!("{feedback:?}") };
    assert_eq!(&**context.response().role(), r#"error of op "parse""#);
    let inputs = context.call().inputs();
    let Quote::Function { purpose } = context.call().op().quote(inputs) else {
        panic!("{context:?}")
    };
    let output = context.response().value().as_text();
    assert_eq!((&*purpose, output), (r#"op "parse""#, Some("not a length: no digits")));
    assert_eq!(inputs.text("unit").unwrap(), "m");

    // It is a call of the graph like any other.
    let graph = Graph::trace(&variable);
    assert_eq!(
        graph.calls().map(|call| call.op().name().to_owned()).collect::<Vec<_>>(),
        ["parse"]
    );
    let call = variable.source().unwrap().call();
    let again = apply(Arc::clone(call.op()), call.inputs().clone()).await.unwrap();
    assert_eq!((again[0].text(), again[0].score()), (variable.text(), variable.score()));
}

#[tokio::test]
async fn further_back_the_feedback_goes_on_as_any_other() {
    let draft = Variable::differentiable("draft", "draft");
    let answer = on(speaks("writer"), &[&draft]).await;
    let (_, variable) = failure(fails(|| Error::op("no")), [("text", &answer)]).await;
    let gradients = backward(&variable).await.unwrap();
    assert!(gradients.text(&answer).ends_with(": no"));
    assert_eq!(gradients.text(&draft), "writer/0");
}

#[tokio::test]
async fn what_is_said_about_the_error_goes_along() {
    let text = Variable::differentiable("text", "text");
    let (_, variable) = failure(fails(|| Error::op("no")), [("text", &text)]).await;
    let verdict = on(speaks("judge"), &[&variable]).await;
    let gradients = backward(&verdict).await.unwrap();
    let expected = "The op \"parse\" failed with this text as its input \"text\": no\njudge/0";
    assert_eq!(words(gradients.get(&text)), [expected]);
}

#[tokio::test]
async fn an_op_that_succeeds_is_applied_as_ever() {
    let text = Variable::differentiable("text", "text");
    let op = || ends(|inputs| Ok(vec![Output::new(inputs.text("text")?, "copy")]));
    let copies = apply(op(), [("text", &text)]).await.unwrap();
    assert_eq!(copies.len(), 1);
    let copy = apply_one(op(), [("text", &text)]).await.unwrap();
    assert_eq!((copy.text(), copy.score()), (Some("text"), None));
    assert_eq!(copy.source().unwrap().call().inputs().find("text"), Some(&text));
}

#[tokio::test]
async fn failures_of_the_ops_own_are_turned() {
    let text = Variable::differentiable("text", "text");
    let image = Variable::constant(Image::new(vec![1], "image/png").unwrap(), "picture");
    let inputs = || Inputs::from([("text", &text), ("image", &image)]);
    let prompt = || PromptError::Unsupported { file: "f".into(), line: 1, reason: "r".into() };
    for (op, said) in [
        (fails(|| Error::op("said so")), "said so"),
        (
            ends(|inputs| inputs.text("nothing").map(|_| vec![])),
            "expected an input named \"nothing\"",
        ),
        (ends(|inputs| inputs.text("image").map(|_| vec![])), "expected text for input \"image\""),
        (
            ends(|inputs| inputs.image("text").map(|_| vec![])),
            "expected an image for input \"text\"",
        ),
        (fails(move || prompt().into()), "f, line 1: r"),
        (ends(|_| Ok(vec![])), "expected op \"parse\" to make 1 output(s), but it made 0"),
    ] {
        let (_, variable) = failure(op, inputs()).await;
        let words = variable.text().unwrap();
        assert!(words.starts_with(said), "{words}");
        assert_eq!(backward(&variable).await.unwrap().feedback(&text).count(), 1);
    }
    // An op that runs another: the words are those of the one that failed.
    let outer = Arc::new(op_fn("outer", |inputs: Inputs| async move {
        apply(fails(|| Error::op("deep down")), inputs).await.map(|_| vec![])
    }));
    let (error, variable) = failure(outer, inputs()).await;
    assert_eq!(variable.text(), Some("deep down"));
    assert!(matches!(&error, Error::Forward { op, .. } if op == "outer"), "{error:?}");
}

#[tokio::test]
async fn failures_of_an_engine_and_panics_are_not() {
    let text = Variable::differentiable("text", "text");
    for kind in [ErrorKind::Connection, ErrorKind::Auth, ErrorKind::Budget, ErrorKind::Other] {
        let engine = move || EngineError::new(kind, "not today");
        for op in [
            fails(move || engine().into()),
            fails(move || Error::op_caused_by("could not ask", engine())),
            fails(move || Error::Forward { op: "inner".into(), source: Box::new(engine().into()) }),
        ] {
            let error = apply(op, [("text", &text)]).await.unwrap_err();
            assert!(error.to_variable([("text", &text)]).is_none());
            assert!(matches!(&error, Error::Forward { op, .. } if op == "parse"), "{error:?}");
            assert_eq!(error.engine().map(EngineError::kind), Some(kind));
        }
    }
    let inner = || Error::Panic { op: "inner".into(), message: "oh".into() };
    let error = apply(fails(inner), [("text", &text)]).await.unwrap_err();
    assert!(error.to_variable([("text", &text)]).is_none());
    assert!(matches!(error, Error::Forward { .. }));
    let panics = ends(|_| panic!("oh"));
    let error = apply(panics, [("text", &text)]).await.unwrap_err();
    assert!(error.to_variable([("text", &text)]).is_none());
    assert_eq!(error.to_string(), "op \"parse\" panicked: oh");
}

#[tokio::test]
async fn a_failure_without_anything_that_may_change_ends_a_pass_at_once() {
    let constant = Variable::constant("c", "constant");
    let (_, variable) = failure(fails(|| Error::op("no")), [("text", &constant)]).await;
    let ended = backward(&variable).await.unwrap_err();
    assert!(matches!(ended.error, Error::NothingRequiresGrad { .. }));
}
