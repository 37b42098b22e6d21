//! The folder of a study, and the state of its cells.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_ops::util::{fs, json};

use super::grid::{Grid, GridCell};
use super::prompts::StudyPack;
use crate::error::Error;
use crate::journal::{self, digest};
use crate::report::exact;
use crate::run::{RecordedRun, Run, RunConfig, Status, differences};
use crate::util::read_json;

const SETTINGS: &str = "study.json";
const TABLE: &str = "study.csv";
/// The grades of `tpo grade`, shared by the cells.
const GRADES: &str = "grades.jsonl";
/// The version of the format that is written.
const SCHEMA: u32 = 1;
/// How many missing cells an error names.
const MAX_NAMED: usize = 3;
/// Where a run's settings hold what the grid varies, or what follows from it.
const VARIED: [&str; 11] = [
    "/prompts",
    "/search/mode",
    "/search/pairs",
    "/search/edits",
    "/search/iterations",
    "/search/samples",
    "/search/seed",
    "/search/sampling/n",
    "/search/sampling/temperature",
    "/search/critic/temperature",
    "/search/early_stop/budget",
];

/// Whether a file of this name in the folder of a study is the study's own, and no run.
#[must_use]
pub fn is_study_file(path: &Path) -> bool {
    [SETTINGS, TABLE, GRADES].iter().any(|name| path.file_name().is_some_and(|own| own == *name))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Settings {
    schema: u32,
    /// The version of this crate that began the study, or made it grow.
    tpo: String,
    simulated: bool,
    grid: Grid,
    /// The names of the folders.
    cells: Vec<String>,
    /// What all runs share: the settings of one, without what the grid varies.
    shared: Json,
}

/// How far a cell has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellState {
    /// Its folder is not there, or holds nothing.
    New,
    /// It was begun, or some of its queries failed: what was paid for is not asked again.
    Begun,
    /// All its queries came to their end.
    Finished,
}

/// The folder of a study. Its methods block.
#[derive(Debug, Clone)]
pub struct StudyFolder {
    path: PathBuf,
    cells: Vec<GridCell>,
    settings: Settings,
}

impl StudyFolder {
    fn of(path: &Path, settings: Settings) -> Result<Self, Error> {
        Ok(Self { path: path.to_owned(), cells: settings.grid.cells()?, settings })
    }

    /// Begins a study in a folder, which is made if it is not there. `base` are the settings of any of its runs.
    ///
    /// # Errors
    /// [`Error::RunExists`] if the folder holds a study or a run, [`Error::Config`] for a grid without cells,
    /// [`Error::Io`] if it cannot be written.
    pub fn create(path: &Path, grid: &Grid, base: &RunConfig) -> Result<Self, Error> {
        let settings = Settings::new(grid, base)?;
        let there = |name: &str| path.join(name).exists();
        if there(SETTINGS) || there(journal::FILE) {
            return Err(Error::RunExists { path: path.to_owned() });
        }
        std::fs::create_dir_all(path).map_err(Error::io(path, "cannot be created"))?;
        settings.write(path)?;
        Self::of(path, settings)
    }

    /// Continues the study in a folder, also with a grid that has grown.
    ///
    /// # Errors
    /// [`Error::NoStudy`] if there is none, [`Error::RunDiffers`] if its runs have other settings than `base` or
    /// the grid lacks a cell that it had, [`Error::Record`] if `study.json` cannot be understood, and those of
    /// [`create`](Self::create).
    pub fn resume(path: &Path, grid: &Grid, base: &RunConfig) -> Result<Self, Error> {
        let now = Settings::new(grid, base)?;
        let then = Settings::read(path)?;
        let mut differ = differences(&then.shared, &now.shared);
        // A single run could be extended by more queries; a study cannot.
        for one in differ.iter_mut().filter(|one| *one == "the queries") {
            *one = "the queries (a study has the same ones in every cell)".to_owned();
        }
        differ.extend(then.changed_prompts(&now));
        let mut lacking = then.cells.clone();
        lacking.retain(|name| !now.cells.contains(name));
        if let Some(named) = lacking.get(..lacking.len().min(MAX_NAMED)).filter(|n| !n.is_empty()) {
            differ.extend(then.lost_values(&now));
            let more = match lacking.len() - named.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            differ.push(format!("the grid had {}{more}, and does not now", named.join(", ")));
        }
        if !differ.is_empty() {
            return Err(Error::RunDiffers { path: path.to_owned(), differences: differ });
        }
        if then.grid != now.grid {
            now.write(path)?;
        }
        Self::of(path, now)
    }

    /// Opens a study to look at; `None` if the folder holds none.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Record`] if `study.json` cannot be read or understood.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        match Settings::read(path) {
            Ok(settings) => Self::of(path, settings).map(Some),
            Err(Error::NoStudy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cells, in the order in which they are run.
    #[must_use]
    pub fn cells(&self) -> &[GridCell] {
        &self.cells
    }

    /// Whether any part of it is simulated.
    #[must_use]
    pub fn is_simulation(&self) -> bool {
        self.settings.simulated
    }

    /// A digest of what its runs have in common: equal for a study and its continuation.
    #[must_use]
    pub fn identity(&self) -> String {
        digest([self.settings.shared.to_string().as_str()])
    }

    /// The folder of a cell's run.
    #[must_use]
    pub fn run(&self, cell: &GridCell) -> PathBuf {
        self.path.join(cell.name())
    }

    /// How far a cell has come.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Record`] if its files cannot be read or understood.
    pub fn state(&self, cell: &GridCell) -> Result<CellState, Error> {
        let path = self.run(cell);
        if !path.join(journal::FILE).exists() {
            return Ok(CellState::New);
        }
        let run = match RecordedRun::open(&path) {
            Err(Error::NotARun { .. }) => return Ok(CellState::Begun),
            run => run?,
        };
        let results = match run.results() {
            Err(Error::NoResults { .. }) => return Ok(CellState::Begun),
            results => results?,
        };
        let mut whole = 0;
        for record in results {
            whole += usize::from(record?.status == Status::Ok);
        }
        let finished = whole == run.config().data.queries;
        Ok(if finished { CellState::Finished } else { CellState::Begun })
    }

    /// Has a run of a cell begin or continue in its folder.
    pub fn begin(&self, cell: &GridCell, run: Run) -> Run {
        let path = self.run(cell);
        match path.join(journal::FILE).exists() {
            true => run.resume(path),
            false => run.create(path),
        }
    }

    /// Writes `study.csv`, and says where it is.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn write_csv(&self, csv: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(TABLE);
        fs::replace(&path, csv.as_bytes()).map_err(Error::io(&path, "cannot be written"))?;
        Ok(path)
    }
}

impl Settings {
    fn new(grid: &Grid, base: &RunConfig) -> Result<Self, Error> {
        let mut shared = serde_json::to_value(base)
            .map_err(|error| Error::JournalWrite { reason: error.to_string() })?;
        for path in VARIED {
            if let Some(value) = shared.pointer_mut(path) {
                *value = Json::Null;
            }
        }
        // A selection of one's own is in all cells.
        let is_own = base.pairs != base.search.pairs.to_string();
        if let Some(pairs) = shared.pointer_mut("/pairs").filter(|_| !is_own) {
            *pairs = Json::Null;
        }
        if let Some(critic) = shared.pointer_mut("/search/critic/temperature") {
            *critic = grid.critic_temperature.into();
        }
        Ok(Self {
            schema: SCHEMA,
            tpo: base.tpo.clone(),
            simulated: base.simulated,
            grid: grid.clone(),
            cells: grid.cells()?.iter().map(GridCell::name).collect(),
            shared,
        })
    }

    /// The packs that have other texts now.
    fn changed_prompts(&self, now: &Self) -> Vec<String> {
        let now = |then: &StudyPack| {
            now.grid
                .prompts
                .iter()
                .find(|now| now.label() == then.label())
                .filter(|now| *now != then)
        };
        let changed = self.grid.prompts.iter().filter(|then| now(then).is_some());
        let shown = |pack: &StudyPack| {
            let label = pack.label();
            format!(
                "the wording of the prompts: {label} has changed (a new wording is a directory of another name)"
            )
        };
        changed.map(shown).collect()
    }

    /// The axes of the grid that had values which they do not have now, each as `axis: then, now`.
    fn lost_values(&self, now: &Self) -> Vec<String> {
        let [then, now] = [self, now].map(|one| {
            let mut grid = serde_json::to_value(&one.grid).unwrap_or_default();
            if let Some(prompts) = grid.pointer_mut("/prompts") {
                *prompts = one.grid.prompts.iter().map(StudyPack::label).collect();
            }
            grid
        });
        let lost = json::differences(&then, &now).into_iter().filter(|found| {
            match (found.then.as_array(), found.now.as_array()) {
                (Some(then), Some(now)) => then.iter().any(|value| !now.contains(value)),
                _ => true,
            }
        });
        let values = |value: &Json| match value {
            Json::Array(values) => values.iter().map(exact).collect::<Vec<_>>().join(","),
            Json::Null => "none".to_owned(),
            other => exact(other),
        };
        lost.map(|found| {
            format!("{}: {} then, {} now", found.path, values(found.then), values(found.now))
        })
        .collect()
    }

    fn read(folder: &Path) -> Result<Self, Error> {
        let found: Option<Self> = read_json(&folder.join(SETTINGS), SCHEMA)?;
        let mut found = found.ok_or_else(|| Error::NoStudy { path: folder.to_owned() })?;
        // Studies of earlier versions have one wording, among the settings that their runs share.
        if let Some(prompts) = found.shared.pointer_mut("/prompts")
            && let Json::String(sha256) = prompts.take()
        {
            found.grid.prompts = vec![StudyPack::recorded(&sha256)];
        }
        Ok(found)
    }

    fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::JournalWrite { reason: error.to_string() })?;
        let path = folder.join(SETTINGS);
        fs::replace(&path, format!("{text}\n").as_bytes())
            .map_err(Error::io(&path, "cannot be written"))
    }
}
