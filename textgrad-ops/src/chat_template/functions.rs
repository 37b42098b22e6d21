//! Functions, filters and methods of chat templates.

use jiff::Timestamp;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, context, escape_formatter};
use minijinja_contrib::pycompat;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::bounds::BoundedText;

/// The filter that adds two values. No template can name it.
pub(super) const ADD: &str = "a+b";

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter(ADD, sum);
    environment.set_formatter(write_value);
    environment.set_unknown_method_callback(method);
    environment.add_filter("string", to_text);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
}

/// Writes a value into the text.
fn write_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    match value.as_object() {
        None => escape_formatter(out, state, value),
        Some(_) => Ok(out.write_str(&BoundedText::display(value)?)?),
    }
}

/// The sum of two values. That of two lists is made at once and paid for by its length: the operator makes one that
/// is no larger than its parts, however long it is.
fn sum(state: &mut State<'_, '_>, a: &Value, b: &Value) -> Result<Value, Error> {
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    if is_list(a) && is_list(b) && !(a.is_tuple() && b.is_tuple()) {
        let length = a.len().unwrap_or(0).saturating_add(b.len().unwrap_or(0));
        state.consume_fuel(length as u64)?;
        return Ok(a.try_iter()?.chain(b.try_iter()?).collect());
    }
    state.env().compile_expression(ADD)?.eval(context! { a, b })
}

fn to_text(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.clone()),
        _ => BoundedText::display(value).map(Value::from),
    }
}

/// Python's methods. Those that multiply a text pay for the result before they make it.
fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        match (name, arguments) {
            ("replace", arguments) => {
                let all: Vec<Value> = [value].into_iter().chain(arguments).cloned().collect();
                return state.apply_filter("replace", &all);
            }
            ("join", [items]) => {
                return state.apply_filter("join", &[items.clone(), value.clone()]);
            }
            ("split", [separator, ..]) => {
                let matches = separator.as_str().map_or(0, |by| text.matches(by).count());
                state.consume_fuel(matches as u64)?;
            }
            ("split", []) => state.consume_fuel(text.split_whitespace().count() as u64)?,
            ("format", arguments) => state.consume_fuel(width(text, arguments))?,
            _ => {}
        }
    }
    pycompat::unknown_method_callback(state, value, name, arguments)
}

/// A bound on the widths that a format asks for: the sum of all numbers in it and among its arguments.
fn width(format: &str, arguments: &[Value]) -> u64 {
    let numbers = format.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let written = numbers.map(|digits| digits.parse().unwrap_or(u64::MAX));
    let given = arguments.iter().filter_map(|value| u64::try_from(value.clone()).ok());
    written.chain(given).fold(0, u64::saturating_add)
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The time in UTC by a format of C's `strftime`: some templates write today's date into the conversation.
fn strftime_now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, Timestamp::now())
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

/// JSON as Python's `json.dumps` writes it: nothing is escaped that need not be, and a space stands behind
/// each comma and colon.
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Other options change nothing for the texts that a conversation holds.
    let mut text = BoundedText::default();
    let written = match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut text, Spaced)),
        Some(width) => {
            let indent = " ".repeat(width.min(16));
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut text, formatter))
        }
    };
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    text.into_string()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}
