//! Kinds of searches that the cases cover.

use textgrad_core::Layout;
use tpo::{Acceptance, Mode, Pairs};

use super::{CALL_FAILED, Found, NO_CHOICES, SCORE_FAILED, Step};
use crate::trajectory::case::{Case, Faults};

/// Kinds of searches, each with whether this was one.
pub(crate) fn kinds(case: &Case, found: &Found) -> Vec<(String, bool)> {
    let tie = |end: f64| found.pool.iter().filter(|(_, _, score)| *score == end).count() > 1;
    let scores = || found.pool.iter().map(|(_, _, score)| *score);
    let (high, low) = (scores().fold(f64::MIN, f64::max), scores().fold(f64::MAX, f64::min));
    let equal = |a: &(u32, String, f64)| found.pool.iter().filter(|b| b.1 == a.1).count() > 1;
    let of_error = |kind: &str| {
        found.end.as_ref().is_some_and(|end| end.as_ref().is_err_and(|found| found == kind))
    };
    let step = |is: &dyn Fn(&Step) -> bool| found.steps.iter().any(is);
    let is_ended = found.end.as_ref().is_some_and(Result::is_ok);
    let wide = |k: usize| {
        let of = |iteration| found.steps.iter().filter(|step| step.iteration == iteration).count();
        is_ended && step(&|step| of(step.iteration) >= k && step.updates > 0)
    };
    let lacking = |step: &Step| {
        let said = step.gradient.as_ref().map_or(0, |said| said.matches("gradient ").count());
        said > 0 && said < step.losses.len()
    };
    // What is rewritten although something older is better.
    let worse = step(&|step| {
        let rewritten = &found.pool[step.chosen];
        found.pool.iter().any(|(made, _, score)| *made < rewritten.0 && *score > rewritten.2)
    });
    let layout = case.layout != Layout::Quoted;
    // The loss of a text that an update wrote, in its conversation.
    let chained = case.layout == Layout::Chained
        && step(&|step| found.pool[step.chosen].0 > 0 && !step.losses.is_empty());
    let mut kinds: Vec<(String, bool)> = [
        ("all is well", case.faults == Faults::None && found.steps.len() >= 4),
        ("several best", high > low && tie(high)),
        ("several worst", high > low && tie(low)),
        ("both zeros", scores().any(|s| s == 0.0 && s.is_sign_negative())),
        ("all are equal", high == low && found.pool.len() > 1),
        ("equal answers", found.pool.iter().any(equal)),
        ("nothing to compare with", step(&|step| step.rejected.is_empty())),
        ("a pair", step(&|step| step.rejected.len() == 1)),
        ("several rejected", step(&|step| step.rejected.len() > 2)),
        ("several chosen", wide(2)),
        ("more chosen than new versions asked for", wide(case.samples as usize + 1)),
        ("something better is older", worse),
        ("no gradient", step(&|step| !step.losses.is_empty() && step.gradient.is_none())),
        ("fewer new versions", step(&|step| step.updates > 0 && step.unusable > 0)),
        ("no new version", step(&|step| step.gradient.is_some() && step.updates == 0)),
        ("a failed call", of_error(CALL_FAILED)),
        ("a failed call after two iterations", of_error(CALL_FAILED) && found.steps.len() > 2),
        ("no choices", of_error(NO_CHOICES)),
        ("no answer", of_error("no_answer")),
        ("a failed score", of_error(SCORE_FAILED)),
        ("a score that is no number", of_error("reward")),
        ("several continued", layout && step(&|step| step.rejected.len() > 1 && step.updates > 0)),
        ("chained", chained && case.max_chars.is_none()),
        ("several borrowed", case.mode == Mode::Shuffled && step(&|step| step.losses.len() > 1)),
        ("a borrowed loss without a gradient", case.mode == Mode::Shuffled && step(&lacking)),
        ("a conversation", case.talk),
        ("answers that are cut", case.max_chars.is_some_and(|most| most < 9)),
        ("accept always", case.accept == Acceptance::Always),
    ]
    .map(|(kind, is)| (kind.to_owned(), is))
    .into();
    let stopped = format!("{:?}", found.stopped);
    kinds.push(("continued".to_owned(), layout && is_ended && step(&|step| step.updates > 0)));
    for mode in [
        Mode::Tpo,
        Mode::Revision,
        Mode::Bon,
        Mode::Resample,
        Mode::Direct,
        Mode::Shuffled,
        Mode::Listwise,
        Mode::Ungated,
    ] {
        let there = mode == Mode::Bon || found.steps.len() > 1;
        kinds.push((mode.to_string(), case.mode == mode && there));
    }
    let ways = [Pairs::BestWorst, Pairs::Newest, Pairs::Median, Pairs::All, Pairs::TopBottom(3)];
    for way in ways {
        kinds.push((way.to_string(), case.pairs == way && !found.steps.is_empty()));
    }
    for reason in ["Target", "Plateau", "Margin", "Calls"] {
        kinds.push((
            reason.to_owned(),
            stopped == format!("Some({reason})") && !found.steps.is_empty(),
        ));
    }
    kinds
}
