//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Parser, Subcommand};
use textgrad_ops::util::terminal::{hide_login, hide_logins, note};
use tpo::bench::Benchmark;
use tpo::run::Shard;

use crate::compare::CompareArgs;
use crate::config::{ConfigArgs, Flags, OptionSpec, Settings, parsed};
use crate::export::{ExportArgs, MergeArgs};
use crate::generate::{CompletionsArgs, ManArgs};
use crate::grade::GradeArgs;
use crate::headroom;
use crate::inspect::{GraphArgs, ReportArgs, VerifyArgs, positive};
use crate::presets::EnginesArgs;
use crate::queue::{QueueAddress, QueueOptions};
use crate::suggest::tip;

/// Test-time preference optimization: align answers of language models while they are generated.
#[derive(Debug, Parser)]
#[command(name = "tpo", version, about, max_term_width = 80, after_help = START)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Parses the command line. Ends the program with a message if that cannot be done.
pub(crate) fn parse() -> Args {
    Args::try_parse().unwrap_or_else(|mut error| {
        if let Some(tip) = tip(&error) {
            let tip = ContextValue::StyledStrs(vec![tip.into()]);
            error.insert(ContextKind::Suggested, tip);
        }
        // A value may hold a password, also one with blanks.
        if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
            let shown = ContextValue::String(hide_login(value).into_owned());
            error.insert(ContextKind::InvalidValue, shown);
        }
        let message = error.render().to_string();
        if error.use_stderr() && hide_logins(&message) != message {
            note(message.trim_end());
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Align every query of a file and write the results to a directory.
    #[command(after_help = SEE_HELP, after_long_help = RUN_HELP)]
    Run(Box<RunArgs>),
    /// Search queries for a coordinator: `tpo run` or `tpo study` with --queue.
    ///
    /// Needs the feature `queue`. The settings of the search are those of the run; engines, reward model and their keys
    /// are this worker's own. It ends with the run. A signal gives its queries back.
    #[command(after_help = SEE_HELP, mut_args = args_of_worker)]
    Worker(Box<WorkerArgs>),
    /// Answer and grade a benchmark, and compare with the paper's figures.
    #[command(after_help = SEE_HELP, after_long_help = BENCH_HELP, mut_args = common_of_bench)]
    Bench(Box<BenchArgs>),
    /// Run a grid of modes, prompt packs, sizes and seeds, and compare its runs.
    #[command(after_help = SEE_HELP, after_long_help = STUDY_HELP, mut_args = grading_of_study)]
    Study(Box<StudyArgs>),
    /// Serve searches behind OpenAI's API.
    ///
    /// Any client of chat completions works with its base URL set to the address that is printed.
    #[command(after_help = SEE_HELP, after_long_help = SERVE_HELP)]
    Serve(Flags<false, false, true>),
    /// Check the servers of a run, and print what they can do.
    ///
    /// Sends one small request to each server, and six more to each engine. Nothing is run. Without --reward, the
    /// engines are checked alone.
    #[command(after_help = SEE_HELP)]
    Check(Flags<false>),
    /// Measure what a search can gain on this data, before it is paid for.
    ///
    /// Samples answers and scores them, without a search: the expected best of N samples, queries whose samples have
    /// equal scores, the noise of a judge, and the number of queries that shows a difference. Answers of an LLM judge
    /// are scored twice.
    #[command(after_help = SEE_HELP, mut_args = args_of_headroom)]
    Headroom(Box<HeadroomArgs>),
    Engines(EnginesArgs),
    Report(ReportArgs),
    Compare(Box<CompareArgs>),
    Grade(Box<GradeArgs>),
    Verify(VerifyArgs),
    Graph(GraphArgs),
    Export(ExportArgs),
    Merge(MergeArgs),
    Config(ConfigArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

impl Command {
    /// The settings of a run, if the command has them.
    pub(crate) fn settings(&mut self) -> Option<&mut Settings> {
        match self {
            Self::Serve(Flags(settings)) | Self::Check(Flags(settings)) => Some(settings),
            Self::Run(run) => Some(&mut run.settings.0),
            Self::Worker(worker) => Some(&mut worker.settings.0),
            Self::Bench(bench) => Some(&mut bench.settings.0),
            Self::Study(study) => Some(&mut study.settings.0),
            Self::Headroom(args) => Some(&mut args.settings.0),
            Self::Config(config) => config.settings(),
            _ => None,
        }
    }
}

/// Hides settings from `tpo bench -h` that most benchmarks leave alone: with its own options, the rest fits a screen.
fn common_of_bench(arg: Arg) -> Arg {
    let hidden = ["temperature", "max-tokens", "cache", "concurrency", "json"];
    let hide = hidden.contains(&arg.get_id().as_str());
    if hide { arg.hide_short_help(true) } else { arg }
}

/// Hides what a worker takes from its run.
fn args_of_worker(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        // A study may have several.
        "prompts" => arg.value_delimiter(','),
        name if OptionSpec::named(name).is_none_or(OptionSpec::is_of_worker) => arg,
        _ => arg.hide(true),
    }
}

/// What grades a benchmark is not in the short help of a study, and needs `--bench`.
fn grading_of_study(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "bench" => arg.hide_short_help(true),
        "judge" | "baseline" | "weighted" | "one_order" | "length_control" | "leaderboard"
        | "style_tokenizer" | "subset" | "grade" | "model_name" => {
            arg.hide_short_help(true).requires("bench").help_heading("Benchmark")
        }
        _ => arg,
    }
}

/// Hides the settings of a search from `tpo headroom -h`, and names its own default.
fn args_of_headroom(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "mode" | "iterations" => arg.hide_short_help(true),
        "samples" => {
            let help = format!("N: answers sampled per query [default: {}]", headroom::SAMPLES);
            arg.help(help.clone()).long_help(help)
        }
        _ => arg,
    }
}

/// Queries that workers have at the same time, by default.
const AT_WORKERS: &str = "1024";

const START: &str = "Begin with `tpo run`: it shows how TPO works, and needs no model and no file.";

const SEE_HELP: &str =
    "See --help for all settings, environment variables, exit codes and examples.";

const RUN_HELP: &str = include_str!("help/run.txt");
const BENCH_HELP: &str = include_str!("help/bench.txt");
const STUDY_HELP: &str = include_str!("help/study.txt");
const SERVE_HELP: &str = include_str!("help/serve.txt");

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Part of the queries to run: every N-th, from the I-th on.
    ///
    /// For machines that share no server, each with a directory of its own; `tpo merge` makes one run of all parts.
    #[arg(long, value_name = "I/N", value_parser = parsed::<Shard>, conflicts_with = "queue")]
    #[arg(hide_short_help = true, help_heading = "Run")]
    pub(crate) shard: Option<Shard>,

    #[command(flatten)]
    pub(crate) queue: QueueArgs,

    #[command(flatten)]
    pub(crate) settings: Flags<false>,
}

/// Workers that search the queries.
#[derive(Debug, clap::Args)]
pub(crate) struct QueueArgs {
    /// Have workers search the queries, by a NATS server.
    ///
    /// Needs the feature `queue`. As nats://HOST:4222, with /NAME for more than one run at a server. Workers are `tpo worker` with the same
    /// address, on any machine; --concurrency is then the number of queries that workers have at the same time, by
    /// default 1024. Credentials come from NATS_CREDS and other variables; see docs/scale.md.
    #[arg(long, value_name = "URL", value_parser = str::parse::<QueueAddress>)]
    #[arg(hide_short_help = true, help_heading = "Run")]
    pub(crate) queue: Option<QueueAddress>,

    /// How long a worker may show no progress before its queries are given to others.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = count, requires = "queue")]
    #[arg(allow_negative_numbers = true, hide_short_help = true, help_heading = "Run")]
    pub(crate) ack_wait: u32,
}

impl QueueArgs {
    /// The queue, if there is one.
    pub(crate) fn options(&self) -> Option<QueueOptions> {
        let ack_wait = Duration::from_secs(self.ack_wait.into());
        self.queue.clone().map(|queue| QueueOptions::new(queue).ack_wait(ack_wait))
    }

    /// Settings with the defaults of a coordinator, if there is a queue.
    pub(crate) fn defaults(&self, settings: &Settings) -> Settings {
        match self.queue {
            Some(_) => settings.clone().or_default("concurrency", AT_WORKERS),
            None => settings.clone(),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {
    /// Address of the run or study, as that of its --queue.
    #[arg(long, value_name = "URL", value_parser = str::parse::<QueueAddress>)]
    pub(crate) queue: QueueAddress,

    /// How long to wait for the run to begin.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = count, allow_negative_numbers = true)]
    pub(crate) wait: u32,

    #[command(flatten)]
    pub(crate) settings: Flags<false>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HeadroomArgs {
    /// Difference to find the number of queries for.
    ///
    /// In units of the reward, between two methods. May be given several times. Default: parts of the gain of the best
    /// sample.
    #[arg(long, value_name = "REWARD", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) difference: Vec<f64>,

    #[command(flatten)]
    pub(crate) settings: Flags<false>,
}

/// Reads a whole number from 1.
pub(crate) fn count(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a whole number of at least 1".to_owned())
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// alpaca-eval, arena-hard, hh, beavertails, xstest or math500.
    #[arg(value_name = "NAME", value_parser = parsed::<Benchmark>)]
    pub(crate) name: Benchmark,

    #[command(flatten)]
    pub(crate) grading: GradingArgs,

    #[command(flatten)]
    pub(crate) settings: Flags<false>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StudyArgs {
    /// Benchmark that --data is of, which grades each cell.
    ///
    /// alpaca-eval, arena-hard, hh, beavertails, xstest or math500. Its flags are those of `tpo bench`. --subset draws
    /// by the first of --seeds.
    #[arg(long, value_name = "NAME", value_parser = parsed::<Benchmark>, requires = "data")]
    pub(crate) bench: Option<Benchmark>,

    #[command(flatten)]
    pub(crate) grading: GradingArgs,

    #[command(flatten)]
    pub(crate) queue: QueueArgs,

    #[command(flatten)]
    pub(crate) settings: Flags<true>,
}

/// How the answers to a benchmark are graded.
#[derive(Debug, clap::Args)]
pub(crate) struct GradingArgs {
    /// Judge, in the form of --engine.
    ///
    /// For alpaca-eval, arena-hard and xstest; without it, their files are written for other judges.
    #[arg(long, value_name = "ENGINE")]
    pub(crate) judge: Option<String>,

    /// Answers to compare with.
    ///
    /// arena-hard: `model_answer/<baseline>.jsonl`, once per baseline (version 2 has two). alpaca-eval: outputs in
    /// place of those in --data.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Vec<PathBuf>,

    /// alpaca-eval: weigh the judge's letters by their probabilities.
    ///
    /// As the leaderboard's annotator does, instead of parsing the reply. The engine must return logprobs.
    #[arg(long, hide_short_help = true)]
    pub(crate) weighted: bool,

    /// alpaca-eval: show each pair in one order, drawn by --seed, instead of in both.
    ///
    /// As the leaderboard's annotator does.
    #[arg(long, hide_short_help = true)]
    pub(crate) one_order: bool,

    /// alpaca-eval: the authors' `df_gamed.csv`, for the leaderboard's length-controlled win rate.
    ///
    /// --data must then be the whole evaluation set. Without it, the variant without a file is computed.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) length_control: Option<PathBuf>,

    /// arena-hard: judgments of other models by the same judge, for style control.
    ///
    /// A directory `model_judgment/<judge>` of the official program, with `model_answer` beside `model_judgment`.
    /// Without it, style control has only the answers of this run.
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub(crate) leaderboard: Option<PathBuf>,

    /// arena-hard: the tokenizer.json that counts the length of answers for style control.
    ///
    /// The official files have counts of the o200k vocabulary, which a build with the feature o200k computes.
    /// Default: the counts of the files; without any, no score at equal style.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) style_tokenizer: Option<PathBuf>,

    /// Draw K items of the file at random.
    ///
    /// By --seed; --limit takes the first.
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = count)]
    pub(crate) subset: Option<u32>,

    /// Reward model that grades hh or beavertails.
    ///
    /// In the form of --reward. Default: the reward model of the search. As in `vllm:model=MODEL,url=http://localhost:8002`.
    #[arg(long, value_name = "REWARD")]
    pub(crate) grade: Option<String>,

    /// Name of the model in written files.
    #[arg(long, value_name = "NAME", default_value = "tpo")]
    pub(crate) model_name: String,
}

#[cfg(test)]
mod tests {
    /// clap breaks longer lines, and examples could not be copied.
    #[test]
    fn no_line_of_help_is_wrapped() {
        for help in [super::RUN_HELP, super::BENCH_HELP, super::STUDY_HELP, super::SERVE_HELP] {
            let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{long:?}");
        }
    }
}
