//! Pairs of answers to compare.

use tpo::Pairs;

use super::Loop;

/// An answer, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    pub(super) iteration: u32,
    pub(super) score: f64,
}

/// An answer to rewrite, and those that it is compared with.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    pub(super) chosen: usize,
    pub(super) rejected: Vec<usize>,
}

/// The first of the best answers at places that are wanted.
pub(super) fn first_best(pool: &[Scored], wanted: impl Fn(usize) -> bool) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (place, answer) in pool.iter().enumerate() {
        if wanted(place) && best.is_none_or(|best| answer.score > pool[best].score) {
            best = Some(place);
        }
    }
    best
}

/// The first of the worst answers at places that are wanted.
pub(super) fn first_worst(pool: &[Scored], wanted: impl Fn(usize) -> bool) -> Option<usize> {
    let mut worst: Option<usize> = None;
    for (place, answer) in pool.iter().enumerate() {
        if wanted(place) && worst.is_none_or(|worst| answer.score < pool[worst].score) {
            worst = Some(place);
        }
    }
    worst
}

/// Places, one after the other, each time what `next` makes of those that are left.
fn in_turn(next: impl Fn(&dyn Fn(usize) -> bool) -> Option<usize>) -> Vec<usize> {
    let mut taken: Vec<usize> = Vec::new();
    while let Some(place) = next(&|place| !taken.contains(&place)) {
        taken.push(place);
    }
    taken
}

pub(super) fn compare(pairs: Pairs, pool: &[Scored], newest_only: bool) -> Vec<Comparison> {
    let last = pool.last().map_or(0, |answer| answer.iteration);
    let is_newest = |place: usize| pool[place].iteration == last;
    let may_be_chosen = |place: usize| !newest_only || is_newest(place);
    let Some(best) = first_best(pool, may_be_chosen) else { return Vec::new() };
    let is_worse = |place: usize, than: usize| pool[place].score < pool[than].score;
    let best_against = |rejected: Option<usize>| {
        let rejected = rejected.filter(|rejected| is_worse(*rejected, best));
        vec![Comparison { chosen: best, rejected: rejected.into_iter().collect() }]
    };
    let downwards = in_turn(|is_left| first_best(pool, is_left));
    match pairs {
        Pairs::BestWorst => best_against(first_worst(pool, |_| true)),
        Pairs::Newest => best_against(first_worst(pool, is_newest)),
        // Of the two in the middle, the worse.
        Pairs::Median => best_against(Some(downwards[pool.len() / 2])),
        Pairs::All => {
            let mut rejected = downwards;
            rejected.retain(|place| is_worse(*place, best));
            vec![Comparison { chosen: best, rejected }]
        }
        Pairs::TopBottom(k) => {
            let upwards = in_turn(|is_left| first_worst(pool, is_left));
            let top =
                in_turn(|is_left| first_best(pool, |place| may_be_chosen(place) && is_left(place)));
            let mut compared = Vec::new();
            for rank in 0..top.len().min(k as usize) {
                if is_worse(upwards[rank], top[rank]) {
                    compared.push(Comparison { chosen: top[rank], rejected: vec![upwards[rank]] });
                }
            }
            if compared.is_empty() { best_against(None) } else { compared }
        }
        other => panic!("no such pairs: {other}"),
    }
}

impl Loop<'_, '_> {
    /// The others that an answer is ranked with, best first: all that differ in their text, or N - 1 of them,
    /// spread evenly over the ranks from the worst one upwards.
    pub(super) fn ranked_with(&self, chosen: usize) -> Vec<usize> {
        let pool = self.scores();
        let text = |place: usize| self.found.pool[place].1.as_str();
        let mut others: Vec<usize> = Vec::new();
        for place in in_turn(|is_left| first_best(&pool, is_left)) {
            let is_there = others.iter().any(|other| text(*other) == text(place));
            if !is_there && text(place) != text(chosen) {
                others.push(place);
            }
        }
        let wanted = (self.case.samples as usize - 1).max(1);
        if others.len() <= wanted {
            return others;
        }
        let (steps, width) = (wanted - 1, others.len() - 1);
        let mut spread = Vec::new();
        for step in 0..wanted {
            // Where it falls between two, the worse.
            let from_the_worst = (step * width).checked_div(steps).unwrap_or(0);
            spread.insert(0, others[width - from_the_worst]);
        }
        spread
    }
}
