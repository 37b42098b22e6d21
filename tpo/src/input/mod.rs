//! Queries from data files, and built-in ones.

mod record;

use derive_setters::Setters;
use textgrad_ops::data::{self, DataFormat};

pub(crate) use self::record::read_all;
#[cfg(feature = "bench")]
pub(crate) use self::record::{ASSISTANT, dialogue, of_turns};
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

/// How a file of queries is read.
///
/// A record is a text, or an object (in a table: a row) that has its query in `prompt`, `instruction` (with `input`),
/// `question`, `query` or `problem`, with `system` or `system_prompt` beside it; or its conversation in `messages`,
/// `conversations`, `turns` (the user's where they have no role) or `chosen`, which `prompt` may hold too; a table has
/// it as JSON. An answer at the end of a conversation is left out. The other fields become those of the [`Query`].
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq, Setters)]
#[setters(into, strip_option)]
pub struct Input {
    /// The format. Default: that of the file's name, else of its contents.
    format: Option<DataFormat>,
    /// The field or column that holds the query. Default: the first of the usual names.
    prompt_column: Option<String>,
}

impl Input {
    /// Reads a file's contents. `name` is that of the file, for its format and for errors.
    ///
    /// # Errors
    /// [`Error::Input`] with the file, the line or the position in the list, and what was expected; of several records
    /// that cannot be read, with their number and the first three.
    pub fn parse(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<Vec<Query>, Error> {
        let records = data::records(name, contents.as_ref(), self.format).map_err(input_error)?;
        if records.is_empty() {
            return Err(Error::input(name, "expected at least one query, found none"));
        }
        let column = self.prompt_column.as_deref();
        let queries = records.into_iter().map(|data::Record { location, value }| {
            (location, value.and_then(|value| record::query(value, column)))
        });
        Ok(read_all(name, queries)?.into_iter().map(|(_, query)| query).collect())
    }
}

/// Reads queries with the defaults of [`Input`].
///
/// # Errors
/// Those of [`Input::parse`].
///
/// # Examples
/// ```
/// use tpo::input::parse;
///
/// assert_eq!(parse("q.json", r#"["one", "two"]"#)?, ["one", "two"]);
/// assert_eq!(parse("q.jsonl", "{\"prompt\": \"one\"}\n{\"instruction\": \"two\"}\n")?, ["one", "two"]);
/// assert_eq!(parse("q.txt", "one\n\ntwo\n")?, ["one", "two"]);
/// let queries = parse("q.csv", "id,question\n17,one\n")?;
/// assert_eq!((queries[0].text(), &queries[0].fields()["id"]), ("one", &"17".into()));
/// let error = parse("q.jsonl", "{\"prompt\": \"one\"}\n{\"promt\": \"two\"}\n").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "q.jsonl, line 2: expected one of the fields \"prompt\", \"instruction\", \"question\", \"query\", \
///      \"problem\", \"messages\", \"conversations\", \"turns\", \"chosen\", got \"promt\"; name the right \
///      one with --prompt-column"
/// );
/// # Ok::<(), tpo::Error>(())
/// ```
pub fn parse(name: &str, contents: impl AsRef<[u8]>) -> Result<Vec<Query>, Error> {
    Input::default().parse(name, contents)
}

/// An error of data, as one of input.
pub(crate) fn input_error(error: textgrad_ops::Error) -> Error {
    match error {
        textgrad_ops::Error::Data { location, reason, .. } => Error::input(location, reason),
        other => other.into(),
    }
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
            (
                r#"{"messages":[{"role":"user","content":"one?"},{"role":"assistant","content":"the data set's"}]}"#,
                "one?".into(),
            ),
            (
                r#"{"chosen":[{"role":"user","content":"one?"},{"role":"assistant","content":"a"}],"rejected":[]}"#,
                "one?".into(),
            ),
            (
                r#"{"chosen":"\n\nHuman: one?\n\nAssistant: a","rejected":"\n\nHuman: one?\n\nAssistant: b"}"#,
                "one?".into(),
            ),
            (
                r#"{"chosen":"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d"}"#,
                "User: a\n\nAssistant: b\n\nUser: c".into(),
            ),
            (
                r#"{"prompt":"[{\"role\":\"user\",\"content\":\"one?\"}]","chosen":"a"}"#,
                "one?".into(),
            ),
            (r#"{"prompt":"[{\"name\":\"x\"}]"}"#, r#"[{"name":"x"}]"#.into()),
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
        for (name, texts) in
            [("a.json", r#"["one?", "two?"]"#), ("a.jsonl", "\"one?\""), ("a.txt", "one?")]
        {
            let error = Input::default().prompt_column("text").parse(name, texts).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains("with the field \"text\", got a string; leave --prompt-column"),
                "{error}"
            );
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

    /// Kind: Queries | a file in an unknown format, or a text whose lines belong together | an error that names the
    /// formats
    #[test]
    fn lines_that_are_no_queries_are_refused() {
        for (name, text, words) in [
            ("a.xlsx", "PK", "got .xlsx; convert it"),
            ("prompts.v2", "one?", "got .v2; convert it, or name its format with --format"),
            ("a.parquet", "PAR1", "expected Parquet"),
            (
                "a.txt",
                "Write about:\n- rain\n- spring",
                "a.txt, line 2: expected one record per line",
            ),
            ("-", "Steps:\n\n1. boil\n2. wait", "-, line 3: expected one record"),
            ("a.txt", "Explain:\n```\nlet a;\n```", "a.txt, line 2"),
            ("a.txt", "def f():\n    return 1", "a.txt, line 2"),
        ] {
            let error = parse(name, text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(parse("a.txt", "- one?\n- two?\n").unwrap(), ["- one?", "- two?"]);
        assert_eq!(
            Input::default().format(DataFormat::Text).parse("a.txt", "a:\n- b").unwrap(),
            ["a:", "- b"]
        );
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
            assert_eq!(parse("a.txt", bytes).unwrap(), ["one?", "two \u{1f980}?"]);
        }
        assert_eq!(parse("a.jsonl", "\u{feff}\"a\"\n\u{feff}\"b\"").unwrap(), ["a", "b"]);
        for bytes in [&b"caf\xe9"[..], b"\xff\xfea", b"\xff\xfe\x3d\xd8"] {
            let error = parse("a.txt", bytes).unwrap_err().to_string();
            assert!(error.contains("a.txt, line 1: expected UTF-8"), "{error}");
        }
        for (bytes, words) in [
            (&b"o\0n\0e\0?\0"[..], "iconv -f UTF-16LE -t UTF-8"),
            (b"\0o\0n\0e\0?", "iconv -f UTF-16BE -t UTF-8"),
            (b"one?\ntw\0o?", "a.txt, line 2: expected text, got a binary file"),
        ] {
            let error = parse("a.txt", bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(parse("a.gz", b"\x1f\x8bnot gzip").is_err());
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
        assert!(error.contains("expected \"prompt\" to be a string, got null"), "{error}");
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn compressed_files_are_unpacked() {
        use std::io::Write;
        let text = b"{\"prompt\":\"one?\"}";
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text).unwrap();
        let gzip = packed.finish().unwrap();
        // A frame without compression: magic, header (one block, 14 bytes), block, contents.
        let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 17, 0x89, 0, 0], &text[..]].concat();
        for (name, bytes) in [("a.jsonl.gz", gzip), ("a.jsonl.zst", zstd)] {
            assert_eq!(parse(name, &bytes).unwrap(), ["one?"]);
            assert!(parse(name, &bytes[..bytes.len() - 9]).is_err());
        }
    }

    /// Kind: Queries | a table: CSV with a quoted comma, TSV without quoting, a column by name, an odd case | the
    /// queries; the other columns travel into the results
    #[test]
    fn tables_are_read_by_column() {
        let csv = "\u{feff}id,Prompt,label\r\n7,\"one, two?\",a\r\n8,\"three\nfour?\",b\r\n";
        let queries = parse("a.csv", csv).unwrap();
        assert_eq!(queries, ["one, two?", "three\nfour?"]);
        assert_eq!(queries[1].fields()["id"], "8");
        assert_eq!(queries[1].fields().len(), 2);
        let tsv = "question\tanswer\nWhat is \"it\"?\tno\n";
        assert_eq!(parse("a.tsv.gz", tsv).unwrap(), ["What is \"it\"?"]);
        let input = Input::default().prompt_column("ask");
        assert_eq!(input.parse("a.csv", "ask,prompt\nx,y\n").unwrap(), ["x"]);
        let error = input.parse("a.csv", "prompt,id\ny,1\n").unwrap_err().to_string();
        assert_eq!(error, "a.csv, line 2: expected the field \"ask\", got \"id\", \"prompt\"");
        let error = parse("a.csv", "text,id\ny,1\n").unwrap_err().to_string();
        assert!(
            error.ends_with("got \"id\", \"text\"; name the right one with --prompt-column"),
            "{error}"
        );
        let turns = r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]"#;
        let cell = turns.replace('"', "\"\"");
        assert_eq!(parse("a.csv", format!("messages\n\"{cell}\"\n")).unwrap(), ["a"]);
    }

    /// Kind: Queries | the question files of benchmarks: AlpacaEval, Arena-Hard v0.1 in both shapes, XSTest, MATH-500 |
    /// the queries; the other fields travel into the results
    #[test]
    fn questions_of_benchmarks_are_read() {
        for (name, text, field) in [
            (
                "a.json",
                r#"[{"instruction":"ask","output":"o","generator":"g","dataset":"d"}]"#,
                "generator",
            ),
            (
                "q.jsonl",
                r#"{"question_id":"1","cluster":"c","turns":[{"content":"ask"}]}"#,
                "question_id",
            ),
            ("q.jsonl", r#"{"question_id":81,"category":"c","turns":["ask"]}"#, "question_id"),
            ("q.jsonl", r#"{"uid":"1","category":"c","cluster":"c","prompt":"ask"}"#, "uid"),
            ("x.csv", "id,prompt,type,label,focus,note\nv2-1,ask,homonyms,safe,kill,\n", "label"),
            ("m.jsonl", r#"{"problem":"ask","solution":"s","answer":"1","level":2}"#, "answer"),
        ] {
            let queries = parse(name, text).unwrap();
            assert_eq!(queries, ["ask"], "{text}");
            assert!(queries[0].fields().contains_key(field), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (name, text, message) in [
            ("a.json", "{}", "a.json: expected a JSON list, got an object"),
            (
                "a.json",
                r#"{"version":1,"data":[]}"#,
                "a.json: expected a JSON list, got an object; extract the list in \"data\"",
            ),
            (
                "a.json",
                "[\"x\", 3]",
                "a.json, item 2: expected a string or an object, got a number",
            ),
            ("a.json", "[]", "a.json: expected at least one query, found none"),
            ("a.json", "[\" \"]", "a.json, item 1: expected a query, got an empty text"),
            (
                "a.jsonl",
                "{\"prompt\": null}",
                "a.jsonl, line 1: expected \"prompt\" to be a string, got null",
            ),
            ("a.txt", "\n \n", "a.txt: expected at least one query, found none"),
        ] {
            assert_eq!(parse(name, text).unwrap_err().to_string(), message);
        }
        let error = parse("a.json", "[\"x\"").unwrap_err().to_string();
        assert!(error.starts_with("a.json: expected a JSON list: "), "{error}");
        let lines = "{\"prompt\":\"x\"}\n{\"prompt\":\"y\"}";
        assert_eq!(parse("a.json", lines).unwrap(), ["x", "y"]);
        assert!(parse("a.json", "").unwrap_err().to_string().contains("found none"));
        for (messages, words) in [
            (r#"[{"role":"assistant","content":"a"}]"#, "ends with the user's turn, got assistant"),
            (r#"[{"role":"system","content":"a"}]"#, "ends with the user's turn, got system"),
            (r#"[{"role":"tool","content":"a"}]"#, "got the role \"tool\""),
            (
                r#"[{"role":"user","content":[{"type":"image_url"}]}]"#,
                "got the part \"image_url\"; only text is read",
            ),
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
