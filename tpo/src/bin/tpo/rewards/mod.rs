//! Reward models from their settings.

mod implicit;
mod judge;
mod line;
mod rule;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use textgrad_core::{Engine, EngineError, ErrorKind, PromptPack};
use tpo::{
    CancellationToken, ChatTemplate, Combine, Ensemble, Error, HttpReward, Member, PpoReward,
    RewardApi, RewardModel, SimReward, Stopping,
};

use self::line::RewardKind;
pub(crate) use self::line::{KEY_ENV, Line, is_variable};
use crate::engines::{Layers, missing, secret, setup};
use crate::spec::{RewardSpec, RunSpec};

/// The default address of a reward model's server.
const LOCAL: &str = "http://localhost:8001";

/// The environment variable with the key of a reward model's server.
const KEY: &str = "REWARD_API_KEY";

/// The attribute of a NIM's reply that is the score.
const ATTRIBUTE: &str = "reward";

/// The parts of a run that reward models use.
pub(crate) struct RewardContext<'a> {
    pub(crate) spec: &'a RunSpec,
    /// The policy.
    pub(crate) engine: &'a Arc<dyn Engine>,
    pub(crate) prompts: &'a Arc<PromptPack>,
    pub(crate) layers: &'a Layers,
}

/// The reward model of the settings.
pub(crate) async fn reward(context: &RewardContext<'_>) -> Result<Arc<dyn RewardModel>, Error> {
    let spec = &context.spec.reward;
    let simulated = [Line::plain(RewardKind::Sim)];
    let lines = match (spec.lines.as_slice(), context.engine.is_simulation()) {
        ([], true) => &simulated,
        ([], false) => {
            let expected = "vllm, or sim for simulated rewards of real answers";
            return Err(missing("reward", expected));
        }
        (lines, _) => lines,
    };
    spec.all_used(lines)?;
    let mut members = Vec::new();
    let mut penalties = Vec::new();
    for line in lines {
        let source = Source { context, spec: context.spec, cancel: &context.layers.cancel, line };
        match line.kind() {
            RewardKind::Kl if line.is_member() => {
                let expected =
                    "no weight, center or scale for kl: its beta says how much it counts";
                let got = line.to_string();
                return Err(Error::Config { setting: "reward", expected, got });
            }
            RewardKind::Kl => penalties.push(source.penalty().await?),
            _ => members.push((source.model().await?, line)),
        }
    }
    let reward = combined(members, spec.combine)?;
    if penalties.len() > 1 {
        let got = penalties.len().to_string();
        return Err(Error::Config { setting: "reward", expected: "kl at most once", got });
    }
    Ok(match penalties.pop() {
        Some(penalty) => Arc::new(PpoReward::new(reward, penalty)),
        None => reward,
    })
}

/// A reward model beside that of the run, from its own line alone.
pub(crate) async fn alone(
    context: &RewardContext<'_>,
    line: &str,
) -> Result<Arc<dyn RewardModel>, Error> {
    let mut spec = context.spec.clone();
    spec.reward = RewardSpec { lines: vec![line.parse()?], ..RewardSpec::default() };
    // It is no part of the searches, so their bounds do not apply to it.
    spec.search.stopping = Stopping::default();
    reward(&RewardContext { spec: &spec, ..*context }).await
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

impl RewardSpec {
    /// Refuses settings that none of these reward models uses.
    fn all_used(&self, lines: &[Line]) -> Result<(), Error> {
        let text = |value: &Option<String>| value.clone();
        let number = |value: Option<NonZeroUsize>| value.map(|number| number.to_string());
        let path = self.template.as_ref().map(|path| path.display().to_string());
        for (option, key, value) in [
            ("reward-url", "url", text(&self.url)),
            ("reward-model", "model", text(&self.model)),
            ("reward-template", "template", path),
            ("reward-attribute", "attribute", text(&self.attribute)),
            ("reward-batch", "batch", number(self.batch)),
            ("reward-concurrency", "concurrency", number(self.concurrency)),
            ("reward-command", "program", text(&self.command)),
            ("reward-arg", "program", self.args.first().cloned()),
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

/// The settings of one reward model: those of its line, and their defaults.
struct Source<'a> {
    context: &'a RewardContext<'a>,
    spec: &'a RunSpec,
    cancel: &'a CancellationToken,
    line: &'a Line,
}

impl Source<'_> {
    async fn model(&self) -> Result<Arc<dyn RewardModel>, Error> {
        let api = match self.line.kind() {
            RewardKind::Sim => return Ok(Arc::new(SimReward)),
            RewardKind::Length => return self.length(),
            RewardKind::Format => return self.format().await,
            RewardKind::Command => return self.command(),
            RewardKind::Judge | RewardKind::PairwiseJudge => return self.judge().await,
            RewardKind::Dpo | RewardKind::Kl => return Ok(Arc::new(self.penalty().await?)),
            RewardKind::Vllm => RewardApi::VllmClassify,
            RewardKind::VllmText => RewardApi::VllmClassifyText(self.template().await?),
            RewardKind::VllmPooling => RewardApi::VllmPooling,
            RewardKind::VllmPoolingText => RewardApi::VllmPoolingText(self.template().await?),
            RewardKind::Sglang => RewardApi::Sglang(self.template().await?),
            RewardKind::Tei => RewardApi::Tei(self.template_if_any().await?),
            RewardKind::OpenRlhf => RewardApi::OpenRlhf(self.template().await?),
            RewardKind::Nim => {
                let attribute = self.text("attribute", self.spec.reward.attribute.as_deref());
                RewardApi::Nim { attribute: attribute.unwrap_or(ATTRIBUTE).to_owned() }
            }
        };
        self.http(api)
    }

    fn http(&self, api: RewardApi) -> Result<Arc<dyn RewardModel>, Error> {
        let rewards = &self.spec.reward;
        let Some(model) = self.text("model", rewards.model.as_deref()) else {
            return Err(missing("reward-model", "the name of the reward model"));
        };
        let url = self.text("url", rewards.url.as_deref()).unwrap_or(LOCAL);
        let mut reward = HttpReward::builder(url, model, api)
            .timeout(self.spec.engine.timeout)
            .retry(self.spec.retry(self.cancel));
        if let Some(batch) = self.count("batch", rewards.batch)? {
            reward = reward.batch(batch.get());
        }
        if let Some(concurrency) = self.count("concurrency", rewards.concurrency)? {
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
        let option = self.spec.reward.template.as_deref();
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
    crate::blocking(move || ChatTemplate::from_file(path).map_err(wrong)).await
}
