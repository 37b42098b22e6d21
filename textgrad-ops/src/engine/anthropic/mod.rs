//! Anthropic's Messages API.

mod body;
mod builder;
mod client;
mod controls;
mod reply;
#[cfg(test)]
mod tests;

pub use self::builder::AnthropicBuilder;
pub use self::client::Anthropic;
