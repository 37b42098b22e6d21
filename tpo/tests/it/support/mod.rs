//! Runs that tests look at.

use std::path::Path;

use tpo::run::{RecordedRun, ResultRecord, RunConfig, RunFolder};
use tpo::{Batch, Query, Tpo};

/// Searches these queries into a folder, so many at a time.
pub(crate) async fn recorded(
    path: &Path,
    tpo: Tpo,
    queries: &[&str],
    concurrency: usize,
) -> RecordedRun {
    let queries: Vec<Query> = queries.iter().copied().map(Query::from).collect();
    let folder = RunFolder::create(path, &RunConfig::new(&tpo, "test", &queries)).await.unwrap();
    let mut results = folder.results().await.unwrap();
    let simulated = tpo.is_simulation();
    let batch = Batch::new(tpo, queries).journal(folder.journal().clone());
    let mut batch = batch.concurrency(concurrency);
    while let Some(outcome) = batch.next().await {
        results.write(&ResultRecord::new(&outcome, simulated)).await.unwrap();
    }
    results.finish().await.unwrap();
    RecordedRun::open(path).unwrap()
}

/// The lines with the checksums that they should have.
pub(crate) fn sealed(lines: &str) -> String {
    let sealed = |line: &str| {
        let mut record: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        record.remove("crc");
        textgrad_ops::util::jsonl::line_with_checksum(&record).unwrap()
    };
    lines.lines().map(sealed).collect()
}
