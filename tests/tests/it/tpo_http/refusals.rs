//! Requests that a server refuses for something that they can go without.

use std::sync::Arc;

use textgrad_core::{Engine, EngineError, ErrorKind, MessageRole, Request, engine_fn};
use textgrad_ops::sim::Sim;
use textgrad_tests::fake_server::{FakeServer, Route};
use tpo::{SimReward, Tpo, TpoConfig};

use super::{QUERY, client, engine};

/// Whether a server refuses a request.
type Refuses = fn(&Request) -> bool;

/// The answer to a request, unless it is refused in these words.
async fn answer(
    refuses: Refuses,
    kind: ErrorKind,
    words: &str,
    request: Request,
) -> Result<textgrad_core::Response, EngineError> {
    if refuses(&request) {
        return Err(EngineError::new(kind, words));
    }
    Sim::default().complete(&request).await
}

fn has_system(request: &Request) -> bool {
    request.messages.iter().any(|message| message.role == MessageRole::System)
}

#[tokio::test]
async fn what_a_server_refuses_is_left_out_of_a_whole_search() {
    use ErrorKind::{InvalidRequest, Server};
    let refusals: [(Refuses, ErrorKind, &'static str, u64); 9] = [
        (
            |r| r.sampling.seed.is_some(),
            InvalidRequest,
            "Unrecognized request argument supplied: seed",
            1,
        ),
        (
            |r| !r.sampling.stop.is_empty(),
            InvalidRequest,
            "Extra inputs are not permitted: stop",
            1,
        ),
        (
            |r| r.sampling.temperature.is_some() && r.sampling.top_p.is_some(),
            InvalidRequest,
            "temperature and top_p are mutually exclusive: not both are accepted",
            1,
        ),
        (
            |r| r.sampling.top_p.is_some(),
            InvalidRequest,
            "`top_p` is deprecated for this model.",
            1,
        ),
        (
            |r| r.sampling.max_tokens > Some(1024),
            InvalidRequest,
            "max_tokens: 8192 > 1024, which is the maximum allowed number of output tokens",
            1,
        ),
        (
            |r| r.sampling.max_tokens > Some(900),
            InvalidRequest,
            "This endpoint's maximum context length is 1000 tokens. However, you requested about 2148 tokens \
             (100 of text input, 2048 in the output).",
            0,
        ),
        (
            has_system,
            InvalidRequest,
            "Conversation roles must alternate user/assistant/user/assistant/...",
            1,
        ),
        (has_system, Server, "Jinja Exception: System role not supported", 1),
        (has_system, InvalidRequest, "invalid role: system", 1),
    ];
    for (refuses, kind, words, count) in refusals {
        let served = engine_fn("choosy", move |request| answer(refuses, kind, words, request));
        let server = FakeServer::builder().engine(served).start().await.unwrap();
        let config = TpoConfig { iterations: 1, ..TpoConfig::default() };
        let tpo = Tpo::builder(engine(client(&server)), Arc::new(SimReward)).config(config).build();
        let found = tpo.unwrap().align(QUERY).await;
        assert!(found.is_ok(), "{words}: {:?}", found.err());
        let refused =
            server.stats().route(Route::Chat).statuses.get("4xx").copied().unwrap_or_default();
        let failed =
            server.stats().route(Route::Chat).statuses.get("5xx").copied().unwrap_or_default();
        if count > 0 {
            assert_eq!(refused + failed, count, "{words}");
        }
    }
}
