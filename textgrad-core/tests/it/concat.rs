//! `+` and `Concat`: what is said about a whole is said about its parts, once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::{on, reached, speaks, words};
use proptest::prelude::*;
use textgrad_core::{
    Concat, Context, Error, Feedback, Gradient, Graph, Image, Inputs, Variable, apply_one,
    backward, reduce_fn,
};

fn leaves<const N: usize>(names: [&str; N]) -> [Variable; N] {
    names.map(|name| Variable::differentiable(name, name))
}

#[tokio::test]
async fn plus_runs_texts_together_by_value_and_by_reference() {
    let [a, b] = leaves(["a", "b"]);
    for sum in [&a + &b, a.clone() + &b, &a + b.clone(), a.clone() + b.clone()] {
        let sum = sum.unwrap();
        assert_eq!((sum.text(), &**sum.role()), (Some("ab"), "a and b"));
        let call = sum.source().unwrap().call();
        assert_eq!(call.op().name(), "+");
        let inputs: Vec<&Variable> = call.inputs().iter().map(|input| input.variable()).collect();
        assert_eq!(inputs, [&a, &b]);
        // A call that is recorded without having been run can be run again all the same.
        let again = apply_one(Arc::clone(call.op()), call.inputs().clone()).await.unwrap();
        assert_eq!((again.text(), again.role()), (Some("ab"), sum.role()));
    }
    let long = ((&a + &b).unwrap() + leaves(["c"])[0].clone()).unwrap();
    assert_eq!((long.text(), &**long.role()), (Some("abc"), "a and b and c"));
}

#[test]
fn plus_wants_texts() {
    let image = Image::new(vec![1], "image/png").unwrap();
    let (text, image) = (Variable::constant("a", "text"), Variable::constant(image, "picture"));
    for (sum, side) in [(&image + &text, "left"), (&text + &image, "right")] {
        let Err(Error::Forward { op, source }) = sum else { panic!("{sum:?}") };
        assert_eq!(op, "+");
        let message =
            format!("expected text for input {side:?} (role: picture), but it holds an image");
        assert_eq!(source.to_string(), message);
    }
}

#[tokio::test]
async fn an_objective_passes_through_and_constants_get_nothing() {
    let [a, b] = leaves(["a", "b"]);
    let constant = Variable::constant("c", "c");
    let sum = ((&a + &constant).unwrap() + &b).unwrap();
    let gradients = backward(&sum).await.unwrap();
    for leaf in [&a, &b] {
        assert!(matches!(gradients.get(leaf), [Gradient::Objective]));
    }
    assert!(gradients.received(&constant).is_empty());

    // A sum of constants is one, and a pass from it has nothing to do.
    let sum = (&constant + &constant).unwrap();
    assert!(!sum.requires_grad());
    assert!(backward(&sum).await.is_err());
}

#[tokio::test]
async fn what_is_said_about_a_sum_is_said_once_per_edge_however_deep() {
    let [a, b] = leaves(["a", "b"]);
    let mut sum = (&a + &b).unwrap();
    for _ in 0..16 {
        sum = (&sum + &Variable::constant("", "nothing")).unwrap();
        sum = (sum.clone() + Variable::constant("", "nothing")).unwrap();
    }
    let end = on(speaks("critic"), &[&sum]).await;
    let gradients = backward(&end).await.unwrap();
    for leaf in [&a, &b] {
        assert_eq!(reached(&gradients, leaf), ["critic/0"]);
    }
    let twice = on(speaks("critic"), &[&(&a + &a).unwrap()]).await;
    let gradients = backward(&twice).await.unwrap();
    assert_eq!(reached(&gradients, &a), ["critic/0", "critic/0"], "one per edge");
}

/// Sums whose terms are sums of the same terms, with somebody to say something about each of them.
#[tokio::test]
async fn words_do_not_multiply_where_sums_share_their_terms() {
    let [mut before, mut last] = leaves(["", ""]);
    let leaf = before.clone();
    let mut said = Vec::new();
    for level in 0..24 {
        let next = (&last + &before).unwrap();
        said.push(on(speaks(&format!("critic {level:02}")), &[&next]).await);
        (before, last) = (last, next);
    }
    let inputs = Inputs::new(said.into_iter().map(|said| ("term", said)));
    let total = apply_one(Arc::new(Concat::new("sum", "\n")), inputs).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    let expected: Vec<String> = (0..24).map(|level| format!("critic {level:02}/0")).collect();
    let mut lines: Vec<String> = gradients.text(&leaf).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, expected);
    assert_eq!(&**last.role(), "", "roles do not multiply either");
}

#[tokio::test]
async fn what_several_say_is_one_feedback_with_all_contexts() {
    let with_context = |name: &str| {
        let name = Variable::constant(name, "name");
        let answer = (&name + &Variable::constant("", "")).unwrap();
        let feedback = Feedback::new(answer.text().unwrap());
        Gradient::from(feedback.with_contexts(Context::of(&answer).map(Into::into)))
    };
    let [a, b] = ["a", "b"].map(with_context);
    let both = Gradient::join(&[a.clone(), Gradient::Objective, b.clone()]).unwrap();
    let feedback = both.feedback().unwrap();
    assert_eq!((feedback.text(), feedback.contexts().len()), ("a\nb", 2));
    let graph = Graph::trace(feedback.variable());
    assert!([&a, &b].iter().all(|part| graph.contains(part.feedback().unwrap().variable())));

    // What says it all already is handed on as it is.
    let again = Gradient::join(&[a.clone(), both.clone(), b]).unwrap();
    let again = again.feedback().unwrap();
    assert_eq!((again.variable(), again.contexts().len()), (feedback.variable(), 2));
    assert!(matches!(
        Gradient::join(&[Gradient::Objective, Gradient::Objective]),
        Some(Gradient::Objective)
    ));
    // The same words that two said are two pieces of feedback.
    let other = Gradient::from(Feedback::new("a"));
    assert_eq!(Gradient::join(&[a, other]).unwrap().feedback().unwrap().text(), "a\na");
}

#[tokio::test]
async fn a_concatenation_has_a_name_a_separator_and_a_role() {
    let [a, b] = leaves(["a", "b"]);
    let concat = Arc::new(Concat::new("list", ", "));
    let inner = apply_one(concat.clone(), [("x", &a), ("x", &b)]).await.unwrap();
    assert_eq!((inner.text(), &**inner.role()), (Some("a, b"), "list of: a; b"));
    let outer = apply_one(concat.clone(), [("x", &b), ("x", &inner)]).await.unwrap();
    assert_eq!((outer.text(), &**outer.role()), (Some("b, a, b"), "list of: b; a"));
    let none: Vec<(&str, Variable)> = Vec::new();
    let error = apply_one(concat, none).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "expected at least one text for the list");
}

#[tokio::test]
async fn a_reduction_merges_what_passed_through_a_concatenation_of_sums() {
    let [a, b] = leaves(["a", "b"]);
    let first = on(speaks("first"), &[&(&a + &b).unwrap()]).await;
    let second = on(speaks("second"), &[&(&b + &a).unwrap()]).await;
    let count = reduce_fn("count", |cx: textgrad_core::ReduceCx| async move {
        Ok(vec![Feedback::new(format!("{} pieces", cx.feedback().len()))])
    });
    let concat = Concat::new("all", "\n").reduction(Arc::new(count));
    let total = apply_one(Arc::new(concat), [("x", &first), ("x", &second)]).await.unwrap();
    let gradients = backward(&total).await.unwrap();
    for leaf in [&a, &b] {
        assert_eq!(words(gradients.get(leaf)), ["2 pieces"]);
        assert_eq!(gradients.received(leaf).len(), 2);
    }
}

/// Per whole: two terms among the leaves and the wholes before it, whether it is made by `+` or by a `Concat` of
/// three, and whether somebody speaks about it.
#[derive(Debug, Clone)]
struct Spec {
    leaves: Vec<bool>,
    wholes: Vec<(usize, usize, bool, bool)>,
}

fn spec() -> impl Strategy<Value = Spec> {
    let whole = (0..64_usize, 0..64_usize, any::<bool>(), prop::bool::weighted(0.4));
    (prop::collection::vec(prop::bool::weighted(0.8), 1..5), prop::collection::vec(whole, 1..20))
        .prop_map(|(leaves, wholes)| Spec { leaves, wholes })
}

async fn check(spec: Spec) -> Result<(), TestCaseError> {
    let mut variables: Vec<Variable> = Vec::new();
    // What must be said about each variable: by definition, by everybody who speaks about a whole of it.
    let mut makers: Vec<Vec<usize>> = Vec::new();
    for (i, grad) in spec.leaves.iter().enumerate() {
        let (text, role) = (format!("<{i}>"), format!("leaf {i}"));
        variables.push(if *grad {
            Variable::differentiable(text, role)
        } else {
            Variable::constant(text, role)
        });
        makers.push(Vec::new());
    }
    let mut critics: Vec<(usize, Variable)> = Vec::new();
    for (left, right, plus, spoken) in &spec.wholes {
        let count = variables.len();
        // Some go on from the last whole: else deep graphs would be rare.
        let (left, right) = (left % count, if *spoken { count - 1 } else { right % count });
        let (whole, terms) = if *plus {
            ((&variables[left] + &variables[right]).unwrap(), vec![left, right])
        } else {
            let terms = vec![right, left, right];
            let inputs = terms.iter().map(|term| ("term", variables[*term].clone()));
            let op = Arc::new(Concat::new("concat", ""));
            (apply_one(op, Inputs::new(inputs)).await.unwrap(), terms)
        };
        let texts: Vec<&str> = terms.iter().map(|term| variables[*term].text().unwrap()).collect();
        prop_assert_eq!(whole.text().unwrap(), texts.concat());
        variables.push(whole);
        makers.push(terms);
        if *spoken || variables.len() == spec.leaves.len() + spec.wholes.len() {
            let name = format!("critic {count}");
            critics.push((count, on(speaks(&name), &[&variables[count]]).await));
        }
    }
    let inputs = Inputs::new(critics.iter().map(|(_, critic)| ("critic", critic.clone())));
    let total = apply_one(Arc::new(Concat::new("sum", "\n")), inputs).await.unwrap();
    if !total.requires_grad() {
        prop_assert!(critics.iter().all(|(place, _)| !variables[*place].requires_grad()));
        return Ok(());
    }
    let gradients =
        backward(&total).await.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;

    let mut expected: Vec<BTreeSet<String>> = vec![BTreeSet::new(); variables.len()];
    for (place, _) in &critics {
        expected[*place].insert(format!("critic {place}/0"));
    }
    for whole in (0..variables.len()).rev() {
        for term in makers[whole].clone() {
            let said = expected[whole].clone();
            expected[term].extend(said);
        }
    }
    for (place, variable) in variables.iter().enumerate() {
        let received = gradients.received(variable);
        if !variable.requires_grad() {
            prop_assert!(received.is_empty(), "a constant was told something");
            continue;
        }
        // One gradient per edge from a whole of which something was said, plus its own critic's.
        let edges = makers.iter().enumerate().filter(|(whole, _)| !expected[*whole].is_empty());
        let edges = edges.flat_map(|(_, terms)| terms).filter(|term| **term == place).count();
        let own = critics.iter().filter(|(critic, _)| *critic == place).count();
        prop_assert_eq!(received.len(), edges + own);
        // On each edge, everything that is said about the whole, each piece once.
        for received in received {
            let call = received.consumer().unwrap();
            let made = |variable: &Variable| {
                variable.source().is_some_and(|source| Arc::ptr_eq(source.call(), call))
            };
            let Some(whole) = variables.iter().position(made) else { continue };
            let text = received.gradient().feedback().unwrap().text().to_owned();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let distinct: BTreeSet<String> = lines.iter().cloned().collect();
            prop_assert_eq!(lines.len(), distinct.len(), "said twice: {}", text);
            prop_assert_eq!(&distinct, &expected[whole]);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_graph_each_edge_carries_each_piece_of_feedback_once(spec in spec()) {
        crate::support::run(check(spec))?;
    }
}
