//! Single queries on the page.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value as Json, json};
use textgrad_core::{Page, truncate, word_changes};

use crate::error::Error;
use crate::run::ResultRecord;
use crate::search::Trajectory;

/// How many characters of a query its row in the list shows.
const EXCERPT_LENGTH: usize = 90;

/// What stands around a text in the page: two quotes and a comma.
const SEPARATOR_BYTES: usize = 3;

/// The queries of a run: a row of a list for each, and its texts, each compressed by itself so that a browser
/// unpacks what is opened and nothing else.
///
/// Where there is no room for everything, later queries have the texts of those answers only that made a difference:
/// the best, the chosen and the rejected ones. Where there is no room for these either, the last ones have no texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    rows: Vec<Json>,
    listed: usize,
    /// In the order of the rows; they end where there was no more room.
    whole: Blocks,
    brief: Blocks,
    room: usize,
}

/// Base64 of deflated JSON.
#[derive(Debug, Clone, Default)]
struct Blocks {
    blocks: Vec<String>,
    bytes: usize,
    full: bool,
}

impl Blocks {
    /// Adds what there is room for; after the first that has none, nothing.
    fn add(&mut self, json: &Json, room: usize) -> Result<(), Error> {
        if self.full {
            return Ok(());
        }
        let block = pack(json).map_err(Error::io(Path::new("a report"), "cannot be packed"))?;
        let bytes = self.bytes + block.len() + SEPARATOR_BYTES;
        self.full = bytes > room;
        if !self.full {
            self.bytes = bytes;
            self.blocks.push(block);
        }
        Ok(())
    }
}

impl Details {
    /// Details that take about so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { room: bytes, ..Self::default() }
    }

    pub(crate) fn add(&mut self, record: &ResultRecord) -> Result<(), Error> {
        let trajectory = &record.trajectory;
        let best = record.best.as_ref();
        let row = json!([
            record.index,
            truncate(record.query.text(), EXCERPT_LENGTH),
            trajectory.candidates.first().map(|first| first.score),
            trajectory.best_score_by(0),
            best.map(|best| best.score),
            best.map(|best| best.iteration),
            record.error.is_some(),
        ]);
        self.listed += Page::script_json(&row).len() + 1;
        self.rows.push(row);
        let room = self.room.saturating_sub(self.listed);
        if !self.whole.full {
            self.whole.add(&detail(record, |_| true), room)?;
        }
        if !self.brief.full {
            let shown = |place| matters(trajectory, place);
            self.brief.add(&detail(record, shown), room)?;
        }
        Ok(())
    }

    /// Chooses what is shown, when all queries are there: of as many as can be the answers that made a difference,
    /// and then of the first ones all.
    pub(crate) fn choose(&mut self) {
        let room = self.room.saturating_sub(self.listed);
        while self.brief.bytes > room {
            let Some(last) = self.brief.blocks.pop() else { break };
            self.brief.bytes -= last.len() + SEPARATOR_BYTES;
        }
        for (brief, whole) in
            self.brief.blocks.iter_mut().zip(std::mem::take(&mut self.whole).blocks)
        {
            let bytes = self.brief.bytes + whole.len() - brief.len();
            if bytes > room {
                return;
            }
            self.brief.bytes = bytes;
            *brief = whole;
        }
    }

    /// How many bytes of the page they take.
    pub(crate) fn bytes(&self) -> usize {
        self.listed + self.brief.bytes
    }

    pub(super) fn rows(&self) -> &[Json] {
        &self.rows
    }

    pub(super) fn blocks(&self) -> Json {
        self.brief.blocks.as_slice().into()
    }
}

/// Whether an answer is the best one, or was chosen or rejected.
fn matters(trajectory: &Trajectory, place: usize) -> bool {
    trajectory.best_index() == Some(place)
        || trajectory
            .iterations
            .iter()
            .any(|made| made.chosen == place || made.rejected.contains(&place))
}

fn pack(json: &Json) -> std::io::Result<String> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json.to_string().as_bytes())?;
    Ok(STANDARD.encode(encoder.finish()?))
}

/// Everything about a query, with the texts of the answers that `shown` holds for.
fn detail(record: &ResultRecord, shown: impl Fn(usize) -> bool) -> Json {
    let trajectory = &record.trajectory;
    let parents = parents(trajectory);
    let text = |place: usize| trajectory.candidates.get(place).map(|c| c.text.as_str());
    let candidates: Vec<Json> = trajectory
        .candidates
        .iter()
        .zip(&parents)
        .enumerate()
        .map(|(place, (candidate, parent))| {
            if !shown(place) {
                return json!([candidate.iteration, candidate.score, null, parent, null]);
            }
            let before = parent.and_then(text);
            let changes = before.map(|before| word_changes(before, &candidate.text));
            json!([candidate.iteration, candidate.score, candidate.text, parent, changes])
        })
        .collect();
    json!({
        "query": record.query.text(),
        "error": record.error,
        "best": trajectory.best_index(),
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
        let candidate = |iteration| CandidateRecord {
            iteration,
            text: String::new(),
            score: 0.0,
            truncated: false,
        };
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
