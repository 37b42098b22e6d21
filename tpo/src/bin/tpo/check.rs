//! `tpo check`: the preflight alone, and the capabilities of the servers.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "local-reward")]
use std::time::Instant;

use serde::Serialize;
use textgrad_core::{
    Engine, EngineError, ErrorKind, Message, Purpose, Request, Response, Sampling, describe,
};
use tpo::Error;
#[cfg(feature = "local-reward")]
use tpo::{LocalReward, Query};

use crate::config::Settings;
use crate::context::{self, RunContext};
#[cfg(feature = "local-reward")]
use crate::engines::setup;
use crate::exit;
use crate::output::{line, print_data};
use crate::preflight::{Server, request};

/// The longest time of one request.
const MAX_TIME: Duration = Duration::from_secs(120);

/// Words of the prompt that is sent twice, to see whether its beginning is cached: more than a block of any cache.
const LONG_PROMPT: usize = 1500;

/// One capability of a server.
#[derive(Debug, Serialize)]
struct Finding {
    server: String,
    capability: &'static str,
    result: String,
}

/// Printed where nothing is checked.
const NEXT: &str = "\
next: name an engine, and with --reward its reward model, as in
  tpo check --engine vllm/MODEL --reward judge
`tpo engines` lists engines, and the servers of this machine that answer";

/// `tpo check`. Without a reward model, the engines are checked alone.
pub(crate) async fn check(settings: &Settings) -> Result<ExitCode, Error> {
    let prompts = context::prompts(settings.path("prompts").as_deref()).await?;
    let has_reward = !settings.is_default("reward");
    // The simulation stands in for a reward model, since it is no server.
    let settings = &settings.clone().or_default("reward", "sim");
    let context = RunContext::new(settings, prompts).await?;
    let cancel = context.layers.cancel.clone();
    let servers = context.layers.servers.all();
    let mut findings = Vec::new();
    let mut failed = None;
    for server in &servers {
        let probed = server.probe().await;
        let result = match &probed {
            Ok(()) => "ok".to_owned(),
            // The error of a run names the server again, and its flag.
            Err(Error::Preflight { source, .. }) => format!("no: {}", describe(source)),
            Err(error) => describe(error),
        };
        let mut found = vec![("answers", result)];
        match server {
            #[cfg(feature = "local-reward")]
            Server::Local(reward) => {
                found.extend(local(reward).await.map_err(setup("reward model"))?);
            }
            Server::Engine(_, engine) if probed.is_ok() => found.extend(capabilities(engine).await),
            Server::Reward(reward) if probed.is_ok() => {
                let length = tokio::time::timeout(MAX_TIME, reward.max_length()).await;
                found.push(("maximal length", tokens(length.ok().flatten())));
            }
            _ => {}
        }
        failed = failed.or(probed.err());
        findings.extend(found.into_iter().map(|(capability, result)| {
            let server = server.name();
            Finding { server, capability, result }
        }));
        if cancel.is_cancelled() {
            return Err(Error::Stopped);
        }
    }
    if settings.flag("json") {
        let sent = context.layers.meter.snapshot();
        print_data(serde_json::json!({ "findings": findings, "sent": sent }))?;
    } else {
        if servers.is_empty() {
            line(format_args!("no servers: the engine and the reward model are local"))?;
        }
        for Finding { server, capability, result } in &findings {
            line(format_args!("{server:<32} {capability:<16} {result}"))?;
        }
        if !servers.is_empty() && !has_reward {
            line(format_args!("no reward model was checked: name it with --reward"))?;
        }
        let sent = context.layers.meter.snapshot();
        let tokens = sent.usage.prompt_tokens + sent.usage.completion_tokens;
        line(format_args!("requests sent: {}, tokens: {tokens}", sent.requests))?;
        if servers.is_empty() {
            line(format_args!("{NEXT}"))?;
        }
    }
    Ok(ExitCode::from(if failed.is_some() { exit::RUN_FAILED } else { 0 }))
}

/// What an engine can do, by seven requests of few tokens and what its server reports.
async fn capabilities(engine: &Arc<dyn Engine>) -> Vec<(&'static str, String)> {
    let ask =
        async |request: Request| match tokio::time::timeout(MAX_TIME, engine.complete(&request))
            .await
        {
            Ok(result) => result,
            Err(_) => Err(EngineError::new(ErrorKind::Timeout, "no answer in time")),
        };
    let sampled = |text: &str, change: &dyn Fn(Sampling) -> Sampling| {
        let request = request(text);
        let sampling = change(request.sampling.clone().with_temperature(1.0));
        request.with_sampling(sampling)
    };
    let mut found = Vec::new();
    let single = "1 answer per request; the others are requested one by one";
    let several = match ask(sampled("Name a color.", &|sampling| sampling.with_n(2))).await {
        Ok(response) if response.choices.len() > 1 => {
            format!("{} answers per request", response.choices.len())
        }
        Ok(_) => single.to_owned(),
        Err(error)
            if matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Unsupported) =>
        {
            single.to_owned()
        }
        Err(error) => failure(&error),
    };
    found.push(("n", several));

    let seeded = || sampled("Write five random words.", &|sampling| sampling.with_seed(7));
    let (first, second) = (ask(seeded()).await, ask(seeded()).await);
    let text = |response: &Response| response.choices.first().map(|choice| choice.text.clone());
    found.push((
        "seed",
        match (first, second) {
            (Ok(first), Ok(second)) if text(&first) == text(&second) => {
                "equal answers for equal seeds".to_owned()
            }
            (Ok(_), Ok(_)) => "different answers for equal seeds".to_owned(),
            (Err(error), _) | (_, Err(error)) => failure(&error),
        },
    ));

    let logprobs = Sampling { top_logprobs: Some(1), ..request("").sampling };
    let logprobs = ask(request("Reply with OK.").with_sampling(logprobs)).await;
    found.push((
        "logprobs",
        shown(logprobs, |response| {
            let has = response.choices.iter().any(|choice| !choice.logprobs.is_empty());
            if has { "returned" } else { "not returned" }.to_owned()
        }),
    ));

    let messages = [Message::system("Reply in lower case."), Message::user("Reply with OK.")];
    let system = Request::new(Purpose::Sample, messages).with_sampling(request("").sampling);
    let before = engine.status().await.adaptations;
    let asked = ask(system).await;
    let status = engine.status().await;
    let new: Vec<&str> =
        status.adaptations.iter().filter(|new| !before.contains(new)).map(String::as_str).collect();
    found.push((
        "system role",
        shown(asked, |_| match new.as_slice() {
            [] => "accepted".to_owned(),
            new => format!("not supported; {}", new.join("; ")),
        }),
    ));
    found.push(("context length", tokens(status.context_length)));

    let long = "one two three four five ".repeat(LONG_PROMPT / 5);
    // A model may have nothing to say to it: its prompt was read all the same.
    let read = |result: Result<Response, EngineError>| match result {
        Ok(response) => Ok(response.usage),
        Err(error) if error.usage().prompt_tokens > 0 => Ok(error.usage()),
        Err(error) => Err(error),
    };
    let again = match read(ask(request(&long)).await) {
        Ok(_) => read(ask(request(&long)).await),
        Err(error) => Err(error),
    };
    found.push((
        "prefix cache",
        shown(again, |usage| match usage.cached_tokens {
            0 => "no cached tokens reported".to_owned(),
            tokens => format!("{tokens} of {} prompt tokens cached", usage.prompt_tokens),
        }),
    ));
    if !before.is_empty() {
        found.push(("parameters", before.join("; ")));
    }
    // Its speed is measured by the requests before.
    found.extend(engine.status().await.facts);
    found
}

/// The properties of a reward model in the process, its speed, and the scores of a pair.
#[cfg(feature = "local-reward")]
async fn local(reward: &LocalReward) -> Result<Vec<(&'static str, String)>, EngineError> {
    let info = reward.classifier();
    let query = Query::from("How do I take care of a wooden table?");
    let answers = ["Wipe it with a dry cloth, and oil it twice a year.", "No."];
    let scored = reward.scored(&query, &answers).await?;
    let scores: Vec<String> = answers
        .iter()
        .zip(&scored)
        .map(|(answer, scored)| format!("{:.4} for {answer:?}", scored.score))
        .collect();
    // Answers of some 200 tokens, as many as a batch holds, but no longer than the model takes.
    let words = 40.min(usize::try_from(info.max_length).unwrap_or(usize::MAX) / 20).max(1);
    let long = "oil the wood twice a year ".repeat(words);
    let began = Instant::now();
    let timed = reward.scored(&query, &[long.as_str(); 8]).await?;
    let seconds = began.elapsed().as_secs_f64();
    let count: usize = timed.iter().map(|scored| scored.tokens).sum();
    #[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
    let (speed, parameters, bytes) =
        (count as f64 / seconds, info.parameters as f64, info.bytes as f64);
    Ok(vec![
        ("architecture", info.architecture.clone()),
        ("parameters", format!("{:.2} million", parameters / 1e6)),
        ("memory", format!("{:.3} GB of weights as numbers of 32 bits", bytes / 1e9)),
        ("maximal length", tokens(Some(info.max_length))),
        ("speed", format!("{speed:.0} tokens/s, of {count} tokens in 8 texts")),
        ("scores", scores.join("; ")),
    ])
}

/// A length that a server may report.
fn tokens(length: Option<u64>) -> String {
    length.map_or_else(|| "not reported".to_owned(), |length| format!("{length} tokens"))
}

fn shown<T>(result: Result<T, EngineError>, show: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|error| failure(&error), show)
}

fn failure(error: &EngineError) -> String {
    format!("failed: {}", describe(error))
}
