//! Text of the bytes of a file.

use std::borrow::Cow;

use crate::error::Error;

/// The largest text that a compressed file may hold, in bytes.
#[cfg(any(feature = "bench", feature = "report"))]
const MAX_UNPACKED: u64 = 1024 * 1024 * 1024;

/// The text of a file of queries: UTF-8, or UTF-16 with a byte order mark; compressed by gzip or not. Line ends
/// of old Macs become newlines. `name` is that of the file, for errors.
///
/// # Errors
/// [`Error::Input`] if it is no such text.
pub fn decode(name: &str, bytes: &[u8]) -> Result<String, Error> {
    let wrong =
        |reason: &str| Error::Input { source_name: name.to_owned(), reason: reason.to_owned() };
    let bytes = match bytes {
        [0x1f, 0x8b, ..] => Cow::Owned(unpack(bytes).map_err(|reason| wrong(&reason))?),
        _ => Cow::Borrowed(bytes),
    };
    let text = match bytes.as_ref() {
        [0xff, 0xfe, units @ ..] => utf16(units, u16::from_le_bytes),
        [0xfe, 0xff, units @ ..] => utf16(units, u16::from_be_bytes),
        other => String::from_utf8(other.to_vec()).ok(),
    };
    let text = text
        .ok_or_else(|| wrong("expected a text in UTF-8, got other bytes; convert it to UTF-8"))?;
    // Lines that end in carriage returns only would be one.
    let one_line = text.contains('\r') && !text.contains('\n');
    Ok(if one_line { text.replace('\r', "\n") } else { text })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

#[cfg(any(feature = "bench", feature = "report"))]
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Read;

    let mut unpacked = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(MAX_UNPACKED + 1);
    reader.read_to_end(&mut unpacked).map_err(|error| {
        format!("expected a file compressed by gzip, but it is damaged: {error}")
    })?;
    let fits = u64::try_from(unpacked.len()).is_ok_and(|length| length <= MAX_UNPACKED);
    fits.then_some(unpacked).ok_or_else(|| {
        format!("expected at most {MAX_UNPACKED} bytes in the compressed file, got more")
    })
}

#[cfg(not(any(feature = "bench", feature = "report")))]
fn unpack(_bytes: &[u8]) -> Result<Vec<u8>, String> {
    Err("expected a text, got a file compressed by gzip; unpack it first".to_owned())
}
