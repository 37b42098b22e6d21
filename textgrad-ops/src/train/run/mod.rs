//! The folder of a training: settings, history, checkpoint, result.

mod folder;

pub(super) use self::folder::{Folder, Saved};

/// The version of the formats in the folder.
pub(super) const SCHEMA: u32 = 1;
