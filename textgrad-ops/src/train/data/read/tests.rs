use serde_json::json;

use super::*;

fn error(name: &str, text: &str, mapping: &Mapping) -> String {
    Dataset::parse(name, text, mapping).unwrap_err().to_string()
}

fn mapped() -> Mapping {
    Mapping::new().field("question", "input").expected("target")
}

#[test]
fn three_formats_hold_the_same() {
    let jsonl = "\u{feff}{\"input\": \"a\\nb\", \"target\": 1, \"more\": [2]}\r\n\r\n{\"input\": \"c\", \"target\": true}\r\n";
    let data = Dataset::parse("x.jsonl", jsonl, &mapped()).unwrap();
    let json =
        r#"[{"input": "a\nb", "target": "1", "more": [2]}, {"input": "c", "target": "true"}]"#;
    assert_eq!(Dataset::parse("x.jsonl.json", json, &mapped()).unwrap().sha256(), data.sha256());
    let first = data.get(0).unwrap();
    assert_eq!((first.id(), first.expected()), ("1", Some("1")));
    assert_eq!(
        (first.field("question"), first.metadata()["more"].clone()),
        (Some("a\nb"), json!([2]))
    );

    let quoted = "input,target\n\"\"\"\",\"\"\n\"a,\"\"b\"\"\",\"1\"";
    let data = Dataset::parse("x.csv", quoted, &mapped()).unwrap();
    let texts: Vec<_> = data.iter().map(|example| example.field("question").unwrap()).collect();
    assert_eq!(texts, ["\"", "a,\"b\""]);
    let csv = "\u{feff}input,target\r\n\"a\r\nb\",\"1,000\"\r\n\r\n\"say \"\"c\"\"\",x\r\n";
    let data = Dataset::parse("x.CSV", csv, &mapped()).unwrap();
    let texts: Vec<_> = data.iter().map(|example| example.field("question").unwrap()).collect();
    assert_eq!(texts, ["a\r\nb", "say \"c\""]);
    assert_eq!(data.get(0).unwrap().expected(), Some("1,000"));
}

#[test]
fn a_list_of_strings_has_one_field() {
    let data = Dataset::parse("x.json", r#"["one", "two"]"#, &Mapping::new()).unwrap();
    assert_eq!(data.get(1).unwrap().field("text"), Some("two"));
    let data = Dataset::parse("x.jsonl", "\"one\"\n", &Mapping::new().field("question", "q"));
    assert_eq!(data.unwrap().get(0).unwrap().field("question"), Some("one"));
}

#[test]
fn every_bad_line_is_counted_and_the_first_is_named() {
    let text = "{\"input\": \"a\", \"target\": \"1\"}\n\nnot json\n{\"input\": \"b\"}\n{\"input\": null, \"target\": 1}\n";
    let message = error("d.jsonl", text, &mapped());
    assert!(message.starts_with("d.jsonl, line 3: not JSON: "), "{message}");
    assert!(message.ends_with("(3 such errors in all; the first is named)"), "{message}");

    let message = error("d.csv", "input,target\na,1\nb\nc,2,3\n", &mapped());
    assert_eq!(
        message,
        "d.csv, line 3: expected 2 columns as in the first line, got 1 (2 such errors in all; the first is named)"
    );
}

#[test]
fn errors_say_what_is_wrong() {
    for (name, text, expected) in [
        (
            "d.txt",
            "x",
            "d.txt: expected a name that ends in .jsonl, .ndjson, .json, .csv, .tsv or .parquet; or say which format it is",
        ),
        ("d.json", "{}", "d.json: expected a JSON list, got an object"),
        ("d.json", "[3]", "d.json, item 1: expected an object or a string, got a number"),
        (
            "d.json",
            r#"[{"input": ["x"], "target": "y"}]"#,
            "d.json, item 1: expected the field \"input\" to be a text, got a list",
        ),
        (
            "d.jsonl",
            "{\"input\": \"  \", \"target\": \"\"}",
            "d.jsonl, line 1: expected at least one field that is not blank, or an image",
        ),
        (
            "d.csv",
            "input,input\na,b\n",
            "d.csv, line 1: expected each column to have a name of its own, but \"input\" occurs twice",
        ),
        (
            "d.csv",
            "input,target\n\"a,1\nb,2\n",
            "d.csv, line 2: expected a quotation mark to end the field that begins with one here",
        ),
        (
            "d.csv",
            "input,target\r\n\"a\r\nb\",1\r\n6\" nails, or 8\",2\r\n",
            "d.csv, line 4: expected no quotation mark within a field that does not begin with one; put the field between two, and write each within it twice",
        ),
        (
            "d.csv",
            "input,target\n\"say \"c\"\",1\n",
            "d.csv, line 2: expected a comma or the end of the line behind the quotation mark that ends a field, got 'c'; one within a field is written twice",
        ),
        (
            "d.csv",
            "input,target\n \"a\",1\n",
            "d.csv, line 2: expected no quotation mark within a field that does not begin with one; put the field between two, and write each within it twice",
        ),
        (
            "d.csv",
            "question,target\na,1\n",
            "d.csv, line 2: expected the field \"input\", but the fields are [\"question\", \"target\"]",
        ),
    ] {
        assert_eq!(error(name, text, &mapped()), expected);
    }
    let message = error(
        "d.jsonl",
        "{\"id\": 3, \"q\": \"a\"}\n{\"id\": 3, \"q\": \"b\"}",
        &Mapping::new().id("id"),
    );
    assert!(message.contains("examples 1 and 2 both have \"3\""), "{message}");
}

#[test]
fn an_empty_file_is_an_empty_data_set() {
    for name in ["d.jsonl", "d.csv"] {
        assert!(Dataset::parse(name, "\u{feff}\n", &mapped()).unwrap().is_empty(), "{name}");
    }
    assert!(Dataset::parse("d.json", "[]", &mapped()).unwrap().is_empty());
}

#[tokio::test]
async fn files_are_read_and_other_bytes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.jsonl");
    std::fs::write(&path, "{\"input\": \"ä\", \"target\": \"1\"}\n").unwrap();
    assert_eq!(Dataset::read(&path, &mapped()).await.unwrap().len(), 1);
    std::fs::write(&path, b"{}\n{\"input\": \"\xe4\"}\n").unwrap();
    let message = Dataset::read(&path, &mapped()).await.unwrap_err().to_string();
    assert!(message.contains("d.jsonl, line 2: expected UTF-8, got other bytes; "), "{message}");
    let missing = Dataset::read(&folder.path().join("none.jsonl"), &mapped()).await.unwrap_err();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
}
