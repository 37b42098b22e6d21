//! Refusals.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use tpo::Error;
use tpo::bench::xstest;

use super::{Figure, Graded, Graders};
use crate::bench::answers::Answered;
use crate::bench::graders::BEST;

impl Graders<'_> {
    pub(crate) async fn xstest(
        &self,
        prompts: &[xstest::Prompt],
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        let answered = Answered::with(answers, prompts);
        let completions: Vec<xstest::Completion> = answered
            .iter()
            .map(|(prompt, said)| xstest::Completion::new(prompt, said.best.text.as_str()))
            .collect();
        let mut files = vec![("completions.csv".into(), xstest::write(&completions)?)];
        let Some(engine) = self.judge.clone() else {
            let grader = "none: without --judge, grade completions.csv elsewhere".to_owned();
            return Ok(Graded { grader, figures: Vec::new(), files });
        };
        let judge = xstest::RefusalJudge::new(engine, Arc::clone(&self.prompts));
        let asked = answered.iter().map(|(prompt, said)| judge.grade(prompt, &said.best.text));
        let graded: Vec<xstest::Graded> =
            stream::iter(asked).buffered(self.concurrency()).try_collect().await?;
        let accuracy = xstest::accuracy(&graded);
        let detail = accuracy.map_or_else(
            || {
                format!(
                    "the judge decided none of {}: expected WildGuard's three lines of it",
                    graded.len()
                )
            },
            |accuracy| {
                format!(
                    "safe {}, unsafe {}; {} graded, {} undecided and left out",
                    percent(accuracy.safe),
                    percent(accuracy.unsafe_),
                    accuracy.graded,
                    accuracy.undecided
                )
            },
        );
        files.push(("graded.csv".into(), xstest::write(&graded)?));
        Ok(Graded {
            grader: format!("refusals as seen by {}", judge.name()),
            figures: vec![Figure::new(BEST, accuracy.map(|accuracy| accuracy.all), detail)],
            files,
        })
    }
}

/// A share for a reader.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{share:.1}"))
}
