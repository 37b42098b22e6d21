//! The text of an answer while it is written: bytes of tokens, until a stop sequence.

/// An answer's bytes, and the sequences that end it.
#[derive(Debug, Clone)]
pub(super) struct AnswerText {
    bytes: Vec<u8>,
    stop: Vec<String>,
}

impl AnswerText {
    /// An empty answer. Empty stop sequences are left out: they would end any.
    pub(super) fn new(stop: &[String]) -> Self {
        let stop = stop.iter().filter(|text| !text.is_empty()).cloned().collect();
        Self { bytes: Vec::new(), stop }
    }

    /// Adds the bytes of a token. True if a stop sequence is met: the answer ends before it.
    pub(super) fn push(&mut self, piece: &[u8]) -> bool {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        let begin = |stop: &String| {
            // It may have begun in the tokens before.
            let from = before.saturating_sub(stop.len() - 1);
            let tail = self.bytes.get(from..)?;
            let at = tail.windows(stop.len()).position(|window| window == stop.as_bytes())?;
            Some(from + at)
        };
        match self.stop.iter().filter_map(begin).min() {
            Some(at) => {
                self.bytes.truncate(at);
                true
            }
            None => false,
        }
    }

    /// The text. Bytes that are no UTF-8, as at the end of an answer that was cut off, become U+FFFD.
    pub(super) fn finish(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(stop: &[&str], pieces: &[&[u8]]) -> (String, usize) {
        let stop: Vec<String> = stop.iter().map(|text| (*text).to_owned()).collect();
        let mut text = AnswerText::new(&stop);
        let used =
            pieces.iter().position(|piece| text.push(piece)).map_or(pieces.len(), |at| at + 1);
        (text.finish(), used)
    }

    #[test]
    fn an_answer_ends_before_the_first_stop_sequence() {
        let pieces: [&[u8]; 4] = [b"a<", b"/", b"X> b", b"<end>"];
        assert_eq!(written(&["</X>", "<end>"], &pieces), ("a".to_owned(), 3));
        assert_eq!(written(&["<end>"], &pieces), ("a</X> b".to_owned(), 4));
        assert_eq!(written(&["", "b<"], &pieces), ("a</X> ".to_owned(), 4));
        assert_eq!(written(&["X> b", "</X"], &pieces), ("a".to_owned(), 3));
        assert_eq!(written(&[""], &pieces), ("a</X> b<end>".to_owned(), 4));
    }

    #[test]
    fn letters_may_be_split_between_tokens() {
        assert_eq!(written(&["\u{fc}"], &[b"f\xc3", b"\xbcr"]), ("f".to_owned(), 2));
        assert_eq!(written(&[], &[b"f\xc3", b"\xbcr"]), ("f\u{fc}r".to_owned(), 2));
        assert_eq!(written(&[], &[b"f\xc3"]), ("f\u{fffd}".to_owned(), 1));
    }
}
