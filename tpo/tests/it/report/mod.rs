//! Figures, checks and drawings of runs that the simulation made.

mod figures;
mod many_runs;
mod page;
mod recorded;
mod script;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use serde_json::Value as Json;
use textgrad_core::{Layout, Page, Seed};
use textgrad_ops::sim::Sim;
use tpo::report::{Bootstrap, Comparison, Cost, Figure, Report, ReportConfig};
use tpo::run::{RecordedRun, ResultRecord};
use tpo::{
    Error, Mode, Pairs, Query, RewardModel, SimReward, Tpo, TpoBuilder, TpoConfig, reward_fn,
};

use crate::support::recorded;

fn search(mode: Mode, seed: u64) -> TpoBuilder {
    Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).mode(mode).samples(3).seed(seed)
}

async fn run(path: &Path, tpo: TpoBuilder, queries: &[&str]) -> RecordedRun {
    recorded(path, tpo.build().unwrap(), queries, 64).await
}

const QUERIES: [&str; 3] =
    ["Why is the sky blue?", "</script><script>alert(1)</script><!--", "How do I boil an egg?"];

fn figure<'a>(report: &'a Report, name: &str) -> &'a Figure {
    report.figures().iter().find(|figure| figure.name == name).unwrap()
}

fn number(cell: &Json) -> f64 {
    cell.as_f64().unwrap()
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
fn unpacked(html: &str) -> Vec<Vec<Json>> {
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
