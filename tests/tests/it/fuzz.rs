//! The fuzz targets as tests: each reader on its corpus, and on mutations of it from a fixed seed.

#[allow(unreachable_pub, reason = "a crate of its own for libFuzzer")]
#[path = "../../fuzz/src/lib.rs"]
mod harness;

use std::path::Path;
use std::time::{Duration, Instant};

use self::harness::{Mutator, READERS, Reader};

/// The inputs of a reader: the files of its folder, in the order of their names, and its own seeds.
fn inputs(reader: &Reader) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(reader.name);
    let mut files: Vec<_> = match std::fs::read_dir(&folder) {
        Ok(files) => files.map(|file| file.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    let mut inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    inputs.extend((reader.seeds)());
    assert!(!inputs.is_empty(), "{} has no corpus", reader.name);
    inputs
}

/// Reads one input, and shows it where a property does not hold.
fn read(reader: &Reader, input: &[u8]) {
    let read = std::panic::AssertUnwindSafe(|| (reader.read)(input));
    if std::panic::catch_unwind(read).is_err() {
        panic!("{} fails on {:?}", reader.name, String::from_utf8_lossy(input));
    }
}

/// Mutates until enough inputs were read or the time is over, and returns how many were.
fn mutate(reader: &Reader, seed: u64, runs: u32, end: Option<Instant>) -> u32 {
    let inputs = inputs(reader);
    inputs.iter().for_each(|input| read(reader, input));
    let mut mutator = Mutator::new(seed);
    for run in 0..runs {
        if end.is_some_and(|end| Instant::now() > end) {
            return run;
        }
        read(reader, &mutator.mutate(&inputs));
    }
    runs
}

/// A reader has a thread of its own, with the stack of the runtime's workers.
fn on_threads(work: fn(&Reader)) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = READERS
            .iter()
            .map(|reader| {
                let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
                (reader, thread.spawn_scoped(scope, move || work(reader)).unwrap())
            })
            .collect();
        let ended =
            threads.into_iter().map(|(reader, thread)| (reader.name, thread.join().is_ok()));
        let failed: Vec<&str> = ended.filter(|(_, good)| !good).map(|(name, _)| name).collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

/// Kind: Limits | any bytes, to any reader of replies, files, templates and answers | a value or an error with a
/// short message; no panic, and no key in the message
/// Kind: Streams | a stream that is cut into packets anywhere | the same reply
/// Kind: Secrets and terminals | a reply of a reward server that repeats the request's key | the key is shown as
/// `[redacted]`
#[test]
fn every_reader_survives_its_corpus_and_mutations_of_it() {
    on_threads(|reader| {
        mutate(reader, 11, reader.runs, None);
    });
}

/// By hand: another seed and `FUZZ_SECONDS` for each reader, default: 60. `FUZZ_READER` picks one.
#[test]
#[ignore = "takes minutes"]
fn every_reader_survives_long_fuzzing() {
    on_threads(|reader| {
        let set = |name: &str| std::env::var(name).ok();
        if set("FUZZ_READER").is_none_or(|name| name == reader.name) {
            let seconds = set("FUZZ_SECONDS").and_then(|seconds| seconds.parse().ok());
            let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(60));
            let seed = set("FUZZ_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(1);
            let runs = mutate(reader, seed, u32::MAX, Some(end));
            eprintln!("{}: {runs} runs", reader.name);
        }
    });
}
