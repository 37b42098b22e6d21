//! Training: what a step does, how a training ends, and that it can be killed and resumed.

mod endings;
mod mistakes;
mod resume;
mod steps;
mod support;
