//! The reward routes of the servers that are known, each with the traps of the real one.

mod nim;
mod openrlhf;
mod score;
mod sglang;
mod tei;
mod text;
mod vllm;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::Call;
use super::delivery::Delivery;
use super::error::{ApiError, ErrorShape};
use super::server::Shared;

/// The server whose reward routes are spoken; a request to the routes of another is not found.
///
/// | server | routes | traps |
/// |---|---|---|
/// | [`Vllm`](Self::Vllm) | `/classify`, `/pooling` | a sigmoid unless `use_activation` or `activation` is false; a text gets one more token at its beginning unless `add_special_tokens` is false |
/// | [`Vllm0_11`](Self::Vllm0_11) | the same | knows `activation` alone, and no `messages` |
/// | [`Vllm0_10`](Self::Vllm0_10) | the same | knows no switch at all, so the sigmoid stays on, and no `messages` |
/// | [`Sglang`](Self::Sglang) | `/classify`, `/v1/classify` | the second gives 1 to every answer; a text gets one more token at its beginning |
/// | [`Tei`](Self::Tei) | `/predict` | a sigmoid unless `raw_scores`; a list of two texts is one pair; a text gets one more token at its beginning; 32 texts at most; errors of its own shape |
/// | [`OpenRlhf`](Self::OpenRlhf) | `/get_reward` | adds no token to a text |
/// | [`OldOpenRlhf`](Self::OldOpenRlhf) | the same | knows `rewards` alone |
/// | [`Nim`](Self::Nim) | `/v1/chat/completions` | scores are text, and behind the key |
///
/// Fields that a server does not know are ignored, as the real ones do. The token at the beginning is that of
/// [`FakeServerBuilder::bos`](super::FakeServerBuilder::bos): a text that does not have it exactly once
/// scores lower by [`MISPLACED_BOS`] for each one that is missing or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RewardServer {
    /// vLLM 0.12 to 0.32.
    #[default]
    Vllm,
    /// vLLM 0.10.2 to 0.11.
    Vllm0_11,
    /// vLLM up to 0.10.0.
    Vllm0_10,
    /// SGLang.
    Sglang,
    /// text-embeddings-inference.
    Tei,
    /// The reward server of OpenRLHF.
    OpenRlhf,
    /// An old one.
    OldOpenRlhf,
    /// NVIDIA NIM.
    Nim,
}

/// What one token at the beginning of a text that is missing or too many does to its score.
pub const MISPLACED_BOS: f64 = -0.5;

impl RewardServer {
    pub(super) fn routes(self) -> &'static [&'static str] {
        match self {
            Self::Vllm | Self::Vllm0_11 | Self::Vllm0_10 => &["/classify", "/pooling"],
            Self::Sglang => &["/classify", "/v1/classify"],
            Self::Tei => &["/predict"],
            Self::OpenRlhf | Self::OldOpenRlhf => &["/get_reward"],
            Self::Nim => &["/v1/chat/completions"],
        }
    }

    /// How it writes errors.
    pub(super) fn error_shape(self) -> ErrorShape {
        match self {
            Self::Vllm | Self::Vllm0_11 | Self::Nim => ErrorShape::Nested,
            Self::Vllm0_10 | Self::Sglang => ErrorShape::Flat,
            Self::Tei => ErrorShape::Typed,
            Self::OpenRlhf | Self::OldOpenRlhf => ErrorShape::Text,
        }
    }
}

/// What a route answers: the body, the scores in it, and whether the fault that is due has spoiled them.
struct Reply {
    body: Value,
    scored: usize,
}

pub(super) async fn answer(
    shared: &Shared,
    call: &mut Call,
    path: &str,
    body: &[u8],
) -> Result<Delivery, ApiError> {
    call.wait().await;
    let server = shared.options.reward_server;
    let fault = call.fault();
    let reply = match server {
        RewardServer::Vllm | RewardServer::Vllm0_11 | RewardServer::Vllm0_10 => {
            vllm::answer(shared, server, path, body, fault)
        }
        RewardServer::Sglang => sglang::answer(shared, path, body, fault),
        RewardServer::Tei => tei::answer(shared, body, fault),
        RewardServer::OpenRlhf => openrlhf::answer(shared, body, fault, false),
        RewardServer::OldOpenRlhf => openrlhf::answer(shared, body, fault, true),
        RewardServer::Nim => nim::answer(shared, body, fault),
    }?;
    shared.recorder().scored(reply.scored);
    let spoiled = fault.is_some_and(score::spoils);
    let (delivery, badly_sent) = Delivery::json(score::written(&reply.body), call.fault());
    if spoiled || badly_sent {
        call.fire();
    }
    Ok(delivery)
}

fn read<B: DeserializeOwned>(body: &[u8]) -> Result<B, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("The body is not valid: {error}.")))
}
