use textgrad_core::{Choice, FinishReason, Message, Purpose, Request, Response, Usage};

use super::super::entry::CacheFilter;
use super::super::query::New;
use super::*;
use crate::store::CacheKey;

fn new(engine: &str, text: &str, size: usize) -> Box<New> {
    let request = Request::new(Purpose::Sample, [Message::user(text)]);
    let key = CacheKey::new(engine, &request);
    let usage =
        Usage { prompt_tokens: 3, completion_tokens: 2, cached_tokens: 1, ..Usage::default() };
    let answer = Choice::new("x".repeat(size), FinishReason::Stop);
    let response = Response::new(vec![answer]).with_usage(usage).with_model("m");
    Box::new(New::of(&key, &response, true).unwrap())
}

fn store(folder: &tempfile::TempDir) -> Database {
    Database::open(&folder.path().join("answers"), Open::OrCreate).unwrap()
}

/// Puts so many answers of 4,000 bytes in, one a second, the first at second 1.
fn filled(store: &mut Database, count: usize) -> Vec<String> {
    let put = |second: usize| {
        let new = new("e", &format!("question {second}"), 4000);
        let key = new.key.clone();
        store.write(&[new], &[]).unwrap();
        let change = "UPDATE entries SET created = ?1, used = ?1 WHERE key = ?2";
        store.db.execute(change, (second as i64 * 1000, &key)).unwrap();
        key
    };
    (1..=count).map(put).collect()
}

fn keys(store: &mut Database, filter: CacheFilter) -> Vec<String> {
    store.entries(&filter).unwrap().into_iter().map(|entry| entry.key).collect()
}

#[test]
fn what_was_not_used_for_the_longest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    let all = filled(&mut store, 100);
    store.clock = || 500_000;
    // The two oldest are used again.
    store.write(&[], &all[..2]).unwrap();
    let full = store.room().unwrap().used;
    let half = full / 2;
    store.keep_below(full).unwrap();
    assert_eq!(store.info().unwrap().entries, 100, "as large as it may be");

    store.keep_below(half).unwrap();
    let left = keys(&mut store, CacheFilter::default());
    let room = store.room().unwrap();
    assert!(room.used <= half / 10 * 9 && room.used > half / 10 * 8, "{room:?} of {half}");
    assert!(room.free > 0, "room for the next answers");
    let mut expected: Vec<_> = all[..2].to_vec();
    expected.extend(all[all.len() + 2 - left.len()..].iter().cloned());
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(sorted(left), sorted(expected));
    assert_eq!(store.check().unwrap(), [""; 0]);
    // The texts went with their entries.
    let texts: i64 =
        store.db.query_row("SELECT count(*) FROM texts", [], |row| row.get(0)).unwrap();
    assert_eq!(unsigned(texts), store.info().unwrap().entries);
}

#[test]
fn a_bound_that_nothing_fits_empties_the_file_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    filled(&mut store, 20);
    store.keep_below(0).unwrap();
    assert_eq!(store.info().unwrap().entries, 0);
}

#[test]
fn a_prune_gives_the_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    filled(&mut store, 200);
    store.checkpoint().unwrap();
    let size = || std::fs::metadata(folder.path().join("answers")).unwrap().len();
    let before = size();
    let removed = store.prune(before / 4).unwrap();
    assert!(removed.entries > 100, "{removed:?}");
    assert!(size() <= before / 4, "{} of {before}", size());
    assert_eq!(removed.bytes, before - size());
    assert_eq!(store.prune(before / 4).unwrap(), Default::default());
}

#[test]
fn filters_are_all_that_must_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    let all = filled(&mut store, 4);
    let other = new("other", "x", 1);
    store.clock = || 10_000;
    store.write(&[other], &[]).unwrap();
    let all_of_e = || CacheFilter::default().engine("e");
    let seconds = Duration::from_secs;
    // At second 10: used 9, 8, 7 and 6 seconds ago.
    for (filter, expected) in [
        (all_of_e(), &[3, 2, 1, 0][..]),
        (all_of_e().model("m").purpose("sample"), &[3, 2, 1, 0]),
        (all_of_e().model("n"), &[]),
        (all_of_e().purpose("judge"), &[]),
        (all_of_e().unused_for(seconds(7)), &[2, 1, 0]),
        (all_of_e().used_within(seconds(7)), &[3, 2]),
        (all_of_e().unused_for(seconds(7)).used_within(seconds(8)), &[2, 1]),
        (all_of_e().limit(1), &[3]),
        (all_of_e().limit(0), &[]),
        (CacheFilter::default().engine("e' OR 1 --"), &[]),
    ] {
        let expected: Vec<_> = expected.iter().map(|at: &usize| all[*at].clone()).collect();
        assert_eq!(keys(&mut store, filter.clone()), expected, "{filter:?}");
    }
    let removed = store.remove(&all_of_e().unused_for(seconds(7)).limit(2)).unwrap();
    assert_eq!(removed.entries, 2);
    assert_eq!(keys(&mut store, all_of_e()), [all[3].clone(), all[0].clone()]);
    assert_eq!(store.remove(&CacheFilter::default()).unwrap().entries, 3);
}

#[test]
fn an_answer_is_marked_as_used_once_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    let key = filled(&mut store, 1).remove(0);
    store.clock = || 60_999;
    assert!(!store.get(&key).unwrap().unwrap().is_due());
    store.clock = || 61_000;
    assert!(store.get(&key).unwrap().unwrap().is_due());
    store.write(&[], std::slice::from_ref(&key)).unwrap();
    assert!(!store.get(&key).unwrap().unwrap().is_due());
    let entry = store.entries(&CacheFilter::default()).unwrap().remove(0);
    assert_eq!((entry.created, entry.used), (1000, 61_000));
}

#[test]
fn an_answer_takes_the_place_of_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    store.write(&[new("e", "q", 10)], &[]).unwrap();
    let again = new("e", "q", 20);
    let expected = again.texts.response.clone();
    store.write(std::slice::from_ref(&again), &[]).unwrap();
    assert_eq!(store.info().unwrap().entries, 1);
    assert_eq!(store.get(&again.key).unwrap().unwrap().response, expected);
}
