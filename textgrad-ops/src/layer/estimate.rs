//! Token estimates of requests and of responses without usage.

use textgrad_core::{Part, Request, Response, Usage};

/// English text has about four bytes to a token; other scripts have fewer letters but as many bytes.
const BYTES_PER_TOKEN: usize = 4;
/// Between what providers charge for a small and for a large image.
const TOKENS_PER_IMAGE: u64 = 1000;
/// An answer whose length is not bounded.
const TOKENS_PER_ANSWER: u64 = 512;

/// An estimate of the tokens that a request will cost: a quarter of its bytes of text and 1,000 for each
/// image, read once, and for each of its answers `max_tokens`, or 512 where that is not set.
pub(super) fn estimate(request: &Request) -> u64 {
    let answer = request.sampling.max_tokens.map_or(TOKENS_PER_ANSWER, u64::from);
    prompt(request).saturating_add(answer.saturating_mul(u64::from(request.sampling.n)))
}

/// The usage of a call: that of the server, or an estimate if it reports none.
pub(super) fn usage(request: &Request, response: &Response) -> Usage {
    if response.usage != Usage::default() {
        return response.usage;
    }
    let written = response.choices.iter().map(|choice| tokens(choice.text.len())).sum();
    Usage { prompt_tokens: prompt(request), completion_tokens: written, cached_tokens: 0 }
}

fn prompt(request: &Request) -> u64 {
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let bytes: usize = parts()
        .map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Image(_) => 0,
        })
        .sum();
    let images = parts().filter(|part| matches!(part, Part::Image(_))).count() as u64;
    tokens(bytes).saturating_add(images.saturating_mul(TOKENS_PER_IMAGE))
}

fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

#[cfg(test)]
mod tests {
    use textgrad_core::{Choice, FinishReason, Image, Message, MessageRole, Purpose, Sampling};

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
    #[test]
    fn a_call_costs_what_the_server_says_or_else_what_is_estimated() {
        let request = Request::new(Purpose::Sample, [Message::user("12345678")]);
        let answer = |text: &str| Choice::new(text, FinishReason::Stop);
        let response = Response::new(vec![answer("12345"), answer("")]);
        let estimated = Usage { prompt_tokens: 2, completion_tokens: 2, cached_tokens: 0 };
        assert_eq!(usage(&request, &response), estimated);
        let said = Usage { prompt_tokens: 7, completion_tokens: 0, cached_tokens: 3 };
        assert_eq!(usage(&request, &response.with_usage(said)), said);
    }
}
