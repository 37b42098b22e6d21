//! Answers that come, but are not what was asked for.

use textgrad_tests::fake_server::Route;

use super::{chats, last_message, undisturbed, with_faults};

#[tokio::test]
async fn choices_that_are_missing_are_asked_for_and_those_that_came_are_kept() {
    let expected = undisturbed().await;
    let (outcome, policy) = with_faults(&["fewer-choices=2@nth:1"]).await;
    let aligned = outcome.unwrap();
    let found = &aligned.trajectory().candidates;
    assert_eq!(chats(&policy), 7 + 3);
    assert_eq!(found.len(), 15);
    assert_eq!(found[..2], expected.candidates[..2]);
    let first = policy.requests_to(Route::Chat)[0]["seed"].as_u64().unwrap();
    let bodies = policy.requests_to(Route::Chat);
    let mut asked: Vec<u64> = bodies[1..4].iter().map(|b| b["seed"].as_u64().unwrap()).collect();
    asked.sort_unstable();
    assert_eq!(asked, [first + 5, first + 6, first + 7], "seeds that no answer can have used");
}

#[tokio::test]
async fn what_is_missing_of_a_rewrite_is_asked_for_too() {
    let (outcome, policy) = with_faults(&["fewer-choices=3@nth:4"]).await;
    let aligned = outcome.unwrap();
    assert_eq!(chats(&policy), 7 + 2);
    assert_eq!(aligned.trajectory().candidates.len(), 15);
    assert_eq!(aligned.trajectory().iterations[0].updates, 5);
}

#[tokio::test]
async fn a_choice_that_fails_for_good_costs_no_other() {
    // Of three requests for what is missing one is refused.
    let (outcome, policy) = with_faults(&["fewer-choices=2@nth:1", "401@nth:3"]).await;
    let aligned = outcome.unwrap();
    assert_eq!(chats(&policy), 7 + 3);
    assert_eq!(aligned.trajectory().candidates.iter().filter(|c| c.iteration == 0).count(), 4);
    assert_eq!(aligned.trajectory().candidates.len(), 14);
}

/// Spoils the first rewrite: it is asked for once more, with what was wrong, and all five come.
async fn asked_again(fault: &str, problem: &str) {
    let (outcome, policy) = with_faults(&[&format!("{fault}@nth:4")]).await;
    let aligned = outcome.unwrap();
    assert_eq!(chats(&policy), 7 + 1, "{fault}");
    let bodies = policy.requests_to(Route::Chat);
    let (first, again) = (&bodies[3], &bodies[4]);
    assert_eq!(again["n"], 5);
    assert_ne!(again["seed"], first["seed"]);
    let note = last_message(again);
    let added = note.strip_prefix(&last_message(first)).unwrap();
    assert!(added.contains(problem), "{added}");
    let iteration = &aligned.trajectory().iterations[0];
    assert_eq!((iteration.updates, iteration.unusable.len()), (5, 5));
    assert_eq!(aligned.trajectory().candidates.len(), 15);
    assert_eq!(aligned.trajectory().usage.requests, 8);
}

/// Spoils all rewrites: each is asked for three times, and the search ends with its first answers.
async fn given_up(fault: &str, problem: &str) {
    let expected = undisturbed().await;
    let faults: Vec<String> =
        [4, 5, 6, 9, 10, 11].iter().map(|step| format!("{fault}@nth:{step}")).collect();
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let (outcome, policy) = with_faults(&faults).await;
    let aligned = outcome.unwrap();
    assert_eq!(chats(&policy), 1 + 2 * (1 + 1 + 3), "{fault}");
    assert_eq!(aligned.trajectory().candidates, expected.candidates[..5]);
    assert_eq!(aligned.trajectory().iterations.len(), 2);
    for iteration in &aligned.trajectory().iterations {
        assert_eq!(iteration.updates, 0);
        let [why] = iteration.unusable.as_slice() else { panic!("{:?}", iteration.unusable) };
        assert!(why.contains("in 3 request(s)") && why.contains(problem), "{why}");
    }
}

#[tokio::test]
async fn a_rewrite_without_tags() {
    asked_again("missing-tags", "the opening tag <IMPROVED_VARIABLE> was missing").await;
    given_up("missing-tags", "the opening tag <IMPROVED_VARIABLE> was missing").await;
}

#[tokio::test]
async fn a_rewrite_without_its_closing_tag_is_read() {
    let (outcome, policy) = with_faults(&["missing-close-tag@nth:4"]).await;
    assert_eq!((chats(&policy), policy.stats().fault("missing-close-tag")), (7, 1));
    assert_eq!(outcome.unwrap().trajectory(), &undisturbed().await);
}

/// Kind: Reasoning | an update or a verdict within reasoning that has no end | asked again with the problem
#[tokio::test]
async fn a_rewrite_within_reasoning_that_has_no_end() {
    let note = "it held no answer, or its reasoning did not end";
    for (reason, problem) in [
        ("stop", "the reply ended within its reasoning"),
        ("none", "the reply broke off within its reasoning"),
        ("aborted", "the reply broke off within its reasoning"),
        ("error", "the reply broke off within its reasoning"),
        ("length", "raise max tokens"),
    ] {
        // A reply that did not reach a bound is first requested once more as it is.
        let attempts = if reason == "length" { 1 } else { 2 };
        let fault = |step: usize| format!("open-reasoning={reason}@nth:{step}");
        let faults: Vec<String> = (4..4 + attempts).map(fault).collect();
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        let (outcome, policy) = with_faults(&faults).await;
        let aligned = outcome.unwrap();
        assert_eq!(chats(&policy), 7 + attempts as u64, "{reason}");
        let again = &policy.requests_to(Route::Chat)[3 + attempts];
        assert!(last_message(again).contains(note), "{again}");
        let iteration = &aligned.trajectory().iterations[0];
        let [why] = iteration.unusable.as_slice() else { panic!("{:?}", iteration.unusable) };
        assert!(why.contains(problem), "{why}");
        assert_eq!(why.contains("max tokens"), reason == "length", "{why}");
        assert_eq!((iteration.updates, aligned.trajectory().candidates.len()), (5, 15));
    }
    given_up("open-reasoning=length", "went into reasoning").await;
}

#[tokio::test]
async fn a_rewrite_that_was_cut_off() {
    asked_again("length", "it was cut off because it became too long").await;
    given_up("length", "").await;
}

#[tokio::test]
async fn a_rewrite_that_speaks_of_its_tags() {
    let expected = undisturbed().await;
    let (outcome, policy) = with_faults(&["tags-inside@nth:4"]).await;
    let aligned = outcome.unwrap();
    assert_eq!((chats(&policy), policy.stats().fault("tags-inside")), (7, 1));
    let words = " (between <IMPROVED_VARIABLE> and </IMPROVED_VARIABLE>) ";
    let found = &aligned.trajectory().candidates;
    for (found, expected) in found[5..10].iter().zip(&expected.candidates[5..10]) {
        assert_eq!(found.text.matches(words).count(), 1, "{}", found.text);
        assert_eq!(found.text.replacen(words, "", 1).trim(), expected.text);
    }
    assert!(aligned.trajectory().iterations[0].unusable.is_empty());
}

#[tokio::test]
async fn some_unusable_rewrites_cost_no_usable_one() {
    // One at a time: two of the first five come without tags.
    let faults = ["fewer-choices=1@nth:1", "missing-tags@nth:8", "missing-tags@nth:10"];
    let (outcome, policy) = with_faults(&faults).await;
    let aligned = outcome.unwrap();
    let iteration = &aligned.trajectory().iterations[0];
    assert_eq!((iteration.updates, iteration.unusable.len()), (5, 2));
    assert_eq!(chats(&policy), 5 + 2 * (1 + 1 + 5) + 2);
    assert_eq!(aligned.trajectory().candidates.len(), 15);
}

#[tokio::test]
async fn a_sample_and_a_critique_that_are_cut_off_are_used_as_they_are() {
    let (outcome, policy) = with_faults(&["length@nth:1", "length@nth:2", "length@nth:3"]).await;
    let aligned = outcome.unwrap();
    assert_eq!(chats(&policy), 7);
    assert_eq!(aligned.trajectory().candidates.len(), 15);
}
