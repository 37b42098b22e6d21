//! `tpo bench`.

pub(crate) mod answers;
pub(crate) mod graders;
pub(crate) mod records;
mod table;

use std::process::ExitCode;
use std::sync::Arc;

use textgrad_core::Engine;
use tpo::Error;
use tpo::bench::{Benchmark, Grader};
use tpo::run::RunFolder;

use self::answers::Answered;
use self::graders::Graders;
use self::records::Records;
use self::table::Table;
use crate::args::BenchArgs;
use crate::context::{self, RunContext};
use crate::engines::Layers;
use crate::run;
use crate::spec::RunSpec;
use crate::{engines, exit, output, rewards};

/// The scores of `--grade`, in the directory of the run.
const GRADES: &str = "grades.jsonl";

pub(crate) async fn bench(args: BenchArgs) -> Result<ExitCode, Error> {
    let spec = RunSpec::new(&args.settings).await?;
    let Some(data) = spec.data.clone() else {
        return Err(engines::missing("data", "the benchmark's file, see `tpo bench --help`"));
    };
    check(&args, &spec)?;
    let records = Records::read(&args, &spec, &data).await?;
    let prompts = context::prompts(spec.prompts.as_deref()).await?;
    let queries = records.queries(&prompts)?;
    let items = queries.len();
    let style_tokenizer = context::tokenizer(args.style_tokenizer.as_deref()).await?;
    let references = crate::judged::References::read(&args, &data, &records).await?;
    let context = RunContext::new(spec, prompts).await?;
    // Invalid settings of judge and grader fail before anything is paid for.
    judge(&args, &context, None).await?;
    let mut grader = match &args.grade {
        Some(line) => Some(Grader::new(rewards::alone(&context.reward_context(), line).await?)),
        None => None,
    };

    let mut answers = Vec::with_capacity(items);
    let source = data.display().to_string();
    let on_record = |record: &_| answers.extend(Answered::of(record));
    let done = run::align(&context, &source, queries, on_record).await?;
    if !done.is_complete() {
        context.layers.flush().await;
        return run::code(done);
    }

    let (judge, judge_layers) = judge(&args, &context, done.folder.as_ref()).await?;
    if let (Some(folder), Some(given)) = (&done.folder, grader.take()) {
        grader = Some(given.keeping(&folder.path().join(GRADES)).await?);
    }
    let reward_name = grader.as_ref().map(|grader| grader.name().to_owned());
    let judge_name = judge.as_ref().map(|judge| judge.name().to_owned());
    let simulated = context.tpo.is_simulation()
        || judge.as_ref().is_some_and(|judge| judge.is_simulation())
        || grader.as_ref().is_some_and(Grader::is_simulation);
    let prompts = Arc::clone(&context.prompts);
    let relative = grader.as_ref().map_or(context.reward().is_relative(), Grader::is_relative);
    let spec = &context.spec;
    let graders = Graders {
        args: &args,
        spec,
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
    if let Some(layers) = &judge_layers {
        layers.flush().await;
    }
    context.layers.flush().await;
    let Some(graded) = graded.transpose()? else {
        output::interrupted(items, items, done.folder.as_ref());
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
        tpo: &context.tpo,
        judge: judge_name.as_deref(),
        grading_reward: reward_name.as_deref(),
        graded: &graded,
        folder,
    };
    table.write(folder).await?;
    output::printed(if spec.json { table.print_json() } else { table.print() })?;
    run::code(done)
}

/// Refuses settings that this benchmark does not use, and those that would fail once the answers are paid for.
fn check(args: &BenchArgs, spec: &RunSpec) -> Result<(), Error> {
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
    if spec.format.is_some() {
        let expected = "nothing: the benchmark says how its file is written";
        return Err(Error::Config { setting: "format", expected, got: "a format".to_owned() });
    }
    match args {
        BenchArgs { judge: Some(judge), .. } if !judged => unused("--judge", judge.clone()),
        BenchArgs { grade: Some(grade), .. } if !rewarded => unused("--grade", grade.clone()),
        BenchArgs { baseline, .. } if !compared && !baseline.is_empty() => {
            unused("--baseline", format!("{} files", baseline.len()))
        }
        BenchArgs { weighted: true, .. } if !alpaca_eval => unused("--weighted", on()),
        BenchArgs { one_order: true, .. } if !alpaca_eval => unused("--one-order", on()),
        BenchArgs { length_control: Some(file), .. } if !alpaca_eval => {
            unused("--length-control", file.display().to_string())
        }
        BenchArgs { leaderboard: Some(folder), .. } if !arena_hard => {
            unused("--leaderboard", folder.display().to_string())
        }
        BenchArgs { style_tokenizer: Some(file), .. } if args.name != Benchmark::ArenaHard => {
            unused("--style-tokenizer", file.display().to_string())
        }
        BenchArgs { baseline, .. } if args.name == Benchmark::AlpacaEval && baseline.len() > 1 => {
            Err(Error::Config {
                setting: "--baseline",
                expected: "one file of outputs",
                got: format!("{} files", baseline.len()),
            })
        }
        BenchArgs { name: Benchmark::ArenaHard, judge: Some(_), baseline, .. }
            if baseline.is_empty() =>
        {
            Err(engines::missing("--baseline", "the answers that the judge compares with"))
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

/// The judge. Its replies are cached in the directory of the run, unless all engines have a cache; the layers with
/// that cache are returned.
async fn judge(
    args: &BenchArgs,
    context: &RunContext,
    folder: Option<&RunFolder>,
) -> Result<(Option<Arc<dyn Engine>>, Option<Layers>), Error> {
    let Some(line) = &args.judge else { return Ok((None, None)) };
    let mut layers = context.layers.clone();
    let own = match folder {
        Some(folder) if layers.cache.is_none() => {
            let opened = Layers::open(Some(&folder.path().join("judge.cache"))).await;
            layers.cache = opened?.cache;
            Some(layers.clone())
        }
        _ => None,
    };
    Ok((Some(layers.other("judge", &context.spec.engine, line, None)?), own))
}
