//! What people differentiate with: engines, language model ops, losses and optimizers.

pub mod engine;
