//! More answers to the query: best of N, and self-consistency, a vote of answers that can be compared.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::error::Error;
use crate::search::{Comparison, Iteration, IterationCx, Method, PairCx, Step};

/// No critique and no rewriting: each iteration samples N more answers to the query, so that the search is best of
/// N(D + 1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Resample;

#[async_trait]
impl Method for Resample {
    fn name(&self) -> String {
        "resample".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let Some(chosen) = cx.pool().best() else { return Ok(()) };
        made.answers = cx.sample(cx.config().samples).await?;
        let chosen = Comparison::new(chosen, []);
        made.steps.push(Step::of(cx.iteration(), chosen, made.answers.len()));
        Ok(())
    }

    fn comparisons(&self, cx: &PairCx<'_>) -> Result<Option<Vec<Comparison>>, Error> {
        let best = cx.pool().best();
        Ok(Some(best.map(|best| Comparison::new(best, [])).into_iter().collect()))
    }

    fn can_continue(&self) -> bool {
        true
    }
}

/// Self-consistency: more answers in each iteration, and of all the one whose conclusion is the most frequent; of
/// equally frequent ones, that with the higher score.
///
/// Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models" (arXiv:2203.11171). The
/// [conclusion](conclusion) is read from the end of an answer, so this is for queries with a short answer: where all
/// conclusions differ, the answer with the highest score is returned.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vote;

#[async_trait]
impl Method for Vote {
    fn name(&self) -> String {
        "vote".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        Resample.iterate(cx, made).await
    }

    fn can_continue(&self) -> bool {
        true
    }

    async fn select(
        &self,
        cx: &IterationCx<'_>,
        _: &mut Iteration,
    ) -> Result<Option<usize>, Error> {
        let candidates = cx.pool().candidates();
        let mut votes = HashMap::<String, u32>::new();
        for candidate in candidates {
            *votes.entry(conclusion(candidate.text())).or_default() += 1;
        }
        // The ranking is by score, so the first of the most frequent ones has the highest.
        let ranked = cx.pool().ranked().into_iter();
        let mut best: Option<(u32, usize)> = None;
        for position in ranked {
            let text = candidates.get(position).map(|one| one.text()).unwrap_or_default();
            let count = votes.get(&conclusion(text)).copied().unwrap_or_default();
            if best.is_none_or(|(most, _)| count > most) {
                best = Some((count, position));
            }
        }
        Ok(best.filter(|(count, _)| *count > 1).map(|(_, position)| position))
    }
}

/// The conclusion of an answer, in a form in which equal ones are equal: what stands in the last `\boxed{..}`, else
/// what follows `answer is` or `answer:` in its last line, else that line; without marks, case and end points.
#[must_use]
pub fn conclusion(answer: &str) -> String {
    let last = answer.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let lower = last.to_lowercase();
    let stated = || {
        let (at, mark) = ["answer is", "answer:"]
            .iter()
            .filter_map(|mark| Some((lower.rfind(mark)?, mark)))
            .max()?;
        lower.get(at + mark.len()..).map(str::to_owned)
    };
    let found = boxed(answer).map(str::to_lowercase).or_else(stated).unwrap_or(lower.clone());
    let words: Vec<&str> = found.split_whitespace().collect();
    let ends = |c: char| c.is_whitespace() || "*_`$.:!\"'()".contains(c);
    words.join(" ").trim_matches(ends).to_owned()
}

/// What stands in the last `\boxed{..}`, whose braces are balanced.
fn boxed(answer: &str) -> Option<&str> {
    let (_, rest) = answer.rsplit_once("\\boxed{")?;
    let mut depth = 1_u32;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return rest.get(..at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_conclusions_are_equal_texts() {
        for (answer, expected) in [
            ("So x = 4.\nThe answer is 42.", "42"),
            ("**Answer:** 42\n\n", "42"),
            ("Hence \\boxed{\\frac{1}{2}}, which is positive.", "\\frac{1}{2}"),
            ("First \\boxed{1}, then \\boxed{2}.", "2"),
            ("It is \\boxed{open", "it is \\boxed{open"),
            ("Paris", "paris"),
            ("The final answer is  New   York!", "new york"),
            ("", ""),
        ] {
            assert_eq!(conclusion(answer), expected, "{answer}");
        }
    }
}
