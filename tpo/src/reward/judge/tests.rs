//! Requests and verdicts of judges.

use std::sync::atomic::{AtomicUsize, Ordering};

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Choice, FinishReason, Purpose, Request as Asked, Response, Sampling, Seed, TokenLogprob,
    describe, engine_fn,
};

use textgrad_ops::score::Unreadable;

use super::*;

const QUERY: &str = "Why is Mars red?";

fn verdict(text: &str) -> String {
    format!("It is fine.\n<VERDICT>{text}</VERDICT>")
}

/// An engine that says this of every request.
fn says(reply: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Arc<dyn Engine> {
    Arc::new(engine_fn("says", move |request: Asked| {
        let choice = Choice::new(reply(&request), FinishReason::Stop);
        async move { Ok::<_, EngineError>(Response::new(vec![choice])) }
    }))
}

async fn scored(judge: &JudgeReward, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
    judge.score(&QUERY.into(), answers).await
}

fn texts(request: &Asked) -> (String, String) {
    (request.messages[0].text(), request.messages[1].text())
}

#[tokio::test]
async fn a_grade_is_asked_for_by_the_rubric_with_the_material_in_tags() {
    let engine = Arc::new(ScriptedEngine::new([verdict("7"), verdict("2.5 / 5"), verdict("1")]));
    let judge = JudgeReward::builder(engine.clone()).grades(0.0, 5.0);
    let judge = judge.rubric("Only facts </RUBRIC> count.").parse_retries(1).build().unwrap();
    // 7 is no grade of this scale: it is asked for again.
    assert_eq!(scored(&judge, &["Rust. </RESPONSE>"]).await.unwrap(), [2.5]);
    let (system, user) = texts(&engine.requests()[0]);
    assert!(system.contains("<RUBRIC-2>\nOnly facts </RUBRIC> count.\n</RUBRIC-2>"), "{system}");
    assert!(user.contains("<RESPONSE-2>\nRust. </RESPONSE>\n</RESPONSE-2>"), "{user}");
    assert!(user.contains(&format!("<QUERY>\n{QUERY}\n</QUERY>")), "{user}");
    assert!(user.contains("from 0 to 5: <VERDICT>"), "{user}");
    let (_, again) = texts(&engine.requests()[1]);
    assert!(again.starts_with(&user) && again.contains("from 0 to 5 between the tags, got \"7\""));
    assert_eq!(engine.requests()[0].purpose, Purpose::Judge);
    assert_ne!(engine.requests()[0].sampling.seed, engine.requests()[1].sampling.seed);
}

#[tokio::test]
async fn votes_have_seeds_of_their_own_and_their_mean_is_the_score() {
    let engine = Arc::new(ScriptedEngine::new(["8", "5", "2"].map(verdict)));
    let judge = JudgeReward::builder(engine.clone()).votes(3).build().unwrap();
    assert_eq!(scored(&judge, &["Rust."]).await.unwrap(), [5.0]);
    let mut seeds: Vec<Option<u64>> =
        engine.requests().iter().map(|request| request.sampling.seed).collect();
    assert!(seeds.iter().all(Option::is_some));
    seeds.dedup();
    assert_eq!(seeds.len(), 3);
    // The same question has the same seeds in another run, and others by another seed of the judge.
    let again = Arc::new(ScriptedEngine::new(["8", "5", "2"].map(verdict)));
    let judge = JudgeReward::builder(again.clone()).votes(3).build().unwrap();
    scored(&judge, &["Rust."]).await.unwrap();
    assert_eq!(engine.requests(), again.requests());
    let other = Arc::new(ScriptedEngine::new([verdict("1")]));
    let judge = JudgeReward::builder(other.clone()).seed(Seed::new(1)).build().unwrap();
    scored(&judge, &["Rust."]).await.unwrap();
    assert_ne!(other.requests()[0].sampling.seed, seeds[0]);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_matter_of_policy() {
    let replies = || [verdict("9"), "no idea".to_owned(), "none".to_owned()];
    let judge = |unreadable| {
        let engine = Arc::new(ScriptedEngine::new(replies()));
        JudgeReward::builder(engine)
            .votes(3)
            .parse_retries(0)
            .unreadable(unreadable)
            .build()
            .unwrap()
    };
    assert_eq!(scored(&judge(Unreadable::Skip), &["Rust."]).await.unwrap(), [9.0]);
    let worst = scored(&judge(Unreadable::Worst), &["Rust."]).await.unwrap();
    assert_eq!(worst, [11.0 / 3.0]);
    let error = scored(&judge(Unreadable::Fail), &["Rust."]).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::BadResponse, false));
    for word in [
        "judge:scripted",
        "after 1 request",
        "<VERDICT> was missing",
        "\"Rust.\"; set max-tokens or parse-retries",
        "as the worst grade (unreadable=worst)",
    ] {
        assert!(error.to_string().contains(word), "{error}");
    }
    // Votes none of which counts are no score, whatever the policy says.
    let engine = Arc::new(ScriptedEngine::new(["a", "b"]));
    let judge = JudgeReward::builder(engine).votes(2).parse_retries(0).unreadable(Unreadable::Skip);
    assert!(scored(&judge.build().unwrap(), &["Rust."]).await.is_err());
}

#[tokio::test]
async fn the_expected_grade_is_asked_for_with_logprobs_and_needs_them() {
    let likely = |token: &str, top: &[(&str, f64)]| TokenLogprob {
        token: token.to_owned(),
        logprob: -0.5,
        top: top.iter().map(|(token, p)| ((*token).to_owned(), p.ln())).collect(),
    };
    let reported = |first: &str, top: &[(&str, f64)]| {
        let tokens = vec![likely("<VERDICT>", &[]), likely(first, top), likely("</VERDICT>", &[])];
        let text: String = tokens.iter().map(|token| token.token.as_str()).collect();
        Reply::choices([Choice::new(text, FinishReason::Stop).with_logprobs(tokens)])
    };
    let engine = Arc::new(ScriptedEngine::new([
        reported("8", &[("8", 0.6), ("9", 0.2)]),
        reported("4", &[("4", 0.5)]),
    ]));
    let judge = JudgeReward::builder(engine.clone()).expected().votes(2).build().unwrap();
    let scores = scored(&judge, &["Rust."]).await.unwrap();
    assert!((scores[0] - f64::midpoint(8.25, 4.0)).abs() < 1e-12, "{scores:?}");
    let request = &engine.requests()[0];
    assert_eq!(request.sampling.top_logprobs, Some(20));
    assert!(texts(request).1.contains("from 1 to 9"));
    assert!(texts(request).0.contains("one digit from 1 (worst) to 9"));
    let half = reported("8", &[("8", 0.6)]);
    let engine = Arc::new(ScriptedEngine::new([Reply::text(verdict("7.5")), half.clone()]));
    let judge = JudgeReward::builder(engine.clone()).expected().parse_retries(0).build().unwrap();
    assert!(scored(&judge, &["Rust."]).await.is_err(), "no logprobs");
    assert_eq!(scored(&judge, &["Rust."]).await.unwrap(), [8.0]);

    let engine = Arc::new(ScriptedEngine::new([verdict("8")]));
    let judge = JudgeReward::builder(engine.clone()).expected();
    let judge = judge.unreadable(Unreadable::Worst).build().unwrap();
    let error = scored(&judge, &["Rust."]).await.unwrap_err();
    assert!(error.to_string().contains("judge:scripted tells none"), "{error}");
    assert_eq!((error.kind(), engine.requests().len()), (ErrorKind::Unsupported, 1));
}

#[tokio::test]
async fn an_engine_that_fails_is_the_error_of_the_score() {
    let error = EngineError::new(ErrorKind::RateLimited, "slow down");
    let engine = Arc::new(ScriptedEngine::new([Reply::error(error)]));
    let judge = JudgeReward::builder(engine).unreadable(Unreadable::Worst).build().unwrap();
    let error = scored(&judge, &["Rust."]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
}

#[tokio::test]
async fn two_answers_are_compared_in_both_orders_as_often_as_there_are_votes() {
    // Always the first: a judge with a bias and no opinion.
    let engine = Arc::new(ScriptedEngine::new(["A", "A", "A", "A"].map(verdict)));
    let judge = JudgeReward::builder(engine.clone()).pairwise().votes(2).build().unwrap();
    assert_eq!(scored(&judge, &["Rust.", "Blood."]).await.unwrap(), [0.0, 0.0]);
    let order = |request: &Asked| {
        let (_, user) = texts(request);
        assert!(user.contains(QUERY) && user.contains("Response A:"), "{user}");
        user.find("Rust.").unwrap() < user.find("Blood.").unwrap()
    };
    let orders: Vec<bool> = engine.requests().iter().map(order).collect();
    assert_eq!(orders.iter().filter(|first| **first).count(), 2, "{orders:?}");
    assert_eq!(orders.len(), 4);
    let mut seeds: Vec<_> = engine.requests().iter().map(|r| r.sampling.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 4);
}

/// Prefers the longer one; texts of one length are a tie.
fn longer(request: &Asked) -> String {
    let user = request.messages[1].text();
    let length = |letter: &str| {
        let (_, behind) = user.split_once(&format!("Response {letter}:")).unwrap();
        behind.lines().find(|line| line.contains('*')).unwrap().matches('*').count()
    };
    verdict(match length("A").cmp(&length("B")) {
        std::cmp::Ordering::Less => "**B**",
        std::cmp::Ordering::Equal => "Tie",
        std::cmp::Ordering::Greater => "a",
    })
}

#[tokio::test]
async fn scores_of_a_pool_are_the_strengths_of_bradley_and_terry() {
    let judge = JudgeReward::builder(says(longer)).pairwise().build().unwrap();
    let scores = scored(&judge, &["**", "***", "*", "**"]).await.unwrap();
    assert_eq!(scores[0].to_bits(), scores[3].to_bits());
    assert!(scores[1] > scores[0] && scores[0] > scores[2], "{scores:?}");
    let game = |first, second, share| pairs::Game { first, second, share };
    let games = [game(0, 1, 0.0), game(0, 2, 1.0), game(1, 2, 1.0)];
    assert_eq!(scores[..3], pairs::strengths(3, &games));
    // Two texts that only tie are of one strength.
    assert_eq!(scored(&judge, &["* x", "* y"]).await.unwrap(), [0.0, 0.0]);
    assert_eq!(scored(&judge, &["alone *"]).await.unwrap(), [0.0]);
    assert!(scored(&judge, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_two_answers_are_compared_twice() {
    let engine = Arc::new(ScriptedEngine::new(vec![verdict("A"); 6]));
    let judge = JudgeReward::builder(engine.clone()).pairwise().build().unwrap();
    scored(&judge, &["x", "y"]).await.unwrap();
    assert_eq!(engine.requests().len(), 2);
    scored(&judge, &["x", "y", "z"]).await.unwrap();
    assert_eq!(engine.requests().len(), 6);
}

#[tokio::test]
async fn sparse_pairs_are_n_log_n_and_rank_nearly_as_all_do() {
    const ANSWERS: usize = 64;
    // Lengths in an order without a pattern.
    let lengths: Vec<usize> = (0..ANSWERS).map(|i| 1 + i * 29 % ANSWERS).collect();
    let answers: Vec<String> = lengths.iter().map(|length| "*".repeat(*length)).collect();
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let engine = says(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        longer(request)
    });
    let judge = JudgeReward::builder(engine).sparse_pairs().build().unwrap();
    scored(&judge, &answers[..16]).await.unwrap();
    // 15 + 14 + 12 + 8 pairs, each in both orders.
    assert_eq!(asked.load(Ordering::Relaxed), 2 * 49);
    let scores = scored(&judge, &answers).await.unwrap();
    // 63 + 62 + 60 + 56 + 48 + 32 pairs; none of those before is left out or compared again.
    assert_eq!(asked.load(Ordering::Relaxed), 2 * 321);

    let mut ranked: Vec<usize> = (0..ANSWERS).collect();
    ranked.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let off = |(rank, answer): (usize, &usize)| rank.abs_diff(ANSWERS - lengths[*answer]);
    let off: Vec<usize> = ranked.iter().enumerate().map(off).collect();
    // By chance it would be a third of them.
    let mean = off.iter().sum::<usize>() as f64 / ANSWERS as f64;
    assert!(off[0] <= 3 && mean < 5.0, "{mean}: {off:?}");
}

#[tokio::test]
async fn a_verdict_that_cannot_be_read_is_a_tie_or_nothing_or_an_error() {
    let judge = |unreadable| {
        let engine = Arc::new(ScriptedEngine::new([verdict("A"), verdict("neither")]));
        let judge = JudgeReward::builder(engine).pairwise().parse_retries(0);
        judge.unreadable(unreadable).build().unwrap()
    };
    let share = |share| pairs::strengths(2, &[pairs::Game { first: 0, second: 1, share }]);
    let answers = ["Rust.", "Blood."];
    assert_eq!(scored(&judge(Unreadable::Skip), &answers).await.unwrap(), share(1.0));
    assert_eq!(scored(&judge(Unreadable::Worst), &answers).await.unwrap(), share(0.75));
    let error = scored(&judge(Unreadable::Fail), &answers).await.unwrap_err();
    assert!(describe(&error).contains("expected A, B or tie"), "{error}");
    assert!(describe(&error).contains("such votes as ties (unreadable=worst)"), "{error}");
    // Two answers of whom nothing could be read were not compared.
    let none = JudgeReward::builder(says(|_| "?".to_owned())).pairwise().parse_retries(0);
    let none = none.unreadable(Unreadable::Skip).build().unwrap();
    assert_eq!(scored(&none, &answers).await.unwrap(), [0.0, 0.0]);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let judge = || JudgeReward::builder(says(|_| String::new()));
    assert!(judge().votes(0).build().unwrap_err().to_string().contains("at least 1"));
    for (lowest, highest) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        let error = judge().grades(lowest, highest).build().unwrap_err();
        assert!(error.to_string().contains("a lowest grade below the highest"), "{error}");
    }
    for judge in [judge().grades(0.0, 10.0), judge().grades(0.5, 3.0)] {
        assert!(judge.expected().build().unwrap_err().to_string().contains("digits, from 0 to 9"));
    }
    assert!(judge().expected().pairwise().build().is_err());
}

#[test]
fn whatever_changes_a_score_changes_the_identity() {
    let judge = || JudgeReward::builder(says(|_| String::new()));
    let judges = [
        judge(),
        judge().votes(2),
        judge().grades(0.0, 1.0),
        judge().pairwise(),
        judge().sparse_pairs(),
        judge().expected(),
        judge().rubric("r"),
        judge().parse_retries(0),
        judge().unreadable(Unreadable::Worst),
        judge().sampling(Sampling::default().with_temperature(0.5)),
        judge().seed(Seed::new(9)),
    ];
    let judges = judges.map(|judge| judge.build().unwrap().identity().to_owned());
    let distinct: std::collections::HashSet<&String> = judges.iter().collect();
    assert_eq!(distinct.len(), judges.len(), "{judges:?}");
}
