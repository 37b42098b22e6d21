//! `tpo bench`.

mod answers;
mod graders;
mod judged;
mod records;
mod table;

use std::process::ExitCode;
use std::sync::Arc;

use textgrad_core::Engine;
use textgrad_ops::store::{DiskCache, DiskCacheConfig};
use tpo::Error;
use tpo::bench::{Benchmark, Grader};
use tpo::run::RunFolder;

use self::answers::Answered;
use self::graders::Graders;
use self::records::Records;
use self::table::Table;
use crate::args::BenchArgs;
use crate::run;
use crate::setting::{self, Setting};
use crate::{engines, exit, rewards, show};

/// What `--grade` said, in the folder of the run.
const GRADES: &str = "grades.jsonl";

pub(crate) async fn bench(args: BenchArgs) -> Result<ExitCode, Error> {
    let Some(data) = &args.run.data else {
        return Err(engines::missing("data", "the benchmark's file, see `tpo bench --help`"));
    };
    check(&args)?;
    let records = Records::read(&args, data).await?;
    let prompts = setting::prompts(&args.run).await?;
    let queries = records.queries(&prompts)?;
    let items = queries.len();
    let style_tokenizer = setting::tokenizer(args.style_tokenizer.as_deref()).await?;
    let references = judged::References::read(&args, data, &records).await?;
    let setting = Setting::new(&args.run, prompts).await?;
    // What cannot be set up is told before anything is paid for.
    judge(&args, &setting, None).await?;
    let mut grader = grader(&args, &setting).await?;

    let mut answers = Vec::with_capacity(items);
    let source = data.display().to_string();
    let seen = |record: &_| answers.extend(Answered::of(record));
    let done = run::align(&args.run, &setting, &source, queries, seen).await?;
    if !done.is_complete() {
        setting.flush().await;
        return done.code();
    }

    let (judge, kept) = judge(&args, &setting, done.folder.as_ref()).await?;
    if let (Some(folder), Some(given)) = (&done.folder, grader.take()) {
        grader = Some(given.keeping(&folder.path().join(GRADES)).await?);
    }
    let reward_name = grader.as_ref().map(|grader| grader.name().to_owned());
    let judge_name = judge.as_ref().map(|judge| judge.name().to_owned());
    let simulated = setting.tpo.is_simulation()
        || judge.as_ref().is_some_and(|judge| judge.is_simulation())
        || grader.as_ref().is_some_and(Grader::is_simulation);
    let prompts = Arc::clone(&setting.prompts);
    let relative = grader.as_ref().map_or(setting.reward().is_relative(), Grader::is_relative);
    let graders = Graders {
        args: &args,
        prompts,
        judge,
        reward: grader,
        relative,
        references,
        style_tokenizer,
    };
    // Signals do not end a program that once listened to them.
    let graded = tokio::select! {
        graded = graders.grade(&records, &answers) => Some(graded),
        _ = tokio::signal::ctrl_c() => None,
    };
    if let Some(kept) = &kept {
        setting::flush(kept).await;
    }
    setting.flush().await;
    let Some(graded) = graded.transpose()? else {
        show::interrupted(items, items, done.folder.as_ref());
        eprintln!("the answers are not graded yet");
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    let folder = done.folder.as_ref().map(RunFolder::path);
    if let Some(folder) = folder {
        graders::write(folder, &graded).await?;
    }
    let table = Table {
        benchmark: args.name,
        simulated,
        source: &source,
        items,
        failed: done.summary.failed,
        tpo: &setting.tpo,
        judge: judge_name.as_deref(),
        grading_reward: reward_name.as_deref(),
        graded: &graded,
        folder,
    };
    table.write(folder).await?;
    show::printed(if args.run.json { table.print_json() } else { table.print() })?;
    done.code()
}

/// Refuses settings that this benchmark does not use, which would be left out without a word, and those that
/// would only fail once the answers are paid for.
fn check(args: &BenchArgs) -> Result<(), Error> {
    let judged =
        matches!(args.name, Benchmark::AlpacaEval | Benchmark::ArenaHard | Benchmark::XsTest);
    let rewarded = matches!(args.name, Benchmark::HhRlhf | Benchmark::BeaverTails);
    let compared = matches!(args.name, Benchmark::AlpacaEval | Benchmark::ArenaHard);
    // These say how a judge's replies are counted.
    let alpaca_eval = args.name == Benchmark::AlpacaEval && args.judge.is_some();
    let arena_hard = args.name == Benchmark::ArenaHard && args.judge.is_some();
    let on = || "the flag".to_owned();
    let unused = |setting, got: String| {
        let expected = "nothing: nothing is graded with it here, see `tpo bench --help`";
        Err(Error::Config { setting, expected, got })
    };
    if args.run.format.is_some() {
        let expected = "nothing: the benchmark says how its file is written";
        return Err(Error::Config { setting: "format", expected, got: "a format".to_owned() });
    }
    match args {
        BenchArgs { judge: Some(judge), .. } if !judged => unused("judge", judge.clone()),
        BenchArgs { grade: Some(grade), .. } if !rewarded => unused("grade", grade.clone()),
        BenchArgs { baseline, .. } if !compared && !baseline.is_empty() => {
            unused("baseline", format!("{} files", baseline.len()))
        }
        BenchArgs { weighted: true, .. } if !alpaca_eval => unused("weighted", on()),
        BenchArgs { one_order: true, .. } if !alpaca_eval => unused("one order", on()),
        BenchArgs { length_control: Some(file), .. } if !alpaca_eval => {
            unused("length control", file.display().to_string())
        }
        BenchArgs { leaderboard: Some(folder), .. } if !arena_hard => {
            unused("leaderboard", folder.display().to_string())
        }
        BenchArgs { style_tokenizer: Some(file), .. } if args.name != Benchmark::ArenaHard => {
            unused("style-tokenizer", file.display().to_string())
        }
        BenchArgs { baseline, .. } if args.name == Benchmark::AlpacaEval && baseline.len() > 1 => {
            Err(Error::Config {
                setting: "baseline",
                expected: "one file of outputs",
                got: format!("{} files", baseline.len()),
            })
        }
        BenchArgs { name: Benchmark::ArenaHard, judge: Some(_), baseline, .. }
            if baseline.is_empty() =>
        {
            Err(engines::missing("baseline", "the answers that the judge compares with"))
        }
        BenchArgs { name: Benchmark::ArenaHard, model_name, .. } => {
            tpo::bench::arena_hard::file_name(model_name).map(|_| ())
        }
        BenchArgs { name: Benchmark::AlpacaEval, model_name, .. } => {
            tpo::bench::alpaca_eval::Outputs::new(model_name.as_str()).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// The judge. What it says is kept in the run's folder, so that it is not asked again on resume, unless there
/// is a file for answers anyway.
async fn judge(
    args: &BenchArgs,
    setting: &Setting,
    folder: Option<&RunFolder>,
) -> Result<(Option<Arc<dyn Engine>>, Option<DiskCache>), Error> {
    let Some(line) = &args.judge else { return Ok((None, None)) };
    let kept = match (folder, &setting.cache) {
        (Some(folder), None) => {
            let path = folder.path().join("judge.cache");
            let opened = DiskCache::open(path, DiskCacheConfig::default()).await;
            Some(opened.map_err(|source| Error::Setup { what: "file of judgments", source })?)
        }
        _ => None,
    };
    let cache = kept.as_ref().or(setting.cache.as_ref());
    let judge =
        engines::other(&args.run, "judge", line, None, &setting.meter, &setting.stop, cache)?;
    Ok((Some(judge), kept))
}

/// The reward model that grades, where it is another than the one of the search.
async fn grader(args: &BenchArgs, setting: &Setting) -> Result<Option<Grader>, Error> {
    let Some(grade) = &args.grade else { return Ok(None) };
    let around = setting.around(&args.run);
    Ok(Some(Grader::new(rewards::alone(&around, grade).await?)))
}
