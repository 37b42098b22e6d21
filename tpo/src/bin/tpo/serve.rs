//! `tpo serve`.

use std::collections::BTreeMap;
use std::env;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use textgrad_ops::layer::Breaker;
use textgrad_ops::util::terminal::note;
use tokio::net::TcpListener;
use tpo::serve::{Keys, SearchOptions, Server, ServerBuilder, Unsearchable};
use tpo::{CancellationToken, Error};

use crate::config::Settings;
use crate::context::{self, RunContext};
use crate::engines::Layers;
use crate::output::print_data;
use crate::{exit, signals};

/// The environment variable with keys of clients.
const KEYS: &str = "TPO_SERVE_KEYS";

pub(crate) async fn serve(settings: &Settings) -> Result<ExitCode, Error> {
    let keys = keys(settings).await?;
    let (listener, is_loopback) = listen(settings, &keys).await?;
    let upstream = Arc::default();
    let mut layers = Layers::open(settings).await?;
    // A server outlives the outages of those behind it.
    layers.breaker = Breaker::new(0);
    layers.upstream = Some(Arc::clone(&upstream));
    let prompts = context::prompts(settings.path("prompts").as_deref()).await?;
    let context = RunContext::with_layers(settings, prompts, layers).await?;
    let (shutdown, abort) = (CancellationToken::new(), CancellationToken::new());
    signals::listen_with(shutdown.clone(), abort.clone(), || {
        note("stopping: waiting for requests in flight (Ctrl-C again to drop them)");
    });
    if !settings.flag("no-preflight") {
        context.layers.servers.probe(&shutdown).await?;
    }
    let server = builder(settings, &context)
        .await?
        .upstream(upstream.lock().clone())
        .local_only(is_loopback && keys.is_empty() && !settings.flag("insecure"))
        .keys(keys);
    server.validate()?;
    let server = match settings.path("out") {
        Some(directory) => server.record(directory).await?.build(),
        None => server.build(),
    };
    let address = listener.local_addr().map_err(failed)?;
    print_data(format_args!("http://{address}/v1"))?;
    let simulated = if context.tpo.is_simulation() { "; answers are SIMULATED" } else { "" };
    note(format_args!(
        "serving {} behind OpenAI's API{simulated}; Ctrl-C stops it",
        context.engine.name()
    ));
    let drained = server.run(listener, shutdown, abort).await;
    context.layers.flush().await;
    if drained? {
        return Ok(ExitCode::SUCCESS);
    }
    note("stopped: requests in flight were ended before their time");
    Ok(ExitCode::from(exit::RUN_FAILED))
}

async fn keys(settings: &Settings) -> Result<Keys, Error> {
    let of_file = match settings.path("keys") {
        Some(path) => named(&path.display().to_string(), Keys::load(&path).await?)?,
        None => Keys::default(),
    };
    let Some(text) = env::var_os(KEYS) else { return Ok(of_file) };
    // A variable that is empty by mistake must not open the server.
    let of_environment = named(KEYS, Keys::parse(&text.to_string_lossy().replace(',', "\n"))?)?;
    of_file.and(of_environment)
}

/// The keys of a source, which has at least one.
fn named(source_name: &str, keys: Keys) -> Result<Keys, Error> {
    if !keys.is_empty() {
        return Ok(keys);
    }
    Err(Error::input(source_name, "expected at least one KEY or NAME KEY, found none"))
}

/// Opens the port. Returns whether only this machine can reach it.
async fn listen(settings: &Settings, keys: &Keys) -> Result<(TcpListener, bool), Error> {
    let host: String = settings.value("host")?;
    let port: u16 = settings.value("port")?;
    if host.split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        let expected = "an address without a port, which is set by --port";
        return Err(Error::config("host", expected, host));
    }
    let is_loopback = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !is_loopback && keys.is_empty() && !settings.flag("insecure") {
        let expected = "a loopback address, or --keys, or --insecure to serve every client";
        return Err(Error::config("host", expected, host));
    }
    let listener = Server::listen(&host, port).await.map_err(|error| {
        let got = format!("{host}:{port}: {error}");
        Error::config("port", "a port that is free, at an address of this machine", got)
    })?;
    Ok((listener, is_loopback))
}

async fn builder(settings: &Settings, context: &RunContext) -> Result<ServerBuilder, Error> {
    let seconds = |name| Ok::<_, Error>(Duration::from_secs(settings.value(name)?));
    let unsearchable: String = settings.value("unsearchable")?;
    Ok(Server::builder(context.tpo.clone())
        .presets(presets(settings)?)
        .prices(context::prices(settings).await?)
        .unsearchable(match unsearchable.as_str() {
            "refuse" => Unsearchable::Refuse,
            _ => Unsearchable::Pass,
        })
        .deadline(Some(Duration::from_millis(settings.value("deadline-ms")?)))
        .max_in_flight(settings.value("max-in-flight")?)
        .max_queued(settings.value("max-queued")?)
        .max_connections(settings.value("max-connections")?)
        .max_per_key(settings.get_one("max-per-key")?.unwrap_or(0))
        .queue_timeout(seconds("queue-timeout")?)
        .drain_timeout(seconds("drain-timeout")?)
        .max_iterations(settings.value("max-iterations")?)
        .max_samples(settings.value("max-samples")?)
        .max_body(settings.value::<usize>("max-body")?.saturating_mul(1024 * 1024))
        .recent(settings.value("recent")?)
        .cors(settings.get_one("cors")?))
}

fn presets(settings: &Settings) -> Result<BTreeMap<String, SearchOptions>, Error> {
    let Some(text) = settings.get_one::<String>("presets")? else { return Ok(BTreeMap::new()) };
    serde_json::from_str(&text).map_err(|error| {
        let expected = "search options by name, as {\"fast\": {\"iterations\": 1}}";
        Error::config("presets", expected, error.to_string())
    })
}

fn failed(source: std::io::Error) -> Error {
    Error::config("host", "an address of this machine", source.to_string())
}
