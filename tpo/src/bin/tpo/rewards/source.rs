//! Reward models from single lines.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use secrecy::SecretString;
use serde_json::Value as Json;
use textgrad_core::{EngineError, ErrorKind, Sampling, Seed, check_fn, describe};
use textgrad_ops::check::{JsonSchema, RegexCheck};
use textgrad_ops::command::Runner;
use textgrad_ops::score::Unreadable;
#[cfg(feature = "local-reward")]
use tpo::LocalReward;
use tpo::{
    ChatTemplate, Error, HttpReward, JudgeReward, RewardApi, RewardModel, ScorerReward, SimReward,
    TruncatedReward, Truncation,
};

use super::RewardContext;
use super::line::{KEY_ENV, Line, RewardKind};
use crate::context::tokenizer;
use crate::engines::{missing, only_model, secret, setup};
use crate::preflight::Server;

/// The default address of a reward model's server.
const LOCAL: &str = "http://localhost:8001";

/// The environment variable with the key of a reward model's server.
pub(super) const KEY: &str = "REWARD_API_KEY";

/// The attribute of a NIM's reply that is the score.
const ATTRIBUTE: &str = "reward";

/// The settings of one reward model: those of its line, and the options that are their defaults.
pub(super) struct Source<'a> {
    pub(super) context: &'a RewardContext<'a>,
    pub(super) line: &'a Line,
}

impl Source<'_> {
    pub(super) async fn model(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let api = match self.line.kind() {
            RewardKind::Sim => return Ok(Arc::new(SimReward)),
            RewardKind::Length => return self.length(),
            RewardKind::Format => return self.format().await,
            RewardKind::Command => return self.command(),
            RewardKind::Local => return self.local().await,
            RewardKind::Judge | RewardKind::PairwiseJudge => return self.judge().await,
            RewardKind::Dpo | RewardKind::Kl => return Ok(self.penalty().await?),
            RewardKind::Vllm => RewardApi::VllmClassify,
            RewardKind::VllmText => RewardApi::VllmClassifyText(self.template().await?),
            RewardKind::VllmPooling => RewardApi::VllmPooling,
            RewardKind::VllmPoolingText => RewardApi::VllmPoolingText(self.template().await?),
            RewardKind::Sglang => RewardApi::Sglang(self.template().await?),
            RewardKind::Tei => RewardApi::Tei(self.template_if_any().await?),
            RewardKind::OpenRlhf => RewardApi::OpenRlhf(self.template().await?),
            RewardKind::Nim => {
                let attribute = self.text("attribute", "reward-attribute")?;
                RewardApi::Nim { attribute: attribute.unwrap_or_else(|| ATTRIBUTE.to_owned()) }
            }
        };
        self.http(api).await
    }

    async fn http(&self, api: RewardApi) -> Result<Arc<dyn RewardModel>, Error> {
        let model = match self.text("model", "reward-model")? {
            Some(model) => model,
            None => {
                let models = HttpReward::served_models(&self.url()?, self.key(KEY_ENV)?).await;
                only_model("reward-model", models)?
            }
        };
        let mut reward = HttpReward::builder(self.url()?, model, api)
            .timeout(self.context.layers.timeout()?)
            .retry(self.context.layers.retry()?)
            .requests_per_minute(self.requests_per_minute()?)
            .proxy_loopback(self.context.settings.flag("proxy-loopback"))
            .breaker(self.context.layers.breaker.another());
        if let Some(batch) = self.count("batch", "reward-batch")? {
            reward = reward.batch(batch);
        }
        if let Some(concurrency) = self.concurrency()? {
            reward = reward.concurrency(concurrency);
        }
        if let Some(key) = self.key(KEY_ENV)? {
            reward = reward.key(key);
        }
        let reward = reward.build().map_err(setup("reward model"))?;
        let reward = self.truncated(Arc::new(reward)).await?;
        self.context.layers.servers.add(Server::Reward(Arc::clone(&reward)));
        Ok(reward)
    }

    /// The reward model of the beginning of each answer, if its settings have a truncation.
    async fn truncated(&self, reward: Arc<dyn RewardModel>) -> Result<Arc<dyn RewardModel>, Error> {
        let Some(truncation) = self.text("truncate", "reward-truncate")? else { return Ok(reward) };
        let truncation = truncation.parse()?;
        let path = self.context.settings.path("tokenizer");
        let path = path.filter(|_| matches!(truncation, Truncation::Tokens(_)));
        let tokenizer = tokenizer(path.as_deref()).await?;
        Ok(Arc::new(TruncatedReward::new(reward, truncation, tokenizer)?))
    }

    /// A model in the process.
    #[cfg(feature = "local-reward")]
    async fn local(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let Some(folder) = self.line.get("folder").map(PathBuf::from) else {
            return Err(missing("reward", "the folder of the reward model, as in local:FOLDER"));
        };
        let template = self.template_if_any().await?;
        let loaded = crate::blocking(move || {
            let model = match template {
                Some(template) => LocalReward::with_template(folder, template),
                None => LocalReward::load(folder),
            };
            model.map_err(setup("reward model"))
        });
        let model = Arc::new(loaded.await?);
        self.context.layers.servers.add(Server::Local(Arc::clone(&model)));
        self.truncated(model).await
    }

    #[cfg(not(feature = "local-reward"))]
    #[expect(clippy::unused_async, reason = "as with the feature")]
    async fn local(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let expected = "a program that has the feature local-reward: build it with \
                        `cargo install --locked --path tpo --features local-reward`";
        Err(Error::config("reward", expected, "one without it"))
    }

    async fn judge(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let (context, line) = (self.context, self.line);
        let base_url = line.get("base-url");
        let engine = match line.get("engine") {
            Some(engine) => context.layers.other("judge", engine, base_url).await?,
            None if base_url.is_some() => {
                return Err(missing("reward", "an engine beside its base-url"));
            }
            None => Arc::clone(context.engine),
        };
        let search = context.search;
        search.early_stop.validate_engines(&[engine.name()])?;
        let max_tokens = line.parsed("max-tokens", "a number of tokens")?;
        let sampling = Sampling {
            temperature: line.number("temperature")?.or(search.sampling.temperature),
            top_p: search.sampling.top_p,
            max_tokens: max_tokens.or(search.critic.max_tokens),
            ..Sampling::default()
        };
        let mut judge = JudgeReward::builder(engine)
            .sampling(sampling)
            .seed(Seed::new(search.seed))
            .prompts(Arc::clone(context.prompts));
        if let Some(path) = line.get("rubric") {
            judge = judge.rubric(read_text(path, "a rubric as text").await?.trim().to_owned());
        }
        if line.kind() == RewardKind::PairwiseJudge {
            judge = match line.get("pairs") {
                None | Some("all") => judge.pairwise(),
                Some("sparse") => judge.sparse_pairs(),
                Some(other) => return Err(Error::config("pairs", "all or sparse", other)),
            };
        }
        match (line.number("lowest")?, line.number("highest")?) {
            (Some(lowest), Some(highest)) => judge = judge.grades(lowest, highest),
            (None, None) => {}
            _ => return Err(missing("reward", "both the lowest and the highest grade")),
        }
        if line.parsed("expected", "true or false")?.unwrap_or(false) {
            judge = judge.expected();
        }
        if let Some(votes) = line.parsed("votes", "a number of votes")? {
            judge = judge.votes(votes);
        }
        if let Some(retries) = line.parsed("parse-retries", "a number of retries")? {
            judge = judge.parse_retries(retries);
        }
        if let Some(unreadable) = line.get("unreadable") {
            judge = judge.unreadable(match unreadable {
                "fail" => Unreadable::Fail,
                "worst" => Unreadable::Worst,
                "skip" => Unreadable::Skip,
                _ => return Err(Error::config("unreadable", "fail, worst or skip", unreadable)),
            });
        }
        Ok(Arc::new(judge.build()?))
    }

    fn length(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let [from, to] = [self.line.count("from")?, self.line.count("to")?];
        if from.is_none() && to.is_none() {
            let expected = "the words that are wanted, as in length:from=50,to=300";
            return Err(missing("reward", expected));
        }
        let [from, to] = [from.unwrap_or(0), to.unwrap_or(usize::MAX)];
        if from > to {
            let expected = "at least as many words in `to` as in `from`";
            return Err(Error::config("reward", expected, self.line.to_string()));
        }
        Ok(Arc::new(ScorerReward::length(from, to, self.line.count("slack")?.unwrap_or(1))))
    }

    fn command(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let Some(program) = self.text("program", "reward-command")? else {
            return Err(missing("reward-command", "the program that scores answers"));
        };
        let cores = || available_parallelism().map_or(1, NonZeroUsize::get);
        let args: Vec<String> = self.context.settings.list("reward-arg")?;
        let mut runner = Runner::builder(located(program)?)
            .args(&args)
            .text_file("answer.txt")
            .text_on_stdin()
            .time_limit(self.context.layers.timeout()?)
            .concurrency(self.concurrency()?.unwrap_or_else(cores));
        // Scripts find what runs them by it.
        if let Ok(path) = std::env::var("PATH") {
            runner = runner.env("PATH", path);
        }
        let runner =
            runner.build().map_err(|error| Error::input("--reward-command", error.to_string()))?;
        Ok(Arc::new(ScorerReward::command(runner)?))
    }

    async fn format(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let json: Option<bool> = self.line.parsed("json", "true")?;
        let [pattern, never, schema] =
            ["pattern", "never", "schema"].map(|setting| self.line.get(setting));
        match (pattern, never, json, schema) {
            (Some(pattern), None, None, None) => matching(RegexCheck::new(pattern)),
            (None, Some(pattern), None, None) => matching(RegexCheck::never(pattern)),
            (None, None, Some(true), None) => {
                let is_json = |text: &str| match serde_json::from_str::<Json>(text) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(format!("it is no JSON: {error}")),
                };
                Ok(Arc::new(ScorerReward::check(check_fn("it is JSON", is_json))))
            }
            (None, None, None, Some(path)) => {
                let name = format!("schema:{path}");
                Ok(Arc::new(ScorerReward::check(schema_of(path).await?).named(name)))
            }
            _ => {
                let expected = "one of format:pattern=REGEX, format:never=REGEX, format:json=true or format:schema=FILE";
                Err(Error::config("reward", expected, self.line.to_string()))
            }
        }
    }

    pub(super) async fn template(&self) -> Result<ChatTemplate, Error> {
        let expected = "the reward model's tokenizer_config.json or a .jinja file, for this server does not \
                        apply chat templates";
        self.template_if_any().await?.ok_or_else(|| missing("reward-template", expected))
    }

    async fn template_if_any(&self) -> Result<Option<ChatTemplate>, Error> {
        let path = self.line.get("template").map(PathBuf::from);
        match path.or_else(|| self.context.settings.path("reward-template")) {
            Some(path) => read_template(path).await.map(Some),
            None => Ok(None),
        }
    }

    /// The key of a server, from the environment variable that the line names, else from the usual one.
    pub(super) fn key(&self, setting: &'static str) -> Result<Option<SecretString>, Error> {
        let Some(name) = self.line.get(setting) else { return Ok(secret(KEY)) };
        let expected = "the name of an environment variable that holds a key";
        let missing = || Error::config(setting, expected, format!("{name}, which is not set"));
        secret(name).map(Some).ok_or_else(missing)
    }

    pub(super) fn url(&self) -> Result<String, Error> {
        Ok(self.text("url", "reward-url")?.unwrap_or_else(|| LOCAL.to_owned()))
    }

    pub(super) fn requests_per_minute(&self) -> Result<u32, Error> {
        Ok(self.context.settings.get_one("reward-requests-per-minute")?.unwrap_or(0))
    }

    pub(super) fn concurrency(&self) -> Result<Option<usize>, Error> {
        self.count("concurrency", "reward-concurrency")
    }

    /// A setting of the line, else the option.
    pub(super) fn text(&self, key: &str, option: &'static str) -> Result<Option<String>, Error> {
        match self.line.get(key) {
            Some(value) => Ok(Some(value.to_owned())),
            None => self.context.settings.get_one(option),
        }
    }

    /// A number of the line, else of the option.
    fn count(&self, key: &'static str, option: &'static str) -> Result<Option<usize>, Error> {
        match self.line.count(key)? {
            Some(count) => Ok(Some(count)),
            None => self.context.settings.get_one(option),
        }
    }
}

pub(super) async fn read_template(path: PathBuf) -> Result<ChatTemplate, Error> {
    let wrong = |error| {
        let source =
            EngineError::new(ErrorKind::InvalidRequest, "its chat template cannot be used");
        Error::Setup { what: "reward model", source: source.with_source(error) }
    };
    crate::blocking(move || ChatTemplate::from_file(path).map_err(wrong)).await
}

async fn read_text(path: &str, expected: &str) -> Result<String, Error> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|error| unexpected(path, expected, &error.to_string()))
}

fn unexpected(path: &str, expected: &str, reason: &str) -> Error {
    let reason = format!("expected {expected}: {reason}");
    Error::input(path, reason)
}

/// The JSON schema in a file.
async fn schema_of(path: &str) -> Result<JsonSchema, Error> {
    const EXPECTED: &str = "a JSON schema";
    let text = read_text(path, EXPECTED).await?;
    let schema: Json = serde_json::from_str(&text)
        .map_err(|error| unexpected(path, EXPECTED, &error.to_string()))?;
    JsonSchema::new(&schema).map_err(|error| unexpected(path, EXPECTED, &describe(&error)))
}

fn matching(check: Result<RegexCheck, textgrad_ops::Error>) -> Result<Arc<dyn RewardModel>, Error> {
    const EXPECTED: &str = "a regular expression";
    let wrong = |error| {
        let reason = describe(&error);
        // The library's error says what is expected, too.
        let got = reason.split_once(", got ").map_or(reason.as_str(), |(_, got)| got);
        Error::config("pattern", EXPECTED, got)
    };
    Ok(Arc::new(ScorerReward::check(check.map_err(wrong)?)))
}

/// A program's path as it is from here: it is run in a folder of its own.
fn located(program: String) -> Result<String, Error> {
    let path = Path::new(&program);
    if path.is_absolute() || path.components().count() < 2 {
        return Ok(program);
    }
    let absolute = std::path::absolute(path).map_err(Error::io(path, "cannot be located"))?;
    Ok(absolute.to_string_lossy().into_owned())
}
