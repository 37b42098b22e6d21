//! `tpo compare`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use textgrad_core::{Sampling, truncate};
use textgrad_ops::util::terminal::note;
use tpo::bench::Grader;
use tpo::report::{AnswerPair, Comparison, Interval, Paired, Side};
use tpo::run::SettingDifference;
use tpo::{CancellationToken, Error, JudgeReward};

use crate::args::count;
use crate::bench::GRADES;
use crate::config::JudgeFlags;
use crate::context;
use crate::engines::Layers;
use crate::grade::graded;
use crate::inspect::{FigureArgs, open};
use crate::output::{print, print_data};
use crate::progress::Bar;
use crate::{blocking, signals};

/// Compare two runs over the same queries by their paired difference.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// Directory of one run.
    a: PathBuf,

    /// Directory of the other run.
    b: PathBuf,

    #[command(flatten)]
    figures: FigureArgs,

    /// Print the comparison as one JSON object.
    #[arg(long)]
    json: bool,

    /// LLM judge that compares the returned answers, in the form of --engine.
    ///
    /// It sees each pair of answers in both orders. Its replies are kept in `grades.jsonl` in the directory of one of
    /// the runs, and are not requested again. `--judge sim` is the simulation.
    #[arg(long, value_name = "ENGINE", help_heading = "Judge")]
    judge: Option<String>,

    /// Judge only the first K queries that both runs finished.
    ///
    /// Two different answers to a query take two requests.
    #[arg(
        long, value_name = "K", requires = "judge", help_heading = "Judge",
        allow_negative_numbers = true, value_parser = count,
    )]
    judge_limit: Option<u32>,

    #[command(flatten)]
    engine: JudgeFlags,
}

pub(crate) async fn compare(args: CompareArgs) -> Result<ExitCode, Error> {
    let read = read(&args);
    let (compared, answers) = blocking(read).await?;
    let judged = match &args.judge {
        Some(engine) => Some(judge(&args, engine, &answers).await?),
        None => None,
    };
    if args.json {
        let mut json = json!(compared);
        match (&mut json, &judged) {
            (_, None) => {}
            (Json::Object(fields), Some(judged)) => {
                fields.insert("judge".to_owned(), judged.json());
            }
            (json, Some(judged)) => *json = json!({ "judge": judged.json() }),
        }
        print_data(json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let level = args.figures.bootstrap().level;
    let mut lines = vec![format!("A: {}\nB: {}", args.a.display(), args.b.display())];
    if let Some(compared) = &compared {
        lines.extend(rewards(compared, level));
    }
    if let Some(judged) = &judged {
        lines.extend(judged.lines(level));
    }
    print(&(lines.join("\n") + "\n"))?;
    if let Some(warning) = compared.and_then(|compared| compared.warning()) {
        note(format_args!("warning: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the comparison by reward, and the answers for a judge. A judge also compares runs whose rewards do not
/// compare.
fn read(
    args: &CompareArgs,
) -> impl FnOnce() -> Result<(Option<Comparison>, Vec<AnswerPair>), Error> + Send + 'static {
    let (bootstrap, cost) = (args.figures.bootstrap(), args.figures.cost());
    let (a, b, is_judged) = (args.a.clone(), args.b.clone(), args.judge.is_some());
    move || {
        let (a, b) = (open(&a)?, open(&b)?);
        let compared = Comparison::read(&a, &b, &bootstrap, &cost);
        if !is_judged {
            return Ok((Some(compared?), Vec::new()));
        }
        let answers = Comparison::answers(&a, &b)?;
        match compared {
            Err(Error::NotComparable { reason, .. }) => {
                note(format_args!("warning: rewards are not compared: {reason}"));
                Ok((None, answers))
            }
            compared => Ok((Some(compared?), answers)),
        }
    }
}

/// The width of the first column.
const WIDTH: usize = 31;

fn rewards(compared: &Comparison, level: f64) -> Vec<String> {
    let mark = if compared.simulated { " (SIMULATION)" } else { "" };
    let (a, b) = (&compared.a, &compared.b);
    let mut lines = vec![format!("{} queries that both finished{mark}", compared.queries)];
    if compared.settings.is_empty() {
        lines.push("all settings are equal".to_owned());
    } else {
        lines.push(format!("{:<WIDTH$} {:>12} {:>12}", "settings that differ", "A", "B"));
        lines.extend(compared.settings.iter().map(|SettingDifference { setting, a, b }| {
            format!("  {setting:<29} {:>12} {:>12}", setting_value(a), setting_value(b))
        }));
    }
    let equal = "at an equal number of answers:";
    let pairs = [("", &compared.reward), (equal, &compared.equal_budget)];
    for (title, reward) in
        pairs.into_iter().filter_map(|(title, pair)| Some((title, pair.as_ref()?)))
    {
        lines.extend(Some(title.to_owned()).filter(|title| !title.is_empty()));
        lines.extend(wins(reward, level));
        let difference = interval(&reward.difference, level, reward.queries());
        lines.push(format!("{:<WIDTH$} {difference}", "mean reward difference (A - B)"));
    }
    lines.push(format!("{:<WIDTH$} {:>12} {:>12}", "", "A", "B"));
    let mut row = |name: &str, digits: usize, of: &dyn Fn(&Side) -> Option<f64>| {
        let text = |side| of(side).map_or("-".to_owned(), |number| format!("{number:.digits$}"));
        lines.push(format!("{name:<WIDTH$} {:>12} {:>12}", text(a), text(b)));
    };
    let each = |tokens: u64| Some(tokens as f64 / compared.queries.max(1) as f64);
    row("mean reward", 3, &|side| side.reward);
    row("requests per query", 1, &|side| side.requests);
    row("answers per query", 1, &|side| side.answers);
    row("prompt tokens per query", 0, &|side| each(side.tokens.prompt_tokens));
    row("completion tokens per query", 0, &|side| each(side.tokens.completion_tokens));
    row("PFLOPs per query", 4, &|side| side.pflops);
    row("seconds of calls per query", 3, &|side| side.call_seconds);
    row("queries failed", 0, &|side| Some(side.failed as f64));
    lines
}

fn wins(pairs: &Paired, level: f64) -> [String; 2] {
    let (wins, ties, losses) = (pairs.wins, pairs.ties, pairs.losses);
    let rate = interval(&pairs.win_rate, level, pairs.queries());
    [
        format!("{:<WIDTH$} {wins} / {ties} / {losses}", "wins / ties / losses of A"),
        format!("{:<WIDTH$} {rate}", "win rate of A"),
    ]
}

/// A mean with its confidence interval and the number of pairs.
fn interval(interval: &Interval, level: f64, queries: usize) -> String {
    let Interval { mean, low, high } = interval;
    format!("{mean:.3} ({}% CI {low:.3} to {high:.3}, n = {queries})", level * 100.0)
}

/// A setting in a column: strings without quotes, nothing as a dash.
fn setting_value(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => truncate(text, 60),
        other => truncate(&other.to_string(), 60),
    }
}

/// The verdicts of a judge.
struct Judged {
    judge: String,
    is_simulation: bool,
    /// None if no query was finished by both.
    pairs: Option<Paired>,
}

impl Judged {
    fn lines(&self, level: f64) -> Vec<String> {
        let mark = if self.is_simulation { " (SIMULATION)" } else { "" };
        let mut lines = vec![format!("judged by {} in both orders{mark}:", self.judge)];
        lines.extend(self.pairs.iter().flat_map(|pairs| wins(pairs, level)));
        lines
    }

    fn json(&self) -> Json {
        let pairs = self.pairs.as_ref();
        json!({
            "judge": self.judge,
            "simulated": self.is_simulation,
            "queries": pairs.map_or(0, Paired::queries),
            "wins": pairs.map(|pairs| pairs.wins),
            "ties": pairs.map(|pairs| pairs.ties),
            "losses": pairs.map(|pairs| pairs.losses),
            "win_rate": pairs.map(|pairs| pairs.win_rate),
        })
    }
}

/// Has a judge compare pairs of answers, a bounded number at a time.
async fn judge(args: &CompareArgs, engine: &str, answers: &[AnswerPair]) -> Result<Judged, Error> {
    let settings = &args.engine.0;
    let limit = args.judge_limit.map_or(usize::MAX, |limit| limit as usize);
    let answers = answers.get(..limit.min(answers.len())).unwrap_or_default();
    let layers = Layers::open(settings).await?;
    let engine = layers.other("judge", engine, None).await?;
    let (name, is_simulation) = (engine.name().to_owned(), engine.is_simulation());
    let judge = JudgeReward::builder(engine)
        .pairwise()
        .sampling(Sampling::default().with_temperature(0.0))
        .prompts(context::prompts(settings.path("prompts").as_deref()).await?)
        .build()?;
    if !settings.flag("no-preflight") {
        layers.servers.probe(&layers.cancel).await?;
    }
    let grader = Grader::new(Arc::new(judge)).keeping(&home(args).join(GRADES)).await?;
    let bar = Bar::new(layers.meter.clone(), layers.bill.clone());
    signals::listen(layers.cancel.clone(), CancellationToken::new(), bar.clone());
    let different = answers.iter().filter(|pair| pair.a != pair.b).count();
    note(format_args!("judge {name}: {different} pairs of different answers"));
    let scored = answers.iter().map(async |pair| {
        let scores = grader.scores(pair.index, &pair.query, &[&pair.a, &pair.b]).await?;
        let both = scores.first().copied().zip(scores.last().copied());
        Ok((both, usize::from(pair.a != pair.b)))
    });
    let whole = (different, "pairs");
    let scored = graded(&layers, &bar, whole, settings.value("concurrency")?, scored).await?;
    let scored: Vec<(f64, f64)> = scored.into_iter().flatten().collect();
    let pairs = Paired::of(&scored, &args.figures.bootstrap());
    Ok(Judged { judge: name, is_simulation, pairs })
}

/// The directory of the replies: the same whichever run is named first.
fn home(args: &CompareArgs) -> &Path {
    let path = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
    if path(&args.a) <= path(&args.b) { &args.a } else { &args.b }
}
