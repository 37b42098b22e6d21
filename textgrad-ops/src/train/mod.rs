//! Training: data sets, evaluators, and the loop that improves the texts of a program.

mod data;

#[doc(inline)]
pub use self::data::{Batches, Benchmark, DataFormat, Dataset, Example, Mapping, Split};

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
