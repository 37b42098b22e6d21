//! Answers that are too long: for the reward model, and for the bound on their tokens.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Choice, EngineError, ErrorKind, FinishReason, Request, Response, engine_fn};
use tpo::{Mode, Query, RewardInfo, RewardModel, Tpo};

/// Scores answers by their length, and refuses requests with one of more than 20 bytes.
#[derive(Debug)]
struct Short {
    info: RewardInfo,
    error: EngineError,
}

#[async_trait]
impl RewardModel for Short {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn score(&self, _: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let is_short = |answer: &&str| answer.len() <= 20;
        if !answers.iter().all(is_short) {
            return Err(self.error.clone());
        }
        Ok(answers.iter().map(|answer| answer.len() as f64).collect())
    }
}

fn short(batch: usize, error: EngineError) -> Arc<Short> {
    Arc::new(Short { info: RewardInfo::new("short").with_batch(batch), error })
}

async fn texts(
    answers: &'static [&'static str],
    reward: Arc<Short>,
) -> Result<Vec<String>, String> {
    let engine = engine_fn("policy", move |request: Request| async move {
        let answers = answers.iter().take(request.sampling.n as usize);
        let choices = answers.map(|text| Choice::new(*text, FinishReason::Stop)).collect();
        Ok(Response::new(choices))
    });
    let tpo = Tpo::builder(Arc::new(engine), reward).mode(Mode::Bon).samples(answers.len() as u32);
    match tpo.build().unwrap().align("What is long?").await {
        Ok(aligned) => {
            let candidates = &aligned.trajectory().candidates;
            Ok(candidates.iter().map(|candidate| candidate.text.clone()).collect())
        }
        Err(failure) => Err(tpo::describe(&failure.error)),
    }
}

/// Kind: Reward servers | one answer that is too long: 400 with "context length", "too long"; 413 | it is left out
/// with a warning
/// Kind: Reward servers | all answers are too long | the query fails with the server's words
#[tokio::test]
async fn an_answer_that_is_too_long_for_the_reward_model_is_left_out() {
    const LONG: &str = "an answer of more than twenty bytes";
    let error = |message| EngineError::new(ErrorKind::InvalidRequest, message);
    for refusal in [error("the input is too long"), error("no").with_status(413)] {
        for batch in [1, 2, 8] {
            let found = texts(&["one", LONG, "three"], short(batch, refusal.clone())).await;
            assert_eq!(found.unwrap(), ["one", "three"], "{batch}");
            let none = texts(&[LONG], short(batch, refusal.clone())).await.unwrap_err();
            assert!(none.contains(refusal.message()), "{none}");
        }
    }
    let other = texts(&["one", LONG], short(1, error("no such model"))).await;
    assert!(other.is_err());
}
