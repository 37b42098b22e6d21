//! Values of the figures.

use std::sync::LazyLock;

use tpo::RewardInfo;

use super::*;

#[tokio::test]
async fn figures_are_those_computed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let queries = &QUERIES[..2];
    let a = run(&folder.path().join("a"), search(Mode::Tpo, 7).iterations(1), queries).await;
    let b = run(&folder.path().join("b"), search(Mode::Bon, 7), queries).await;
    let first = [(0, 1.0), (0, 2.0), (0, 4.0), (1, 3.0), (1, 5.0), (1, 7.0)];
    let second = [(0, 0.0), (0, -2.0), (0, 2.0), (1, 1.0), (1, 1.0), (1, 1.0)];
    rescore(&a, &[&first, &second]);
    rescore(&b, &[&first[..3], &[(0, 3.0), (0, 0.0), (0, 0.0)]]);
    let report = Report::read(&[a.clone(), b.clone()], &ReportConfig::default()).unwrap();

    let curves = &figure(&report, "reward-by-iteration").table.rows;
    let means: Vec<f64> = curves.iter().map(|row| number(&row[4])).collect();
    // Of a, the best so far and what came; of b, its one sampling.
    let expected = [3.0, 4.5, 7.0 / 6.0, 3.0, 3.5, (7.0 / 3.0 + 1.0) / 2.0];
    means.iter().zip(expected).for_each(|(found, expected)| close(*found, expected));
    assert_eq!(means.len(), expected.len());
    for row in curves {
        let [mean, low, high] = [4, 5, 6].map(|column| number(&row[column]));
        assert!(low <= mean && mean <= high);
    }

    // Pairs of 1, 2, 4: 10/3; of 0, -2, 2: 4/3.
    let budget = &figure(&report, "reward-by-budget").table.rows;
    let of_two = budget.iter().find(|row| row[2] == 2).unwrap();
    close(number(&of_two[4]), (10.0 / 3.0 + 4.0 / 3.0) / 2.0);

    let stability = &figure(&report, "stability").table.rows;
    close(number(&stability[0][3]), ((7.0_f64 / 3.0).sqrt() + 2.0) / 2.0);
    close(number(&stability[1][3]), (2.0 + 0.0) / 2.0);

    // b against a: 4 and 3 against 7 and 2.
    let wins = &figure(&report, "win-rates").table.rows;
    let counts: Vec<f64> = (2..6).map(|column| number(&wins[0][column])).collect();
    assert_eq!(counts, [2.0, 1.0, 0.0, 1.0]);
    close(number(&wins[0][6]), 0.5);
    close(number(&wins[0][9]), -1.0);

    let compared = Comparison::read(&a, &b, &Bootstrap::default(), &Cost::default()).unwrap();
    let reward = compared.reward.unwrap();
    assert_eq!((reward.wins, reward.ties, reward.losses, compared.queries), (1, 0, 1, 2));
    close(reward.difference.mean, 1.0);
    close(compared.a.reward.unwrap(), 4.5);
    close(compared.b.answers.unwrap(), 3.0);

    let usage: Vec<_> =
        a.results().unwrap().map(|record| record.unwrap().trajectory.usage.tokens).collect();
    let cost = &figure(&report, "cost").table.rows;
    let read = usage.iter().map(|tokens| tokens.prompt_tokens).sum::<u64>() as f64;
    close(number(&cost[0][3]), read / 2.0);
    let least = 140e9 * usage.iter().map(|tokens| tokens.total()).sum::<u64>() as f64 / 2.0 / 1e15;
    let pflops = number(&cost[0][7]);
    assert!(pflops > least && pflops < 1.2 * least, "the reward model's share: {pflops}, {least}");
}

#[tokio::test]
async fn searches_are_set_against_best_of_n_at_equal_and_larger_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let queries = &QUERIES[..2];
    let tpo = search(Mode::Tpo, 7).samples(1).iterations(1);
    let a = run(&path("a"), tpo, queries).await;
    let b = run(&path("b"), search(Mode::Bon, 7).samples(5), queries).await;
    rescore(&a, &[&[(0, 0.0), (1, 3.0)], &[(0, 1.0), (1, 2.0)]]);
    let scores = |scores: [f64; 5]| scores.map(|score| (0, score));
    rescore(&b, &[&scores([0.0, 1.0, 2.0, 3.0, 4.0]), &scores([1.0; 5])]);
    let report = Report::read(&[a, b], &ReportConfig::default()).unwrap();
    let rows = &figure(&report, "best-of-n").table.rows;
    let told: Vec<(&Json, f64)> = rows.iter().map(|row| (&row[2], number(&row[3]))).collect();
    let budget = |name: &str| Json::from(name);
    let expected = [(&budget("equal"), 2.0), (&budget("2 times"), 4.0), (&budget("all"), 5.0)];
    assert_eq!(told, expected);
    // Expected best of 2, 4, 5 of 0 to 4: 3, 3.8, 4. Of the other query always 1.
    for (row, expected) in rows.iter().zip([(0.0 + 1.0) / 2.0, (-0.8 + 1.0) / 2.0, 0.0]) {
        close(number(&row[5]), expected);
        assert!(number(&row[6]) <= expected && number(&row[7]) >= expected);
        assert_eq!(row[8], 5, "5 and no fewer reach the mean of 2.5");
    }
    let wins = &figure(&report, "win-rates").table.rows;
    assert_eq!(wins[1][1], "its first answer");
    close(number(&wins[1][9]), (3.0 + 1.0) / 2.0);
}

#[tokio::test]
async fn width_and_depth_are_drawn_where_runs_differ_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let a = run(&path("a"), search(Mode::Tpo, 7).iterations(1), &QUERIES).await;
    let b = run(&path("b"), search(Mode::Tpo, 7).samples(5), &QUERIES).await;
    let names = |runs: &[RecordedRun]| -> Vec<&str> {
        let report = Report::read(runs, &ReportConfig::default()).unwrap();
        report.figures().iter().map(|figure| figure.name).collect()
    };
    assert!(!names(std::slice::from_ref(&a)).iter().any(|name| ["width", "depth"].contains(name)));
    let runs = [a, b];
    assert!(["width", "depth"].iter().all(|name| names(&runs).contains(name)));
    let report = Report::read(&runs, &ReportConfig::default()).unwrap();
    let places: Vec<(f64, f64)> = figure(&report, "width")
        .table
        .rows
        .iter()
        .map(|row| (number(&row[1]), number(&row[2])))
        .collect();
    assert_eq!(places, [(0.0, 3.0), (0.0, 5.0), (1.0, 3.0), (1.0, 5.0), (2.0, 5.0)]);
}

#[tokio::test]
async fn runs_that_differ_in_more_than_width_are_on_curves_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let heated = |temperature| {
        let mut config = TpoConfig { samples: 3, seed: 7, ..TpoConfig::default() };
        config.sampling.temperature = Some(temperature);
        search(Mode::Tpo, 7).config(config)
    };
    let hot = |samples| heated(1.2).samples(samples);
    let runs = [
        run(&path("cool-3"), search(Mode::Tpo, 7).samples(3), &QUERIES).await,
        run(&path("hot-3"), hot(3), &QUERIES).await,
        run(&path("cool-5"), search(Mode::Tpo, 8).samples(5), &QUERIES).await,
        run(&path("hot-5"), hot(5), &QUERIES).await,
        // Alone of its kind, so it says nothing about width.
        run(&path("deep"), heated(0.1), &QUERIES).await,
    ];
    let report = Report::read(&runs, &ReportConfig::default()).unwrap();
    let width = figure(&report, "width");
    let of = |name: &str| -> Vec<f64> {
        let rows = width.table.rows.iter().filter(|row| row[0] == name);
        rows.map(|row| number(&row[3])).collect()
    };
    assert_eq!((of("cool-3"), of("hot-3"), of("deep")), (vec![1.0; 6], vec![1.0; 6], vec![]));
    let drawn = width.chart.as_ref().unwrap().to_svg("Width");
    for label in [
        "cool-3: first answers (best of N)",
        "cool-3: best by iteration 2",
        "hot-3: best by iteration 2",
    ] {
        assert!(drawn.contains(label), "{label}");
    }
    assert!(!drawn.contains("iteration 1"), "the first answers and the last iteration alone");
}

#[tokio::test]
async fn a_run_without_any_answer_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    edit_results(&run, |record| {
        record.status = tpo::run::Status::Error;
        record.best = None;
        record.trajectory = tpo::Trajectory::default();
    });
    let report = Report::read(&[run], &ReportConfig::default()).unwrap();
    let names: Vec<&str> = report.figures().iter().map(|figure| figure.name).collect();
    assert_eq!(names, ["runs", "cost"], "no empty figures");
    assert!(report.warnings()[0].contains("3 failed queries"), "{:?}", report.warnings());
    assert!(!report.to_html().unwrap().contains("NaN"));
}

#[tokio::test]
async fn the_same_settings_with_other_seeds_are_repetitions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let runs = [
        run(&path("a"), search(Mode::Bon, 1), &QUERIES).await,
        run(&path("b"), search(Mode::Bon, 2), &QUERIES).await,
        run(&path("c"), search(Mode::Tpo, 2), &QUERIES).await,
    ];
    let report = Report::read(&runs, &ReportConfig::default()).unwrap();
    let rows = &figure(&report, "stability").table.rows;
    let over: Vec<_> = rows.iter().filter(|row| row[0] == "a + b").collect();
    assert_eq!(over.len(), 2, "{rows:?}");
    let best = |run: &RecordedRun| -> Vec<f64> {
        run.results().unwrap().map(|record| record.unwrap().best.unwrap().score).collect()
    };
    let pairs: Vec<f64> = best(&runs[0])
        .iter()
        .zip(best(&runs[1]))
        .map(|(a, b)| (a - b).abs() / 2_f64.sqrt())
        .collect();
    close(number(&over[1][3]), pairs.iter().sum::<f64>() / 3.0);
}

#[tokio::test]
async fn runs_over_other_queries_or_rewards_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let a = run(&path("a"), search(Mode::Bon, 1), &QUERIES).await;
    let fewer = run(&path("b"), search(Mode::Bon, 1), &QUERIES[..2]).await;
    let other = ["Why is the sky blue?", "Why is grass green?", "How do I boil an egg?"];
    let other = run(&path("c"), search(Mode::Bon, 1), &other).await;
    let length: Arc<dyn RewardModel> =
        Arc::new(reward_fn("length", |_, answer| answer.len() as f64));
    let judged = Tpo::builder(Arc::new(Sim::default()), length).mode(Mode::Bon);
    let judged = run(&path("d"), judged, &QUERIES).await;
    for (run, words) in [
        (&fewer, "3 (test) and 2 (test)"),
        (&other, "number 1 is \"</script>"),
        (&judged, "different reward models: sim and length"),
    ] {
        let compared = Comparison::read(&a, run, &Bootstrap::default(), &Cost::default());
        match compared {
            Err(error @ Error::NotComparable { .. }) => {
                assert!(error.to_string().contains(words), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    let report = Report::read(&[a, judged], &ReportConfig::default()).unwrap();
    assert!(report.warnings()[0].contains("different reward models"), "{:?}", report.warnings());
    let seeds = Bootstrap { seed: Seed::new(1), ..Bootstrap::default() };
    assert_ne!(seeds, Bootstrap::default());
}

/// Scores answers by how many others are shorter.
struct Ranks;

#[async_trait::async_trait]
impl RewardModel for Ranks {
    fn info(&self) -> &RewardInfo {
        static INFO: LazyLock<RewardInfo> =
            LazyLock::new(|| RewardInfo::new("ranks").with_relative(true));
        &INFO
    }

    async fn score(
        &self,
        _: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, textgrad_core::EngineError> {
        let shorter = |one: &&str| answers.iter().filter(|other| other.len() < one.len()).count();
        Ok(answers.iter().map(|answer| shorter(answer) as f64).collect())
    }
}

#[tokio::test]
async fn relative_rewards_of_two_runs_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let ranked = |mode| {
        Tpo::builder(Arc::new(Sim::default()), Arc::new(Ranks)).mode(mode).samples(3).seed(7)
    };
    let one = run(&folder.path().join("a"), ranked(Mode::Tpo), &QUERIES).await;
    let other = run(&folder.path().join("b"), ranked(Mode::Bon), &QUERIES).await;
    let cost = ReportConfig::default().cost;
    let error = Comparison::read(&one, &other, &Bootstrap::default(), &cost).unwrap_err();
    assert!(error.to_string().contains("their rewards are relative"), "{error}");
    let warnings = |runs: &[RecordedRun]| {
        Report::read(runs, &ReportConfig::default()).unwrap().warnings().to_vec()
    };
    assert!(warnings(std::slice::from_ref(&one)).is_empty());
    let both = warnings(&[one, other]);
    assert!(matches!(both.as_slice(), [only] if only.contains("Rewards are relative")), "{both:?}");
}

#[tokio::test]
async fn the_last_iteration_of_a_search_that_ended_early_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let one = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    edit_results(&one, |record| {
        let early = record.index == 0;
        record.trajectory.iterations.retain(|made| !early || made.iteration == 1);
        record.trajectory.candidates.retain(|one| !early || one.iteration <= 1);
        // 0 and d lie d / sqrt(2) apart, which is the place of the query plus 1.
        let apart = (record.index as f64 + 1.0) * 2.0_f64.sqrt();
        let last = if early { 1 } else { 2 };
        let (mut place, trajectory) = (0, &mut record.trajectory);
        trajectory.candidates.retain_mut(|one| {
            if one.iteration == last {
                one.score = apart * f64::from(place);
                place += 1;
            }
            one.iteration != last || place <= 2
        });
    });
    let report = Report::read(&[one], &ReportConfig::default()).unwrap();
    let rows = &figure(&report, "stability").table.rows;
    let row = rows.iter().find(|row| row[1] == "last iteration").unwrap();
    assert_eq!(number(&row[2]), 3.0, "all queries count");
    close(number(&row[3]), 2.0);
}

#[tokio::test]
async fn the_tokens_of_a_judge_are_the_reward_models() {
    let folder = tempfile::tempdir().unwrap();
    let judged = run(&folder.path().join("a"), search(Mode::Tpo, 7), &QUERIES).await;
    edit_results(&judged, |record| {
        let tokens = |read, written, cached| textgrad_core::Usage {
            prompt_tokens: read,
            completion_tokens: written,
            cached_tokens: cached,
            ..Default::default()
        };
        let usage = &mut record.trajectory.usage;
        usage.tokens = tokens(1100, 300, 100);
        let judge = tpo::PurposeUsage { requests: 5, tokens: tokens(440, 100, 40) };
        usage.by_purpose.insert(textgrad_core::Purpose::Judge, judge);
    });
    let report = Report::read(&[judged], &ReportConfig::default()).unwrap();
    let table = &figure(&report, "cost").table;
    let column = table.columns.iter().position(|name| *name == "PFLOPs per query").unwrap();
    // 2 * (70e9 * 800 + 8e9 * 500) / 1e15
    close(number(&table.rows[0][column]), 0.12);
}

#[tokio::test]
async fn gains_are_over_the_first_answer_best_of_n_and_an_equal_budget() {
    let folder = tempfile::tempdir().unwrap();
    let queries = &QUERIES[..2];
    let a = run(&folder.path().join("a"), search(Mode::Tpo, 7).iterations(1), queries).await;
    let b = run(&folder.path().join("b"), search(Mode::Bon, 7).samples(6), queries).await;
    let first = [(0, 1.0), (0, 2.0), (0, 4.0), (1, 3.0), (1, 5.0), (1, 7.0)];
    let second = [(0, 0.0), (0, -2.0), (0, 2.0), (1, 1.0), (1, 1.0), (1, 1.0)];
    rescore(&a, &[&first, &second]);
    rescore(&b, &[&first.map(|(_, score)| (0, score - 1.0)), &second.map(|(_, score)| (0, score))]);
    let report = Report::read(&[a, b], &ReportConfig::default()).unwrap();
    let rows = &figure(&report, "gain").table.rows;
    let found: Vec<(&str, &str, f64)> = rows
        .iter()
        .map(|row| (row[0].as_str().unwrap(), row[2].as_str().unwrap(), number(&row[4])))
        .collect();
    let expected = [
        ("a", "first answer", (6.0 + 2.0) / 2.0),
        ("a", "best of its first 3 answers", (3.0 + 0.0) / 2.0),
        ("a", "best of 6 answers of b", (1.0 + 0.0) / 2.0),
        ("b", "first answer", (6.0 + 2.0) / 2.0),
    ];
    assert_eq!(found, expected);
    // Before all other figures.
    let html = report.to_html().unwrap();
    let at = |part: &str| html.find(part).unwrap();
    assert!(
        at("<strong>+4.000</strong>") < at("id=\"runs\"") && at("id=\"gain\"") < at("id=\"runs\"")
    );
}

#[tokio::test]
async fn runs_under_another_pack_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tpo = || search(Mode::Tpo, 7).iterations(1);
    let compact = Arc::new(tpo::prompts::compact_pack());
    let a = run(&path("a"), tpo(), &QUERIES[..1]).await;
    let b = run(&path("b"), tpo().prompts(compact).iterations(2).fuse(3), &QUERIES[..1]).await;
    let digest = b.config().prompts.clone();
    let report = Report::read(&[a, b], &ReportConfig::default()).unwrap();
    let rows = &figure(&report, "runs").table.rows;
    assert_eq!(rows[0][4], Json::Null);
    assert_eq!(rows[1][4], format!("fuse 3, prompts {}", &digest[..8]));
}
