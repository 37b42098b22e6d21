//! Randomness that is the same on every machine.

use textgrad_core::{Message, MessageRole, Part};

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The stream of one choice: what was asked (`key`) and its seed.
    pub(super) fn new(key: u64, seed: u64) -> Self {
        Self(key ^ mix(seed.wrapping_add(GOLDEN)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// True with probability `p`. Always takes one draw, so that what follows does not depend on `p`.
    pub(super) fn chance(&mut self, p: f64) -> bool {
        let top = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        f64::from(top) / 4_294_967_296.0 < p
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let draw = self.next();
        u64::try_from(end)
            .ok()
            .and_then(|end| draw.checked_rem(end))
            .and_then(|index| usize::try_from(index).ok())
            .unwrap_or(0)
    }

    /// One of some texts; the empty text if there are none.
    pub(super) fn pick<'a>(&mut self, texts: &'a [impl AsRef<str>]) -> &'a str {
        texts.get(self.below(texts.len())).map_or("", AsRef::as_ref)
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    // The length goes in too, so that neighbouring texts do not run into each other.
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes();
    bytes
        .iter()
        .chain(&length)
        .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// A stable hash of a conversation: roles, texts and images.
pub(super) fn key(messages: &[Message]) -> u64 {
    let hash = messages.iter().fold(FNV_OFFSET, |hash, message| {
        let role: &[u8] = match message.role {
            MessageRole::System => b"system",
            MessageRole::User => b"user",
            MessageRole::Assistant => b"assistant",
        };
        message.parts.iter().fold(fnv(hash, role), |hash, part| match part {
            Part::Text(text) => fnv(fnv(hash, b"text"), text.as_bytes()),
            Part::Image(image) => fnv(fnv(hash, image.media_type().as_bytes()), image.bytes()),
        })
    });
    mix(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_splitmix64() {
        // The published sequence for the state 1234567.
        let mut rng = Rng(1_234_567);
        assert_eq!(
            [rng.next(), rng.next(), rng.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn conversations_are_distinguished() {
        let keys = [
            key(&[]),
            key(&[Message::user("ab")]),
            key(&[Message::system("ab")]),
            key(&[Message::user("a"), Message::user("b")]),
            key(&[Message::user("ab"), Message::user("")]),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(keys[index + 1..].iter().all(|other| other != one));
        }
    }
}
