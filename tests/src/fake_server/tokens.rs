//! A toy tokenizer.

/// Some bytes of a text; not always whole characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token(Vec<u8>);

impl Token {
    /// As a tokenizer decodes it by itself: U+FFFD for parts of characters.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// FNV-1a, above the numbers of likelier tokens.
    pub(super) fn id(&self) -> u64 {
        let hash = self.0.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        1000 + hash % 1_000_000_000
    }
}

/// A token begins at white space and at `<`, and ends behind `>`. Characters of four bytes, such as emoji, are two
/// tokens of two bytes.
pub(super) fn tokens(bos: Option<&str>, text: &str) -> Vec<Token> {
    let mut tokens: Vec<Vec<u8>> = bos.map(|bos| bos.as_bytes().to_vec()).into_iter().collect();
    let mut open = false;
    for character in text.chars() {
        let bytes = character.to_string().into_bytes();
        if bytes.len() == 4 {
            tokens.extend(bytes.chunks(2).map(<[u8]>::to_vec));
            open = false;
            continue;
        }
        let begins = !open || character.is_whitespace() || character == '<';
        match tokens.last_mut() {
            Some(token) if !begins => token.extend(bytes),
            _ => tokens.push(bytes),
        }
        open = character != '>';
    }
    tokens.into_iter().map(Token).collect()
}
