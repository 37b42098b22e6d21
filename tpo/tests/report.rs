//! Figures, checks and drawings of runs that the simulation made.
#![cfg(feature = "report")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use textgrad_core::{Layout, Seed};
use textgrad_ops::engine::sim::Sim;
use tpo::report::{Bootstrap, Cell, Comparison, Cost, Figure, Report, ReportConfig};
use tpo::run::{RecordedRun, ResultRecord, RunConfig, RunFolder};
use tpo::{
    Batch, Error, Mode, Query, RewardModel, SimReward, Tpo, TpoBuilder, TpoConfig, reward_fn,
};

fn search(mode: Mode, seed: u64) -> TpoBuilder {
    Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).mode(mode).samples(3).seed(seed)
}

async fn run(path: &Path, tpo: TpoBuilder, queries: &[&str]) -> RecordedRun {
    let tpo = tpo.build().unwrap();
    let queries: Vec<Query> = queries.iter().copied().map(Query::from).collect();
    let config = RunConfig::new(&tpo, "test", &queries);
    let folder = RunFolder::create(path, &config).await.unwrap();
    let mut results = folder.results().await.unwrap();
    let simulated = tpo.is_simulation();
    let mut batch = Batch::new(tpo, queries).journal(folder.journal().clone());
    while let Some(outcome) = batch.next().await {
        results.write(&ResultRecord::new(&outcome, simulated)).await.unwrap();
    }
    results.finish().await.unwrap();
    RecordedRun::open(path).unwrap()
}

const QUERIES: [&str; 3] =
    ["Why is the sky blue?", "</script><script>alert(1)</script><!--", "How do I boil an egg?"];

fn figure<'a>(report: &'a Report, name: &str) -> &'a Figure {
    report.figures().iter().find(|figure| figure.name == name).unwrap()
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Number(number) => *number,
        Cell::Count(count) => *count as f64,
        other => panic!("{other:?}"),
    }
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "expected {expected}, got {found}");
}

/// Changes the results of a run.
fn edit_results(run: &RecordedRun, change: impl Fn(&mut ResultRecord)) {
    let mut text = String::new();
    for record in run.results().unwrap() {
        let mut record = record.unwrap();
        change(&mut record);
        text.push_str(&format!("{}\n", serde_json::to_string(&record).unwrap()));
    }
    std::fs::write(run.path().join("results.jsonl"), text).unwrap();
}

/// What a page unpacks for the queries of its runs.
fn unpacked(html: &str) -> Vec<Vec<serde_json::Value>> {
    let (_, blocks) = html.split_once("id=\"blocks\">").unwrap();
    let (blocks, _) = blocks.split_once("</script>").unwrap();
    let blocks: Vec<Vec<String>> = serde_json::from_str(blocks).unwrap();
    let unpack = |block: &String| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(block).unwrap();
        serde_json::from_reader(flate2::read::DeflateDecoder::new(&bytes[..])).unwrap()
    };
    blocks.iter().map(|run| run.iter().map(unpack).collect()).collect()
}

/// Writes scores over those of a run's results, so that figures can be computed by hand.
fn rescore(run: &RecordedRun, scores: &[&[(u32, f64)]]) {
    let path = run.path().join("results.jsonl");
    let mut text = String::new();
    for (record, scores) in run.results().unwrap().zip(scores) {
        let mut record = record.unwrap();
        assert_eq!(record.trajectory.candidates.len(), scores.len());
        for (candidate, (iteration, score)) in record.trajectory.candidates.iter_mut().zip(*scores)
        {
            assert_eq!(candidate.iteration, *iteration);
            candidate.score = *score;
        }
        let best = record.trajectory.best().unwrap();
        let told = record.best.as_mut().unwrap();
        (told.score, told.iteration) = (best.score, best.iteration);
        text.push_str(&format!("{}\n", serde_json::to_string(&record).unwrap()));
    }
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn figures_are_those_computed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let queries = &QUERIES[..2];
    let a = run(&folder.path().join("a"), search(Mode::Tpo, 7).iterations(1), queries).await;
    let b = run(&folder.path().join("b"), search(Mode::Bon, 7), queries).await;
    let first = [(0, 1.0), (0, 2.0), (0, 4.0), (1, 3.0), (1, 5.0), (1, 7.0)];
    let second = [(0, 0.0), (0, -2.0), (0, 2.0), (1, 1.0), (1, 1.0), (1, 1.0)];
    rescore(&a, &[&first, &second]);
    rescore(&b, &[&first[..3], &[(0, 3.0), (0, 0.0), (0, 0.0)]]);
    let report = Report::read(&[a.clone(), b.clone()], &ReportConfig::default()).unwrap();

    let curves = &figure(&report, "reward-by-iteration").table.rows;
    let means: Vec<f64> = curves.iter().map(|row| number(&row[4])).collect();
    // Of a, the best so far and what came; of b, its one sampling.
    let expected = [3.0, 4.5, 7.0 / 6.0, 3.0, 3.5, (7.0 / 3.0 + 1.0) / 2.0];
    means.iter().zip(expected).for_each(|(found, expected)| close(*found, expected));
    assert_eq!(means.len(), expected.len());
    for row in curves {
        let [mean, low, high] = [4, 5, 6].map(|column| number(&row[column]));
        assert!(low <= mean && mean <= high);
    }

    // Pairs of 1, 2, 4: 10/3; of 0, -2, 2: 4/3.
    let budget = &figure(&report, "reward-by-budget").table.rows;
    let of_two = budget.iter().find(|row| row[2] == Cell::Count(2)).unwrap();
    close(number(&of_two[4]), (10.0 / 3.0 + 4.0 / 3.0) / 2.0);

    let stability = &figure(&report, "stability").table.rows;
    close(number(&stability[0][3]), ((7.0_f64 / 3.0).sqrt() + 2.0) / 2.0);
    close(number(&stability[1][3]), (2.0 + 0.0) / 2.0);

    // b against a: 4 and 3 against 7 and 2.
    let wins = &figure(&report, "win-rates").table.rows;
    let counts: Vec<f64> = (2..6).map(|column| number(&wins[0][column])).collect();
    assert_eq!(counts, [2.0, 1.0, 0.0, 1.0]);
    close(number(&wins[0][6]), 0.5);
    close(number(&wins[0][9]), -1.0);

    let compared = Comparison::read(&a, &b, &Bootstrap::default(), &Cost::default()).unwrap();
    let reward = compared.reward.unwrap();
    assert_eq!((reward.wins, reward.ties, reward.losses, compared.queries), (1, 0, 1, 2));
    close(reward.difference.mean, 1.0);
    close(compared.a.reward.unwrap(), 4.5);
    close(compared.b.answers.unwrap(), 3.0);

    let usage: Vec<_> =
        a.results().unwrap().map(|record| record.unwrap().trajectory.usage.tokens).collect();
    let cost = &figure(&report, "cost").table.rows;
    let read = usage.iter().map(|tokens| tokens.prompt_tokens).sum::<u64>() as f64;
    close(number(&cost[0][3]), read / 2.0);
    let least = 140e9 * usage.iter().map(|tokens| tokens.total()).sum::<u64>() as f64 / 2.0 / 1e15;
    let pflops = number(&cost[0][7]);
    assert!(pflops > least && pflops < 1.2 * least, "the reward model's share: {pflops}, {least}");
}

#[tokio::test]
async fn texts_are_shown_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a<b>"), search(Mode::Tpo, 7), &QUERIES).await;
    let report = Report::read(&[run], &ReportConfig::default()).unwrap();
    assert!(report.is_simulation() && report.warnings().is_empty());
    let html = report.to_html();
    assert!(html.contains("<strong>SIMULATION</strong>") && html.contains("a&lt;b&gt;"));
    assert!(!html.contains("<script>alert"));
    // Those of the page itself: lists, blocks, the script.
    assert_eq!((html.matches("<script").count(), html.matches("</script>").count()), (3, 3));
    assert!(!html.contains(" src=") && !html.contains("href=\"http") && !html.contains("url("));

    let out = folder.path().join("out");
    report.write(&out).unwrap();
    for figure in report.figures() {
        let csv = std::fs::read_to_string(out.join(format!("{}.csv", figure.name))).unwrap();
        assert!(csv.lines().next().unwrap().ends_with(",simulated"), "{csv}");
        if figure.chart.is_some() {
            let svg = std::fs::read_to_string(out.join(format!("{}.svg", figure.name))).unwrap();
            assert!(
                svg.starts_with("<svg xmlns=")
                    && svg.contains("SIMULATION")
                    && !svg.contains("NaN")
            );
        }
    }
    let queries = std::fs::read_to_string(out.join("queries.csv")).unwrap();
    assert_eq!(queries.lines().count(), 1 + QUERIES.len());
}

const EVIL: &str = "</script><script>alert(2)</script><img src=x onerror=alert(3)><!-- \u{202e}";

#[tokio::test]
async fn scripts_in_answers_losses_and_gradients_are_shown_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    edit_results(&run, |record| {
        let trajectory = &mut record.trajectory;
        for candidate in &mut trajectory.candidates {
            candidate.text.insert_str(0, EVIL);
        }
        for made in &mut trajectory.iterations {
            made.losses = vec![EVIL.to_owned()];
            made.gradient = Some(EVIL.to_owned());
            made.unusable = vec![EVIL.to_owned()];
        }
    });
    let html = Report::read(&[run], &ReportConfig::default()).unwrap().to_html();
    assert_eq!((html.matches("<script").count(), html.matches("</script>").count()), (3, 3));
    assert!(!html.contains("<img") && !html.contains("alert(2)") && !html.contains('\u{202e}'));
    // Nothing but the page's own script may run, and nothing may be asked for.
    assert!(html.contains("default-src 'none'; script-src 'sha256-") && !html.contains("unsafe"));
    for detail in unpacked(&html).concat() {
        assert!(detail["candidates"][0][2].as_str().unwrap().starts_with(EVIL), "it is shown");
        assert_eq!(detail["iterations"][0]["gradient"], EVIL);
    }
}

#[tokio::test]
async fn where_not_all_has_room_the_texts_that_made_a_difference_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    let page = |max_bytes| {
        let config = ReportConfig { max_bytes, ..ReportConfig::default() };
        let html = Report::read(std::slice::from_ref(&run), &config).unwrap().to_html();
        let details = unpacked(&html).concat();
        let told = |detail: &serde_json::Value| {
            let candidates = detail["candidates"].as_array().unwrap();
            candidates.iter().filter(|candidate| candidate[2].is_string()).count()
        };
        let (_, lists) = html.split_once("id=\"lists\">").unwrap();
        // Without what stands around the rows of the list.
        let listed = lists.split_once("</script>").unwrap().0.len() - 40;
        (html.len() - listed, listed, details.iter().map(told).collect::<Vec<usize>>())
    };
    let (_, _, all) = page(1 << 20);
    assert_eq!(all, [9, 9, 9]);
    let (without, listed, none) = page(0);
    assert!(none.is_empty());
    let rooms: Vec<usize> = (0..1 << 13).step_by(64).collect();
    let stages: Vec<Vec<usize>> = rooms
        .iter()
        .map(|room| {
            let (bytes, _, told) = page(*room);
            assert!(bytes <= without + room.saturating_sub(listed), "{bytes} {without} {room}");
            told
        })
        .collect();
    // First every query has some of its answers, then the first ones have all.
    let some = stages.iter().find(|told| told.len() == 3).unwrap();
    assert!(some.iter().all(|told| (2..=6).contains(told)), "{some:?}");
    assert!(stages.is_sorted_by_key(Vec::len), "{stages:?}");
    assert!(stages.contains(&vec![9, some[1], some[2]]), "{stages:?}");
}

#[tokio::test]
async fn searches_are_set_against_best_of_n_at_equal_and_larger_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let queries = &QUERIES[..2];
    let tpo = search(Mode::Tpo, 7).samples(1).iterations(1);
    let a = run(&path("a"), tpo, queries).await;
    let b = run(&path("b"), search(Mode::Bon, 7).samples(5), queries).await;
    rescore(&a, &[&[(0, 0.0), (1, 3.0)], &[(0, 1.0), (1, 2.0)]]);
    let scores = |scores: [f64; 5]| scores.map(|score| (0, score));
    rescore(&b, &[&scores([0.0, 1.0, 2.0, 3.0, 4.0]), &scores([1.0; 5])]);
    let report = Report::read(&[a, b], &ReportConfig::default()).unwrap();
    let rows = &figure(&report, "best-of-n").table.rows;
    let told: Vec<(&Cell, f64)> = rows.iter().map(|row| (&row[2], number(&row[3]))).collect();
    let budget = |name: &str| Cell::Text(name.into());
    let expected = [(&budget("equal"), 2.0), (&budget("2 times"), 4.0), (&budget("all"), 5.0)];
    assert_eq!(told, expected);
    // Expected best of 2, 4, 5 of 0 to 4: 3, 3.8, 4. Of the other query always 1.
    for (row, expected) in rows.iter().zip([(0.0 + 1.0) / 2.0, (-0.8 + 1.0) / 2.0, 0.0]) {
        close(number(&row[5]), expected);
        assert!(number(&row[6]) <= expected && number(&row[7]) >= expected);
        assert_eq!(row[8], Cell::Count(5), "5 and no fewer reach the mean of 2.5");
    }
    let wins = &figure(&report, "win-rates").table.rows;
    assert_eq!(wins[1][1], Cell::Text("its first answer".into()));
    close(number(&wins[1][9]), (3.0 + 1.0) / 2.0);
}

#[tokio::test]
async fn width_and_depth_are_drawn_where_runs_differ_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let a = run(&path("a"), search(Mode::Tpo, 7).iterations(1), &QUERIES).await;
    let b = run(&path("b"), search(Mode::Tpo, 7).samples(5), &QUERIES).await;
    let names = |runs: &[RecordedRun]| -> Vec<&str> {
        let report = Report::read(runs, &ReportConfig::default()).unwrap();
        report.figures().iter().map(|figure| figure.name).collect()
    };
    assert!(!names(std::slice::from_ref(&a)).iter().any(|name| ["width", "depth"].contains(name)));
    let runs = [a, b];
    assert!(["width", "depth"].iter().all(|name| names(&runs).contains(name)));
    let report = Report::read(&runs, &ReportConfig::default()).unwrap();
    let places: Vec<(f64, f64)> = figure(&report, "width")
        .table
        .rows
        .iter()
        .map(|row| (number(&row[0]), number(&row[1])))
        .collect();
    assert_eq!(places, [(0.0, 3.0), (0.0, 5.0), (1.0, 3.0), (1.0, 5.0), (2.0, 5.0)]);
}

#[tokio::test]
async fn a_run_without_any_answer_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    edit_results(&run, |record| {
        record.status = tpo::run::Status::Error;
        record.best = None;
        record.trajectory = tpo::Trajectory::default();
    });
    let report = Report::read(&[run], &ReportConfig::default()).unwrap();
    let names: Vec<&str> = report.figures().iter().map(|figure| figure.name).collect();
    assert_eq!(names, ["runs", "cost"], "no empty figures");
    assert!(report.warnings()[0].contains("3 failed queries"), "{:?}", report.warnings());
    assert!(!report.to_html().contains("NaN"));
}

#[tokio::test]
async fn a_page_has_no_more_texts_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    let page = |max_bytes| {
        let config = ReportConfig { max_bytes, ..ReportConfig::default() };
        Report::read(std::slice::from_ref(&run), &config).unwrap().to_html().len()
    };
    let (none, all) = (page(0), page(1 << 20));
    assert!(page(2000) < none + 2000 && all > none + 3000, "{none} {all}");
}

#[tokio::test]
async fn the_same_settings_with_other_seeds_are_repetitions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let runs = [
        run(&path("a"), search(Mode::Bon, 1), &QUERIES).await,
        run(&path("b"), search(Mode::Bon, 2), &QUERIES).await,
        run(&path("c"), search(Mode::Tpo, 2), &QUERIES).await,
    ];
    let report = Report::read(&runs, &ReportConfig::default()).unwrap();
    let rows = &figure(&report, "stability").table.rows;
    let over: Vec<_> = rows.iter().filter(|row| row[0] == Cell::Text("a + b".into())).collect();
    assert_eq!(over.len(), 2, "{rows:?}");
    let best = |run: &RecordedRun| -> Vec<f64> {
        run.results().unwrap().map(|record| record.unwrap().best.unwrap().score).collect()
    };
    let pairs: Vec<f64> = best(&runs[0])
        .iter()
        .zip(best(&runs[1]))
        .map(|(a, b)| (a - b).abs() / 2_f64.sqrt())
        .collect();
    close(number(&over[1][3]), pairs.iter().sum::<f64>() / 3.0);
}

#[tokio::test]
async fn runs_over_other_queries_or_rewards_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let a = run(&path("a"), search(Mode::Bon, 1), &QUERIES).await;
    let fewer = run(&path("b"), search(Mode::Bon, 1), &QUERIES[..2]).await;
    let other = ["Why is the sky blue?", "Why is grass green?", "How do I boil an egg?"];
    let other = run(&path("c"), search(Mode::Bon, 1), &other).await;
    let length: Arc<dyn RewardModel> =
        Arc::new(reward_fn("length", |_, answer| answer.len() as f64));
    let judged = Tpo::builder(Arc::new(Sim::default()), length).mode(Mode::Bon);
    let judged = run(&path("d"), judged, &QUERIES).await;
    for (run, words) in [
        (&fewer, "3 (test) and 2 (test)"),
        (&other, "number 1 is \"</script>"),
        (&judged, "different reward models: sim and length"),
    ] {
        let compared = Comparison::read(&a, run, &Bootstrap::default(), &Cost::default());
        match compared {
            Err(error @ Error::NotComparable { .. }) => {
                assert!(error.to_string().contains(words), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    let report = Report::read(&[a, judged], &ReportConfig::default()).unwrap();
    assert!(report.warnings()[0].contains("different reward models"), "{:?}", report.warnings());
    let seeds = Bootstrap { seed: Seed::new(1), ..Bootstrap::default() };
    assert_ne!(seeds, Bootstrap::default());
}

#[tokio::test]
async fn a_search_can_be_drawn_from_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let prompts = Arc::new(tpo::prompts::default_pack().unwrap());
    let run = run(&path, search(Mode::Tpo, 7), &QUERIES).await;
    let journal = std::fs::read(run.journal()).unwrap();
    for (index, query) in QUERIES.iter().enumerate() {
        let recalled = run.align(index, Arc::clone(&prompts)).await.unwrap();
        let tpo = search(Mode::Tpo, 7).build().unwrap();
        let live = tpo.align_at(index, *query).await.unwrap();
        assert_eq!(recalled.trajectory(), live.trajectory());
        assert_eq!(recalled.trajectory(), &run.result(index).unwrap().trajectory);
        assert_eq!(recalled.graph().view().to_json(), live.graph().view().to_json());
    }
    assert_eq!(std::fs::read(run.journal()).unwrap(), journal, "nothing is written");

    assert!(matches!(
        run.align(9, Arc::clone(&prompts)).await,
        Err(Error::NoResult { index: 9, .. })
    ));
    let dir = folder.path().join("pack");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("sample_system.hbs"), "Be brief.").unwrap();
    let other = Arc::new(tpo::prompts::load_pack(&dir).unwrap());
    let error = run.align(0, other).await.unwrap_err().to_string();
    assert!(error.contains("the wording of the prompts"), "{error}");

    // Without its last steps.
    let lines: Vec<&str> = std::str::from_utf8(&journal).unwrap().lines().collect();
    let shorter = lines[..4].join("\n") + "\n";
    std::fs::write(run.journal(), shorter).unwrap();
    let error = run.align(2, prompts).await.unwrap_err();
    assert!(matches!(error, Error::NotRecorded { index: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_search_that_continued_the_dialogue_is_drawn_and_sound_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = TpoConfig { layout: Layout::Continued, ..TpoConfig::default() };
    let run =
        run(&folder.path().join("a"), search(Mode::Tpo, 7).config(config).seed(7), &QUERIES).await;
    let prompts = Arc::new(tpo::prompts::default_pack().unwrap());
    let recalled = run.align(1, prompts).await.unwrap();
    assert_eq!(recalled.trajectory(), &run.result(1).unwrap().trajectory);
    let found = run.verify().unwrap();
    assert!(found.is_sound(), "{:?}", found.findings);
    let report = Report::read(&[run], &ReportConfig::default()).unwrap();
    let others = &figure(&report, "runs").table.rows[0][4];
    assert_eq!(*others, Cell::Text("layout continued".into()));
}

fn edit(path: PathBuf, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed, "the edit did nothing");
    std::fs::write(path, changed).unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_run_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&folder.path().join("whole"), search(Mode::Tpo, 7), &QUERIES).await;
    let sound = whole.verify().unwrap();
    assert!(sound.is_sound(), "{:?}", sound.findings);
    assert_eq!((sound.results, sound.failed, sound.calls), (3, 0, 21));

    let line = |text: &str, kind: &str| {
        text.lines().find(|line| line.contains(kind)).unwrap().to_owned() + "\n"
    };
    type Edit<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(&str, Edit<'_>, &str); 11] = [
        ("journal.jsonl", &|t| t.to_owned() + &line(t, "\"score\""), "paid again"),
        ("journal.jsonl", &|t| t.to_owned() + &line(t, "\"loss\""), "paid again"),
        ("journal.jsonl", &|t| t.replacen(&line(t, "\"loss\""), "", 1), "a loss of iteration"),
        (
            "journal.jsonl",
            &|t| t.replacen(&line(t, "\"gradient\""), "", 1),
            "the gradient of iteration",
        ),
        ("journal.jsonl", &|t| t.replacen(&line(t, "\"sample\""), "", 1), "a request for sample"),
        ("journal.jsonl", &|t| t.to_owned() + "{\"type\":\"sco", "12 bytes without an end"),
        (
            "journal.jsonl",
            &|t| t.replacen('\n', "\nnonsense\n", 1),
            "journal.jsonl, line 2: not a record",
        ),
        (
            "journal.jsonl",
            &|t| t.replacen("\"seed\":7", "\"seed\":8", 1),
            "search.seed: 8 then, 7 now",
        ),
        (
            "results.jsonl",
            &|t| t.replacen("\"scored\":", "\"scored\":1", 1),
            "scored answers, as the journal has",
        ),
        (
            "results.jsonl",
            &|t| t.lines().take(2).map(|l| format!("{l}\n")).collect(),
            "of 3 queries, got 2",
        ),
        ("results.jsonl", &|t| t.replacen("sky", "sea", 1), "the queries are not those"),
    ];
    for (place, (file, change, words)) in cases.iter().enumerate() {
        let path = folder.path().join(format!("case {place}"));
        std::fs::create_dir(&path).unwrap();
        for name in ["config.json", "results.jsonl", "journal.jsonl"] {
            std::fs::copy(whole.path().join(name), path.join(name)).unwrap();
        }
        edit(path.join(file), change);
        let found = RecordedRun::open(&path).unwrap().verify().unwrap();
        let told: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(words)), "{words}: {told:?}");
    }
}
