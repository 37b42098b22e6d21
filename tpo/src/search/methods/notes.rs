//! Notes between answers: textual self-attention, and draft, distil, refine.

use async_trait::async_trait;
use textgrad_core::Variable;

use super::fuse::{prompt, step};
use crate::TpoConfig;
use crate::error::Error;
use crate::search::{Iteration, IterationCx, Method};

/// Notes of the critic on answers of the pool, and N new answers by them.
async fn noted(
    cx: &IterationCx<'_>,
    made: &mut Iteration,
    template: &'static str,
    from: &[usize],
    keeps_answers: bool,
) -> Result<(), Error> {
    let answers = cx.shown(from).await?;
    let request = prompt(cx, template, &answers, None).await?;
    let notes = cx.analyse(&request, "notes on answers", cx.seed().child("notes", 0)).await?;
    let mut step = step(cx, from, 0);
    step.add_losses([notes.clone()]);
    made.ends.push(notes.clone());
    made.steps.push(step);
    let answers: &[Variable] = if keeps_answers { &answers } else { &[] };
    let request = prompt(cx, "fuse", answers, Some(&notes)).await?;
    made.answers = cx.answer(&request, cx.config().samples, cx.seed().child("fuse", 0)).await?;
    if let Some(step) = made.steps.last_mut() {
        step.record.updates = made.answers.len();
    }
    Ok(())
}

/// Textual self-attention: the critic says which parts of the best K answers matter for the query, and N new answers
/// are fused by that.
///
/// After "TSAN" (arXiv:2511.06682), whose prompts, sizes and code are not public: the query, the candidates
/// and the critic's text stand for its queries, keys and values, and for the weights between them. Loss and gradient
/// of the method are left out, so that an iteration takes two requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct SelfAttention;

#[async_trait]
impl Method for SelfAttention {
    fn name(&self) -> String {
        "tsan".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let mut from = cx.pairs().eligible();
        from.truncate(cx.config().fuse as usize);
        noted(cx, made, "attend", &from, true).await
    }

    fn requests(&self, _: &TpoConfig) -> u64 {
        2
    }
}

/// Parallel drafts, distilled and refined: the critic distils the drafts of the last round into notes, and N new
/// drafts are written from the query and these notes alone.
///
/// Madaan et al., "Rethinking Thinking Tokens: LLMs as Improvement Operators" (arXiv:2510.01123), with the distiller
/// that summarises. Changed: each round has N drafts, also the last, and the best of all by the reward model is
/// returned; the length of the notes is bounded by the critic's `max_tokens`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DraftDistilRefine;

#[async_trait]
impl Method for DraftDistilRefine {
    fn name(&self) -> String {
        "pdr".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let mut from = cx.pool().newest();
        // As they were drawn: no score enters the notes.
        from.sort_unstable();
        noted(cx, made, "distill", &from, false).await
    }

    fn requests(&self, _: &TpoConfig) -> u64 {
        2
    }
}
