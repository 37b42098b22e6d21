//! Pair selection: the answers that an iteration compares.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::Display;

use super::pool::{Pool, PoolPolicy};
use crate::error::Error;

/// An answer to rewrite and those that it is compared with, as positions in the pool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// The answer that is rewritten.
    pub chosen: usize,
    /// The answers that were rejected in favour of it; none where there is none to compare with.
    pub rejected: Vec<usize>,
    /// How much each comparison with a rejected answer weighs, above 0, in the same order: critiques tell the model
    /// their shares. None: all the same.
    pub weights: Vec<f64>,
}

impl Comparison {
    /// One answer against others, which all weigh the same.
    #[must_use]
    pub fn new(chosen: usize, rejected: impl IntoIterator<Item = usize>) -> Self {
        Self { chosen, rejected: rejected.into_iter().collect(), weights: Vec::new() }
    }

    /// What was expected and what came, where it cannot be made in a pool.
    pub(super) fn check(&self, pool: &Pool) -> Result<(), (String, String)> {
        let answers = pool.candidates().len();
        let mut positions = [self.chosen].into_iter().chain(self.rejected.iter().copied());
        if let Some(position) = positions.find(|position| *position >= answers) {
            let expected = format!("a position from 0 to {}", answers.saturating_sub(1));
            return Err((expected, format!("answer {position}")));
        }
        if self.rejected.contains(&self.chosen) {
            let expected = "other answers than the chosen one as rejected".to_owned();
            return Err((expected, format!("answer {} twice", self.chosen)));
        }
        if ![0, self.rejected.len()].contains(&self.weights.len()) {
            let expected = format!("no weights, or {}", self.rejected.len());
            return Err((expected, self.weights.len().to_string()));
        }
        let is_weight = |weight: &&f64| weight.is_finite() && **weight > 0.0;
        match self.weights.iter().find(|weight| !is_weight(weight)) {
            Some(weight) => Err(("a finite weight above 0".to_owned(), weight.to_string())),
            None => Ok(()),
        }
    }
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

    /// The comparisons of an iteration. None ends the search. A position that is not in the pool, an answer that is
    /// compared with itself, or a weight that is none, is an [`Error::Part`].
    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison>;

    /// How many comparisons it makes of N different answers, and how many rejected answers they have together, for
    /// estimates. Default: one with one.
    fn size(&self, samples: u32) -> (u64, u64) {
        let _ = samples;
        (1, 1)
    }
}

textgrad_core::debug_by!(dyn PairSelection, name);

/// The input of a [`PairSelection`].
#[derive(Debug, Clone, Copy)]
pub struct PairCx<'a> {
    pool: &'a Pool,
    iteration: u32,
    policy: &'a dyn PoolPolicy,
}

impl<'a> PairCx<'a> {
    /// The input of an iteration: the answers so far, and which of them may be rewritten.
    #[must_use]
    pub fn new(pool: &'a Pool, iteration: u32, policy: &'a dyn PoolPolicy) -> Self {
        Self { pool, iteration, policy }
    }

    /// The same with another pool.
    pub(super) fn with_pool<'b>(&self, pool: &'b Pool) -> PairCx<'b>
    where
        'a: 'b,
    {
        PairCx { pool, ..*self }
    }

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
        self.pool.ranked()
    }

    /// The positions of the answers that the newest iteration with any brought, best first.
    #[must_use]
    pub fn newest(&self) -> Vec<usize> {
        self.pool.newest()
    }

    /// The positions of the answers that may be rewritten, best first, by the [`PoolPolicy`].
    #[must_use]
    pub fn eligible(&self) -> Vec<usize> {
        self.policy.eligible(self.pool)
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

/// The selections of this crate. In settings: `best-worst`, `newest`, `median`, `all`,
/// `top-bottom:K`, `group:K`.
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
    /// Each of the best K answers against the worst K that are worse, weighted by how far the two are apart in
    /// standard deviations of the pool: group-relative advantages, as in GRPO (arXiv:2402.03300).
    #[strum(to_string = "group:{0}")]
    Group(u32),
}

impl PairSelection for Pairs {
    fn name(&self) -> String {
        self.to_string()
    }

    fn size(&self, samples: u32) -> (u64, u64) {
        let others = u64::from(samples.saturating_sub(1)).max(1);
        match *self {
            Self::BestWorst | Self::Newest | Self::Median => (1, 1),
            Self::All => (1, others),
            Self::TopBottom(k) => {
                let pairs = u64::from(k).min(others.div_ceil(2)).max(1);
                (pairs, pairs)
            }
            Self::Group(k) => {
                let group = u64::from(k).min(others).max(1);
                (group, group * group)
            }
        }
    }

    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison> {
        let ranked = cx.ranked();
        let eligible = cx.eligible();
        let Some(best) = eligible.first().copied() else { return Vec::new() };
        // An answer is compared with what is worse only: not with itself, nor with its equal. Without a rejected
        // answer, the loss is that of `revision`. The reference implementation compares the answer with itself.
        let against = |chosen: usize, rejected: Option<usize>| {
            Comparison::new(
                chosen,
                rejected.filter(|rejected| cx.score(*rejected) < cx.score(chosen)),
            )
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
                vec![Comparison::new(best, ranked.iter().copied().filter(worse))]
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
            Self::Group(k) => {
                let deviation = cx.pool().deviation();
                let group = |chosen: &usize| {
                    let mut comparison = Comparison::new(*chosen, []);
                    for rejected in cx.worst_first().into_iter().take(k.max(1) as usize) {
                        let weight = (cx.score(*chosen) - cx.score(rejected)) / deviation;
                        if weight.is_finite() && weight > 0.0 {
                            comparison.rejected.push(rejected);
                            comparison.weights.push(weight);
                        }
                    }
                    comparison
                };
                let compared: Vec<Comparison> =
                    eligible.iter().take(k.max(1) as usize).map(group).collect();
                let compared: Vec<Comparison> =
                    compared.into_iter().filter(|one| !one.rejected.is_empty()).collect();
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
        let with_k = || {
            let (name, k) = text.split_once(':')?;
            let k = k.parse().ok().filter(|k| *k > 0)?;
            match name {
                "top-bottom" => Some(Self::TopBottom(k)),
                "group" => Some(Self::Group(k)),
                _ => None,
            }
        };
        let expected =
            "best-worst, newest, median, all, or top-bottom:K or group:K with K at least 1";
        plain.or_else(with_k).ok_or_else(|| Error::config("pairs", expected, text))
    }
}

crate::util::text_form!(Pairs);

#[cfg(test)]
mod tests {
    use textgrad_core::Variable;

    use super::*;
    use crate::config::Acceptance;
    use crate::search::Candidate;

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
        let policy = if newest_only { Acceptance::Always } else { Acceptance::Improvement };
        let selected = pairs.select(&PairCx::new(pool, 2, &policy));
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
