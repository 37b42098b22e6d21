//! Data sets: reading, shuffling, splitting, minibatches.

mod benchmark;
mod read;
mod split;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use textgrad_core::truncate;

pub use self::benchmark::Benchmark;
pub use self::read::Mapping;
pub use self::split::{Batches, Split};
use crate::error::Error;
use crate::score::Example;
use crate::util::hex;

/// Examples in a fixed order. Cheap to clone.
///
/// # Examples
/// ```
/// use textgrad_core::Seed;
/// use textgrad_ops::train::{Dataset, Mapping};
///
/// let lines = "{\"input\": \"1 + 1\", \"target\": \"2\"}\n{\"input\": \"2 + 2\", \"target\": \"4\"}\n";
/// let mapping = Mapping::new().field("question", "input").expected("target");
/// let data = Dataset::parse("sums.jsonl", lines, &mapping)?;
/// assert_eq!(data.get(1).unwrap().field("question"), Some("2 + 2"));
/// assert_eq!(data.shuffled(Seed::new(7)).len(), 2);
///
/// let error = Dataset::parse("sums.jsonl", "{\"inptu\": \"1 + 1\"}\n", &mapping).unwrap_err();
/// assert_eq!(error.to_string(), r#"sums.jsonl, line 1: expected the field "input", but the fields are ["inptu"]"#);
/// # Ok::<(), textgrad_ops::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Dataset {
    name: Arc<str>,
    examples: Arc<[Arc<Example>]>,
}

impl Dataset {
    /// A data set of these examples; the name is for reports and errors. It may be empty.
    ///
    /// # Errors
    /// [`Error::Data`] if two examples have one id.
    pub fn new(
        name: impl Into<Arc<str>>,
        examples: impl IntoIterator<Item = Example>,
    ) -> Result<Self, Error> {
        let name = name.into();
        let examples: Arc<[Arc<Example>]> = examples.into_iter().map(Arc::new).collect();
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        for (number, example) in (1..).zip(examples.iter()) {
            if let Some(first) = numbers.insert(example.id(), number) {
                let id = truncate(example.id(), 80);
                let reason = format!(
                    "expected every example to have an id of its own, but examples {first} and {number} both have {id:?}"
                );
                return Err(wrong(&*name, reason));
            }
        }
        Ok(Self { name, examples })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same examples under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// How many examples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// An example by its index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Arc<Example>> {
        self.examples.get(index)
    }

    /// The examples in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Example>> {
        self.examples.iter()
    }

    /// SHA-256 over all examples in order, in hexadecimal: equal for equal data, whatever it is called.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for example in self.iter() {
            // An example is texts and JSON: there is nothing in it that JSON cannot hold.
            let json = serde_json::to_vec(&**example).unwrap_or_default();
            hash.update((json.len() as u64).to_le_bytes());
            hash.update(json);
        }
        hex(&hash.finalize())
    }

    /// Some of the examples, by index; indices out of range are left out.
    fn pick(&self, indices: impl IntoIterator<Item = usize>) -> Self {
        let examples = indices.into_iter().filter_map(|index| self.get(index).cloned()).collect();
        Self { name: Arc::clone(&self.name), examples }
    }
}

impl<'a> IntoIterator for &'a Dataset {
    type Item = &'a Arc<Example>;
    type IntoIter = std::slice::Iter<'a, Arc<Example>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("name", &self.name)
            .field("examples", &self.len())
            .finish_non_exhaustive()
    }
}

/// Collects what could be read of a file, or what could not.
#[derive(Default)]
struct Problems {
    first: Option<(String, String)>,
    count: usize,
}

impl Problems {
    /// Keeps the value, or takes note of why there is none.
    fn take<T>(&mut self, location: impl FnOnce() -> String, read: Result<T, String>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(reason) => {
                self.count += 1;
                if self.first.is_none() {
                    self.first = Some((location(), reason));
                }
                None
            }
        }
    }

    /// Fails if anything was wrong.
    fn finish(self) -> Result<(), Error> {
        match self.first {
            None => Ok(()),
            Some((location, reason)) => Err(Error::Data { location, reason, bad: self.count }),
        }
    }
}

/// One thing that is wrong.
fn wrong(location: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Data { location: location.into(), reason: reason.into(), bad: 1 }
}
