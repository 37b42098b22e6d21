//! Candidates scored as whole assignments, and kept only if they are better.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use textgrad_core::{Members, Module, Parameter, Score, Variable, check_fn};
use textgrad_ops::{Error, ParameterUpdate, Proposal, TrialParameter, UpdateOutcome};

fn update(parameter: &Parameter, texts: &[&str]) -> ParameterUpdate {
    let candidates = texts.iter().map(|text| Variable::constant(*text, "text")).collect();
    ParameterUpdate {
        parameter: parameter.clone(),
        base: parameter.variable(),
        rewrite: Ok(UpdateOutcome { candidates, rejected: Vec::new() }),
    }
}

fn kept(parameter: &Parameter) -> ParameterUpdate {
    let role = parameter.role().to_string();
    let error = Error::Violations { role, requests: 1, rejected: Vec::new() };
    ParameterUpdate { rewrite: Err(Arc::new(error)), ..update(parameter, &[]) }
}

fn proposal(updates: Vec<ParameterUpdate>) -> Proposal {
    Proposal { updates, unchanged: Vec::new() }
}

/// What was scored, in order, and a score for each.
async fn select(
    proposal: &Proposal,
    current: Option<f64>,
    score: impl Fn(&str) -> f64,
) -> (Result<textgrad_ops::Selection, Error>, Vec<String>) {
    let seen = Mutex::new(Vec::new());
    let scorer = |trial: TrialParameter| {
        let texts: Vec<String> = trial.iter().map(|(_, text)| text.to_string()).collect();
        let texts = texts.join("+");
        seen.lock().unwrap().push(texts.clone());
        let score = score(&texts);
        async move { Ok::<Score, std::io::Error>(Score::from(score)) }
    };
    let selection = proposal.select(current.map(Score::from), scorer).await;
    (selection, seen.into_inner().unwrap())
}

#[tokio::test]
async fn candidates_are_whole_assignments_and_the_best_is_applied_as_one() {
    let (a, b) = (Parameter::new("a", "first"), Parameter::new("b", "second"));
    let idle = Parameter::new("c", "third");
    let proposal =
        proposal(vec![update(&a, &["a1", "a2", "a3"]), kept(&idle), update(&b, &["b1", "b2"])]);
    let score = |texts: &str| if texts == "a2+b2" { 2.0 } else { 1.0 };
    let (selection, seen) = select(&proposal, None, score).await;
    assert_eq!(seen, ["a+b", "a1+b1", "a2+b2", "a3+b1"]);
    let selection = selection.unwrap();
    assert_eq!(selection.scores, [1.0, 2.0, 1.0].map(Score::from));
    assert_eq!((selection.best, selection.score()), (Some(1), Score::from(2.0)));
    assert_eq!((a.version(), b.version()), (0, 0), "scoring assigns nothing");
    selection.apply().unwrap();
    assert_eq!((&*a.text(), &*b.text(), idle.version()), ("a2", "b2", 0));
    assert!(selection.apply().is_err(), "it was made from texts that are gone");
}

#[tokio::test]
async fn ties_keep_the_old_text_and_what_is_known_is_not_scored() {
    let a = Parameter::new("a", "first");
    let proposal = proposal(vec![update(&a, &["a1", "a", "a1", "a2"])]);
    let (selection, seen) = select(&proposal, Some(1.0), |_| 1.0).await;
    assert_eq!(seen, ["a1", "a2"], "the same texts are scored once");
    let selection = selection.unwrap();
    assert_eq!((selection.best, selection.scores.len()), (None, 4));
    assert!(selection.assignments().is_empty());
    selection.apply().unwrap();
    assert_eq!(a.version(), 0);
    // Of equals that are better, the first; whether something passed is a score too.
    let (selection, _) = select(&proposal, Some(0.0), |_| 1.0).await;
    assert_eq!(selection.unwrap().best, Some(0));
    let scorer = |_: TrialParameter| async { Ok::<Score, std::io::Error>(Score::from(true)) };
    let selection = proposal.select(Some(Score::from(false)), scorer).await.unwrap();
    assert_eq!(selection.score(), Score::from(true));
}

#[tokio::test]
async fn what_cannot_be_compared_is_an_error_that_says_which() {
    let a = Parameter::new("a", "first");
    let proposal = proposal(vec![update(&a, &["a1", "a1", "a2"])]);
    for (bad, said) in [
        ("a", "expected a finite score for the texts that there are, got NaN"),
        ("a2", "expected a finite score for candidate 2, got NaN"),
    ] {
        let score = |texts: &str| if texts == bad { f64::NAN } else { 1.0 };
        let (selection, seen) = select(&proposal, None, score).await;
        assert_eq!((selection.unwrap_err().to_string().as_str(), seen.len()), (said, 3));
    }
    let (selection, _) = select(&proposal, Some(f64::INFINITY), |_| 1.0).await;
    assert!(matches!(selection, Err(Error::NotFinite { candidate: None, .. })));
    let scorer = |trial: TrialParameter| {
        let fails = trial.text(&a).as_ref() == "a2";
        async move { if fails { Err("out of money") } else { Ok(Score::from(1.0)) } }
    };
    let error = proposal.select(None, scorer).await.unwrap_err();
    assert_eq!(error.to_string(), "candidate 2 could not be scored");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "out of money");
}

#[tokio::test]
async fn nothing_is_scored_of_a_proposal_that_could_not_be_applied() {
    let (a, b) = (Parameter::new("a", "first"), Parameter::new("b", "second"));
    let failed = Err(Arc::new(Error::NoFeedback { roles: Vec::new() }));
    let failed = ParameterUpdate { rewrite: failed, ..update(&b, &[]) };
    let (selection, seen) =
        select(&proposal(vec![update(&a, &["a1"]), failed]), None, |_| 1.0).await;
    assert!(matches!(selection, Err(Error::Incomplete { failed: 1, total: 2, .. })));
    assert!(seen.is_empty());
    let (selection, seen) = select(&proposal(vec![update(&a, &[])]), None, |_| 1.0).await;
    assert!(matches!(selection, Err(Error::NoCandidate { .. })) && seen.is_empty());
    // Where all are kept there is nothing to choose from.
    let (selection, seen) = select(&proposal(vec![kept(&a)]), Some(1.0), |_| 1.0).await;
    assert_eq!((selection.unwrap().best, seen.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn candidates_are_scored_at_the_same_time() {
    let a = Parameter::builder("a", "first").check(check_fn("any", |_| Ok(()))).build();
    let proposal = proposal(vec![update(&a, &["a1", "a2", "a3", "a4"])]);
    let start = tokio::time::Instant::now();
    let scorer = |_: TrialParameter| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<Score, std::io::Error>(Score::from(1.0))
    };
    proposal.select(None, scorer).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[test]
fn a_selection_can_be_spawned() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let proposal = proposal(Vec::new());
    let scorer = |_: TrialParameter| async { Ok::<Score, std::io::Error>(Score::from(1.0)) };
    drop(assert_send(proposal.select(None, scorer)));
}

struct Program {
    system: Parameter,
    style: Parameter,
}

impl Module for Program {
    fn members(&self) -> Members<'_> {
        vec![("system".into(), (&self.system).into()), ("style".into(), (&self.style).into())]
    }
}

#[test]
fn a_module_is_tried_on_a_copy() {
    let program = |system, style| Program {
        system: Parameter::new(system, "system prompt"),
        style: Parameter::new(style, "style"),
    };
    let (real, copy) = (program("old", "plain"), program("", ""));
    let trial = TrialParameter::new([(&real.system, "new")]);
    copy.load_state_dict(&trial.state_dict(&real).unwrap()).unwrap();
    assert_eq!((&*copy.system.text(), &*copy.style.text()), ("new", "plain"));
    assert_eq!(&*real.system.text(), "old");
    let variable = trial.variable(&real.system);
    assert_eq!((variable.text(), variable.requires_grad()), (Some("new"), false));
}
