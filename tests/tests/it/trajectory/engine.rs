//! The world as an engine and a reward model.

use std::sync::Mutex;

use async_trait::async_trait;
use textgrad_core::{
    Choice, Engine, EngineError, EngineInfo, ErrorKind, FinishReason, Purpose, Request, Response,
};
use tpo::{Query, RewardInfo, RewardModel};

use super::world::{Asked, Times, World, Worth};

/// The world as an engine.
pub(super) struct Policy {
    world: World,
    /// Whether calls are answered in another order than that in which they came.
    dawdles: bool,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    asked: Vec<Asked>,
    times: Times,
    seeds: Vec<u64>,
}

impl Policy {
    pub(super) fn new(world: World, dawdles: bool) -> Self {
        Self { world, dawdles, said: Mutex::default() }
    }

    /// What was asked, in order.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.said.lock().unwrap().asked.clone()
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        let turns = request.messages.iter().map(|message| (message.role, message.text()));
        let (purpose, n) = (request.purpose, request.sampling.n);
        let asked = Asked { purpose, turns: turns.collect(), n };
        let before = {
            let mut said = self.said.lock().unwrap();
            said.asked.push(asked.clone());
            check(request, &mut said.seeds);
            said.times.one_more(&format!("{asked:?}"))
        };
        let said = self.world.says(&asked, before)?;
        let choices = said.into_iter().map(|said| {
            let reason = if said.cut_off { FinishReason::Length } else { FinishReason::Stop };
            Choice::new(said.text, reason)
        });
        Some(Response::new(choices.collect()))
    }
}

/// How answers are drawn: as in the reference implementation, but each request from a seed of its own.
fn check(request: &Request, seeds: &mut Vec<u64>) {
    let sampling = &request.sampling;
    let drawn = (sampling.temperature, sampling.top_p, sampling.max_tokens);
    match request.purpose {
        Purpose::Sample | Purpose::Update => {
            assert_eq!(drawn, (Some(0.7), Some(0.95), Some(2048)));
        }
        _ => assert_eq!((drawn, sampling.n), ((Some(0.7), Some(0.99), Some(8192)), 1)),
    }
    let seed = sampling.seed.unwrap();
    assert!(!seeds.contains(&seed), "{:?} has the seed of another", request.purpose);
    seeds.push(seed);
}

/// Lets others go first, a number of times that depends on what is asked.
async fn dawdle(text: &str) {
    for _ in 0..text.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 5 {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Engine for Policy {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("world").with_all_choices(true);
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let answer = self.answer(request);
        if self.dawdles {
            dawdle(&request.sampling.seed.unwrap_or_default().to_string()).await;
        }
        answer.ok_or_else(|| EngineError::new(ErrorKind::Server, "down"))
    }
}

/// The world as a reward model.
pub(super) struct Rewards {
    info: RewardInfo,
    world: World,
    times: Mutex<Times>,
}

impl Rewards {
    pub(super) fn new(world: World, batch: usize) -> Self {
        Self { info: RewardInfo::new("world").with_batch(batch), world, times: Mutex::default() }
    }
}

#[async_trait]
impl RewardModel for Rewards {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        assert!(answers.len() <= self.batch());
        dawdle(answers[0]).await;
        let mut times = self.times.lock().unwrap();
        let scores = answers.iter().map(|answer| {
            let times = times.one_more(&format!("{}|{answer}", query.text()));
            match self.world.worth(query.text(), answer, times) {
                Worth::Score(score) => Some(score),
                Worth::Fails => None,
            }
        });
        let scores: Vec<Option<f64>> = scores.collect();
        let failed = || EngineError::new(ErrorKind::InvalidRequest, "refused");
        scores.into_iter().map(|score| score.ok_or_else(failed)).collect()
    }
}
