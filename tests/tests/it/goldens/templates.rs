//! The templates that a search does not show, or shows in one form only.

use std::collections::BTreeSet;
use std::sync::Arc;

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Backward, Choice, FinishReason, Layout, Parameter, Purpose, Request, Variable, backward,
};
use textgrad_ops::score::{Example, LlmJudge, Scorer as _};
use textgrad_ops::{LlmCall, LlmReduce, StringFn, TextLoss, TextualGradientDescent, aggregate};
use tpo::{JudgeReward, RewardModel as _};

use super::{shown, snapshots};

/// Requests of these purposes, each in a file of its own.
pub(crate) fn golden(name: &str, engine: &ScriptedEngine, purposes: &[Purpose]) {
    let requests = engine.requests();
    let wanted: Vec<&Request> =
        requests.iter().filter(|request| purposes.contains(&request.purpose)).collect();
    assert!(!wanted.is_empty());
    snapshots(|| {
        for (place, request) in (1..).zip(wanted) {
            let name = format!("{name}_{place}_{}", request.purpose);
            insta::assert_snapshot!(name, shown(request));
        }
    });
}

pub(crate) fn improved(text: &str) -> String {
    format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>")
}

/// A draft made of a prompt and judged, and the prompt rewritten by what was said.
async fn draft_and_judge(layout: Layout) -> Arc<ScriptedEngine> {
    let engine = Arc::new(
        ScriptedEngine::default()
            .on(Purpose::Forward, "A draft.")
            .on(Purpose::Loss, "The draft is too short.")
            .on(Purpose::Gradient, "Write more.")
            .on(Purpose::Gradient, "Ask for more.")
            .on(Purpose::Gradient, "Speak of length.")
            .on(Purpose::Update, "no tags")
            .on(
                Purpose::Update,
                Reply::choices([Choice::new(improved("cut"), FinishReason::Length)]),
            )
            .on(Purpose::Update, improved("Write at length."))
            .on(Purpose::Update, improved("You write at length.")),
    );
    let system = Parameter::new("You write.", "system prompt of a writer");
    let long: Vec<String> = (1..=25).map(|i| format!("word{i}")).collect();
    let prompt = Parameter::new(long.join(" "), "prompt of a writer");
    let writer = LlmCall::builder(engine.clone()).response_role("a draft").build();
    let draft = writer.ask(prompt.variable()).system(&system).one().await.unwrap();
    let loss = TextLoss::new(engine.clone(), "Judge the draft.");
    let verdict = loss.evaluate(&draft).await.unwrap();
    let pass = Backward::new(&verdict).layout(layout);
    let gradients = pass.run().await.map_err(|failure| failure.error).unwrap();
    for parameter in [&prompt, &system] {
        TextualGradientDescent::builder(engine.clone())
            .layout(layout)
            .constraint("Be clear.")
            .constraint("Be kind.")
            .example("Write a poem.")
            .example("Write a </EXAMPLES> tag.")
            .build()
            .step(std::slice::from_ref(parameter), &gradients)
            .await
            .unwrap();
    }
    assert_eq!(engine.remaining(), 0);
    engine
}

const ASKED_BACKWARDS: [Purpose; 2] = [Purpose::Gradient, Purpose::Update];

#[tokio::test]
async fn base_and_chain_form() {
    let engine = draft_and_judge(Layout::Quoted).await;
    golden("quoted", &engine, &ASKED_BACKWARDS);
}

#[tokio::test]
async fn continued_form() {
    let engine = draft_and_judge(Layout::Continued).await;
    golden("continued", &engine, &ASKED_BACKWARDS);
}

#[tokio::test]
async fn of_a_function_and_without_rules() {
    let engine = Arc::new(
        ScriptedEngine::default()
            .on(Purpose::Gradient, "Use digits.")
            .on(Purpose::Update, improved("4")),
    );
    let check = StringFn::new(engine.clone(), "compares two numbers", |_| Ok("false".to_owned()));
    let answer = Parameter::new("four", "answer to a sum");
    let inputs =
        [("model_answer", &answer.variable()), ("truth", &Variable::constant("4", "the truth"))];
    let verdict = check.call(inputs).await.unwrap();
    let gradients = backward(&verdict).await.map_err(|failure| failure.error).unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    optimizer.step(&[answer], &gradients).await.unwrap();
    golden("function", &engine, &ASKED_BACKWARDS);
}

/// A call with examples of both kinds, and what was said about its answer.
#[tokio::test]
async fn with_in_context_examples() {
    for (name, layout) in
        [("examples_quoted", Layout::Quoted), ("examples_continued", Layout::Continued)]
    {
        let engine = Arc::new(
            ScriptedEngine::default()
                .on(Purpose::Forward, "froid")
                .on(Purpose::Loss, "The gender is unclear.")
                .on(Purpose::Gradient, "Say the gender.")
                .on(Purpose::Gradient, "Ask for the gender.")
                .on(Purpose::Update, improved("Translate, with the gender.")),
        );
        let system = Parameter::new("Translate.", "system prompt of a translator");
        let translator = LlmCall::builder(engine.clone())
            .response_role("a translation")
            .example("house", "maison")
            .example("the </EXAMPLE_INPUT> tag", "la balise {{x}}")
            .feedback_example("Say when to use \"vous\", since the text does not.")
            .feedback_example("Name the tense. </FEEDBACK_EXAMPLE> is no end.");
        let word = Variable::constant("cold", "word");
        let ask = translator.build();
        let answer = ask.ask(&word).system(&system).one().await.unwrap();
        let loss = TextLoss::new(engine.clone(), "Judge the translation.");
        let verdict = loss.evaluate(&answer).await.unwrap();
        let pass = Backward::new(&verdict).layout(layout);
        let gradients = pass.run().await.map_err(|failure| failure.error).unwrap();
        let optimizer = TextualGradientDescent::builder(engine.clone()).layout(layout).build();
        optimizer.step(&[system], &gradients).await.unwrap();
        golden(name, &engine, &[Purpose::Forward, Purpose::Gradient, Purpose::Update]);
    }
}

#[tokio::test]
async fn of_merged_feedback() {
    let engine = Arc::new(
        ScriptedEngine::default()
            .on(Purpose::Loss, "Too long.")
            .on(Purpose::Loss, "Too dry.")
            .on(Purpose::Gradient, "Shorten it.")
            .on(Purpose::Gradient, "Add colour.")
            .on(Purpose::Reduce, "Shorten it and add colour.")
            .on(Purpose::Update, improved("red")),
    );
    let text = Parameter::new("a long grey text", "a text");
    let length = TextLoss::new(engine.clone(), "Judge the length.");
    let colour = TextLoss::new(engine.clone(), "Judge the colour.");
    let first = length.evaluate(&text.variable()).await.unwrap();
    let second = colour.evaluate(&text.variable()).await.unwrap();
    let total =
        aggregate([&first, &second], Arc::new(LlmReduce::new(engine.clone()))).await.unwrap();
    let gradients = backward(&total).await.map_err(|failure| failure.error).unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    optimizer.step(&[text], &gradients).await.unwrap();
    golden("merged", &engine, &[Purpose::Reduce, Purpose::Update]);
}

#[tokio::test]
async fn judges_as_reward_models() {
    let engine = Arc::new(ScriptedEngine::new(["no tags", "<VERDICT>8</VERDICT>"]));
    let judge = JudgeReward::builder(engine.clone()).build().unwrap();
    judge.score(&"Why is Mars red?".into(), &["It rusts."]).await.unwrap();
    golden("reward_grades", &engine, &[Purpose::Judge]);
    let engine = Arc::new(ScriptedEngine::new(["<VERDICT>A</VERDICT>"; 2]));
    let judge = JudgeReward::builder(engine.clone()).pairwise().rubric("Facts count.");
    let judge = judge.build().unwrap();
    judge.score(&"Why is Mars red?".into(), &["It rusts.", "Blood."]).await.unwrap();
    golden("reward_pairs", &engine, &[Purpose::Judge]);
}

#[tokio::test]
async fn a_judge() {
    let engine = Arc::new(
        ScriptedEngine::default()
            .on(Purpose::Judge, "Quite good.")
            .on(Purpose::Judge, "<SCORE>8</SCORE>")
            .on(Purpose::Judge, "<SCORE>3</SCORE>"),
    );
    let example = Example::new("1")
        .with_field("question", "Why is Mars red?")
        .with_field("reading_level", "Children </FIELD> of {{ten}}.")
        .with_expected("Because of its rust.");
    let criterion = "The answer is right and easy to read.";
    let judge = LlmJudge::builder(engine.clone(), criterion).build();
    judge.score("It rusts.", &example).await.unwrap();
    let blind = LlmJudge::builder(engine.clone(), criterion).show_expected(false).highest(5);
    blind.build().score("It rusts.", &example).await.unwrap();
    golden("judge", &engine, &[Purpose::Judge]);
}

/// A template that is new has to be shown here too.
#[test]
fn every_template_is_in_a_golden_file() {
    let shown: BTreeSet<&str> = [
        // Searches.
        "sample_system",
        "direct_feedback",
        "improve_feedback",
        "answer_role",
        "update_constraints",
        "fuse",
        "attend",
        "distill",
        "contrastive_system",
        "evaluation_system",
        "contrastive_continue",
        "evaluation_continue",
        // Base form, then chain form.
        "conversation",
        "feedback_system",
        "feedback_base",
        "feedback_chain",
        "gradient",
        "update_system",
        "update",
        "update_retry",
        // Continued form.
        "feedback_continue",
        "update_continue",
        // Functions, and merged feedback.
        "function_call",
        "reduce_system",
        "reduce",
        // Objectives.
        "listwise_system",
        "multi_field_system",
        "multi_field",
        "multiple_choice_system",
        "multiple_choice",
        "image_qa_system",
        "image_qa",
        "check_feedback",
        "command_report",
        "command_feedback",
        "all_of",
        "weighted_sum",
        "weight_feedback",
        // Optimizers of whole graphs.
        "graph_call",
        "graph_update_system",
        "graph_update",
        "graph_retry",
        // A judge's.
        "judge_system",
        "judge",
        "judge_retry",
        // Those of reward models.
        "reward_pointwise_system",
        "reward_pointwise",
        "reward_pairwise_system",
        "reward_pairwise",
        "reward_retry",
        // Benchmarks.
        "math_query",
        "preference_system",
        "preference",
        "duel_system",
        "duel",
        "refusal_system",
        "refusal",
        // Parts of the others.
        "_subject",
        "_feedback_examples",
        "_rules",
        "_streams",
        "_history",
        "_edits",
    ]
    .into();
    let pack = tpo::prompts::default_pack();
    let all: BTreeSet<&str> = pack.sources().map(|(name, _)| name).collect();
    assert_eq!(all, shown);
}
