//! Grades by a reward model that had no part in the search.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use textgrad_ops::util::fs;

use crate::error::Error;
use crate::run::RecordedRun;
use crate::util::read_json;

const FILE: &str = "held-out.json";
/// The version of the format that is written.
const SCHEMA: u32 = 1;

/// Grades of the answers of a run by a reward model that had no part in its search, in the file `held-out.json` of its
/// folder. The score that guided a search also selects its answer, so it overstates what a search gains; these grades
/// do not.
///
/// # Examples
/// ```no_run
/// use tpo::report::{HeldOut, HeldOutGrade};
/// use tpo::run::RecordedRun;
///
/// let run = RecordedRun::open("runs/mine")?;
/// let grade = HeldOutGrade { index: 0, returned: 7, first: 1.5, best: 2.5 };
/// HeldOut::new("my judge", false, vec![grade]).write(&run)?;
/// assert_eq!(HeldOut::read(&run)?.map(|held_out| held_out.grades.len()), Some(1));
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HeldOut {
    schema: u32,
    /// The name of the reward model.
    pub reward: String,
    /// Whether it is a simulation.
    pub simulated: bool,
    /// The grades, by query.
    pub grades: Vec<HeldOutGrade>,
}

/// The grades of one query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOutGrade {
    /// The index of the query.
    pub index: usize,
    /// The position of the returned answer among the candidates. If the run was extended and returns another one, the
    /// grade counts no more.
    pub returned: usize,
    /// The grade of the first answer of the policy.
    pub first: f64,
    /// The grade of the returned answer.
    pub best: f64,
}

impl HeldOut {
    /// Grades by a reward model of this name.
    pub fn new(reward: impl Into<String>, simulated: bool, grades: Vec<HeldOutGrade>) -> Self {
        Self { schema: SCHEMA, reward: reward.into(), simulated, grades }
    }

    /// The grades of a run; none if it was not graded. It blocks.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Record`] if the file cannot be read or understood.
    pub fn read(run: &RecordedRun) -> Result<Option<Self>, Error> {
        read_json(&path(run), SCHEMA)
    }

    /// Writes the grades into the folder of a run. It blocks.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn write(&self, run: &RecordedRun) -> Result<(), Error> {
        let text = serde_json::to_string(self).map_err(Error::journal_write)?;
        let path = path(run);
        fs::replace(&path, format!("{text}\n").as_bytes())
            .map_err(Error::io(&path, "cannot be written"))
    }
}

fn path(run: &RecordedRun) -> PathBuf {
    run.path().join(FILE)
}
