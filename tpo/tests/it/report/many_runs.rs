//! Charts of many runs.

use super::*;

/// Many runs are drawn as few curves: one for all seeds, without bands, and with names that say how many.
#[tokio::test]
async fn seeds_of_many_runs_are_one_curve() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (mode, samples) in
        [(Mode::Tpo, 2), (Mode::Tpo, 3), (Mode::Revision, 2), (Mode::Revision, 3)]
    {
        for seed in 1..=3 {
            let path = folder.path().join(format!("{mode}-n{samples}-s{seed}"));
            let tpo = search(mode, seed).samples(samples).iterations(1);
            runs.push(run(&path, tpo, &QUERIES[..2]).await);
        }
    }
    let drawn = |runs: &[RecordedRun], name: &str| {
        let report = Report::read(runs, &ReportConfig::default()).unwrap();
        let figure = figure(&report, name);
        (figure.chart.as_ref().unwrap().to_svg(name), figure.table.rows.len())
    };
    let (many, rows) = drawn(&runs, "reward-by-iteration");
    // Best so far and new answers of two iterations.
    assert_eq!(rows, 12 * 4);
    assert_eq!(many.matches("class=\"line k").count(), 2 * 4 + 2, "lines and their legend: {many}");
    assert_eq!(many.matches(" (3 seeds)<").count(), 4, "{many}");
    assert!(!many.contains("class=\"band"), "{many}");
    let (few, _) = drawn(&runs[..2], "reward-by-iteration");
    assert_eq!(few.matches("class=\"band").count(), 4, "{few}");
    assert!(few.contains("tpo-n2-s1: new answers") && !few.contains("seeds)"), "{few}");
    for name in ["reward-by-budget", "scores", "depth", "stability", "win-rates", "cost"] {
        let (svg, _) = drawn(&runs, name);
        let shown =
            if name == "depth" { "tpo D1-N2 (3 seeds)" } else { "revision D1-N2 (3 seeds)" };
        assert!(svg.contains(shown), "{name}: {svg}");
        assert!(!svg.contains("-s2"), "{name}: {svg}");
    }
}

/// Curves that differ in more than mode and size are named by their folders, without the seed.
#[tokio::test]
async fn curves_of_equal_size_keep_their_names_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for pairs in [Pairs::BestWorst, Pairs::Newest] {
        for seed in 1..=4 {
            let path = folder.path().join(format!("{pairs}-s{seed}"));
            let config = TpoConfig { pairs, samples: 2, iterations: 1, ..TpoConfig::default() };
            runs.push(
                run(&path, search(Mode::Tpo, 7).config(config).seed(seed), &QUERIES[..1]).await,
            );
        }
    }
    let config = ReportConfig { title: Some("my study".to_owned()), ..ReportConfig::default() };
    let report = Report::read(&runs, &config).unwrap();
    let svg = figure(&report, "reward-by-iteration").chart.as_ref().unwrap().to_svg("both");
    for name in ["best-worst (4 seeds)", "newest (4 seeds)"] {
        assert!(svg.contains(name), "{name}: {svg}");
    }
    assert!(report.to_html().unwrap().contains("<title>TPO report: my study"));
}

/// A report of a dozen different runs: no chart is much taller than it is wide, and the first gains are large.
#[tokio::test]
async fn charts_of_a_dozen_different_runs_fit_a_screen() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for samples in 1..=4 {
        let modes = [(Mode::Tpo, samples), (Mode::Revision, samples), (Mode::Bon, 3 * samples)];
        for (mode, samples) in modes {
            let path = folder.path().join(format!("a-rather-long-name-of-{mode}-n{samples}"));
            runs.push(run(&path, search(mode, 7).samples(samples).iterations(2), &QUERIES).await);
        }
    }
    let report = Report::read(&runs, &ReportConfig::default()).unwrap();
    let mut rows = Vec::new();
    for figure in report.figures() {
        let Some(chart) = &figure.chart else { continue };
        let svg = chart.to_svg(figure.title);
        let size = svg.split_once("viewBox=\"0 0 ").unwrap().1.split_once('"').unwrap().0;
        let height: f64 = size.split_once(' ').unwrap().1.parse().unwrap();
        assert!((150.0..=700.0).contains(&height), "{}: {height}", figure.name);
        rows.push((figure.name, svg.matches("<circle").count()));
    }
    // Each of 8 searches against the run of best-of-N with as many answers, and a dot of the legend.
    assert!(rows.contains(&("best-of-n", 8 + 1)), "{rows:?}");
    let best_of_n = &figure(&report, "best-of-n").table.rows;
    assert!(best_of_n.len() > 20, "the table has all pairs: {}", best_of_n.len());
    let html = report.to_html().unwrap();
    assert_eq!(html.matches("<div class=\"gains\">").count(), 4);
    assert!(html.matches("<div class=\"gain\">").count() <= 4 * 3);
}
