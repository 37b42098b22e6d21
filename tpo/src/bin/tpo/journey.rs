//! Journey of one query through a search, step by step, a table of all queries, and commands to continue with.

use std::path::Path;

use textgrad_ops::util::terminal::escape_line;
use tpo::Summary;
use tpo::run::ResultRecord;
use tpo::{CandidateRecord, IterationRecord, Trajectory};

/// Columns of the output.
pub(crate) const WIDTH: usize = 80;

/// Columns of the labels before texts.
const LABELS: usize = 20;

/// The most lines of one text, and those of its beginning and end that are shown of a longer one.
const MAX_LINES: usize = 6;
const HEAD: usize = 3;
const TAIL: usize = 2;

/// The most iterations with a column in the table.
const MAX_COLUMNS: u32 = 3;

/// The fewest columns of a score in the table.
const SCORE: usize = 8;

/// The method, in a sentence.
const METHOD: &str = "\
TPO samples answers, lets a model say why the best is better than the worst and
what to change, and rewrites the best. Here is the query that gained the most:";

/// The journey of one query, and a table of all.
pub(crate) fn text(records: &[ResultRecord], summary: &Summary) -> String {
    let mut journey = Journey::default();
    if let Some(record) = most_improved(records) {
        if record.trajectory.iterations.iter().any(|step| step.gradient.is_some()) {
            journey.lines.extend([METHOD.to_owned(), String::new()]);
        }
        journey.query(record, records.len());
    }
    journey.table(records, summary);
    journey.lines.join("\n") + "\n"
}

/// The record whose search improved an answer by the most; without iterations, the first with an answer.
fn most_improved(records: &[ResultRecord]) -> Option<&ResultRecord> {
    let gain = |record: &ResultRecord| Some(largest_step(&record.trajectory)?.1);
    let gains = records.iter().filter_map(|record| Some((record, gain(record)?)));
    let best = gains.reduce(|best, other| if other.1 > best.1 { other } else { best });
    let answered = || records.iter().find(|record| record.best.is_some());
    best.map(|(record, _)| record).or_else(answered)
}

/// The comparison whose new answers gained the most over the answer that it rewrote, and the gain.
fn largest_step(trajectory: &Trajectory) -> Option<(&IterationRecord, f64)> {
    let gain = |step: &IterationRecord| {
        let chosen = trajectory.candidates.get(step.chosen)?;
        Some(best_of(trajectory, step.iteration)?.score - chosen.score)
    };
    let gains = trajectory.iterations.iter().filter_map(|step| Some((step, gain(step)?)));
    gains.reduce(|best, other| if other.1 > best.1 { other } else { best })
}

/// The best answer of an iteration.
fn best_of(trajectory: &Trajectory, iteration: u32) -> Option<&CandidateRecord> {
    let new = trajectory.candidates.iter().filter(|answer| answer.iteration == iteration);
    new.reduce(|best, other| if other.score > best.score { other } else { best })
}

fn scores<'a>(answers: impl Iterator<Item = &'a CandidateRecord>) -> String {
    answers.map(|answer| format!("{:.2}", answer.score)).collect::<Vec<_>>().join(", ")
}

#[derive(Default)]
struct Journey {
    lines: Vec<String>,
    steps: usize,
}

impl Journey {
    fn query(&mut self, record: &ResultRecord, total: usize) {
        let trajectory = &record.trajectory;
        let of = |iteration| trajectory.candidates.iter().filter(move |a| a.iteration == iteration);
        self.block(&format!("QUERY {} of {total}", record.index + 1), record.query.text());

        let count = of(0).count();
        self.step(
            "SAMPLE",
            &format!("{}, scored by the reward model (higher is better):", answers(count, "")),
        );
        self.block("", &scores(of(0)));
        if let Some(first) = trajectory.candidates.first() {
            self.answer("first", first);
        }
        let shown = largest_step(trajectory).map(|(step, _)| step);
        if let Some(step) = shown {
            self.iteration(trajectory, step);
            self.conclusion(trajectory, step);
        }
        let new = shown.and_then(|step| best_of(trajectory, step.iteration));
        if let Some(best) = &record.best
            && new.is_none_or(|new| new.text != best.text)
        {
            self.lines.push(String::new());
            self.block(&format!("{:<11} {:>6.2}", "BEST ANSWER", best.score), &best.text);
        }
        self.lines.push(String::new());
    }

    fn iteration(&mut self, trajectory: &Trajectory, step: &IterationRecord) {
        let answer = |index: usize| trajectory.candidates.get(index);
        if !step.losses.is_empty() || step.gradient.is_some() {
            self.step("COMPARE", compared(trajectory, step));
            if let Some(chosen) = answer(step.chosen) {
                self.answer("chosen", chosen);
            }
            for rejected in step.rejected.iter().filter_map(|index| answer(*index)).take(1) {
                self.answer("rejected", rejected);
            }
        }
        let other = match step.critique_of {
            Some(query) => format!(" (of query {})", query + 1),
            None => String::new(),
        };
        if let Some(loss) = step.losses.first() {
            let question = match step.rejected.is_empty() {
                true => "What is good and bad about the chosen answer?",
                false => "Why is the chosen answer better than the rejected one?",
            };
            self.step("LOSS", &format!("{question}{other}"));
            self.block("", loss);
        }
        if let Some(gradient) = &step.gradient {
            self.step("GRADIENT", &format!("What should the chosen answer change?{other}"));
            self.block("", gradient);
        }
        let new = trajectory.candidates.iter().filter(|answer| answer.iteration == step.iteration);
        let new: Vec<&CandidateRecord> = new.collect();
        self.step(
            "UPDATE",
            &format!("{}, scored by the reward model:", answers(new.len(), "new ")),
        );
        self.block("", &scores(new.into_iter()));
        if let Some(best) = best_of(trajectory, step.iteration) {
            self.answer("best", best);
        }
    }

    /// The number of an iteration, and the best score after each one.
    fn conclusion(&mut self, trajectory: &Trajectory, step: &IterationRecord) {
        let depth = depth(trajectory);
        let best = (0..=depth).filter_map(|iteration| trajectory.best_score_by(iteration));
        let best: Vec<String> = best.map(|score| format!("{score:.2}")).collect();
        let steps = match self.steps {
            2 => "Step 2 is".to_owned(),
            last => format!("Steps 2 to {last} are"),
        };
        self.lines.push(String::new());
        self.paragraph(&format!(
            "{steps} iteration {} of {depth}. The best score after the samples and after each iteration: {}.",
            step.iteration,
            best.join(", ")
        ));
    }

    fn table(&mut self, records: &[ResultRecord], summary: &Summary) {
        let last = summary.best_by_iteration.len().saturating_sub(1) as u32;
        let iterations: Vec<u32> = match last {
            0..=MAX_COLUMNS => (1..=last).collect(),
            _ => vec![1, last / 2, last],
        };
        let samples = records.iter().map(sampled).max().unwrap_or(0);
        let mut head = vec!["first".to_owned(), format!("best of {samples}")];
        head.extend(iterations.iter().map(|iteration| format!("iter. {iteration}")));
        let columns: Vec<usize> = head.iter().map(|name| SCORE.max(name.len() + 2)).collect();
        self.row("ALL QUERIES: best score so far", &columns, &head);
        for record in records {
            let trajectory = &record.trajectory;
            let after = |iteration| trajectory.best_score_by(iteration);
            let mut scores = vec![trajectory.candidates.first().map(|first| first.score), after(0)];
            scores.extend(iterations.iter().map(|iteration| after(*iteration)));
            self.row(record.query.text(), &columns, &cells(&scores));
        }
        let mut means = vec![summary.first_sample, summary.best_of_n];
        let mean = |iteration: &u32| summary.best_by_iteration.get(*iteration as usize).copied();
        means.extend(iterations.iter().map(mean));
        self.row("mean", &columns, &cells(&means));
    }

    fn step(&mut self, name: &str, what: &str) {
        self.steps += 1;
        self.lines.push(String::new());
        self.block(&format!("{}. {name}", self.steps), what);
    }

    fn answer(&mut self, label: &str, answer: &CandidateRecord) {
        self.block(&format!("   {label:<8} {:>6.2}", answer.score), &answer.text);
    }

    /// A text behind a label, wrapped and cut.
    fn block(&mut self, label: &str, text: &str) {
        let mut lines = wrapped(text, WIDTH - LABELS);
        if lines.len() > MAX_LINES {
            lines.splice(HEAD..lines.len() - TAIL, ["[...]".to_owned()]);
        }
        let labels = std::iter::once(label).chain(std::iter::repeat(""));
        let columns = LABELS - 2;
        let lines = labels.zip(lines).map(|(label, line)| format!("{label:<columns$}  {line}"));
        self.lines.extend(lines);
    }

    fn paragraph(&mut self, text: &str) {
        self.lines.extend(wrapped(text, WIDTH));
    }

    /// A row of the table: a text, cut, and cells in so many columns each.
    fn row(&mut self, text: &str, columns: &[usize], cells: &[String]) {
        let rest = WIDTH.saturating_sub(columns.iter().sum());
        let mut lines = wrapped(text, rest.saturating_sub(4)).into_iter();
        let mut name = lines.next().unwrap_or_default();
        if lines.next().is_some() {
            name.push_str(" ...");
        }
        let padding = rest.saturating_sub(textwrap::core::display_width(&name));
        let cells = columns.iter().zip(cells).map(|(columns, cell)| format!("{cell:>columns$}"));
        self.lines.push(format!("{name}{}{}", " ".repeat(padding), cells.collect::<String>()));
    }
}

/// The answers of a comparison, in words.
fn compared(trajectory: &Trajectory, step: &IterationRecord) -> &'static str {
    let before = trajectory.candidates.iter().filter(|answer| answer.iteration < step.iteration);
    let scores: Vec<f64> = before.map(|answer| answer.score).collect();
    let score = |index: &usize| trajectory.candidates.get(*index).map(|answer| answer.score);
    let is_best = score(&step.chosen) == scores.iter().copied().reduce(f64::max);
    let rejected = step.rejected.first();
    let is_worst = rejected.and_then(score) == scores.iter().copied().reduce(f64::min);
    match (is_best, rejected) {
        (true, Some(_)) if is_worst => "the best answer so far with the worst:",
        (true, None) => "the best answer so far, alone:",
        (_, None) => "an answer to rewrite, alone:",
        (_, Some(_)) => "an answer to rewrite with a rejected one:",
    }
}

/// The lines of a text, escaped, in so many columns.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let escaped = lines.map(|line| escape_line(&line.replace('\t', "    ")).into_owned());
    let wrap = |line: String| -> Vec<String> {
        textwrap::wrap(&line, columns).into_iter().map(|line| line.into_owned()).collect()
    };
    escaped.flat_map(wrap).collect()
}

fn cells(scores: &[Option<f64>]) -> Vec<String> {
    scores.iter().map(|score| score.map_or("-".to_owned(), |score| format!("{score:.2}"))).collect()
}

/// Answers of the first sampling.
fn sampled(record: &ResultRecord) -> usize {
    record.trajectory.candidates.iter().filter(|answer| answer.iteration == 0).count()
}

/// The number of iterations of a search.
fn depth(trajectory: &Trajectory) -> u32 {
    trajectory.iterations.iter().map(|step| step.iteration).max().unwrap_or(0)
}

/// Commands to continue with.
pub(crate) struct NextCommands<'a> {
    /// The program as it was called.
    pub(crate) program: &'a str,
    /// Whether the engine of this run is the simulation.
    pub(crate) simulated: bool,
    /// A model that is served on this machine.
    pub(crate) served: Option<String>,
    /// The flags of engine and reward model that were given.
    pub(crate) flags: String,
    /// The directory of this run.
    pub(crate) folder: Option<&'a Path>,
}

impl NextCommands<'_> {
    pub(crate) fn text(&self) -> String {
        let Self { program, simulated, served, flags, folder } = self;
        let mut lines = vec!["WHAT TO TYPE NEXT".to_owned()];
        let mut add = |what: &str, commands: &[&str]| {
            lines.push(format!("# {what}"));
            lines.extend(commands.iter().map(|command| format!("{program} {command}")));
        };
        let engine = served.as_deref().unwrap_or("vllm");
        if *simulated {
            add(
                "A real model: list servers, then name one, and what scores its answers",
                &["engines", &format!("run --engine {engine} --reward judge")],
            );
        }
        add(
            "Your own queries: JSON, JSONL, CSV, or text with one per line",
            &[&format!("run --data prompts.txt --out runs/first{flags}")],
        );
        let shown = folder.map_or("runs/first".into(), |folder| folder.display().to_string());
        add("A page with figures, answers and feedback", &[&format!("report {shown}")]);
        add(
            "TPO and best-of-N with the same number of answers",
            &[&format!("study --modes tpo,bon --seeds 1{flags}")],
        );
        lines.join("\n") + "\n"
    }
}

fn answers(count: usize, kind: &str) -> String {
    format!("{count} {kind}answer{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_their_columns_in_any_script() {
        for text in ["很".repeat(200), "x".repeat(200), "word ".repeat(40), "\u{1b}[2J\t".repeat(9)]
        {
            for line in wrapped(&text, 60) {
                assert!(textwrap::core::display_width(&line) <= 60, "{line}");
                assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
    }

    #[test]
    fn long_texts_show_their_beginning_and_their_end() {
        let mut journey = Journey::default();
        let text: Vec<String> = (1..=9).map(|number| format!("line {number}")).collect();
        journey.block("label", &text.join("\n"));
        let shown: Vec<&str> =
            journey.lines.iter().map(|line| line.get(LABELS..).unwrap().trim()).collect();
        assert_eq!(shown, ["line 1", "line 2", "line 3", "[...]", "line 8", "line 9"]);
        assert!(journey.lines[0].starts_with("label "));
    }
}
