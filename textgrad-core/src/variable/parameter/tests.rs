use super::*;

#[test]
fn history_is_bounded() {
    let parameter = Parameter::builder("0", "r").history(2).build();
    for i in 1..5 {
        parameter.set(i.to_string());
    }
    let kept: Vec<(u64, String)> =
        parameter.history().into_iter().map(|v| (v.number, v.text.to_string())).collect();
    assert_eq!(kept, [(2, "2".into()), (3, "3".into())]);
}

#[test]
fn a_frozen_parameter_asks_for_nothing_and_keeps_its_text() {
    let parameter = Parameter::builder("a", "r").frozen().build();
    assert!(!parameter.variable().requires_grad());
    parameter.set("b");
    assert!(!parameter.variable().requires_grad());
    parameter.set_frozen(false);
    let thawed = parameter.variable();
    assert!(thawed.requires_grad());
    assert_eq!((thawed.text(), parameter.version()), (Some("b"), 1));
    parameter.set_frozen(false);
    assert_eq!(parameter.variable(), thawed, "nothing changed, so the leaf stays");
}

#[test]
fn a_restored_parameter_goes_on_where_it_was() {
    let made = || Parameter::builder("0", "r").history(2).build();
    let (first, second) = (made(), made());
    for i in 1..5 {
        first.set(i.to_string());
    }
    let json = serde_json::to_string(&first.state()).unwrap();
    let leaf = second.restore(&serde_json::from_str(&json).unwrap());
    assert_eq!((second.state(), leaf), (first.state(), second.variable()));
    assert_eq!((second.text().as_ref(), second.version()), ("4", 4));
    first.set("5");
    second.set("5");
    assert_eq!(second.state(), first.state());
}

#[test]
fn all_or_none() {
    let (a, b) = (Parameter::new("a", "first"), Parameter::new("b", "second"));
    let assignment = |p: &Parameter, text: &str| Assignment {
        parameter: p.clone(),
        base: p.variable(),
        text: text.into(),
    };
    let (for_a, for_b) = (assignment(&a, "a1"), assignment(&b, "b1"));
    b.set("elsewhere");
    let error = Parameter::assign_all(&[for_a.clone(), for_b]).unwrap_err();
    assert!(matches!(&error, Error::StaleParameter { role } if role == "second"), "{error}");
    assert_eq!((a.text().as_ref(), b.text().as_ref()), ("a", "elsewhere"));

    let error = Parameter::assign_all(&[for_a.clone(), for_a.clone()]).unwrap_err();
    assert!(matches!(error, Error::RepeatedParameter { .. }), "{error}");
    assert_eq!(a.text().as_ref(), "a");

    Parameter::assign_all(&[assignment(&b, "b2"), for_a]).unwrap();
    assert_eq!((a.text().as_ref(), b.text().as_ref()), ("a1", "b2"));
}
