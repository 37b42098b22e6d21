//! `tpo bench`.

mod graders;
mod judged;
mod records;
mod references;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use textgrad_ops::util::terminal::note;

use textgrad_core::{Engine, Seed};
use tpo::Error;
use tpo::bench::{Benchmark, Grader};
use tpo::run::RunFolder;

use self::graders::{Graders, write_file};
use self::records::{Answered, Records};
use self::references::References;
use self::table::Table;
use crate::args::BenchArgs;
use crate::context::{self, RunContext};
use crate::engines::{Layers, missing};
use crate::{exit, output, rewards, run};

/// The scores of `--grade`, and the replies of the judge of `tpo compare`, in the directory of a run.
pub(crate) const GRADES: &str = "grades.jsonl";

pub(crate) async fn bench(args: BenchArgs) -> Result<ExitCode, Error> {
    let settings = &args.settings.0;
    let Some(data) = settings.path("data") else {
        let reason = format!(
            "expected a local copy of {}, got nothing; download it once, then name it as --data FILE",
            args.name.file()
        );
        return Err(Error::Input { source_name: "--data".to_owned(), reason });
    };
    check(&args)?;
    if let Err(source) = tokio::fs::metadata(&data).await {
        return Err(context::unreadable(&data, source).await);
    }
    let records = Records::read(&args, &data).await?;
    let prompts = context::prompts(settings.path("prompts").as_deref()).await?;
    let queries = records.queries(&prompts)?;
    let items = queries.len();
    let style_tokenizer = context::tokenizer(args.style_tokenizer.as_deref()).await?;
    let references = References::read(&args, &data, &records).await?;
    let context = RunContext::new(settings, prompts).await?;
    // Invalid settings of judge and grader fail before anything is paid for.
    judge(&args, &context, None).await?;
    let mut grader = match &args.grade {
        Some(line) => Some(Grader::new(rewards::alone(&context.reward_context(), line).await?)),
        None => None,
    };

    context.preflight().await?;

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
    let reward_name = grader.as_ref().map(|grader| grader.reward().name().to_owned());
    let judge_name = judge.as_ref().map(|judge| judge.name().to_owned());
    let simulated = context.tpo.is_simulation()
        || judge.as_ref().is_some_and(|judge| judge.is_simulation())
        || grader.as_ref().is_some_and(|grader| grader.reward().is_simulation());
    let relative = grader.as_ref().map_or(context.reward.as_ref(), Grader::reward).is_relative();
    let graders = Graders {
        args: &args,
        concurrency: settings.value("concurrency")?,
        seed: Seed::new(context.tpo.config().seed),
        prompts: Arc::clone(&context.prompts),
        judge,
        reward: grader,
        relative,
        references,
        style_tokenizer,
    };
    let graded = tokio::select! {
        graded = graders.grade(&records, &answers) => Some(graded),
        () = context.layers.cancel.cancelled() => None,
    };
    if let Some(layers) = &judge_layers {
        layers.flush().await;
    }
    context.layers.flush().await;
    let Some(graded) = graded.transpose()? else {
        if let Some(source) = context.layers.breaker.opened() {
            return Err(Error::ServerFails { source });
        }
        output::interrupted(items, items, done.folder.as_ref());
        note("the answers are not graded yet");
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    let folder = done.folder.as_ref().map(RunFolder::path);
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
    if let Some(folder) = folder.map(|folder| folder.join("bench")) {
        for (name, text) in &graded.files {
            write_file(&folder.join(name), text).await?;
        }
        write_file(&folder.join("report.json"), &format!("{:#}\n", table.json())).await?;
    }
    match settings.flag("json") {
        true => output::print_data(table.json())?,
        false => output::print(&table.text())?,
    }
    run::code(done)
}

/// Refuses settings that this benchmark does not use, and those that would fail once the answers are paid for.
fn check(args: &BenchArgs) -> Result<(), Error> {
    let is = |names: &[Benchmark]| names.contains(&args.name);
    let (alpaca_eval, arena_hard) = (is(&[Benchmark::AlpacaEval]), is(&[Benchmark::ArenaHard]));
    let judged = args.judge.is_some();
    let wrong = |setting, expected, got: String| Err(Error::config(setting, expected, got));
    for setting in ["format", "prompt-column"] {
        if let Some(got) = args.settings.0.get_one::<String>(setting)? {
            let expected = "nothing: the benchmark says how its file is written";
            return wrong(setting, expected, got);
        }
    }
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let flag = |given: bool| given.then(|| "the flag".to_owned());
    let files = format!("{} files", args.baseline.len());
    // Those of a judge say how its replies are counted.
    for (setting, got, used) in [
        ("--judge", args.judge.clone(), alpaca_eval || arena_hard || is(&[Benchmark::XsTest])),
        ("--grade", args.grade.clone(), is(&[Benchmark::HhRlhf, Benchmark::BeaverTails])),
        (
            "--baseline",
            (!args.baseline.is_empty()).then(|| files.clone()),
            alpaca_eval || arena_hard,
        ),
        ("--weighted", flag(args.weighted), alpaca_eval && judged),
        ("--one-order", flag(args.one_order), alpaca_eval && judged),
        ("--length-control", path(&args.length_control), alpaca_eval && judged),
        ("--leaderboard", path(&args.leaderboard), arena_hard && judged),
        ("--style-tokenizer", path(&args.style_tokenizer), arena_hard),
    ] {
        if let Some(got) = got.filter(|_| !used) {
            let expected = "nothing: nothing is graded with it here, see `tpo bench --help`";
            return wrong(setting, expected, got);
        }
    }
    if alpaca_eval && args.baseline.len() > 1 {
        return wrong("--baseline", "one file of outputs", files);
    }
    if arena_hard && judged && args.baseline.is_empty() {
        return Err(missing("--baseline", "the answers that the judge compares with"));
    }
    match args.name {
        Benchmark::ArenaHard => tpo::bench::arena_hard::file_name(&args.model_name).map(|_| ()),
        Benchmark::AlpacaEval => tpo::bench::alpaca_eval::check_generator(&args.model_name),
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
    let own = match folder {
        Some(folder) if context.layers.cache.is_none() => {
            Some(context.layers.with_cache(&folder.path().join("judge.cache")).await?)
        }
        _ => None,
    };
    let layers = own.as_ref().unwrap_or(&context.layers);
    Ok((Some(layers.other("judge", line, None).await?), own))
}
