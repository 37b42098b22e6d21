//! Requests of each mode, with equal numbers of answers.

use std::sync::{Arc, Mutex};

use textgrad_core::{Engine, Layout, Purpose, Request, engine_fn};
use textgrad_ops::sim::Sim;
use tpo::journal::Journal;
use tpo::run::{RecordedRun, ResultRecord, RunConfig};
use tpo::{
    Alignment, Batch, Comparison, Mode, PairCx, PairSelection, Query, SimReward, Tpo, TpoConfig,
};

use crate::support::recorded;

const QUERIES: [&str; 4] = [
    "How do I take care of a wooden table?",
    "Why is the sky blue?",
    "How do I boil an egg?",
    "Why does bread rise?",
];

type Said = Vec<(Request, Vec<String>)>;

/// The simulation, with all that was asked and answered.
fn listening() -> (Arc<dyn Engine>, Arc<Mutex<Said>>) {
    listening_to(Sim::default())
}

fn listening_to(sim: Sim) -> (Arc<dyn Engine>, Arc<Mutex<Said>>) {
    let said: Arc<Mutex<Said>> = Arc::default();
    let written = Arc::clone(&said);
    let sim = Arc::new(sim);
    let engine = engine_fn("sim", move |request: Request| {
        let (sim, written) = (Arc::clone(&sim), Arc::clone(&written));
        async move {
            let response = sim.complete(&request).await?;
            let answers = response.choices.iter().map(|choice| choice.text.clone()).collect();
            written.lock().unwrap().push((request, answers));
            Ok(response)
        }
    });
    (Arc::new(engine), said)
}

fn config(mode: Mode) -> TpoConfig {
    TpoConfig { mode, ..TpoConfig::default() }
}

fn tpo(engine: &Arc<dyn Engine>, config: TpoConfig) -> Tpo {
    Tpo::builder(Arc::clone(engine), Arc::new(SimReward)).config(config).build().unwrap()
}

/// The first query, with the second as its partner.
async fn search(mode: Mode) -> (Alignment, Said) {
    let (engine, said) = listening();
    let aligned = tpo(&engine, config(mode)).align_with(0, QUERIES[0], 1, QUERIES[1]).await;
    let said = said.lock().unwrap().clone();
    (aligned.unwrap(), said)
}

fn purposes(said: &Said) -> Vec<Purpose> {
    said.iter().map(|(request, _)| request.purpose).collect()
}

fn texts(request: &Request) -> Vec<String> {
    request.messages.iter().map(textgrad_core::Message::text).collect()
}

fn section<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<{name}>\n")).unwrap();
    rest.split_once(&format!("\n</{name}>")).unwrap().0
}

#[tokio::test]
async fn all_modes_draw_as_many_answers_and_make_the_requests_that_they_say() {
    let [s, l, g, u] = [Purpose::Sample, Purpose::Loss, Purpose::Gradient, Purpose::Update];
    for (mode, expected) in [
        (Mode::Tpo, vec![s, l, g, u, l, g, u]),
        (Mode::Revision, vec![s, l, g, u, l, g, u]),
        (Mode::Listwise, vec![s, l, g, u, l, g, u]),
        (Mode::Ungated, vec![s, l, g, u, l, g, u]),
        (Mode::Bon, vec![s]),
        (Mode::Resample, vec![s, s, s]),
        (Mode::Direct, vec![s, u, u]),
        // The other query's search up to its second gradient, then its own.
        (Mode::Shuffled, vec![s, l, g, u, l, g, s, u, u]),
    ] {
        let (aligned, said) = search(mode).await;
        assert_eq!(purposes(&said), expected, "{mode}");
        assert_eq!(config(mode).requests(), expected.len() as u64, "{mode}");
        let answers = aligned.trajectory().candidates.len() as u64;
        assert_eq!(config(mode).answers(), answers, "{mode}");
        assert_eq!(answers, if mode == Mode::Bon { 5 } else { 15 });
        assert_eq!(aligned.trajectory().usage.requests, expected.len() as u64);
        let first = said.iter().find(|(request, _)| texts(request).join("").contains(QUERIES[0]));
        let (tpo, _) = search(Mode::Tpo).await;
        let first: Vec<String> = first.unwrap().1.clone();
        let same: Vec<&str> =
            tpo.trajectory().candidates.iter().take(5).map(|c| c.text.as_str()).collect();
        if mode != Mode::Shuffled {
            assert_eq!(first, same, "all begin with the same answers");
        }
    }
}

#[tokio::test]
async fn without_critique_more_answers_are_drawn_to_the_query_itself() {
    let (aligned, said) = search(Mode::Resample).await;
    for (request, _) in &said {
        assert_eq!(request.messages, said[0].0.messages);
        assert_eq!(request.sampling.n, 5);
    }
    let mut seeds: Vec<_> = said.iter().map(|(request, _)| request.sampling.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 3, "each with seeds of its own");
    let trajectory = aligned.trajectory();
    let iterations: Vec<(u32, usize)> =
        trajectory.iterations.iter().map(|made| (made.iteration, made.updates)).collect();
    assert_eq!(iterations, [(1, 5), (2, 5)]);
    assert!(
        trajectory.iterations.iter().all(|made| made.losses.is_empty() && made.gradient.is_none())
    );
}

#[tokio::test]
async fn without_the_chain_rule_the_comparison_itself_is_shown() {
    let (aligned, said) = search(Mode::Direct).await;
    let (gradual, _) = search(Mode::Tpo).await;
    let made = &aligned.trajectory().iterations[0];
    assert_eq!(
        (made.chosen, &made.rejected),
        (gradual.trajectory().iterations[0].chosen, &gradual.trajectory().iterations[0].rejected)
    );
    assert!(made.losses.is_empty() && made.gradient.is_none());
    let candidates = &aligned.trajectory().candidates;
    let user = &texts(&said[1].0)[1];
    assert_eq!(section(user, "VARIABLE"), candidates[made.chosen].text);
    assert_eq!(section(user, "QUERY"), QUERIES[0]);
    assert_eq!(section(user, "REJECTED_RESPONSE"), candidates[made.rejected[0]].text);
    assert!(!user.contains("<CONTEXT>") && !user.contains("<LM_OUTPUT>"), "{user}");
}

#[tokio::test]
async fn a_shuffled_critique_changes_nothing_but_the_critique() {
    let (aligned, said) = search(Mode::Shuffled).await;
    let (engine, others) = listening();
    tpo(&engine, config(Mode::Tpo)).align_at(1, QUERIES[1]).await.unwrap();
    let others = others.lock().unwrap().clone();
    assert_eq!(said[..6], others[..6], "the critique is that of the other query's own search");
    let (_, own) = search(Mode::Tpo).await;
    assert_eq!(said[6], own[0]);
    // The first update is that of its own search, with another loss and another gradient.
    let [shuffled, straight] = [&said[7].0, &own[3].0].map(texts);
    let swapped =
        straight[1].replace(&own[1].1[0], &said[1].1[0]).replace(&own[2].1[0], &said[2].1[0]);
    assert_ne!(straight[1], swapped);
    assert_eq!(shuffled, [straight[0].clone(), swapped]);
    assert_eq!(said[7].0.sampling, own[3].0.sampling);
    // The second has the second critique, about the second answer that was chosen.
    let second = &texts(&said[8].0)[1];
    assert!(second.contains(&said[4].1[0]) && second.contains(&said[5].1[0]));
    let made = &aligned.trajectory().iterations;
    assert!(second.contains(&aligned.trajectory().candidates[made[1].chosen].text));
    assert_eq!(made[0].losses, said[1].1);
    assert_eq!(made[0].gradient.as_ref(), said[2].1.first());
    assert_eq!(made.iter().map(|made| made.critique_of).collect::<Vec<_>>(), [Some(1), Some(1)]);
    assert!(aligned.graph().view().to_mermaid().contains("gradient"));
}

#[tokio::test]
async fn a_query_alone_has_nobodys_critique() {
    let (engine, said) = listening();
    let failure = tpo(&engine, config(Mode::Shuffled)).align(QUERIES[0]).await.unwrap_err();
    let error = failure.error.to_string();
    assert!(error.contains("two or more different queries"), "{error}");
    assert!(said.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_ranking_shows_as_many_answers_as_are_drawn_at_a_time() {
    let (aligned, said) = search(Mode::Listwise).await;
    let trajectory = aligned.trajectory();
    for (iteration, made) in trajectory.iterations.iter().enumerate() {
        let (loss, _) = &said[1 + 3 * iteration];
        let [system, user] = &texts(loss)[..] else { panic!("{loss:?}") };
        assert_eq!(*user, trajectory.candidates[made.chosen].text);
        let seen = trajectory.candidates.iter().filter(|c| c.iteration <= iteration as u32);
        let scores = || seen.clone().map(|candidate| candidate.score);
        let worst = scores().fold(f64::INFINITY, f64::min);
        assert_eq!(trajectory.candidates[made.chosen].score, scores().fold(f64::MIN, f64::max));
        let shown: Vec<f64> =
            made.rejected.iter().map(|place| trajectory.candidates[*place].score).collect();
        assert_eq!(shown.len(), 4);
        assert!(shown.is_sorted_by(|a, b| a >= b), "{shown:?}");
        assert_eq!(shown.last(), Some(&worst));
        for place in &made.rejected {
            assert!(system.contains(&trajectory.candidates[*place].text));
        }
        assert!(system.contains("Rank 1, score") && system.contains("Rank 5, score"));
    }
}

#[tokio::test]
async fn without_the_gate_the_newest_are_rewritten() {
    // One that follows instructions badly: what it rewrites is worse than what it had.
    let asked = async |config: TpoConfig| {
        let (engine, said) = listening_to(Sim::builder().skill(0.2).build().unwrap());
        tpo(&engine, config).align(QUERIES[0]).await.unwrap();
        std::mem::take(&mut *said.lock().unwrap())
    };
    let accept = tpo::Acceptance::Always;
    let always = asked(TpoConfig { accept, ..config(Mode::Tpo) }).await;
    assert_eq!(asked(config(Mode::Ungated)).await, always);
    assert_ne!(asked(config(Mode::Tpo)).await, always);
}

#[test]
fn modes_that_quote_do_not_continue() {
    for mode in Mode::ALL.iter().copied() {
        let config = TpoConfig { layout: Layout::Continued, ..config(mode) };
        let quotes = matches!(
            mode,
            Mode::Direct
                | Mode::Shuffled
                | Mode::Listwise
                | Mode::Improve
                | Mode::Rsa
                | Mode::Fuse
                | Mode::Tsan
                | Mode::Pdr
                | Mode::FeedbackDescent
        );
        assert_eq!(config.validate().is_err(), quotes, "{mode}");
    }
}

async fn run(path: &std::path::Path, mode: Mode, concurrency: usize) -> RecordedRun {
    let (engine, _) = listening();
    let tpo = tpo(&engine, config(mode));
    recorded(path, tpo, &QUERIES, concurrency).await
}

#[tokio::test]
async fn runs_of_all_modes_are_the_same_at_any_concurrency_and_can_be_checked_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    for mode in Mode::ALL.iter().copied() {
        let path = |n: u32| folder.path().join(format!("{mode}-{n}"));
        let (one, many) = (run(&path(1), mode, 1).await, run(&path(2), mode, 4).await);
        let results =
            |run: &RecordedRun| std::fs::read_to_string(run.path().join("results.jsonl")).unwrap();
        assert_eq!(results(&one), results(&many), "{mode}");
        assert_eq!(one.config().search.mode, mode);
        let found = one.verify().unwrap();
        assert!(found.is_sound(), "{mode}: {:?}", found.findings);
        let pack = Arc::new(tpo::prompts::default_pack());
        let again = one.align(2, pack).await.unwrap();
        assert_eq!(*again.trajectory(), one.result(2).unwrap().trajectory, "{mode}");
    }
}

#[tokio::test]
async fn a_shuffled_run_that_was_cut_off_asks_only_for_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&folder.path().join("whole"), Mode::Shuffled, 4).await;
    let lines: Vec<String> =
        std::fs::read_to_string(whole.journal()).unwrap().lines().map(str::to_owned).collect();
    let calls = |lines: &[String]| lines.iter().filter(|line| line.contains("\"call\"")).count();
    for kept in [1, lines.len() / 3, lines.len() - 1] {
        let path = folder.path().join("journal.jsonl");
        std::fs::write(&path, lines[..kept].join("\n") + "\n").unwrap();
        let (engine, said) = listening();
        let tpo = tpo(&engine, config(Mode::Shuffled));
        let journal = Journal::resume(&path, serde_json::Value::Null).await.unwrap();
        let mut batch = Batch::new(tpo, QUERIES).journal(journal);
        for record in whole.results().unwrap() {
            let outcome = batch.next().await.unwrap();
            assert_eq!(ResultRecord::new(&outcome, true), record.unwrap());
        }
        let missing = calls(&lines[kept..]);
        assert_eq!(said.lock().unwrap().len(), missing);
    }
}

#[test]
fn a_shuffled_run_grows_by_iterations_but_not_by_queries() {
    let (engine, _) = listening();
    let queries: Vec<Query> = QUERIES.map(Query::from).to_vec();
    for mode in [Mode::Tpo, Mode::Shuffled] {
        let then = RunConfig::new(&tpo(&engine, config(mode)), "test", &queries[..3]);
        let then = serde_json::to_value(then).unwrap();
        let deeper = tpo(&engine, TpoConfig { iterations: 3, ..config(mode) });
        let now = RunConfig::new(&deeper, "test", &queries[..3]);
        assert!(now.differences_beyond(&then, &queries[..3]).is_empty());
        let more = RunConfig::new(&deeper, "test", &queries);
        let differences = more.differences_beyond(&then, &queries);
        assert_eq!(differences.is_empty(), mode == Mode::Tpo, "{differences:?}");
    }
}

/// Names answers that may not exist.
struct Positions(Comparison);

impl PairSelection for Positions {
    fn name(&self) -> String {
        "positions".to_owned()
    }

    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison> {
        let exists = Comparison::new(0, vec![cx.pool().candidates().len() - 1]);
        vec![exists, self.0.clone()]
    }
}

#[tokio::test]
async fn a_pair_selection_that_names_no_pair_is_an_error_with_the_position() {
    let engine: Arc<dyn Engine> = Arc::new(textgrad_ops::sim::Sim::default());
    let (position, other) =
        ("a position from 0 to 2", "other answers than the chosen one as rejected");
    for (comparison, expected, got) in [
        (Comparison::new(3, Vec::new()), position, "answer 3"),
        (Comparison::new(0, vec![1, 7]), position, "answer 7"),
        (Comparison::new(1, vec![2, 1]), other, "answer 1 twice"),
    ] {
        let tpo = Tpo::builder(Arc::clone(&engine), Arc::new(SimReward));
        let tpo = tpo.samples(3).iterations(1).pairs(Arc::new(Positions(comparison)));
        let failure = tpo.build().unwrap().align("Why?").await.unwrap_err();
        assert_eq!(
            failure.error.to_string(),
            format!(
                "the pair selection \"positions\" in iteration 1: expected {expected} in comparison 1, got {got}"
            )
        );
        assert_eq!((failure.error.kind(), failure.trajectory.candidates.len()), ("part", 3));
    }
}
