//! Contents of the page.

use super::*;

#[tokio::test]
async fn texts_are_shown_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a<b>"), search(Mode::Tpo, 7), &QUERIES).await;
    let report = Report::read(&[run], &ReportConfig::default()).unwrap();
    assert!(report.is_simulation() && report.warnings().is_empty());
    let html = report.to_html().unwrap();
    assert!(html.contains("<strong>SIMULATION</strong>") && html.contains("a&lt;b&gt;"));
    assert!(!html.contains("<script>alert"));
    // Those of the page itself: lists, blocks, the script.
    assert_eq!((html.matches("<script").count(), html.matches("</script>").count()), (3, 3));
    assert!(!html.contains(" src=") && !html.contains("href=\"http") && !html.contains("url("));

    let out = folder.path().join("out");
    report.write(&out).unwrap();
    for figure in report.figures() {
        let csv = std::fs::read_to_string(out.join(format!("{}.csv", figure.name))).unwrap();
        assert!(csv.lines().next().unwrap().ends_with(",simulated"), "{csv}");
        if figure.chart.is_some() {
            let svg = std::fs::read_to_string(out.join(format!("{}.svg", figure.name))).unwrap();
            assert!(
                svg.starts_with("<svg xmlns=")
                    && svg.contains("SIMULATION")
                    && !svg.contains("NaN")
            );
            // Programs for papers and slides know no variables, and some no style sheets.
            assert!(!svg.contains("var(") && !svg.contains("<style"), "{svg}");
            let drawn = svg.split(" class=\"").skip(1).filter(|element| !element.starts_with('"'));
            let coloured = |element: &str| {
                let element = element.split('>').next().unwrap();
                element.contains(" fill=\"") || element.contains(" stroke=\"")
            };
            drawn.for_each(|element| assert!(coloured(element), "{}: {element}", figure.name));
        }
    }
    let queries = std::fs::read_to_string(out.join("queries.csv")).unwrap();
    assert_eq!(queries.lines().count(), 1 + QUERIES.len());
}

#[tokio::test]
async fn what_would_not_be_seen_is_shown_as_on_pages_of_graphs() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES[..1]).await;
    let report = Report::read(&[run], &ReportConfig::default()).unwrap().to_html().unwrap();
    for html in [report, Page::new("graphs").to_html()] {
        assert_eq!(html.matches(Page::UNSEEN_SCRIPT).count(), 1);
        for name in ["const UNSEEN =", "const signs =", "function fill("] {
            assert_eq!(html.matches(name).count(), 1, "{name}");
        }
    }
}

pub(super) const EVIL: &str =
    "</script><script>alert(2)</script><img src=x onerror=alert(3)><!-- \u{202e}";

#[tokio::test]
async fn scripts_in_answers_losses_and_gradients_are_shown_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    edit_results(&run, |record| {
        let trajectory = &mut record.trajectory;
        for candidate in &mut trajectory.candidates {
            candidate.text.insert_str(0, EVIL);
        }
        for made in &mut trajectory.iterations {
            made.losses = vec![EVIL.to_owned()];
            made.gradient = Some(EVIL.to_owned());
            made.unusable = vec![EVIL.to_owned()];
        }
    });
    let html = Report::read(&[run], &ReportConfig::default()).unwrap().to_html().unwrap();
    assert_eq!((html.matches("<script").count(), html.matches("</script>").count()), (3, 3));
    assert!(!html.contains("<img") && !html.contains("alert(2)") && !html.contains('\u{202e}'));
    // Nothing but the page's own script may run, and nothing may be asked for.
    assert!(html.contains("default-src 'none'; script-src 'sha256-") && !html.contains("unsafe"));
    for detail in unpacked(&html).concat() {
        assert!(detail["candidates"][0][2].as_str().unwrap().starts_with(EVIL), "it is shown");
        assert_eq!(detail["iterations"][0]["gradient"], EVIL);
    }
}

#[tokio::test]
async fn where_not_all_has_room_the_texts_that_made_a_difference_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    let page = |max_bytes| {
        let config = ReportConfig { max_bytes, ..ReportConfig::default() };
        let html = Report::read(std::slice::from_ref(&run), &config).unwrap().to_html().unwrap();
        let details = unpacked(&html).concat();
        let told = |detail: &serde_json::Value| {
            let candidates = detail["candidates"].as_array().unwrap();
            candidates.iter().filter(|candidate| candidate[2].is_string()).count()
        };
        let (_, lists) = html.split_once("id=\"lists\">").unwrap();
        // Without what stands around the rows of the list.
        let listed = lists.split_once("</script>").unwrap().0.len() - 40;
        (html.len() - listed, listed, details.iter().map(told).collect::<Vec<usize>>())
    };
    let (_, _, all) = page(1 << 20);
    assert_eq!(all, [9, 9, 9]);
    let (without, listed, none) = page(0);
    assert!(none.is_empty());
    let rooms: Vec<usize> = (0..1 << 13).step_by(64).collect();
    let stages: Vec<Vec<usize>> = rooms
        .iter()
        .map(|room| {
            let (bytes, _, told) = page(*room);
            assert!(bytes <= without + room.saturating_sub(listed), "{bytes} {without} {room}");
            told
        })
        .collect();
    // First every query has some of its answers, then the first ones have all.
    let some = stages.iter().find(|told| told.len() == 3).unwrap();
    assert!(some.iter().all(|told| (2..=6).contains(told)), "{some:?}");
    assert!(stages.is_sorted_by_key(Vec::len), "{stages:?}");
    assert!(stages.contains(&vec![9, some[1], some[2]]), "{stages:?}");
}

#[tokio::test]
async fn a_page_has_no_more_texts_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    let page = |max_bytes| {
        let config = ReportConfig { max_bytes, ..ReportConfig::default() };
        Report::read(std::slice::from_ref(&run), &config).unwrap().to_html().unwrap().len()
    };
    let (none, all) = (page(0), page(1 << 20));
    assert!(page(2000) < none + 2000 && all > none + 3000, "{none} {all}");
}
