//! One model at several addresses.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use textgrad_core::{
    Engine, EngineError, EngineInfo, EngineStatus, ErrorKind, MessageRole, Request, Response,
};
use tokio::time::Instant;

/// How long an address that failed once is left alone; twice as long after each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Requests that an address may have more than the least loaded one before its conversations move.
const SLACK: usize = 4;

/// Engines of one model at several addresses, used as one.
///
/// * A conversation stays at one address, so that its prefix cache is hit: the address is drawn from its first message
///   of the user, and is that of all its requests.
/// * It moves to the least loaded address while its own has more than twice as many requests, and four more.
/// * An address that fails is left alone for a second, and twice as long after each further failure, up to 30 s.
/// * A request that an address refused or could not take (no connection, a failure of the server, a limit of its
///   rate) is sent to the next one. One that timed out or was answered is not: it may have been paid for.
///
/// It belongs right around the clients, inside of limits and retries.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::Engine;
/// use textgrad_ops::engine::OpenAi;
/// use textgrad_ops::layer::Balanced;
///
/// let engine = |port| OpenAi::builder(format!("http://localhost:{port}/v1"), "llama-3.1-8b").build();
/// let engines: Vec<Arc<dyn Engine>> = vec![Arc::new(engine(8000)?), Arc::new(engine(8001)?)];
/// let engine = Balanced::new(engines)?;
/// assert_eq!(engine.name(), "openai:llama-3.1-8b");
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Debug)]
pub struct Balanced {
    info: EngineInfo,
    members: Vec<BalancedMember>,
}

#[derive(Debug)]
struct BalancedMember {
    engine: Arc<dyn Engine>,
    in_flight: AtomicUsize,
    health: Mutex<MemberHealth>,
}

#[derive(Debug, Default)]
struct MemberHealth {
    failures: u32,
    paused_until: Option<Instant>,
}

/// A request under way at a member, until it is dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Balanced {
    /// Engines of one model, at least one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if there is none, or if they have different names.
    pub fn new(engines: impl IntoIterator<Item = Arc<dyn Engine>>) -> Result<Self, EngineError> {
        let members: Vec<BalancedMember> = engines.into_iter().map(BalancedMember::new).collect();
        let invalid = |got: String| {
            let message = format!("expected engines of one model, got {got}");
            EngineError::new(ErrorKind::InvalidRequest, message)
        };
        let first = members.first().ok_or_else(|| invalid("none".to_owned()))?;
        let info = first.engine.info().clone();
        match members.iter().find(|member| member.engine.name() != info.name()) {
            Some(other) => Err(invalid(format!("{} and {}", info.name(), other.engine.name()))),
            None => Ok(Self { info, members }),
        }
    }

    /// The members in the order in which they are tried for a request.
    fn order(&self, request: &Request) -> Vec<&BalancedMember> {
        let now = Instant::now();
        let key = conversation(request);
        let mut order: Vec<(bool, u64, &BalancedMember)> = self
            .members
            .iter()
            .enumerate()
            .map(|(place, member)| (member.is_paused(now), rank(key, place), member))
            .collect();
        order.sort_by_key(|(paused, rank, _)| (*paused, *rank));
        let up = order.iter().filter(|(paused, ..)| !paused).count();
        let least = order.iter().take(up).map(|(.., member)| member.load()).min().unwrap_or(0);
        let is_busy = |member: &BalancedMember| member.load() > 2 * least + SLACK;
        if order.first().is_some_and(|(paused, _, first)| !paused && is_busy(first)) {
            // The others by their load; of equal ones, as the conversation ranks them.
            if let Some(available) = order.get_mut(..up) {
                available.sort_by_key(|(_, rank, member)| (member.load(), *rank));
            }
        }
        order.into_iter().map(|(.., member)| member).collect()
    }
}

impl BalancedMember {
    fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, in_flight: AtomicUsize::new(0), health: Mutex::default() }
    }

    fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.health.lock().paused_until.is_some_and(|until| until > now)
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _under_way = UnderWay(&self.in_flight);
        let result = self.engine.complete(request).await;
        let mut health = self.health.lock();
        match &result {
            Err(error) if is_of_address(error.kind()) => {
                let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(health.failures));
                let pause = error.retry_after().unwrap_or(pause).min(LONGEST_PAUSE);
                health.failures = health.failures.saturating_add(1);
                health.paused_until = Some(Instant::now() + pause);
            }
            _ => *health = MemberHealth::default(),
        }
        result
    }
}

/// Whether another address may do better: this one took nothing on.
fn is_of_address(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Connection | ErrorKind::Server | ErrorKind::Loading | ErrorKind::RateLimited
    )
}

/// What the requests of a conversation have in common.
fn conversation(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    let first = request.messages.iter().find(|message| message.role != MessageRole::System);
    first.hash(&mut hasher);
    hasher.finish()
}

/// The rank of a place for a conversation: other places keep theirs where one comes or goes.
fn rank(conversation: u64, place: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (conversation, place).hash(&mut hasher);
    hasher.finish()
}

#[async_trait]
impl Engine for Balanced {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn status(&self) -> EngineStatus {
        match self.members.first() {
            Some(first) => first.engine.status().await,
            None => EngineStatus::default(),
        }
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let mut failure = None;
        for member in self.order(request) {
            match member.complete(request).await {
                Err(error) if is_of_address(error.kind()) => failure = Some(error),
                result => return result,
            }
        }
        let none = || EngineError::new(ErrorKind::Other, "there is no address to send requests to");
        Err(failure.unwrap_or_else(none))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use textgrad_core::{Choice, FinishReason, Message, Purpose, engine_fn};

    use super::*;

    type Seen = Arc<Mutex<Vec<(usize, String)>>>;

    /// Three addresses, of which those in `down` fail with this kind.
    fn balanced(down: &[usize], kind: ErrorKind) -> (Balanced, Seen) {
        let seen: Seen = Arc::default();
        let engine = |place: usize| {
            let (seen, down) = (Arc::clone(&seen), down.contains(&place));
            let engine = engine_fn("m", move |request: Request| {
                let text = request.messages.last().map(Message::text).unwrap_or_default();
                seen.lock().push((place, text));
                async move {
                    tokio::task::yield_now().await;
                    match down {
                        true => Err(EngineError::new(kind, "down")),
                        false => Ok(Response::new(vec![Choice::new("x", FinishReason::Stop)])),
                    }
                }
            });
            Arc::new(engine) as Arc<dyn Engine>
        };
        let engines: Vec<Arc<dyn Engine>> = (0..3).map(engine).collect();
        (Balanced::new(engines).unwrap(), seen)
    }

    fn request(first: &str, last: &str) -> Request {
        let messages = [
            Message::system(last),
            Message::user(first),
            Message::assistant("a"),
            Message::user(last),
        ];
        Request::new(Purpose::Sample, messages)
    }

    #[tokio::test]
    async fn a_conversation_stays_and_conversations_spread() {
        let (engine, seen) = balanced(&[], ErrorKind::Other);
        for turn in ["1", "2", "3"] {
            for first in 0..30 {
                engine.complete(&request(&format!("{first}"), turn)).await.unwrap();
            }
        }
        let seen = seen.lock();
        let places = |turn: usize| -> Vec<usize> {
            seen.iter().skip(turn * 30).take(30).map(|(place, _)| *place).collect()
        };
        assert_eq!(places(0), places(1));
        assert_eq!(places(0), places(2));
        for place in 0..3 {
            assert!(places(0).contains(&place), "{:?}", places(0));
        }
    }

    #[tokio::test]
    async fn a_busy_address_hands_conversations_on() {
        let (engine, seen) = balanced(&[], ErrorKind::Other);
        let same = request("one", "x");
        join_all((0..60).map(|_| engine.complete(&same))).await;
        let of = |place| seen.lock().iter().filter(|(other, _)| *other == place).count();
        let mut counts = [of(0), of(1), of(2)];
        counts.sort_unstable();
        assert!(counts[0] >= 10, "{counts:?}");
        assert!(engine.members.iter().all(|member| member.load() == 0));
    }

    #[tokio::test]
    async fn an_address_that_fails_is_passed_over_and_left_alone() {
        for kind in [ErrorKind::Connection, ErrorKind::Server, ErrorKind::RateLimited] {
            let (engine, seen) = balanced(&[0, 1], kind);
            for first in 0..20 {
                engine.complete(&request(&format!("{first}"), "x")).await.unwrap();
            }
            let failed = seen.lock().iter().filter(|(place, _)| *place != 2).count();
            assert_eq!(failed, 2, "each is tried once and then left alone");
        }
        let (engine, _) = balanced(&[0, 1, 2], ErrorKind::Connection);
        let error = engine.complete(&request("1", "x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection);
    }

    #[tokio::test]
    async fn what_may_have_been_paid_for_is_not_sent_again() {
        for kind in [ErrorKind::Timeout, ErrorKind::InvalidRequest, ErrorKind::Auth] {
            let (engine, seen) = balanced(&[0, 1, 2], kind);
            assert_eq!(engine.complete(&request("1", "x")).await.unwrap_err().kind(), kind);
            assert_eq!(seen.lock().len(), 1);
        }
    }

    #[test]
    fn engines_of_different_models_are_refused() {
        let engine = |name: &str| -> Arc<dyn Engine> {
            Arc::new(engine_fn(name, |_| async { Ok(Response::new(Vec::new())) }))
        };
        let error = Balanced::new([engine("a"), engine("b")]).unwrap_err();
        assert!(error.message().contains("a and b"), "{error}");
        assert!(Balanced::new([]).is_err());
    }
}
