//! Sampling of the next token from logits.

use serde_json::Value;
use textgrad_core::{EngineError, Sampling, Seed};

use crate::local::invalid;

/// So many of the likeliest tokens are sorted at first. Hardly a draw looks at more.
const HEAD: usize = 256;

/// llama.cpp reads groups and follows rules by recursion without a bound, and a grammar may come from a client. So many
/// of both take a small part of the stack.
const MAX_GROUPS: usize = 1000;
const MAX_RULES: usize = 1000;

/// Fails for a grammar in GBNF that llama.cpp may read until its stack ends. Parentheses in literals count too.
pub(super) fn check_grammar(grammar: &str) -> Result<(), EngineError> {
    let count = |mark| grammar.matches(mark).count();
    let (groups, rules) = (count("("), count("::="));
    if groups > MAX_GROUPS || rules > MAX_RULES {
        return Err(invalid(format!(
            "expected a grammar of at most {MAX_GROUPS} groups and {MAX_RULES} rules, got {groups} and {rules}"
        )));
    }
    Ok(())
}

/// How the tokens of an answer are drawn. A distribution is tempered first and truncated then, as vLLM does it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SamplingParams {
    temperature: f64,
    top_p: f64,
    /// 0: all.
    top_k: usize,
    min_p: f64,
    frequency_penalty: f64,
    presence_penalty: f64,
    repetition_penalty: f64,
    /// A grammar in GBNF that the answer must satisfy.
    pub(super) grammar: Option<String>,
}

impl SamplingParams {
    /// The parameters of a request. Those that are not set leave the model's own distribution.
    pub(super) fn new(sampling: &Sampling) -> Result<Self, EngineError> {
        let mut params = Self {
            temperature: sampling.temperature.unwrap_or(1.0),
            top_p: sampling.top_p.unwrap_or(1.0),
            top_k: 0,
            min_p: 0.0,
            frequency_penalty: sampling.frequency_penalty.unwrap_or(0.0),
            presence_penalty: sampling.presence_penalty.unwrap_or(0.0),
            repetition_penalty: 1.0,
            grammar: None,
        };
        for (name, value) in &sampling.extra {
            match (name.as_str(), value.as_f64()) {
                // -1 is vLLM's word for all.
                ("top_k", Some(-1.0)) => params.top_k = 0,
                ("top_k", Some(_)) if value.is_u64() => {
                    params.top_k =
                        value.as_u64().and_then(|k| usize::try_from(k).ok()).unwrap_or(0);
                }
                ("min_p", Some(number)) => params.min_p = number,
                ("repetition_penalty" | "repeat_penalty", Some(number)) => {
                    params.repetition_penalty = number;
                }
                ("grammar", None) if value.is_string() => {
                    let grammar = value.as_str().unwrap_or_default();
                    check_grammar(grammar)?;
                    params.grammar = Some(grammar.to_owned());
                }
                _ => return Err(unknown(name, value)),
            }
        }
        params.check()?;
        Ok(params)
    }

    fn check(&self) -> Result<(), EngineError> {
        let is_within = |number: f64, from: f64, to: f64| number >= from && number <= to;
        let numbers = [
            (
                "temperature",
                self.temperature,
                is_within(self.temperature, 0.0, 100.0),
                "from 0 to 100",
            ),
            ("top_p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0, at most 1"),
            ("min_p", self.min_p, is_within(self.min_p, 0.0, 1.0), "from 0 to 1"),
            (
                "repetition_penalty",
                self.repetition_penalty,
                self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite(),
                "above 0",
            ),
            (
                "frequency_penalty",
                self.frequency_penalty,
                self.frequency_penalty.is_finite(),
                "from -2 to 2",
            ),
            (
                "presence_penalty",
                self.presence_penalty,
                self.presence_penalty.is_finite(),
                "from -2 to 2",
            ),
        ];
        match numbers.iter().find(|(_, _, is_valid, _)| !is_valid) {
            Some((name, number, _, expected)) => {
                Err(invalid(format!("expected {name} to be a number {expected}, got {number}")))
            }
            None => Ok(()),
        }
    }

    /// Draws a token by a number in `[0, 1)`. `prompt` and `answer` are the tokens so far, for the penalties.
    ///
    /// None if no token is possible: all logits are negative infinity or not numbers.
    pub(super) fn draw(
        &self,
        logits: &[f32],
        prompt: &[u32],
        answer: &[u32],
        number: f64,
    ) -> Option<u32> {
        let mut tokens = self.candidates(logits, prompt, answer);
        if self.temperature == 0.0 {
            return tokens.iter().min_by(|a, b| likelier(a, b)).map(|(token, _)| *token);
        }
        let best = tokens.iter().min_by(|a, b| likelier(a, b))?.1;
        let weight = |logit: f32| (f64::from(logit - best) / self.temperature).exp();
        let all: f64 = tokens.iter().map(|(_, logit)| weight(*logit)).sum();
        let head = sort_head(&mut tokens, HEAD);
        let enough = |kept: &[(u32, f32)]| {
            let sum: f64 = kept.iter().map(|(_, logit)| weight(*logit)).sum();
            let last = kept.last().map_or(0.0, |(_, logit)| weight(*logit));
            sum >= self.top_p * all || last < self.min_p || (1..=kept.len()).contains(&self.top_k)
        };
        let kept = match tokens.get(..head) {
            Some(kept) if enough(kept) => kept,
            _ => {
                tokens.sort_unstable_by(likelier);
                &tokens
            }
        };
        // The shortest beginning that all bounds allow, but always one token.
        let mut sum = 0.0;
        let mut weights = Vec::with_capacity(kept.len());
        for (token, logit) in kept {
            let weight = weight(*logit);
            let is_out = sum >= self.top_p * all
                || weight < self.min_p
                || (self.top_k > 0 && weights.len() >= self.top_k);
            if is_out && !weights.is_empty() {
                break;
            }
            sum += weight;
            weights.push((*token, weight));
        }
        let mut left = number * sum;
        let drawn = weights.iter().find(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        drawn.or(weights.last()).map(|(token, _)| *token)
    }

    /// The possible tokens with their logits after the penalties.
    fn candidates(&self, logits: &[f32], prompt: &[u32], answer: &[u32]) -> Vec<(u32, f32)> {
        let mut tokens: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
        if self.repetition_penalty != 1.0 {
            let mut seen: Vec<u32> = prompt.iter().chain(answer).copied().collect();
            seen.sort_unstable();
            seen.dedup();
            for token in seen {
                if let Some((_, logit)) = tokens.get_mut(token as usize) {
                    let penalty = narrow(self.repetition_penalty);
                    *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
                }
            }
        }
        if self.frequency_penalty != 0.0 || self.presence_penalty != 0.0 {
            let mut seen = answer.to_vec();
            seen.sort_unstable();
            for run in seen.chunk_by(|a, b| a == b) {
                let count = f64::from(u32::try_from(run.len()).unwrap_or(u32::MAX));
                let penalty = self.frequency_penalty * count + self.presence_penalty;
                if let Some((_, logit)) = run.first().and_then(|at| tokens.get_mut(*at as usize)) {
                    *logit -= narrow(penalty);
                }
            }
        }
        tokens.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        tokens
    }
}

#[expect(clippy::cast_possible_truncation, reason = "logits have this precision")]
fn narrow(number: f64) -> f32 {
    number as f32
}

fn unknown(name: &str, value: &Value) -> EngineError {
    invalid(format!(
        "expected of the extra fields those that a model in the process knows, the numbers top_k, min_p and \
         repetition_penalty and the text grammar, got {name:?} with {}",
        textgrad_core::truncate(&value.to_string(), 80)
    ))
}

/// The order from the likeliest token on. Of equal ones, the first of the vocabulary.
fn likelier(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Moves the likeliest tokens to the front, in order, and says how many they are.
fn sort_head(tokens: &mut [(u32, f32)], most: usize) -> usize {
    if tokens.len() > most {
        tokens.select_nth_unstable_by(most, likelier);
    }
    let head = tokens.len().min(most);
    if let Some(front) = tokens.get_mut(..head) {
        front.sort_unstable_by(likelier);
    }
    head
}

/// The natural logarithms of a token's probability and of the likeliest tokens', under the model's own distribution.
pub(super) fn logprobs(logits: &[f32], token: u32, most: usize) -> (f64, Vec<(u32, f64)>) {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - best).exp()).sum();
    let logprob = |logit: f32| f64::from(logit - best) - sum.ln();
    let own = logits.get(token as usize).map_or(f64::NEG_INFINITY, |logit| logprob(*logit));
    let mut tokens: Vec<(u32, f32)> =
        if most == 0 { Vec::new() } else { (0..).zip(logits.iter().copied()).collect() };
    let head = sort_head(&mut tokens, most);
    let top = tokens.iter().take(head).map(|(token, logit)| (*token, logprob(*logit))).collect();
    (own, top)
}

/// A number in `[0, 1)` of a seed and a position. Other draws in the process do not change it.
pub(super) fn uniform(seed: u64, position: u64) -> f64 {
    // Seeds of neighbouring choices differ by 1, so they are mixed before positions are added.
    Seed::new(seed).draw(0).draw(position).unit()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(extra: Value) -> Result<SamplingParams, EngineError> {
        let extra = extra.as_object().unwrap().clone();
        SamplingParams::new(&Sampling { extra, ..Sampling::default() })
    }

    /// How often each of four tokens is drawn.
    fn shares(params: &SamplingParams, answer: &[u32]) -> [f64; 4] {
        let logits = [0.1_f32, 0.2, 0.3, 0.4].map(f32::ln);
        let mut counts = [0.0; 4];
        for position in 0..20_000 {
            let token = params.draw(&logits, &[], answer, uniform(7, position)).unwrap();
            counts[token as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    fn assert_near(got: [f64; 4], expected: [f64; 4]) {
        let is_near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.015);
        assert!(is_near, "{got:?} {expected:?}");
    }

    #[test]
    fn tokens_are_drawn_by_their_probabilities_within_the_bounds() {
        assert_near(shares(&params(json!({})).unwrap(), &[]), [0.1, 0.2, 0.3, 0.4]);
        assert_near(shares(&params(json!({"top_k": 1})).unwrap(), &[]), [0.0, 0.0, 0.0, 1.0]);
        assert_near(shares(&params(json!({"top_k": -1})).unwrap(), &[]), [0.1, 0.2, 0.3, 0.4]);
        let [third, fourth] = [3.0 / 7.0, 4.0 / 7.0];
        assert_near(
            shares(&params(json!({"min_p": 0.6})).unwrap(), &[]),
            [0.0, 0.0, third, fourth],
        );
        let sampling = Sampling { top_p: Some(0.65), ..Sampling::default() };
        assert_near(
            shares(&SamplingParams::new(&sampling).unwrap(), &[]),
            [0.0, 0.0, third, fourth],
        );
        let cold = Sampling::default().with_temperature(0.5);
        let squares = [1.0, 4.0, 9.0, 16.0].map(|square| square / 30.0);
        assert_near(shares(&SamplingParams::new(&cold).unwrap(), &[]), squares);
        let greedy = Sampling::default().with_temperature(0.0);
        assert_near(shares(&SamplingParams::new(&greedy).unwrap(), &[]), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn tokens_that_occurred_are_penalized() {
        let frequency = Sampling { frequency_penalty: Some(2.0_f64.ln()), ..Sampling::default() };
        let frequency = SamplingParams::new(&frequency).unwrap();
        // Twice the last token: a quarter of its weight.
        let expected = [0.1, 0.2, 0.3, 0.1].map(|weight| weight / 0.7);
        assert_near(shares(&frequency, &[3, 3]), expected);
        let presence = Sampling { presence_penalty: Some(2.0_f64.ln()), ..Sampling::default() };
        let expected = [0.1, 0.2, 0.3, 0.2].map(|weight| weight / 0.8);
        assert_near(shares(&SamplingParams::new(&presence).unwrap(), &[3, 3]), expected);
        // Negative logits are multiplied: 0.4 squared.
        let expected = [0.1, 0.2, 0.3, 0.16].map(|weight| weight / 0.76);
        assert_near(shares(&params(json!({"repetition_penalty": 2.0})).unwrap(), &[3]), expected);
    }

    #[test]
    fn a_wide_vocabulary_is_drawn_from_whole() {
        let logits = vec![0.0; 10_000];
        let all = params(json!({})).unwrap();
        let last = all.draw(&logits, &[], &[], 0.999_99).unwrap();
        assert_eq!((last, all.draw(&logits, &[], &[], 0.0)), (9_999, Some(0)));
        assert_eq!(all.draw(&[f32::NEG_INFINITY; 2], &[], &[], 0.5), None);
        assert_eq!(all.draw(&[f32::NAN, 0.0], &[], &[], 0.5), Some(1));
    }

    #[test]
    fn fields_and_ranges_that_are_not_known_are_refused() {
        for (extra, expected) in [
            (json!({"best_of": 3}), "got \"best_of\" with 3"),
            (json!({"top_k": 1.5}), "got \"top_k\" with 1.5"),
            (json!({"grammar": 1}), "got \"grammar\" with 1"),
            (json!({"min_p": 2}), "expected min_p to be a number from 0 to 1, got 2"),
            (
                json!({"repetition_penalty": 0}),
                "expected repetition_penalty to be a number above 0",
            ),
        ] {
            let error = params(extra).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn logprobs_are_of_the_whole_distribution() {
        let logits = [0.1_f32, 0.2, 0.3, 0.4].map(f32::ln);
        let (own, top) = logprobs(&logits, 1, 2);
        assert!((own - 0.2_f64.ln()).abs() < 1e-6);
        assert_eq!(top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [3, 2]);
        assert!((top[0].1 - 0.4_f64.ln()).abs() < 1e-6);
        assert!(logprobs(&logits, 1, 0).1.is_empty());
    }
}
