//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tpo::bench::Benchmark;

use crate::config::{ConfigArgs, Flags, Settings};
use crate::inspect::{CompareArgs, GraphArgs, VerifyArgs};
use crate::report::ReportArgs;

/// Test-time preference optimization: align answers of language models while they are generated.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Align every query of a file and write the results to a directory.
    #[command(after_help = SEE_HELP, after_long_help = RUN_HELP)]
    Run(Flags<false>),
    /// Answer a benchmark, grade the answers, and compare the figure with those of the paper.
    #[command(after_help = SEE_HELP, after_long_help = BENCH_HELP)]
    Bench(Box<BenchArgs>),
    /// Run each combination of modes, iterations, samples, temperatures and seeds, and compare them.
    #[command(after_help = SEE_HELP, after_long_help = STUDY_HELP)]
    Study(Flags<true>),
    Report(ReportArgs),
    Compare(CompareArgs),
    Verify(VerifyArgs),
    Graph(GraphArgs),
    Config(ConfigArgs),
}

impl Command {
    /// The settings of a run, if the command has them.
    pub(crate) fn settings(&mut self) -> Option<&mut Settings> {
        match self {
            Self::Run(Flags(settings)) | Self::Study(Flags(settings)) => Some(settings),
            Self::Bench(bench) => Some(&mut bench.settings.0),
            Self::Config(config) => config.settings(),
            _ => None,
        }
    }
}

const SEE_HELP: &str =
    "See --help for all settings, environment variables, exit codes and examples.";

const RUN_HELP: &str = "\
Environment:
  OPENAI_API_KEY   key of the engine's server; presets have their own, such as GROQ_API_KEY
  REWARD_API_KEY   key of the reward model's server, unless key-env names another variable
  TPO_LOG          log filter for standard error, as info or textgrad_ops=debug; default: warn

Exit codes:
  0    all queries were aligned
  1    the run failed
  2    invalid command line, settings or input
  3    some queries failed; the others are in the results
  130  interrupted; continue the run with --resume

Examples:
  tpo run
  tpo run --data prompts.json --out runs/first
  tpo run --data prompts.json --out runs/first --resume
  tpo run --data prompts.json --out runs/first --extend --iterations 5
  tpo run --config study.toml --seed 8
  tpo run --data prompts.jsonl --engine ollama/llama3 --reward sim
  tpo run --data prompts.jsonl --engine openai --base-url http://localhost:8000/v1 \\
      --model my-model --reward vllm --reward-url http://localhost:8001 --reward-model my-rm
  tpo run --data prompts.jsonl --engine vllm/my-model --reward sglang:url=http://localhost:30000 \\
      --reward length:from=50,to=300,slack=50,weight=0.5 --combine mean \\
      --reward-model my-rm --reward-template my-rm/tokenizer_config.json";

const BENCH_HELP: &str = "\
The data sets are not part of this program: --data names the authors' file, compressed or not.
  alpaca-eval   the reference outputs (JSON); --judge compares with them
  arena-hard    question.jsonl; --judge compares with the answers in --baseline
  hh            HH-RLHF (JSONL); the mean of the reward model
  beavertails   BeaverTails-Evaluation (JSON or JSONL); the mean of the reward model
  xstest        the prompts (CSV); --judge classifies refusals
  math500       MATH-500 (JSONL); graded by the rules of PRM800K

The directory is that of `tpo run`, with files for official programs under bench/. With --resume,
finished answers, judgments and grades are not repeated. Environment variables and exit codes are
those of `tpo run`.

Examples:
  tpo bench math500 --data test.jsonl --engine URL#MODEL --reward vllm --reward-model MODEL
  tpo bench xstest --data xstest_prompts.csv --engine ollama/llama3 --reward sim \\
      --judge URL#wildguard
  tpo bench hh --data test.jsonl.gz --subset 500 --engine ollama/llama3 --reward vllm \\
      --reward-model MODEL";

const STUDY_HELP: &str = "\
The directory has one run directory per cell of the grid, study.json and study.csv. `tpo report DIR`
makes the figures of all its runs. With --resume, finished cells are not repeated, and the grid may
have grown. Cells with equal samples, temperature and seed share the answers to equal requests; the
figures of each are those that it has alone. Intervals of rewards resample seeds and queries.
Environment variables and exit codes are those of `tpo run`.

Examples:
  tpo study
  tpo study --sim-skill 0.2 --modes tpo --iterations 0,1,2,3
  tpo study --data prompts.json --engine vllm/my-model --reward vllm --reward-model my-rm \\
      --modes tpo,revision,resample,direct,shuffled --iterations 1,2,5 --seeds 1,2,3";

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// alpaca-eval, arena-hard, hh, beavertails, xstest or math500.
    #[arg(value_name = "NAME", value_parser = str::parse::<Benchmark>)]
    pub(crate) name: Benchmark,

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

    /// Draw K items of the file at random, by --seed; --limit takes the first.
    #[arg(long, value_name = "K")]
    pub(crate) subset: Option<usize>,

    /// hh and beavertails: reward model that grades, in the form of --reward.
    ///
    /// Default: the reward model of the search. As in `vllm:model=MODEL,url=http://localhost:8002`.
    #[arg(long, value_name = "REWARD")]
    pub(crate) grade: Option<String>,

    /// Name of the model in the files that are written.
    #[arg(long, value_name = "NAME", default_value = "tpo")]
    pub(crate) model_name: String,

    #[command(flatten)]
    pub(crate) settings: Flags<false>,
}
