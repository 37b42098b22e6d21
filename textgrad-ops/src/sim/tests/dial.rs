//! Effects of the skill setting on the loop. They emerge; the engine does not state them.

use textgrad_core::Message;

use super::{QUERY, gradient, inside, loss, one, quoted, sim, texts, update};
use crate::sim::{Sim, reward};

const N: u32 = 5;

/// The mean reward of each iteration's candidates, the first samples included.
fn run(sim: &Sim, query: &str, seed: u64, depth: usize, contrast: bool) -> Vec<f64> {
    let mut pool: Vec<(f64, String)> = Vec::new();
    let mut means = Vec::new();
    let mut candidates = texts(sim, &[Message::user(query)], N, seed);
    loop {
        let scored = candidates.into_iter().map(|text| (reward(query, &text), text));
        let start = pool.len();
        pool.extend(scored);
        means.push(pool[start..].iter().map(|(reward, _)| reward).sum::<f64>() / f64::from(N));
        if means.len() > depth {
            return means;
        }
        pool.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (best, worst) = (&pool[0].1, &pool[pool.len() - 1].1);
        // Each step draws anew: the same request with the same seed would only repeat itself.
        let seed = seed + 10 * u64::try_from(means.len()).expect("few steps");
        let asked = loss(query, best, contrast.then_some(worst));
        let conversation = quoted(&asked, &one(sim, &asked, seed));
        let feedback = one(sim, &gradient(&conversation, best), seed);
        candidates = texts(sim, &update(&conversation, best, &feedback), N, seed)
            .iter()
            .map(|text| inside(text, "IMPROVED_VARIABLE").to_owned())
            .collect();
    }
}

fn curve(skill: f64, runs: u64, depth: usize, contrast: bool) -> Vec<f64> {
    let queries = [
        QUERY,
        "Why is the sky blue?",
        "Is tea better than coffee, and how much of it is too much?",
    ];
    let sim = sim(skill);
    let mut sums = vec![0.0; depth + 1];
    for (seed, query) in (0..runs).zip(queries.into_iter().cycle()) {
        for (sum, mean) in sums.iter_mut().zip(run(&sim, query, seed * 100, depth, contrast)) {
            *sum += mean;
        }
    }
    let runs = f64::from(u32::try_from(runs).expect("few runs"));
    sums.into_iter().map(|sum| sum / runs).collect()
}

#[test]
fn with_skill_candidates_improve_and_level_off_and_contrast_helps() {
    let tpo = curve(0.85, 200, 3, true);
    assert!(tpo.is_sorted(), "{tpo:?}");
    let (first, last) = (tpo[1] - tpo[0], tpo[3] - tpo[2]);
    assert!(first > 1.5 && last < 0.4, "{tpo:?}");

    let revision = curve(0.85, 200, 1, false);
    assert!((tpo[0] - revision[0]).abs() < 1e-9, "the same first samples");
    assert!(tpo[1] > revision[1] + 0.15, "{tpo:?} {revision:?}");
}

#[test]
fn without_skill_candidates_are_worse_than_the_first_samples() {
    let curve = curve(0.2, 200, 2, true);
    assert!(curve[1..].iter().all(|mean| *mean < curve[0] - 1.0), "{curve:?}");
}

#[test]
fn the_dial_is_monotone() {
    let last: Vec<f64> =
        [0.0, 0.5, 1.0].into_iter().map(|skill| curve(skill, 40, 1, true)[1]).collect();
    assert!(last.is_sorted(), "{last:?}");
}
