//! Pair selection: the answers that an iteration compares.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::Display;

use super::pool::{Candidate, Pool};
use crate::config::{Acceptance, Mode, TpoConfig};
use crate::error::Error;

/// An answer to rewrite and those that it is compared with, as positions in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The answer that is rewritten.
    pub chosen: usize,
    /// The answers that were rejected in favour of it; none where there is none to compare with.
    pub rejected: Vec<usize>,
}

/// Selects the answers that an iteration compares.
///
/// Each chosen answer is compared with each of its rejected ones, all feedback on it is put together, and the
/// new versions of the iteration are shared out among the chosen answers. Each gets one at least, so more
/// comparisons than N draw more than N. It must depend on nothing but what it is given, so that a run can be
/// repeated.
pub trait PairSelection: Send + Sync {
    /// A short name, for reports. A run is only continued with the same one.
    fn name(&self) -> String;

    /// The comparisons of an iteration. None ends the search. A position that is not in the pool is an
    /// [`Error::Pairs`].
    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison>;
}

textgrad_core::debug_by!(dyn PairSelection, name);

/// The input of a [`PairSelection`].
#[derive(Debug, Clone, Copy)]
pub struct PairCx<'a> {
    pub(super) pool: &'a Pool,
    pub(super) iteration: u32,
    pub(super) newest_only: bool,
}

impl<'a> PairCx<'a> {
    /// All answers so far.
    #[must_use]
    pub fn pool(&self) -> &'a Pool {
        self.pool
    }

    /// The number of the iteration, from 1.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    /// The positions of all answers, best first; of equal ones, the earliest first.
    #[must_use]
    pub fn ranked(&self) -> Vec<usize> {
        rank(self.pool.candidates().iter().enumerate())
    }

    /// The positions of the answers that the newest iteration with any brought, best first.
    #[must_use]
    pub fn newest(&self) -> Vec<usize> {
        let candidates = || self.pool.candidates().iter().enumerate();
        let newest = candidates().map(|(_, candidate)| candidate.iteration).max();
        rank(candidates().filter(|(_, candidate)| Some(candidate.iteration) == newest))
    }

    /// The positions of the answers that may be rewritten, best first: all, or only the newest where every
    /// rewrite is accepted; see [`Acceptance`](crate::Acceptance).
    #[must_use]
    pub fn eligible(&self) -> Vec<usize> {
        if self.newest_only { self.newest() } else { self.ranked() }
    }

    /// The worst answer of all; of equal ones, the earliest.
    #[must_use]
    pub fn worst(&self) -> Option<usize> {
        self.pool.worst()
    }

    /// The positions of all answers, worst first; of equal ones, the earliest first.
    fn worst_first(&self) -> Vec<usize> {
        let mut positions: Vec<usize> = (0..self.pool.candidates().len()).collect();
        positions.sort_by(|a, b| (self.score(*a) + 0.0).total_cmp(&(self.score(*b) + 0.0)));
        positions
    }

    fn score(&self, position: usize) -> f64 {
        self.pool.get(position).map_or(f64::NAN, |candidate| candidate.score)
    }
}

fn rank<'a>(candidates: impl Iterator<Item = (usize, &'a Candidate)>) -> Vec<usize> {
    let mut ranked: Vec<(usize, f64)> =
        candidates.map(|(position, candidate)| (position, candidate.score)).collect();
    // The sort is stable, so equal ones stay in their order. Zero and minus zero are equal.
    ranked.sort_by(|(_, a), (_, b)| (b + 0.0).total_cmp(&(a + 0.0)));
    ranked.into_iter().map(|(position, _)| position).collect()
}

/// The selections of this crate. In settings: `best-worst`, `newest`, `median`, `all`,
/// `top-bottom:K`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(try_from = "String", into = "String")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Pairs {
    /// The best against the worst of all answers so far: the paper's method.
    #[default]
    BestWorst,
    /// The best of all answers against the worst of the newest ones, if that is worse.
    Newest,
    /// The best against the median answer, of two in the middle the worse: what is wanted is closer, and so
    /// harder to tell.
    Median,
    /// The best against every answer that is worse, the best of them first, with all feedback put together.
    All,
    /// The best K answers, each against the one as far from the other end: the best against the worst, the
    /// second best against the second worst, ... Where the one is not better than the other, they are not
    /// compared.
    #[strum(to_string = "top-bottom:{0}")]
    TopBottom(u32),
}

impl PairSelection for Pairs {
    fn name(&self) -> String {
        self.to_string()
    }

    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison> {
        let ranked = cx.ranked();
        let eligible = cx.eligible();
        let Some(best) = eligible.first().copied() else { return Vec::new() };
        // An answer is compared with what is worse only: not with itself, nor with its equal. Without a rejected
        // answer, the loss is that of `revision`. The reference implementation compares the answer with itself.
        let against = |chosen: usize, rejected: Option<usize>| Comparison {
            chosen,
            rejected: rejected
                .filter(|rejected| cx.score(*rejected) < cx.score(chosen))
                .into_iter()
                .collect(),
        };
        match *self {
            Self::BestWorst => vec![against(best, cx.worst())],
            Self::Newest => {
                let newest = cx.newest();
                let lowest = newest.last().map(|last| cx.score(*last));
                let earliest =
                    newest.into_iter().find(|position| Some(cx.score(*position)) == lowest);
                vec![against(best, earliest)]
            }
            Self::Median => vec![against(best, ranked.get(ranked.len() / 2).copied())],
            Self::All => {
                let worse = |position: &usize| cx.score(*position) < cx.score(best);
                vec![Comparison {
                    chosen: best,
                    rejected: ranked.iter().copied().filter(worse).collect(),
                }]
            }
            Self::TopBottom(k) => {
                let top = eligible.iter().take(k.max(1) as usize);
                let pairs = top.zip(cx.worst_first());
                let compared: Vec<Comparison> = pairs
                    .map(|(chosen, rejected)| against(*chosen, Some(rejected)))
                    .filter(|comparison| !comparison.rejected.is_empty())
                    .collect();
                if compared.is_empty() { vec![against(best, None)] } else { compared }
            }
        }
    }
}

impl FromStr for Pairs {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = [Self::BestWorst, Self::Newest, Self::Median, Self::All];
        let plain = known.into_iter().find(|pairs| pairs.to_string() == text);
        let top_bottom = || {
            let k = text.strip_prefix("top-bottom:")?.parse().ok()?;
            (k > 0).then_some(Self::TopBottom(k))
        };
        let expected = "best-worst, newest, median, all, or top-bottom:K with K at least 1";
        plain.or_else(top_bottom).ok_or_else(|| Error::config("pairs", expected, text))
    }
}

crate::util::text_form!(Pairs);

/// The comparisons of an iteration, by nothing but the settings and the answers so far. None ends the search.
pub(crate) fn comparisons(
    config: &TpoConfig,
    pairs: &dyn PairSelection,
    pool: &Pool,
    iteration: u32,
) -> Result<Vec<Comparison>, Error> {
    if config.mode == Mode::Resample {
        let best = pool.best().map(|chosen| Comparison { chosen, rejected: Vec::new() });
        return Ok(best.into_iter().collect());
    }
    let newest_only = config.accept == Acceptance::Always || config.mode == Mode::Ungated;
    let cx = PairCx { pool, iteration, newest_only };
    let answers = pool.candidates().len();
    let mut selected = pairs.select(&cx);
    for (comparison, Comparison { chosen, rejected }) in selected.iter_mut().enumerate() {
        let mut positions = [*chosen].into_iter().chain(rejected.iter().copied());
        if let Some(position) = positions.find(|position| *position >= answers) {
            let selection = pairs.name();
            return Err(Error::Pairs { selection, iteration, comparison, position, answers });
        }
        match config.mode {
            Mode::Revision => rejected.clear(),
            Mode::Listwise => *rejected = ranked_with(&cx, *chosen, config.samples),
            _ => {}
        }
    }
    Ok(selected)
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
    let index = |step: usize| last - step * last / wanted.saturating_sub(1).max(1);
    (0..wanted).rev().filter_map(|step| others.get(index(step)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use textgrad_core::Variable;

    use super::*;

    /// Answers with their scores, and the iterations that they come from.
    fn pool(answers: &[(f64, u32)]) -> Pool {
        let mut pool = Pool::default();
        for (score, iteration) in answers {
            let answer = Variable::constant("answer", "answer");
            pool.push(Candidate { answer, score: *score, iteration: *iteration }).unwrap();
        }
        pool
    }

    fn select(pairs: Pairs, pool: &Pool, newest_only: bool) -> Vec<(usize, Vec<usize>)> {
        let selected = pairs.select(&PairCx { pool, iteration: 2, newest_only });
        selected.into_iter().map(|comparison| (comparison.chosen, comparison.rejected)).collect()
    }

    #[test]
    fn each_way_compares_what_it_says() {
        let pool = pool(&[(1.0, 0), (5.0, 0), (0.0, 0), (3.0, 1), (2.0, 1)]);
        for (pairs, gate_on, gate_off) in [
            (Pairs::BestWorst, vec![(1, vec![2])], vec![(3, vec![2])]),
            (Pairs::Newest, vec![(1, vec![4])], vec![(3, vec![4])]),
            (Pairs::Median, vec![(1, vec![4])], vec![(3, vec![4])]),
            (Pairs::All, vec![(1, vec![3, 4, 0, 2])], vec![(3, vec![4, 0, 2])]),
            (
                Pairs::TopBottom(2),
                vec![(1, vec![2]), (3, vec![0])],
                vec![(3, vec![2]), (4, vec![0])],
            ),
            // The third best is the third worst: nothing to compare.
            (
                Pairs::TopBottom(9),
                vec![(1, vec![2]), (3, vec![0])],
                vec![(3, vec![2]), (4, vec![0])],
            ),
        ] {
            assert_eq!(select(pairs, &pool, false), gate_on, "{pairs}");
            assert_eq!(select(pairs, &pool, true), gate_off, "{pairs}");
        }
    }

    #[test]
    fn an_answer_is_not_compared_with_its_equals() {
        for pairs in
            [Pairs::BestWorst, Pairs::Newest, Pairs::Median, Pairs::All, Pairs::TopBottom(2)]
        {
            assert_eq!(select(pairs, &pool(&[(1.0, 0)]), false), [(0, vec![])], "{pairs}");
            let equal = pool(&[(1.0, 0), (1.0, 0), (1.0, 1)]);
            assert_eq!(select(pairs, &equal, false), [(0, vec![])], "{pairs}");
            assert_eq!(select(pairs, &Pool::default(), false), [], "{pairs}");
        }
    }

    #[test]
    fn ties_go_to_the_earliest() {
        let pool = pool(&[(0.0, 0), (2.0, 0), (0.0, 0), (2.0, 1), (0.0, 1), (0.0, 1)]);
        assert_eq!(select(Pairs::BestWorst, &pool, false), [(1, vec![0])]);
        assert_eq!(select(Pairs::Newest, &pool, false), [(1, vec![4])]);
        assert_eq!(select(Pairs::TopBottom(2), &pool, false), [(1, vec![0]), (3, vec![2])]);
    }

    #[test]
    fn both_zeros_are_equal() {
        let pool = pool(&[(-0.0, 0), (0.0, 0), (-1.0, 0), (0.0, 1), (-0.0, 1)]);
        for pairs in [Pairs::BestWorst, Pairs::All, Pairs::Median, Pairs::TopBottom(1)] {
            assert_eq!(select(pairs, &pool, false)[0].0, 0, "{pairs}");
        }
        assert_eq!(select(Pairs::All, &pool, true), [(3, vec![2])]);
    }

    #[test]
    fn names_go_both_ways() {
        for pairs in
            [Pairs::BestWorst, Pairs::Newest, Pairs::Median, Pairs::All, Pairs::TopBottom(3)]
        {
            assert_eq!(pairs.to_string().parse::<Pairs>().unwrap(), pairs);
        }
        for wrong in ["top-bottom", "top-bottom:0", "best", ""] {
            let error = wrong.parse::<Pairs>().unwrap_err().to_string();
            assert!(error.contains("top-bottom:K"), "{error}");
        }
    }
}
