//! Setting up the reward model.

mod implicit;
mod judge;
mod line;
mod rule;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use textgrad_core::{Engine, EngineError, ErrorKind, PromptPack};
use textgrad_ops::layer::Meter;
use textgrad_ops::store::DiskCache;
use textgrad_ops::util::fs::blocking;
use tpo::{
    CancellationToken, ChatTemplate, Combine, Ensemble, Error, HttpReward, Member, PpoReward,
    RewardApi, RewardModel, SimReward,
};

pub(crate) use self::line::{KEY_ENV, is_variable};
use self::line::{Kind, Line};
use crate::args::RunArgs;
use crate::engines::{missing, retry, secret, setup};
use crate::stopping::StoppingArgs;

/// Where the reward model's server is looked for.
const LOCAL: &str = "http://localhost:8001";

/// The environment variable with the key of a reward model's server.
const KEY: &str = "REWARD_API_KEY";

/// The attribute of a NIM's reply that is the score.
const ATTRIBUTE: &str = "reward";

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RewardArgs {
    /// What scores answers. Behind a server: vllm (/classify, the server applies the chat template), vllm-text
    /// (we apply it; older vLLM), vllm-pooling, vllm-pooling-text, sglang, tei, openrlhf, nim; dpo (the log-ratio
    /// of two models). An engine, this run's or another: judge (grades), pairwise-judge (comparisons). Without
    /// either: sim (the reward model of the simulation), length, format, command. And kl, a penalty that is subtracted
    /// from all others. docs/rewards.md lists their settings. The default is sim for `--engine sim`; for other
    /// engines it must be given. Settings may follow, as in `tei:url=http://localhost:8080,weight=2` or
    /// `length:from=50,to=300,slack=25`; what they leave out is taken from the options below. Given several
    /// times, the scores are combined.
    #[arg(long = "reward", value_name = "REWARD")]
    lines: Vec<String>,

    /// How the scores of several reward models become one: mean (by their `weight`), min, or
    /// pessimistic:LAMBDA, the mean minus LAMBDA times their standard deviation. Reward models have scales of
    /// their own: `center` and `scale` in the settings of each make them comparable. The default is mean.
    #[arg(long, value_name = "HOW", value_parser = combine)]
    combine: Option<Combine>,

    /// Where the reward model's server is. [default: http://localhost:8001]
    #[arg(long, value_name = "URL")]
    reward_url: Option<String>,

    /// The reward model's name. Needed with `--reward vllm` and other servers.
    #[arg(long, value_name = "MODEL")]
    reward_model: Option<String>,

    /// The reward model's chat template, for servers that do not apply it (vllm-text, vllm-pooling-text,
    /// sglang, openrlhf; tei, unless query and answer go as a pair): its tokenizer_config.json, a .jinja file,
    /// or the folder of either.
    #[arg(long, value_name = "FILE")]
    reward_template: Option<PathBuf>,

    /// Which attribute of the reply of `--reward nim` is the score. [default: reward]
    #[arg(long, value_name = "NAME")]
    reward_attribute: Option<String>,

    /// How many answers are scored with one request, at most. [default: 16 for openrlhf, else 1]
    #[arg(long, value_name = "ANSWERS")]
    reward_batch: Option<NonZeroUsize>,

    /// How many requests, or programs, score at the same time. [default: 64 requests, a program per core]
    #[arg(long, value_name = "REQUESTS")]
    reward_concurrency: Option<NonZeroUsize>,

    /// The program of `--reward command`. It is run on each answer, in a folder of its own that holds the
    /// answer as answer.txt and the query as query.txt; the answer is on its standard input too. The last line
    /// that it writes is the score. No shell is between.
    #[arg(long, value_name = "PROGRAM")]
    reward_command: Option<String>,

    /// An argument of that program (repeatable). Paths must be absolute.
    #[arg(long = "reward-arg", value_name = "ARG", allow_hyphen_values = true)]
    reward_args: Vec<String>,
}

fn combine(text: &str) -> Result<Combine, String> {
    match text {
        "mean" => Ok(Combine::Mean),
        "min" => Ok(Combine::Min),
        _ => text
            .strip_prefix("pessimistic:")
            .and_then(|lambda| lambda.parse().ok())
            .map(|lambda| Combine::Pessimistic { lambda })
            .ok_or_else(|| "expected mean, min or pessimistic:LAMBDA".to_owned()),
    }
}

/// What a reward model is set up from.
pub(crate) struct Around<'a> {
    pub(crate) args: &'a RunArgs,
    /// The engine of the run.
    pub(crate) engine: &'a Arc<dyn Engine>,
    pub(crate) prompts: &'a Arc<PromptPack>,
    pub(crate) meter: &'a Meter,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) cache: Option<&'a DiskCache>,
}

/// The reward model that the command line names.
pub(crate) async fn reward(around: &Around<'_>) -> Result<Arc<dyn RewardModel>, Error> {
    let rewards = &around.args.rewards;
    let lines: Vec<Line> =
        rewards.lines.iter().map(|line| line.parse()).collect::<Result<_, _>>()?;
    let lines = match (lines.is_empty(), around.engine.is_simulation()) {
        (false, _) => lines,
        (true, true) => vec![Line::plain(Kind::Sim)],
        (true, false) => {
            return Err(missing(
                "reward",
                "vllm, or sim if simulated rewards for real answers are what you want",
            ));
        }
    };
    rewards.all_used(&lines)?;
    let mut members = Vec::new();
    let mut penalties = Vec::new();
    for line in &lines {
        let source = Source { around, args: around.args, stop: around.stop, line };
        match line.kind() {
            Kind::Kl if line.is_member() => {
                let expected =
                    "no weight, center or scale for kl: its beta says how much it counts";
                let got = line.to_string();
                return Err(Error::Config { setting: "reward", expected, got });
            }
            Kind::Kl => penalties.push(source.penalty().await?),
            _ => members.push((source.model().await?, line)),
        }
    }
    let reward = combined(members, rewards.combine)?;
    if penalties.len() > 1 {
        let got = penalties.len().to_string();
        return Err(Error::Config { setting: "reward", expected: "kl at most once", got });
    }
    Ok(match penalties.pop() {
        Some(penalty) => Arc::new(PpoReward::new(reward, penalty)),
        None => reward,
    })
}

/// A reward model that only its own line names, beside the run's.
pub(crate) async fn alone(around: &Around<'_>, line: &str) -> Result<Arc<dyn RewardModel>, Error> {
    let rewards = RewardArgs { lines: vec![line.to_owned()], ..RewardArgs::default() };
    // It is no part of the searches, so their bounds do not hold for it.
    let stopping = StoppingArgs::default();
    let args = RunArgs { rewards, stopping, ..around.args.clone() };
    reward(&Around { args: &args, ..*around }).await
}

fn combined(
    members: Vec<(Arc<dyn RewardModel>, &Line)>,
    how: Option<Combine>,
) -> Result<Arc<dyn RewardModel>, Error> {
    if members.is_empty() {
        return Err(missing("reward", "another --reward beside kl, which only takes away"));
    }
    match (members.as_slice(), how) {
        ([(model, line)], None) if !line.is_member() => Ok(Arc::clone(model)),
        ([_], Some(_)) => Err(Error::Config {
            setting: "combine",
            expected: "several --reward to combine",
            got: "one".to_owned(),
        }),
        (_, how) => {
            let members = members.into_iter().map(|(model, line)| {
                let member = Member::new(model).weight(line.number("weight")?.unwrap_or(1.0));
                let center = line.number("center")?.unwrap_or(0.0);
                Ok(member.standardized(center, line.number("scale")?.unwrap_or(1.0)))
            });
            let members: Vec<Member> = members.collect::<Result<_, Error>>()?;
            Ok(Arc::new(Ensemble::new(members, how.unwrap_or(Combine::Mean))?))
        }
    }
}

impl RewardArgs {
    /// Refuses options that none of these reward models has a use for.
    fn all_used(&self, lines: &[Line]) -> Result<(), Error> {
        let text = |value: &Option<String>| value.clone();
        let number = |value: Option<NonZeroUsize>| value.map(|number| number.to_string());
        let path = self.reward_template.as_ref().map(|path| path.display().to_string());
        for (option, key, value) in [
            ("reward-url", "url", text(&self.reward_url)),
            ("reward-model", "model", text(&self.reward_model)),
            ("reward-template", "template", path),
            ("reward-attribute", "attribute", text(&self.reward_attribute)),
            ("reward-batch", "batch", number(self.reward_batch)),
            ("reward-concurrency", "concurrency", number(self.reward_concurrency)),
            ("reward-command", "program", text(&self.reward_command)),
            ("reward-arg", "program", self.reward_args.first().cloned()),
        ] {
            let used = lines.iter().any(|line| line.kind().keys().contains(&key));
            if let Some(got) = value.filter(|_| !used) {
                let expected = "none for what --reward names: it would change nothing";
                return Err(Error::Config { setting: option, expected, got });
            }
        }
        Ok(())
    }
}

/// One reward model as its line and the options say.
struct Source<'a> {
    around: &'a Around<'a>,
    args: &'a RunArgs,
    stop: &'a CancellationToken,
    line: &'a Line,
}

impl Source<'_> {
    async fn model(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let api = match self.line.kind() {
            Kind::Sim => return Ok(Arc::new(SimReward)),
            Kind::Length => return self.length(),
            Kind::Format => return self.format().await,
            Kind::Command => return self.command(),
            Kind::Judge | Kind::PairwiseJudge => return self.judge().await,
            Kind::Dpo | Kind::Kl => return Ok(Arc::new(self.penalty().await?)),
            Kind::Vllm => RewardApi::VllmClassify,
            Kind::VllmText => RewardApi::VllmClassifyText(self.template().await?),
            Kind::VllmPooling => RewardApi::VllmPooling,
            Kind::VllmPoolingText => RewardApi::VllmPoolingText(self.template().await?),
            Kind::Sglang => RewardApi::Sglang(self.template().await?),
            Kind::Tei => RewardApi::Tei(self.template_if_any().await?),
            Kind::OpenRlhf => RewardApi::OpenRlhf(self.template().await?),
            Kind::Nim => {
                let attribute =
                    self.text("attribute", self.args.rewards.reward_attribute.as_deref());
                RewardApi::Nim { attribute: attribute.unwrap_or(ATTRIBUTE).to_owned() }
            }
        };
        self.http(api)
    }

    fn http(&self, api: RewardApi) -> Result<Arc<dyn RewardModel>, Error> {
        let rewards = &self.args.rewards;
        let Some(model) = self.text("model", rewards.reward_model.as_deref()) else {
            return Err(missing("reward-model", "the name of the reward model"));
        };
        let url = self.text("url", rewards.reward_url.as_deref()).unwrap_or(LOCAL);
        let mut reward = HttpReward::builder(url, model, api)
            .timeout(Duration::from_secs(self.args.timeout))
            .retry(retry(self.args, self.stop));
        if let Some(batch) = self.count("batch", rewards.reward_batch)? {
            reward = reward.batch(batch.get());
        }
        if let Some(concurrency) = self.count("concurrency", rewards.reward_concurrency)? {
            reward = reward.concurrency(concurrency.get());
        }
        if let Some(key) = self.key(KEY_ENV)? {
            reward = reward.key(key);
        }
        Ok(Arc::new(reward.build().map_err(setup("reward model"))?))
    }

    async fn template(&self) -> Result<ChatTemplate, Error> {
        let expected = "the reward model's tokenizer_config.json or a .jinja file, for this server does not \
                        apply chat templates";
        self.template_if_any().await?.ok_or_else(|| missing("reward-template", expected))
    }

    async fn template_if_any(&self) -> Result<Option<ChatTemplate>, Error> {
        let option = self.args.rewards.reward_template.as_deref();
        match self.line.get("template").map(Path::new).or(option) {
            Some(path) => read_template(path).await.map(Some),
            None => Ok(None),
        }
    }

    /// The key of a server, from the environment variable that the line names, else from the usual one.
    fn key(&self, setting: &'static str) -> Result<Option<SecretString>, Error> {
        let Some(name) = self.line.get(setting) else { return Ok(secret(KEY)) };
        let missing = || Error::Config {
            setting,
            expected: "the name of an environment variable that holds a key",
            got: format!("{name}, which is not set"),
        };
        secret(name).map(Some).ok_or_else(missing)
    }

    /// What the line says, else what the option says.
    fn text<'b>(&'b self, key: &str, option: Option<&'b str>) -> Option<&'b str> {
        self.line.get(key).or(option)
    }

    fn count(
        &self,
        key: &'static str,
        option: Option<NonZeroUsize>,
    ) -> Result<Option<NonZeroUsize>, Error> {
        Ok(self.line.count(key)?.and_then(NonZeroUsize::new).or(option))
    }
}

async fn read_template(path: &Path) -> Result<ChatTemplate, Error> {
    let path = path.to_owned();
    let wrong = |error| {
        let source =
            EngineError::new(ErrorKind::InvalidRequest, "its chat template cannot be used");
        Error::Setup { what: "reward model", source: source.with_source(error) }
    };
    blocking(move || ChatTemplate::from_file(path).map_err(wrong)).await
}
