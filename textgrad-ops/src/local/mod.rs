//! Models in the process, without a server.
//!
//! | type | feature | models |
//! |---|---|---|
//! | [`SequenceClassifier`] | `local-reward` | reward models of one score from safetensors |
//! | [`LocalEngine`] | `local` | policies from GGUF files, by llama.cpp |
//!
//! They work on threads of their own and never in a task of the runtime.

#[cfg(feature = "local-reward")]
mod classifier;
#[cfg(feature = "local")]
mod llama;

use textgrad_core::{EngineError, ErrorKind};

#[cfg(feature = "local-reward")]
pub use self::classifier::{ClassifierInfo, SequenceClassifier, TextScore};
#[cfg(feature = "local")]
pub use self::llama::{LocalEngine, LocalEngineBuilder};

/// The error of a file or a text that a model cannot work with.
fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

/// The error of a model that this library cannot run.
fn unsupported(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::Unsupported, message)
}

/// Bytes in the unit of people.
fn gigabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let gigabytes = bytes as f64 / 1e9;
    format!("{gigabytes:.2} GB")
}

/// The memory that can be had without swapping, in bytes; none where the system does not say.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Refuses what does not fit into the memory that is available.
fn check_memory(wanted: u64, what: &str) -> Result<(), EngineError> {
    match available_memory() {
        Some(available) if available < wanted => Err(invalid(format!(
            "expected {} of memory for {what}, got {} available; take a smaller model or a larger machine",
            gigabytes(wanted),
            gigabytes(available)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_does_not_fit_into_memory_is_refused_with_both_figures() {
        let error = check_memory(5_000_000_000_000_000, "the weights").unwrap_err().to_string();
        assert!(error.contains("expected 5000000.00 GB of memory for the weights"), "{error}");
        assert!(error.contains("GB available"), "{error}");
        check_memory(1, "the weights").unwrap();
    }
}
