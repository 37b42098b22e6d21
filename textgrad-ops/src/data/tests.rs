use std::sync::Arc;

use serde_json::json;

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
        (found[1].place.as_str(), found[2].value.clone()),
        ("t.jsonl, line 2", Ok(json!(3)))
    );
    for (name, bytes, words) in [
        ("t.xlsx", &b"PK"[..], "got .xlsx"),
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

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_read_and_damage_is_an_error() {
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;

    let schema = "message m { REQUIRED INT64 id; REQUIRED BINARY q (UTF8); }";
    let schema = parse_message_type(schema).unwrap().into();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[1, 2], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let texts = ["a", "b"].map(ByteArray::from);
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let bytes = writer.into_inner().unwrap();

    let rows = [json!({ "id": 1, "q": "a" }), json!({ "id": 2, "q": "b" })];
    assert_eq!(values("whatever the name", &bytes), rows);
    for cut in 0..bytes.len() {
        assert!(records("t.parquet", &bytes[..cut], None).is_err(), "{cut}");
    }
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        // It is read or refused, without a panic.
        let _ = records("t.parquet", &damaged, None);
    }
}
