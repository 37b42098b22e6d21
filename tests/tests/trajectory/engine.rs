//! The world as an engine and a reward model.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use textgrad_core::{
    Choice, Engine, EngineError, ErrorKind, FinishReason, Purpose, Request, Response,
};
use tpo::{Query, RewardModel};

use super::pack::read;
use super::world::{Asked, Times, World, Worth};

/// The query at a place, with something in it that a template could stumble over.
pub(super) fn query(place: usize) -> String {
    format!("{place}: why {{{{is}}}} the <sky> blue &\n\"clear\"?")
}

fn place(query: &str) -> usize {
    query.split_once(':').unwrap().0.parse().unwrap()
}

/// One world per query.
pub(super) struct Policy {
    worlds: Vec<World>,
    asked: Mutex<Vec<Vec<(Asked, u32)>>>,
    seeds: Mutex<Vec<Vec<u64>>>,
}

impl Policy {
    pub(super) fn new(worlds: Vec<World>) -> Self {
        let (asked, seeds) = (vec![Vec::new(); worlds.len()], vec![Vec::new(); worlds.len()]);
        Self { worlds, asked: Mutex::new(asked), seeds: Mutex::new(seeds) }
    }

    /// What was asked about the first query, and for how many answers.
    pub(super) fn asked(&self) -> Vec<(Asked, u32)> {
        self.asked.lock().unwrap()[0].clone()
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        let asked = read(request);
        let place = place(asked.query());
        let n = request.sampling.n;
        let call = {
            let mut all = self.asked.lock().unwrap();
            all[place].push((asked.clone(), n));
            all[place].len() - 1
        };
        self.check(request, place);
        let said = self.worlds[place].says(call, &asked, n)?;
        let choices = said.into_iter().map(|said| {
            let reason = if said.cut_off { FinishReason::Length } else { FinishReason::Stop };
            Choice::new(said.text, reason)
        });
        Some(Response::new(choices.collect()))
    }

    /// How answers are drawn: as in the reference implementation, but each request from a seed of its own.
    fn check(&self, request: &Request, place: usize) {
        let sampling = &request.sampling;
        let drawn = (sampling.temperature, sampling.top_p, sampling.max_tokens);
        match request.purpose {
            Purpose::Sample | Purpose::Update => {
                assert_eq!(drawn, (Some(0.7), Some(0.95), Some(2048)));
            }
            _ => assert_eq!((drawn, sampling.n), ((Some(0.7), Some(0.99), Some(8192)), 1)),
        }
        let mut seeds = self.seeds.lock().unwrap();
        let seed = sampling.seed.unwrap();
        assert!(!seeds[place].contains(&seed), "{:?} has the seed of another", request.purpose);
        seeds[place].push(seed);
    }
}

impl Asked {
    fn query(&self) -> &str {
        match self {
            Self::Answers { query } | Self::Loss { query, .. } => query,
            Self::Gradient { of, .. } | Self::Versions { of, .. } => of.query(),
        }
    }
}

/// Lets others go first, a number of times that depends on what is asked.
async fn dawdle(text: &str) {
    for _ in 0..text.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 5 {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Engine for Policy {
    fn name(&self) -> &str {
        "world"
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let answer = self.answer(request);
        dawdle(&request.sampling.seed.unwrap_or_default().to_string()).await;
        answer.ok_or_else(|| EngineError::new(ErrorKind::Server, "down"))
    }
}

/// One world per query.
pub(super) struct Rewards {
    worlds: Vec<World>,
    batch: usize,
    times: Arc<Mutex<Vec<Times>>>,
}

impl Rewards {
    pub(super) fn new(worlds: Vec<World>, batch: usize) -> Self {
        let times = worlds.iter().map(|_| Times::default()).collect();
        Self { worlds, batch, times: Arc::new(Mutex::new(times)) }
    }
}

#[async_trait]
impl RewardModel for Rewards {
    fn name(&self) -> &str {
        "world"
    }

    fn batch(&self) -> usize {
        self.batch
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        assert!(answers.len() <= self.batch);
        dawdle(answers[0]).await;
        let place = place(query.text());
        let mut times = self.times.lock().unwrap();
        let scores = answers.iter().map(|answer| {
            let times = times[place].one_more(answer);
            match self.worlds[place].worth(answer, times) {
                Worth::Score(score) => Some(score),
                Worth::Fails => None,
            }
        });
        let scores: Vec<Option<f64>> = scores.collect();
        let failed = || EngineError::new(ErrorKind::InvalidRequest, "too long");
        scores.into_iter().map(|score| score.ok_or_else(failed)).collect()
    }
}
