//! `tpo grade`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use textgrad_ops::util::terminal::note;
use tpo::bench::Grader;
use tpo::report::{Bootstrap, HeldOut, HeldOutGrade, Interval, mean};
use tpo::run::{RecordedRun, Status};
use tpo::study::{StudyFolder, StudyTable};
use tpo::{CancellationToken, Error, Query};

use crate::bench::GRADES;
use crate::config::JudgeFlags;
use crate::context;
use crate::engines::Layers;
use crate::inspect::open;
use crate::output::{line, print, print_data};
use crate::progress::{Bar, Done};
use crate::{blocking, rewards, signals};

/// Grade the answers of runs and studies by a reward model that had no part in their search.
///
/// Grades the first and the returned answer of each query. The grades are kept in `grades.jsonl` and are not requested
/// again; reports, and the tables of studies, show them.
#[derive(Debug, clap::Args)]
pub(crate) struct GradeArgs {
    /// Directories of runs or studies.
    #[arg(required = true, value_name = "DIR")]
    runs: Vec<PathBuf>,

    /// Held-out reward model, as judge:engine=ENGINE or vllm:model=NAME,url=ADDRESS.
    ///
    /// A reward model and its settings, in the form of --reward of `tpo run`.
    #[arg(id = "judge", long = "reward", value_name = "REWARD")]
    reward: String,

    /// Print the grades as one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: JudgeFlags,
}

/// A run, and the file of the grades that it shares with the other runs of its study.
struct Graded {
    run: RecordedRun,
    grades: PathBuf,
}

/// The answers of a query.
struct Answers {
    index: usize,
    query: Query,
    returned: usize,
    first: String,
    best: String,
}

pub(crate) async fn grade(args: GradeArgs) -> Result<ExitCode, Error> {
    let settings = &args.engine.0;
    let paths = args.runs.clone();
    let (runs, studies) = blocking(move || runs(&paths)).await?;
    let layers = Layers::open(settings).await?;
    let prompts = context::prompts(settings.path("prompts").as_deref()).await?;
    let reward = rewards::held_out(&layers, &prompts, &args.reward).await?;
    if !settings.flag("no-preflight") {
        layers.servers.probe(&layers.cancel).await?;
    }
    let bar = Bar::new(layers.meter.clone(), layers.bill.clone());
    signals::listen(layers.cancel.clone(), CancellationToken::new(), bar.clone());
    let mut rows = Vec::new();
    let guided = runs.iter().filter(|graded| graded.run.config().reward == reward.name()).count();
    if guided > 0 {
        note(format_args!(
            "warning: {} guided the search of {guided} of these runs, so it is not held out there",
            reward.name()
        ));
    }
    for Graded { run, grades } in runs {
        let (run, answers) = blocking(move || answers(&run).map(|answers| (run, answers))).await?;
        let grader = Grader::new(Arc::clone(&reward)).keeping(&grades).await?;
        let scored = answers.iter().map(async |one| {
            let texts = [one.first.as_str(), one.best.as_str()];
            let scores = grader.scores(one.index, &one.query, &texts).await?;
            let grade = |[first, best]: [f64; 2]| {
                let Answers { index, returned, .. } = *one;
                HeldOutGrade { index, returned, first, best }
            };
            Ok((<[f64; 2]>::try_from(scores).ok().map(grade), 1))
        });
        let whole = (answers.len(), "queries");
        let scored = graded(&layers, &bar, whole, settings.value("concurrency")?, scored).await?;
        let grades: Vec<HeldOutGrade> = scored.into_iter().flatten().collect();
        let held_out = HeldOut::new(reward.name(), reward.is_simulation(), grades);
        rows.push((run.name(), held_out.clone(), run.config().simulated));
        blocking(move || held_out.write(&run)).await?;
    }
    if args.json {
        let rows =
            rows.iter().map(|(run, held_out, _)| json!({ "run": run, "held_out": held_out }));
        print_data(json!({ "runs": rows.collect::<Vec<_>>() }))?;
    } else {
        print(&table(&rows))?;
    }
    for study in studies {
        let shown = blocking(move || {
            let table = StudyTable::read(&study, &Bootstrap::default())?;
            study.write_csv(&table.to_csv()?)?;
            Ok(table.shown())
        });
        let shown = shown.await?;
        if !args.json {
            line(format_args!("\n{}", shown.trim_end()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a grader says, a bounded number of requests at a time. `whole` is what the progress counts to, and each request
/// says how much it counts.
///
/// # Errors
/// Those of the requests, and of an interruption, after which the same command continues.
pub(crate) async fn graded<T>(
    layers: &Layers,
    bar: &Bar,
    whole: (usize, &'static str),
    concurrency: usize,
    requests: impl Iterator<Item = impl Future<Output = Result<(T, usize), Error>>>,
) -> Result<Vec<T>, Error> {
    let finished = Arc::new(AtomicUsize::new(0));
    let done = {
        let finished = Arc::clone(&finished);
        move || Done { finished: finished.load(Ordering::Relaxed), ..Done::default() }
    };
    bar.start_with(whole.0, whole.1, done, false);
    let said = stream::iter(requests).buffered(concurrency).map_ok(|(said, count)| {
        finished.fetch_add(count, Ordering::Relaxed);
        said
    });
    let said = layers.until_cancelled(said.try_collect()).await;
    bar.finish();
    said?.ok_or_else(|| {
        note("interrupted: not all answers are graded; the same command continues");
        Error::Stopped
    })
}

/// The runs of directories, and the studies among these.
fn runs(paths: &[PathBuf]) -> Result<(Vec<Graded>, Vec<StudyFolder>), Error> {
    let (mut runs, mut studies) = (Vec::new(), Vec::new());
    for path in paths {
        let Some(study) = StudyFolder::open(path)? else {
            runs.push(Graded { run: open(path)?, grades: path.join(GRADES) });
            continue;
        };
        for cell in study.cells() {
            runs.push(Graded { run: open(&study.run(cell))?, grades: path.join(GRADES) });
        }
        studies.push(study);
    }
    Ok((runs, studies))
}

fn answers(run: &RecordedRun) -> Result<Vec<Answers>, Error> {
    let mut answers = Vec::new();
    for record in run.results()? {
        let record = record?;
        if record.status != Status::Ok {
            continue;
        }
        let candidates = &record.trajectory.candidates;
        let returned = record.trajectory.best_index();
        let best = returned.and_then(|returned| candidates.get(returned));
        if let (Some(first), Some(best), Some(returned)) = (candidates.first(), best, returned) {
            answers.push(Answers {
                index: record.index,
                first: first.text.clone(),
                best: best.text.clone(),
                query: record.query.clone(),
                returned,
            });
        }
    }
    Ok(answers)
}

/// A row for each run: mean grades of the first and the returned answers, and the gain with its interval.
fn table(rows: &[(String, HeldOut, bool)]) -> String {
    let reward = rows.first().map(|(_, held_out, _)| held_out.reward.as_str()).unwrap_or_default();
    let simulated = rows.iter().any(|(_, held_out, run)| held_out.simulated || *run);
    let mark = if simulated { " (SIMULATION)" } else { "" };
    let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0).max(3);
    let mut table = format!(
        "graded by {reward}{mark}; gain: returned minus first answer, with its 95 % interval\n\
         {:<width$} {:>7} {:>8} {:>9} {:>7} {:>7} {:>7}\n",
        "run", "queries", "first", "returned", "gain", "low", "high"
    );
    for (name, held_out, _) in rows {
        let of = |number: fn(&HeldOutGrade) -> f64| -> Vec<f64> {
            held_out.grades.iter().map(number).collect()
        };
        let shown = |number: Option<f64>| number.map_or("-".to_owned(), |n| format!("{n:.3}"));
        let gain: Option<Interval> =
            Bootstrap::default().mean(&of(|grade| grade.best - grade.first));
        table.push_str(&format!(
            "{name:<width$} {:>7} {:>8} {:>9} {:>7} {:>7} {:>7}\n",
            held_out.grades.len(),
            shown(mean(&of(|grade| grade.first))),
            shown(mean(&of(|grade| grade.best))),
            shown(gain.map(|gain| gain.mean)),
            shown(gain.map(|gain| gain.low)),
            shown(gain.map(|gain| gain.high)),
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_run() {
        let grade = |index, first, best| HeldOutGrade { index, returned: 3, first, best };
        let held_out = HeldOut::new("judge x", true, vec![grade(0, 1.0, 2.0), grade(1, 0.5, 0.5)]);
        let none = HeldOut::new("judge x", true, Vec::new());
        let shown = table(&[("a".to_owned(), held_out, false), ("b".to_owned(), none, false)]);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("graded by judge x (SIMULATION)"), "{shown}");
        assert!(lines[2].starts_with("a         2    0.750     1.250   0.500"), "{shown}");
        assert!(lines[3].ends_with("0        -         -       -       -       -"), "{shown}");
    }
}
