//! Parameters: what is assigned, what is kept, and what graphs that are already built see.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::support::{on, speaks};
use textgrad_core::{Assignment, Error, Graph, Image, Inputs, Parameter, Variable, backward};

fn assignment(parameter: &Parameter, text: &str) -> Assignment {
    Assignment { parameter: parameter.clone(), base: parameter.variable(), text: text.into() }
}

#[test]
fn every_assignment_is_a_version() {
    let parameter = Parameter::new("zero", "text");
    assert_eq!((parameter.version(), parameter.history().len()), (0, 0));
    let first = parameter.variable();
    assert_eq!(parameter.variable(), first, "the same leaf until it is assigned");
    let second = parameter.set("one");
    assert_ne!(second, first);
    assert_eq!(parameter.variable(), second);
    Parameter::assign_all(&[assignment(&parameter, "two")]).unwrap();
    let same = parameter.set("two");
    assert_eq!((parameter.version(), &*parameter.text(), same.text()), (3, "two", Some("two")));
    let history: Vec<(u64, String)> =
        parameter.history().iter().map(|v| (v.number, v.text.to_string())).collect();
    assert_eq!(history, [(0, "zero".into()), (1, "one".into()), (2, "two".into())]);
    assert!(same.requires_grad() && same.source().is_none());
    assert_eq!(&**same.role(), "text");
}

#[test]
fn history_holds_as_many_as_configured() {
    for limit in [0, 1, Parameter::DEFAULT_HISTORY] {
        let parameter = Parameter::builder("0", "text").history(limit).build();
        for i in 1..40 {
            parameter.set(i.to_string());
        }
        let kept: Vec<u64> = parameter.history().iter().map(|v| v.number).collect();
        let expected: Vec<u64> = (39 - limit as u64..39).collect();
        assert_eq!(kept, expected);
        assert_eq!(parameter.version(), 39);
    }
}

#[test]
fn clones_share_and_equal_texts_do_not() {
    let parameter = Parameter::new("a", "text");
    let clone = parameter.clone();
    clone.set("b");
    assert_eq!(&*parameter.text(), "b");
    assert_eq!(parameter, clone);
    assert_ne!(parameter, Parameter::new("b", "text"));
}

#[tokio::test]
async fn a_graph_that_was_built_before_sees_the_old_text() {
    let parameter = Parameter::new("old", "text");
    let before = on(speaks("f"), &[&parameter.variable()]).await;
    parameter.set("new");
    let after = on(speaks("f"), &[&parameter.variable()]).await;
    assert_eq!((before.text(), after.text()), (Some("old"), Some("new")));
    let leaf = Graph::trace(&before).variables().next().unwrap().clone();
    assert_eq!(leaf.text(), Some("old"));
    let gradients = backward(&before).await.unwrap();
    assert_eq!(gradients.text(&leaf), "f/0");
    assert!(gradients.get(&parameter.variable()).is_empty());
    let gradients = backward(&after).await.unwrap();
    assert_eq!(gradients.text(&parameter.variable()), "f/0");
}

#[test]
fn no_assignment_is_lost_or_torn_among_threads() {
    const THREADS: usize = 8;
    const EACH: usize = 200;
    let parameter = Parameter::builder("start", "text").history(THREADS * EACH + 1).build();
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (parameter, barrier) = (&parameter, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for i in 0..EACH {
                    let leaf = parameter.set(format!("{thread}/{i}"));
                    assert_eq!(leaf.text(), Some(format!("{thread}/{i}").as_str()));
                }
            });
        }
    });
    assert_eq!(parameter.version(), (THREADS * EACH) as u64);
    let history = parameter.history();
    assert!(history.iter().enumerate().all(|(i, version)| version.number == i as u64));
    let texts: HashSet<&str> = history.iter().map(|version| &*version.text).collect();
    assert_eq!(texts.len(), THREADS * EACH);
    for thread in 0..THREADS {
        // Each thread's own assignments are in its order.
        let own = history.iter().map(|v| v.text.to_string());
        let mut own: Vec<String> = own.filter(|t| t.starts_with(&format!("{thread}/"))).collect();
        own.extend(
            Some(parameter.text().to_string()).filter(|t| t.starts_with(&format!("{thread}/"))),
        );
        let expected: Vec<String> = (0..EACH).map(|i| format!("{thread}/{i}")).collect();
        assert_eq!(own, expected);
    }
}

/// Threads that assign the same two parameters together, in both orders: every reader sees pairs, one of the
/// threads wins each round, and nobody waits for ever.
#[test]
fn assignments_of_several_are_all_or_none_among_threads() {
    // Two that wait for each other would wait for ever: the test is to fail, not to hang.
    let (done, over) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        assign_together();
        let _ = done.send(());
    });
    over.recv_timeout(Duration::from_secs(60)).expect("it ends, without a panic");
}

fn assign_together() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 300;
    let (a, b) = (Parameter::new("0", "a"), Parameter::new("0", "b"));
    let barrier = Arc::new(Barrier::new(THREADS));
    let wins: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (a, b, barrier) = (&a, &b, Arc::clone(&barrier));
                scope.spawn(move || {
                    let mut wins = 0;
                    for round in 0..ROUNDS {
                        let text = format!("{round} of {thread}");
                        let mut pair = [assignment(a, &text), assignment(b, &text)];
                        if thread % 2 == 1 {
                            pair.reverse();
                        }
                        barrier.wait();
                        match Parameter::assign_all(&pair) {
                            Ok(()) => wins += 1,
                            Err(error) => {
                                assert!(matches!(error, Error::StaleParameter { .. }), "{error:?}")
                            }
                        }
                        barrier.wait();
                        assert_eq!(a.text(), b.text());
                        barrier.wait();
                    }
                    wins
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(wins.iter().sum::<usize>(), ROUNDS, "exactly one wins each round");
    assert_eq!((a.version(), b.version()), (ROUNDS as u64, ROUNDS as u64));
}

#[test]
fn a_stale_or_repeated_assignment_says_which_and_changes_nothing() {
    let (a, b) = (Parameter::new("a", "first"), Parameter::new("b", "second"));
    let (for_a, for_b) = (assignment(&a, "a1"), assignment(&b, "b1"));
    // The same text again is another leaf all the same.
    b.set("b");
    let error = Parameter::assign_all(&[for_a.clone(), for_b]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the parameter (role: second) was assigned since this update was made; nothing was \
         assigned: run forward and backward again"
    );
    let error = Parameter::assign_all(&[for_a.clone(), assignment(&b, "x"), for_a]).unwrap_err();
    assert!(matches!(&error, Error::RepeatedParameter { role } if role == "first"), "{error:?}");
    assert_eq!((&*a.text(), &*b.text()), ("a", "b"));
    assert!(Parameter::assign_all(&[]).is_ok());
}

#[tokio::test]
async fn a_detached_variable_has_no_past_and_wants_nothing() {
    let x = Variable::differentiable("x", "x");
    let y = on(speaks("f"), &[&x]).await;
    let cut = y.detach();
    assert_eq!((cut.text(), cut.role()), (y.text(), y.role()));
    assert!(cut.source().is_none() && !cut.requires_grad() && cut != y);
    let image = Variable::constant(Image::new(vec![1], "image/png").unwrap(), "picture").detach();
    assert!(image.text().is_none() && image.value().as_image().is_some());
}

#[tokio::test]
async fn gradients_of_a_parameter_outlive_the_step_that_replaces_its_leaf() {
    let letter = Parameter::new("Send me the book.", "letter");
    let ending = Variable::constant(" Bye.", "ending");
    let whole = (letter.variable() + &ending).unwrap();
    let gradients = backward(&whole).await.unwrap();
    assert_eq!(gradients.get(&letter).len(), 1);
    letter.set("Please send me the book.");
    assert!(gradients.get(&letter.variable()).is_empty());
    assert_eq!(gradients.get(&letter).len(), 1);
    assert_eq!(gradients.received(&letter).len(), 1);
    // A parameter with the same text and role has none.
    assert!(gradients.get(&Parameter::new("Send me the book.", "letter")).is_empty());

    // Behind gradients of both leaves, those of the current one count.
    let mut both = gradients.clone();
    both.accumulate(backward(&(letter.variable() + &ending).unwrap()).await.unwrap());
    assert_eq!(both.get(&letter).len(), 1);
    letter.set("Would you please send me the book?");
    assert_eq!(both.get(&letter).len(), 1);
}

#[test]
fn a_parameter_is_made_of_a_text_only_and_both_show_it() {
    let text = Variable::constant("Be brief.", "rule");
    let parameter = Parameter::from_variable(&text).unwrap();
    assert_eq!((parameter.to_string(), text.to_string()), ("Be brief.".into(), "Be brief.".into()));
    assert_eq!(&**parameter.role(), "rule");
    let image = Variable::constant(Image::new(vec![1], "image/png").unwrap(), "picture");
    assert!(matches!(Parameter::from_variable(&image).unwrap_err(), Error::NotText { .. }));
    let inputs: Inputs = [("a", &parameter), ("b", &parameter)].into_iter().collect();
    assert_eq!(inputs.texts().unwrap(), ["Be brief.", "Be brief."]);
}
