//! Weights in files of the format safetensors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use textgrad_core::{EngineError, ErrorKind};

use crate::local::{check_memory, invalid, unsupported};

const FILE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The longest header: that of the format.
const MAX_HEADER: u64 = 100_000_000;

/// The type of a number in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Dtype {
    F32,
    BF16,
    F16,
    #[serde(other)]
    Other,
}

impl Dtype {
    fn size(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::BF16 | Self::F16 => 2,
            Self::Other => 1,
        }
    }
}

/// A tensor as the header of its file describes it.
#[derive(Debug, Clone, Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
    /// The file, by its index, and where the data begins in it.
    #[serde(skip)]
    file: usize,
    #[serde(skip)]
    start: u64,
}

/// The index of a model in several files.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The tensors of a folder. They are read one by one, as numbers of 32 bits.
#[derive(Debug)]
pub(super) struct Weights {
    files: Vec<(PathBuf, File)>,
    entries: BTreeMap<String, Entry>,
    hash: Sha256,
}

impl Weights {
    /// Reads the headers of a folder's files, and checks that they are whole and fit into memory.
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        let index = folder.join(INDEX);
        let names = match std::fs::read_to_string(&index) {
            Ok(text) => {
                let index: Index = serde_json::from_str(&text).map_err(|error| {
                    invalid(format!("expected an index of weights in {}", index.display()))
                        .with_source(error)
                })?;
                let mut names: Vec<String> = index.weight_map.into_values().collect();
                names.sort();
                names.dedup();
                names
            }
            Err(_) => vec![FILE.to_owned()],
        };
        let mut weights = Self { files: Vec::new(), entries: BTreeMap::new(), hash: Sha256::new() };
        for name in names {
            // An index is a file of others: it names files of its folder only.
            if Path::new(&name).components().count() != 1 || name == ".." {
                return Err(invalid(format!("expected names of files in {INDEX}, got {name:?}")));
            }
            weights.add(&folder.join(name))?;
        }
        check_memory(weights.bytes(), "the weights as numbers of 32 bits")?;
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<(), EngineError> {
        let failed = |error| {
            let message = format!("expected weights as safetensors in {}", path.display());
            EngineError::new(ErrorKind::NotFound, message).with_source(error)
        };
        let damaged = |what: &str| {
            invalid(format!("expected a whole safetensors file, got {what}: {}", path.display()))
        };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(|_| damaged("one that is too short"))?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size + 8 > length {
            return Err(damaged("one without a header of the format"));
        }
        let mut header = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact(&mut header).map_err(failed)?;
        let header: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|_| damaged("another header"))?;
        let start = size + 8;
        for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let entry: Entry =
                serde_json::from_value(value).map_err(|_| damaged("another header"))?;
            let (from, to) = entry.data_offsets;
            let count = entry
                .shape
                .iter()
                .try_fold(1_u64, |product, size| product.checked_mul(u64::try_from(*size).ok()?));
            let bytes = count.and_then(|count| count.checked_mul(entry.dtype.size()));
            if from > to || to > length - start {
                return Err(damaged(&format!(
                    "one that ends within the tensor {name}: the file was not copied whole"
                )));
            }
            if entry.dtype != Dtype::Other && Some(to - from) != bytes {
                return Err(damaged(&format!("a tensor {name} of another size than its shape")));
            }
            let entry = Entry { file: self.files.len(), start, ..entry };
            self.entries.insert(name, entry);
        }
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    /// The numbers of all tensors that can be read.
    pub(super) fn parameters(&self) -> u64 {
        let readable = self.entries.values().filter(|entry| entry.dtype != Dtype::Other);
        readable
            .map(|entry| (entry.data_offsets.1 - entry.data_offsets.0) / entry.dtype.size())
            .sum()
    }

    /// Their size in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.parameters().saturating_mul(4)
    }

    /// The number of labels: the rows of the last matrix.
    pub(super) fn labels(&self, head: &str) -> Result<usize, EngineError> {
        Ok(self.entry(head)?.shape.first().copied().unwrap_or_default())
    }

    fn entry(&self, name: &str) -> Result<&Entry, EngineError> {
        self.entries.get(name).ok_or_else(|| {
            invalid(format!(
                "expected the tensor {name} in the weights, got none; are they of a sequence classifier?"
            ))
        })
    }

    /// A tensor of this shape.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EngineError> {
        let entry = self.entry(name)?.clone();
        if entry.shape != shape {
            return Err(invalid(format!(
                "expected the tensor {name} of shape {shape:?}, got {:?}; config.json is of another model",
                entry.shape
            )));
        }
        let (from, to) = entry.data_offsets;
        let Some((path, file)) = self.files.get_mut(entry.file) else {
            return Err(invalid(format!("expected a file of the tensor {name}")));
        };
        let mut bytes = vec![0; usize::try_from(to - from).unwrap_or_default()];
        let read = file.seek(SeekFrom::Start(entry.start + from));
        read.and_then(|_| file.read_exact(&mut bytes)).map_err(|error| {
            invalid(format!("expected the tensor {name} in {}", path.display())).with_source(error)
        })?;
        self.hash.update(name.as_bytes());
        self.hash.update(&bytes);
        let halves = || {
            bytes.chunks_exact(2).map(|pair| match *pair {
                [low, high] => u16::from_le_bytes([low, high]),
                _ => 0,
            })
        };
        match entry.dtype {
            Dtype::F32 => Ok(bytes
                .chunks_exact(4)
                .map(|four| four.try_into().map_or(0.0, f32::from_le_bytes))
                .collect()),
            Dtype::BF16 => Ok(halves().map(|half| f32::from_bits(u32::from(half) << 16)).collect()),
            Dtype::F16 => Ok(halves().map(half_to_single).collect()),
            Dtype::Other => Err(unsupported(format!(
                "expected the tensor {name} as F32, BF16 or F16, got another type; take the original weights"
            ))),
        }
    }

    /// SHA-256 of the names and bytes of all tensors that were read, in their order.
    pub(super) fn digest(self) -> String {
        crate::util::hex(&self.hash.finalize())
    }
}

/// A number of IEEE's 16 bits.
fn half_to_single(half: u16) -> f32 {
    let sign = if half >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (u32::from(half >> 10 & 31), u32::from(half & 1023));
    let magnitude = match exponent {
        // Subnormal numbers are multiples of 2 to the power of -24.
        0 => fraction as f32 / 16_777_216.0,
        31 => f32::from_bits(255 << 23 | fraction << 13),
        exponent => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    sign * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_16_bits_are_read_as_they_are() {
        for (half, single) in [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7BFF, 65504.0),
            (0x7C00, f32::INFINITY),
        ] {
            assert_eq!(half_to_single(half), single, "{half:x}");
        }
        assert!(half_to_single(0x7E00).is_nan());
    }
}
