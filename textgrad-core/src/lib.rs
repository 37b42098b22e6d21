//! Automatic differentiation over text.

pub mod engine;
mod seed;
#[cfg(feature = "test-util")]
pub mod testing;
mod value;

#[doc(inline)]
pub use self::engine::{
    Choice, Engine, EngineError, EngineFn, ErrorKind, FinishReason, Message, MessageRole, Part,
    Purpose, Request, Response, Sampling, Usage, engine_fn,
};
#[doc(inline)]
pub use self::seed::Seed;
#[doc(inline)]
pub use self::value::{Image, ImageError, Value, excerpt};
