//! What came of a comparison.

use serde::{Deserialize, Serialize};

use crate::bench::records::list;
use crate::error::Error;

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
    /// What the judge said, one reply an order.
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

/// The text of a file of annotations: a JSON list.
///
/// # Errors
/// None in practice.
pub fn write_annotations(annotations: &[Annotation]) -> Result<String, Error> {
    list(annotations)
}
