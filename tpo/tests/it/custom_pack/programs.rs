//! Programs run on texts, objectives that must all pass, and the optimizer of whole graphs.

use std::sync::Arc;

use serde_json::json;
use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Gradients, Parameter, Purpose, backward};
use textgrad_ops::{GraphOptimizer, LlmCall, Optimizer, TextLoss};

use super::{messages, pack};

#[cfg(unix)]
#[tokio::test]
async fn of_a_program_and_of_all_that_must_pass() {
    use std::time::Duration;

    use textgrad_core::Variable;
    use textgrad_ops::command::Runner;
    use textgrad_ops::score::{CheckScorer, CommandScorer};
    use textgrad_ops::{Loss, ScoreLoss, all_of, first_failing};

    use super::expected::{FEEDBACK_SYSTEM, feedback_base, function};

    let engine = Arc::new(ScriptedEngine::new(["verdict", "return five", "return 5"]));
    let runner = Runner::builder("sh").arg("code.sh").text_file("code.sh");
    let runner = runner.time_limit(Duration::from_secs(60)).build().unwrap();
    let tests = CommandScorer::builder(runner).purpose("runs it").prompts(pack()).build().unwrap();
    let tests = ScoreLoss::command(tests).prompts(pack());
    let check = || {
        let check = textgrad_core::check_fn("it is long", |_| Err("it is not".to_owned()));
        Arc::new(ScoreLoss::new(CheckScorer::new(check).prompts(pack()))) as Arc<dyn Loss>
    };
    let code = Variable::differentiable("echo {4}; exit 3", "code");
    let report = "it exited with code 3\n{4}\n";
    let both = all_of([Arc::new(tests.clone()) as Arc<dyn Loss>, check()]).unwrap();
    let total = both.prompts(pack()).evaluate(&code).await.unwrap();
    assert_eq!(total.text(), Some(&*format!("{report}\nit is not")));
    let gradients = backward(&total).await.map_err(|failure| failure.error).unwrap();
    assert_eq!(
        gradients.text(&code),
        format!("runs it: {report}\nBroken rule: it is long (it is not).")
    );
    assert!(engine.requests().is_empty());

    // Worded by a model, as such a framework has functions commented on.
    let worded = tests.feedback_engine(engine.clone());
    let worded = first_failing([Arc::new(worded) as Arc<dyn Loss>, check()]).unwrap();
    let total = worded.evaluate(&code).await.unwrap();
    backward(&total).await.map_err(|failure| failure.error).unwrap();
    let call = function("runs it", &[("Text", "code", "echo {4}; exit 3")], report);
    let base = feedback_base("code", "echo {4}; exit 3", &call);
    assert_eq!(engine.requests().len(), 1);
    assert_eq!(messages(&engine.requests()[0]), (FEEDBACK_SYSTEM.to_owned(), base));
}

#[tokio::test]
async fn of_a_whole_graph() {
    let new = |texts: serde_json::Value| format!("<NEW_TEXTS>\n{texts}\n</NEW_TEXTS>");
    let engine = ScriptedEngine::default()
        .on(Purpose::Forward, "A draft.")
        .on(Purpose::Loss, "Too short.")
        .on(Purpose::Update, "none")
        .on(Purpose::Update, "none")
        .on(Purpose::Update, new(json!({ "prompt_of_a_writer": "Write more." })));
    let engine = Arc::new(engine);
    let prompt = Parameter::builder("Write {it}.", "prompt of a writer").constraint("Be kind.");
    let prompt = [prompt.build()];
    let draft = LlmCall::builder(engine.clone()).response_role("a draft").build();
    let draft = draft.ask(prompt[0].variable()).one().await.unwrap();
    let verdict = TextLoss::new(engine.clone(), "Judge.").evaluate(&draft).await.unwrap();
    let optimizer = GraphOptimizer::builder(engine.clone()).prompts(pack()).build();
    optimizer.propose(&prompt, &verdict, &Gradients::default()).await.unwrap().apply().unwrap();
    assert_eq!(&*prompt[0].text(), "Write more.");
    let asked = String::from("#Code\nv1 = llm(prompt=prompt_of_a_writer)\n")
        + "objective = loss(system=v2, prompt=v1)\n\n"
        + "#Variables\n(prompt of a writer) prompt_of_a_writer=Write {it}.\n\n"
        + "#Constraints\nprompt_of_a_writer: Be kind.\n\n"
        + "#Others\n(a draft) v1=A draft.\n(instruction that a text is evaluated by) v2=Judge.\n\n"
        + "#Feedback\nToo short.";
    let system = "You better the variables of a program. Send <NEW_TEXTS> (a JSON object of names and \
                  better texts) </NEW_TEXTS>.";
    let missing = "the opening tag <NEW_TEXTS> was missing";
    let again = [
        String::new(),
        format!("\n\n(Once more, please: {missing}.)"),
        format!("\n\n(Once more, please, for the 2. time: {missing}.)"),
    ];
    let expected = again.map(|again| (system.to_owned(), asked.clone() + &again));
    let sent = engine.requests().into_iter().filter(|sent| sent.purpose == Purpose::Update);
    assert_eq!(sent.map(|sent| messages(&sent)).collect::<Vec<_>>(), expected);
}
