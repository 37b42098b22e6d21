//! Calls of language models: exactly what is sent, forwards and backwards.

use std::sync::Arc;

use crate::support::{Answers, lines, pack, picture, script, user, whole};
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Backward, Choice, Engine, EngineError, ErrorKind, Feedback, FinishReason, Graph, Layout,
    Message, Purpose, Sampling, Seed, Variable, backward,
};
use textgrad_ops::{
    LlmCall, LlmCallBuilder, LlmReduce, TextLoss, TextualGradientDescent, aggregate,
};

fn llm(engine: Arc<dyn Engine>) -> LlmCallBuilder {
    LlmCall::builder(engine).prompts(pack())
}

#[tokio::test]
async fn the_base_form_is_asked_of_the_objective() {
    let engine = script(["the answer", "on system", "on prompt"]);
    let system = Variable::differentiable("be brief", "system prompt");
    let prompt = Variable::differentiable("why?", "question");
    let call = llm(engine.clone()).response_role("reply").build();
    let answer = call.ask(&prompt).system(&system).one().await.unwrap();
    assert_eq!((answer.text(), &**answer.role()), (Some("the answer"), "reply"));
    let gradients = backward(&answer).await.unwrap();
    assert_eq!(gradients.text(&system), "on system");
    assert_eq!(gradients.text(&prompt), "on prompt");

    let requests = engine.requests();
    assert_eq!(lines(&requests[0]), ["system: be brief", "user: why?"]);
    let conversation = "[S=be brief P=why? R=the answer] function=false";
    let about_system = format!("user: base be brief in {conversation}");
    assert_eq!(lines(&requests[1]), ["system: feedback on system prompt", &about_system]);
    let about_prompt = format!("user: base why? in {conversation}");
    assert_eq!(lines(&requests[2]), ["system: feedback on question", &about_prompt]);
    let purposes: Vec<Purpose> = requests.iter().map(|request| request.purpose).collect();
    assert_eq!(purposes, [Purpose::Forward, Purpose::Gradient, Purpose::Gradient]);
}

/// prompt -> answer -> evaluation.
async fn chain(engine: &Arc<ScriptedEngine>) -> (Variable, Variable, Variable) {
    let prompt = Variable::differentiable("why?", "question");
    let answer = llm(engine.clone()).build().ask(&prompt).one().await.unwrap();
    let loss = TextLoss::new(engine.clone(), "judge it").prompts(pack());
    let evaluation = loss.evaluate(&answer).await.unwrap();
    (prompt, answer, evaluation)
}

#[tokio::test]
async fn the_chain_form_is_asked_with_what_was_said() {
    let engine = script(["because", "too short", "give a reason", "ask for a reason"]);
    let (prompt, answer, evaluation) = chain(&engine).await;
    let gradients = backward(&evaluation).await.unwrap();
    assert_eq!(gradients.text(&answer), "give a reason");
    assert_eq!(gradients.text(&prompt), "ask for a reason");
    let requests = engine.requests();
    assert_eq!(lines(&requests[1]), ["system: judge it", "user: because"]);
    assert_eq!(requests[1].purpose, Purpose::Loss);
    assert_eq!(
        user(&requests[2]),
        "base because in [S=judge it P=because R=too short] function=false"
    );
    assert_eq!(
        user(&requests[3]),
        "chain why? in [P=why? R=because] as response of the language model said give a reason \
         function=false"
    );
}

#[tokio::test]
async fn the_continued_form_goes_on_where_the_call_ended() {
    let engine = script(["because", "too short", "give a reason", "ask for a reason"]);
    let (_, _, evaluation) = chain(&engine).await;
    Backward::new(&evaluation).layout(Layout::Continued).run().await.unwrap();
    let requests = engine.requests();
    assert_eq!(
        lines(&requests[2]),
        [
            "system: judge it",
            "user: because",
            "assistant: too short",
            "user: continue because as evaluation of a text objective",
        ]
    );
    assert_eq!(
        lines(&requests[3]),
        [
            "user: why?",
            "assistant: because",
            "user: continue why? as response of the language model said give a reason",
        ]
    );
}

#[tokio::test]
async fn several_outputs_make_one_request_that_quotes_those_with_feedback() {
    let engine = Arc::new(ScriptedEngine::new([Reply::texts(["one", "two", "three"])]));
    let prompt = Variable::differentiable("count", "task");
    let call = llm(engine.clone()).sampling(Sampling::default().with_n(3)).build();
    let answers = call.ask(&prompt).all().await.unwrap();
    assert_eq!(answers.len(), 3);
    let loss = TextLoss::new(script(["too low", "too high"]), "judge").prompts(pack());
    let first = loss.evaluate(&answers[0]).await.unwrap();
    let third = loss.evaluate(&answers[2]).await.unwrap();
    let total = textgrad_ops::sum([&first, &third]).await.unwrap();
    for layout in [Layout::Quoted, Layout::Continued] {
        let both = script(["raise it", "lower it", "all in one"]);
        let pass = Backward::new(&total).layout(layout).engine(both.clone());
        let gradients = pass.run().await.unwrap();
        assert_eq!(gradients.text(&prompt), "all in one");
        let requests = both.requests();
        assert_eq!(requests.len(), 3, "one request for all outputs");
        assert_eq!(
            user(&requests[2]),
            "chain count in [P=count R=one]\n\n[P=count R=three] as response of the language \
             model said On output 1: raise it said On output 2: lower it function=false"
        );
        let contexts: Vec<usize> =
            gradients.feedback(&prompt).map(|f| f.contexts().len()).collect();
        assert_eq!(contexts, [2]);
    }
}

#[tokio::test]
async fn attachments_go_before_the_prompt_and_images_are_only_shown() {
    let engine = script(["a cat", "on note", "on prompt"]);
    let note = Variable::differentiable("a note", "note");
    let prompt = Variable::differentiable("what is it?", "question");
    let image = picture();
    let call = llm(engine.clone()).build();
    let answer = call.ask(&prompt).attach(&image).attach(&note).one().await.unwrap();
    let gradients = backward(&answer).await.unwrap();
    assert_eq!(gradients.text(&note), "on note");
    assert!(gradients.received(&image).is_empty());
    let requests = engine.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(lines(&requests[0]), ["user: (image) + a note + what is it?"]);
    assert_eq!(
        lines(&requests[1])[1],
        "user: (image) + base a note in [P=a note\nwhat is it? R=a cat] function=false"
    );

    let engine = script(["on note", "on prompt"]);
    let pass = Backward::new(&answer).layout(Layout::Continued).engine(engine.clone());
    pass.run().await.unwrap();
    assert_eq!(lines(&engine.requests()[0])[0], "user: (image) + a note + what is it?");
}

#[tokio::test]
async fn an_image_can_be_the_prompt() {
    let engine = script(["a cat", "name the breed"]);
    let system = Variable::differentiable("describe it", "system prompt");
    let answer = llm(engine.clone()).build().ask(picture()).system(&system).one().await.unwrap();
    let gradients = backward(&answer).await.unwrap();
    assert_eq!(gradients.text(&system), "name the breed");
    assert_eq!(lines(&engine.requests()[0]), ["system: describe it", "user: (image)"]);
}

#[tokio::test]
async fn an_empty_system_prompt_is_not_sent_but_can_be_learned() {
    let engine = script(["answer", "write one"]);
    let system = Variable::differentiable("", "system prompt");
    let question = Variable::constant("why?", "question");
    let answer = llm(engine.clone()).build().ask(&question).system(&system).one().await.unwrap();
    let gradients = backward(&answer).await.unwrap();
    assert_eq!(gradients.text(&system), "write one");
    assert_eq!(lines(&engine.requests()[0]), ["user: why?"]);
    assert_eq!(user(&engine.requests()[1]), "base  in [P=why? R=answer] function=false");
}

#[tokio::test]
async fn seeds_are_derived_where_they_are_wanted() {
    let engine = Answers::plain("e");
    let system = Variable::differentiable("s", "system");
    let prompt = Variable::differentiable("p", "prompt");
    let call = llm(engine.clone()).sampling(Sampling::default().with_seed(11).with_n(2)).build();
    call.ask(&prompt).one().await.unwrap();
    let answer = call.ask(&prompt).system(&system).seed(Seed::new(4)).one().await.unwrap();
    backward(&answer).await.unwrap();
    Backward::new(&answer).seed(Seed::new(9)).run().await.unwrap();
    Backward::new(&answer).seed(Seed::new(9)).run().await.unwrap();
    let seeds: Vec<Option<u64>> = engine.requests().iter().map(|r| r.sampling.seed).collect();
    assert_eq!(seeds[0], Some(11));
    assert_eq!(seeds[1], Some(Seed::new(4).request_seed()));
    assert_eq!(seeds[2..4], [None, None]);
    assert!(seeds[4].is_some() && seeds[5].is_some() && seeds[4] != seeds[5]);
    assert_eq!(seeds[4..6], seeds[6..8]);
    let counts: Vec<u32> = engine.requests().iter().map(|r| r.sampling.n).collect();
    assert_eq!(counts, [2, 2, 1, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn feedback_can_be_drawn_another_way_and_by_another_engine() {
    let (own, critic) = (Answers::plain("own"), Answers::plain("critic"));
    let prompt = Variable::differentiable("p", "prompt");
    let call = llm(own.clone())
        .feedback_engine(critic.clone())
        .feedback_sampling(Sampling::default().with_temperature(0.0).with_n(5))
        .sampling(Sampling::default().with_temperature(1.0))
        .build();
    let answer = call.ask(&prompt).one().await.unwrap();
    assert_eq!(backward(&answer).await.unwrap().text(&prompt), "critic gradient");
    assert_eq!((own.requests().len(), critic.requests().len()), (1, 1));
    let sampling = &critic.requests()[0].sampling;
    assert_eq!((sampling.n, sampling.temperature), (1, Some(0.0)));
    let of_the_pass = Answers::plain("pass");
    let pass = Backward::new(&answer).engine(of_the_pass.clone());
    assert_eq!(pass.run().await.unwrap().text(&prompt), "pass gradient");
}

#[tokio::test]
async fn feedback_is_a_node_of_the_graph() {
    let engine = script(["because", "too short", "give a reason", "ask for a reason"]);
    let (prompt, answer, evaluation) = chain(&engine).await;
    let gradients = backward(&evaluation).await.unwrap();
    let on_answer: Vec<&Feedback> = gradients.feedback(&answer).collect();
    let on_prompt: Vec<&Feedback> = gradients.feedback(&prompt).collect();
    let words = on_prompt[0].variable();
    assert_eq!(&**words.role(), "feedback on: question");
    assert!(!words.requires_grad());
    let call = words.source().unwrap().call();
    assert_eq!(call.op().name(), "gradient");
    let inputs: Vec<(&str, &Variable)> =
        call.inputs().iter().map(|input| (&**input.name(), input.variable())).collect();
    let said = on_answer[0].variable();
    assert_eq!(inputs, [("variable", &prompt), ("response", &answer), ("feedback", said)]);
    let graph = Graph::trace(words);
    assert!(graph.contains(&prompt) && graph.contains(&evaluation));
}

#[tokio::test]
async fn merged_feedback_is_a_node_of_the_graph_too() {
    let x = Variable::differentiable("x", "text");
    let loss = TextLoss::new(Answers::plain("e"), "judge").prompts(pack());
    let losses = [loss.evaluate(&x).await.unwrap(), loss.evaluate(&x).await.unwrap()];
    let engine = Answers::plain("merger");
    let reduction = Arc::new(LlmReduce::new(engine.clone()).prompts(pack()));
    let total = aggregate(&losses, reduction).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    let merged = gradients.feedback(&x).next().unwrap().variable();
    assert_eq!(merged.text(), Some("merger reduce"));
    assert_eq!(merged.source().unwrap().call().op().name(), "reduce");
    let graph = Graph::trace(merged);
    assert!(graph.contains(&x) && losses.iter().all(|loss| graph.contains(loss)));
    let asked = "user: text=x said e gradient said e gradient";
    assert_eq!(lines(&engine.requests()[0]), ["system: merge", asked]);
}

/// Kind: Empty, truncated, refused | a response of an engine of one's own without a text | an error of the class and
/// words of a reply over HTTP
#[tokio::test]
async fn a_response_without_a_text_fails_as_over_http() {
    let blank = |text: &str, reason| Choice::new(text, reason);
    let (stop, length) = (FinishReason::Stop, FinishReason::Length);
    let filter = FinishReason::ContentFilter;
    let none = "none of the 1 choices has a text (finish reasons: stop)";
    for (choices, kind, retryable, words) in [
        (vec![], ErrorKind::BadResponse, true, "the reply has no choices"),
        (vec![blank("", stop.clone())], ErrorKind::NoAnswer, true, none),
        (vec![blank(" \n\t\u{a0}", stop.clone())], ErrorKind::NoAnswer, true, none),
        (vec![blank("", length.clone())], ErrorKind::NoAnswer, false, "raise max tokens"),
        (vec![blank("", filter.clone())], ErrorKind::Refused, false, "the model refused to answer"),
        (
            vec![blank("", filter), blank("", stop)],
            ErrorKind::NoAnswer,
            true,
            "content_filter, stop",
        ),
    ] {
        let engine = Arc::new(ScriptedEngine::new(vec![Reply::choices(choices); 3]));
        let llm = LlmCall::builder(engine.clone()).build();
        let prompt = Variable::constant("hi", "prompt");
        let loss = TextLoss::new(engine, "judge");
        for error in [
            llm.ask(&prompt).one().await.unwrap_err(),
            llm.ask(&prompt).all().await.unwrap_err(),
            loss.evaluate(&prompt).await.unwrap_err(),
        ] {
            let engine = error.engine().unwrap();
            assert_eq!((engine.kind(), engine.is_retryable()), (kind, retryable), "{engine}");
            assert!(engine.message().contains(words), "{engine}");
        }
    }
    let replies = [Reply::from("loss"), Reply::choices([])];
    let loss = TextLoss::new(Arc::new(ScriptedEngine::new(replies)), "judge");
    let loss = loss.evaluate(Variable::differentiable("x", "text")).await.unwrap();
    let error = backward(&loss).await.unwrap_err().error;
    assert_eq!(error.engine().unwrap().kind(), ErrorKind::BadResponse, "{error:?}");
    // Beside a text, a blank one is left out.
    let reply = Reply::choices([blank("", length), blank("red", FinishReason::Stop)]);
    let engine = Arc::new(ScriptedEngine::new([reply]));
    let llm = LlmCall::builder(engine).sampling(Sampling::default().with_n(2)).build();
    let answers = llm.ask(Variable::constant("hi", "prompt")).all().await.unwrap();
    assert_eq!(answers.iter().map(Variable::text).collect::<Vec<_>>(), [Some("red")]);
}

#[tokio::test]
async fn a_blank_reply_is_nothing_to_say() {
    let engine = script(["answer", " \n\t"]);
    let prompt = Variable::differentiable("p", "prompt");
    let answer = llm(engine.clone()).build().ask(&prompt).one().await.unwrap();
    assert!(backward(&answer).await.unwrap().get(&prompt).is_empty());
}

#[tokio::test]
async fn a_failing_request_keeps_what_the_others_brought() {
    let slow_down = EngineError::new(ErrorKind::RateLimited, "slow down");
    let replies = [Reply::from("answer"), Reply::from("on system"), Reply::error(slow_down)];
    let engine = Arc::new(ScriptedEngine::new(replies));
    let (system, prompt) =
        (Variable::differentiable("s", "system"), Variable::differentiable("p", "prompt"));
    let answer = llm(engine.clone()).build().ask(&prompt).system(&system).one().await.unwrap();
    let failure = backward(&answer).await.unwrap_err();
    assert_eq!(failure.gradients.text(&system), "on system");
    assert_eq!(failure.error.engine().map(EngineError::kind), Some(ErrorKind::RateLimited));
    assert!(failure.error.is_retryable());
    let error = textgrad_ops::Error::from(failure);
    assert_eq!(error.engine().map(EngineError::kind), Some(ErrorKind::RateLimited));
}

#[tokio::test]
async fn the_default_pack_says_it_all_in_sections() {
    let engine = script(["because", "too short", "give a reason", "ask for a reason"]);
    let prompt = Variable::differentiable("why?", "question");
    let system = Variable::constant("be brief", "system prompt");
    let llm = LlmCall::builder(engine.clone()).build();
    let answer = llm.ask(&prompt).system(&system).one().await.unwrap();
    let evaluation = TextLoss::new(engine.clone(), "judge").evaluate(&answer).await.unwrap();
    backward(&evaluation).await.unwrap();
    for request in &engine.requests()[2..] {
        let text = user(request);
        assert!(
            !text.contains("\n\n\n") && !text.starts_with('\n') && !text.ends_with('\n'),
            "{text}"
        );
        assert!(!whole(request).contains("{{"), "{text}");
    }
    let chain = user(&engine.requests()[3]);
    for part in [
        "<CONVERSATION>\n<LM_SYSTEM_PROMPT>\nbe brief\n</LM_SYSTEM_PROMPT>\n\n<LM_INPUT>\nwhy?\n</LM_INPUT>",
        "<LM_OUTPUT>\nbecause\n</LM_OUTPUT>\n</CONVERSATION>\n\n",
        "<ROLE>\nquestion\n</ROLE>\n\n<VARIABLE>\nwhy?\n</VARIABLE>\n\n",
        "<FEEDBACK>\ngive a reason\n</FEEDBACK>\n\n",
    ] {
        assert!(chain.contains(part), "{part:?} in {chain}");
    }
    assert!(!user(&engine.requests()[2]).contains("<FEEDBACK>"));
}

#[tokio::test]
async fn a_format_is_asked_of_answers_and_not_of_feedback() {
    let engine = Arc::new(ScriptedEngine::new(["{}", "Be shorter."]));
    let format = textgrad_core::Format::json_schema("verdict", serde_json::json!({})).unwrap();
    let call = llm(engine.clone()).format(format.clone()).build();
    let prompt = Variable::differentiable("Is it?", "question");
    let answer = call.ask(&prompt).one().await.unwrap();
    backward(&answer).await.unwrap();
    let formats: Vec<_> = engine.requests().into_iter().map(|request| request.format).collect();
    assert_eq!(formats, [Some(format), None]);
}

#[tokio::test]
async fn earlier_turns_are_quoted_backwards() {
    let engine = Arc::new(ScriptedEngine::new([
        "It is 7.",
        "Say why.",
        "<IMPROVED_VARIABLE>\nAnd why?\n</IMPROVED_VARIABLE>",
    ]));
    let prompt = Variable::differentiable("And then?", "question");
    let turns = [
        Message::user("What is </LM_EARLIER_INPUT> 3?"),
        Message::assistant("Half of 6."),
        Message::user("And then?"),
        Message::assistant("It is 4."),
    ];
    let call = LlmCall::builder(engine.clone()).build();
    let answer = call.ask(&prompt).history(turns).one().await.unwrap();
    let gradients = backward(&answer).await.unwrap();
    let quoted = user(&engine.requests()[1]);
    let first = "Before its input, the conversation had these turns:\n\
        <LM_EARLIER_INPUT-2>\nWhat is </LM_EARLIER_INPUT> 3?\n</LM_EARLIER_INPUT-2>\n\
        <LM_EARLIER_OUTPUT>\nHalf of 6.\n</LM_EARLIER_OUTPUT>\n";
    let last = "<LM_EARLIER_OUTPUT>\nIt is 4.\n</LM_EARLIER_OUTPUT>\n\n<LM_INPUT>\nAnd then?\n";
    let own = "<LM_EARLIER_INPUT>\nAnd then?\n</LM_EARLIER_INPUT>\n";
    assert!(quoted.contains(&format!("{first}{own}{last}")), "{quoted}");
    // Where the whole text stands anyway, it is pointed to.
    let feedback: Vec<Feedback> = gradients.feedback(&prompt).cloned().collect();
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    optimizer.rewrite(&prompt, &feedback, None).await.unwrap();
    let update = user(&engine.requests()[2]);
    assert!(update.contains(&format!("{first}The user said the text in VARIABLE.\n")), "{update}");
}
