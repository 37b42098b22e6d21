//! Searches that go on up to a budget.

use std::sync::Arc;

use textgrad_core::{
    Choice, EngineError, FinishReason, Purpose, Request, Response, Usage, engine_fn,
};
use textgrad_ops::layer::{Money, Prices};
use textgrad_ops::sim::Sim;
use tpo::{
    Alignment, EarlyStop, Mode, SearchBudget, SimReward, StopReason, Tpo, TpoConfig, reward_fn,
};

const QUERIES: [&str; 2] = ["Why is the sky blue?", "How do I boil an egg?"];

fn config(mode: Mode, budget: &str) -> TpoConfig {
    let budget = budget.parse().unwrap();
    let early_stop = EarlyStop { budget, ..EarlyStop::default() };
    TpoConfig { mode, samples: 3, iterations: 1000, early_stop, ..TpoConfig::default() }
}

async fn search(config: TpoConfig) -> Alignment {
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).config(config).build();
    tpo.unwrap().align_with(0, QUERIES[0], 1, QUERIES[1]).await.unwrap()
}

#[tokio::test]
async fn every_mode_goes_on_until_another_iteration_might_pass_the_budget() {
    for mode in Mode::ALL.iter().copied().filter(|mode| *mode != Mode::Bon) {
        let aligned = search(config(mode, "tokens:12000")).await;
        let trajectory = aligned.trajectory();
        let left = trajectory.budget_left.unwrap();
        assert!((-0.02..0.45).contains(&left), "{mode}: {left}");
        assert_eq!(trajectory.stopped, Some(StopReason::Tokens), "{mode}");
        let made = trajectory.candidates.iter().map(|one| one.iteration).max().unwrap();
        assert!(made >= 1, "{mode}");
        if mode != Mode::Shuffled {
            let spent = trajectory.usage.tokens.total() as f64;
            assert!((left - (1.0 - spent / 12_000.0)).abs() < 1e-12, "{mode}: {left}");
        }
    }
}

/// A critique of another query is part of the budget, the answers to that query are not.
#[tokio::test]
async fn borrowed_critique_counts_but_not_the_answers_of_the_donor() {
    let shuffled = search(config(Mode::Shuffled, "tokens:12000")).await;
    let donor = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward))
        .config(config(Mode::Tpo, "tokens:12000"));
    let donor = donor.build().unwrap().align_at(1, QUERIES[1]).await.unwrap();
    let answers = |aligned: &Alignment| {
        let purposes = [Purpose::Sample, Purpose::Update];
        let usage = &aligned.trajectory().usage;
        let tokens = purposes.map(|purpose| usage.by_purpose[&purpose].tokens.total());
        tokens.iter().sum::<u64>()
    };
    let (all, aside) = (shuffled.trajectory().usage.tokens.total(), answers(&donor));
    let left = shuffled.trajectory().budget_left.unwrap();
    assert!((left - (1.0 - (all - aside) as f64 / 12_000.0)).abs() < 1e-12, "{left}");
    let made = |aligned: &Alignment| aligned.trajectory().iterations.len();
    assert!(made(&shuffled).abs_diff(made(&donor)) <= 1, "as far as the donor came");
}

/// Replies with a fixed usage: the prompt of an update costs ten times as much.
fn priced() -> Arc<dyn textgrad_core::Engine> {
    Arc::new(engine_fn("priced", |request: Request| async move {
        let n = u64::from(request.sampling.n);
        let usage = match request.purpose {
            Purpose::Sample => {
                Usage { prompt_tokens: 10, completion_tokens: 10 * n, ..Usage::default() }
            }
            _ => Usage { prompt_tokens: 100, completion_tokens: 20, ..Usage::default() },
        };
        let text = match request.purpose {
            Purpose::Sample => "an answer",
            _ => "<IMPROVED_VARIABLE>an answer, rewritten</IMPROVED_VARIABLE>",
        };
        let choice = |number| Choice::new(format!("{text} {number}"), FinishReason::Stop);
        let mut response = Response::new((0..request.sampling.n).map(choice).collect());
        response.usage = usage;
        Ok::<_, EngineError>(response)
    }))
}

#[tokio::test]
async fn each_kind_ends_a_search_before_it_is_passed() {
    // A resampling search takes 1 call, 3 answers and 10 + 30 tokens at a time; the price is 1 and 2 per million.
    let prices = r#"{"priced": {"input": 1, "output": 2}}"#;
    for (budget, draws, left) in [
        ("answers:9", 3, 0.0),
        ("answers:11", 3, 2.0 / 11.0),
        ("calls:4", 4, 0.0),
        ("tokens:159", 3, 39.0 / 159.0),
        ("tokens:160", 4, 0.0),
        ("prompt-tokens:25", 2, 0.2),
        ("completion-tokens:100", 3, 0.1),
        ("money:0.00035", 5, 0.0),
        ("calls:100,tokens:85", 2, 5.0 / 85.0),
    ] {
        let mut config = config(Mode::Resample, budget);
        config.early_stop.prices =
            config.early_stop.budget.money.map(|_| Prices::from_json(prices).unwrap());
        let tpo = Tpo::builder(priced(), Arc::new(SimReward)).config(config).build().unwrap();
        let aligned = tpo.align(QUERIES[0]).await.unwrap();
        let trajectory = aligned.trajectory();
        assert_eq!(trajectory.usage.requests, draws, "{budget}");
        assert!((trajectory.budget_left.unwrap() - left).abs() < 1e-9, "{budget}");
    }
}

#[tokio::test]
async fn the_first_iteration_is_expected_to_take_the_samples_for_each_of_its_requests() {
    // Loss, gradient and update after one call of 40 tokens: 120 more are expected.
    for (tokens, requests) in [(159, 1), (160, 4)] {
        let budget = format!("tokens:{tokens}");
        let tpo = Tpo::builder(
            priced(),
            Arc::new(reward_fn("length", |_, answer: &str| answer.len() as f64)),
        )
        .config(config(Mode::Tpo, &budget))
        .build()
        .unwrap();
        let aligned = tpo.align(QUERIES[0]).await.unwrap();
        assert_eq!(aligned.trajectory().usage.requests, requests, "{tokens}");
    }
    // 360 were taken, which the budget shows.
    let aligned = search(config(Mode::Tpo, "tokens:1")).await;
    assert_eq!(aligned.trajectory().usage.requests, 1);
    assert!(aligned.trajectory().budget_left.unwrap() < -100.0);
    let unbounded = SearchBudget { money: Some(Money::ZERO), ..SearchBudget::default() };
    let early_stop = EarlyStop { budget: unbounded, ..EarlyStop::default() };
    let error = TpoConfig { early_stop, ..TpoConfig::default() }.validate().unwrap_err();
    assert!(error.to_string().contains("prices"), "{error}");
}
