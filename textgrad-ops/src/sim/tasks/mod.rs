//! Reasoning tasks: questions that have one right answer, which the simulation can work out.
//!
//! A task meets the loop of prompt optimization in text only, like everything here: the policy works a
//! question out in writing and makes mistakes, fewer with a prompt that asks for the right habits; the critic
//! compares the working with the question and names the mistake that it sees; the updater puts the habits
//! that the feedback asks for into the prompt.

mod advice;
mod code;
mod equation;
mod exchange;
mod faults;
mod habits;
mod image;
mod judge;
mod parts;
mod rewrite;
#[cfg(test)]
mod tests;
mod verdict;
mod work;

pub(super) use self::faults::Fault;
pub(super) use self::habits::{Followed, Habit};
pub(super) use self::judge::Judge;
#[cfg(test)]
pub(super) use self::tests::GOOD;
pub(super) use self::work::{Work, recognise};
