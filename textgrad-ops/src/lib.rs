//! What people differentiate with: LLM ops, losses, optimizers and engines for `textgrad-core`.

pub mod engine;
