//! What the engines of servers share: checks of what is asked, turns of a conversation, one exchange over
//! HTTP, and the way from what came to a response.

mod exchange;
mod pieces;
mod reply;
mod sampling;
mod turns;

pub(super) use self::exchange::{Dialect, exchange, named};
pub(super) use self::pieces::Pieces;
pub(super) use self::reply::{RawChoice, RawReply};
pub(super) use self::sampling::{check, numbers, without_logprobs};
pub(super) use self::turns::{Conversation, Turn};
