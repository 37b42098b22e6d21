//! Google's Gemini API: `generateContent`.

mod body;
mod builder;
mod client;
mod reply;
#[cfg(test)]
mod tests;

pub use self::builder::GeminiBuilder;
pub use self::client::Gemini;
