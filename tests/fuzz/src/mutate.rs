//! Mutations of byte strings, from a seed.

/// Pieces that formats are made of, and values at the edge of what is read.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "\n\n",
    "null",
    "true",
    "NaN",
    "Infinity",
    "-1",
    "0",
    "1e999",
    "18446744073709551615",
    "-9223372036854775808",
    "0.1",
    "\\ud83d",
    "\\udc00",
    "\\u0000",
    "\u{feff}",
    "\u{1b}[2J",
    "\u{202e}",
    "data: ",
    "data: [DONE]\n\n",
    "event: error\n",
    "<think>",
    "</think>",
    "<IMPROVED_VARIABLE>",
    "</IMPROVED_VARIABLE>",
    "<score>",
    "</score>",
    "<script>",
    "</script>",
    "{{",
    "}}",
    "{%",
    "%}",
    "{{#each a}}",
    "{{/each}}",
    "\"content\":",
    "\"choices\":",
    "\"error\":",
    "\"message\":",
    "\"finish_reason\":",
    "\"index\":",
    "\"logprobs\":",
    "\"usage\":",
    "\"role\":\"user\"",
    "７",
    "８/１０",
    "8 out of 10",
    "**",
    "```",
    "\\boxed{",
    "\\frac{1}{2}",
    "x^{99}",
    "sk-fuzz-key-0123456789abcdef",
    "é",
    "🦀",
    "\u{0}",
    "\u{85}",
];

/// Makes one input of others.
#[derive(Debug, Clone)]
pub struct Mutator(u64);

impl Mutator {
    /// The mutations of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below a bound, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or_default()
    }

    /// A mutation of one of the inputs, with pieces of others.
    pub fn mutate(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(24)).min(bytes.len());
            match self.below(8) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.next().to_le_bytes()[0],
                2 => drop(bytes.drain(at..end)),
                3 => bytes.truncate(at),
                4 => {
                    let copied = bytes[at..end].repeat(1 + self.below(6));
                    bytes.splice(at..at, copied);
                }
                5 => {
                    let other = &inputs[self.below(inputs.len())];
                    let from = self.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
                6 => drop(bytes.splice(at..end, PIECES[self.below(PIECES.len())].bytes())),
                _ => drop(bytes.splice(at..at, PIECES[self.below(PIECES.len())].bytes())),
            }
        }
        bytes
    }
}
