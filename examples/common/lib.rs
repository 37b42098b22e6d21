//! Shared parts of the examples: the options of all of them, the engine that `--engine` names, and how they
//! print.

mod failure;
mod options;
mod print;
mod recording;

pub use self::failure::Failure;
pub use self::options::{Options, flags};
pub use self::print::{announce, heading, quote};
pub use self::recording::replay;
