use super::*;

struct Pair(Parameter, Parameter);

impl Module for Pair {
    fn members(&self) -> Vec<(&str, Member<'_>)> {
        vec![("a", (&self.0).into()), ("b", (&self.1).into())]
    }
}

struct Named(&'static [&'static str], Parameter);

impl Module for Named {
    fn members(&self) -> Vec<(&str, Member<'_>)> {
        self.0.iter().map(|name| (*name, (&self.1).into())).collect()
    }
}

fn parameter(text: &str) -> Parameter {
    Parameter::new(text, "text")
}

#[test]
fn a_shared_parameter_has_two_names_and_is_one() {
    let shared = parameter("x");
    let pair = Pair(shared.clone(), shared.clone());
    assert_eq!(pair.named_parameters().unwrap().len(), 2);
    assert_eq!(pair.parameters().unwrap(), std::slice::from_ref(&shared));

    let mut state = pair.state_dict().unwrap();
    state.insert("a", "y");
    let error = pair.load_state_dict(&state).unwrap_err();
    assert!(
        matches!(&error, Error::StateDict { contradicting, .. } if contradicting == &["b"]),
        "{error}"
    );
    assert_eq!(shared.text().as_ref(), "x");
    state.insert("b", "y");
    pair.load_state_dict(&state).unwrap();
    assert_eq!(shared.text().as_ref(), "y");
}

#[test]
fn all_names_must_match_and_nothing_is_assigned_otherwise() {
    let pair = Pair(parameter("a0"), parameter("b0"));
    let state: StateDict = serde_json::from_str(r#"{"a": "a1", "c": "c1"}"#).unwrap();
    let error = pair.load_state_dict(&state).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("\"b\"") && message.contains("\"c\""), "{message}");
    assert_eq!(pair.0.text().as_ref(), "a0");
}

#[test]
fn a_text_that_is_there_already_is_not_a_new_version() {
    let pair = Pair(parameter("a0"), parameter("b0"));
    let mut state = pair.state_dict().unwrap();
    state.insert("a", "a1");
    pair.load_state_dict(&state).unwrap();
    assert_eq!((pair.0.version(), pair.1.version()), (1, 0));
}

#[test]
fn names_that_make_no_path_are_refused() {
    for names in [&[""] as &[&str], &["a.b"], &["a", "a"]] {
        let names: &'static [&'static str] = names.to_vec().leak();
        let error = Named(names, parameter("x")).named_parameters().unwrap_err();
        assert!(matches!(error, Error::MemberName { .. }), "{error}");
    }
}

#[test]
fn a_module_is_frozen_as_a_whole() {
    let pair = Pair(parameter("a"), parameter("b"));
    pair.set_frozen(true).unwrap();
    assert!(pair.0.is_frozen() && pair.1.is_frozen());
}
