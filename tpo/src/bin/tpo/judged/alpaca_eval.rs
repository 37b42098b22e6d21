//! Comparisons with a reference.

use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use tpo::Error;
use tpo::bench::alpaca_eval::{self, Annotation, Annotator, Orders, Reading};

use super::{Figure, Graded, Graders, References, as_folder, names};
use crate::bench::answers::Answered;
use crate::bench::graders::BEST;

impl Graders<'_> {
    pub(crate) async fn alpaca_eval(
        &self,
        set: &[alpaca_eval::Output],
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        let mut outputs = alpaca_eval::Outputs::new(&self.args.model_name)?;
        for (item, said) in Answered::with(answers, set) {
            outputs.push(&item.instruction, said.best.text.as_str())?;
        }
        let results = Path::new("results").join(as_folder(&self.args.model_name));
        let mut files = vec![(results.join("model_outputs.json"), outputs.to_json()?)];
        let Some(engine) = self.judge.clone() else {
            let grader = "none: without --judge, give model_outputs.json to the official program";
            return Ok(Graded { grader: grader.to_owned(), figures: Vec::new(), files });
        };
        let name = engine.name().to_owned();
        let (reading, orders) = (self.reading(), self.orders());
        let judge = Annotator::new(engine, Arc::clone(&self.prompts)).seed(self.seed());
        let judge = judge.reading(reading).orders(orders);
        let pairs: Vec<_> = outputs
            .outputs()
            .iter()
            .filter_map(|output| Some((self.references.outputs.get(&output.instruction)?, output)))
            .collect();
        let unmatched = outputs.outputs().len() - pairs.len();
        let asked = pairs.into_iter().map(|(reference, output)| judge.annotate(reference, output));
        let mut annotations: Vec<Annotation> =
            stream::iter(asked).buffered(self.concurrency()).try_collect().await?;
        let preferences: Vec<Option<f64>> =
            annotations.iter().map(|annotation| annotation.preference).collect();
        let rate = alpaca_eval::win_rate(&preferences)?;
        let undecided = preferences.iter().filter(|preference| preference.is_none()).count();
        let against = names(annotations.iter().map(|annotation| annotation.generator_1.as_str()));
        let detail = rate.map_or_else(
            || {
                format!(
                    "the judge decided none of {}, {unmatched} without a reference: annotations.json has what it said",
                    annotations.len()
                )
            },
            |rate| {
                format!(
                    "win rate +- {:.2} against {against}; {} compared, {undecided} undecided, {unmatched} without a reference",
                    rate.standard_error, rate.items
                )
            },
        );
        let plain = Figure::new(BEST, rate.map(|rate| rate.win_rate), detail);
        let controlled = self.at_equal_lengths(&mut annotations)?;
        let file = results.join(as_folder(&name)).join("annotations.json");
        files.push((file, alpaca_eval::write_annotations(&annotations)?));
        let orders = match orders {
            Orders::Both => "in both orders",
            Orders::Drawn => "in one drawn order",
        };
        let reading = match reading {
            Reading::Letter => "read to the letter",
            Reading::Probabilities => "weighed by probabilities",
        };
        Ok(Graded {
            grader: format!("comparisons by {name}, {orders}, {reading}"),
            figures: vec![plain, controlled],
            files,
        })
    }

    fn reading(&self) -> Reading {
        if self.args.weighted { Reading::Probabilities } else { Reading::Letter }
    }

    fn orders(&self) -> Orders {
        if self.args.one_order { Orders::Drawn } else { Orders::Both }
    }

    /// The win rate at equal lengths; the annotations get what is expected of them.
    fn at_equal_lengths(&self, annotations: &mut [Annotation]) -> Result<Figure, Error> {
        let References { control, places, .. } = &self.references;
        let place = |a: &Annotation| places.get(&a.instruction).copied().unwrap_or_default();
        let rate = control.win_rate(annotations.iter().map(|a| (place(a), a)))?;
        let of = format!("{BEST}, length-controlled");
        let Some(rate) = rate else {
            return Ok(Figure::new(of, None, "fewer than 5 are compared".to_owned()));
        };
        for (annotation, preference) in annotations.iter_mut().zip(&rate.preferences) {
            annotation.glm_preference = Some(*preference);
        }
        let [length, ..] = rate.coefficients;
        let detail = format!(
            "+- {:.2}, {}; coefficient of the length {length:.2}",
            rate.standard_error,
            control.name()
        );
        Ok(Figure::new(of, Some(rate.win_rate), detail))
    }
}
