//! Many runs over the same queries, as one: a grid of modes, prompt packs, sizes, temperatures and seeds.
//!
//! | file | what it holds |
//! |---|---|
//! | `study.json` | the grid, and the settings that all its runs share |
//! | one folder per cell | a [run](crate::run), named by its settings: `tpo-d2-n5-t0.7-s7` |
//! | `study.csv` | the [table](StudyTable) at the end |
//!
//! A study that was killed is continued: cells that are finished are not run again, one that was under way goes on
//! from its journal. A grid may grow from one time to the next. Cells that make equal requests share the answers: a
//! [`SharedCache`](crate::SharedCache) holds what cells of the same width, temperature and seed were answered, filled
//! from their journals where they were run by an earlier process. So it does not matter to a cell when and by whom the
//! others were run.
//!
//! The program `tpo study` puts these parts together.

mod columns;
mod figures;
mod folder;
mod grid;
mod prompts;

pub use self::figures::{StudyRow, StudyTable};
pub use self::folder::{CellState, StudyFolder, is_study_file};
pub use self::grid::{Grid, GridCell};
pub use self::prompts::StudyPack;
