//! Searches that go on up to a budget.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    Choice, EngineError, FinishReason, Purpose, Request, Response, Usage, Variable, engine_fn,
};
use textgrad_ops::layer::{Money, Prices};
use textgrad_ops::sim::Sim;
use tpo::report::Bootstrap;
use tpo::run::{RecordedRun, Run, RunConfig};
use tpo::search::{Iteration, IterationCx, Method, Pairs, Spent};
use tpo::study::{Grid, StudyFolder, StudyTable};
use tpo::{
    Alignment, EarlyStop, Error, Mode, Query, SearchBudget, SharedCache, SimReward, StopReason,
    Tpo, TpoConfig, reward_fn,
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

/// Asks for a shorter version of the best answer.
struct Shorten;

#[async_trait]
impl Method for Shorten {
    fn name(&self) -> String {
        "shorten".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let pool = cx.pool();
        let best = pool.best().and_then(|best| pool.get(best)).ok_or(Error::NoAnswer)?;
        let prompt = format!("{}\nA draft: {}\nShorten it.", cx.query().text(), best.text());
        let prompt = Variable::constant(prompt, "request for a shorter answer");
        made.answers = cx.answer(&prompt, cx.config().samples, cx.seed()).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_method_of_ones_own_is_studied_beside_the_modes() {
    let folder = tempfile::tempdir().unwrap();
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward))
        .method(Arc::new(Shorten))
        .build()
        .unwrap();
    let queries: Vec<Query> = QUERIES.map(Query::from).into();
    let modes = vec![Mode::Own, Mode::Resample];
    let equal = "tokens:5000".parse().unwrap();
    let grid = Grid { modes, equal, seeds: vec![1, 2], ..Grid::default() };
    let base = RunConfig::new(&tpo, "queries", &queries);
    let path = folder.path().join("study");
    let study = StudyFolder::create(&path, &grid, &base).unwrap();
    let cache = SharedCache::default();
    let run = async |study: &StudyFolder| {
        for cell in study.cells() {
            let tpo = cache.search(&tpo, cell.config(tpo.config())).unwrap();
            let run = study.begin(cell, Run::new(tpo, queries.clone()).source("queries"));
            let report = run.execute(&mut ()).await.unwrap();
            assert!(report.is_complete());
        }
        StudyTable::read(study, &Bootstrap::default()).unwrap()
    };
    let table = run(&study).await;
    let row = table.row(Mode::Own, 0, 5).unwrap();
    assert_eq!((row.searches, row.seeds), (4, 2));
    assert!(
        row.mean_iterations >= 1.0
            && row.budget_left.is_some_and(|left| (0.0..0.6).contains(&left)),
        "{row:?}"
    );
    assert!(row.difference_from_bon.is_some());
    let cell = study.run(&study.cells()[0]);
    assert!(cell.ends_with("own-tokens-5000-n5-t0.7-s1"), "{cell:?}");
    let recorded = RecordedRun::open(&cell).unwrap();
    assert_eq!(recorded.config().own_parts["method"], "shorten");
    assert!(recorded.verify().unwrap().is_sound());
    // Continued, it comes to the same; the shared cache and the journals have every answer.
    let again = StudyFolder::resume(&path, &grid, &base).unwrap();
    assert_eq!(run(&again).await, table);
}

#[test]
fn estimates_of_very_large_searches_end_at_the_greatest_number() {
    let most = u32::MAX;
    let pairs = Pairs::Group(most);
    let config = TpoConfig { samples: most, iterations: most, pairs, ..TpoConfig::default() };
    assert_eq!(config.requests(), u64::MAX);
    let tpo = Tpo::builder(priced(), Arc::new(SimReward)).config(config).build().unwrap();
    assert_eq!(tpo.requests(), u64::MAX);
    let spent = Spent { answers: u64::MAX, calls: u64::MAX, ..Spent::default() };
    assert_eq!(spent.plus(&spent), spent);
}
