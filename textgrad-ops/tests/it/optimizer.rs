//! Textual gradient descent: what is asked, what is taken for a new text, and what is assigned.

use std::collections::HashSet;
use std::sync::Arc;

use crate::support::{Answers, lines, pack, script, tagged, user, whole};
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Backward, Choice, EngineError, ErrorKind, Feedback, FinishReason, Gradients, Layout, Parameter,
    Purpose, Request, Sampling, Seed, Variable, backward,
};
use textgrad_ops::{
    Error, LlmCall, Tags, TextLoss, TextualGradientDescent, TextualGradientDescentBuilder, sum,
};

fn descent(engine: &Arc<ScriptedEngine>) -> TextualGradientDescentBuilder {
    TextualGradientDescent::builder(engine.clone()).prompts(pack())
}

/// Feedback on each of these, from an evaluation of its own.
async fn feedback_on(parameters: &[&Parameter], layout: Layout) -> Gradients {
    let critic = Answers::plain("critic");
    let loss = TextLoss::new(critic, "judge").prompts(pack());
    let mut losses = Vec::new();
    for parameter in parameters {
        losses.push(loss.evaluate(&parameter.variable()).await.unwrap());
    }
    let total = sum(&losses).await.unwrap();
    Backward::new(&total).layout(layout).run().await.unwrap()
}

async fn rewritten(
    optimizer: &TextualGradientDescent,
    seed: Option<Seed>,
) -> Result<textgrad_ops::UpdateOutcome, Error> {
    let text = Variable::differentiable("old", "letter");
    optimizer.rewrite(&text, &[Feedback::new("shorten it")], seed).await
}

fn texts(variables: &[Variable]) -> Vec<&str> {
    variables.iter().filter_map(Variable::text).collect()
}

#[tokio::test]
async fn a_proposal_assigns_nothing_until_it_is_applied() {
    let engine = script([&tagged("a2"), &tagged("b2")]);
    let (a, b) = (Parameter::new("a1", "first"), Parameter::new("b1", "second"));
    let idle = Parameter::new("c1", "third");
    let gradients = feedback_on(&[&a, &b], Layout::Quoted).await;
    let all = [a.clone(), idle.clone(), b.clone()];
    let proposal = descent(&engine).build().propose_updates(&all, &gradients).await.unwrap();
    assert_eq!((a.version(), b.version(), idle.version()), (0, 0, 0));
    assert_eq!(proposal.unchanged, std::slice::from_ref(&idle));
    let proposed: Vec<&Parameter> = proposal.updates.iter().map(|u| &u.parameter).collect();
    assert_eq!(proposed, [&a, &b]);
    proposal.apply().unwrap();
    assert_eq!((&*a.text(), &*b.text(), idle.version()), ("a2", "b2", 0));
    // A proposal cannot be applied twice: it was made from texts that are gone.
    let again = proposal.apply().unwrap_err();
    assert!(matches!(again, Error::Core(textgrad_core::Error::StaleParameter { .. })), "{again}");
    assert_eq!((a.version(), b.version()), (1, 1));
}

#[tokio::test]
async fn a_step_is_all_or_none() {
    let engine = script([&tagged("a2"), "no tags"]);
    let (a, b) = (Parameter::new("a1", "first"), Parameter::new("b1", "second"));
    let gradients = feedback_on(&[&a, &b], Layout::Quoted).await;
    let optimizer = descent(&engine).parse_retries(0).build();
    let proposal = optimizer.propose_updates(&[a.clone(), b.clone()], &gradients).await.unwrap();
    let error = proposal.apply().unwrap_err();
    assert_eq!(error.to_string(), "1 of 2 parameters have no new text, so none was assigned");
    assert!(
        matches!(&error, Error::Incomplete { source, .. } if source.to_string().contains("second"))
    );
    assert_eq!((&*a.text(), &*b.text()), ("a1", "b1"));
    // What was paid for is still there.
    let kept = proposal.updates[0].rewrite.as_ref().unwrap();
    assert_eq!(texts(&kept.candidates), ["a2"]);
}

#[tokio::test]
async fn a_parameter_that_was_assigned_meanwhile_is_stale() {
    let engine = script([&tagged("a2"), &tagged("b2")]);
    let (a, b) = (Parameter::new("a1", "first"), Parameter::new("b1", "second"));
    let gradients = feedback_on(&[&a, &b], Layout::Quoted).await;
    let optimizer = descent(&engine).build();
    let proposal = optimizer.propose_updates(&[a.clone(), b.clone()], &gradients).await.unwrap();
    b.set("by hand");
    let error = proposal.apply().unwrap_err();
    assert!(
        matches!(&error, Error::Core(textgrad_core::Error::StaleParameter { role }) if role == "second"),
        "{error}"
    );
    assert_eq!((&*a.text(), &*b.text()), ("a1", "by hand"));
    // Gradients are on the old leaf: nothing is asked about the new one.
    let error = optimizer.step(&[b], &gradients).await.unwrap_err();
    assert!(matches!(error, Error::NoFeedback { .. }), "{error}");
    assert_eq!(engine.requests().len(), 2);
}

#[tokio::test]
async fn a_parameter_given_twice_is_refused_before_anything_is_paid() {
    let engine = script([&tagged("a2"), &tagged("a3")]);
    let a = Parameter::new("a1", "first");
    let gradients = feedback_on(&[&a], Layout::Quoted).await;
    let error =
        descent(&engine).build().step(&[a.clone(), a.clone()], &gradients).await.unwrap_err();
    assert!(
        matches!(&error, Error::Core(textgrad_core::Error::RepeatedParameter { role }) if role == "first"),
        "{error}"
    );
    assert!(engine.requests().is_empty());
    assert_eq!(a.version(), 0);
}

#[tokio::test]
async fn all_parameters_are_asked_about_at_the_same_time() {
    let engine = Answers::plain("optimizer");
    let parameters: Vec<Parameter> =
        (0..8).map(|i| Parameter::new(i.to_string(), format!("text {i}"))).collect();
    let gradients = feedback_on(&parameters.iter().collect::<Vec<_>>(), Layout::Quoted).await;
    let optimizer =
        TextualGradientDescent::builder(engine.clone()).prompts(pack()).seed(Seed::new(3)).build();
    let proposal = optimizer.propose_updates(&parameters, &gradients).await.unwrap();
    // Each waits once: all requests are out before the first answer is in.
    let order: Vec<String> = engine.requests().iter().map(user).collect();
    assert!((0..8).all(|i| order[i].starts_with(&format!("text {i}={i} "))), "{order:?}");
    let seeds: HashSet<_> = engine.requests().iter().map(|r| r.sampling.seed.unwrap()).collect();
    assert_eq!(seeds.len(), 8);
    proposal.apply().unwrap();
    assert!(parameters.iter().all(|parameter| &*parameter.text() == "better"));
}

#[tokio::test]
async fn candidates_are_variables_of_the_graph() {
    let reply = Reply::texts([tagged("one"), tagged("two"), tagged("three")]);
    let engine = Arc::new(ScriptedEngine::new([reply]));
    let optimizer =
        descent(&engine).candidates(3).sampling(Sampling::default().with_temperature(0.7)).build();
    let text = Variable::differentiable("old", "letter");
    let feedback = Feedback::new("shorten it");
    let rewrite = optimizer.rewrite(&text, std::slice::from_ref(&feedback), None).await.unwrap();
    assert_eq!(texts(&rewrite.candidates), ["one", "two", "three"]);
    assert!(rewrite.rejected.is_empty());
    let sampling = &engine.requests()[0].sampling;
    assert_eq!((sampling.n, sampling.temperature, sampling.seed), (3, Some(0.7), None));
    assert_eq!(engine.requests()[0].purpose, Purpose::Update);
    for (place, candidate) in rewrite.candidates.iter().enumerate() {
        let source = candidate.source().unwrap();
        assert_eq!((source.call().op().name(), source.output()), ("update", place));
        let inputs: Vec<&Variable> = source.call().inputs().iter().map(|i| i.variable()).collect();
        assert_eq!(inputs, [&text, feedback.variable()]);
        assert_eq!(&**candidate.role(), "letter");
        assert!(!candidate.requires_grad());
    }
}

#[tokio::test]
async fn what_is_missing_is_asked_for_again_with_what_was_wrong() {
    let cut = Choice::new(tagged("cut"), FinishReason::Length);
    let replies = [
        Reply::texts([
            tagged("one"),
            "no tags".to_owned(),
            "<IMPROVED_VARIABLE>\nopen\n---".to_owned(),
        ]),
        Reply::choices([Choice::new(tagged("two"), FinishReason::Stop), cut]),
        Reply::from(tagged("three")),
    ];
    let engine = Arc::new(ScriptedEngine::new(replies));
    let optimizer = descent(&engine).candidates(3).build();
    let rewrite = rewritten(&optimizer, Some(Seed::new(1))).await.unwrap();
    assert_eq!(texts(&rewrite.candidates), ["one", "two", "three"]);

    let requests = engine.requests();
    let counts: Vec<u32> = requests.iter().map(|request| request.sampling.n).collect();
    assert_eq!(counts, [3, 2, 1]);
    let seeds: HashSet<u64> = requests.iter().map(|r| r.sampling.seed.unwrap()).collect();
    assert_eq!(seeds.len(), 3);
    let (open, close) = ("<IMPROVED_VARIABLE>", "</IMPROVED_VARIABLE>");
    let asked = format!("user: letter=old said shorten it {open}{close}");
    assert_eq!(lines(&requests[0]), [format!("system: optimizer {open}{close}"), asked.clone()]);
    let missing = format!("again: the closing tag {close} was missing cut=false {open}{close}");
    assert_eq!(lines(&requests[1])[1], format!("{asked}\n\n{missing}"));
    // Each note stands alone: it is about the last answer, behind the same request.
    let cut = format!(
        "again: it was truncated (finish reason length); raise max tokens cut=true {open}{close}"
    );
    assert_eq!(lines(&requests[2])[1], format!("{asked}\n\n{cut}"));

    let rejected: Vec<(&str, bool)> =
        rewrite.rejected.iter().map(|r| (r.text.lines().next().unwrap(), r.cut_off)).collect();
    assert_eq!(rejected, [("no tags", false), (open, false), (open, true)]);
}

#[tokio::test]
async fn asking_again_is_bounded() {
    for parse_retries in [0, 1, TextualGradientDescent::DEFAULT_PARSE_RETRIES] {
        let engine = Arc::new(ScriptedEngine::new(vec!["no tags"; 10]));
        let error = rewritten(&descent(&engine).parse_retries(parse_retries).build(), None)
            .await
            .unwrap_err();
        assert_eq!(engine.requests().len(), 1 + parse_retries as usize);
        assert_eq!(
            error.to_string(),
            format!(
                "no usable new text for the variable (role: letter) in {} request(s); the last \
                 answer: the opening tag <IMPROVED_VARIABLE> was missing; it began: \"no tags\"",
                1 + parse_retries
            )
        );
    }
}

#[tokio::test]
async fn what_is_there_is_kept_when_asking_again_does_not_help() {
    let down = || Reply::error(EngineError::new(ErrorKind::Server, "down"));
    let first = || Reply::texts([tagged("one"), "no tags".to_owned()]);
    for second in [down(), Reply::from("no tags either")] {
        let engine = Arc::new(ScriptedEngine::new([first(), second]));
        let optimizer = descent(&engine).candidates(2).parse_retries(1).build();
        let rewrite = rewritten(&optimizer, None).await.unwrap();
        assert_eq!(texts(&rewrite.candidates), ["one"]);
        assert_eq!(engine.requests().len(), 2);
    }
    // With nothing in hand, the engine's own error is told.
    let engine = Arc::new(ScriptedEngine::new([Reply::from("no tags"), down()]));
    let error = rewritten(&descent(&engine).build(), None).await.unwrap_err();
    assert_eq!(error.engine().map(EngineError::kind), Some(ErrorKind::Server));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_server_that_gives_one_answer_at_a_time_is_asked_for_all() {
    let engine = script([&tagged("one"), &tagged("two"), &tagged("three")]);
    let rewrite = rewritten(&descent(&engine).candidates(3).build(), None).await.unwrap();
    assert_eq!(texts(&rewrite.candidates), ["one", "two", "three"]);
    let counts: Vec<u32> = engine.requests().iter().map(|request| request.sampling.n).collect();
    assert_eq!(counts, [3, 1, 1]);
}

#[tokio::test]
async fn constraints_examples_and_tags_are_in_what_is_sent() {
    let engine = script(["<new>\nx\n</new>"]);
    let optimizer = descent(&engine)
        .constraint("short")
        .constraint("{polite}")
        .example("Dear {{name}}")
        .tags(Tags::new("<new>", "</new>").unwrap())
        .build();
    assert_eq!(texts(&rewritten(&optimizer, None).await.unwrap().candidates), ["x"]);
    assert_eq!(
        lines(&engine.requests()[0]),
        [
            "system: optimizer <new></new>",
            "user: letter=old said shorten it must 1 short must 2 {polite} like Dear {{name}} \
             <new></new>",
        ]
    );
}

#[tokio::test]
async fn the_default_pack_has_them_in_sections() {
    let engine = script([&tagged("x")]);
    let optimizer = TextualGradientDescent::builder(engine.clone())
        .constraint("short")
        .constraint("no </CONSTRAINTS> tag")
        .example("Dear Ada")
        .example("</EXAMPLES>");
    rewritten(&optimizer.build(), None).await.unwrap();
    let asked = user(&engine.requests()[0]);
    for part in [
        "<ROLE>\nletter\n</ROLE>\n\n<VARIABLE>\nold\n</VARIABLE>\n\n",
        "\n\n<FEEDBACK>\nshorten it\n</FEEDBACK>\n\n",
        "<CONSTRAINTS-2>\n1. short\n2. no </CONSTRAINTS> tag\n</CONSTRAINTS-2>\n\n",
        "<EXAMPLES>\nDear Ada\n</EXAMPLES>\n<EXAMPLES-2>\n</EXAMPLES>\n</EXAMPLES-2>\n\n",
    ] {
        assert!(asked.contains(part), "{part:?} in {asked}");
    }
    assert!(!asked.contains("\n\n\n") && !asked.ends_with('\n'), "{asked}");
}

fn is_prefix(first: &Request, second: &Request) -> bool {
    let (first, second) = (&first.messages, &second.messages);
    first.len() < second.len() && first[..] == second[..first.len()]
}

#[tokio::test]
async fn a_continued_update_goes_on_where_the_feedback_ended() {
    let engine = Arc::new(
        ScriptedEngine::new(["the answer", "too long", "cut it", "shorten your answers"])
            .on(Purpose::Update, tagged("be brief")),
    );
    let system = Parameter::new("be kind", "system prompt");
    let llm = LlmCall::builder(engine.clone()).build();
    let question = Variable::constant("why?", "question");
    let answer = llm.ask(&question).system(&system).one().await.unwrap();
    let loss = TextLoss::new(engine.clone(), "judge").evaluate(&answer).await.unwrap();
    let gradients = Backward::new(&loss).layout(Layout::Continued).run().await.unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone())
        .layout(Layout::Continued)
        .constraint("one line")
        .build();
    optimizer.step(std::slice::from_ref(&system), &gradients).await.unwrap();
    assert_eq!(&*system.text(), "be brief");
    let [forward, evaluation, on_answer, on_system, update] = &engine.requests()[..] else {
        panic!("{:?}", engine.requests().len());
    };
    assert!(is_prefix(forward, on_system) && is_prefix(on_system, update));
    assert!(is_prefix(evaluation, on_answer));
    assert_eq!(lines(update)[4], "assistant: shorten your answers");
    assert_eq!(update.messages.len(), 6);
    let asked = user(update);
    // The text stands above already, and is not said again.
    assert!(user(on_system).contains("<VARIABLE>\nbe kind\n</VARIABLE>"));
    assert!(!asked.contains("be kind") && asked.contains("The new text must obey:"), "{asked}");
    assert!(asked.contains("1. one line") && !asked.contains("\n\n\n"), "{asked}");
}

#[tokio::test]
async fn without_exactly_one_dialogue_the_update_is_quoted() {
    let a = Parameter::new("a1", "first");
    // Two evaluations of one text; one evaluation in a quoted pass; plain words.
    let two = feedback_on(&[&a, &a], Layout::Continued).await;
    let quoted = feedback_on(&[&a], Layout::Quoted).await;
    let variable = a.variable();
    let cases: [Vec<Feedback>; 3] = [
        two.feedback(&variable).cloned().collect(),
        quoted.feedback(&variable).cloned().collect(),
        vec![Feedback::new("plain")],
    ];
    for (feedback, count) in cases.iter().zip([2, 1, 1]) {
        assert_eq!(feedback.len(), count);
        let engine = script([&tagged("a2")]);
        let optimizer = descent(&engine).layout(Layout::Continued).build();
        optimizer.rewrite(&variable, feedback, None).await.unwrap();
        let asked = whole(&engine.requests()[0]);
        assert!(asked.starts_with("system: optimizer"), "{asked}");
        assert_eq!(asked.matches(feedback[0].text()).count(), count, "{asked}");
    }
}

#[tokio::test]
async fn a_feedback_is_shown_with_every_use_and_the_text_once() {
    let engine = script([&tagged("a2")]);
    let a = Parameter::new("a text", "first");
    let gradients = feedback_on(&[&a, &a], Layout::Quoted).await;
    descent(&engine).build().step(&[a], &gradients).await.unwrap();
    let quote = "critic gradient in [S=judge P=VARIABLE R=critic loss] as evaluation of a text";
    assert_eq!(
        user(&engine.requests()[0]),
        format!("first=a text said {quote}\n{quote} <IMPROVED_VARIABLE></IMPROVED_VARIABLE>")
    );
}

#[tokio::test]
async fn a_parameter_that_is_the_objective_itself_has_no_feedback() {
    let engine = script([]);
    let a = Parameter::new("a1", "first");
    let total = sum([&a.variable()]).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    let error = descent(&engine).build().step(&[a], &gradients).await.unwrap_err();
    assert!(matches!(error, Error::NoFeedback { .. }), "{error}");
}
