//! Runs checked against their journals, and drawn from them.

use super::*;

#[tokio::test]
async fn a_search_can_be_drawn_from_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let prompts = Arc::new(tpo::prompts::default_pack());
    let run = run(&path, search(Mode::Tpo, 7), &QUERIES).await;
    let journal = std::fs::read(run.journal()).unwrap();
    for (index, query) in QUERIES.iter().enumerate() {
        let recalled = run.align(index, Arc::clone(&prompts)).await.unwrap();
        let tpo = search(Mode::Tpo, 7).build().unwrap();
        let live = tpo.align_at(index, *query).await.unwrap();
        assert_eq!(recalled.trajectory(), live.trajectory());
        assert_eq!(recalled.trajectory(), &run.result(index).unwrap().trajectory);
        assert_eq!(recalled.graph().view().to_json(), live.graph().view().to_json());
    }
    assert_eq!(std::fs::read(run.journal()).unwrap(), journal, "nothing is written");

    assert!(matches!(
        run.align(9, Arc::clone(&prompts)).await,
        Err(Error::NoResult { index: 9, .. })
    ));
    let dir = folder.path().join("pack");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("sample_system.hbs"), "Be brief.").unwrap();
    let other = Arc::new(tpo::prompts::load_pack(&dir).unwrap());
    let error = run.align(0, other).await.unwrap_err().to_string();
    assert!(error.contains("the wording of the prompts"), "{error}");

    // Without its last steps.
    let lines: Vec<&str> = std::str::from_utf8(&journal).unwrap().lines().collect();
    let shorter = lines[..4].join("\n") + "\n";
    std::fs::write(run.journal(), shorter).unwrap();
    let error = run.align(2, prompts).await.unwrap_err();
    assert!(matches!(error, Error::NotRecorded { index: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_search_that_continued_the_dialogue_is_drawn_and_sound_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = TpoConfig { layout: Layout::Continued, ..TpoConfig::default() };
    let run =
        run(&folder.path().join("a"), search(Mode::Tpo, 7).config(config).seed(7), &QUERIES).await;
    let prompts = Arc::new(tpo::prompts::default_pack());
    let recalled = run.align(1, prompts).await.unwrap();
    assert_eq!(recalled.trajectory(), &run.result(1).unwrap().trajectory);
    let found = run.verify().unwrap();
    assert!(found.is_sound(), "{:?}", found.findings);
    let report = Report::read(&[run], &ReportConfig::default()).unwrap();
    let others = &figure(&report, "runs").table.rows[0][4];
    assert_eq!(*others, "layout continued");
}

fn edit(path: PathBuf, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed, "the edit did nothing");
    std::fs::write(path, changed).unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_run_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&folder.path().join("whole"), search(Mode::Tpo, 7), &QUERIES).await;
    let sound = whole.verify().unwrap();
    assert!(sound.is_sound(), "{:?}", sound.findings);
    assert_eq!((sound.results, sound.failed, sound.calls), (3, 0, 21));

    // Which line comes first differs from run to run, and a query may be told the same in two iterations.
    let line = |text: &str, kind: &str| {
        text.lines().filter(|line| line.contains(kind)).min().unwrap().to_owned() + "\n"
    };
    type Edit<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(&str, Edit<'_>, &str); 12] = [
        ("journal.jsonl", &|t| t.to_owned() + &line(t, "\"score\""), "paid again"),
        ("journal.jsonl", &|t| t.to_owned() + &line(t, "\"loss\""), "paid again"),
        ("journal.jsonl", &|t| t.replacen(&line(t, "\"loss\""), "", 1), "a loss of iteration"),
        (
            "journal.jsonl",
            &|t| t.replacen(&line(t, "\"gradient\""), "", 1),
            "the gradient of iteration",
        ),
        ("journal.jsonl", &|t| t.replacen(&line(t, "\"sample\""), "", 1), "a request for sample"),
        ("journal.jsonl", &|t| t.to_owned() + "{\"type\":\"sco", "12 bytes without an end"),
        (
            "journal.jsonl",
            &|t| t.replacen('\n', "\nnonsense\n", 1),
            "journal.jsonl, line 2: not a record",
        ),
        (
            "journal.jsonl",
            &|t| t.replacen("\"seed\":7", "\"seed\":8", 1),
            "journal.jsonl, line 1: not a record: its checksum does not match",
        ),
        (
            "journal.jsonl",
            &|t| crate::support::sealed(&t.replacen("\"seed\":7", "\"seed\":8", 1)),
            "search.seed: 8 then, 7 now",
        ),
        (
            "results.jsonl",
            &|t| t.replacen("\"scored\":", "\"scored\":1", 1),
            "scored answers, as the journal has",
        ),
        (
            "results.jsonl",
            &|t| t.lines().take(2).map(|l| format!("{l}\n")).collect(),
            "of 3 queries, got 2",
        ),
        ("results.jsonl", &|t| t.replacen("sky", "sea", 1), "the queries are not those"),
    ];
    for (place, (file, change, words)) in cases.iter().enumerate() {
        let path = folder.path().join(format!("case {place}"));
        std::fs::create_dir(&path).unwrap();
        for name in ["config.json", "results.jsonl", "journal.jsonl"] {
            std::fs::copy(whole.path().join(name), path.join(name)).unwrap();
        }
        edit(path.join(file), change);
        let found = RecordedRun::open(&path).unwrap().verify().unwrap();
        let told: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(words)), "{words}: {told:?}");
        let is_cut = words.contains("without an end") || words.contains("got 2");
        assert_eq!(found.is_incomplete(), is_cut, "{words}: {told:?}");
    }
}

#[tokio::test]
async fn times_of_a_journal_that_exceed_all_numbers_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    let journal = std::fs::read_to_string(run.journal()).unwrap();
    // Of 21 calls. A line that cannot be read is left out.
    for (ms, sum) in [(5, 105), (u64::MAX, u64::MAX)] {
        let lines = journal.lines().map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(own) = record.get_mut("ms") {
                *own = ms.into();
            }
            format!("{record}\n")
        });
        let sealed = crate::support::sealed(&lines.collect::<String>());
        std::fs::write(run.journal(), sealed + "no json\n").unwrap();
        let report = Report::read(std::slice::from_ref(&run), &ReportConfig::default()).unwrap();
        let seconds = number(&figure(&report, "cost").table.rows[0][6]);
        assert_eq!(seconds, sum as f64 / 1000.0 / QUERIES.len() as f64);
    }
}
