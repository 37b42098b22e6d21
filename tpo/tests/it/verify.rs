//! Runs checked against the way that their scores speak for.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use textgrad_core::{
    Choice, Engine, EngineError, ErrorKind, FinishReason, Layout, Request, Response, engine_fn,
};
use textgrad_ops::sim::Sim;
use tpo::run::{RecordedRun, ResultRecord, Scores};
use tpo::{
    Acceptance, Combine, Comparison, EarlyStop, EngineScope, Ensemble, JudgeReward, Member, Mode,
    PairCx, PairSelection, Pairs, Query, RewardInfo, RewardModel, SimReward, Tpo, TpoBuilder,
    TpoConfig, reward_fn,
};

use crate::support::{recorded, sealed};

const QUERIES: [&str; 3] =
    ["How do I take care of a wooden table?", "Why is the sky blue?", "How do I boil an egg?"];

const ALL_PAIRS: [Pairs; 5] =
    [Pairs::BestWorst, Pairs::Newest, Pairs::Median, Pairs::All, Pairs::TopBottom(2)];

fn config(mode: Mode) -> TpoConfig {
    TpoConfig { mode, samples: 3, ..TpoConfig::default() }
}

fn tpo(reward: impl RewardModel + 'static, config: TpoConfig) -> TpoBuilder {
    Tpo::builder(Arc::new(Sim::default()), Arc::new(reward)).config(config)
}

async fn run(path: &Path, tpo: TpoBuilder) -> RecordedRun {
    run_over(path, tpo, &QUERIES).await
}

async fn run_over(path: &Path, tpo: TpoBuilder, queries: &[&str]) -> RecordedRun {
    recorded(path, tpo.build().unwrap(), queries, 64).await
}

fn told(run: &RecordedRun) -> Vec<String> {
    run.verify().unwrap().findings.iter().map(ToString::to_string).collect()
}

/// Scores by what a text has of some letter: many are equal.
fn coarse() -> impl RewardModel {
    reward_fn("coarse", |_, answer: &str| (answer.matches('e').count() % 3) as f64)
}

#[tokio::test]
async fn runs_of_all_modes_pairs_and_layouts_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    for (place, mode) in Mode::ALL.iter().copied().enumerate() {
        for pairs in ALL_PAIRS {
            for (accept, layout) in [
                (Acceptance::Improvement, Layout::Quoted),
                (Acceptance::Always, Layout::Quoted),
                (Acceptance::Improvement, Layout::Continued),
            ] {
                let config = TpoConfig { pairs, accept, layout, ..config(mode) };
                if config.validate().is_err() {
                    continue;
                }
                let path = folder.path().join(format!("{place} {pairs} {accept} {layout:?}"));
                let run = match accept {
                    Acceptance::Always => tpo(coarse(), config),
                    Acceptance::Improvement => tpo(SimReward, config),
                };
                let run = run_over(&path, run, &QUERIES[..2]).await;
                assert!(told(&run).is_empty(), "{mode} {pairs} {accept}: {:?}", told(&run));
            }
        }
    }
}

#[tokio::test]
async fn so_are_searches_that_ended_before_their_last_iteration() {
    let folder = tempfile::tempdir().unwrap();
    let early_stop = EarlyStop { patience: Some(1), min_gain: 1000.0, ..EarlyStop::default() };
    let stopped = TpoConfig { iterations: 4, early_stop, ..config(Mode::Tpo) };
    let stopped = run(&folder.path().join("stopped"), tpo(SimReward, stopped)).await;
    assert!(stopped.result(0).unwrap().trajectory.stopped.is_some());
    assert!(told(&stopped).is_empty(), "{:?}", told(&stopped));

    // The reward model knows the first answers only.
    let picky = reward_fn("picky", |_, answer: &str| match answer.len() % 5 {
        0 | 1 => f64::NAN,
        other => other as f64,
    });
    let failed = TpoConfig { iterations: 4, ..config(Mode::Tpo) };
    let failed = run(&folder.path().join("failed"), tpo(picky, failed)).await;
    let found = failed.verify().unwrap();
    assert!(found.is_sound() && found.failed > 0, "{found:?}");
}

/// How many of the answers are shorter: relative, and perhaps with an engine of which a journal knows nothing.
#[derive(Clone)]
struct Ranks {
    asks: bool,
}

#[async_trait]
impl RewardModel for Ranks {
    fn info(&self) -> &RewardInfo {
        static INFO: LazyLock<RewardInfo> = LazyLock::new(|| {
            RewardInfo::new("ranks").with_identity("ranks by length").with_relative(true)
        });
        &INFO
    }

    async fn score(&self, _: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        if answers.is_empty() {
            return Err(EngineError::new(ErrorKind::InvalidRequest, "no answers"));
        }
        let shorter = |one: &&str| answers.iter().filter(|other| other.len() < one.len()).count();
        Ok(answers.iter().map(|answer| shorter(answer) as f64).collect())
    }

    fn bind(&self, _: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        self.asks.then(|| Arc::new(self.clone()) as Arc<dyn RewardModel>)
    }
}

#[tokio::test]
async fn a_shuffled_run_without_the_scores_of_its_donors_says_why_it_cannot_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), tpo(Ranks { asks: true }, config(Mode::Shuffled))).await;
    let error = run.align(0, Arc::new(tpo::prompts::default_pack())).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("mode shuffled") && error.contains("cannot be drawn"), "{error}");
}

#[tokio::test]
async fn scores_that_hold_for_a_moment_only_are_those_of_then() {
    let folder = tempfile::tempdir().unwrap();
    for asks in [false, true] {
        let path = folder.path().join(format!("{asks}"));
        let run = run(&path, tpo(Ranks { asks }, config(Mode::Tpo))).await;
        assert_eq!(run.config().scores, Scores { asked: asks, relative: true });
        assert!(told(&run).is_empty(), "{asks}: {:?}", told(&run));
    }
    // Scores of the first pool, which no result has any more.
    let run = RecordedRun::open(folder.path().join("false")).unwrap();
    let journal = std::fs::read_to_string(run.journal()).unwrap();
    let first = journal
        .lines()
        .filter(|line| line.contains("\"query\":1,") && line.contains("\"score\":2.0"));
    let first = first.min_by_key(|line| journal.find(*line)).unwrap();
    let low = first.replace("\"score\":2.0", "\"score\":-1.0");
    std::fs::write(run.journal(), sealed(&journal.replacen(first, &low, 1))).unwrap();
    let told = told(&run);
    assert!(told.iter().any(|told| told.contains("query 1: iteration 1: expected")), "{told:?}");
    let config = std::fs::read_to_string(run.path().join("config.json")).unwrap();
    assert!(config.contains("\"relative\""), "{config}");
}

/// Grades by how long the request is, and says of two answers that the one before is better.
fn grader() -> Arc<dyn Engine> {
    Arc::new(engine_fn("grader", |request: Request| {
        let text = request.messages[1].text();
        let verdict = match text.contains("from 1 to 10") {
            true => (text.len() % 10 + 1).to_string(),
            false => "A".to_owned(),
        };
        let choice = Choice::new(format!("<VERDICT>{verdict}</VERDICT>"), FinishReason::Stop);
        async move { Ok::<_, EngineError>(Response::new(vec![choice])) }
    }))
}

#[tokio::test]
async fn runs_that_judges_scored_are_sound_and_their_pairs_are_those_of_the_grades() {
    let folder = tempfile::tempdir().unwrap();
    let judge = || JudgeReward::builder(grader());
    let both = [Member::new(judge().build().unwrap()), Member::new(SimReward)];
    let rewards: [(&str, Arc<dyn RewardModel>); 3] = [
        ("grades", Arc::new(judge().build().unwrap())),
        ("pairs", Arc::new(judge().pairwise().build().unwrap())),
        ("both", Arc::new(Ensemble::new(both, Combine::Mean).unwrap())),
    ];
    for (name, reward) in rewards {
        let run = run(&folder.path().join(name), tpo(reward, config(Mode::Tpo))).await;
        assert_eq!(run.config().scores, Scores { asked: true, relative: name == "pairs" });
        let failed = run.result(0).unwrap().error;
        assert_eq!((run.verify().unwrap().failed, failed), (0, None), "{name}");
        assert!(told(&run).is_empty(), "{name}: {:?}", told(&run));
    }
    let run = RecordedRun::open(folder.path().join("grades")).unwrap();
    edit(&run, 1, |record| {
        let made = &mut record.trajectory.iterations[1];
        (made.chosen, made.rejected) = (made.chosen + 1, vec![made.chosen]);
    });
    assert!(told(&run)[0].contains("query 1: iteration 2: expected answer"), "{:?}", told(&run));
}

/// The one that it scores highest is another one whenever there are more answers.
struct Turns;

#[async_trait]
impl RewardModel for Turns {
    fn info(&self) -> &RewardInfo {
        static INFO: LazyLock<RewardInfo> =
            LazyLock::new(|| RewardInfo::new("turns").with_relative(true));
        &INFO
    }

    async fn score(&self, _: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let count = answers.len();
        Ok((0..count).map(|place| ((place + count / 3) % 3) as f64).collect())
    }
}

#[tokio::test]
async fn searches_that_judges_scored_are_drawn_from_their_journals() {
    let folder = tempfile::tempdir().unwrap();
    let judge = || JudgeReward::builder(grader());
    let both = [Member::new(judge().build().unwrap()), Member::new(SimReward)];
    let rewards: [(&str, Arc<dyn RewardModel>); 4] = [
        ("grades", Arc::new(judge().build().unwrap())),
        ("pairs", Arc::new(judge().pairwise().build().unwrap())),
        ("both", Arc::new(Ensemble::new(both, Combine::Mean).unwrap())),
        ("turns", Arc::new(Turns)),
    ];
    let prompts = Arc::new(tpo::prompts::default_pack());
    for (name, reward) in rewards {
        for (early_stop, what) in [
            (EarlyStop::default(), "whole"),
            // What the reward model asks counts, and scores are those of then.
            (EarlyStop { budget: "calls:12".parse().unwrap(), ..EarlyStop::default() }, "calls"),
            (EarlyStop { target: Some(1.5), ..EarlyStop::default() }, "target"),
        ] {
            let config = TpoConfig { early_stop, iterations: 3, ..config(Mode::Tpo) };
            let search = || tpo(Arc::clone(&reward), config.clone());
            let run = run(&folder.path().join(format!("{name}-{what}")), search()).await;
            let journal = std::fs::read(run.journal()).unwrap();
            for (index, query) in QUERIES.iter().enumerate() {
                let recalled = run.align(index, Arc::clone(&prompts)).await.unwrap();
                let live = search().build().unwrap().align_at(index, *query).await.unwrap();
                let (recalled, live) = (recalled.graph(), live.graph());
                assert_eq!(recalled.view().to_json(), live.view().to_json(), "{name} {what}");
            }
            assert_eq!(std::fs::read(run.journal()).unwrap(), journal, "nothing is written");
        }
    }
}

/// The first answer against the last.
struct Own;

impl PairSelection for Own {
    fn name(&self) -> String {
        "own".to_owned()
    }

    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison> {
        let last = cx.pool().candidates().len() - 1;
        vec![Comparison::new(0, vec![last])]
    }
}

#[tokio::test]
async fn comparisons_of_a_selection_of_ones_own_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let own = tpo(SimReward, config(Mode::Tpo)).pairs(Arc::new(Own));
    let run = run(&folder.path().join("own"), own).await;
    assert!(told(&run).is_empty(), "{:?}", told(&run));
}

fn edit(run: &RecordedRun, query: usize, change: impl Fn(&mut ResultRecord)) {
    let mut text = String::new();
    for record in run.results().unwrap() {
        let mut record = record.unwrap();
        let before = record.clone();
        if record.index == query {
            change(&mut record);
            assert_ne!(record, before, "the edit did nothing");
        }
        text.push_str(&format!("{}\n", serde_json::to_string(&record).unwrap()));
    }
    std::fs::write(run.path().join("results.jsonl"), text).unwrap();
}

fn copy(of: &RecordedRun, to: &Path) -> RecordedRun {
    std::fs::create_dir(to).unwrap();
    for name in ["config.json", "results.jsonl", "journal.jsonl"] {
        std::fs::copy(of.path().join(name), to.join(name)).unwrap();
    }
    RecordedRun::open(to).unwrap()
}

#[tokio::test]
async fn a_result_that_its_scores_do_not_speak_for_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&folder.path().join("whole"), tpo(SimReward, config(Mode::Tpo))).await;
    assert!(told(&whole).is_empty());
    type Edit<'a> = &'a dyn Fn(&mut ResultRecord);
    let cases: [(Edit<'_>, &str); 9] = [
        (
            &|record| {
                let made = &mut record.trajectory.iterations[1];
                std::mem::swap(&mut made.chosen, &mut made.rejected[0]);
            },
            "query 1: iteration 2: expected answer",
        ),
        (
            &|record| {
                let made = &mut record.trajectory.iterations[0];
                made.rejected = vec![3 - made.chosen - made.rejected[0]];
            },
            "query 1: iteration 1: expected answer",
        ),
        (&|record| record.trajectory.iterations[0].rejected.clear(), "against none"),
        (
            &|record| {
                let other = record.trajectory.candidates[0].clone();
                let best = record.best.as_mut().unwrap();
                assert_ne!(best.text, other.text);
                (best.text, best.score, best.iteration) = (other.text, other.score, 0);
            },
            "query 1: the best answer is not that of the trajectory: expected answer",
        ),
        (
            &|record| _ = record.trajectory.iterations.pop(),
            "query 1: expected 2 iteration(s), got 1",
        ),
        (&|record| _ = record.trajectory.iterations.remove(0), "query 1: iteration 1: expected"),
        (
            &|record| record.trajectory.iterations[1].iteration = u32::MAX,
            "query 1: expected 2 iteration(s), got 4294967295",
        ),
        (&|record| record.trajectory.iterations.swap(0, 1), "query 1: its answers or iterations"),
        (&|record| record.trajectory.candidates.swap(0, 5), "query 1: its answers or iterations"),
    ];
    for (place, (change, words)) in cases.iter().enumerate() {
        let run = copy(&whole, &folder.path().join(format!("case {place}")));
        edit(&run, 1, change);
        let told = told(&run);
        assert!(told.iter().any(|told| told.contains(words)), "{words}: {told:?}");
        assert!(told.iter().all(|told| told.starts_with("results.jsonl, line 2: query 1: ")));
    }
}

#[tokio::test]
async fn scores_that_were_changed_in_both_files_lead_to_other_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), tpo(SimReward, config(Mode::Tpo))).await;
    let chosen = run.result(2).unwrap().trajectory.iterations[0].chosen;
    let score = run.result(2).unwrap().trajectory.candidates[chosen].score;
    let journal = std::fs::read_to_string(run.journal()).unwrap();
    let number = |score: f64| serde_json::to_string(&score).unwrap();
    let lower = format!("\"score\":{}", number(score - 1000.0));
    let changed = journal.replace(&format!("\"score\":{}", number(score)), &lower);
    assert_ne!(changed, journal);
    std::fs::write(run.journal(), sealed(&changed)).unwrap();
    edit(&run, 2, |record| {
        for candidate in &mut record.trajectory.candidates {
            if candidate.score == score {
                candidate.score -= 1000.0;
            }
        }
        let best = record.trajectory.best().unwrap().clone();
        let told = record.best.as_mut().unwrap();
        (told.text, told.score, told.iteration) = (best.text, best.score, best.iteration);
    });
    let told = told(&run);
    assert!(told[0].contains("query 2: iteration 1: expected answer"), "{told:?}");
}

#[tokio::test]
async fn of_equal_scores_another_winner_is_found_by_the_order_of_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let constant = reward_fn("constant", |_, _: &str| 1.0);
    let run = run(&folder.path().join("a"), tpo(constant, config(Mode::Tpo))).await;
    assert!(told(&run).is_empty(), "{:?}", told(&run));
    edit(&run, 0, |record| {
        record.trajectory.candidates.swap(0, 1);
        record.best.as_mut().unwrap().text = record.trajectory.candidates[0].text.clone();
    });
    let told = told(&run);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("query 0: answer 1 does not stand in the order"), "{told:?}");
}
