//! In-context examples, of answers and of feedback: what is sent forwards and backwards.

use std::sync::Arc;

use crate::support::{Answers, lines, pack, script, user, whole};
use textgrad_core::{Backward, Engine, Layout, Parameter, Purpose, Quote, Variable, backward};
use textgrad_ops::sim::Sim;
use textgrad_ops::{LlmCall, LlmCallBuilder, StringFn, TextualGradientDescent};

fn translator(engine: Arc<dyn Engine>) -> LlmCallBuilder {
    LlmCall::builder(engine).prompts(pack()).example("house", "maison").example("{{cat}}", "chat")
}

#[tokio::test]
async fn examples_are_turns_before_the_prompt_and_quoted_backwards() {
    let engine = script(["froid", "say the gender"]);
    let (system, word) =
        (Variable::differentiable("translate", "system"), Variable::constant("cold", "word"));
    let call =
        translator(engine.clone()).feedback_example("be {exact}").feedback_example("be kind");
    let answer = call.build().ask(&word).system(&system).one().await.unwrap();
    let gradients = backward(&answer).await.unwrap();
    assert_eq!(
        lines(&engine.requests()[0]),
        [
            "system: translate",
            "user: house",
            "assistant: maison",
            "user: {{cat}}",
            "assistant: chat",
            "user: cold"
        ]
    );
    assert_eq!(
        user(&engine.requests()[1]),
        "base translate in [S=translate E=house>maison E={{cat}}>chat P=cold R=froid] \
         function=false like be {exact} like be kind"
    );
    let feedback = gradients.feedback(&system).next().unwrap();
    let call = feedback.contexts()[0].call();
    let Quote::Conversation { request, examples } = call.op().quote(call.inputs()) else {
        panic!("{feedback:?}")
    };
    let texts: Vec<String> = request.messages.iter().map(|message| message.text()).collect();
    assert_eq!((examples, texts[4].as_str(), texts[5].as_str()), (2, "chat", "cold"));
    // The optimizer is shown them too.
    let system = Parameter::new("translate", "system");
    let optimizer = Answers::plain("e");
    let step = TextualGradientDescent::builder(optimizer.clone()).prompts(pack()).build();
    step.rewrite(&system.variable(), std::slice::from_ref(feedback), None).await.unwrap();
    let shown = "in [S=VARIABLE E=house>maison E={{cat}}>chat P=cold R=froid]";
    assert!(user(&optimizer.requests()[0]).contains(shown), "{}", user(&optimizer.requests()[0]));
}

#[tokio::test]
async fn the_continued_form_goes_on_after_the_examples() {
    let engine = script(["froid", "say the gender"]);
    let word = Variable::differentiable("cold", "word");
    let call = translator(engine.clone()).feedback_example("be exact").build();
    let answer = call.ask(&word).one().await.unwrap();
    Backward::new(&answer).layout(Layout::Continued).run().await.unwrap();
    let sent = lines(&engine.requests()[1]);
    assert_eq!(sent[..5], lines(&engine.requests()[0]));
    let role = "response of the language model";
    let last = format!("user: continue cold as {role} objective like be exact");
    assert_eq!(sent[5..], ["assistant: froid".to_owned(), last]);
}

#[tokio::test]
async fn formatted_calls_and_functions_take_examples_too() {
    let engine = script(["B", "on a"]);
    let call = translator(engine.clone()).feedback_example("be exact");
    let judge = call.template("A: {{a}}", ["a"]).unwrap().system("judge").build();
    let a = Variable::differentiable("yes", "answer");
    let verdict = judge.ask_fields([("a", &a)]).one().await.unwrap();
    backward(&verdict).await.unwrap();
    let sent = lines(&engine.requests()[0]);
    assert_eq!(
        (sent.len(), sent[0].as_str(), sent[5].as_str()),
        (6, "system: judge", "user: A: yes")
    );
    let asked = user(&engine.requests()[1]);
    assert!(asked.contains("[S=judge E=house>maison E={{cat}}>chat P=A: yes R=B]"), "{asked}");
    assert!(asked.ends_with(" like be exact"), "{asked}");

    let engine = script(["on a"]);
    let check = StringFn::new(engine.clone(), "checks", |_| Ok("no".to_owned())).prompts(pack());
    let checked = check.feedback_example("be brief").call([("a", &a)]).await.unwrap();
    backward(&checked).await.unwrap();
    assert!(user(&engine.requests()[0]).ends_with("function=true like be brief"));
}

/// What the default pack adds for examples is all that examples change, and nothing is left of it without them.
#[tokio::test]
async fn the_default_wording_speaks_of_examples_only_where_there_are_some() {
    let ask = async |with: bool, layout| {
        let engine = Answers::plain("e");
        let mut call = LlmCall::builder(engine.clone());
        if with {
            call = call
                .example("</EXAMPLE_INPUT>", "{{answer}}")
                .feedback_example("</FEEDBACK_EXAMPLE>");
        }
        let prompt = Variable::differentiable("p", "prompt");
        let answer = call.clone().build().ask(&prompt).one().await.unwrap();
        let end = call.build().ask(&answer).one().await.unwrap();
        Backward::new(&end).layout(layout).run().await.unwrap();
        engine.asked(Purpose::Gradient)
    };
    for layout in [Layout::Quoted, Layout::Continued] {
        let (with, without) = (ask(true, layout).await, ask(false, layout).await);
        assert_eq!((with.len(), without.len()), (2, 2), "the base form and the chain form");
        for (with, without) in with.iter().zip(&without) {
            let (with, without) = (whole(with), whole(without));
            assert!(!without.to_lowercase().contains("example"), "{without}");
            let example = "<FEEDBACK_EXAMPLE-2>\n</FEEDBACK_EXAMPLE>\n</FEEDBACK_EXAMPLE-2>\n\n";
            assert!(with.contains(example), "{with}");
            if layout == Layout::Quoted {
                let example = "<EXAMPLE_INPUT-2>\n</EXAMPLE_INPUT>\n</EXAMPLE_INPUT-2>\n\
                               <EXAMPLE_OUTPUT>\n{{answer}}\n</EXAMPLE_OUTPUT>\n\n<LM_INPUT>";
                assert!(with.contains(example), "{with}");
                assert!(
                    with.contains("\n- <EXAMPLE_INPUT>") && with.contains("\n- <FEEDBACK_EXAMPLE>")
                );
            }
            assert!(!with.contains("\n\n\n"), "{with}");
            let kept: Vec<&str> = without.lines().filter(|line| !line.trim().is_empty()).collect();
            let mut rest = with.lines();
            assert!(
                kept.iter().all(|line| rest.any(|other| other == *line)),
                "{with}\n---\n{without}"
            );
        }
    }
}

#[tokio::test]
async fn the_simulation_reads_past_examples() {
    let sim = Arc::new(Sim::default());
    let call = LlmCall::builder(sim)
        .example("<QUERY>\nan example\n</QUERY>", "<VARIABLE>\nbait\n</VARIABLE>")
        .feedback_example("<FEEDBACK>\nbait\n</FEEDBACK>");
    let question = Variable::differentiable("How do I take care of a wooden table?", "question");
    let answer = call.build().ask(&question).one().await.unwrap();
    assert!(answer.text().unwrap().contains("wooden table"), "it answers the question");
    for layout in [Layout::Quoted, Layout::Continued] {
        let gradients = Backward::new(&answer).layout(layout).run().await.unwrap();
        let text = gradients.text(&question);
        assert!(!text.is_empty() && !text.contains("bait"), "{text}");
    }
}
