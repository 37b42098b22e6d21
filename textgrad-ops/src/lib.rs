//! placeholder
mod algebra;
mod function;
mod llm;
mod loss;
pub mod prompts;
pub use algebra::*;
pub use function::*;
pub use llm::*;
pub use loss::*;
