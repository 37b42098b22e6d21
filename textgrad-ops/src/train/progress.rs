//! Progress bars.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use super::observe::{Phase, TrainEvent, TrainObserver};
use super::record::StepOutcome;

/// Shows a training as two bars on standard error: its steps, and the examples that are being worked on.
/// Nothing is shown where standard error is no terminal.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::train::{ProgressBars, TrainObserver};
///
/// let observer: Arc<dyn TrainObserver> = Arc::new(ProgressBars::new());
/// # let _ = observer;
/// ```
#[derive(Debug)]
pub struct ProgressBars {
    steps: ProgressBar,
    examples: ProgressBar,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    score: Option<f64>,
    accepted: usize,
    reverted: usize,
    failed: usize,
}

impl Default for ProgressBars {
    fn default() -> Self {
        Self::new()
    }
}

impl ProgressBars {
    /// Bars that appear when the training begins.
    #[must_use]
    pub fn new() -> Self {
        Self::in_group(&MultiProgress::new())
    }

    /// Bars among others.
    #[must_use]
    pub fn in_group(group: &MultiProgress) -> Self {
        let bar = |template: &str| {
            let style = ProgressStyle::with_template(template);
            let bar = group.add(ProgressBar::no_length());
            // The templates are ours and known to be right.
            if let Ok(style) = style { bar.with_style(style) } else { bar }
        };
        Self {
            steps: bar("steps    {bar:30} {pos}/{len} {msg} [{elapsed}, about {eta} left]"),
            examples: bar("examples {bar:30} {pos}/{len} {msg}"),
            counts: Mutex::default(),
        }
    }

    fn begin(&self, examples: usize, what: &'static str) {
        self.examples.reset();
        self.examples.set_length(examples as u64);
        self.examples.set_message(what);
    }

    fn show_counts(&self) {
        let counts = self.counts.lock();
        let score = counts.score.map_or(String::new(), |score| format!("score {score:.3}, "));
        let Counts { accepted, reverted, failed, .. } = *counts;
        self.steps
            .set_message(format!("{score}{accepted} kept, {reverted} reverted, {failed} failed"));
    }
}

impl TrainObserver for ProgressBars {
    fn event(&self, event: &TrainEvent<'_>) {
        match event {
            TrainEvent::Began { steps, finished } => {
                self.steps.set_length(*steps as u64);
                self.steps.set_position(*finished as u64);
                self.steps.enable_steady_tick(Duration::from_millis(200));
            }
            TrainEvent::StepBegun { examples, .. } => self.begin(*examples, "predictions"),
            TrainEvent::EvaluationBegun { phase, examples } => {
                self.begin(*examples, phase.as_str())
            }
            TrainEvent::ExampleDone { .. } => self.examples.inc(1),
            TrainEvent::BackwardBegun => self.examples.set_message("feedback"),
            TrainEvent::ProposalBegun => self.examples.set_message("new texts"),
            TrainEvent::Proposed { .. } => {}
            TrainEvent::Evaluated { phase: Phase::Validation, evaluation, .. } => {
                let mut counts = self.counts.lock();
                // The first one is the baseline; later ones count only if the step is kept.
                counts.score.get_or_insert(evaluation.score);
                drop(counts);
                self.show_counts();
            }
            TrainEvent::Evaluated { .. } => {}
            TrainEvent::StepDone { record } => {
                let mut counts = self.counts.lock();
                counts.score = record.score.or(counts.score);
                match record.outcome {
                    StepOutcome::Accepted => counts.accepted += 1,
                    StepOutcome::Reverted => counts.reverted += 1,
                    StepOutcome::Failed => counts.failed += 1,
                    StepOutcome::Unchanged => {}
                }
                drop(counts);
                self.steps.inc(1);
                self.show_counts();
            }
            TrainEvent::Ended { .. } => {
                self.examples.finish_and_clear();
                self.steps.finish();
            }
        }
    }
}
