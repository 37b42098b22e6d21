//! `tpo bench`.

mod graders;
mod judged;
mod records;
mod references;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value as Json;
use textgrad_core::{Engine, PromptPack, Seed};
use textgrad_ops::util::terminal::note;
use tpo::bench::{Benchmark, Grader};
use tpo::run::RunFolder;
use tpo::{Error, Query, Tokenizer, Tpo};

use self::graders::{Graders, write_file};
pub(crate) use self::records::Answered;
use self::records::Records;
use self::references::References;
use self::table::Table;
use crate::args::{BenchArgs, GradingArgs};
use crate::config::Settings;
use crate::context::{self, RunContext};
use crate::engines::{Layers, missing};
use crate::{exit, output, rewards, run};

/// The scores of `--grade`, and the replies of the judge of `tpo compare`, in the directory of a run.
pub(crate) const GRADES: &str = "grades.jsonl";

pub(crate) async fn bench(args: BenchArgs) -> Result<ExitCode, Error> {
    let settings = &args.settings.0;
    let prompts = context::prompts(settings.path("prompts").as_deref()).await?;
    let suite = Suite::read(args.name, &args.grading, settings, &prompts).await?;
    let context = RunContext::new(settings, prompts).await?;
    suite.check_graders(&context).await?;
    context.preflight().await?;

    let items = suite.queries.len();
    let mut answers = Vec::with_capacity(items);
    let on_record = |record: &_| answers.extend(Answered::of(record));
    let done = run::align(
        &context,
        &suite.source,
        suite.queries.clone(),
        run::Parts::default(),
        on_record,
    )
    .await?;
    if !done.is_complete() {
        context.layers.flush().await;
        return run::code(done);
    }
    let folder = done.folder.as_ref();
    let searched = Searched {
        tpo: &context.tpo,
        answers: &answers,
        failed: done.summary.failed,
        folder: folder.map(RunFolder::path),
    };
    let report = suite.grade(&context, searched).await?;
    context.layers.flush().await;
    let Some(report) = report else {
        output::interrupted(items, items, folder);
        note("the answers are not graded yet");
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    match settings.flag("json") {
        true => output::print_data(report.json)?,
        false => output::print(&report.text)?,
    }
    run::code(done)
}

/// A benchmark with its items, and all that grades answers to them.
pub(crate) struct Suite<'a> {
    benchmark: Benchmark,
    args: &'a GradingArgs,
    settings: &'a Settings,
    /// The name of the file.
    pub(crate) source: String,
    pub(crate) queries: Vec<Query>,
    records: Records,
    references: References,
    style_tokenizer: Option<Arc<dyn Tokenizer>>,
}

/// A search of all items.
pub(crate) struct Searched<'a> {
    pub(crate) tpo: &'a Tpo,
    pub(crate) answers: &'a [Answered],
    pub(crate) failed: usize,
    pub(crate) folder: Option<&'a Path>,
}

/// The figures of a search beside those of the paper.
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) json: Json,
    /// What each figure is of, with the figure.
    pub(crate) figures: Vec<(String, Option<f64>)>,
}

impl<'a> Suite<'a> {
    /// Reads the items of `--data`, and what graders need besides.
    pub(crate) async fn read(
        benchmark: Benchmark,
        args: &'a GradingArgs,
        settings: &'a Settings,
        prompts: &PromptPack,
    ) -> Result<Self, Error> {
        let Some(data) = settings.path("data") else {
            let reason = format!(
                "expected a local copy of {}, got nothing; download it once, then name it as --data FILE",
                benchmark.file()
            );
            return Err(Error::input("--data", reason));
        };
        check(benchmark, args, settings)?;
        if let Err(source) = tokio::fs::metadata(&data).await {
            return Err(context::unreadable(&data, source).await);
        }
        let records = Records::read(benchmark, args, settings, &data).await?;
        Ok(Self {
            benchmark,
            args,
            settings,
            source: data.display().to_string(),
            queries: records.queries(prompts)?,
            references: References::read(args, &data, &records).await?,
            style_tokenizer: context::tokenizer(args.style_tokenizer.as_deref()).await?,
            records,
        })
    }

    /// Invalid settings of judge and grader fail before anything is paid for.
    pub(crate) async fn check_graders(&self, context: &RunContext) -> Result<(), Error> {
        self.judge(context, None).await?;
        self.grader(context).await?;
        Ok(())
    }

    /// Grades answers, and writes files for other graders. None if it was interrupted.
    pub(crate) async fn grade(
        &self,
        context: &RunContext,
        searched: Searched<'_>,
    ) -> Result<Option<Report>, Error> {
        let Searched { tpo, answers, failed, folder } = searched;
        let (judge, judge_layers) = self.judge(context, folder).await?;
        let grader = match (self.grader(context).await?, folder) {
            (Some(grader), Some(folder)) => Some(grader.keeping(&folder.join(GRADES)).await?),
            (grader, _) => grader,
        };
        let reward_name = grader.as_ref().map(|grader| grader.reward().name().to_owned());
        let judge_name = judge.as_ref().map(|judge| judge.name().to_owned());
        let simulated = tpo.is_simulation()
            || judge.as_ref().is_some_and(|judge| judge.is_simulation())
            || grader.as_ref().is_some_and(|grader| grader.reward().is_simulation());
        let reward = grader.as_ref().map_or(context.reward.as_ref(), Grader::reward);
        let graders = Graders {
            args: self.args,
            concurrency: self.settings.value("concurrency")?,
            seed: Seed::new(tpo.config().seed),
            prompts: Arc::clone(&context.prompts),
            judge,
            relative: reward.is_relative(),
            reward: grader,
            references: &self.references,
            style_tokenizer: self.style_tokenizer.clone(),
        };
        let graded = context.layers.until_cancelled(graders.grade(&self.records, answers)).await;
        if let Some(layers) = &judge_layers {
            layers.flush().await;
        }
        let Some(graded) = graded? else { return Ok(None) };
        let table = Table {
            benchmark: self.benchmark,
            simulated,
            source: &self.source,
            items: self.queries.len(),
            failed,
            tpo,
            judge: judge_name.as_deref(),
            grading_reward: reward_name.as_deref(),
            graded: &graded,
            folder,
        };
        let report = Report {
            text: table.text(),
            json: table.json(),
            figures: graded.figures.iter().map(|one| (one.of.clone(), one.figure)).collect(),
        };
        if let Some(folder) = folder.map(|folder| folder.join("bench")) {
            for (name, text) in &graded.files {
                write_file(&folder.join(name), text).await?;
            }
            write_file(&folder.join("report.json"), &format!("{:#}\n", report.json)).await?;
        }
        Ok(Some(report))
    }

    /// The reward model that grades.
    async fn grader(&self, context: &RunContext) -> Result<Option<Grader>, Error> {
        Ok(match &self.args.grade {
            Some(line) => Some(Grader::new(rewards::alone(&context.reward_context(), line).await?)),
            None => None,
        })
    }

    /// The judge. Its replies are cached in the directory of the run, unless all engines have a cache; the layers with
    /// that cache are returned.
    async fn judge(
        &self,
        context: &RunContext,
        folder: Option<&Path>,
    ) -> Result<(Option<Arc<dyn Engine>>, Option<Layers>), Error> {
        let Some(line) = &self.args.judge else { return Ok((None, None)) };
        let own = match folder {
            Some(folder) if context.layers.cache.is_none() => {
                Some(context.layers.with_cache(&folder.join("judge.cache")).await?)
            }
            _ => None,
        };
        let layers = own.as_ref().unwrap_or(&context.layers);
        Ok((Some(layers.other("judge", line, None).await?), own))
    }
}

/// Refuses settings that this benchmark does not use, and those that would fail once the answers are paid for.
fn check(benchmark: Benchmark, args: &GradingArgs, settings: &Settings) -> Result<(), Error> {
    let is = |names: &[Benchmark]| names.contains(&benchmark);
    let (alpaca_eval, arena_hard) = (is(&[Benchmark::AlpacaEval]), is(&[Benchmark::ArenaHard]));
    let judged = args.judge.is_some();
    let wrong = |setting, expected, got: String| Err(Error::config(setting, expected, got));
    for setting in ["format", "prompt-column"] {
        if let Some(got) = settings.get_one::<String>(setting)? {
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
    match benchmark {
        Benchmark::ArenaHard => tpo::bench::arena_hard::file_name(&args.model_name).map(|_| ()),
        Benchmark::AlpacaEval => tpo::bench::alpaca_eval::check_generator(&args.model_name),
        _ => Ok(()),
    }
}
