//! The vocabulary in the header of a GGUF file, checked where llama.cpp would end the program.

use std::collections::HashSet;
use std::io::{Read, sink};

/// The key of the tokens.
const TOKENS: &[u8] = b"tokenizer.ggml.tokens";

/// Numbers of types of values.
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The longest text that is read into memory. No token is longer.
const MAX_TEXT: u64 = 1 << 20;

/// A token that stands in the vocabulary of a file twice.
///
/// None if there is none, or if the header cannot be read: llama.cpp reports that as an error.
pub(super) fn repeated_token(file: impl Read) -> Option<String> {
    let mut header = Header(file);
    let [_magic, _version] = [header.u32()?, header.u32()?];
    let [_tensors, values] = [header.u64()?, header.u64()?];
    for _ in 0..values {
        let key = header.text()?;
        match header.u32()? {
            ARRAY if key == TOKENS => return header.repeated(),
            kind => header.skip(kind)?,
        }
    }
    None
}

/// A reader of a header. None is the end of the file, or something that is no header.
struct Header<R>(R);

impl<R: Read> Header<R> {
    fn u32(&mut self) -> Option<u32> {
        let mut bytes = [0; 4];
        self.0.read_exact(&mut bytes).ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let length = self.u64().filter(|length| *length <= MAX_TEXT)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.0.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    fn skip_bytes(&mut self, count: u64) -> Option<()> {
        let read = std::io::copy(&mut (&mut self.0).take(count), &mut sink()).ok()?;
        (read == count).then_some(())
    }

    /// Skips a value. Arrays hold no arrays.
    fn skip(&mut self, kind: u32) -> Option<()> {
        match kind {
            ARRAY => {
                let (kind, count) = (self.u32()?, self.u64()?);
                match size(kind) {
                    Some(size) => self.skip_bytes(size.checked_mul(count)?),
                    None if kind == STRING => (0..count).try_for_each(|_| self.skip(STRING)),
                    None => None,
                }
            }
            STRING => {
                let length = self.u64()?;
                self.skip_bytes(length)
            }
            kind => self.skip_bytes(size(kind)?),
        }
    }

    fn repeated(&mut self) -> Option<String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let mut seen = HashSet::new();
        for _ in 0..count {
            let token = (kind == STRING).then(|| self.text()).flatten()?;
            // llama.cpp gives empty ones names of their own.
            if !token.is_empty() && seen.contains(&token) {
                return Some(String::from_utf8_lossy(&token).into_owned());
            }
            seen.insert(token);
        }
        None
    }
}

/// The bytes of a number or a truth value.
fn size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_stands_there_twice_is_found() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gguf/tiny.gguf");
        let mut bytes = std::fs::read(path).unwrap();
        assert_eq!(repeated_token(&*bytes), None);
        let at = bytes.windows(10).position(|window| window == b"<|unused3|").unwrap();
        bytes[at + 8] = b'4';
        assert_eq!(repeated_token(&*bytes).as_deref(), Some("<|unused4|>"));
        for length in [0, 3, 10, 30, 200, 2_000] {
            assert_eq!(repeated_token(&bytes[..length]), None);
        }
    }
}
