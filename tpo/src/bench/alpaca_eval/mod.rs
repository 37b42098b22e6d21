//! AlpacaEval 2: 805 instructions, answers compared with a reference model's by an annotator.
//!
//! The evaluation set and the outputs are JSON lists of `{"instruction","output","generator","dataset"}`. The
//! official program joins outputs and references on the text of the instruction: one that was changed by a
//! space disappears with a line in a log. [`write_outputs`] keeps instructions as they are and refuses what would be
//! lost, and [`missing`] says what an outputs file lacks.
//!
//! [`Annotator`] lets any engine compare, to the letter and in both orders, or as the leaderboard's annotator
//! does: once, by the probability of one letter. [`win_rate`] and [`LengthControl`] are the official
//! aggregations. Figures are the leaderboard's only with its judge, its wording (a pack can bring it) and the
//! authors' file of difficulties, none of which is part of this crate.

mod annotator;
mod length;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use self::annotator::{Annotation, Annotator, Orders, PreferenceContext, Reading};
pub use self::length::{LengthControl, LengthControlled};
use super::item::Item;
use super::records::{records, to_json, unique};
use crate::bench::grader::mean_reward;
use crate::error::Error;
use crate::query::Query;

/// An output of a model, or of the reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// What was asked, letter by letter as in the evaluation set.
    pub instruction: String,
    /// The response of the model.
    pub output: String,
    /// The model.
    pub generator: String,
    /// Where the instruction comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
}

/// Reads an evaluation set or the outputs of a model. `source` is the file's name, for errors.
///
/// # Errors
/// [`Error::Input`] with the location and what was expected; also for an instruction that comes twice, of which
/// the official program would keep one.
pub fn read(source: &str, text: &str) -> Result<Vec<Output>, Error> {
    let read = records::<Output>(source, text)?;
    unique(
        read.iter().map(|(location, o)| (location.as_str(), o.instruction.as_str())),
        "instruction",
    )?;
    for (location, output) in &read {
        if output.instruction.is_empty() {
            return Err(Error::input(location, "expected an instruction, got an empty text"));
        }
    }
    Ok(read.into_iter().map(|(_, output)| output).collect())
}

/// Instructions of the evaluation set that the outputs do not answer, because they lack them or because they
/// spell them otherwise. The official program would leave them out of the score.
#[must_use]
pub fn missing<'a>(set: &'a [Output], outputs: &[Output]) -> Vec<&'a str> {
    let answered: HashSet<&str> = outputs.iter().map(|o| o.instruction.as_str()).collect();
    let asked = set.iter().map(|o| o.instruction.as_str());
    asked.filter(|instruction| !answered.contains(instruction)).collect()
}

/// The text of `model_outputs.json`: outputs of one model, to be scored by the official program. Instructions are
/// those of the evaluation set, letter by letter.
///
/// # Errors
/// [`Error::Config`] for a model without a name, [`Error::Input`] for an instruction that comes twice.
///
/// # Examples
/// ```
/// use tpo::bench::alpaca_eval::{Output, read, write_outputs};
///
/// let output = Output {
///     instruction: "Name a color. ".to_owned(),
///     output: "Blue.".to_owned(),
///     generator: "my-model".to_owned(),
///     dataset: None,
/// };
/// assert!(write_outputs(&[output.clone(), output.clone()]).is_err());
/// let text = write_outputs(&[output])?;
/// assert_eq!(read("model_outputs.json", &text)?[0].instruction, "Name a color. ");
/// # Ok::<(), tpo::Error>(())
/// ```
pub fn write_outputs(outputs: &[Output]) -> Result<String, Error> {
    let named = outputs.iter().map(|o| (o.generator.as_str(), o.instruction.as_str()));
    unique(named.clone(), "instruction")?;
    for (generator, _) in named {
        check_generator(generator)?;
    }
    to_json(outputs)
}

/// Refuses an empty name of a model. It must also differ from those of all other models that are compared.
///
/// # Errors
/// [`Error::Config`].
pub fn check_generator(name: &str) -> Result<(), Error> {
    match name.trim().is_empty() {
        true => Err(Error::config("model-name", "a name of the model", "an empty text")),
        false => Ok(()),
    }
}

/// The instruction is the name that the official program knows.
impl Item for Output {
    fn id(&self) -> String {
        self.instruction.clone()
    }

    fn query(&self) -> Query {
        self.instruction.as_str().into()
    }
}

/// How often a model wins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WinRate {
    /// The mean of the preferences for the model, from 0 to 100.
    pub win_rate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// How many items had a preference.
    pub items: usize,
}

/// The win rate of preferences from 1 (the reference is better) to 2 (the model is better), where a 0 is a
/// draw as 1.5 is. Items without a preference, which the annotator could not decide, are left out; none is
/// returned if all are.
///
/// # Errors
/// [`Error::Input`] for a preference that is none of these, with its number, from 1.
///
/// # Examples
/// ```
/// use tpo::bench::alpaca_eval::win_rate;
///
/// let rate = win_rate(&[Some(2.0), Some(1.0), Some(1.5), None, Some(0.0)])?;
/// assert_eq!(rate.map(|rate| (rate.win_rate, rate.items)), Some((50.0, 4)));
/// # Ok::<(), tpo::Error>(())
/// ```
pub fn win_rate(preferences: &[Option<f64>]) -> Result<Option<WinRate>, Error> {
    let shares = (1..).zip(preferences).map(|(number, preference)| share(number, *preference));
    let shares: Vec<Option<f64>> = shares.collect::<Result<_, _>>()?;
    let wins: Vec<f64> = shares.into_iter().flatten().collect();
    Ok(mean_reward(&wins).map(|wins| WinRate {
        win_rate: 100.0 * wins.mean,
        standard_error: 100.0 * wins.standard_error,
        items: wins.items,
    }))
}

/// A preference as a share of the model, from 0 to 1.
pub(super) fn share(number: usize, preference: Option<f64>) -> Result<Option<f64>, Error> {
    match preference {
        None => Ok(None),
        Some(0.0) => Ok(Some(0.5)),
        Some(value) if (1.0..=2.0).contains(&value) => Ok(Some(value - 1.0)),
        Some(value) => Err(Error::input(
            format!("preference {number}"),
            format!("expected 0 or 1 to 2, got {value}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = r#"[
        {"instruction": "one ", "output": "a", "generator": "ref", "dataset": "koala"},
        {"instruction": "two\n", "output": "b", "generator": "ref"}]"#;

    fn output(instruction: &str) -> Output {
        let (generator, output) = ("m".to_owned(), "said".to_owned());
        Output { instruction: instruction.to_owned(), output, generator, dataset: None }
    }

    #[test]
    fn a_changed_instruction_is_reported_as_missing() {
        let set = read("f", SET).unwrap();
        let outputs = [output("one"), output("two\n")];
        assert_eq!(missing(&set, &outputs), ["one "]);
        assert!(missing(&set, &set).is_empty());
    }

    #[test]
    fn the_file_is_a_list_with_the_very_instructions() {
        let set = read("f", SET).unwrap();
        let outputs: Vec<Output> = set.iter().map(|one| output(&one.instruction)).collect();
        let text = write_outputs(&outputs).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json[0]["instruction"], "one ");
        assert_eq!(json[1]["generator"], "m");
        assert_eq!(json.as_array().unwrap().len(), 2);
    }

    #[test]
    fn duplicates_and_nameless_models_are_refused() {
        let twice = r#"[{"instruction":"a","output":"","generator":"g"},{"instruction":"a","output":"","generator":"g"}]"#;
        let error = read("f", twice).unwrap_err().to_string();
        assert_eq!(error, "f, item 2: expected each instruction once, got \"a\" again");
        let error = write_outputs(&[output("a"), output("a")]).unwrap_err().to_string();
        assert_eq!(error, "m: expected each instruction once, got \"a\" again");
        assert!(write_outputs(&[Output { generator: " ".to_owned(), ..output("a") }]).is_err());
        assert!(read("f", r#"[{"instruction":"","output":"","generator":"g"}]"#).is_err());
        assert!(read("f", r#"[{"instruction":"a"}]"#).is_err());
    }
}

#[cfg(test)]
mod score_tests {
    use super::*;

    #[test]
    fn preferences_are_weighted_and_not_rounded() {
        let rate = win_rate(&[Some(1.9), Some(1.3)]).unwrap().unwrap();
        assert!((rate.win_rate - 60.0).abs() < 1e-9);
        assert!((rate.standard_error - 30.0).abs() < 1e-9);
        assert_eq!(win_rate(&[None]).unwrap(), None);
    }

    #[test]
    fn a_preference_out_of_range_is_refused() {
        for wrong in [0.5, 2.1, f64::NAN, -1.0] {
            let error = win_rate(&[None, Some(wrong)]).unwrap_err().to_string();
            assert!(error.starts_with("preference 2: expected 0 or 1 to 2"), "{error}");
        }
    }
}
