use serde_json::json;
use textgrad_core::{Choice, ErrorKind, FinishReason, Purpose, Response};

use super::*;
use crate::journal::StepKey;

fn call(query: usize, key: &str, text: &str) -> Record {
    Record::Call {
        query,
        purpose: Purpose::Sample,
        key: StepKey(key.into()),
        response: Response::new(vec![Choice::new(text, FinishReason::Stop)]),
        ms: 1,
    }
}

async fn resumed(path: &Path, config: Json) -> Journal {
    for _ in 0..10_000 {
        // The thread that had the file before may be about to let go of it.
        match Journal::resume(path, config.clone()).await {
            Err(Error::RunLocked { .. }) => tokio::task::yield_now().await,
            other => return other.unwrap(),
        }
    }
    panic!("the journal is still locked");
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::create(&path, json!({ "n": 5 })).await.unwrap();
    journal.0.writer.as_ref().unwrap().write(&call(0, "a", "one")).unwrap();
    journal.0.writer.as_ref().unwrap().write(&call(2, "b", "zwei — “ünïcode”")).unwrap();
    drop(journal);
    let whole = std::fs::read(&path).unwrap();

    for cut in [1, 5, 40] {
        let mut torn = whole.clone();
        torn.extend_from_slice(br#"{"type":"call","query":0,"purpose":"sample","key":"c","resp"#);
        torn.truncate(whole.len() + cut);
        std::fs::write(&path, &torn).unwrap();
        let journal = resumed(&path, json!({})).await;
        assert_eq!(journal.known_steps(), 2);
        assert_eq!(journal.config(), &json!({ "n": 5 }));
        let query = journal.query(2).await.unwrap();
        let known = query.recall_call(&StepKey("b".into())).unwrap();
        assert_eq!(known.unwrap().choices[0].text, "zwei — “ünïcode”");
        drop((journal, query));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[tokio::test]
async fn a_line_that_is_no_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let run = |schema| {
        line_with_checksum(&json!({ "type": "run", "schema": schema, "config": {} })).unwrap()
    };
    let header = run(SCHEMA);
    let unknown = line_with_checksum(&json!({ "type": "dance" })).unwrap();
    for (text, line, part) in [
        (format!("{header}not json\n{header}"), 3, "expected"),
        (format!("{header}{unknown}"), 2, "unknown variant"),
        (format!("{header}{header}"), 2, "first line"),
        (run(9), 1, "schema 2, got 9"),
        ("some notes".to_owned(), 1, "got something else"),
        ("some notes\nand more\n".to_owned(), 1, "got something else"),
        ("{\"type\":\"run\",\"schema\":2,\"config\":{}}\n".to_owned(), 1, "begin a new run"),
    ] {
        std::fs::write(&path, &text).unwrap();
        match Journal::resume(&path, json!({})).await {
            Err(Error::Journal { line: found, reason, .. }) => {
                assert_eq!(found, line, "{reason}");
                assert!(reason.contains(part), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it is left as it was");
    }
}

#[tokio::test]
async fn any_flipped_bit_costs_the_steps_of_its_line_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::create(&path, json!({ "n": 5 })).await.unwrap();
    let writer = journal.0.writer.clone().unwrap();
    for (query, key) in [(0, "a"), (1, "b"), (2, "c")] {
        writer.write(&call(query, key, key)).unwrap();
    }
    drop((journal, writer));
    let whole = std::fs::read(&path).unwrap();
    let last = whole.len() - 1;
    for bit in (0..last * 8).step_by(61) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).unwrap();
        let journal = resumed(&path, json!({ "n": 5 })).await;
        // A newline that is gone makes one line of two.
        let is_newline = whole[bit / 8] == b'\n';
        let is_first = !whole[..bit / 8].contains(&b'\n');
        let lost = 1 + usize::from(is_newline) - usize::from(is_first);
        assert_eq!((journal.known_steps(), bit), (3 - lost, bit));
        assert_eq!(journal.config(), &json!({ "n": 5 }));
        drop(journal);
        // Noted, so that nothing more is written the next time.
        let noted = std::fs::read(&path).unwrap();
        assert!(noted.starts_with(&flipped) && noted.len() > flipped.len());
        drop(resumed(&path, json!({ "n": 5 })).await);
        assert_eq!(std::fs::read(&path).unwrap(), noted);
    }
}

#[tokio::test]
async fn a_journal_that_was_not_begun_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    for text in ["", "{\"type\":\"run\",\"sche"] {
        std::fs::write(&path, text).unwrap();
        let journal = resumed(&path, json!({ "n": 5 })).await;
        assert_eq!(journal.config(), &json!({ "n": 5 }));
        let begun = std::fs::read_to_string(&path).unwrap();
        assert!(begun.starts_with("{\"type\":\"run\",\"schema\":2,\"config\":{\"n\":5},\"crc\""));
        drop(journal);
    }
}

#[tokio::test]
async fn two_writers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let _open = Journal::create(&path, json!({})).await.unwrap();
    let second = Journal::resume(&path, json!({})).await.unwrap_err();
    assert!(matches!(second, Error::RunLocked { .. }), "{second}");
}

#[tokio::test]
async fn a_failure_keeps_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::create(&path, json!({})).await.unwrap();
    let query = journal.query(0).await.unwrap();
    for (key, kind) in [("a", ErrorKind::NoAnswer), ("b", ErrorKind::Other)] {
        let key = StepKey(key.to_owned());
        let failed = |query| vec![Record::Failed { query, key, kind, message: "none".to_owned() }];
        query.write(failed).await.unwrap();
    }
    drop((journal, query));
    assert!(!std::fs::read_to_string(&path).unwrap().contains("other"));
    let query = resumed(&path, json!({})).await.query(0).await.unwrap();
    for (key, kind) in [("a", ErrorKind::NoAnswer), ("b", ErrorKind::Other)] {
        let recalled = query.recall_call(&StepKey(key.to_owned())).unwrap().unwrap_err();
        assert_eq!((recalled.kind(), recalled.message()), (kind, "none"));
    }
}
