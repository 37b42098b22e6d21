//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use serde_json::{Map, Value};
use tpo::bench::Benchmark;
use tpo::{Accept, Mode, Pairs, Truncation};

use crate::compare::CompareArgs;
use crate::graph::GraphArgs;
use crate::report::ReportArgs;
use crate::study::StudyArgs;
use crate::verify::VerifyArgs;

use crate::config::ConfigArgs;
use crate::rewards::RewardArgs;
use crate::stopping::StoppingArgs;

/// Align answers of language models while they are generated, without training.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Align every query of a file and write what came of it into a folder.
    #[command(after_help = AFTER_HELP)]
    Run(Box<RunArgs>),
    /// Answer a benchmark, grade the answers, and print the figure beside those of TPO's paper.
    #[command(after_help = BENCH_HELP)]
    Bench(Box<BenchArgs>),
    Study(Box<StudyArgs>),
    Report(ReportArgs),
    Compare(CompareArgs),
    Verify(VerifyArgs),
    Graph(GraphArgs),
    Config(Box<ConfigArgs>),
}

const BENCH_HELP: &str = "\
The data sets are not part of this program: --data names the authors' file, compressed or not.
  alpaca-eval   the reference outputs (JSON); --judge compares with them
  arena-hard    question.jsonl; --judge compares with the answers in --baseline
  hh            HH-RLHF (JSONL); the mean of the reward model
  beavertails   BeaverTails-Evaluation (JSON or JSONL); the mean of the reward model
  xstest        the prompts (CSV); --judge says which answers refuse
  math500       MATH-500 (JSONL); graded by the rules of PRM800K

The folder is that of `tpo run`, with the files for official programs under bench/. With --resume, what was
answered, judged and graded before is not asked again. Environment and exit codes are those of `tpo run`.

Examples:
  tpo bench math500 --data test.jsonl --engine URL#MODEL --reward vllm --reward-model MODEL --out runs/math
  tpo bench xstest --data xstest_prompts.csv --engine ollama/llama3 --reward sim --judge URL#wildguard
  tpo bench hh --data test.jsonl.gz --subset 500 --engine ollama/llama3 --reward vllm --reward-model MODEL";

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// alpaca-eval, arena-hard, hh, beavertails, xstest or math500.
    #[arg(value_name = "NAME", value_parser = str::parse::<Benchmark>)]
    pub(crate) name: Benchmark,

    /// The model that judges, in the form of `--engine`: PRESET/MODEL or URL#MODEL. alpaca-eval, arena-hard and
    /// xstest; without it their files are written for other judges.
    #[arg(long, value_name = "ENGINE")]
    pub(crate) judge: Option<String>,

    /// What the answers are compared with. arena-hard: `model_answer/<baseline>.jsonl`, once for each baseline
    /// (version 2 has two); alpaca-eval: outputs to be taken instead of those in --data.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Vec<PathBuf>,

    /// alpaca-eval: weigh the judge's letters by their probabilities, as the leaderboard's annotator does, instead
    /// of reading the reply. The engine must tell probabilities.
    #[arg(long)]
    pub(crate) weighted: bool,

    /// alpaca-eval: show each pair in one order, drawn by --seed, as the leaderboard's annotator does, instead of
    /// in both.
    #[arg(long)]
    pub(crate) one_order: bool,

    /// alpaca-eval: the authors' `df_gamed.csv`, for the leaderboard's length-controlled win rate. --data must then
    /// be the whole evaluation set. Without it, the variant that needs no file is computed.
    #[arg(long, value_name = "FILE")]
    pub(crate) length_control: Option<PathBuf>,

    /// arena-hard: judgments of other models by the same judge, for style control: a folder
    /// `model_judgment/<judge>` of the official program, with `model_answer` beside `model_judgment`. Without it,
    /// style control knows our answers only.
    #[arg(long, value_name = "DIR")]
    pub(crate) leaderboard: Option<PathBuf>,

    /// arena-hard: the tokenizer.json that counts the length of answers for style control, of all answers alike.
    /// The official files have counts of the o200k vocabulary, which a build with the feature o200k computes.
    /// Default: the counts of the files; without any, no score at equal style.
    #[arg(long, value_name = "FILE")]
    pub(crate) style_tokenizer: Option<PathBuf>,

    /// Draw so many items of the file at random, by --seed. (--limit takes the first.)
    #[arg(long, value_name = "K")]
    pub(crate) subset: Option<usize>,

    /// hh and beavertails: the reward model that grades, in the form of `--reward`, if it is not the one that
    /// guides the search, as in `vllm:model=MODEL,url=http://localhost:8002`.
    #[arg(long, value_name = "REWARD")]
    pub(crate) grade: Option<String>,

    /// The name of the model in the files that are written.
    #[arg(long, value_name = "NAME", default_value = "tpo")]
    pub(crate) model_name: String,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

const AFTER_HELP: &str = "\
Environment:
  OPENAI_API_KEY   key of the engine's server; other servers have their own, as in GROQ_API_KEY
  REWARD_API_KEY   key of the reward model's server, unless its line names another variable (key-env=NAME)
  TPO_LOG          what is logged to standard error, such as info or textgrad_ops=debug (default: warn)

Exit codes:
  0    all queries were aligned
  1    the run failed
  2    wrong command line, settings or input
  3    some queries failed; the others are in the results
  130  interrupted; the run can be continued with --resume

Examples:
  tpo run
  tpo run --data prompts.json --out runs/first
  tpo run --data prompts.json --out runs/first --resume
  tpo run --data prompts.json --out runs/first --extend --iterations 5
  tpo run --config study.toml --seed 8
  tpo run --data prompts.jsonl --engine ollama/llama3 --reward sim
  tpo run --data prompts.jsonl --engine openai --base-url http://localhost:8000/v1 --model my-model \\
      --reward vllm --reward-url http://localhost:8001 --reward-model my-reward-model
  tpo run --data prompts.jsonl --engine vllm/my-model --reward sglang:url=http://localhost:30000 \\
      --reward length:from=50,to=300,slack=50,weight=0.5 --combine mean \\
      --reward-model my-reward-model --reward-template my-reward-model/tokenizer_config.json";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunArgs {
    /// File of queries: a JSON list of strings, JSONL with `prompt`, `instruction` or `messages`, or plain
    /// text with one query a line; `-` reads standard input. Without it, a few built-in queries are used.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,

    /// How the queries are written; by default what the file's name or its first character says.
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatKind>,

    /// Use at most this many queries.
    #[arg(long, value_name = "K")]
    pub(crate) limit: Option<usize>,

    /// tpo: compare the best answer with the worst; revision: criticize the best alone; bon: best of N.
    /// Ablations that draw as many answers as tpo: resample: no critique, N more answers in each iteration;
    /// direct: no chain rule, rewrite from the comparison itself; shuffled: with the critique of another query;
    /// listwise: compare up to N scored answers; ungated: rewrite the newest, better or not.
    #[arg(long, default_value = "tpo", value_parser = str::parse::<Mode>)]
    pub(crate) mode: Mode,

    /// quoted: each request quotes what it is about, as the paper has it; continued: losses, gradients and
    /// updates continue the policy's conversation, for servers with automatic prefix caching.
    #[arg(long, value_enum, default_value_t = LayoutKind::Quoted)]
    pub(crate) layout: LayoutKind,

    /// D: how many times the best answer is rewritten.
    #[arg(long, value_name = "D", default_value_t = 2)]
    pub(crate) iterations: u32,

    /// N: how many answers are drawn at a time.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) samples: u32,

    /// Which answers an iteration compares: best-worst, newest (the best of all with the worst of the newest
    /// ones), median (the best with the median), all (the best with every worse one), or top-bottom:K (each of
    /// the best K with the one as far from the other end).
    #[arg(long, default_value = "best-worst", value_parser = str::parse::<Pairs>)]
    pub(crate) pairs: Pairs,

    /// Which answers may be rewritten: improvement, those that the scores speak for; always, only the newest,
    /// whatever their scores. Either way every answer stays in the pool, and the best of all is returned.
    #[arg(long, default_value = "improvement", value_parser = str::parse::<Accept>)]
    pub(crate) accept: Accept,

    /// The longest beginning of a chosen or rejected answer that enters a prompt: chars:N, or tokens:N of
    /// --tokenizer. Answers are scored, kept and returned whole. Default: answers enter prompts whole.
    #[arg(long, value_name = "UNIT:N", value_parser = str::parse::<Truncation>)]
    pub(crate) truncate: Option<Truncation>,

    /// The tokenizer.json that counts the tokens of --truncate.
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,

    /// How often new versions that could not be read are asked for again.
    #[arg(long, value_name = "TIMES", default_value_t = 2)]
    pub(crate) parse_retries: u32,

    #[command(flatten)]
    pub(crate) stopping: StoppingArgs,

    /// Temperature of all requests.
    #[arg(long, default_value_t = 0.7)]
    pub(crate) temperature: f64,

    /// Temperature of losses and gradients, if it is another.
    #[arg(long, value_name = "TEMPERATURE")]
    pub(crate) critic_temperature: Option<f64>,

    /// Nucleus sampling of answers and rewrites.
    #[arg(long, value_name = "P", default_value_t = 0.95)]
    pub(crate) top_p: f64,

    /// Nucleus sampling of losses and gradients.
    #[arg(long, value_name = "P", default_value_t = 0.99)]
    pub(crate) critic_top_p: f64,

    /// Penalty on tokens by how often they occurred, from -2 to 2, in all requests.
    #[arg(long, value_name = "PENALTY", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) frequency_penalty: f64,

    /// Penalty on tokens that occurred at all, from -2 to 2, in all requests.
    #[arg(long, value_name = "PENALTY", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) presence_penalty: f64,

    /// The longest answer or rewrite, in tokens.
    #[arg(long, value_name = "TOKENS", default_value_t = 2048)]
    pub(crate) max_tokens: u32,

    /// The longest loss or gradient, in tokens.
    #[arg(long, value_name = "TOKENS", default_value_t = 8192)]
    pub(crate) critic_max_tokens: u32,

    /// The seed that all seeds are derived from.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,

    /// How many queries are searched at the same time.
    #[arg(long, value_name = "QUERIES", default_value = "16")]
    pub(crate) concurrency: NonZeroUsize,

    /// sim: an embedded simulation, needs nothing; PRESET/MODEL, such as anthropic/claude-haiku-4-5 or
    /// ollama/llama3: a model of a server that is known by name, with its key from the environment;
    /// URL#MODEL, or openai with --base-url and --model: any server with the OpenAI chat API.
    #[arg(long, value_name = "ENGINE", default_value = "sim")]
    pub(crate) engine: String,

    /// Where the server is, if not where the preset says; http://localhost:8000/v1 for `--engine openai`.
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// The model that answers. Needed where `--engine` names none.
    #[arg(long)]
    pub(crate) model: Option<String>,

    /// Fields that only some servers know, as a JSON object, for all requests: '{"top_k": 40}'.
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub(crate) extra_body: Option<Map<String, Value>>,

    /// The name under which the server takes the longest answer: max_completion_tokens for OpenAI's
    /// reasoning models. By default what the preset says; max_tokens for `--engine openai`.
    #[arg(long, value_enum, value_name = "FIELD")]
    pub(crate) max_tokens_field: Option<TokensField>,

    /// The model that gives losses and gradients, in the form of `--engine`, if it is not the one that answers.
    #[arg(long, value_name = "ENGINE")]
    pub(crate) critic: Option<String>,

    /// The model that rewrites, in the form of `--engine`, if it is not the one that answers.
    #[arg(long, value_name = "ENGINE")]
    pub(crate) optimizer: Option<String>,

    /// Send no stop texts, for servers that refuse them.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        default_value_t = false, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) no_stop_sequences: bool,

    /// Let the server stream its answers.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        default_value_t = false, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) stream: bool,

    /// Ask for one answer at a time, each with its own seed, for servers that give N equal answers to one
    /// request (SGLang with --enable-deterministic-inference), or tell the tokens of one of them only (llama.cpp).
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        default_value_t = false, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) one_per_request: bool,

    /// The longest that one request to the engine or the reward model may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) timeout: u64,

    /// How often a failed request is tried again.
    #[arg(long, value_name = "TIMES", default_value_t = 5)]
    pub(crate) retries: u32,

    /// How well the simulated model follows instructions, from 0 to 1; 0.8 by default.
    #[arg(long, value_name = "SKILL")]
    pub(crate) sim_skill: Option<f64>,

    /// How long each request to the simulated model takes, in milliseconds; no time by default.
    #[arg(long, value_name = "MS")]
    pub(crate) sim_latency_ms: Option<u64>,

    #[command(flatten)]
    pub(crate) rewards: RewardArgs,

    /// Folder of prompt templates that replace the built-in ones.
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,

    /// Folder for the results; it must not hold a run yet, unless --resume or --extend is given. By default a new
    /// folder under `runs`; with built-in queries, none.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Continue the run in the folder given with --out: what it has paid for is not asked again.
    #[arg(long, requires_if("true", "out"), value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        default_value_t = false, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) resume: bool,

    /// Continue it with more --iterations, or with more queries behind those that it had: only what is new is
    /// paid for, and the results are those of one run. All else must be as it was.
    #[arg(long, requires_if("true", "out"), value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        default_value_t = false, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) extend: bool,

    /// Keep the answers of the model in this file, and take from it what any run has asked before. Several runs
    /// may use it at once; `textgrad cache` looks into it. Scores are not kept, nor replies in which an answer
    /// was cut off
    #[arg(long, value_name = "FILE")]
    pub(crate) cache: Option<PathBuf>,

    /// Print the summary, and the answers if there is no folder for them, as one JSON object on standard
    /// output.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        default_value_t = false, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) json: bool,

    /// Take settings from this file (TOML, see docs/configuration.md). Those that are given here too hold as
    /// they are given here.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

fn json_object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutKind {
    Quoted,
    Continued,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatKind {
    Json,
    Jsonl,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum TokensField {
    MaxTokens,
    MaxCompletionTokens,
}
