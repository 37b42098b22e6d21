//! Methods of the literature, each written with the public parts of a search.
//!
//! | mode | method | requests in an iteration |
//! |---|---|---|
//! | `resample` | [`Resample`] | 1 |
//! | `fuse` | [`Fuse`]: mixture of agents by one model | 1 |
//! | `rsa` | [`Rsa`]: recursive self-aggregation | N |
//! | `tsan` | [`SelfAttention`] | 2 |
//! | `pdr` | [`DraftDistilRefine`] | 2 |
//! | `tournament` | [`Tournament`]: pairwise knock-out | 1, and 2 for each match |
//! | `feedback-descent` | [`FeedbackDescent`]: a champion, a pairwise judge, and its rationales | 3 |
//! | `vote` | [`Vote`]: self-consistency | 1 |

mod fuse;
mod resample;
mod tournament;

pub use self::fuse::{DraftDistilRefine, Fuse, Rsa, SelfAttention};
pub use self::resample::{Resample, Vote, conclusion};
pub use self::tournament::{FeedbackDescent, Tournament};
