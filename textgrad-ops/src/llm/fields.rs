//! Calls whose inputs are named fields.

use textgrad_core::{Error, Inputs, Variable};

use super::call::SYSTEM;

/// The inputs of a call by fields: a system prompt, then the fields.
pub(super) fn after_system(system: &Variable, fields: &Inputs) -> Inputs {
    let fields = fields.iter().map(|field| (&**field.name(), field.variable().clone()));
    Inputs::new([(SYSTEM, system.clone())].into_iter().chain(fields))
}

/// The system prompt, if the first of the inputs is one, and the others, which must be exactly the fields.
pub(super) fn system_and_fields<'a>(
    inputs: &'a Inputs,
    has_system: bool,
    expected: &[&str],
) -> Result<(Option<&'a str>, Inputs), Error> {
    let system = if has_system { Some(inputs.text(SYSTEM)?) } else { None };
    let fields = inputs.iter().skip(usize::from(has_system));
    let fields = Inputs::new(fields.map(|field| (&**field.name(), field.variable().clone())));
    for field in expected {
        fields.named(field)?;
    }
    if fields.len() != expected.len() {
        let got: Vec<&str> = fields.iter().map(|field| &**field.name()).collect();
        return Err(Error::op(format!(
            "expected exactly the fields {expected:?}, each once, but got {got:?}"
        )));
    }
    Ok((system, fields))
}
