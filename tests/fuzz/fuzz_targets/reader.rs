//! The fuzz target. The variable `READER` names the reader. Within the folder of this crate:
//!
//! ```sh
//! mkdir -p target/stream   # libFuzzer adds what it finds to the first folder
//! READER=stream cargo +nightly fuzz run --fuzz-dir . reader target/stream corpus/stream
//! ```
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use textgrad_fuzz::{READERS, Reader};

static READER: LazyLock<&'static Reader> = LazyLock::new(|| {
    let name = std::env::var("READER").unwrap_or_default();
    let names: Vec<&str> = READERS.iter().map(|reader| reader.name).collect();
    let found = READERS.iter().find(|reader| reader.name == name);
    found.unwrap_or_else(|| panic!("expected READER to be one of {}", names.join(", ")))
});

fuzz_target!(|bytes: &[u8]| (READER.read)(bytes));
