//! Suspicions by scores.

use super::*;

fn raw() -> ScoreMonitor {
    ScoreMonitor::new(ExpectedScores::Raw, "check the template")
}

fn any() -> ScoreMonitor {
    ScoreMonitor::new(ExpectedScores::Any, "")
}

fn grades() -> ScoreMonitor {
    ScoreMonitor::new(ExpectedScores::Scale(1.0, 10.0), "word the rubric anew")
}

/// What is suspected of scores, of one query after the other with so many different answers each.
fn suspected(
    monitor: &ScoreMonitor,
    answers: usize,
    scores: impl Iterator<Item = f64>,
) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for (index, score) in scores.enumerate() {
        let query = Query::from(format!("query {}", index / answers));
        found.extend(monitor.suspect(&query, &[&format!("answer {index}")], &[score]));
    }
    found
}

#[test]
fn raw_scores_between_0_and_1_are_suspected_once() {
    assert_eq!(
        suspected(&raw(), 5, (0..99).map(|i| f64::from(i) / 100.0)),
        [Suspicion::Activation]
    );
    assert_eq!(suspected(&raw(), 5, (0..19).map(|i| f64::from(i) / 100.0)), []);
    // The ends belong to it. Of other reward models nothing else is expected.
    assert_eq!(suspected(&raw(), 5, (0..100).map(|i| f64::from(i % 2))), [Suspicion::Activation]);
    assert_eq!(suspected(&any(), 5, (0..100).map(|i| f64::from(i % 2))), []);
}

#[test]
fn raw_scores_that_never_differ_are_suspected_once() {
    assert_eq!(suspected(&raw(), 5, (0..200).map(|_| -3.0)), [Suspicion::Constant]);
    assert_eq!(suspected(&raw(), 5, (0..200).map(|_| 1.0)), [Suspicion::Constant]);
    assert_eq!(suspected(&raw(), 5, (0..19).map(|_| 1.0)), []);
}

#[test]
fn other_raw_scores_are_not() {
    assert_eq!(suspected(&raw(), 5, (0..100).map(|i| f64::from(i) - 3.0)), []);
    // Nor are those of a model whose scores lie between -1 and 1, or a little beyond an activation's.
    assert_eq!(suspected(&raw(), 5, (0..=100).map(|i| f64::from(i - 50) / 50.0)), []);
    for beyond in [-0.001, 1.001] {
        let scores = (0..100).map(|i| if i == 7 { beyond } else { f64::from(i) / 100.0 });
        assert_eq!(suspected(&raw(), 5, scores), []);
    }
}

#[test]
fn grades_at_one_end_of_their_scale_are_suspected_once() {
    for end in [10.0, 1.0] {
        let found = [Suspicion::End { lowest: end, highest: end }];
        assert_eq!(suspected(&grades(), 5, (0..200).map(|_| end)), found);
    }
    let scores = |i: usize| 9.25 + 0.25 * (i % 2) as f64;
    let found = [Suspicion::End { lowest: 9.25, highest: 9.5 }];
    assert_eq!(suspected(&grades(), 5, (0..200).map(scores)), found);
    // The ends of another scale.
    let monitor = ScoreMonitor::new(ExpectedScores::Scale(0.0, 100.0), "");
    assert_eq!(suspected(&monitor, 5, (0..200).map(scores)).len(), 1);
    let high = |i: usize| if i == 3 { 9.0 } else { 10.0 };
    assert_eq!(suspected(&grades(), 5, (0..50).map(high)), [], "one of them is not at the end");
}

#[test]
fn queries_whose_answers_all_have_the_same_score_are_suspected_once() {
    // Each query has a score of its own, as where a template leaves the answer out.
    let of_query = |i: usize| (i / 5 % 4) as f64 + 3.0;
    let found = [Suspicion::ConstantPerQuery { queries: 20 }];
    for monitor in [raw, grades, any] {
        assert_eq!(suspected(&monitor(), 5, (0..95).map(of_query)), []);
        assert_eq!(suspected(&monitor(), 5, (0..300).map(of_query)), found);
    }
    // One query in between tells answers apart, by its first answer or by its last.
    for other in [50, 54] {
        let scores = (0..125).map(|i| if i == other { 99.0 } else { of_query(i) });
        assert_eq!(suspected(&any(), 5, scores), []);
    }
    // Two answers alike are nothing.
    assert_eq!(suspected(&any(), 2, (0..300).map(|i| (i / 2) as f64)), []);
}

#[test]
fn an_answer_that_is_scored_again_says_nothing() {
    let monitor = any();
    for index in 0..100 {
        let query = Query::from(format!("query {index}"));
        for _ in 0..5 {
            assert_eq!(monitor.suspect(&query, &["the same"], &[1.0]), []);
        }
    }
}

#[test]
fn queries_may_be_under_way_at_the_same_time() {
    let monitor = any();
    let mut found = Vec::new();
    for answer in 0..3 {
        for index in 0..30 {
            let query = Query::from(format!("query {index}"));
            found.extend(monitor.suspect(&query, &[&format!("{answer}")], &[f64::from(index)]));
        }
    }
    assert_eq!(found, [Suspicion::ConstantPerQuery { queries: 20 }]);
}

#[test]
fn scores_within_the_tolerance_are_the_same() {
    let noisy = |i: usize| 0.001 * (i % 3) as f64;
    let found = [Suspicion::ConstantPerQuery { queries: 20 }];
    let tolerant = any().tolerance(0.002);
    assert_eq!(suspected(&tolerant, 5, (0..300).map(noisy)), found);
    let strict = any().tolerance(0.0005);
    assert_eq!(suspected(&strict, 5, (0..300).map(noisy)), []);
}

#[test]
fn replies_are_suspected_once_if_a_quarter_cannot_be_read() {
    let found = |bad: usize| {
        let monitor = grades();
        let replies = (0..100).map(|i| monitor.suspect_replies(1, usize::from(i % bad == 0)));
        replies.flatten().collect::<Vec<_>>()
    };
    assert_eq!(found(4), [Suspicion::Unreadable { share: 0.25 }]);
    assert_eq!(found(5), []);
    assert_eq!(grades().suspect_replies(19, 19), None);
}

#[test]
fn what_is_not_a_number_is_not_looked_at() {
    let monitor = raw();
    let scores = [f64::NAN, f64::INFINITY];
    for _ in 0..50 {
        assert_eq!(monitor.suspect(&"q".into(), &["a", "b"], &scores), []);
    }
    assert_eq!(suspected(&monitor, 5, (0..19).map(|_| 0.5)), []);
}

#[test]
fn clones_watch_together() {
    let (monitor, scores) = (raw(), (0..10).map(|i| f64::from(i) / 100.0));
    assert_eq!(suspected(&monitor, 5, scores.clone()), []);
    assert_eq!(suspected(&monitor.clone(), 5, scores), [Suspicion::Activation]);
}
