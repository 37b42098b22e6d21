//! Running a program on a text, within limits.
//!
//! [`CommandScorer`](crate::score::CommandScorer) scores texts by the result of a [`Runner`].
//!
//! # What holds
//! | limit | on Unix | elsewhere |
//! |---|---|---|
//! | time | the program and its process group are killed | the program is killed, not what it started |
//! | output | kept up to a bound for each stream, the rest is counted | the same |
//! | memory | address space of each process (`ulimit -v`), where the system has it: Linux and the BSDs do, macOS does not and the run fails | refused when the runner is built |
//! | environment | what was given, nothing else | the same |
//!
//! The folder is a new one for each run. In what the program writes, its path is shown as `.`: so equal runs say
//! equal things, if the program is one that does (test programs like to say how long they took).
//!
//! This is no sandbox. A program may read and write what the user may, use the network, and leave its process
//! group to escape the time limit. Run programs that a model wrote in a container or under another user.

mod folder;
mod process;
mod run;
mod runner;

pub use self::run::{Captured, End, Run};
pub use self::runner::{Runner, RunnerBuilder};
