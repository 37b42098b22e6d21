//! The context of a model: its memory, its sequences, and one step of computing.

use std::num::NonZeroU32;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use textgrad_core::{EngineError, ErrorKind};

use super::load::{number, quantization, text};
use super::log::{backend, with_errors};
use super::slots::Placement;
use crate::local::{check_memory, gigabytes, invalid};

/// The most tokens of a prompt that are computed at once. Between two such steps answers go on, and calls that nobody
/// waits for any more end.
pub(super) const CHUNK: usize = 64;

/// The size of a context.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContextSize {
    /// The longest conversation in tokens.
    pub(super) context: usize,
    pub(super) sequences: usize,
    pub(super) threads: usize,
    /// Whether answers depend on their seeds alone.
    pub(super) is_exact: bool,
}

impl ContextSize {
    /// Architecture, size and memory, for people. It fails if the memory does not hold it.
    pub(super) fn facts(
        self,
        model: &LlamaModel,
        file: u64,
    ) -> Result<Vec<(&'static str, String)>, EngineError> {
        let cache = self.cache_bytes(model);
        check_memory(
            cache,
            "the keys and values of all sequences (set sequences or context lower)",
        )?;
        let architecture = text(model, "general.architecture").unwrap_or_default();
        let millions = model.n_params() / 1_000_000;
        Ok(vec![
            ("architecture", architecture),
            ("parameters", format!("{millions} million, {}", quantization(model))),
            (
                "memory",
                format!(
                    "{} of weights, {} of keys and values in {} sequences",
                    gigabytes(file),
                    gigabytes(cache),
                    self.sequences
                ),
            ),
            ("threads", self.threads.to_string()),
        ])
    }

    /// The keys and values of all sequences in bytes.
    fn cache_bytes(self, model: &LlamaModel) -> u64 {
        let head = u64::try_from(model.n_embd()).unwrap_or(0) / u64::from(model.n_head()).max(1);
        let length = |key| number(model, key).unwrap_or(head);
        let of_token = u64::from(model.n_layer())
            * u64::from(model.n_head_kv())
            * (length("attention.key_length") + length("attention.value_length"))
            * if self.is_exact { EXACT_BLOCK } else { FAST_BLOCK }
            / 32;
        let tokens = u64::try_from(self.context * self.sequences).unwrap_or(u64::MAX);
        of_token.saturating_mul(tokens)
    }

    /// Makes the context.
    pub(super) fn open(self, model: &LlamaModel) -> Result<LlamaContext<'_>, EngineError> {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let threads = i32::try_from(self.threads).unwrap_or(1);
        let batch = count(CHUNK.max(self.sequences));
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(count(self.context.saturating_mul(self.sequences))))
            .with_n_seq_max(count(self.sequences))
            .with_n_batch(batch)
            .with_n_ubatch(batch)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            // Attention adds in the order of its cells, which must be that of the tokens: each sequence has its own.
            .with_kv_unified(false)
            .with_flash_attention_policy(FLASH_ATTENTION)
            .with_no_perf(true);
        let backend = backend()?;
        let types: &[_] = match self.is_exact {
            true => &[
                (KvCacheType::Q8_0, KvCacheType::Q8_0),
                // For heads that are no whole blocks of numbers of 8 bits.
                (KvCacheType::F16, KvCacheType::BF16),
            ],
            // For these, flash attention has kernels for many tokens and for many cells, which add in other orders.
            false => &[(KvCacheType::F16, KvCacheType::F16)],
        };
        let mut reasons = Vec::new();
        let context = types.iter().find_map(|&(keys, values)| {
            let params = params.clone().with_type_k(keys).with_type_v(values);
            let (context, log) = with_errors(|| model.new_context(backend, params));
            reasons.push(log);
            context.ok()
        });
        context.ok_or_else(|| {
            let reason = reasons.join("; ");
            invalid(format!(
                "expected memory for {} sequences of {} tokens, {} of keys and values, got: {reason}; set sequences \
                 or context lower, as in local:model.gguf,context=2048,sequences=4",
                self.sequences,
                self.context,
                gigabytes(self.cache_bytes(model)),
            ))
        })
    }
}

/// Flash attention, always.
const FLASH_ATTENTION: i32 = 1;

/// The bytes of 32 numbers of 8 bits with their scale, and of 32 numbers of 16 bits.
const EXACT_BLOCK: u64 = 34;
const FAST_BLOCK: u64 = 64;

/// A position or a sequence as llama.cpp counts them.
fn index(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Makes a sequence hold the beginning of a prompt, and no more.
pub(super) fn prepare(context: &mut LlamaContext<'_>, place: Placement) -> Result<(), EngineError> {
    if let Some(source) = place.copied_from {
        copy(context, source, place.slot)?;
    }
    truncate(context, place.slot, place.kept)
}

fn failed(what: impl std::fmt::Display) -> EngineError {
    EngineError::new(ErrorKind::Other, format!("llama.cpp cannot change its cache: {what}"))
}

/// Copies a sequence. Sequences of their own memory can be copied as a whole only.
pub(super) fn copy(
    context: &mut LlamaContext<'_>,
    from: usize,
    to: usize,
) -> Result<(), EngineError> {
    context.copy_kv_cache_seq(index(from), index(to), None, None).map_err(failed)
}

/// Removes what a sequence holds behind its first tokens.
pub(super) fn truncate(
    context: &mut LlamaContext<'_>,
    sequence: usize,
    kept: usize,
) -> Result<(), EngineError> {
    let count = |number: usize| u32::try_from(number).ok();
    match context.clear_kv_cache_seq(count(sequence), count(kept), None).map_err(failed)? {
        true => Ok(()),
        false => Err(failed("a part of a sequence cannot be removed")),
    }
}

/// Adds a token to a step.
pub(super) fn add(
    batch: &mut LlamaBatch<'_>,
    token: LlamaToken,
    position: usize,
    slot: usize,
    has_logits: bool,
) -> Result<(), EngineError> {
    batch.add(token, index(position), &[index(slot)], has_logits).map_err(|error| {
        EngineError::new(ErrorKind::Other, "a step has too many tokens").with_source(error)
    })
}

/// Computes a step.
pub(super) fn compute(
    context: &mut LlamaContext<'_>,
    batch: &mut LlamaBatch<'_>,
) -> Result<(), EngineError> {
    context.decode(batch).map_err(|error| {
        let what =
            "llama.cpp failed to compute tokens; its log says more (RUST_LOG=llama-cpp-2=warn)";
        EngineError::new(ErrorKind::Other, what).with_source(error)
    })
}
