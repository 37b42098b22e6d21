//! The engine and the reward of a server that was given none.

use async_trait::async_trait;
use textgrad_core::{Choice, Engine, EngineError, EngineInfo, FinishReason, Request, Response};

/// Answers with the last message, and with the number of the draw in front so that choices differ.
///
/// Choice `i` of a request with seed `s` (0 where there is none) is numbered `s + i`, so that `n` choices of
/// one request are the same texts as `n` single requests with the seeds that follow.
///
/// # Examples
/// ```
/// use textgrad_core::{Engine, Message, Purpose, Request, Sampling};
/// use textgrad_tests::fake_server::Echo;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let request = Request::new(Purpose::Forward, [Message::user("hello")])
///     .with_sampling(Sampling::default().with_n(2).with_seed(7));
/// let response = Echo.complete(&request).await?;
/// assert_eq!(response.choices[1].text, "8: hello");
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Echo;

#[async_trait]
impl Engine for Echo {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("echo").with_simulation(true);
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let last = request.messages.last().map(textgrad_core::Message::text).unwrap_or_default();
        let seed = request.sampling.seed.unwrap_or_default();
        let choices = (0..u64::from(request.sampling.n))
            .map(|index| {
                let draw = seed.wrapping_add(index);
                Choice::new(format!("{draw}: {last}"), FinishReason::Stop)
            })
            .collect();
        Ok(Response::new(choices))
    }
}

/// The reward of a server that was given none: longer answers score higher, from -3 for an empty one, by
/// 0.1 a character.
///
/// It is negative for short answers so that a reward that went through a sigmoid by mistake shows.
#[must_use]
pub fn echo_reward(_query: &str, answer: &str) -> f64 {
    let characters = u32::try_from(answer.chars().count()).unwrap_or(u32::MAX);
    f64::from(characters) / 10.0 - 3.0
}
