//! JSON Lines: an append-only writer and a reader that tolerates a torn last line.
//!
//! # Durability
//! [`Writer::write`] returns when the operating system has the line: a killed process does not lose it, a power
//! failure may. Every line ends with a newline, so a line without one was torn: [`Reader`] stops in front of it, and
//! who continues the file cuts it off with [`Reader::end`] or [`end_of_last_line`]. After a failed write half a line
//! may be in the file, so the writer refuses all later lines.
//!
//! # Checksums
//! A writer [with checksums](Writer::with_checksums) ends each line with `,"crc":"xxxxxxxx"}`: the CRC-32C of the
//! bytes before it, as eight hexadecimal digits. The line stays JSON, and [`Line::is_intact`] finds a flipped bit.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write as _};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json::error_in_line;

/// Appends JSON values to a file, one a line, in the order of the calls. Clones write to the same file, which is
/// closed with the last of them.
///
/// Writes block, also in async code, for the few microseconds that the operating system takes to copy a line; nothing
/// is flushed to the disk. The alternatives were measured (benchmark `append`: 64 and 448 tasks, a loaded machine).
/// Inline, an append takes 4 us, and 99 % take less than 17 us. One writer task that takes all lines that wait costs as
/// much CPU time, but 99 % take up to 18 ms and 40 ms, since the writer and the task that waits for it are each
/// scheduled behind all others. A writer thread costs 5 to 7 us of CPU time more per append, for two wake-ups. On a
/// file system that takes long to write, such as one over a network, a thread of the runtime waits as long.
#[derive(Debug, Clone)]
pub struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: Mutex<File>,
    has_checksums: bool,
    failure: OnceLock<String>,
}

impl Writer {
    /// Writes to the end of a file that was opened for appending.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self::open(file, false)
    }

    /// Writes to the end of a file that was opened for appending, each line with a checksum. Values must be objects.
    #[must_use]
    pub fn with_checksums(file: File) -> Self {
        Self::open(file, true)
    }

    fn open(file: File, has_checksums: bool) -> Self {
        let failure = OnceLock::new();
        Self(Arc::new(Shared { file: Mutex::new(file), has_checksums, failure }))
    }

    /// Why nothing more can be written, after a failed write.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    /// Writes one line.
    ///
    /// # Errors
    /// A value that is not JSON, and those of the operating system, of this write or an earlier one.
    pub fn write(&self, line: &impl Serialize) -> io::Result<()> {
        self.write_all([line])
    }

    /// Writes several lines at once.
    ///
    /// # Errors
    /// Those of [`write`](Self::write); then none of the lines counts.
    pub fn write_all<T: Serialize>(&self, lines: impl IntoIterator<Item = T>) -> io::Result<()> {
        // What most lines take: growth copies.
        let mut text = Vec::with_capacity(8 * 1024);
        for line in lines {
            match self.0.has_checksums {
                true => append_with_checksum(&mut text, &line)?,
                false => serde_json::to_writer(&mut text, &line)?,
            }
            text.push(b'\n');
        }
        self.append(&text)
    }

    /// Appends lines as they are, with their ends, and checksums where this writer has them.
    ///
    /// # Errors
    /// Those of the operating system, of this write or an earlier one.
    pub fn append(&self, text: &[u8]) -> io::Result<()> {
        let mut file = self.0.file.lock();
        if let Some(reason) = self.0.failure.get() {
            let reason = format!("an earlier line could not be written: {reason}");
            return Err(io::Error::other(reason));
        }
        file.write_all(text).inspect_err(|error| {
            self.0.failure.get_or_init(|| error.to_string());
        })
    }
}

/// The CRC-32C of parts that follow one another.
///
/// # Examples
/// ```
/// use textgrad_ops::util::jsonl::crc32c;
///
/// assert_eq!(crc32c([&b"1234"[..], b"56789"]), 0xE306_9283);
/// ```
#[must_use]
pub fn crc32c<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    parts.into_iter().fold(0, crc32c::crc32c_append)
}

/// An object as a line with its checksum and a newline.
///
/// # Errors
/// A value that is not a JSON object with fields.
pub fn line_with_checksum(line: &impl Serialize) -> serde_json::Result<String> {
    let mut text = Vec::new();
    append_with_checksum(&mut text, line)?;
    text.push(b'\n');
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// Appends an object with its checksum.
fn append_with_checksum(text: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    let begin = text.len();
    serde_json::to_writer(&mut *text, line)?;
    match text.get(begin..).and_then(|line| line.strip_suffix(b"}")) {
        Some(open) if open.len() > 1 => {
            let checksum = crc32c([open]);
            text.pop();
            text.extend_from_slice(format!(",\"crc\":\"{checksum:08x}\"}}").as_bytes());
            Ok(())
        }
        _ => Err(serde::ser::Error::custom("expected an object with fields")),
    }
}

/// Reads the whole lines of a file, one at a time.
///
/// # Examples
/// ```
/// use textgrad_ops::util::jsonl::Reader;
///
/// let mut reader = Reader::new(&b"1\n2\n3"[..]);
/// let mut sum = 0;
/// while let Some(line) = reader.next_line()? {
///     sum += line.parse::<u32>()?;
/// }
/// assert_eq!((sum, reader.torn(), reader.end()), (3, Some(&b"3"[..]), 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    reader: R,
    line: Vec<u8>,
    number: usize,
    offset: u64,
    is_torn: bool,
}

/// A line that ends with a newline.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The number of the line, from 1.
    pub number: usize,
    /// The byte that it begins at.
    pub offset: u64,
    /// The line, with its newline.
    pub bytes: &'a [u8],
}

impl Line<'_> {
    /// Reads the line as JSON.
    ///
    /// # Errors
    /// Those of the format.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(self.bytes).map_err(|error| error_in_line(&error))
    }

    /// Whether the line ends with the [checksum](self#checksums) of what is before it.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        const LENGTH: usize = ",\"crc\":\"00000000\"}\n".len();
        let Some(split) = self.bytes.len().checked_sub(LENGTH) else { return false };
        let (content, end) = self.bytes.split_at(split);
        let expected = format!(",\"crc\":\"{:08x}\"}}\n", crc32c([content]));
        end == expected.as_bytes()
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads from the beginning.
    pub fn new(reader: R) -> Self {
        Self { reader, line: Vec::new(), number: 0, offset: 0, is_torn: false }
    }

    /// The next whole line. `None` at the end and in front of a [torn](Self::torn) line.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.is_torn {
            return Ok(None);
        }
        self.line.clear();
        let length = self.reader.read_until(b'\n', &mut self.line)?;
        if self.line.last() != Some(&b'\n') {
            self.is_torn = length > 0;
            return Ok(None);
        }
        let offset = self.offset;
        self.number += 1;
        self.offset += length as u64;
        Ok(Some(Line { number: self.number, offset, bytes: &self.line }))
    }

    /// The last line, if it lacks its newline, once [`next_line`](Self::next_line) has reached it.
    #[must_use]
    pub fn torn(&self) -> Option<&[u8]> {
        self.is_torn.then_some(self.line.as_slice())
    }

    /// The number of whole lines read so far.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The byte after the last whole line read so far.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset
    }
}

/// The byte after the last newline of a file, found from its end: a file may be long.
///
/// # Errors
/// Those of the operating system.
pub fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        block.clear();
        file.take(end - begin).read_to_end(&mut block)?;
        if let Some(newline) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + newline as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(path: &std::path::Path) -> File {
        File::options().read(true).append(true).create(true).open(path).unwrap()
    }

    #[test]
    fn lines_of_threads_are_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let writer = Writer::new(append(&path));
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let writer = writer.clone();
                scope.spawn(move || {
                    for i in 0..100 {
                        writer.write_all([vec![thread, i], vec![i; 50]]).unwrap();
                    }
                });
            }
        });
        let bytes = std::fs::read(&path).unwrap();
        let mut reader = Reader::new(bytes.as_slice());
        let mut next = [0; 4];
        for _ in 0..400 {
            let line: Vec<u32> = reader.next_line().unwrap().unwrap().parse().unwrap();
            let [thread, i] = line[..] else { panic!("{line:?}") };
            // What was written together stays together.
            let line = reader.next_line().unwrap().unwrap();
            assert_eq!((line.number % 2, line.parse::<Vec<u32>>().unwrap()), (0, vec![i; 50]));
            assert_eq!(std::mem::replace(&mut next[thread as usize], i + 1), i);
        }
        assert!(reader.next_line().unwrap().is_none() && reader.torn().is_none());
    }

    #[test]
    fn after_a_failed_write_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        drop(append(&path));
        let writer = Writer::new(File::open(&path).unwrap());
        assert!(writer.failure().is_none());
        assert!(writer.write(&1).is_err());
        assert!(writer.failure().is_some());
        let later = writer.write(&2).unwrap_err().to_string();
        assert!(later.starts_with("an earlier line could not be written: "), "{later}");
    }

    #[test]
    fn any_flipped_bit_of_a_line_with_a_checksum_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let value = serde_json::json!({ "score": 1.5, "text": "zwei — “ünïcode”" });
        Writer::with_checksums(append(&path)).write(&value).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole, line_with_checksum(&value).unwrap().as_bytes());
        let intact = |bytes: &[u8]| Line { number: 1, offset: 0, bytes }.is_intact();
        assert!(intact(&whole));
        assert!(!intact(b"{\"score\":1.5}\n") && !intact(b"\n") && !intact(b""));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!intact(&flipped), "bit {bit}");
        }
        assert!(line_with_checksum(&[1]).is_err() && line_with_checksum(&()).is_err());
        assert!(line_with_checksum(&serde_json::json!({})).is_err());
    }

    #[test]
    fn the_end_of_the_last_line_is_found_from_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let long = "x".repeat(200_000);
        for (text, end) in [("", 0), ("a", 0), ("a\n", 2), (&format!("a\n{long}"), 2), (&long, 0)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(end_of_last_line(&mut append(&path)).unwrap(), end);
            let mut reader = Reader::new(text.as_bytes());
            while reader.next_line().unwrap().is_some() {}
            assert_eq!((reader.end(), reader.torn().is_some()), (end, text.len() as u64 > end));
        }
    }
}
