//! Methods of the literature, and parts of a search that are not of the crate.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Choice, Engine, EngineError, Feedback, FinishReason, Purpose, Request, Response, Variable,
    engine_fn,
};
use textgrad_ops::sim::Sim;
use tpo::run::{RecordedRun, Run, RunFolder};
use tpo::search::{
    ComparisonCx, Critique, Iteration, IterationCx, Method, PoolPolicy, Progress, Rewrite, Step,
    StopRule, Update,
};
use tpo::{
    Comparison, Error, Mode, PairCx, PairSelection, Pool, Query, RewardModel, SimReward,
    StopReason, Tpo, TpoBuilder, reward_fn,
};

const QUERIES: [&str; 2] = ["How do I take care of a wooden table?", "Why is the sky blue?"];

const UPDATE: &str = "<IMPROVED_VARIABLE>\nnew\n</IMPROVED_VARIABLE>";

fn length() -> Arc<dyn RewardModel> {
    Arc::new(reward_fn("length", |_, answer: &str| answer.len() as f64))
}

fn on(engine: &Arc<ScriptedEngine>, mode: Mode) -> TpoBuilder {
    Tpo::builder(Arc::clone(engine) as Arc<dyn Engine>, length()).mode(mode).iterations(1)
}

/// An engine that numbers its answers and keeps what it was asked.
fn numbered() -> (Arc<dyn Engine>, Arc<Mutex<Vec<Request>>>) {
    let asked = Arc::new(Mutex::new(Vec::<Request>::new()));
    let kept = Arc::clone(&asked);
    let engine = engine_fn("numbered", move |request: Request| {
        let kept = Arc::clone(&kept);
        async move {
            let number = {
                let mut kept = kept.lock().unwrap();
                kept.push(request.clone());
                kept.len()
            };
            let choice =
                |index| Choice::new(format!("answer {number}.{index}"), FinishReason::Stop);
            Ok::<_, EngineError>(Response::new((0..request.sampling.n).map(choice).collect()))
        }
    });
    (Arc::new(engine), asked)
}

#[tokio::test]
async fn recursive_self_aggregation_fuses_k_different_members_of_the_last_population() {
    let (engine, asked) = numbered();
    let tpo = Tpo::builder(engine, length()).mode(Mode::Rsa).samples(5).fuse(3).iterations(2);
    let tpo = tpo.build().unwrap();
    let aligned = tpo.align("Why?").await.unwrap();
    let requests = asked.lock().unwrap().clone();
    assert_eq!((requests.len(), tpo.requests()), (1 + 2 * 5, 1 + 2 * 5));
    let candidates = &aligned.trajectory().candidates;
    for (step, request) in aligned.trajectory().iterations.iter().zip(&requests[1..]) {
        let mut members: Vec<usize> = vec![step.chosen];
        members.extend(&step.rejected);
        let prompt = request.messages.last().unwrap().text();
        assert_eq!((prompt.matches("<CANDIDATE>").count(), request.sampling.n), (3, 1));
        for member in &members {
            assert!(prompt.contains(&candidates[*member].text), "{member}: {prompt}");
            assert_eq!(candidates[*member].iteration, step.iteration - 1);
        }
        members.sort_unstable();
        members.dedup();
        assert_eq!(members.len(), 3);
    }
}

#[tokio::test]
async fn a_mixture_of_agents_fuses_the_best_of_the_pool() {
    let engine = ScriptedEngine::default()
        .on(Purpose::Sample, Reply::texts(["a", "aaaa", "aa", "aaa"]))
        .on(Purpose::Update, Reply::texts(["fused", "f", "f", "f"]));
    let engine = Arc::new(engine);
    let tpo = on(&engine, Mode::Fuse).samples(4).fuse(2).build().unwrap();
    let aligned = tpo.align("Why?").await.unwrap();
    assert_eq!(aligned.answer(), "fused");
    let step = &aligned.trajectory().iterations[0];
    assert_eq!((step.chosen, &step.rejected[..], step.updates), (1, &[3][..], 4));
}

#[tokio::test]
async fn notes_are_taken_of_the_drafts_and_stand_in_the_next_request() {
    for (mode, shows_candidates) in [(Mode::Tsan, true), (Mode::Pdr, false)] {
        let engine = ScriptedEngine::default()
            .on(Purpose::Sample, Reply::texts(["one", "three"]))
            .on(Purpose::Loss, "Mind the gap.")
            .on(Purpose::Update, Reply::texts(["better", "worse"]));
        let engine = Arc::new(engine);
        let tpo = on(&engine, mode).samples(2).build().unwrap();
        let aligned = tpo.align("Why?").await.unwrap();
        assert_eq!(aligned.trajectory().iterations[0].losses, ["Mind the gap."]);
        let update = engine.requests()[2].messages.last().unwrap().text();
        assert!(update.contains("<NOTES>\nMind the gap.\n</NOTES>"), "{update}");
        assert_eq!(update.contains("<CANDIDATE>\nthree"), shows_candidates, "{update}");
    }
}

/// A judge that prefers the answer with the earlier letter.
fn alphabetical(request: &Request) -> String {
    let text = request.messages[1].text();
    let mut answers =
        text.split("<RESPONSE>\n").skip(1).map(|rest| rest.lines().next().unwrap_or_default());
    let (a, b) = (answers.next().unwrap(), answers.next().unwrap());
    format!("{} comes first.\n<VERDICT>{}</VERDICT>", a.min(b), if a < b { "A" } else { "B" })
}

fn judging(samples: &'static [&'static str]) -> Arc<dyn Engine> {
    Arc::new(engine_fn("judging", move |request: Request| async move {
        let texts: Vec<String> = match request.purpose {
            Purpose::Judge => vec![alphabetical(&request)],
            Purpose::Sample => samples.iter().map(ToString::to_string).collect(),
            _ => vec!["<IMPROVED_VARIABLE>\na new one\n</IMPROVED_VARIABLE>".to_owned(); 2],
        };
        let choices = texts.into_iter().map(|text| Choice::new(text, FinishReason::Stop));
        Ok::<_, EngineError>(Response::new(choices.collect()))
    }))
}

#[tokio::test]
async fn a_tournament_returns_who_wins_whatever_the_reward() {
    let engine = judging(&["cc", "dddd", "b", "eeeee", "aaa"]);
    let tpo = Tpo::builder(engine, length()).mode(Mode::Tournament).iterations(0).build().unwrap();
    let aligned = tpo.align("Why?").await.unwrap();
    assert_eq!((aligned.answer(), aligned.score()), ("aaa", 3.0));
    let trajectory = aligned.trajectory();
    assert_eq!((trajectory.selected, trajectory.best().unwrap().text.as_str()), (Some(4), "aaa"));
    assert_eq!(
        trajectory.usage.by_purpose[&Purpose::Judge].requests,
        2 * 4,
        "N - 1 matches in both orders"
    );
}

#[tokio::test]
async fn a_champion_is_replaced_by_who_wins_in_both_orders_and_rationales_are_the_feedback() {
    let engine = judging(&["zz", "ccc", "b"]);
    let tpo = Tpo::builder(engine, length()).mode(Mode::FeedbackDescent).samples(3).iterations(2);
    let aligned = tpo.build().unwrap().align("Why?").await.unwrap();
    let iterations = &aligned.trajectory().iterations;
    // The best by reward meets the next best: `ccc` stays. Then the proposal is earlier in the alphabet.
    assert_eq!((iterations[0].chosen, &iterations[0].rejected[..]), (1, &[0][..]));
    assert_eq!((iterations[1].chosen, &iterations[1].rejected[..]), (3, &[1][..]));
    assert!(
        iterations[0].losses.iter().all(|loss| loss.contains("ccc comes first.")),
        "{iterations:?}"
    );
    assert_eq!(iterations[0].losses.len(), 2);
}

#[tokio::test]
async fn a_vote_returns_the_most_frequent_conclusion() {
    let answers = ["It is long, but the answer is 7.", "The answer is 4.", "So: answer: 4"];
    let engine = Arc::new(ScriptedEngine::default().on(Purpose::Sample, Reply::texts(answers)));
    let tpo = on(&engine, Mode::Vote).samples(3).iterations(0).build().unwrap();
    assert_eq!(tpo.align("2 + 2?").await.unwrap().answer(), answers[1]);
    let answers = ["1", "two"];
    let engine = Arc::new(ScriptedEngine::default().on(Purpose::Sample, Reply::texts(answers)));
    let tpo = on(&engine, Mode::Vote).samples(2).iterations(0).build().unwrap();
    assert_eq!(tpo.align("2 + 2?").await.unwrap().answer(), answers[1], "no majority: by score");
}

#[tokio::test]
async fn groups_weigh_their_comparisons_by_how_far_apart_scores_are() {
    let engine = ScriptedEngine::default()
        .on(Purpose::Sample, Reply::texts(["aaaaaaaaaa", "a", "aaaa"]))
        .on(Purpose::Loss, "loss 1")
        .on(Purpose::Loss, "loss 2")
        .on(Purpose::Gradient, "gradient 1")
        .on(Purpose::Gradient, "gradient 2")
        .on(Purpose::Update, Reply::texts([UPDATE; 3]));
    let engine = Arc::new(engine);
    let tpo = Tpo::builder(Arc::clone(&engine) as Arc<dyn Engine>, length());
    let tpo = tpo.samples(3).iterations(1).pairs(Arc::new(OnlyFirst)).build().unwrap();
    let aligned = tpo.align("Why?").await.unwrap();
    let step = &aligned.trajectory().iterations[0];
    assert_eq!((step.chosen, &step.rejected[..]), (0, &[1, 2][..]));
    assert!((step.weights[0] / step.weights[1] - 9.0 / 6.0).abs() < 1e-9, "{:?}", step.weights);
    let gradients: Vec<String> = engine
        .requests()
        .iter()
        .filter(|request| request.purpose == Purpose::Gradient)
        .map(|request| request.messages[1].text())
        .collect();
    assert!(gradients[0].contains("60 %") && gradients[1].contains("40 %"), "{gradients:?}");
}

/// The first comparison of a group.
struct OnlyFirst;

impl PairSelection for OnlyFirst {
    fn name(&self) -> String {
        "only the first of group:2".to_owned()
    }

    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison> {
        let group: tpo::Pairs = "group:2".parse().unwrap();
        group.select(cx).into_iter().take(1).collect()
    }
}

struct Terse;

#[async_trait]
impl Critique for Terse {
    fn name(&self) -> String {
        "terse".to_owned()
    }

    async fn critique(
        &self,
        cx: &ComparisonCx<'_>,
        step: &mut Step,
    ) -> Result<Vec<Feedback>, Error> {
        let loss = textgrad_ops::TextLoss::new(
            Arc::clone(cx.search().critic()),
            "What is missing in this text?",
        );
        let loss = loss.seed(cx.seed().child("loss", 0)).evaluate(cx.chosen()).await?;
        cx.differentiate([loss], step).await
    }
}

struct Append;

#[async_trait]
impl Update for Append {
    fn name(&self) -> String {
        "append".to_owned()
    }

    async fn update(
        &self,
        cx: &ComparisonCx<'_>,
        feedback: &[Feedback],
        samples: u32,
        _: &mut Step,
    ) -> Result<Vec<Variable>, Error> {
        let prompt = format!("{} {}", cx.chosen().text().unwrap_or_default(), feedback[0].text());
        let prompt = Variable::constant(prompt, "request of my own");
        cx.search().answer(&prompt, samples, cx.seed().child("append", 0)).await
    }
}

/// The newest three.
struct NewestThree;

impl PoolPolicy for NewestThree {
    fn name(&self) -> String {
        "newest three".to_owned()
    }

    fn eligible(&self, pool: &Pool) -> Vec<usize> {
        pool.newest().into_iter().take(3).collect()
    }
}

struct After(usize);

impl StopRule for After {
    fn name(&self) -> String {
        format!("after {} answers", self.0)
    }

    fn stops(&self, progress: &Progress<'_>) -> bool {
        progress.pool.candidates().len() >= self.0
    }
}

fn own(limit: usize) -> Tpo {
    let method = Rewrite::default().critique(Arc::new(Terse)).update(Arc::new(Append));
    Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward))
        .method(Arc::new(method))
        .pool_policy(Arc::new(NewestThree))
        .stop_rule(Arc::new(After(limit)))
        .iterations(3)
        .build()
        .unwrap()
}

#[tokio::test]
async fn parts_of_ones_own_are_journaled_resumed_verified_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let tpo = own(15);
    let queries: Vec<Query> = QUERIES.map(Query::from).into();
    let config = tpo::run::RunConfig::new(&tpo, "queries", &queries);
    let opened = RunFolder::create(&path, &config).await.unwrap();
    let report =
        Run::new(tpo.clone(), queries.clone()).open(opened).execute(&mut ()).await.unwrap();
    assert!(report.is_complete());
    drop(report);
    let results = std::fs::read_to_string(path.join("results.jsonl")).unwrap();
    let run = RecordedRun::open(&path).unwrap();
    assert!(run.verify().unwrap().is_sound(), "{:?}", run.verify().unwrap().findings);
    let parts = &run.config().own_parts;
    assert_eq!(parts["method"], "rewrite: best-worst, terse, append");
    assert_eq!(
        (parts["pool_policy"].as_str(), parts["stop_rule"].as_str()),
        ("newest three", "after 15 answers")
    );
    let stopped = run.result(0).unwrap().trajectory.stopped;
    assert_eq!(stopped, Some(StopReason::Other("after 15 answers".to_owned())));

    // Continued, everything is in the journal; with another rule it is another run.
    std::fs::remove_file(path.join("results.jsonl")).unwrap();
    let opened = RunFolder::resume(&path, &config).await.unwrap();
    Run::new(tpo, queries.clone()).open(opened).execute(&mut ()).await.unwrap();
    assert_eq!(std::fs::read_to_string(path.join("results.jsonl")).unwrap(), results);
    let other = tpo::run::RunConfig::new(&own(20), "queries", &queries);
    let error = RunFolder::resume(&path, &other).await.unwrap_err().to_string();
    assert!(error.contains("after 15 answers") && error.contains("after 20 answers"), "{error}");
}

/// Breaks a rule of its trait.
enum Faulty {
    Answer(Variable),
    Selects(usize),
}

#[async_trait]
impl Method for Faulty {
    fn name(&self) -> String {
        "faulty".to_owned()
    }

    async fn iterate(&self, _: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        if let Self::Answer(answer) = self {
            made.answers = vec![answer.clone()];
        }
        Ok(())
    }

    async fn select(&self, _: &IterationCx<'_>, _: &mut Iteration) -> Result<Option<usize>, Error> {
        Ok(match self {
            Self::Selects(position) => Some(*position),
            Self::Answer(_) => None,
        })
    }
}

#[tokio::test]
async fn what_a_part_does_wrong_is_said_with_its_name() {
    let image = textgrad_core::Image::new(vec![1_u8, 2, 3], "image/png").unwrap();
    let no_text =
        "the method \"faulty\" in iteration 1: expected texts as new answers, got none as number 0";
    for (method, expected) in [
        (Faulty::Answer(Variable::constant(image, "image")), no_text),
        (Faulty::Answer(Variable::constant(" \n", "blank")), no_text),
        (
            Faulty::Selects(9),
            "the method \"faulty\" in iteration 1: expected a position from 0 to 4, got answer 9",
        ),
    ] {
        let tpo =
            Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).method(Arc::new(method));
        let failure = tpo.build().unwrap().align("Why?").await.unwrap_err();
        assert_eq!((failure.error.to_string().as_str(), failure.error.kind()), (expected, "part"));
        assert_eq!(failure.trajectory.candidates.len(), 5, "what was found is kept");
    }
    let error = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward))
        .mode(Mode::Own)
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("own without a method"), "{error}");
}

#[tokio::test]
async fn the_controls_show_other_pairs_and_return_the_best_nevertheless() {
    let with_critique = Arc::new(
        ScriptedEngine::default()
            .on(Purpose::Sample, Reply::texts(["a", "aaaa", "aa"]))
            .on(Purpose::Loss, "loss")
            .on(Purpose::Gradient, "gradient")
            .on(Purpose::Update, Reply::texts([UPDATE; 3])),
    );
    let aligned =
        on(&with_critique, Mode::Reversed).samples(3).build().unwrap().align("Why?").await.unwrap();
    let step = &aligned.trajectory().iterations[0];
    assert_eq!((step.chosen, &step.rejected[..], aligned.answer()), (0, &[1][..], "aaaa"));
    let plain = Arc::new(
        ScriptedEngine::default()
            .on(Purpose::Sample, Reply::texts(["a", "aaaa", "aa"]))
            .on(Purpose::Update, Reply::texts([UPDATE; 3])),
    );
    let aligned =
        on(&plain, Mode::Improve).samples(3).build().unwrap().align("Why?").await.unwrap();
    let step = &aligned.trajectory().iterations[0];
    assert!(step.chosen == 1 && step.rejected.is_empty() && step.losses.is_empty());
    assert_eq!(plain.requests().len(), 2);
}
