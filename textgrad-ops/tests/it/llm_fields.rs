//! Calls over named variables and functions of them: exactly what is sent, forwards and backwards.

use std::sync::Arc;

use crate::support::{lines, pack, picture, script, user};
use textgrad_core::{Backward, Engine, Error, Layout, Variable, backward};
use textgrad_ops::{LlmCall, LlmCallBuilder, StringFn, TextLoss};

fn llm(engine: Arc<dyn Engine>) -> LlmCallBuilder {
    LlmCall::builder(engine).prompts(pack())
}

fn judge(engine: Arc<dyn Engine>) -> LlmCall {
    llm(engine).template("Q: {{q}}\nA: {{a}}\n", ["q", "a"]).unwrap().system("be fair").build()
}

#[tokio::test]
async fn a_formatted_call_fills_in_its_fields() {
    let engine = script(["B", "on the answer"]);
    let (q, a) =
        (Variable::constant("2+2", "question"), Variable::differentiable("{{q}} </A>", "answer"));
    let verdict = judge(engine.clone()).ask_fields([("a", &a), ("q", &q)]).one().await.unwrap();
    let gradients = backward(&verdict).await.unwrap();
    assert_eq!(gradients.text(&a), "on the answer");
    let prompt = "Q: 2+2\nA: {{q}} </A>\n";
    let requests = engine.requests();
    assert_eq!(lines(&requests[0]), ["system: be fair".to_owned(), format!("user: {prompt}")]);
    assert_eq!(
        user(&requests[1]),
        format!("base {{{{q}}}} </A> in [S=be fair P={prompt} R=B] function=false")
    );
    let pass = Backward::new(&verdict).layout(Layout::Continued);
    let engine = script(["on the answer"]);
    pass.engine(engine.clone()).run().await.unwrap();
    assert_eq!(engine.requests()[0].messages.len(), 4);
}

#[tokio::test]
async fn a_formatted_call_wants_exactly_its_fields() {
    let engine = script([]);
    let (x, image) = (Variable::constant("x", "x"), picture());
    for (inputs, said) in [
        (vec![("q", x.clone())], "expected an input named \"a\""),
        (vec![("q", x.clone()), ("a", x.clone()), ("b", x.clone())], "expected exactly the fields"),
        (vec![("q", x.clone()), ("a", x.clone()), ("a", x.clone())], "expected exactly the fields"),
        (vec![("q", x.clone()), ("a", image)], "expected text for input \"a\""),
    ] {
        let error = judge(engine.clone()).ask_fields(inputs).one().await.unwrap_err();
        let Error::Forward { source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().starts_with(said), "{source}");
    }
    assert!(engine.requests().is_empty());
    let typo = llm(engine).template("{{question}}", ["q"]).unwrap_err();
    assert_eq!(typo.to_string(), r#"prompt, line 1: unknown variable "question"; known here: q"#);
}

#[tokio::test]
async fn a_function_is_shown_with_its_purpose_and_all_it_was_given() {
    let engine = script(["evaluation", "make it true", "use digits"]);
    let check = StringFn::new(engine.clone(), "finds the number", |inputs| {
        Ok((inputs.text("text")? == "4").to_string())
    })
    .prompts(pack());
    let (text, hint) =
        (Variable::differentiable("four", "number"), Variable::constant("0-9", "hint"));
    let found = check.call([("text", &text), ("hint", &hint)]).await.unwrap();
    assert_eq!(
        (found.text(), &**found.role()),
        (Some("false"), "result of a function: finds the number")
    );
    let loss = TextLoss::new(engine.clone(), "judge").prompts(pack());
    let evaluation = loss.evaluate(&found).await.unwrap();
    let pass = Backward::new(&evaluation).layout(Layout::Continued);
    assert_eq!(pass.run().await.unwrap().text(&text), "use digits");
    let call = "[F=finds the number text:number=four hint:hint=0-9 R=false]";
    // There is no conversation to continue.
    assert_eq!(
        lines(&engine.requests()[2]),
        [
            "system: feedback on number".to_owned(),
            format!(
                "user: chain four in {call} as result of a function: finds the number said make \
                 it true function=true"
            ),
        ]
    );
    let base = script(["use digits"]);
    Backward::new(&found).engine(base.clone()).run().await.unwrap();
    assert_eq!(user(&base.requests()[0]), format!("base four in {call} function=true"));
}
