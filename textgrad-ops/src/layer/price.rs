//! Prices of tokens, amounts of money, and estimates of the tokens that a call costs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use textgrad_core::{EngineError, ErrorKind, Part, Request, Response, Usage, truncate};

/// What a model costs, in units of money for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with input and output")]
pub struct Price {
    /// Prompt tokens.
    pub input: Money,
    /// Prompt tokens that the server had cached; as `input` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<Money>,
    /// Completion tokens.
    pub output: Money,
}

impl Price {
    /// A price for prompt tokens and one for completion tokens, each in units for a million tokens.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if one is not a number from 0 to 18 million.
    pub fn new(input: f64, output: f64) -> Result<Self, EngineError> {
        Ok(Self { input: Money::new(input)?, cached: None, output: Money::new(output)? })
    }

    /// The same with another price for tokens that the server had cached.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_cached(mut self, cached: f64) -> Result<Self, EngineError> {
        self.cached = Some(Money::new(cached)?);
        Ok(self)
    }

    /// The price of a call, by the usage that its server reports, else by an estimate; see
    /// [`Budget`](super::Budget).
    #[must_use]
    pub fn of_call(&self, request: &Request, response: &Response) -> Money {
        self.of(usage_or_estimate(request, response))
    }

    /// What so many tokens cost.
    #[must_use]
    pub fn of(&self, usage: Usage) -> Money {
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        let price = |tokens, million| Money::for_tokens(tokens, million);
        price(usage.prompt_tokens - cached, self.input)
            .plus(price(cached, self.cached.unwrap_or(self.input)))
            .plus(price(usage.completion_tokens, self.output))
    }
}

/// A table of prices by engine or model. There are none in this library: they change.
///
/// The price of an engine is the one under its whole [name](textgrad_core::Engine::name)
/// (`openai:gpt-x`), else the one under the model, which is what follows the first colon (`gpt-x`). Where there
/// is neither, there is no price: a budget of money refuses such an engine. One that costs nothing is given the
/// price 0.
///
/// As a file it is a JSON object:
/// ```json
/// {
///   "gpt-x": { "input": 2.5, "cached": 1.25, "output": 10 },
///   "openai:local-model": { "input": 0, "output": 0 }
/// }
/// ```
///
/// # Examples
/// ```
/// use textgrad_core::Usage;
/// use textgrad_ops::layer::Prices;
///
/// let prices = Prices::from_json(r#"{ "gpt-x": { "input": 2.5, "cached": 1.25, "output": 10 } }"#)?;
/// let price = prices.of("openai:gpt-x").unwrap();
/// let usage = Usage { prompt_tokens: 1000, completion_tokens: 200, cached_tokens: 400, ..Usage::default() };
/// assert_eq!(price.of(usage).to_string(), "0.004");
/// assert!(prices.of("openai:other").is_none());
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// The same table with one more price, or another for the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, price: Price) -> Self {
        self.0.insert(name.into(), price);
        self
    }

    /// A table written as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], with line and column, if it is none.
    pub fn from_json(text: &str) -> Result<Self, EngineError> {
        serde_json::from_str(text).map_err(|error| {
            invalid("expected prices per million tokens as a JSON object, {\"MODEL\": {\"input\": 2.5, \"cached\": 1.25, \"output\": 10}}; \"cached\" is optional")
            .with_source(error)
        })
    }

    /// A table in a file.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the file cannot be read or holds no table.
    pub async fn load(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let wrong = |what: &str| invalid(format!("the prices in {}: {what}", path.display()));
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| wrong("the file cannot be read").with_source(error))?;
        Self::from_json(&text)
            .map_err(|error| wrong("the file holds no table of prices").with_source(error))
    }

    /// The price of an engine.
    #[must_use]
    pub fn of(&self, engine: &str) -> Option<Price> {
        let model = || engine.split_once(':').and_then(|(_, model)| self.0.get(model));
        self.0.get(engine).or_else(model).copied()
    }

    pub(super) fn require(&self, engine: &str) -> Result<Price, EngineError> {
        self.of(engine).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            invalid(format!(
                    "expected a price for the engine {engine:?}, for the budget is of money; the table has {}; add one, 0 if it costs nothing",
                    match known.is_empty() {
                        true => "none".to_owned(),
                        false => truncate(&known.join(", "), 200),
                    }
                ))
        })
    }
}

/// The error of a price or an amount that cannot be used.
fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

/// Units are held as whole billionths of a thousandth: a token at the price of one unit for a million tokens.
const PER_UNIT: f64 = 1e12;

/// An amount of money, in units of the currency in which the prices are.
///
/// It is a whole number of 10⁻¹² units, so that sums do not depend on the order in which answers come: a
/// price with up to six decimals, for a million tokens, is exact for each single token. Amounts end at 18
/// million units; what is more counts as that. Written to JSON as a number of units, which reads back as the
/// very amount up to about 9,000 units, and to within 10⁻¹⁵ of it above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many units.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if they are not a number from 0 to 18 million.
    pub fn new(units: f64) -> Result<Self, EngineError> {
        if (0.0..=18e6).contains(&units) {
            // In range, and rounded: nothing is lost by it.
            return Ok(Self((units * PER_UNIT).round() as u64));
        }
        Err(invalid(format!("expected an amount of money from 0 to 18 million units, got {units}")))
    }

    /// The amount in units.
    #[must_use]
    pub fn units(self) -> f64 {
        self.0 as f64 / PER_UNIT
    }

    /// The sum; what is more than 18 million units counts as that.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// So many times the amount; what is more than 18 million units counts as that.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// The difference, at least zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// What so many tokens cost at this price for a million of them.
    fn for_tokens(tokens: u64, million: Self) -> Self {
        let exact = u128::from(tokens) * u128::from(million.0) / 1_000_000;
        Self(u64::try_from(exact).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Money {
    /// With six decimals, or fewer if fewer say it all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", self.units());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.units())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// English text has about four bytes to a token; other scripts have fewer letters but as many bytes.
const BYTES_PER_TOKEN: usize = 4;
/// Between what providers charge for a small and for a large image.
const TOKENS_PER_IMAGE: u64 = 1000;
/// An answer whose length is not bounded.
const TOKENS_PER_ANSWER: u64 = 512;

/// An estimate of the tokens that a request will cost: a quarter of its bytes of text and 1,000 for each
/// image, read once, and for each of its answers `max_tokens`, or 512 where that is not set.
pub(super) fn estimate(request: &Request) -> u64 {
    let answer = request.sampling.max_tokens.map_or(TOKENS_PER_ANSWER, u64::from);
    prompt_tokens(request).saturating_add(answer.saturating_mul(u64::from(request.sampling.n)))
}

/// The usage of a call: that of the server, or an estimate if it reports none.
pub(super) fn usage_or_estimate(request: &Request, response: &Response) -> Usage {
    if response.usage != Usage::default() {
        return response.usage;
    }
    let written = response.choices.iter().map(|choice| tokens_of(choice.text.len())).sum();
    Usage {
        prompt_tokens: prompt_tokens(request),
        completion_tokens: written,
        cached_tokens: 0,
        ..Usage::default()
    }
}

fn prompt_tokens(request: &Request) -> u64 {
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let bytes: usize = parts()
        .map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Image(_) => 0,
        })
        .sum();
    let images = parts().filter(|part| matches!(part, Part::Image(_))).count() as u64;
    tokens_of(bytes).saturating_add(images.saturating_mul(TOKENS_PER_IMAGE))
}

fn tokens_of(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

#[cfg(test)]
mod tests {
    use textgrad_core::{Choice, FinishReason, Image, Message, MessageRole, Purpose, Sampling};

    use super::*;

    #[test]
    fn text_images_and_answers_count() {
        let image = Image::new(vec![1; 999], "image/png").unwrap();
        let turn =
            Message::new(MessageRole::User, [Part::Text("123456789".into()), Part::Image(image)]);
        let request = Request::new(Purpose::Sample, [turn]);
        assert_eq!(estimate(&request), 3 + 1000 + 512);
        let bounded = request.with_sampling(Sampling::default().with_n(5).with_max_tokens(10));
        assert_eq!(estimate(&bounded), 3 + 1000 + 50);
    }
    #[test]
    fn a_call_costs_what_the_server_says_or_else_what_is_estimated() {
        let request = Request::new(Purpose::Sample, [Message::user("12345678")]);
        let answer = |text: &str| Choice::new(text, FinishReason::Stop);
        let response = Response::new(vec![answer("12345"), answer("")]);
        let estimated =
            Usage { prompt_tokens: 2, completion_tokens: 2, cached_tokens: 0, ..Usage::default() };
        assert_eq!(usage_or_estimate(&request, &response), estimated);
        let said =
            Usage { prompt_tokens: 7, completion_tokens: 0, cached_tokens: 3, ..Usage::default() };
        assert_eq!(usage_or_estimate(&request, &response.with_usage(said)), said);
    }
}
