//! Preferences by an engine.

use std::sync::Arc;

use futures_util::future::try_join;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use textgrad_core::{Engine, PromptPack, Sampling, Seed, TemplateContext};

use super::Output;
use crate::bench::ask::Asker;
use crate::bench::records::{list, wrong};
use crate::error::Error;

/// The variables of `preference_system` and `preference`, which ask for the better of two outputs.
#[derive(Debug, Clone, Serialize)]
pub struct PreferenceContext<'a> {
    /// What was asked.
    pub instruction: &'a str,
    /// The output that is called `m`, which stands first.
    pub output_1: &'a str,
    /// The output that is called `M`.
    pub output_2: &'a str,
}

impl TemplateContext for PreferenceContext<'_> {
    fn example() -> Json {
        json!({ "instruction": "", "output_1": "", "output_2": "" })
    }
}

/// A comparison with the reference, in the fields of the official annotations. Output 1 is the reference's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// What was asked.
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
    /// What the judge said, first with the reference in the first place, then with the model.
    #[serde(default)]
    pub raw_completion: Vec<String>,
}

/// Compares outputs with a reference's, each pair in both orders; the preference is the mean of both replies.
///
/// This is not the annotator of the leaderboard, which asks once in an order that is drawn and weighs the
/// reply by the probabilities of its tokens: here a reply counts as a whole, and both orders are asked so that
/// a judge's liking for a place cancels out. The wording is ours unless a pack brings another. Compare only
/// figures of the same judge and wording.
#[derive(Debug, Clone)]
pub struct Annotator(Asker);

impl Annotator {
    /// A judge, at temperature 0. The pack needs the [templates](crate::prompts::templates) of this crate.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, prompts: Arc<PromptPack>) -> Self {
        Self(Asker::new(engine, prompts))
    }

    /// How replies are drawn; one a comparison whatever its `n` says.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.0.sampling = sampling;
        self
    }

    /// The seed that the seeds of the comparisons are derived from.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.0.seed = seed;
        self
    }

    /// Compares two outputs in both orders, at the same time.
    ///
    /// # Errors
    /// [`Error::Input`] if they are to different instructions, else those of the engine and of the templates.
    /// A reply that can not be read is no error.
    pub async fn annotate(&self, reference: &Output, output: &Output) -> Result<Annotation, Error> {
        let instruction = &reference.instruction;
        if *instruction != output.instruction {
            let reason = "expected outputs to one instruction, got those to two";
            return Err(wrong(&output.generator, reason.to_owned()));
        }
        let (one, two) = (reference.output.as_str(), output.output.as_str());
        let asked =
            try_join(self.ask(instruction, one, two, 0), self.ask(instruction, two, one, 1));
        let (first, second) = asked.await?;
        let wins = [second_wins(&first), second_wins(&second).map(|reference| !reference)];
        let preference = match wins {
            [Some(first), Some(second)] => Some(1.0 + (f64::from(first) + f64::from(second)) / 2.0),
            _ => None,
        };
        Ok(Annotation {
            instruction: instruction.clone(),
            output_1: reference.output.clone(),
            generator_1: reference.generator.clone(),
            dataset: reference.dataset.clone(),
            output_2: output.output.clone(),
            generator_2: output.generator.clone(),
            annotator: self.0.name().to_owned(),
            preference,
            raw_completion: vec![first, second],
        })
    }

    async fn ask(
        &self,
        instruction: &str,
        output_1: &str,
        output_2: &str,
        order: u64,
    ) -> Result<String, Error> {
        let context = PreferenceContext { instruction, output_1, output_2 };
        let seed = self.0.seed.child(instruction, 0).child("order", order);
        let (_, said) = self.0.ask(["preference_system", "preference"], &context, seed).await?;
        Ok(said)
    }
}

/// Whether a reply names the second output: its last line is `M`, or `m` for the first, and nothing else but
/// signs around it. None for anything else.
fn second_wins(said: &str) -> Option<bool> {
    let last = said.lines().rev().find(|line| !line.trim().is_empty())?;
    match last.trim_matches(|letter: char| !letter.is_alphanumeric()) {
        "M" => Some(true),
        "m" => Some(false),
        _ => None,
    }
}

/// The text of a file of annotations: a JSON list.
///
/// # Errors
/// None in practice.
pub fn write_annotations(annotations: &[Annotation]) -> Result<String, Error> {
    list(annotations)
}

#[cfg(test)]
mod tests {
    use textgrad_core::Purpose;
    use textgrad_core::testing::ScriptedEngine;

    use super::*;

    fn output(generator: &str, output: &str) -> Output {
        Output {
            instruction: "Why {{x}}? ".to_owned(),
            output: output.to_owned(),
            generator: generator.to_owned(),
            dataset: None,
        }
    }

    async fn preference(first: &str, second: &str) -> Option<f64> {
        let engine = Arc::new(ScriptedEngine::new([first, second]));
        annotate(&engine).await.preference
    }

    async fn annotate(engine: &Arc<ScriptedEngine>) -> Annotation {
        let pack = Arc::new(crate::prompts::default_pack().unwrap());
        let judge = Annotator::new(Arc::clone(engine) as Arc<dyn Engine>, pack);
        let (reference, mine) = (output("ref", "the reference's"), output("mine", "the model's"));
        judge.annotate(&reference, &mine).await.unwrap()
    }

    #[tokio::test]
    async fn a_liking_for_a_place_cancels_out() {
        assert_eq!(preference("M", "m").await, Some(2.0));
        assert_eq!(preference("m", "M").await, Some(1.0));
        assert_eq!(preference("m", "m").await, Some(1.5));
        assert_eq!(preference("M", "M").await, Some(1.5));
        assert_eq!(preference("M", "both").await, None);
    }

    #[tokio::test]
    async fn both_orders_are_asked() {
        let engine = Arc::new(ScriptedEngine::new(["M", "Better:\n**m**."]));
        let annotation = annotate(&engine).await;
        assert_eq!(annotation.preference, Some(2.0));
        assert_eq!(annotation.raw_completion, ["M", "Better:\n**m**."]);
        let sent = engine.requests();
        let place = |at: usize, text: &str| sent[at].messages[1].text().find(text).unwrap();
        assert!(place(0, "the reference's") < place(0, "the model's"));
        assert!(place(1, "the reference's") > place(1, "the model's"));
        assert!(sent[0].messages[1].text().contains("Why {{x}}? "));
        assert_eq!((sent[0].purpose, sent[0].sampling.temperature), (Purpose::Judge, Some(0.0)));
        assert_ne!(sent[0].sampling.seed, sent[1].sampling.seed);
        let json = write_annotations(&[annotation]).unwrap();
        let json: Json = serde_json::from_str(&json).unwrap();
        assert_eq!((&json[0]["generator_1"], &json[0]["preference"]), (&"ref".into(), &2.0.into()));
    }

    #[tokio::test]
    async fn outputs_to_other_instructions_are_refused() {
        let engine = Arc::new(ScriptedEngine::new(["M", "m"]));
        let pack = Arc::new(crate::prompts::default_pack().unwrap());
        let judge = Annotator::new(Arc::clone(&engine) as Arc<dyn Engine>, pack);
        let mut other = output("mine", "x");
        other.instruction = "Why {{x}}?".to_owned();
        assert!(judge.annotate(&output("ref", "y"), &other).await.is_err());
        assert!(engine.requests().is_empty());
    }

    #[test]
    fn replies_are_read_to_the_letter() {
        for (said, second) in [
            ("M", Some(true)),
            ("m\n", Some(false)),
            ("First I thought m.\nM", Some(true)),
            ("\"m\"", Some(false)),
            ("I prefer m over M", None),
            ("Mm", None),
            ("", None),
            ("\n \n", None),
        ] {
            assert_eq!(second_wins(said), second, "{said:?}");
        }
    }
}
