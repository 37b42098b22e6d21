//! Text of the bytes of a file.

use std::borrow::Cow;
use std::io::Read;

use super::wrong;
use crate::error::Error;

/// The largest contents that a compressed file may have, in bytes: a small file may claim any size.
const MAX_UNPACKED: u64 = 1 << 30;

/// The text of a file: UTF-8, or UTF-16 with a byte order mark; compressed by gzip or Zstandard or not, whatever its
/// name. Line ends of old Macs become newlines.
///
/// # Errors
/// [`Error::Data`] if the file is damaged, unpacks to more than 1 GiB, or has another encoding.
pub fn decode(name: &str, bytes: &[u8]) -> Result<String, Error> {
    text(name, &unpack(name, bytes)?)
}

/// The contents of a file without its compression.
pub(super) fn unpack<'a>(name: &str, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
    let (format, unpacked) = match bytes {
        [0x1f, 0x8b, ..] => ("gzip", read(flate2::read::MultiGzDecoder::new(bytes))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("Zstandard", zstd(bytes)),
        _ => return Ok(Cow::Borrowed(bytes)),
    };
    let unpacked = unpacked.map_err(|error| {
        wrong(name, format!("expected a file compressed by {format}, but it is damaged: {error}"))
    })?;
    match u64::try_from(unpacked.len()).is_ok_and(|length| length <= MAX_UNPACKED) {
        true => Ok(Cow::Owned(unpacked)),
        false => Err(wrong(name, "expected at most 1 GiB in the compressed file, got more")),
    }
}

fn read(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader.take(MAX_UNPACKED + 1).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

#[cfg(feature = "parquet")]
fn zstd(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    read(zstd::Decoder::new(bytes)?)
}

#[cfg(not(feature = "parquet"))]
fn zstd(_bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    Err(std::io::Error::other(
        "expected no Zstandard: build the program with --features parquet, or unpack the file",
    ))
}

/// The text of contents that are not compressed.
pub(super) fn text(name: &str, bytes: &[u8]) -> Result<String, Error> {
    let text = match bytes {
        [0xff, 0xfe, units @ ..] => utf16(units, u16::from_le_bytes),
        [0xfe, 0xff, units @ ..] => utf16(units, u16::from_be_bytes),
        other => std::str::from_utf8(other).ok().map(str::to_owned),
    };
    let line = |before: usize| 1 + bytes.iter().take(before).filter(|byte| **byte == b'\n').count();
    if let Some(at) = text.as_deref().and_then(|text| text.find('\0')) {
        let reason = match bytes {
            [_, 0, _, 0, ..] => without_mark("UTF-16LE"),
            [0, _, 0, _, ..] => without_mark("UTF-16BE"),
            _ => "expected text, got a binary file: it has a zero byte".to_owned(),
        };
        return Err(wrong(format!("{name}, line {}", line(at)), reason));
    }
    let Some(mut text) = text else {
        let valid = bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
        let line = line(valid);
        let advice = "convert it, for example with `iconv -f LATIN1 -t UTF-8`";
        let reason = format!("expected UTF-8, got other bytes; {advice}");
        return Err(wrong(format!("{name}, line {line}"), reason));
    };
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    // Lines that end in carriage returns only would be one.
    let is_one_line = text.contains('\r') && !text.contains('\n');
    Ok(if is_one_line { text.replace('\r', "\n") } else { text })
}

fn without_mark(encoding: &str) -> String {
    format!(
        "expected UTF-8, got UTF-16 without a byte order mark; convert it with `iconv -f {encoding} -t UTF-8`"
    )
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}
