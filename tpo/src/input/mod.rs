//! Reading queries: a JSON list, JSONL, or plain text.

mod builtin;
mod parse;

pub use self::builtin::BUILTIN;
pub use self::parse::{Format, parse, parse_as};
