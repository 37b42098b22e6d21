//! Texts of models and users: tags, grades, queries, data sets, benchmarks, answers, templates and pages.

use std::sync::{Arc, LazyLock};

use serde_json::json;
use textgrad_core::{
    Choice, FinishReason, Graph, Page, PromptPack, PromptTemplate, Response, Variable, engine_fn,
};
use textgrad_ops::Tags;
use textgrad_ops::score::read_grade;
use textgrad_ops::train::{DataFormat, Dataset, Mapping};
use tokio::runtime::Runtime;
use tpo::bench::{self, math500};
use tpo::{ChatTemplate, JudgeReward, Query, RewardModel, describe, input};

/// The text, if the bytes are one.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text between tags is a part of the reply.
pub(super) fn tags(bytes: &[u8]) {
    static TAGS: LazyLock<Tags> =
        LazyLock::new(|| Tags::new("<IMPROVED_VARIABLE>", "</IMPROVED_VARIABLE>").unwrap());
    let reply = text(bytes);
    if let Ok(found) = TAGS.extract(&reply) {
        assert!(reply.contains(found), "{found:?} is not in {reply:?}");
    }
}

/// A grade is within its scale.
pub(super) fn grades(bytes: &[u8]) {
    for scale in [1.0..=10.0, 0.0..=1.0, -5.0..=5.0] {
        match read_grade(&text(bytes), scale.clone()) {
            Ok(grade) => assert!(scale.contains(&grade), "{grade} of {scale:?}"),
            Err(reason) => assert!(reason.chars().count() < 1_000, "{reason:.200}"),
        }
    }
}

/// Scores of a judge are finite and within its scale, whatever it writes.
pub(super) fn verdicts(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    }
    let reply = text(bytes);
    let engine = Arc::new(engine_fn("judge", move |_| {
        let reply = Choice::new(reply.clone(), FinishReason::Stop);
        async move { Ok(Response::new(vec![reply])) }
    }));
    static PROMPTS: LazyLock<Arc<PromptPack>> =
        LazyLock::new(|| Arc::new(tpo::prompts::default_pack()));
    let judge = || JudgeReward::builder(engine.clone()).prompts(PROMPTS.clone()).parse_retries(0);
    let (graded, compared) = (judge().grades(1.0, 10.0), judge().pairwise());
    for (judge, scale) in [(graded, 1.0..=10.0), (compared, f64::MIN..=f64::MAX)] {
        let (judge, query) = (judge.build().unwrap(), Query::from("Why?"));
        let scores = RUNTIME.with(|runtime| runtime.block_on(judge.score(&query, &["a", "b"])));
        for score in scores.into_iter().flatten() {
            assert!(scale.contains(&score), "{score}");
        }
    }
}

/// A query is no empty text.
pub(super) fn queries(bytes: &[u8]) {
    let text = text(bytes);
    for name in ["q.jsonl", "q.json", "q.txt", "-"] {
        match input::parse(name, &text) {
            Ok(queries) => assert!(queries.iter().all(|query| !query.text().trim().is_empty())),
            Err(error) => assert!(!describe(&error).is_empty()),
        }
    }
}

/// Data sets in every format.
pub(super) fn datasets(bytes: &[u8]) {
    let mapping = Mapping::new().field("question", "question").expected("answer");
    for format in [DataFormat::Jsonl, DataFormat::Json, DataFormat::Csv, DataFormat::Tsv] {
        let _ = Dataset::parse_as(format, "data", text(bytes), &mapping);
    }
}

/// Files of benchmarks, the answers and judgments of others among them.
pub(super) fn benchmarks(bytes: &[u8]) {
    let text = text(bytes);
    let _ = bench::alpaca_eval::read("outputs", &text);
    let _ = bench::arena_hard::read("questions", &text);
    let _ = bench::hh_rlhf::read("dialogues", &text);
    let _ = bench::beavertails::read("prompts", &text);
    let _ = bench::xstest::read("prompts", &text);
    let _ = bench::math500::read("problems", &text);
    let _ = bench::arena_hard::read_answers("answers", &text);
    let _ = bench::arena_hard::read_judgments("judgments", &text);
    let _ = bench::arena_hard::Verdict::of(&text);
    let _ = bench::xstest::read_graded("graded", &text);
}

/// An answer to a problem, before a line end, and the reply after it. An answer equals itself.
pub(super) fn math(bytes: &[u8]) {
    let text = text(bytes);
    let (answer, reply) = text.split_once('\n').unwrap_or((&text, ""));
    let _ = math500::grade(answer, reply);
    let _ = math500::last_boxed(reply);
}

/// A template of a model.
pub(super) fn chat_template(bytes: &[u8]) {
    if let Ok(template) = ChatTemplate::from_source(&text(bytes), Some("<s>")) {
        let turns = [("system", "Be brief."), ("user", "Why?"), ("assistant", "{{ Because }}")];
        let _ = template.render(&turns);
        let _ = template.render_prompt(&turns);
    }
}

/// A prompt of the user's own. A value is in it as it is.
pub(super) fn prompt_template(bytes: &[u8]) {
    let source = text(bytes);
    let example = json!({ "a": ["x"], "question": "Why?", "leaf": { "b": true } });
    if let Ok(template) = PromptTemplate::new("prompt", &source, &example) {
        let hostile =
            json!({ "a": ["{{a}}", "</Q>"], "question": "{{#each", "leaf": { "b": false } });
        let _ = template.render(&hostile);
    }
}

/// A text in a page is data: it adds no element.
pub(super) fn page(bytes: &[u8]) {
    let html = |text: &str| {
        let graph = Graph::trace(Variable::constant(text, text));
        let drawn = (graph.view().to_dot(), graph.view().to_mermaid());
        assert!(!drawn.0.is_empty() && !drawn.1.is_empty());
        Page::new(text).graph(text, &graph.view()).to_html()
    };
    static ELEMENTS: LazyLock<usize> = LazyLock::new(|| {
        Page::new("a")
            .graph("a", &Graph::trace(Variable::constant("a", "a")).view())
            .to_html()
            .matches("<")
            .count()
    });
    let shown = html(&text(bytes));
    assert_eq!(shown.matches('<').count(), *ELEMENTS, "{:?}", text(bytes));
}
