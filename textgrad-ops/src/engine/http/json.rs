//! JSON as servers write it: read strictly, else leniently, and bounded in memory.

use serde_json::{Deserializer, Error, Value};

use crate::util::json::mend;
use crate::util::scan::positions;

/// Largest number of values in one body. As many numbers in a list take about 64 MB.
const MAX_VALUES: usize = 2_000_000;

/// Why a body is not read.
#[derive(Debug)]
pub(super) enum JsonError {
    /// It has more than [`MAX_VALUES`] values.
    TooMany,
    /// It is not JSON, even leniently. The error is that of the strict reader.
    Syntax(Error),
}

/// Reads a body.
///
/// A body that is not strict JSON is read leniently ([`read_lenient`](crate::util::json::read_lenient)), and with a
/// byte order mark, in UTF-16, with bytes that are no UTF-8, and with anything after a whole object or list.
///
/// # Errors
/// [`JsonError`].
pub(super) fn read(body: &[u8]) -> Result<Value, JsonError> {
    read_with(body, |_| char::REPLACEMENT_CHARACTER)
}

/// Reads an event of a stream as [`read`] reads a body, but keeps halves of surrogate pairs for [`join_halves`]: a
/// stream may break a character in two.
///
/// # Errors
/// [`JsonError`].
pub(super) fn read_event(data: &[u8]) -> Result<Value, JsonError> {
    read_with(data, marker)
}

fn read_with(body: &[u8], lone: fn(u32) -> char) -> Result<Value, JsonError> {
    if has_more_values(body, MAX_VALUES) {
        return Err(JsonError::TooMany);
    }
    let strict = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mended = mend(&decode(body), lone);
    match Deserializer::from_str(&mended).into_iter::<Value>().next() {
        Some(Ok(value @ (Value::Object(_) | Value::Array(_)))) => Ok(value),
        _ => Err(JsonError::Syntax(strict)),
    }
}

/// Whether a body has more values than `max`. Each value but the first follows a comma or a bracket.
fn has_more_values(body: &[u8], max: usize) -> bool {
    // A value but the last takes two bytes at least.
    if body.len() / 2 < max {
        return false;
    }
    let (mut values, mut in_string, mut escaped) = (1_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values > max
}

/// The text of a body in UTF-8 or UTF-16, without a byte order mark.
fn decode(body: &[u8]) -> String {
    let units = |from: fn([u8; 2]) -> u16| {
        let pairs = body.chunks_exact(2).filter_map(|pair| Some(from(pair.try_into().ok()?)));
        String::from_utf16_lossy(&pairs.collect::<Vec<u16>>())
    };
    let text = match body {
        [0xFF, 0xFE, ..] | [b'{' | b'[', 0, ..] => units(u16::from_le_bytes),
        [0xFE, 0xFF, ..] | [0, b'{' | b'[', ..] => units(u16::from_be_bytes),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    text.trim_start_matches('\u{FEFF}').to_owned()
}

/// The plane of private characters in which half of a surrogate pair waits for the other one.
const MARKERS: u32 = 0x10_0000;

fn marker(unit: u32) -> char {
    char::from_u32(MARKERS + unit).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Joins the halves of surrogate pairs in the text of a whole stream; halves without another become U+FFFD.
pub(crate) fn join_halves(text: String) -> String {
    let unit = |char: char| {
        let unit = u32::from(char).checked_sub(MARKERS)?;
        u16::try_from(unit).ok().filter(|unit| (0xD800..0xE000).contains(unit))
    };
    // Characters of that plane begin with this byte.
    let is_private = positions(&text, |byte| byte == 0xF4).next().is_some();
    if !is_private || !text.chars().any(|char| unit(char).is_some()) {
        return text;
    }
    let mut units = Vec::with_capacity(text.len());
    for char in text.chars() {
        match unit(char) {
            Some(unit) => units.push(unit),
            None => units.extend_from_slice(char.encode_utf16(&mut [0; 2])),
        }
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strict_json_is_read_as_it_is() {
        assert_eq!(read(br#"{"a":"\ud83d\ude00\n"}"#).unwrap(), json!({"a": "\u{1F600}\n"}));
        assert_eq!(read(b"3").unwrap(), json!(3));
    }

    /// Kind: Malformed JSON | a byte order mark, UTF-16, `NaN`, lone surrogates, bytes after the end | read
    #[test]
    fn what_python_and_javascript_write_is_read() {
        for (body, value) in [
            (&b"\xEF\xBB\xBF{\"a\":1}"[..], json!({"a": 1})),
            (
                br#"{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN \" NaN"}"#,
                json!({"a": null, "b": [null, null], "c": "NaN \" NaN"}),
            ),
            (
                br#"{"a":"x\ud83dy","b":"\\ud83d","c":"\uDE00"}"#,
                json!({"a": "x\u{FFFD}y", "b": "\\ud83d", "c": "\u{FFFD}"}),
            ),
            (b"{\"a\":1}\n\ndata: {\"b\":2}\n", json!({"a": 1})),
            (b"{\"a\":\"\xE9\"}", json!({"a": "\u{FFFD}"})),
            (b"{\0\"\0a\0\"\0:\x001\0}\0", json!({"a": 1})),
        ] {
            assert_eq!(read(body).unwrap(), value);
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for body in [&b""[..], b"<html>", b"{\"a\":", b"3 4", b"upstream error {\"a\":1}"] {
            assert!(matches!(read(body), Err(JsonError::Syntax(_))));
        }
    }

    /// Kind: Malformed JSON | the halves of a character in two events | joined
    #[test]
    fn the_halves_of_a_character_are_joined_across_events() {
        let piece = |data: &[u8]| read_event(data).unwrap()["t"].as_str().unwrap().to_owned();
        let joined = piece(br#"{"t":"a\ud83d"}"#) + &piece(br#"{"t":"\ude00b\ud83d"}"#);
        assert_eq!(join_halves(joined), "a\u{1F600}b\u{FFFD}");
        assert_eq!(join_halves("plain \u{1F600}".to_owned()), "plain \u{1F600}");
    }

    /// Kind: Limits | a reply of more than 2,000,000 values | a final error before it is parsed
    #[test]
    fn the_number_of_values_is_bounded() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2)).into_bytes();
        assert!(!has_more_values(&list(100), 100));
        assert!(has_more_values(&list(101), 100));
        assert!(!has_more_values(format!("[\"{}\"]", ",[{".repeat(100)).as_bytes(), 100));
        assert!(matches!(read(&list(MAX_VALUES + 1)), Err(JsonError::TooMany)));
    }
}
