//! Updates by edits, and changes that were turned down.

use std::sync::Arc;

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Choice, Feedback, FinishReason, Format, Parameter, Purpose, Score, Variable};
use textgrad_ops::{
    Error, Optimizer, ProposalOutcome, Tags, TextLoss, TextualGradientDescent,
    TextualGradientDescentBuilder,
};

use crate::support::{tagged, user};

const TEXT: &str = "Oil the table. Wipe it dry.";

fn edit(find: &str, put: &str) -> String {
    format!("<EDIT>\n<FIND>{find}</FIND>\n<REPLACE>{put}</REPLACE>\n</EDIT>")
}

fn script(replies: impl IntoIterator<Item = impl Into<Reply>>) -> Arc<ScriptedEngine> {
    let engine = ScriptedEngine::default();
    Arc::new(replies.into_iter().fold(engine, |engine, reply| engine.on(Purpose::Update, reply)))
}

async fn rewritten(
    engine: &Arc<ScriptedEngine>,
    set: impl Fn(TextualGradientDescentBuilder) -> TextualGradientDescentBuilder,
) -> Result<Vec<String>, Error> {
    let text = Variable::constant(TEXT, "a text");
    let optimizer = set(TextualGradientDescent::builder(engine.clone()).edits(2)).build();
    let outcome = optimizer.rewrite(&text, &[Feedback::new("Wax it.")], None).await?;
    assert_eq!(engine.remaining(), 0);
    Ok(outcome.candidates.iter().map(|text| text.text().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn grammars_are_sent_on_demand_and_are_those_of_the_reply_that_is_asked_for() {
    let grammars = async |constrained: bool| {
        let engine = script(["No edit.".to_owned(), tagged("Wax it.")]);
        let set = |set: TextualGradientDescentBuilder| set.constrained_decoding(constrained);
        assert_eq!(rewritten(&engine, set).await.unwrap(), ["Wax it."]);
        engine.requests().into_iter().map(|request| request.format).collect::<Vec<_>>()
    };
    assert!(grammars(false).await.iter().all(Option::is_none));
    let sent = grammars(true).await;
    let Some(Format::Grammar { grammar, .. }) = &sent[0] else { panic!("{sent:?}") };
    assert!(grammar.starts_with("root ::= edits | text\nedits ::= edit (\"\\n\" edit){0,1}\n"));
    assert_eq!(sent[1], Some(Format::grammar(Tags::default().grammar())));
}

#[tokio::test]
async fn edits_or_the_whole_text_are_the_new_text() {
    let wax = "Wax the table. Wipe it dry.";
    for reply in [
        edit("Oil", "Wax"),
        format!("Here:\n{}\nThat is all.", edit("Oil the", "Wax the")),
        tagged(&edit("Oil", "Wax")),
        tagged(wax),
        // Of more edits than were asked for, the first count.
        [edit("Oil", "Wax"), edit("it", "it"), edit("dry", "wet")].join("\n"),
    ] {
        let engine = script([reply.as_str()]);
        assert_eq!(rewritten(&engine, |set| set).await.unwrap(), [wax], "{reply}");
        let asked = user(&engine.requests()[0]);
        assert!(asked.contains("at most 2 edits"), "{asked}");
    }
}

#[tokio::test]
async fn what_cannot_be_applied_is_asked_for_whole() {
    let cut = Choice::new(edit("Oil", "Wax"), FinishReason::Length);
    for (first, problem) in [
        (
            Reply::from(edit("Oil the chair", "Wax it")),
            "\"Oil the chair\" of edit 1 is not in the text",
        ),
        (Reply::from("No edit."), "the opening tag <IMPROVED_VARIABLE> was missing"),
        (Reply::choices([cut]), "it was cut off because it became too long"),
    ] {
        let whole = Reply::from(tagged("Wax it."));
        let engine = script([first, whole]);
        assert_eq!(rewritten(&engine, |set| set).await.unwrap(), ["Wax it."]);
        let predictions = engine.requests().into_iter().map(|request| request.prediction);
        assert_eq!(predictions.collect::<Vec<_>>(), [None, Some(TEXT.into())]);
        let again = user(&engine.requests()[1]);
        assert!(again.contains(problem), "{again}");
        assert!(!again.contains("<EDIT>"), "{again}");
    }
    let engine = script([edit("chair", "table")]);
    let error = rewritten(&engine, |set| set.parse_retries(0)).await.unwrap_err();
    assert!(error.to_string().contains("of edit 1 is not in the text"), "{error}");
}

#[tokio::test]
async fn each_of_several_candidates_is_edited_and_the_missing_are_asked_for() {
    let ended = |text: String| Choice::new(text, FinishReason::Stop);
    let first = [edit("Oil", "Wax"), edit("chair", "table"), edit("dry", "down")].map(ended);
    let engine = script([Reply::choices(first), Reply::from(tagged("Third."))]);
    let texts = rewritten(&engine, |set| set.candidates(3)).await.unwrap();
    assert_eq!(texts, ["Wax the table. Wipe it dry.", "Oil the table. Wipe it down.", "Third."]);
    assert_eq!(engine.requests()[1].sampling.n, 1);
}

#[tokio::test]
async fn a_text_that_speaks_of_edits_is_written_whole() {
    let engine = script([tagged("Write edits.")]);
    let optimizer = TextualGradientDescent::builder(engine.clone()).edits(2).build();
    let text = Variable::constant("Write an <EDIT>.", "a prompt");
    optimizer.rewrite(&text, &[Feedback::new("Be plain.")], None).await.unwrap();
    assert!(!user(&engine.requests()[0]).contains("<FIND>"));
}

/// Three steps with these new words and outcomes, and the request of a fourth.
async fn last_request(
    outcomes: [(&str, ProposalOutcome); 3],
    set: impl Fn(TextualGradientDescentBuilder) -> TextualGradientDescentBuilder,
) -> String {
    let mut engine = ScriptedEngine::default();
    for (number, put) in (1..).zip(outcomes.map(|(put, _)| put).into_iter().chain(["Paint"])) {
        engine = engine
            .on(Purpose::Loss, "It is dull.")
            .on(Purpose::Gradient, format!("Point {number}."))
            .on(Purpose::Update, tagged(&TEXT.replace("Oil", put)));
    }
    let engine = Arc::new(engine);
    let new = || set(TextualGradientDescent::builder(engine.clone())).build();
    let mut optimizer = new();
    let text = [Parameter::new(TEXT, "a text")];
    let loss = TextLoss::new(engine.clone(), "Judge the text.");
    for outcome in outcomes.map(|(_, outcome)| Some(outcome)).into_iter().chain([None]) {
        let verdict = loss.evaluate(&text[0].variable()).await.unwrap();
        let gradients = textgrad_core::backward(&verdict).await.unwrap();
        let proposal = optimizer.propose(&text, &verdict, &gradients).await.unwrap();
        if let Some(outcome) = outcome {
            if outcome.accepted {
                proposal.apply().unwrap();
            }
            optimizer.report(&proposal, outcome);
        }
        // What is remembered survives its file.
        let state = optimizer.state_dict();
        optimizer = new();
        optimizer.load_state_dict(&text, &state).unwrap();
    }
    user(&engine.requests().pop().unwrap())
}

#[tokio::test]
async fn rejected_changes_are_shown_with_their_scores_each_once() {
    let no = |score: f64| ProposalOutcome { accepted: false, score: Some(Score::Number(score)) };
    let outcomes = [("Wax", no(0.25)), ("Dust", no(0.5)), ("Dust", no(0.125))];
    let asked = last_request(outcomes, |set| set.rejected_memory(2)).await;
    let change = |put: &str| {
        let change = edit("Oil the table.", &format!("{put} the table."));
        format!("<REJECTED_CHANGE>\n{change}\n</REJECTED_CHANGE>")
    };
    let expected = format!(
        "With this one it scored 0.250:\n{}\nWith this one it scored 0.125:\n{}",
        change("Wax"),
        change("Dust")
    );
    assert!(asked.contains(&expected), "{asked}");
    let asked = last_request(outcomes, |set| set.momentum(1)).await;
    assert!(!asked.contains("REJECTED_CHANGE"), "{asked}");
}

#[tokio::test]
async fn what_was_said_before_an_acceptance_is_forgotten_on_request() {
    let outcome = |accepted| ProposalOutcome { accepted, score: None };
    let steps = [("Wax", outcome(false)), ("Dust", outcome(true)), ("Sand", outcome(false))];
    for (reset, feedback, rejected) in [(false, 3, 2), (true, 1, 1)] {
        let asked = last_request(steps, |set| {
            set.gradient_memory(5).rejected_memory(5).reset_on_acceptance(reset)
        });
        let asked = asked.await;
        assert_eq!(asked.matches("<PAST_FEEDBACK>").count(), feedback, "{asked}");
        assert_eq!(asked.matches("<REJECTED_CHANGE>").count(), rejected, "{asked}");
    }
}
