//! Bad input of every kind, and the whole of what is said about it. The details are in the tests of each part.

use std::error::Error as _;

use crate::support::{Answers, picture, script};
use serde_json::{Value, json};
use textgrad_core::{Gradients, Parameter, PromptPack, Purpose, Variable, backward, describe};
use textgrad_ops::engine::engine_with;
use textgrad_ops::train::{Dataset, Mapping};
use textgrad_ops::{
    ContrastiveLoss, GraphOptimizer, LlmCall, Loss, MultiFieldLoss, MultipleChoiceLoss, Optimizer,
    StringFn, TextLoss, TextualGradientDescent, prompts,
};

#[test]
fn a_template_that_uses_a_variable_which_there_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reduce.hbs");
    std::fs::write(&file, "All of it:\n{{#if feedbak}}yes{{/if}}\n").unwrap();
    let error = PromptPack::from_dir(prompts::templates(), folder.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}, line 2: unknown variable \"feedbak\"; known here: feedback, variable",
            file.display()
        )
    );
}

#[tokio::test]
async fn a_field_that_is_missing_or_named_wrongly() {
    let engine = script([]);
    let call = LlmCall::builder(engine.clone());
    let error = call.clone().template("Q: {{qestion}}", ["question"]);
    let error = error.unwrap_err();
    let told = "prompt, line 1: unknown variable \"qestion\"; known here: question";
    assert_eq!(error.to_string(), told);

    let x = Variable::differentiable("x", "text");
    let call = call.template("Q: {{question}}", ["question"]).unwrap().build();
    let error = call.ask_fields([("qestion", &x)]).one().await.unwrap_err();
    let told = "expected an input named \"question\", but the inputs are [\"qestion\"]";
    assert_eq!(error.source().unwrap().to_string(), told);

    let loss = MultiFieldLoss::new(engine.clone(), "Judge.", [("answer", "Answer")]).unwrap();
    let error = loss.call([("anwser", &x)]).await.unwrap_err();
    let told = "expected exactly the fields [\"answer\"], but got [\"anwser\"]";
    assert!(error.to_string().starts_with(told), "{error}");
    assert!(engine.requests().is_empty());
}

#[test]
fn an_engine_that_nobody_knows() {
    let error = engine_with("olama/llama3", |_| None).unwrap_err().to_string();
    let told = "expected an engine such as ollama/llama3, http://localhost:8000/v1#llama3 or sim, \
                got \"olama\"; did you mean ollama/MODEL? (known: openai, anthropic, ";
    assert!(error.starts_with(told), "{error}");
    let error = engine_with("openai/gpt-5", |_| None).unwrap().build().err().unwrap().to_string();
    assert!(error.contains("OPENAI_API_KEY"), "{error}");
    let error = engine_with("ollama", |_| None).unwrap_err().to_string();
    assert!(error.contains("expected ollama/MODEL, got ollama without a model"), "{error}");
}

#[tokio::test]
async fn a_line_of_data_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mapping = Mapping::new().field("question", "input").expected("target");
    for (name, text, told) in [
        ("a.jsonl", "{\"input\": \"a\", \"target\": \"1\"}\n{\"input\":\n", "line 2: not JSON: "),
        ("b.csv", "input,target\na\n", "line 2: expected 2 columns as in the first line, got 1"),
        (
            "c.json",
            "[{\"inptu\": \"a\"}]",
            "item 1: expected the field \"input\", but the fields are [\"inptu\"]",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let error = Dataset::read(&path, &mapping).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{name}, {told}")), "{error}");
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_in_the_graph() {
    let engine = Answers::plain("e");
    let (used, other) = (Parameter::new("x", "used"), Parameter::new("y", "not used"));
    let loss = TextLoss::new(engine.clone(), "Judge.").evaluate(&used.variable()).await.unwrap();
    let gradients = backward(&loss).await.unwrap();
    let paid = engine.requests().len();
    let descent = TextualGradientDescent::builder(engine.clone()).build();
    let error = descent.step([&other], &gradients).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected feedback on at least one parameter, but none has any (not used); run a backward \
         pass from an objective that depends on them, after their last assignment"
    );
    // Beside another it is left as it is, and named.
    let proposal = descent.propose_updates([&used, &other], &gradients).await.unwrap();
    assert_eq!(proposal.unchanged, std::slice::from_ref(&other));

    let whole = GraphOptimizer::builder(engine.clone()).build();
    let error = whole.propose(&[other], &loss, &Gradients::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected the objective to depend on the parameter (role: not used), but its present text is \
         not in the graph: build the graph from its variable() after its last assignment, or leave it out"
    );
    assert_eq!(engine.requests().len(), paid + 1);

    let constant = Variable::constant("x", "constant");
    let error = backward(&constant).await.unwrap_err();
    assert!(describe(&error).contains("requires no gradient"), "{}", describe(&error));
}

#[tokio::test]
async fn an_image_where_text_is_needed() {
    let engine = Answers::plain("e");
    let (x, image) = (Variable::differentiable("x", "text"), picture());
    let mut errors = Vec::new();
    let llm = LlmCall::builder(engine.clone()).build();
    errors.push(llm.ask(&x).system(&image).one().await.unwrap_err());
    errors.push(textgrad_ops::sum([&x, &image]).await.unwrap_err());
    errors.push((&x + &image).unwrap_err());
    let length = StringFn::new(engine.clone(), "counts", |i| Ok(i.text("it")?.len().to_string()));
    errors.push(length.call([("it", &image)]).await.unwrap_err());
    let choice = MultipleChoiceLoss::new(engine.clone(), "Look.", &image);
    errors.push(choice.evaluate(&x).await.unwrap_err());
    let against = ContrastiveLoss::new(engine.clone(), &x).against(&image);
    errors.push(Loss::evaluate(&against, &x).await.unwrap_err());
    let instruction = TextLoss::with_instruction(engine.clone(), image);
    errors.push(instruction.evaluate(&x).await.unwrap_err());
    for error in errors {
        let told = describe(&error);
        assert!(told.contains("expected text for input \""), "{told}");
        assert!(told.contains("(role: picture), but it holds an image"), "{told}");
    }
    assert!(engine.requests().is_empty());
}

#[test]
fn a_schema_that_is_none() {
    let error = textgrad_core::Format::json_schema("x", json!("text")).unwrap_err().to_string();
    assert_eq!(
        error,
        "expected a JSON schema, which is an object such as {\"type\":\"object\"}, got \"text\""
    );
    let schema: Value = json!({ "properties": { "a": { "type": "text" } } });
    #[cfg(feature = "json-schema")]
    {
        let error = textgrad_ops::check::JsonSchema::new(&schema).unwrap_err().to_string();
        let told = "expected a JSON schema, but at /properties/a/type: ";
        assert!(error.starts_with(told), "{error}");
    }
    // A format is the server's to judge.
    assert!(textgrad_core::Format::json_schema("x", schema).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_that_hangs_or_floods() {
    use std::time::Duration;

    use textgrad_ops::ScoreLoss;
    use textgrad_ops::command::Runner;
    use textgrad_ops::score::CommandScorer;

    let shell = |script: &str, limit: u64| {
        let path = std::env::var("PATH").unwrap();
        let runner = Runner::builder("sh").args(["-c", script]).env("PATH", path);
        runner.time_limit(Duration::from_millis(limit)).output_limit(100).build().unwrap()
    };
    let loss = |runner| ScoreLoss::command(CommandScorer::builder(runner).build().unwrap());
    let code = Variable::differentiable("x", "code");
    let hangs = loss(shell("sleep 1000", 200)).evaluate(&code).await.unwrap();
    let floods = "yes a | head -c 1000; exit 1";
    let floods = loss(shell(floods, 60_000)).evaluate(&code).await.unwrap();
    for (verdict, told) in
        [(hangs, "it did not end within 0.2 s and was killed"), (floods, "[900 bytes left out]")]
    {
        assert!(verdict.text().unwrap().contains(told), "{:?}", verdict.text());
        assert_eq!(verdict.score().unwrap().passed(), Some(false));
        let said = backward(&verdict).await.unwrap().text(&code);
        assert!(said.contains(told), "{said}");
    }
    let none = Runner::builder("./no-such-program").build().unwrap();
    let error = loss(none).evaluate(&code).await.unwrap_err();
    let told = describe(&error);
    assert!(told.contains("the program \"./no-such-program\" could not be run"), "{told}");
}

#[tokio::test]
async fn a_reply_that_is_no_update() {
    let engine = script(["none", "none", "none"]);
    let x = Variable::differentiable("x", "text");
    let feedback = [textgrad_core::Feedback::new("better!")];
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    let error = optimizer.rewrite(&x, &feedback, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no usable new text for the variable (role: text) in 3 request(s); the last answer: the \
         opening tag <IMPROVED_VARIABLE> was missing; it began: \"none\""
    );
    assert!(engine.requests().iter().all(|request| request.purpose == Purpose::Update));
}
