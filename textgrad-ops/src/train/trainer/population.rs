//! Populations: texts that are kept beside each other, what to start from, and merges.

use std::cmp::Ordering;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use textgrad_core::{Seed, StateDict};

/// The texts that steps start from.
///
/// All but the first keep accepted texts beside each other, with the score of each example of the validation set. The
/// optimizer's memory is that of the parameters, not of a member, so it is best used without one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Population {
    /// Those that were accepted last.
    #[default]
    Last,
    /// A member of the Pareto front over the examples of the validation set: drawn in proportion to the number of
    /// examples on which none is better. Each text that passes the [gate](super::TrainerBuilder::minibatch_gate) is
    /// kept, [acceptance](super::TrainerBuilder::acceptance) notwithstanding. With the gate and
    /// [merges](super::TrainerBuilder::merges) this is the search of GEPA (Agrawal et al., arXiv:2507.19457), whose
    /// reflection is here the optimizer's update from the gradients of a minibatch.
    Pareto,
    /// The given number of members with the highest mean scores, which take turns. With several
    /// [candidates](crate::Optimizer::candidates) and
    /// [successive halving](super::TrainerBuilder::successive_halving) this is the beam search of ProTeGi (Pryzant et
    /// al., arXiv:2305.03495), one member at a time.
    Beam(NonZeroUsize),
}

/// Texts with their scores on the validation set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) texts: StateDict,
    pub(super) scores: Vec<f64>,
    /// The members that it came from.
    pub(super) parents: Vec<usize>,
}

impl Member {
    pub(super) fn mean(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len().max(1) as f64
    }
}

/// All members that there ever were, by their numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Members {
    all: Vec<Member>,
    /// The pairs that were merged, whatever became of it.
    merged: Vec<[usize; 2]>,
    /// How many merges were kept.
    merges: usize,
    /// Whether the last step brought a member.
    grew: bool,
}

/// A merge to be tried.
pub(super) struct Merge {
    pub(super) texts: StateDict,
    pub(super) parents: [usize; 2],
}

impl Members {
    pub(super) fn get(&self, member: usize) -> Option<&Member> {
        self.all.get(member)
    }

    /// The member with these texts.
    pub(super) fn position(&self, texts: &StateDict) -> Option<usize> {
        self.all.iter().position(|member| member.texts == *texts)
    }

    /// Takes up what a step brought: members, and the merge that it tried.
    pub(super) fn advance(&mut self, members: Vec<Member>, merge: Option<[usize; 2]>) {
        self.grew = !members.is_empty();
        self.merges += usize::from(merge.is_some() && self.grew);
        self.merged.extend(merge);
        self.all.extend(members);
    }

    /// The member that a step starts from.
    pub(super) fn parent(&self, population: Population, step: usize, seed: Seed) -> Option<usize> {
        match population {
            Population::Last => None,
            Population::Pareto => {
                let weights: Vec<f64> = self.front().iter().map(|count| *count as f64).collect();
                seed.child("parent", 0).pick(&weights)
            }
            Population::Beam(width) => {
                let best = self.best(width);
                best.get(step.checked_rem(best.len())?).copied()
            }
        }
    }

    /// The members with the highest means, the best first; of equal ones the earlier.
    pub(super) fn best(&self, count: NonZeroUsize) -> Vec<usize> {
        let mut ranked = self.by_mean(|a, b| b.total_cmp(&a));
        ranked.truncate(count.get());
        ranked
    }

    fn by_mean(&self, order: impl Fn(f64, f64) -> Ordering) -> Vec<usize> {
        let mut ranked: Vec<(usize, f64)> = self.all.iter().map(Member::mean).enumerate().collect();
        ranked.sort_by(|(_, a), (_, b)| order(*a, *b));
        ranked.into_iter().map(|(member, _)| member).collect()
    }

    /// For each member, on how many examples none is better; 0 for those that the others make dispensable: on each
    /// such example another one is as good. The weakest are dispensed with first.
    fn front(&self) -> Vec<usize> {
        let examples = self.all.iter().map(|member| member.scores.len()).min().unwrap_or(0);
        let score = |member: usize, example: usize| self.get(member)?.scores.get(example).copied();
        let all = || 0..self.all.len();
        let best: Vec<Option<f64>> = (0..examples)
            .map(|example| all().filter_map(|member| score(member, example)).reduce(f64::max))
            .collect();
        let own = |member| {
            let best = best.iter().enumerate();
            best.filter(move |(example, best)| score(member, *example) == **best)
                .map(|(example, _)| example)
        };
        let mut left = vec![0; examples];
        all()
            .flat_map(own)
            .for_each(|example| left.iter_mut().skip(example).take(1).for_each(|n| *n += 1));
        let mut counts = vec![0; self.all.len()];
        for member in self.by_mean(|a, b| a.total_cmp(&b)) {
            let is_dispensable =
                own(member).all(|example| left.get(example).is_some_and(|left| *left > 1));
            if is_dispensable {
                own(member).for_each(|example| {
                    left.iter_mut().skip(example).take(1).for_each(|n| *n -= 1)
                });
            } else if let Some(count) = counts.get_mut(member) {
                *count = own(member).count();
            }
        }
        counts
    }

    /// A member and all that it came from.
    fn ancestors(&self, member: usize) -> Vec<usize> {
        let (mut found, mut next) = (Vec::new(), vec![member]);
        while let Some(one) = next.pop() {
            if !found.contains(&one) {
                found.push(one);
                next.extend(self.get(one).into_iter().flat_map(|member| &member.parents));
            }
        }
        found
    }

    /// Two members of the front that came from a third one, which is not better than either: of each text the side
    /// that changed it, of one that both changed that of the better member. None if there is no such pair that was
    /// not tried, or the last step brought no member.
    pub(super) fn merge(&self, limit: usize, seed: Seed) -> Option<Merge> {
        if !self.grew || self.merges >= limit {
            return None;
        }
        let front = self.front();
        let members: Vec<usize> = (0..self.all.len())
            .filter(|member| front.get(*member).is_some_and(|c| *c > 0))
            .collect();
        let mut pairs: Vec<[usize; 2]> = members
            .iter()
            .flat_map(|a| members.iter().filter(move |b| a < b).map(|b| [*a, *b]))
            .filter(|pair| !self.merged.contains(pair))
            .collect();
        seed.child("pairs", 0).shuffle(&mut pairs);
        let found = pairs.into_iter().find_map(|pair| Some((pair, self.merged_texts(pair, seed)?)));
        let (parents, texts) = found?;
        Some(Merge { texts, parents })
    }

    fn merged_texts(&self, [a, b]: [usize; 2], seed: Seed) -> Option<StateDict> {
        let (of_a, of_b) = (self.ancestors(a), self.ancestors(b));
        if of_a.contains(&b) || of_b.contains(&a) {
            return None;
        }
        let (a, b) = (self.get(a)?, self.get(b)?);
        let shared = of_a.iter().filter(|one| of_b.contains(one)).copied().max()?;
        let ancestor = self.get(shared)?;
        if ancestor.mean() > a.mean().min(b.mean()) {
            return None;
        }
        let better = match a.mean().total_cmp(&b.mean()) {
            Ordering::Greater => a,
            Ordering::Less => b,
            Ordering::Equal if seed.child("tie", 0).below(2) == 0 => a,
            Ordering::Equal => b,
        };
        let mut texts = StateDict::default();
        for (name, old) in ancestor.texts.iter() {
            let sides = (a.texts.get(name)?, b.texts.get(name)?);
            let text = match sides {
                (one, other) if one == old => other,
                (one, other) if other == old => one,
                _ => better.texts.get(name)?,
            };
            texts.insert(name, text);
        }
        self.position(&texts).is_none().then_some(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(a: &str, b: &str) -> StateDict {
        let mut texts = StateDict::default();
        texts.insert("a", a);
        texts.insert("b", b);
        texts
    }

    fn members(all: &[(&str, &str, &[f64], &[usize])]) -> Members {
        let mut members = Members::default();
        for (a, b, scores, parents) in all {
            let (texts, scores) = (texts(a, b), scores.to_vec());
            members.advance(vec![Member { texts, scores, parents: parents.to_vec() }], None);
        }
        members
    }

    #[test]
    fn parents_are_drawn_by_the_examples_on_which_none_is_better() {
        let members = members(&[
            ("0", "0", &[1.0, 0.0, 0.0, 0.0], &[]),
            ("1", "0", &[1.0, 1.0, 1.0, 0.0], &[0]),
            ("2", "0", &[0.0, 0.0, 0.0, 1.0], &[0]),
            ("3", "0", &[0.0, 0.0, 0.0, 0.0], &[0]),
        ]);
        // The first is as good as the second on its only example, and so dispensable.
        assert_eq!(members.front(), [0, 3, 1, 0]);
        let draws = (0..400).map(|draw| {
            let seed = Seed::new(3).child("draw", draw);
            members.parent(Population::Pareto, 0, seed).unwrap()
        });
        let mut counts = [0; 4];
        draws.for_each(|member| counts[member] += 1);
        assert_eq!((counts[0], counts[3]), (0, 0));
        assert!((270..330).contains(&counts[1]), "{counts:?}");
        assert_eq!(members.parent(Population::Last, 0, Seed::new(0)), None);
    }

    #[test]
    fn equal_members_do_not_dispense_with_each_other() {
        let members = members(&[("0", "0", &[1.0, 1.0], &[]), ("1", "0", &[1.0, 1.0], &[0])]);
        assert_eq!(members.front().iter().filter(|count| **count == 2).count(), 1);
    }

    #[test]
    fn a_beam_takes_turns_among_the_best() {
        let members = members(&[
            ("0", "0", &[0.1], &[]),
            ("1", "0", &[0.5], &[0]),
            ("2", "0", &[0.9], &[0]),
            ("3", "0", &[0.5], &[0]),
        ]);
        let beam = Population::Beam(NonZeroUsize::new(2).unwrap());
        let parent = |step| members.parent(beam, step, Seed::new(0));
        assert_eq!([parent(0), parent(1), parent(2)], [Some(2), Some(1), Some(2)]);
        assert_eq!(Members::default().parent(beam, 0, Seed::new(0)), None);
    }

    #[test]
    fn a_merge_takes_what_each_side_changed() {
        let mut all = members(&[
            ("0", "0", &[0.0, 0.0, 0.0], &[]),
            ("1", "0", &[1.0, 0.0, 0.0], &[0]),
            ("0", "2", &[0.0, 1.0, 1.0], &[0]),
        ]);
        let merge = all.merge(1, Seed::new(0)).unwrap();
        assert_eq!((merge.parents, merge.texts), ([1, 2], texts("1", "2")));
        let mut tried = all.clone();
        tried.merged.push(merge.parents);
        assert!(tried.merge(1, Seed::new(0)).is_none(), "a pair is tried once");
        // Of a text that both changed, that of the better one.
        let both = members(&[
            ("0", "0", &[0.0, 0.0, 0.0], &[]),
            ("1", "1", &[1.0, 0.0, 0.0], &[0]),
            ("2", "0", &[0.0, 1.0, 1.0], &[0]),
        ]);
        assert_eq!(both.merge(1, Seed::new(0)).unwrap().texts, texts("2", "1"));
        // Not with what it came from, nor beyond the limit, nor after a step without a new member.
        let line = [("0", "0", &[0.0, 1.0][..], &[][..]), ("1", "0", &[1.0, 0.0], &[0])];
        assert!(members(&line).merge(1, Seed::new(0)).is_none());
        assert!(all.merge(0, Seed::new(0)).is_none());
        all.advance(Vec::new(), None);
        assert!(all.merge(1, Seed::new(0)).is_none());
    }
}
