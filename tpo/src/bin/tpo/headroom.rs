//! `tpo headroom`.

use std::process::ExitCode;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use textgrad_core::Seed;
use textgrad_ops::util::terminal::note;
use tpo::bench::Grader;
use tpo::report::{Bootstrap, Headroom, Interval, SampleScores};
use tpo::run::{ResultRecord, RunConfig, RunFolder, Status};
use tpo::{Error, Mode, Query, TpoConfig};

use crate::args::HeadroomArgs;
use crate::context::{self, RunContext};
use crate::output::{self, line, print, print_data};
use crate::rewards::{self, RewardContext};
use crate::{blocking, run};

/// The file of the second scores in the directory of the run.
const SECOND_SCORES: &str = "second-scores.jsonl";

/// Samples per query, unless `--samples` says otherwise.
pub(crate) const SAMPLES: &str = "8";

/// Parts of the gain for which the number of queries is printed, if no differences are named.
const PARTS: [f64; 4] = [1.0, 0.5, 0.25, 0.1];

/// The samples of a query.
struct Sampled {
    index: usize,
    query: Query,
    texts: Vec<String>,
    scores: Vec<f64>,
}

impl Sampled {
    /// None for a query that failed.
    fn of(record: &ResultRecord) -> Option<Self> {
        let sampled = &record.trajectory.candidates;
        (record.status == Status::Ok).then(|| Self {
            index: record.index,
            query: record.query.clone(),
            texts: sampled.iter().map(|answer| answer.text.clone()).collect(),
            scores: sampled.iter().map(|answer| answer.score).collect(),
        })
    }
}

/// Runs best-of-N, scores the samples of a judge again, and prints what a search can gain.
pub(crate) async fn headroom(args: HeadroomArgs) -> Result<ExitCode, Error> {
    let settings = args.settings.0.or_default("mode", Mode::Bon.as_str());
    let settings = &settings.or_default("samples", SAMPLES);
    let mode: Mode = settings.value("mode")?;
    if mode != Mode::Bon {
        return Err(Error::config(
            "mode",
            "bon: headroom is measured without a search",
            mode.as_str(),
        ));
    }
    let samples: u32 = settings.value("samples")?;
    if samples < 2 {
        return Err(Error::config(
            "samples",
            "at least 2: one sample has no spread",
            samples.to_string(),
        ));
    }
    let (source, queries) = context::queries(settings).await?;
    let prompts = context::prompts(settings.path("prompts").as_deref()).await?;
    let context = RunContext::new(settings, prompts).await?;
    if context.reward.is_relative() {
        let expected = "a reward model whose scores compare across samples, such as judge";
        return Err(Error::config("reward", expected, context.reward.name()));
    }
    let asks_engines = RunConfig::new(&context.tpo, &source, &queries).scores.asked;
    // The same judge with other seeds. Other reward models do not depend on seeds.
    let search = context.tpo.config().clone();
    let seed = Seed::new(search.seed).child("second scoring", 0).value();
    let search = TpoConfig { seed, ..search };
    let second = RewardContext { search: &search, ..context.reward_context() };
    let second = rewards::reward(&second).await?;
    let is_judge = asks_engines && second.identity() != context.reward.identity();
    context.preflight().await?;

    let mut sampled = Vec::new();
    let on_record = |record: &ResultRecord| sampled.extend(Sampled::of(record));
    let done = run::align(&context, &source, queries, run::Parts::default(), on_record).await?;
    if !done.is_complete() {
        context.layers.flush().await;
        return run::code(done);
    }
    let mut grader = is_judge.then(|| Grader::new(Arc::clone(&second)));
    if let (Some(folder), Some(given)) = (&done.folder, grader.take()) {
        grader = Some(given.keeping(&folder.path().join(SECOND_SCORES)).await?);
    }
    let scored = second_scores(&sampled, grader.as_ref(), settings.value("concurrency")?);
    let Some(scored) = context.layers.until_cancelled(scored).await? else {
        output::interrupted(sampled.len(), sampled.len(), done.folder.as_ref());
        note("the answers are not scored again yet");
        return Err(Error::Stopped);
    };
    let bootstrap = Bootstrap::default();
    let found = blocking(move || Ok(Headroom::of(&scored, &bootstrap))).await?;
    let Some(found) = found else {
        let reason = "expected a query with at least two samples, got none".to_owned();
        return Err(Error::input(source, reason));
    };
    let differences = differences(&args.difference, &found);
    let sent = context.layers.meter.snapshot();
    if settings.flag("json") {
        let needed = differences.iter().map(|difference| {
            json!({ "difference": difference, "queries": found.queries_for(*difference) })
        });
        let needed: Vec<_> = needed.collect();
        let smallest = found.smallest_difference(found.queries);
        print_data(json!({
            "simulated": context.tpo.is_simulation(),
            "headroom": found,
            "needed": needed,
            "smallest_difference": smallest,
            "sent": sent,
        }))?;
    } else {
        print(&text(&found, &differences, context.tpo.is_simulation(), is_judge))?;
        line(format_args!("requests sent: {}", sent.requests))?;
        if let Some(folder) = done.folder.as_ref().map(RunFolder::path) {
            line(format_args!("samples: {}", folder.display()))?;
        }
    }
    for warning in found.warnings() {
        note(format_args!("warning: {warning}"));
    }
    run::code(done)
}

/// The scores of each query, with those of a second scoring if there is a grader.
async fn second_scores(
    sampled: &[Sampled],
    grader: Option<&Grader>,
    concurrency: usize,
) -> Result<Vec<SampleScores>, Error> {
    let scored = sampled.iter().map(async |query| {
        let Sampled { index, query, texts, scores } = query;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let again = match grader {
            Some(grader) => grader.scores(*index, query, &texts).await?,
            None => Vec::new(),
        };
        Ok::<_, Error>(SampleScores { scores: scores.clone(), again })
    });
    stream::iter(scored).buffered(concurrency.max(1)).try_collect().await
}

/// The differences that are named, else parts of the gain.
fn differences(named: &[f64], found: &Headroom) -> Vec<f64> {
    match (named, found.gain()) {
        ([], Some(gain)) if gain.mean > 0.0 => PARTS.map(|part| part * gain.mean).to_vec(),
        (named, _) => named.to_vec(),
    }
}

/// The width of the first column.
const WIDTH: usize = 26;

fn text(found: &Headroom, differences: &[f64], is_simulated: bool, is_judge: bool) -> String {
    let mark = if is_simulated { " (SIMULATION)" } else { "" };
    let (queries, samples) = (found.queries, found.samples);
    let mut lines = vec![format!("headroom{mark}: {queries} queries with {samples} samples")];
    let mut row = |name: &str, value: String| lines.push(format!("{name:<WIDTH$} {value}"));
    row("mean of all samples", interval(&found.mean));
    for best in found.best.iter().filter(|best| best.samples > 1) {
        row(&format!("expected best of {}", best.samples), interval(&best.reward));
    }
    if let Some(best) = found.best.last() {
        row("gain of that best", interval(&best.gain));
    }
    if let Some(noise) = &found.noise {
        row("  by the second scores", interval(&noise.gain));
    }
    row("queries without spread", format!("{:.0} %", 100.0 * found.without_spread));
    row("spread within a query", format!("{:.3} (standard deviation)", found.spread));
    match &found.noise {
        Some(noise) => {
            let share = 100.0 * noise.share;
            row(
                "noise of the judge",
                format!(
                    "{:.3} (standard deviation), {share:.0} % of the variance",
                    noise.deviation
                ),
            );
        }
        None if !is_judge => {
            row("noise of the scores", "not measured: the reward model is no judge".to_owned());
        }
        None => {}
    }
    lines.push("queries that show a difference (power 80 %, paired, two-sided at 5 %)".to_owned());
    for difference in differences {
        let needed = found.queries_for(*difference).map_or("-".to_owned(), |n| n.to_string());
        lines.push(format!("  {difference:<24.3} {needed}"));
    }
    if let Some(smallest) = found.smallest_difference(found.queries) {
        lines.push(format!("these {queries} queries show a difference of {smallest:.3} or more"));
    }
    lines.join("\n") + "\n"
}

/// A mean with its confidence interval.
fn interval(interval: &Interval) -> String {
    let Interval { mean, low, high } = interval;
    format!("{mean:.3} (95% CI {low:.3} to {high:.3})")
}
