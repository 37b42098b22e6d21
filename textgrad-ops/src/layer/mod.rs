//! Layers around engines: each does one thing, and [`EngineExt`] stacks them.
//!
//! # The order
//! From the client outwards:
//!
//! 1. **timeout** bounds one attempt. Around anything that waits (limits, retries) it would count the
//!    waiting, and a busy minute would look like a slow server.
//! 2. **limit** lets attempts through. Inside retry, so that each attempt counts against the limits and a
//!    call that waits for its next attempt holds no slot.
//! 3. **retry** makes attempts out of calls. Inside complete_choices, so that one failed answer of several is asked
//!    again alone.
//! 4. **complete_choices** requests the choices that the server left out. Inside the cache, so that what is kept is
//!    whole.
//! 5. **cache** answers what was answered before, at no cost to the limits: from a file that outlives the
//!    process (**disk cache**), and around that from memory.
//! 6. **trace** shows what the caller saw. Inside the cache it would show what was really sent; both at
//!    once is fine.
//!
//! [`EngineExt::default_stack`] stacks them so. A **meter** right around the client counts what was paid for,
//! outside of the cache what was asked for. A **budget** belongs where such a meter does. **record** belongs
//! outermost to replay a run without any of the others, and right around the client to replay it with all of
//! them. A **log** is for people: around the meter it shows what was paid for and how long each attempt took,
//! outermost what the program asked.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use textgrad_core::Engine;
//! use textgrad_ops::layer::{Limits, RetryPolicy};
//! use textgrad_ops::store::CacheConfig;
//! use textgrad_ops::engine::OpenAi;
//! use textgrad_ops::layer::EngineExt;
//!
//! let engine = OpenAi::builder("http://localhost:8000/v1", "llama-3.1-8b")
//!     .build()?
//!     .timeout(Duration::from_secs(120))
//!     .limit(Limits::default().concurrency(64).requests_per_minute(500).tokens_per_minute(90_000))
//!     .retry(RetryPolicy::default())
//!     .complete_choices()
//!     .cached(CacheConfig::default())
//!     .traced();
//! assert_eq!(engine.name(), "openai:llama-3.1-8b");
//! # Ok::<(), textgrad_core::EngineError>(())
//! ```

mod budget;
mod cache;
mod choices;
mod estimate;
mod ext;
mod limit;
mod meter;
mod price;
mod retry;
mod retry_policy;
mod stack;
mod timeout;
mod trace;

#[doc(inline)]
pub use self::budget::{Budget, BudgetBuilder, Budgeted, Remaining, Spent};
#[doc(inline)]
pub use self::cache::Cached;
#[doc(inline)]
pub use self::choices::{ChoicePart, ChoiceStore, CompleteChoices, with_choice_store};
#[doc(inline)]
pub use self::ext::EngineExt;
#[doc(inline)]
pub use self::limit::{Limit, Limiter, LimiterPermit, Limits};
#[doc(inline)]
pub use self::meter::{Meter, MeterSnapshot, Metered, PurposeCount};
#[doc(inline)]
pub use self::price::{Money, Price, Prices};
#[doc(inline)]
pub use self::retry::Retry;
#[doc(inline)]
pub use self::retry_policy::RetryPolicy;
#[doc(inline)]
pub use self::stack::{CallPolicy, DefaultStack};
#[doc(inline)]
pub use self::timeout::Timeout;
#[doc(inline)]
pub use self::trace::Traced;
