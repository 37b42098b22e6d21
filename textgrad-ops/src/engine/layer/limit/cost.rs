//! What a request may cost, before it is made.

use textgrad_core::{Part, Request};

/// English text has about four bytes to a token; other scripts have fewer letters but as many bytes.
const BYTES_PER_TOKEN: usize = 4;
/// Between what providers charge for a small and for a large image.
const TOKENS_PER_IMAGE: u64 = 1000;
/// An answer whose length is not bounded.
const TOKENS_PER_ANSWER: u64 = 512;

/// An estimate of the tokens that a request will cost: a quarter of its bytes of text and 1,000 for each
/// image, read once, and for each of its answers `max_tokens`, or 512 where that is not set.
pub(super) fn estimate(request: &Request) -> u64 {
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let bytes: usize = parts()
        .map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Image(_) => 0,
        })
        .sum();
    let images = parts().filter(|part| matches!(part, Part::Image(_))).count() as u64;
    let answer = request.sampling.max_tokens.map_or(TOKENS_PER_ANSWER, u64::from);
    (bytes.div_ceil(BYTES_PER_TOKEN) as u64)
        .saturating_add(images.saturating_mul(TOKENS_PER_IMAGE))
        .saturating_add(answer.saturating_mul(u64::from(request.sampling.n)))
}

#[cfg(test)]
mod tests {
    use textgrad_core::{Image, Message, MessageRole, Purpose, Sampling};

    use super::*;

    #[test]
    fn text_images_and_answers_count() {
        let image = Image::new(vec![1; 999], "image/png").unwrap();
        let turn =
            Message::new(MessageRole::User, [Part::Text("123456789".into()), Part::Image(image)]);
        let request = Request::new(Purpose::Sample, [turn]);
        assert_eq!(estimate(&request), 3 + 1000 + 512);
        let bounded = request.with_sampling(Sampling::default().with_n(5).with_max_tokens(10));
        assert_eq!(estimate(&bounded), 3 + 1000 + 50);
    }
}
