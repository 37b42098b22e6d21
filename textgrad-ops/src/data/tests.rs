use serde_json::{Map, json};

use super::*;

fn values(name: &str, bytes: &[u8]) -> Vec<Json> {
    let records = records(name, bytes, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    records.into_iter().map(|record| record.value.unwrap()).collect()
}

#[test]
fn one_table_in_each_format() {
    let rows = [json!({ "id": "1", "q": "a, b" }), json!({ "id": "2", "q": "c" })];
    for (name, text) in [
        ("t.json", r#"[{"id": "1", "q": "a, b"}, {"id": "2", "q": "c"}]"#),
        ("t.json", "{\"id\": \"1\", \"q\": \"a, b\"}\n{\"id\": \"2\", \"q\": \"c\"}\n"),
        ("t.ndjson", "{\"id\": \"1\", \"q\": \"a, b\"}\r\n\n{\"id\": \"2\", \"q\": \"c\"}"),
        ("standard input", "{\"id\": \"1\", \"q\": \"a, b\"}\n{\"id\": \"2\", \"q\": \"c\"}"),
        ("t.csv", "id,q\n1,\"a, b\"\n2,c\n"),
        ("t.csv", "id;q\r\n1;a, b\r\n2;\"c\"\r\n"),
        ("t.csv", "\"id\";\"q\"\n\"1\";\"a, b\"\n2;c\n"),
        ("t.tsv", "id\tq\n1\ta, b\n2\tc\n"),
    ] {
        assert_eq!(values(name, text.as_bytes()), rows, "{name}");
    }
    assert_eq!(values("t.txt", b"one\n\n two \n"), [json!("one"), json!("two")]);
    assert!(values("t.csv", b"\n").is_empty());
}

#[test]
fn tabs_without_quoting_are_read() {
    let rows = values("t.tsv", b"q\tn\nsay \"hi\" to\t1\n\"open\t2\n");
    assert_eq!(
        rows,
        [json!({ "q": "say \"hi\" to", "n": "1" }), json!({ "q": "\"open", "n": "2" })]
    );
    let rows = values("t.tsv", b"q\tn\n\"a\tb\"\t1\n");
    assert_eq!(rows, [json!({ "q": "a\tb", "n": "1" })]);
}

#[test]
fn a_bad_record_is_one_error_and_a_bad_file_another() {
    let found = records("t.jsonl", b"1\nx\n3", None).unwrap();
    assert!(found[1].value.as_ref().unwrap_err().starts_with("not JSON: "));
    assert_eq!(
        (found[1].location.as_str(), found[2].value.clone()),
        ("t.jsonl, line 2", Ok(json!(3)))
    );
    for (name, bytes, words) in [
        ("t.xlsx", &b"PK"[..], "got .xlsx"),
        ("t.jsonl.xz", b"x", "got .xz; unpack it; gzip and Zstandard"),
        ("t.tar.gz", b"x", "got .tar; unpack it"),
        ("t.csv", b"q\na\0b\n", "t.csv, line 2: expected text, got a binary file"),
        ("folder.d/t", b"a:\n- b", "folder.d/t, line 2: expected one record per line"),
        ("t.csv", b"a,a\n1,2\n", "t.csv, line 1: expected each column"),
        ("t.txt", b"caf\xe9", "t.txt, line 1: expected UTF-8"),
        ("t.txt", b"\x1f\x8b\x00", "compressed by gzip, but it is damaged"),
    ] {
        let error = records(name, bytes, None).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!("xml".parse::<DataFormat>().unwrap_err().to_string().contains("parquet, got \"xml\""));
}

fn rows() -> Vec<Map<String, Json>> {
    let rows = json!([
        { "id": "1", "n": 1, "x": 0.5, "is": true, "odd": [1, "a"], "turns": [
            { "role": "user", "content": "a\tb \u{1f980}" }, { "role": "assistant", "content": "c" } ] },
        { "id": "2", "n": -3, "x": 2, "is": false, "odd": "b", "turns": [] },
        { "id": null, "turns": [{ "role": "user", "content": "" }, { "role": "user" }] },
        { "n": 4 },
    ]);
    serde_json::from_value(rows).unwrap()
}

/// The values without those that are null.
fn present(values: Vec<Json>) -> Vec<Json> {
    let present = |value: Json| match value {
        Json::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    };
    values.into_iter().map(present).collect()
}

#[test]
fn rows_are_written_in_each_format_and_read_back() {
    let expected = present(rows().into_iter().map(Json::Object).collect());
    for name in ["t.json", "t.jsonl"] {
        let bytes = contents(DataFormat::of_name(name).unwrap(), &rows()).unwrap();
        assert_eq!(present(values(name, &bytes)), expected, "{name}");
    }
    for name in ["t.csv", "t.tsv"] {
        let bytes = contents(DataFormat::of_name(name).unwrap(), &rows()).unwrap();
        let read = values(name, &bytes);
        assert_eq!(
            (&read[0]["id"], &read[1]["x"], &read[3]["id"]),
            (&json!("1"), &json!("2"), &json!(""))
        );
        assert_eq!(read[0]["turns"], json!(rows()[0]["turns"].to_string()), "{name}");
    }
    assert!(contents(DataFormat::Text, &rows()).is_err());
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_written_and_read_back() {
    let bytes = contents(DataFormat::Parquet, &rows()).unwrap();
    let mut expected = present(rows().into_iter().map(Json::Object).collect());
    // A column of mixed types stands as JSON; whole numbers among others are numbers; a key that a turn lacks is null.
    expected[0]["odd"] = json!("[1,\"a\"]");
    expected[1]["x"] = json!(2.0);
    expected[2]["turns"][1]["content"] = Json::Null;
    assert_eq!(present(values("whatever the name", &bytes)), expected);
    assert_eq!(values("t.parquet", &contents(DataFormat::Parquet, &[]).unwrap()), [] as [Json; 0]);
}

/// A table of one row, compressed by Brotli.
#[cfg(feature = "parquet")]
const BROTLI: &[u8] =
    b"PAR1\x15\x00\x15\x18\x15 ,\x15\x02\x15\x00\x15\x06\x15\x06\x1c\x00\x00\x00\x8b\x05\
    \x80\x02\x00\x00\x00\x02\x01\x02\x00\x00\x00a?\x03\x15\x04\x19,5\x00\x18\x06schema\
    \x15\x02\x00\x15\x0c%\x02\x18\x01q%\x00L\x1c\x00\x00\x00\x16\x02\x19\x1c\x19\x1c&\
    \x00\x1c\x15\x0c\x19%\x06\x00\x19\x18\x01q\x15\x08\x16\x02\x16>\x16F&\x08I\x1c\x15\
    \x00\x15\x00\x15\x02\x00<\x16\x04\x19\x06\x19&\x00\x02\x00\x00\x00\x16>\x16\x02&\x08\
    \x16F\x00( parquet-cpp-arrow version 26.0.1\x19\x1c\x1c\x00\x00\x00\x82\x00\x00\x00P\
    AR1";

#[cfg(feature = "parquet")]
#[test]
fn parquet_of_another_codec_is_refused_with_the_remedy() {
    let error = records("t.parquet", BROTLI, None).unwrap_err().to_string();
    assert!(error.contains("with snappy, gzip or zstd, got brotli; write it again"), "{error}");
}

#[cfg(feature = "parquet")]
#[test]
fn damaged_parquet_is_an_error() {
    let bytes = contents(DataFormat::Parquet, &rows()).unwrap();
    for cut in 0..bytes.len() {
        assert!(records("t.parquet", &bytes[..cut], None).is_err(), "{cut}");
    }
    for index in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[index] ^= 1 << (index % 8);
        // It is read or refused, without a panic.
        let _ = records("t.parquet", &damaged, None);
    }
}
