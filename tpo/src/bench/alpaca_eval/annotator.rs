//! Annotator that compares outputs by a judge.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use textgrad_core::{Engine, PromptPack, Sampling, Seed, TokenLogprob};
use textgrad_ops::score::read_word;
use textgrad_ops::util::reasoning::answer_in;

use super::Output;
use crate::bench::grader::Asker;
use crate::error::Error;
use crate::stats::mean;

/// The variables of `preference_system` and `preference`, which ask for the better of two outputs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreferenceContext<'a> {
    /// The request.
    pub instruction: &'a str,
    /// The output that is called `m`, which stands first.
    pub output_1: &'a str,
    /// The output that is called `M`.
    pub output_2: &'a str,
}

/// How a reply becomes a preference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reading {
    /// Its last line is the letter of the better output.
    #[default]
    Letter,
    /// Both letters by the probabilities that they had as the first token, so that a judge who wavers is told
    /// from one who is sure. The engine must tell probabilities, and the judge must not think before it
    /// replies.
    Probabilities,
}

/// In which order outputs are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Orders {
    /// In both, one request each, so that a judge's liking for a place cancels out.
    #[default]
    Both,
    /// In one that is drawn for each pair by the seed, at half the cost.
    Drawn,
}

/// Compares outputs with a reference's; the preference is the mean of what the replies say.
///
/// As it is, a reply counts as a whole and each pair is shown in both orders. The leaderboard's annotator,
/// `weighted_alpaca_eval_gpt4_turbo`, is [`Reading::Probabilities`] with [`Orders::Drawn`], GPT-4 Turbo
/// (`gpt-4-1106-preview`) and a wording of its own, which a pack can bring: the wording here is ours. Compare
/// only figures of the same judge, wording, reading and orders.
#[derive(Debug, Clone)]
pub struct Annotator {
    pub(crate) asker: Asker,
    reading: Reading,
    orders: Orders,
}

impl Annotator {
    /// A judge whose replies are read to the letter, at temperature 0, in both orders. The pack needs the
    /// [templates](crate::prompts::templates) of this crate.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, prompts: Arc<PromptPack>) -> Self {
        let asker = Asker::new(engine, prompts);
        Self { asker, reading: Reading::default(), orders: Orders::default() }
    }

    /// How replies are read. Probabilities are asked for as the leaderboard's annotator does, which replaces
    /// the sampling: one token at temperature 1, with the five likeliest.
    #[must_use]
    pub fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        if reading == Reading::Probabilities {
            let one = Sampling::default().with_temperature(1.0).with_max_tokens(1);
            self.asker.sampling = one.with_top_logprobs(5);
        }
        self
    }

    /// In which order outputs are shown.
    #[must_use]
    pub fn orders(mut self, orders: Orders) -> Self {
        self.orders = orders;
        self
    }

    /// Compares two outputs, in both orders at the same time. Equal outputs are a draw, 1.5, and the judge is
    /// not asked, as in the official program.
    ///
    /// # Errors
    /// [`Error::Input`] if they are to different instructions, and if a reply comes without the probabilities
    /// that were asked for; else those of the engine and of the templates. A reply that cannot be read is no
    /// error.
    pub async fn annotate(&self, reference: &Output, output: &Output) -> Result<Annotation, Error> {
        let instruction = &reference.instruction;
        if *instruction != output.instruction {
            let reason = "expected outputs to one instruction, got those to two";
            return Err(Error::input(&output.generator, reason));
        }
        let seed = self.asker.seed.child(instruction, 0);
        let reference_first = match self.orders {
            // A draw, which nobody need be asked about.
            _ if reference.output == output.output => Vec::new(),
            Orders::Both => vec![true, false],
            Orders::Drawn => vec![seed.child(&output.output, 0).value().is_multiple_of(2)],
        };
        let asked = reference_first.iter().map(|first| {
            let (one, two) = (reference.output.as_str(), output.output.as_str());
            let (output_1, output_2) = if *first { (one, two) } else { (two, one) };
            let context = PreferenceContext { instruction, output_1, output_2 };
            self.ask(context, seed.child("order", u64::from(!first)))
        });
        let reply = try_join_all(asked).await?;
        let (raw_completion, seconds): (Vec<String>, Vec<Option<f64>>) = reply.into_iter().unzip();
        let shares: Vec<Option<f64>> = seconds
            .into_iter()
            .zip(&reference_first)
            .map(|(second, first)| second.map(|share| if *first { share } else { 1.0 - share }))
            .collect();
        let decided: Option<Vec<f64>> = shares.iter().copied().collect();
        let share = decided.map(|shares| mean(&shares).unwrap_or(0.5));
        Ok(Annotation {
            instruction: instruction.clone(),
            output_1: reference.output.clone(),
            generator_1: reference.generator.clone(),
            dataset: reference.dataset.clone(),
            output_2: output.output.clone(),
            generator_2: output.generator.clone(),
            annotator: self.asker.name().to_owned(),
            preference: share.map(|share| 1.0 + share),
            raw_completion,
            reference_first,
            shares,
            glm_preference: None,
        })
    }

    /// The reply of the judge, and the share that it gives the second output.
    async fn ask(
        &self,
        context: PreferenceContext<'_>,
        seed: Seed,
    ) -> Result<(String, Option<f64>), Error> {
        let templates = ["preference_system", "preference"];
        let (_, choice) = self.asker.ask(templates, &context, seed).await?;
        let Some(choice) = choice else { return Ok((String::new(), None)) };
        let share = match self.reading {
            Reading::Letter if !choice.finish_reason.is_end() => None,
            Reading::Letter => second_wins(&choice.text).map(f64::from),
            Reading::Probabilities => {
                let first = choice.logprobs.first().ok_or_else(|| {
                    let reason = "expected the probabilities of the reply's tokens, got none; take an \
                                  engine that tells them, or read replies to the letter";
                    Error::input(self.asker.name(), reason)
                })?;
                share_of_second(first)
            }
        };
        Ok((choice.text, share))
    }
}

/// The probability of `M` among both letters. None if neither is among the likeliest tokens. A letter that is
/// not counts as impossible, as in the official program.
fn share_of_second(token: &TokenLogprob) -> Option<f64> {
    let of = |letter: &str| {
        let reported =
            token.top.iter().find(|(other, _)| other == letter).map(|(_, logprob)| *logprob);
        reported.or_else(|| (token.token == letter).then_some(token.logprob)).map_or(0.0, f64::exp)
    };
    let (first, second) = (of("m"), of("M"));
    (first + second > 0.0).then(|| second / (first + second))
}

/// Whether a reply names the second output: it is `M`, or `m` for the first, or its last line is, as [`read_word`]
/// reads it. None for anything else, and for reasoning that has no end.
fn second_wins(reply: &str) -> Option<bool> {
    const LETTERS: [(&str, bool); 2] = [("M", true), ("m", false)];
    let answer = reply.get(answer_in(reply)?)?;
    let last = answer.lines().rev().find(|line| line.contains(char::is_alphanumeric))?;
    read_word(answer, &LETTERS).or_else(|_| read_word(last, &LETTERS)).ok()
}

/// A comparison with the reference, in the fields of the official annotations. Output 1 is the reference's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// The request.
    pub instruction: String,
    /// The reference's output.
    pub output_1: String,
    /// The reference.
    pub generator_1: String,
    /// Where the instruction comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// The model's output.
    pub output_2: String,
    /// The model.
    pub generator_2: String,
    /// The judge.
    pub annotator: String,
    /// From 1 (the reference is better) to 2 (the model is); none if a reply could not be read.
    pub preference: Option<f64>,
    /// The replies of the judge, one per order.
    #[serde(default)]
    pub raw_completion: Vec<String>,
    /// Of each reply, whether the reference's output stood first.
    #[serde(default)]
    pub reference_first: Vec<bool>,
    /// Of each reply, what it gave the model, from 0 to 1; none if it could not be read.
    #[serde(default)]
    pub shares: Vec<Option<f64>>,
    /// What is expected at equal lengths, from 0 to 1, where that was [computed](super::LengthControl).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glm_preference: Option<f64>,
}
