//! Queries from text: a JSON list, JSONL, or plain text; and built-in ones.

mod decode;
mod record;

use serde_json::Value as Json;
use strum::EnumString;
use textgrad_ops::util::json::{read_lenient, type_name};

pub use self::decode::decode;
use crate::error::Error;
use crate::query::Query;

/// Queries to try a search on, without a file.
pub const BUILTIN: [&str; 8] = [
    "Why does bread rise, and what happens if I leave the yeast out?",
    "How do I repot a houseplant without hurting its roots?",
    "Explain the difference between weather and climate to a ten-year-old.",
    "Write a short, polite email asking a neighbour to keep the music down at night.",
    "What are some good ways to remember people's names?",
    "Should I learn the piano or the guitar first?",
    "How long does it take to walk from one end of Portugal to the other?",
    "Suggest three names for a small bakery near the sea.",
];

/// The format of a file of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "lowercase", parse_err_fn = unknown_format, parse_err_ty = Error)]
pub enum Format {
    /// A JSON list of strings, or of objects as in [`Format::Jsonl`].
    Json,
    /// One JSON object a line, or one JSON string. An object has its query in `prompt`, `instruction` (with
    /// `input`), `question` or `query`, with `system` or `system_prompt` beside it; or its conversation in
    /// `messages` or `conversations`, which `prompt` may hold too.
    Jsonl,
    /// One query a line; blank lines are skipped.
    Text,
}

impl Format {
    /// The format that a file's name promises, or else the one that its text looks like.
    #[must_use]
    pub fn detect(name: &str, text: &str) -> Self {
        match extension(name).as_deref() {
            Some("json") => Self::Json,
            Some("jsonl" | "ndjson") => Self::Jsonl,
            Some("txt" | "md") => Self::Text,
            _ => match text.trim_start().chars().next() {
                Some('[') => Self::Json,
                Some('{') => Self::Jsonl,
                // A first line that is a JSON string, and not a sentence that begins with a quotation.
                Some('"') if text.lines().next().is_some_and(is_json_string) => Self::Jsonl,
                _ => Self::Text,
            },
        }
    }
}

fn unknown_format(text: &str) -> Error {
    Error::config("format", "json, jsonl or text", text)
}

/// The extension of a file's name, that of the packed file if it is compressed.
fn extension(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    Some(name.rsplit_once('.')?.1.to_owned())
}

/// Formats of tables, whose lines are not queries.
const TABLES: [&str; 5] = ["csv", "tsv", "parquet", "arrow", "xlsx"];

fn is_json_string(line: &str) -> bool {
    serde_json::from_str::<String>(line).is_ok()
}

/// Reads queries in the format that [`Format::detect`] finds. `name` is that of the file, for its format and
/// for errors.
///
/// # Errors
/// [`Error::Input`] with the file, the line or the place in the list, and what was expected.
///
/// # Examples
/// ```
/// use tpo::input::parse;
///
/// assert_eq!(parse("q.json", r#"["one", "two"]"#)?, ["one", "two"]);
/// assert_eq!(parse("q.jsonl", "{\"prompt\": \"one\"}\n{\"instruction\": \"two\"}\n")?, ["one", "two"]);
/// assert_eq!(parse("q.txt", "one\n\ntwo\n")?, ["one", "two"]);
/// let error = parse("q.jsonl", "{\"prompt\": \"one\"}\n{\"promt\": \"two\"}\n").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "q.jsonl, line 2: expected one of the fields \"prompt\", \"instruction\", \"question\", \"query\", \
///      \"messages\", \"conversations\", got \"promt\""
/// );
/// # Ok::<(), tpo::Error>(())
/// ```
pub fn parse(name: &str, text: &str) -> Result<Vec<Query>, Error> {
    let text = without_mark(text);
    let kind = extension(name).filter(|kind| TABLES.contains(&kind.as_str()));
    if let Some(kind) = kind {
        let advice = "write one {\"prompt\": ...} a line, or set --format";
        return Err(wrong(
            name,
            format!("expected JSON, JSONL or text, got a .{kind} file; {advice}"),
        ));
    }
    let format = Format::detect(name, text);
    if let (Format::Text, Some(line)) = (format, continued(text)) {
        let advice = "a query of several lines needs JSON or JSONL; set --format text if each line is a query";
        let reason = format!(
            "expected one query a line, got a line that continues the one before; {advice}"
        );
        return Err(wrong(format!("{name}, line {line}"), reason));
    }
    parse_as(format, name, text)
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads queries in a given format; see [`parse`].
///
/// # Errors
/// Those of [`parse`].
pub fn parse_as(format: Format, name: &str, text: &str) -> Result<Vec<Query>, Error> {
    let text = without_mark(text);
    let at_line = |line: usize| format!("{name}, line {}", line + 1);
    let queries: Result<Vec<Query>, Error> = match format {
        Format::Json => match read_lenient(text) {
            Ok(Json::Array(items)) => {
                let places = (1..).map(|item| format!("{name}, item {item}"));
                items.iter().zip(places).map(|(item, place)| query(item, place)).collect()
            }
            Ok(other) => {
                Err(wrong(name, format!("expected a JSON list, got {}", type_name(&other))))
            }
            Err(error) => {
                let lines = text.lines().next().is_some_and(|line| {
                    serde_json::from_str::<serde_json::Map<String, Json>>(line).is_ok()
                });
                let hint = if lines { "; it looks like JSONL, one object a line" } else { "" };
                Err(wrong(name, format!("not a JSON list: {error}{hint}")))
            }
        },
        Format::Jsonl => text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| match read_lenient(without_mark(line)) {
                Ok(item) => query(&item, at_line(number)),
                Err(error) => Err(wrong(at_line(number), format!("not JSON: {error}"))),
            })
            .collect(),
        Format::Text => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(lines.map(Query::from).collect())
        }
    };
    let queries = queries?;
    if queries.is_empty() {
        return Err(wrong(name, "expected at least one query, found none".to_owned()));
    }
    Ok(queries)
}

fn query(item: &Json, place: String) -> Result<Query, Error> {
    record::query(item).map_err(|reason| wrong(place, reason))
}

/// What shows that lines of a text belong together: a mark of a list or a fence that the first line lacks, or the
/// indentation of code.
fn continued(text: &str) -> Option<usize> {
    let is_item = |line: &str| {
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_number =
            number.len() < line.len() && [". ", ") "].iter().any(|end| number.starts_with(end));
        ["- ", "* ", "+ ", "\u{2022}", "```"].iter().any(|mark| line.starts_with(mark)) || is_number
    };
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let (_, first) = lines.next()?;
    let first_is_item = is_item(first.trim_start());
    let is_code = |line: &str| line.starts_with("    ") || line.starts_with('\t');
    let belongs = |line: &str| {
        (is_item(line.trim_start()) && !first_is_item) || (is_code(line) && !is_code(first))
    };
    lines.find_map(|(number, line)| belongs(line).then_some(number))
}

fn wrong(source_name: impl Into<String>, reason: String) -> Error {
    Error::Input { source_name: source_name.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_format() {
        let two = ["a\nb", "c"];
        assert_eq!(parse("x", r#"["a\nb", {"prompt": "c"}]"#).unwrap(), two);
        assert_eq!(parse("-", "\u{feff}{\"prompt\":\"a\\nb\"}\r\n\r\n{\"messages\":[{\"role\":\"user\",\"content\":\"c\"}]}").unwrap(), two);
        assert_eq!(parse("x.jsonl", "\"a\\nb\"\n\"c\"\n").unwrap(), two);
        assert_eq!(
            parse("-", "  one line\r\n\r\n[not json]\n").unwrap(),
            ["one line", "[not json]"]
        );
    }

    #[test]
    fn a_conversation_is_a_query() {
        let line =
            r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}]}"#;
        let queries = parse("a.jsonl", line).unwrap();
        assert_eq!((queries[0].system(), queries[0].text()), (Some("s"), "System: s\n\nUser: u"));
    }

    /// Kind: Queries | the shapes of common data sets: Alpaca's `input`, `system`, `question`, content parts, the
    /// role `developer`, messages in `prompt`, ShareGPT | the query with all its parts
    #[test]
    fn records_of_common_data_sets_are_read_with_all_their_parts() {
        let system = |text: &str| format!("System: {text}\n\nUser: one?");
        for (record, expected) in [
            (
                r#"{"instruction":"Translate.","input":"Brot","output":"bread"}"#,
                "Translate.\n\nBrot".into(),
            ),
            (r#"{"instruction":"one?","input":""}"#, "one?".into()),
            (r#"{"question":"one?","answer":"two"}"#, "one?".into()),
            (r#"{"query":"one?"}"#, "one?".into()),
            (r#"{"prompt":"one?","system":"Be brief."}"#, system("Be brief.")),
            (r#"{"prompt":"one?","system_prompt":"Be kind.","system":null}"#, system("Be kind.")),
            (r#"{"instruction":"one?","system_prompt":"Be kind."}"#, system("Be kind.")),
            (
                r#"{"messages":[{"role":"developer","content":"s"},{"role":"user","content":"one?"}]}"#,
                system("s"),
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"on"},{"text":"e?"}]}]}"#,
                "one?".into(),
            ),
            (r#"{"prompt":[{"role":"user","content":"one?"}]}"#, "one?".into()),
            (r#"{"prompt":null,"messages":[{"role":"user","content":"one?"}]}"#, "one?".into()),
            (r#"{"system":"s","conversations":[{"from":"human","value":"one?"}]}"#, system("s")),
            (
                r#"{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"},{"from":"human","value":"c"}]}"#,
                "User: a\n\nAssistant: b\n\nUser: c".into(),
            ),
        ] {
            let queries =
                parse("a.jsonl", record).unwrap_or_else(|error| panic!("{record}: {error}"));
            assert_eq!(queries[0].text(), expected, "{record}");
        }
        for (record, words) in [
            (r#"{"prompt":"x","system":["a"]}"#, "expected \"system\" to be a string, got a list"),
            (r#"{"instruction":"x","input":{"a":1}}"#, "expected \"input\" to be a string"),
            (
                r#"{"system":"a","messages":[{"role":"system","content":"b"},{"role":"user","content":"u"}]}"#,
                "got two",
            ),
        ] {
            let error = parse("a.jsonl", record).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    /// Kind: Queries | a CSV or Parquet file, or a text whose lines belong together | an error that names the
    /// formats
    #[test]
    fn lines_that_are_no_queries_are_refused() {
        for (name, text, words) in [
            ("a.csv", "prompt,label\n\"one, two?\",a\n", "got a .csv file"),
            ("a.TSV.gz", "prompt\tlabel\n", "got a .tsv file"),
            ("a.parquet", "PAR1", "got a .parquet file"),
            ("a.txt", "Write about:\n- rain\n- spring", "a.txt, line 2: expected one query a line"),
            ("-", "Steps:\n\n1. boil\n2. wait", "-, line 3: expected one query"),
            ("a.txt", "Explain:\n```\nlet a;\n```", "a.txt, line 2"),
            ("a.txt", "def f():\n    return 1", "a.txt, line 2"),
        ] {
            let error = parse(name, text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(parse("a.txt", "- one?\n- two?\n").unwrap(), ["- one?", "- two?"]);
        assert_eq!(parse_as(Format::Text, "a.txt", "a:\n- b").unwrap(), ["a:", "- b"]);
    }

    /// Kind: Queries | a file in UTF-16, with byte order marks, with the line ends of old Macs, or compressed by
    /// gzip | its queries
    #[test]
    fn bytes_are_decoded() {
        let utf16 = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(unit).collect()
        };
        for bytes in [
            "one?\ntwo \u{1f980}?".as_bytes().to_vec(),
            b"one?\rtwo \xf0\x9f\xa6\x80?\r".to_vec(),
            utf16("one?\r\ntwo \u{1f980}?", u16::to_le_bytes),
            utf16("one?\ntwo \u{1f980}?", u16::to_be_bytes),
        ] {
            let text = decode("a.txt", &bytes).unwrap();
            assert_eq!(parse("a.txt", &text).unwrap(), ["one?", "two \u{1f980}?"]);
        }
        assert_eq!(parse("a.jsonl", "\u{feff}\"a\"\n\u{feff}\"b\"").unwrap(), ["a", "b"]);
        for bytes in [&b"caf\xe9"[..], b"\xff\xfea", b"\xff\xfe\x3d\xd8"] {
            let error = decode("a.txt", bytes).unwrap_err().to_string();
            assert!(error.contains("a.txt: expected a text in UTF-8"), "{error}");
        }
        assert!(decode("a.gz", b"\x1f\x8bnot gzip").is_err());
    }

    /// Kind: Queries | JSON as Python writes it: `NaN`, `Infinity`, halves of surrogate pairs | the query; a half
    /// is U+FFFD
    #[test]
    fn json_of_python_is_read() {
        let text = r#"{"prompt": "one \ud83d half?", "score": NaN}"#;
        assert_eq!(parse("a.jsonl", text).unwrap(), ["one \u{fffd} half?"]);
        let list = r#"[{"question": "NaN?", "weights": [Infinity, -Infinity]}]"#;
        assert_eq!(parse("a.json", list).unwrap(), ["NaN?"]);
        let error = parse("a.jsonl", r#"{"prompt": NaN}"#).unwrap_err().to_string();
        assert!(error.contains("expected a string, got null"), "{error}");
    }

    #[cfg(feature = "bench")]
    #[test]
    fn compressed_files_are_unpacked() {
        use std::io::Write;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{\"prompt\":\"one?\"}").unwrap();
        let bytes = packed.finish().unwrap();
        let text = decode("a.jsonl.gz", &bytes).unwrap();
        assert_eq!(parse("a.jsonl.gz", &text).unwrap(), ["one?"]);
        assert!(decode("a.jsonl.gz", &bytes[..bytes.len() - 9]).is_err());
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (name, text, message) in [
            ("a.json", "{}", "a.json: expected a JSON list, got an object"),
            (
                "a.json",
                "[\"x\", 3]",
                "a.json, item 2: expected a string or an object, got a number",
            ),
            ("a.json", "[]", "a.json: expected at least one query, found none"),
            ("a.json", "[\" \"]", "a.json, item 1: expected a query, got an empty text"),
            ("a.jsonl", "{\"prompt\": null}", "a.jsonl, line 1: expected a string, got null"),
            ("a.txt", "\n \n", "a.txt: expected at least one query, found none"),
        ] {
            assert_eq!(parse(name, text).unwrap_err().to_string(), message);
        }
        let error = parse("a.json", "[\"x\"").unwrap_err().to_string();
        assert!(error.starts_with("a.json: not a JSON list: "), "{error}");
        let error =
            parse("a.json", "{\"prompt\":\"x\"}\n{\"prompt\":\"y\"}").unwrap_err().to_string();
        assert!(error.ends_with("; it looks like JSONL, one object a line"), "{error}");
        for (messages, words) in [
            (r#"[{"role":"assistant","content":"a"}]"#, "ends with the user's turn, got assistant"),
            (r#"[{"role":"tool","content":"a"}]"#, "got the role \"tool\""),
            (r#"[{"role":"user","content":[{"type":"image_url"}]}]"#, "a part of another type"),
            (r#"[{"role":"user"}]"#, "got nothing"),
            ("3", "to be a list, got a number"),
        ] {
            let text = format!("{{\"messages\":{messages}}}");
            let error = parse("a.jsonl", &text).unwrap_err().to_string();
            assert!(error.starts_with("a.jsonl, line 1: expected \"messages\""), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }
}
