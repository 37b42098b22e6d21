//! Addresses of queues, and connections to them.

use std::env;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_nats::jetstream::context::{ContextBuilder, CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::{self, stream::ConsumerError};
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr};

use super::TIMEOUT;
use crate::error::Error;

/// The name of a queue where an address has none.
const DEFAULT_NAME: &str = "tpo";

/// At earlier servers, such as 2.9.10, readers of many subjects skip messages after one subject was purged, and a
/// request to a consumer that was removed may have no reply.
const MIN_VERSION: [u32; 2] = [2, 10];

/// The longest time between two attempts to connect.
const MAX_RECONNECT_DELAY: u64 = 1000;

/// The address of a queue: servers, and a name. Runs at one server at the same time have names of their own.
///
/// # Examples
/// ```
/// use tpo::queue::QueueAddress;
///
/// let address: QueueAddress = "nats://localhost:4222/first".parse()?;
/// assert_eq!(address.name(), "first");
/// assert_eq!("tls://a,tls://b".parse::<QueueAddress>()?.name(), "tpo");
/// assert!("http://localhost".parse::<QueueAddress>().is_err());
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Clone)]
pub struct QueueAddress {
    servers: Vec<ServerAddr>,
    name: String,
}

impl QueueAddress {
    /// The name of the queue.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects, with the credentials that the environment has by the names of the program `nats`: `NATS_CREDS` (a
    /// file), `NATS_NKEY` (a file), `NATS_USER` with `NATS_PASSWORD`, `NATS_TOKEN`; `NATS_CA`, `NATS_CERT` and
    /// `NATS_KEY` (files) for TLS. A password of an address is used too.
    ///
    /// # Errors
    /// [`Error::Queue`] if the server cannot be reached, refuses the credentials, or is older than 2.10.
    pub(super) async fn connect(&self) -> Result<jetstream::Context, Error> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let mut options = ConnectOptions::new()
            .name(format!("tpo {}", env!("CARGO_PKG_VERSION")))
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(
                    (attempts as u64).saturating_mul(100).min(MAX_RECONNECT_DELAY),
                )
            })
            .event_callback(|event| async move {
                match event {
                    Event::Connected => tracing::info!("connected to the queue"),
                    Event::Closed => {}
                    Event::Disconnected => tracing::warn!("the connection to the queue is lost"),
                    event => tracing::warn!("queue: {event}"),
                }
            });
        if let Some(file) = variable("NATS_CREDS") {
            let credentials = read(&file).await?;
            options = options
                .credentials(&credentials)
                .map_err(|error| self.failed("the file of NATS_CREDS cannot be used", error))?;
        } else if let Some(file) = variable("NATS_NKEY") {
            options = options.nkey(read(&file).await?.trim().to_owned());
        } else if let Some(user) = variable("NATS_USER") {
            options =
                options.user_and_password(user, variable("NATS_PASSWORD").unwrap_or_default());
        } else if let Some(token) = variable("NATS_TOKEN") {
            options = options.token(token);
        }
        if let Some(file) = variable("NATS_CA") {
            options = options.add_root_certificates(file.into()).require_tls(true);
        }
        if let (Some(certificate), Some(key)) = (variable("NATS_CERT"), variable("NATS_KEY")) {
            options = options.add_client_certificate(certificate.into(), key.into());
        }
        let connected = options.connect(self.servers.as_slice()).await;
        let client = connected.map_err(|error| self.failed("expected a NATS server", error))?;
        let version = client.server_info().version;
        let parts: Vec<u32> =
            version.split('.').map_while(|part| part.parse().ok()).take(2).collect();
        if parts < MIN_VERSION.to_vec() {
            let reason = format!("expected nats-server 2.10 or later, got {version:?}");
            return Err(Error::Queue { name: self.to_string(), reason, source: None });
        }
        Ok(ContextBuilder::new().timeout(TIMEOUT).ack_timeout(TIMEOUT).build(client))
    }

    pub(super) fn failed(
        &self,
        reason: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        Error::Queue {
            name: self.to_string(),
            reason: reason.into(),
            source: Some(Box::new(source)),
        }
    }
}

/// Whether a failure to reach a server may pass, as while that is starting.
pub(super) fn may_pass(error: &Error) -> bool {
    let Error::Queue { source: Some(source), .. } = error else { return false };
    if let Some(error) = source.downcast_ref::<ConnectError>() {
        let kind = error.kind();
        return !matches!(
            kind,
            ConnectErrorKind::Authentication
                | ConnectErrorKind::AuthorizationViolation
                | ConnectErrorKind::Tls
        );
    }
    match source.downcast_ref::<CreateStreamError>() {
        Some(error) => !matches!(error.kind(), CreateStreamErrorKind::JetStream(_)),
        None => source.is::<ConsumerError>(),
    }
}

async fn read(file: &str) -> Result<String, Error> {
    let read = tokio::fs::read_to_string(file).await;
    read.map_err(Error::io(file.as_ref(), "cannot be read"))
}

impl FromStr for QueueAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // An address may hold a password.
        let wrong = || {
            let expected =
                "nats://HOST:PORT/NAME, or several with commas; NAME of letters, digits, - and _";
            Error::config("queue", expected, "another text")
        };
        let (mut servers, mut name) = (Vec::new(), DEFAULT_NAME.to_owned());
        for address in text.split(',') {
            let address: ServerAddr = address.trim().parse().map_err(|_| wrong())?;
            let mut url = address.into_inner();
            if !matches!(url.scheme(), "nats" | "tls") || !url.has_host() {
                return Err(wrong());
            }
            let path = url.path().trim_matches('/');
            if !path.is_empty() {
                path.clone_into(&mut name);
            }
            url.set_path("");
            servers.push(ServerAddr::from_url(url).map_err(|_| wrong())?);
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match name.len() <= 64 && name.bytes().all(is_plain) {
            true => Ok(Self { servers, name }),
            false => Err(wrong()),
        }
    }
}

/// Without user and password.
impl fmt::Display for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, server) in self.servers.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            write!(f, "{comma}{}://{}:{}", server.scheme(), server.host(), server.port())?;
        }
        write!(f, "/{}", self.name)
    }
}

impl fmt::Debug for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
