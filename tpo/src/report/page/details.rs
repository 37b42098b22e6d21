//! What the page shows of single queries.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value as Json, json};
use textgrad_core::{excerpt, word_changes};

use crate::error::Error;
use crate::run::ResultRecord;
use crate::search::Trajectory;

/// How many characters of a query its row in the list shows.
const EXCERPT: usize = 90;

/// What stands around a text in the page: two quotes and a comma.
const AROUND: usize = 3;

/// The queries of a run: a row of a list for each, and its texts, each compressed by itself so that a browser
/// unpacks what is opened and nothing else.
#[derive(Debug, Clone, Default)]
pub(in crate::report) struct Details {
    rows: Vec<Json>,
    /// Base64 of deflated JSON, in the order of the rows; it ends where there was no more room.
    blocks: Vec<String>,
    room: usize,
    listed: usize,
    packed: usize,
    full: bool,
}

impl Details {
    /// Details that take about so many bytes.
    pub(in crate::report) fn new(bytes: usize) -> Self {
        Self { room: bytes, ..Self::default() }
    }

    pub(in crate::report) fn add(&mut self, record: &ResultRecord) -> Result<(), Error> {
        let trajectory = &record.trajectory;
        let best = record.best.as_ref();
        let row = json!([
            record.index,
            excerpt(record.query.text(), EXCERPT),
            trajectory.candidates.first().map(|first| first.score),
            trajectory.best_score_by(0),
            best.map(|best| best.score),
            best.map(|best| best.iteration),
            record.error.is_some(),
        ]);
        self.listed += row.to_string().len() + 1;
        self.rows.push(row);
        if self.full {
            return Ok(());
        }
        let block = pack(&detail(record)).map_err(|source| Error::Io {
            path: "a report".into(),
            action: "can not be packed",
            source,
        })?;
        self.packed += block.len() + AROUND;
        self.blocks.push(block);
        self.full = self.bytes() > self.room;
        Ok(())
    }

    /// Takes back the last texts, for which the list has left no room.
    pub(in crate::report) fn trim(&mut self) {
        while self.bytes() > self.room {
            let Some(last) = self.blocks.pop() else { return };
            self.packed -= last.len() + AROUND;
        }
    }

    /// How many bytes of the page they take.
    pub(in crate::report) fn bytes(&self) -> usize {
        self.listed + self.packed
    }

    pub(super) fn rows(&self) -> &[Json] {
        &self.rows
    }

    pub(super) fn push_blocks(&self, html: &mut String) {
        for (place, block) in self.blocks.iter().enumerate() {
            html.push_str(if place == 0 { "\"" } else { ",\"" });
            html.push_str(block);
            html.push('"');
        }
    }
}

fn pack(json: &Json) -> std::io::Result<String> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json.to_string().as_bytes())?;
    Ok(STANDARD.encode(encoder.finish()?))
}

fn detail(record: &ResultRecord) -> Json {
    let trajectory = &record.trajectory;
    let parents = parents(trajectory);
    let text = |place: usize| trajectory.candidates.get(place).map(|c| c.text.as_str());
    let candidates: Vec<Json> = trajectory
        .candidates
        .iter()
        .zip(&parents)
        .map(|(candidate, parent)| {
            let before = parent.and_then(text);
            let changes = before.map(|before| word_changes(before, &candidate.text));
            json!([candidate.iteration, candidate.score, candidate.text, parent, changes])
        })
        .collect();
    json!({
        "query": record.query.text(),
        "error": record.error,
        "best": trajectory.best_place(),
        "candidates": candidates,
        "iterations": trajectory.iterations,
        "stopped": trajectory.stopped,
        "usage": trajectory.usage,
    })
}

/// For each answer, the one that it is a new version of. The new versions of an iteration stand in the order of
/// its records; where the search ended before they were scored, there are none.
fn parents(trajectory: &Trajectory) -> Vec<Option<usize>> {
    let deepest = trajectory.iterations.iter().map(|made| made.iteration).max().unwrap_or(0);
    let mut parents = Vec::with_capacity(trajectory.candidates.len());
    for iteration in 0..=deepest {
        let made = trajectory.iterations.iter().filter(|made| made.iteration == iteration);
        let mut chosen = made.flat_map(|made| std::iter::repeat_n(made.chosen, made.updates));
        let brought = trajectory.candidates.iter().filter(|c| c.iteration == iteration);
        parents.extend(brought.map(|_| chosen.next()));
    }
    parents
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::search::{CandidateRecord, IterationRecord};

    #[test]
    fn new_versions_know_what_they_were_made_of() {
        let candidate = |iteration| CandidateRecord { iteration, text: String::new(), score: 0.0 };
        let made = |iteration, chosen, updates| IterationRecord {
            iteration,
            chosen,
            updates,
            ..IterationRecord::default()
        };
        let trajectory = Trajectory {
            candidates: [0, 0, 1, 1, 1, 2].map(candidate).to_vec(),
            iterations: vec![made(1, 1, 2), made(1, 0, 1), made(2, 4, 1), made(3, 2, 0)],
            ..Trajectory::default()
        };
        let expected = [None, None, Some(1), Some(1), Some(0), Some(4)];
        assert_eq!(parents(&trajectory), expected);
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let json = json!(["</script>", "ünïcode"]);
        let packed = STANDARD.decode(pack(&json).unwrap()).unwrap();
        let mut text = String::new();
        flate2::read::DeflateDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, json.to_string());
    }
}
