//! Equality of tokens computed together and one by one, measured on a model.

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use textgrad_core::EngineError;

use super::context;

/// One token more than the number from which kernels differ.
const TOKENS: usize = 9;

/// The most sequences that are computed together here.
const SEQUENCES: usize = 5;

/// Whether the logits behind a token are the same, to the last bit, in whatever steps tokens are computed, and with
/// whatever sequences beside them.
///
/// That depends on the types of the weights, the processor and the version of llama.cpp, so it is measured: a few
/// tokens are computed in one step, one by one, and in several sequences at the same time. Leaves the context empty.
pub(super) fn are_equal(
    model: &LlamaModel,
    context: &mut LlamaContext<'_>,
    sequences: usize,
) -> Result<bool, EngineError> {
    let text = "What is the color of Mars, and why? Give a short answer.";
    let tokens = model.vocab().tokenize(text.as_bytes(), false, false);
    let Some((last, before)) = tokens.get(..TOKENS).and_then(<[LlamaToken]>::split_last) else {
        return Ok(false);
    };
    let mut batch = LlamaBatch::new(TOKENS, 1);
    for (position, token) in (0..).zip(before) {
        context::add(&mut batch, *token, position, 0, false)?;
    }
    context::add(&mut batch, *last, before.len(), 0, true)?;
    context::compute(context, &mut batch)?;
    let together = context.get_logits_ith(batch.n_tokens() - 1).to_vec();

    context.clear_kv_cache();
    for (position, token) in (0..).zip(before) {
        batch.clear();
        context::add(&mut batch, *token, position, 0, true)?;
        context::compute(context, &mut batch)?;
    }
    let sequences = sequences.min(SEQUENCES);
    for sequence in 1..sequences {
        context::copy(context, 0, sequence)?;
    }
    batch.clear();
    for sequence in 0..sequences {
        context::add(&mut batch, *last, before.len(), sequence, true)?;
    }
    context::compute(context, &mut batch)?;
    let mut is_equal = true;
    for row in 0..batch.n_tokens() {
        is_equal &= is_same(context.get_logits_ith(row), &together);
    }
    if sequences > 1 {
        // The last token alone, too.
        context::truncate(context, 0, before.len())?;
        batch.clear();
        context::add(&mut batch, *last, before.len(), 0, true)?;
        context::compute(context, &mut batch)?;
        is_equal &= is_same(context.get_logits_ith(0), &together);
    }
    context.clear_kv_cache();
    Ok(is_equal)
}

fn is_same(a: &[f32], b: &[f32]) -> bool {
    a.iter().map(|number| number.to_bits()).eq(b.iter().map(|number| number.to_bits()))
}
