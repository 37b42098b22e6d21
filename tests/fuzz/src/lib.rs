//! Fuzz targets: the readers of bytes that servers, models, users and other programs write.
//!
//! A reader takes any bytes and checks what must hold for all: it returns or fails, within bounds, without a secret
//! in its message. The test suite runs each on its corpus and on some thousand mutations of it, from a fixed seed;
//! `cargo test -p textgrad-tests --test it fuzz -- --ignored` does so for a minute each (`FUZZ_SECONDS`). With a
//! nightly toolchain and `cargo-fuzz`, libFuzzer does: see `fuzz_targets/reader.rs`.

mod files;
mod mutate;
mod texts;
mod wire;

pub use self::mutate::Mutator;

/// One reader of foreign bytes.
pub struct Reader {
    /// Its name, which is that of its folder in `corpus`.
    pub name: &'static str,
    /// Reads the bytes, and panics if what must hold does not.
    pub read: fn(&[u8]),
    /// Seeds that no file can hold, since they follow the formats of the day.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many mutations the test suite tries.
    pub runs: u32,
}

const fn reader(name: &'static str, runs: u32, read: fn(&[u8])) -> Reader {
    Reader { name, read, seeds: Vec::new, runs }
}

const fn with_seeds(
    name: &'static str,
    runs: u32,
    read: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
) -> Reader {
    Reader { name, read, seeds, runs }
}

/// All readers.
pub const READERS: &[Reader] = &[
    reader("openai", 200, wire::openai),
    reader("anthropic", 150, wire::anthropic),
    reader("gemini", 150, wire::gemini),
    reader("stream", 60, wire::stream),
    reader("failure", 100, wire::failure),
    reader("rewards", 40, wire::rewards),
    reader("likelihoods", 60, wire::likelihoods),
    reader("tags", 3_000, texts::tags),
    reader("grades", 3_000, texts::grades),
    reader("verdicts", 300, texts::verdicts),
    reader("queries", 3_000, texts::queries),
    reader("datasets", 1_000, texts::datasets),
    reader("benchmarks", 150, texts::benchmarks),
    reader("math", 500, texts::math),
    reader("chat-templates", 100, texts::chat_template),
    reader("prompt-templates", 150, texts::prompt_template),
    reader("pages", 200, texts::page),
    with_seeds("journal", 20, files::journal, files::journals),
    with_seeds("results", 30, files::results, files::all_results),
    with_seeds("run-config", 30, files::config, files::configs),
    with_seeds("recording", 100, files::recording, files::recordings),
    with_seeds("run-log", 100, files::run_log, files::run_logs),
    with_seeds("cache", 30, files::cache, files::caches),
];
