//! Training: what a step does, how a training ends, and that it can be killed and resumed.

#[cfg(unix)]
mod commands;
mod counting;
#[cfg(unix)]
mod disk;
mod endings;
mod invalid_input;
mod lapses;
mod losses;
mod populations;
mod resume;
mod settings;
mod steps;
mod support;
