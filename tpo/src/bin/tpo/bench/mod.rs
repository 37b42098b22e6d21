//! `tpo bench`.

mod graders;
mod table;

use std::process::ExitCode;
use std::time::Instant;

use textgrad_ops::engine::layer::Meter;
use tpo::bench::{Benchmark, math500, read_file};
use tpo::run::RunConfig;
use tpo::{Batch, Error, Query, Stop};

use self::graders::{Answered, Setting};
use self::table::Figure;
use crate::args::BenchArgs;
use crate::{engines, exit, run, show};

pub(crate) async fn bench(args: BenchArgs) -> Result<ExitCode, Error> {
    let Some(data) = &args.run.data else {
        return Err(engines::missing("data", "the benchmark's file, see `tpo bench --help`"));
    };
    graders::check(&args)?;
    let (source, text) = (data.display().to_string(), read_file(data).await?);
    let prompts = run::prompts(&args.run).await?;
    let mut queries: Vec<Query> = match args.name {
        Benchmark::Math500 => {
            let problems = math500::read(&source, &text)?;
            problems.iter().map(|problem| problem.query(&prompts)).collect::<Result<_, _>>()?
        }
        other => other.items(&source, &text)?.into_iter().map(|item| item.query).collect(),
    };
    queries.truncate(args.run.limit.unwrap_or(usize::MAX));

    let (meter, stop) = (Meter::default(), Stop::default());
    let cache = engines::cache(&args.run).await?;
    let tpo = run::search(&args.run, &meter, &stop, cache.as_ref()).await?;
    let judge = match &args.judge {
        Some(judge) => Some(engines::judge(&args.run, judge, &meter, &stop, cache.as_ref())?),
        None => None,
    };
    let config = RunConfig::new(&tpo, &source, &queries);
    let folder = run::open(&args.run, &config).await?;
    let known = folder.as_ref().map_or(0, |folder| folder.journal().known_steps());
    let path = folder.as_ref().map(|folder| folder.path().to_owned());
    show::heading(&tpo, &source, queries.len(), path.as_deref(), known);

    let (total, concurrency) = (queries.len(), args.run.concurrency.get());
    let mut batch = Batch::new(tpo.clone(), queries).concurrency(concurrency).stop(stop.clone());
    if let Some(folder) = &folder {
        batch = batch.journal(folder.journal().clone());
    }
    let begun = Instant::now();
    let bar = show::Bar::start(total, batch.progress());
    let mut gathered = run::Gathered::new(tpo.is_simulation(), None, bar);
    let interrupted = run::gather(&mut batch, &stop, &mut gathered).await?;
    gathered.bar.finish();
    if let Some(error) = gathered.fatal {
        return Err(error);
    }
    if interrupted {
        show::interrupted(gathered.shown.len(), total, folder.as_ref());
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }

    let failed = gathered.summary.finish(begun.elapsed(), concurrency).failed;
    let answered = Answered::new(gathered.shown);
    let simulated =
        tpo.is_simulation() || judge.as_ref().is_some_and(|judge| judge.is_simulation());
    let setting = Setting { args: &args, source: &source, text: &text, prompts, judge };
    let graded = graders::grade(&setting, &answered).await?;
    if let Some(folder) = &path {
        graders::write(folder, &graded.files).await?;
    }
    let figure = Figure {
        benchmark: args.name,
        simulated,
        failed,
        source: &source,
        tpo: &tpo,
        graded: &graded,
        folder: path.as_deref(),
    };
    let printed = if args.run.json { figure.print_json() } else { figure.print() };
    printed.map_err(|source| Error::Io {
        path: "standard output".into(),
        action: "can not be written",
        source,
    })?;
    if let Some(cache) = &cache
        && let Err(error) = cache.flush().await
    {
        eprintln!("warning: {}", tpo::describe(&error));
    }
    Ok(ExitCode::from(if failed > 0 { exit::SOME_QUERIES_FAILED } else { 0 }))
}
