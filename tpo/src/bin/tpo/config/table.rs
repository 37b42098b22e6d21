//! The settings of a run.

use tpo::{Acceptance, Combine, Mode, Pairs, Truncation};

use super::options::Default::{Unset, Value};
use super::options::ValueKind::{
    Arguments, Bool, Choice, List, Number, Object, ObjectOrPath, Parsed, Path, Text, Whole,
};
use super::options::{Group, ValueKind, option};

const U32: ValueKind = Whole(0, u32::MAX as u64);
const U64: ValueKind = Whole(0, u64::MAX);
const AT_LEAST_1: ValueKind = Whole(1, u32::MAX as u64);
const FORMAT: ValueKind = Choice(&["json", "jsonl", "text"]);
const FIELD: ValueKind = Choice(&["max_tokens", "max_completion_tokens"]);
const MODE: ValueKind = Parsed(|text| accepted(text.parse::<Mode>()));
const PAIRS: ValueKind = Parsed(|text| accepted(text.parse::<Pairs>()));
const ACCEPT: ValueKind = Parsed(|text| accepted(text.parse::<Acceptance>()));
const COMBINE: ValueKind = Parsed(|text| accepted(text.parse::<Combine>()));
const TRUNCATE: ValueKind = Parsed(|text| accepted(text.parse::<Truncation>()));

fn accepted<T>(parsed: Result<T, tpo::Error>) -> Result<(), String> {
    parsed.map(|_| ()).map_err(|error| error.to_string())
}

/// Every setting of a run, in the order of help and documentation.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        table: "data",
        title: "Data",
        options: &[
            option("data", Path, "FILE", Unset("a few built-in queries"))
                .help("File of queries, or - for standard input.")
                .details(
                    "A JSON list, JSONL (a field `prompt`, `instruction` with `input`, `question` or `query`, beside it `system`, \
                     or `messages`), or plain text with one query per line. UTF-16 and gzip are read too.",
                )
                .common(),
            option("format", FORMAT, "FORMAT", Unset("from the file name or the first character"))
                .help("Format of the queries: json, jsonl or text."),
            option("limit", U64, "K", Unset("all queries"))
                .help("Use at most the first K queries.")
                .common(),
        ],
    },
    Group {
        table: "search",
        title: "Search",
        options: &[
            option("mode", MODE, "MODE", Value("tpo"))
                .help("Search mode: tpo, revision, bon, or an ablation.")
                .details(
                    "tpo compares the best answer with the worst; revision criticizes the best answer alone; bon is \
                     best-of-N. Ablations with the same number of answers: resample (no critique, N more answers per \
                     iteration), direct (no chain rule, rewrite from the comparison), shuffled (critique of another \
                     query), listwise (compare up to N scored answers), ungated (rewrite the newest answer, better or \
                     not). See docs/studies.md.",
                )
                .study("modes", &["tpo", "revision", "resample"])
                .common(),
            option("layout", Choice(&["quoted", "continued"]), "LAYOUT", Value("quoted"))
                .help("Layout of requests: quoted or continued.")
                .details(
                    "quoted: each request quotes its subject, as in the paper. continued: losses, gradients and updates \
                     continue the policy's conversation, for servers with automatic prefix caching.",
                ),
            option("iterations", U32, "D", Value("2"))
                .help("D: iterations, each of which rewrites the best answer.")
                .study("iterations", &["2"])
                .common(),
            option("samples", U32, "N", Value("5"))
                .help("N: answers sampled per iteration.")
                .study("samples", &["5"])
                .common(),
            option("pairs", PAIRS, "PAIRS", Value("best-worst"))
                .help("Answers that an iteration compares.")
                .details(
                    "best-worst; newest (the best of all with the worst of the newest); median (the best with the \
                     median); all (the best with every worse one); top-bottom:K (each of the best K with one of the \
                     worst K).",
                ),
            option("accept", ACCEPT, "RULE", Value("improvement"))
                .help("Answers to rewrite: improvement or always.")
                .details(
                    "improvement: the answers with the best scores. always: only the newest, whatever their scores. \
                     Every answer stays in the pool, and the best of all is returned.",
                ),
            option("truncate", TRUNCATE, "UNIT:N", Unset("answers enter prompts whole"))
                .help("Truncate answers in prompts, as chars:8000 or tokens:2048.")
                .details("Tokens are those of --tokenizer. Answers are scored, kept and returned whole."),
            option("tokenizer", Path, "FILE", Unset("none"))
                .help("The tokenizer.json for --truncate tokens:N."),
            option("parse-retries", U32, "TIMES", Value("2"))
                .help("Retries when an update cannot be parsed."),
            option("seed", U64, "SEED", Value("7"))
                .help("Seed from which all seeds are derived.")
                .study("seeds", &["1", "2", "3"])
                .common(),
            option("prompts", Path, "DIR", Unset("the built-in templates"))
                .help("Directory of prompt templates.")
                .details("They replace the built-in templates of the same names; see docs/prompt-packs.md."),
        ],
    },
    Group {
        table: "early-stop",
        title: "Early stopping",
        options: &[
            option("early-stop-target", Number, "SCORE", Unset("never"))
                .help("Stop when the best score is at least SCORE.")
                .details("Rules of early stopping hold per query and are checked after each iteration."),
            option("early-stop-patience", U32, "ITERATIONS", Unset("never"))
                .help("Stop when the best score has not risen for ITERATIONS."),
            option("early-stop-min-gain", Number, "SCORE", Unset("0"))
                .help("Smallest rise of the best score that --early-stop-patience counts."),
            option("early-stop-margin", Number, "SCORE", Unset("never"))
                .help("Stop when the newest answers are all within SCORE of the best."),
            option("early-stop-margin-patience", U32, "ITERATIONS", Unset("1"))
                .help("Consecutive iterations for which --early-stop-margin must hold."),
            option("early-stop-calls", U64, "REQUESTS", Unset("never"))
                .help("Stop after REQUESTS to language models."),
            option("early-stop-tokens", U64, "TOKENS", Unset("never"))
                .help("Stop after TOKENS, prompt and completion tokens together."),
            option("early-stop-seconds", Number, "SECONDS", Unset("never"))
                .help("Stop after SECONDS."),
            option("early-stop-money", Number, "MONEY", Unset("never"))
                .help("Stop when requests cost MONEY, by --prices."),
            option("prices", ObjectOrPath, "JSON|FILE", Unset("none"))
                .help("Prices per million tokens, by engine or model.")
                .details("JSON or a file of it: {\"gpt-x\": {\"input\": 2.5, \"cached\": 1.25, \"output\": 10}}."),
        ],
    },
    Group {
        table: "sampling",
        title: "Sampling",
        options: &[
            option("temperature", Number, "T", Value("0.7"))
                .help("Temperature of all requests, from 0 to 2.")
                .or_none()
                .study("temperatures", &["0.7"])
                .common(),
            option("critic-temperature", Number, "T", Unset("as temperature"))
                .help("Temperature of losses and gradients.")
                .or_none(),
            option("top-p", Number, "P", Value("0.95"))
                .help("Nucleus sampling of answers and rewrites.")
                .or_none(),
            option("critic-top-p", Number, "P", Value("0.99"))
                .help("Nucleus sampling of losses and gradients.")
                .or_none(),
            option("frequency-penalty", Number, "PENALTY", Unset("not sent"))
                .help("Frequency penalty, from -2 to 2.")
                .or_none(),
            option("presence-penalty", Number, "PENALTY", Unset("not sent"))
                .help("Presence penalty, from -2 to 2.")
                .or_none(),
            option("max-tokens", U32, "TOKENS", Value("2048"))
                .help("Maximum tokens of an answer or rewrite.")
                .or_none()
                .common(),
            option("critic-max-tokens", U32, "TOKENS", Value("8192"))
                .help("Maximum tokens of a loss or gradient.")
                .or_none(),
            option("no-stop-sequences", Bool, "BOOL", Value("false"))
                .help("Send no stop sequences."),
            option("no-seeds", Bool, "BOOL", Value("false"))
                .help("Send no seeds.")
                .details("The search itself still derives its decisions from --seed."),
            option("extra-body", Object, "JSON", Unset("none"))
                .help("Extra fields of every request, as '{\"top_k\": 40}'."),
        ],
    },
    Group {
        table: "engine",
        title: "Engine",
        options: &[
            option("engine", Text, "ENGINE", Value("sim"))
                .help("Policy: sim, PRESET/MODEL, URL#MODEL or openai.")
                .details(
                    "sim is a built-in simulation. PRESET/MODEL, as in anthropic/claude-haiku-4-5 or ollama/llama3, is \
                     a known server; its key comes from the environment. URL#MODEL, or openai with --base-url and \
                     --model, is any server with the OpenAI chat API.",
                )
                .common(),
            option("base-url", Text, "URL", Unset("that of the preset; http://localhost:8000/v1 for openai"))
                .help("Address of the server."),
            option("model", Text, "MODEL", Unset("the model in --engine"))
                .help("Name of the model.")
                .common(),
            option("critic", Text, "ENGINE", Unset("as engine"))
                .help("Engine of losses and gradients, as --engine."),
            option("optimizer", Text, "ENGINE", Unset("as engine"))
                .help("Engine of rewrites, as --engine."),
            option("max-tokens-field", FIELD, "FIELD", Unset("that of the preset; max_tokens for openai"))
                .help("Field of --max-tokens in requests: max_tokens or max_completion_tokens."),
            option("stream", Bool, "BOOL", Value("false")).help("Stream completions."),
            option("one-per-request", Bool, "BOOL", Value("false"))
                .help("Request completions one by one, each with a seed.")
                .details(
                    "For servers that return N equal completions (SGLang with --enable-deterministic-inference) or \
                     count the tokens of only one of them (llama.cpp).",
                ),
            option("proxy-loopback", Bool, "BOOL", Value("false"))
                .help("Send requests to this machine through the proxies of the environment.")
                .details("By default, localhost and loopback addresses are reached without a proxy."),
            option("timeout", U64, "SECONDS", Value("600"))
                .help("Timeout of a request to the engine or the reward model."),
            option("retries", U32, "TIMES", Value("5")).help("Retries of a failed request."),
            option("max-concurrent-requests", U32, "REQUESTS", Unset("no limit"))
                .help("Most requests to engines at the same time.")
                .details("This limit and the next two hold for all engines together."),
            option("requests-per-minute", U32, "REQUESTS", Unset("no limit"))
                .help("Most requests to engines per minute, evenly spread."),
            option("tokens-per-minute", U32, "TOKENS", Unset("no limit"))
                .help("Most tokens of requests to engines per minute, by estimate.")
                .details("The estimate of a request is a quarter of its bytes, and --max-tokens for each answer."),
            option("cache", Path, "FILE", Unset("none"))
                .help("Cache completions in this file, shared between runs.")
                .details(
                    "Several runs may use it at once; `textgrad cache` inspects it. Scores and truncated completions \
                     are not cached.",
                )
                .common(),
            option("sim-skill", Number, "SKILL", Unset("0.8"))
                .help("Skill of the simulated model, from 0 to 1."),
            option("sim-latency-ms", U64, "MS", Unset("0"))
                .help("Latency of the simulated model, in milliseconds."),
        ],
    },
    Group {
        table: "reward",
        title: "Reward model",
        options: &[
            option("reward", List, "REWARD", Unset("sim for engine sim; else required"))
                .help("Reward model: vllm, judge, sim, ... (repeatable).")
                .details(
                    "Servers: vllm (/classify; the server applies the chat template), vllm-text (for older vLLM), \
                     vllm-pooling, vllm-pooling-text, sglang, tei, openrlhf, nim; dpo (log-ratio of two models). \
                     An engine, that of the run or another: judge (grades), pairwise-judge (comparisons). Local: \
                     sim (reward model of the simulation), length, format, command. kl is a penalty that is subtracted from all \
                     others. Settings follow a colon, as in tei:url=http://localhost:8080,weight=2 or \
                     length:from=50,to=300,slack=25; the options below are their defaults. The scores of several \
                     reward models are combined. docs/rewards.md lists the settings of each.",
                )
                .common(),
            option("combine", COMBINE, "HOW", Unset("mean"))
                .help("Combine rewards by mean, min or pessimistic:LAMBDA.")
                .details(
                    "mean weighs them by their `weight`; pessimistic:LAMBDA is the mean minus LAMBDA times the \
                     standard deviation. `center` and `scale` of each reward make scales comparable.",
                ),
            option("reward-url", Text, "URL", Unset("http://localhost:8001"))
                .help("Address of the reward server.")
                .common(),
            option("reward-model", Text, "MODEL", Unset("none"))
                .help("Name of the reward model, for servers.")
                .common(),
            option("reward-template", Path, "FILE", Unset("none"))
                .help("Chat template of the reward model.")
                .details(
                    "For servers that do not apply it (vllm-text, vllm-pooling-text, sglang, openrlhf; tei, unless query \
                     and answer are sent as a pair): its tokenizer_config.json, a .jinja file, or the directory of either.",
                ),
            option("reward-attribute", Text, "NAME", Unset("reward"))
                .help("Attribute of a NIM reply that is the score."),
            option("reward-batch", AT_LEAST_1, "ANSWERS", Unset("16 for openrlhf, else 1"))
                .help("Answers per request."),
            option("reward-concurrency", AT_LEAST_1, "REQUESTS", Unset("64 requests, one program per core"))
                .help("Concurrent scoring requests or programs."),
            option("reward-requests-per-minute", U32, "REQUESTS", Unset("no limit"))
                .help("Most requests to each reward server per minute, evenly spread."),
            option("reward-command", Text, "PROGRAM", Unset("none"))
                .help("Program of --reward command.")
                .details(
                    "It runs once per answer, without a shell, in a directory of its own with answer.txt and query.txt; \
                     the answer is also on its standard input. The last line that it writes is the score.",
                ),
            option("reward-arg", Arguments, "ARG", Unset("none"))
                .help("Argument of that program (repeatable)."),
        ],
    },
    Group {
        table: "run",
        title: "Run",
        options: &[
            option("out", Path, "DIR", Unset("a new directory under runs; with built-in queries, none"))
                .help("Directory of the results.")
                .details("It must not hold a run, unless --resume or --extend is given. See docs/run-folder.md.")
                .common(),
            option("resume", Bool, "BOOL", Value("false"))
                .help("Continue the run in --out.")
                .common(),
            option("extend", Bool, "BOOL", Value("false"))
                .help("Extend the run in --out by iterations or queries.")
                .details(
                    "Only what is new is paid for, and the results are those of one run. All other settings must be the \
                     same.",
                ),
            option("concurrency", AT_LEAST_1, "QUERIES", Value("16"))
                .help("Queries searched at the same time.")
                .common(),
            option("no-preflight", Bool, "BOOL", Value("false"))
                .help("Start without a request to each server that checks it.")
                .details(
                    "The check sends one small request to each engine and reward server, and ends the run if one does \
                     not answer. With --resume and --extend it is left out. Its tokens count as sent in this run.",
                ),
            option("max-consecutive-failures", U32, "K", Value("10"))
                .help("End the run after K failures of one kind in a row; 0: never.")
                .details(
                    "They are counted per server, after retries. The run can be continued with --resume.",
                ),
            option("json", Bool, "BOOL", Value("false"))
                .help("Print the summary as one JSON object.")
                .details("It includes the answers where there is no directory for them.")
                .common(),
            option("raw", Bool, "BOOL", Value("false"))
                .help("Print answers as they are, control characters included.")
                .details("Else control characters are escaped, as in \\u{1b}."),
        ],
    },
];
