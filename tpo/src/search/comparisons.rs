//! What an iteration compares in each mode.

use super::pairs::{Comparison, PairCx, PairSelection};
use super::pool::{Candidate, Pool};
use crate::config::{Accept, Mode, TpoConfig};

/// The comparisons of an iteration, by nothing but the settings and the answers so far. None ends the search.
pub(crate) fn comparisons(
    config: &TpoConfig,
    pairs: &dyn PairSelection,
    pool: &Pool,
    iteration: u32,
) -> Vec<Comparison> {
    if config.mode == Mode::Resample {
        let best = pool.best().map(|chosen| Comparison { chosen, rejected: Vec::new() });
        return best.into_iter().collect();
    }
    let newest_only = config.accept == Accept::Always || config.mode == Mode::Ungated;
    let cx = PairCx { pool, iteration, newest_only };
    let mut selected = pairs.select(&cx);
    for comparison in &mut selected {
        match config.mode {
            Mode::Revision => comparison.rejected.clear(),
            Mode::Listwise => {
                comparison.rejected = ranked_with(&cx, comparison.chosen, config.samples);
            }
            _ => {}
        }
    }
    selected
}

/// The answers that one is ranked with: all others of the pool, or N - 1 of them, spread evenly over the
/// ranks, the worst among them. Equal texts stand once.
fn ranked_with(cx: &PairCx<'_>, chosen: usize, samples: u32) -> Vec<usize> {
    let text = |position: usize| cx.pool().get(position).map(Candidate::text);
    let mut seen = vec![text(chosen)];
    let mut others = cx.ranked();
    others.retain(|position| {
        let new = !seen.contains(&text(*position));
        seen.push(text(*position));
        new
    });
    let wanted = (samples as usize).saturating_sub(1).max(1);
    let Some(last) = others.len().checked_sub(1) else { return others };
    if others.len() <= wanted {
        return others;
    }
    // From the worst upwards, so that one alone is the worst.
    let place = |step: usize| last - step * last / wanted.saturating_sub(1).max(1);
    (0..wanted).rev().filter_map(|step| others.get(place(step)).copied()).collect()
}
