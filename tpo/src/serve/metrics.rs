//! Figures of a server, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use parking_lot::Mutex;
use textgrad_core::{Purpose, Usage};

use crate::search::UsageRecord;

/// Upper bounds of the durations of requests, in seconds.
const BOUNDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The end of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SearchEnd {
    /// All iterations, or a rule of early stopping.
    Complete,
    /// The first answers were good enough.
    Gated,
    /// The best answer until a deadline, a budget or a failure.
    Partial,
    Failed,
    /// The client went away.
    Cancelled,
}

impl SearchEnd {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Gated => "gated",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The figures of a server since its start.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Figures>);

#[derive(Debug, Default)]
struct Figures {
    /// Requests by endpoint and status.
    requests: BTreeMap<(&'static str, u16), u64>,
    /// Refused requests by key, for limits.
    refused: BTreeMap<String, u64>,
    searches: BTreeMap<SearchEnd, u64>,
    /// Requests that the policy served without a search, by their end.
    passed: BTreeMap<&'static str, u64>,
    durations: Histogram,
    upstream: BTreeMap<Purpose, (u64, Usage)>,
    scored: u64,
    /// Sums over answered searches: the best score of the first sampling, and of the answer.
    first_score: f64,
    best_score: f64,
    money: f64,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, seconds: f64) {
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        self.count += 1;
        self.sum += seconds;
    }
}

/// What is in the server now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    pub(crate) in_flight: usize,
    pub(crate) queued: usize,
    pub(crate) connections: usize,
    pub(crate) ready: bool,
}

impl Metrics {
    pub(crate) fn request(&self, endpoint: &'static str, status: u16) {
        *self.0.lock().requests.entry((endpoint, status)).or_default() += 1;
    }

    /// A request that a limit refused.
    pub(crate) fn refused(&self, key: &str) {
        *self.0.lock().refused.entry(key.to_owned()).or_default() += 1;
    }

    /// A request that was passed to the policy.
    pub(crate) fn passed(&self, end: &'static str) {
        *self.0.lock().passed.entry(end).or_default() += 1;
    }

    pub(crate) fn search(&self, end: SearchEnd, elapsed: Duration) {
        let mut figures = self.0.lock();
        *figures.searches.entry(end).or_default() += 1;
        figures.durations.add(elapsed.as_secs_f64());
    }

    /// The best scores of a search, first and last.
    pub(crate) fn scores(&self, first: f64, best: f64) {
        let mut figures = self.0.lock();
        figures.first_score += first;
        figures.best_score += best;
    }

    pub(crate) fn usage(&self, usage: &UsageRecord, money: Option<f64>) {
        let mut figures = self.0.lock();
        figures.scored += usage.scored;
        figures.money += money.unwrap_or_default();
        for (purpose, used) in &usage.by_purpose {
            let (requests, tokens) = figures.upstream.entry(*purpose).or_default();
            *requests += used.requests;
            *tokens += used.tokens;
        }
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self, load: Load) -> String {
        let figures = self.0.lock();
        let mut text = Text::default();
        text.family("tpo_requests_total", "counter", "Requests by endpoint and status.");
        for ((endpoint, status), count) in &figures.requests {
            text.sample(&format!("{{endpoint=\"{endpoint}\",status=\"{status}\"}}"), *count as f64);
        }
        text.family("tpo_refused_total", "counter", "Requests that a limit refused, by key.");
        for (key, count) in &figures.refused {
            text.sample(&format!("{{key=\"{}\"}}", label(key)), *count as f64);
        }
        text.family("tpo_searches_total", "counter", "Searches by their end.");
        for (end, count) in &figures.searches {
            text.sample(&format!("{{end=\"{}\"}}", end.as_str()), *count as f64);
        }
        text.family("tpo_passed_total", "counter", "Requests passed to the policy by their end.");
        for (end, count) in &figures.passed {
            text.sample(&format!("{{end=\"{end}\"}}"), *count as f64);
        }
        let durations = &figures.durations;
        text.family("tpo_search_duration_seconds", "histogram", "Duration of searches.");
        for (bound, bucket) in BOUNDS.iter().zip(durations.buckets) {
            text.named("_bucket", &format!("{{le=\"{bound}\"}}"), bucket as f64);
        }
        text.named("_bucket", "{le=\"+Inf\"}", durations.count as f64);
        text.named("_sum", "", durations.sum);
        text.named("_count", "", durations.count as f64);
        text.family(
            "tpo_upstream_requests_total",
            "counter",
            "Answered model requests by purpose.",
        );
        for (purpose, (requests, _)) in &figures.upstream {
            text.sample(&format!("{{purpose=\"{purpose}\"}}"), *requests as f64);
        }
        text.family("tpo_upstream_tokens_total", "counter", "Tokens by purpose and kind.");
        for (purpose, (_, tokens)) in &figures.upstream {
            for (kind, count) in [
                ("prompt", tokens.prompt_tokens),
                ("completion", tokens.completion_tokens),
                ("cached", tokens.cached_tokens),
            ] {
                let labels = format!("{{purpose=\"{purpose}\",kind=\"{kind}\"}}");
                text.sample(&labels, count as f64);
            }
        }
        for (name, kind, help, value) in [
            (
                "tpo_scored_total",
                "counter",
                "Answers that the reward model scored.",
                figures.scored as f64,
            ),
            ("tpo_money_total", "counter", "Cost of model requests, by --prices.", figures.money),
            ("tpo_first_score_sum", "gauge", "Sum of the best first scores.", figures.first_score),
            (
                "tpo_best_score_sum",
                "gauge",
                "Sum of the scores of returned answers.",
                figures.best_score,
            ),
            ("tpo_in_flight", "gauge", "Requests in flight.", load.in_flight as f64),
            ("tpo_queued", "gauge", "Requests that wait.", load.queued as f64),
            ("tpo_connections", "gauge", "Open connections.", load.connections as f64),
            ("tpo_ready", "gauge", "Whether new requests are taken.", f64::from(load.ready)),
        ] {
            text.family(name, kind, help);
            text.sample("", value);
        }
        text.out
    }
}

/// The text under construction, and the name of the family at its end.
#[derive(Default)]
struct Text {
    out: String,
    family: &'static str,
}

impl Text {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, labels: &str, value: f64) {
        self.named("", labels, value);
    }

    fn named(&mut self, suffix: &str, labels: &str, value: f64) {
        let _ = writeln!(self.out, "{}{suffix}{labels} {value}", self.family);
    }
}

/// A text as the value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_families_with_their_samples() {
        let metrics = Metrics::default();
        metrics.request("/v1/chat/completions", 200);
        metrics.request("/v1/chat/completions", 200);
        metrics.refused("a\"b");
        metrics.search(SearchEnd::Gated, Duration::from_millis(200));
        metrics.scores(0.5, 1.5);
        let mut usage = UsageRecord::default();
        usage.add_call(
            Purpose::Sample,
            Usage { prompt_tokens: 3, completion_tokens: 4, ..Usage::default() },
        );
        metrics.usage(&usage, Some(0.25));
        let text = metrics.text(Load { in_flight: 2, ready: true, ..Load::default() });
        for line in [
            "# TYPE tpo_requests_total counter",
            "tpo_requests_total{endpoint=\"/v1/chat/completions\",status=\"200\"} 2",
            "tpo_refused_total{key=\"a\\\"b\"} 1",
            "tpo_searches_total{end=\"gated\"} 1",
            "tpo_search_duration_seconds_bucket{le=\"0.1\"} 0",
            "tpo_search_duration_seconds_bucket{le=\"0.25\"} 1",
            "tpo_search_duration_seconds_bucket{le=\"+Inf\"} 1",
            "tpo_search_duration_seconds_sum 0.2",
            "tpo_upstream_tokens_total{purpose=\"sample\",kind=\"completion\"} 4",
            "tpo_best_score_sum 1.5",
            "tpo_money_total 0.25",
            "tpo_in_flight 2",
            "tpo_ready 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
