//! Calls as lines of JSON: what recordings and run logs share.

mod outcome;
mod writer;

pub(super) use self::outcome::Outcome;
pub(super) use self::writer::LineWriter;
