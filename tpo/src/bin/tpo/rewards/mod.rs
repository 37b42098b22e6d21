//! Reward models from their settings.

mod likelihoods;
mod line;
mod source;

use std::sync::Arc;

use textgrad_core::{Engine, PromptPack};
use tpo::{
    Combine, EarlyStop, Ensemble, Error, Member, PpoReward, RewardModel, SimReward, TpoConfig,
};

pub(crate) use self::line::{KEY_ENV, Line, is_variable};
use self::line::{LOCAL, NAMES, RewardKind};
use self::source::{KEY, Source};
use crate::config::Settings;
use crate::engines::{Layers, missing};

/// The parts of a run that reward models use.
#[derive(Clone, Copy)]
pub(crate) struct RewardContext<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) search: &'a TpoConfig,
    /// The policy.
    pub(crate) engine: &'a Arc<dyn Engine>,
    pub(crate) prompts: &'a Arc<PromptPack>,
    pub(crate) layers: &'a Layers,
}

/// The reward model of the settings.
pub(crate) async fn reward(context: &RewardContext<'_>) -> Result<Arc<dyn RewardModel>, Error> {
    let lines: Vec<String> = context.settings.list("reward")?;
    let lines: Vec<Line> = lines.iter().map(|line| line.parse()).collect::<Result<_, _>>()?;
    if lines.is_empty() && !context.engine.is_simulation() {
        let got = format!(
            "nothing; with judge, the model judges its own answers, and a server's key is read from {KEY}"
        );
        return Err(Error::config("reward", NAMES, got));
    }
    check_used(context.settings, &lines)?;
    match lines.is_empty() {
        true => Ok(Arc::new(SimReward)),
        false => of_lines(context, &lines).await,
    }
}

/// A reward model beside that of the run, from its own line alone.
pub(crate) async fn alone(
    context: &RewardContext<'_>,
    line: &str,
) -> Result<Arc<dyn RewardModel>, Error> {
    // It is no part of the searches, so their bounds do not apply to it.
    let search = TpoConfig { early_stop: EarlyStop::default(), ..context.search.clone() };
    let settings = Settings::default();
    let context = RewardContext { settings: &settings, search: &search, ..*context };
    of_lines(&context, &[line.parse()?]).await
}

/// A reward model for answers of finished runs, from its line alone.
pub(crate) async fn held_out(
    layers: &Layers,
    prompts: &Arc<PromptPack>,
    text: &str,
) -> Result<Arc<dyn RewardModel>, Error> {
    let line: Line = text.parse()?;
    let is_judge = matches!(line.kind(), RewardKind::Judge | RewardKind::PairwiseJudge);
    if is_judge && line.get("engine").is_none() {
        let expected = "an engine of the judge, as in judge:engine=openai/gpt-4.1";
        return Err(Error::config("reward", expected, text));
    }
    // Nothing is asked of it: there is no policy here.
    let engine = layers.other("policy", "sim", None).await?;
    let mut search = TpoConfig::default();
    search.sampling.temperature = Some(0.0);
    let settings = Settings::default();
    let context =
        RewardContext { settings: &settings, search: &search, engine: &engine, prompts, layers };
    let reward = of_lines(&context, &[line]).await?;
    if reward.is_relative() {
        let expected = "a reward model whose scores compare across runs, such as judge";
        return Err(Error::config("reward", expected, reward.name()));
    }
    Ok(reward)
}

async fn of_lines(
    context: &RewardContext<'_>,
    lines: &[Line],
) -> Result<Arc<dyn RewardModel>, Error> {
    let mut members = Vec::new();
    let mut penalties = Vec::new();
    for line in lines {
        let source = Source { context, line };
        match line.kind() {
            RewardKind::Kl if line.is_member() => {
                let expected =
                    "no weight, center or scale for kl: its beta says how much it counts";
                return Err(Error::config("reward", expected, line.to_string()));
            }
            RewardKind::Kl => {
                let penalty = source.penalty().await;
                penalties.push(penalty.map_err(|error| line.locate(error))?);
            }
            _ => {
                let model = source.model().await;
                members.push((model.map_err(|error| line.locate(error))?, line));
            }
        }
    }
    let reward = combined(members, context.settings.get_one("combine")?)?;
    if penalties.len() > 1 {
        return Err(Error::config("reward", "kl at most once", penalties.len().to_string()));
    }
    Ok(match penalties.pop() {
        Some(penalty) => Arc::new(PpoReward::new(reward, penalty)),
        None => reward,
    })
}

fn combined(
    members: Vec<(Arc<dyn RewardModel>, &Line)>,
    how: Option<Combine>,
) -> Result<Arc<dyn RewardModel>, Error> {
    match (members.as_slice(), how) {
        ([], _) => Err(missing("reward", "another --reward beside kl, which only takes away")),
        ([(model, line)], None) if !line.is_member() => Ok(Arc::clone(model)),
        ([_], Some(_)) => Err(Error::config("combine", "several --reward to combine", "one")),
        (_, how) => {
            let members = members.into_iter().map(|(model, line)| {
                let number = |key, default| match line.number(key) {
                    Ok(number) => Ok(number.unwrap_or(default)),
                    Err(error) => Err(line.locate(error)),
                };
                let member = Member::new(model).weight(number("weight", 1.0)?);
                Ok(member.standardized(number("center", 0.0)?, number("scale", 1.0)?))
            });
            let members: Vec<Member> = members.collect::<Result<_, Error>>()?;
            Ok(Arc::new(Ensemble::new(members, how.unwrap_or(Combine::Mean))?))
        }
    }
}

/// Refuses options that none of these reward models uses.
fn check_used(settings: &Settings, lines: &[Line]) -> Result<(), Error> {
    let model: Option<String> = settings.get_one("reward-model")?;
    let is_local = |line: &Line| {
        let model = line.get("model").or(model.as_deref()).unwrap_or_default();
        line.has("reference-model") && model.starts_with(LOCAL)
    };
    for (option, key) in [
        ("reward-url", "url"),
        ("reward-model", "model"),
        ("reward-template", "template"),
        ("reward-attribute", "attribute"),
        ("reward-truncate", "truncate"),
        ("reward-batch", "batch"),
        ("reward-concurrency", "concurrency"),
        ("reward-requests-per-minute", "url"),
        ("reward-command", "program"),
        ("reward-arg", "program"),
    ] {
        let is_of_server = matches!(option, "reward-url" | "reward-template");
        let used = lines.iter().any(|line| line.has(key) && !(is_of_server && is_local(line)));
        if let Some(got) = settings.get_one::<String>(option)?.filter(|_| !used) {
            let expected = "none for what --reward names: it would change nothing";
            return Err(Error::config(option, expected, got));
        }
    }
    Ok(())
}
