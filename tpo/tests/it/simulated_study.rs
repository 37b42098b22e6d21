//! The shape of the paper's findings, on the simulation: a check of the algorithm, and of nothing else. The
//! simulation sees messages and seeds, neither mode nor iteration.

use std::sync::Arc;

use textgrad_ops::sim::Sim;
use tpo::input::BUILTIN;
use tpo::report::{Bootstrap, Interval, deviation, mean};
use tpo::{Batch, Mode, SimReward, Tpo, Trajectory};

/// How many seeds, likewise.
const SEEDS: u64 = 4;
/// Beside those that are built in.
const MORE: [&str; 16] = [
    "How do I take care of a wooden table?",
    "Why is the sky blue?",
    "What should I pack for a week in the mountains?",
    "Compare trains and buses for a short journey.",
    "How do I boil an egg?",
    "Why do cats purr?",
    "How can I sleep better at night?",
    "Explain how a refrigerator keeps food cold.",
    "Is it better to rent or to buy a flat?",
    "How do I write a letter of application?",
    "What is the best way to clean a window?",
    "Why do leaves change their colour in autumn?",
    "How do vaccines work?",
    "What makes a good teacher?",
    "How do I sharpen a kitchen knife?",
    "Should I repair my old bicycle or buy a new one?",
];
/// How many queries, unless differences are small.
const QUERIES: usize = 12;

/// What was found for each seed and query. A search of less depth is the beginning of a deeper one.
struct Searches(Vec<Vec<Trajectory>>);

async fn searches(skill: f64, mode: Mode, depth: u32, samples: u32) -> Searches {
    over(QUERIES, SEEDS, skill, mode, depth, samples).await
}

async fn over(
    queries: usize,
    seeds: u64,
    skill: f64,
    mode: Mode,
    depth: u32,
    samples: u32,
) -> Searches {
    let sim = Arc::new(Sim::builder().skill(skill).build().unwrap());
    let mut found = Vec::new();
    for seed in 1..=seeds {
        let tpo = Tpo::builder(sim.clone(), Arc::new(SimReward)).mode(mode);
        let tpo = tpo.iterations(depth).samples(samples).seed(seed).build().unwrap();
        let mut batch = Batch::new(tpo, BUILTIN.into_iter().chain(MORE).take(queries));
        let mut trajectories = Vec::new();
        while let Some(outcome) = batch.next().await {
            trajectories.push(outcome.result.unwrap().trajectory().clone());
        }
        found.push(trajectories);
    }
    Searches(found)
}

impl Searches {
    fn each(&self, figure: impl Fn(&Trajectory) -> f64) -> f64 {
        mean(&self.0.iter().flatten().map(figure).collect::<Vec<f64>>()).unwrap()
    }

    /// The mean of the best scores by an iteration.
    fn reward(&self, depth: u32) -> f64 {
        self.each(|trajectory| trajectory.best_score_by(depth).unwrap())
    }

    /// The mean score of what an iteration brought.
    fn brought(&self, depth: u32) -> f64 {
        self.each(|trajectory| mean(&scores(trajectory, depth)).unwrap())
    }

    /// How far apart the scores are that an iteration brought.
    fn spread(&self, depth: u32) -> f64 {
        self.each(|trajectory| deviation(&scores(trajectory, depth)).unwrap())
    }

    /// How far apart the scores of a query are over the seeds.
    fn over_seeds(&self, score: impl Fn(&Trajectory) -> f64) -> f64 {
        let spread = |query: usize| {
            let seeds: Vec<f64> = self.0.iter().map(|queries| score(&queries[query])).collect();
            deviation(&seeds).unwrap()
        };
        mean(&(0..self.0[0].len()).map(spread).collect::<Vec<f64>>()).unwrap()
    }

    /// How much better the answers by an iteration are than those of others, with the interval over queries.
    fn gain(&self, depth: u32, other: &Self, other_depth: u32) -> Interval {
        let best = |found: &Self, query: usize, depth| {
            let seeds = found.0.iter().map(|queries| queries[query].best_score_by(depth).unwrap());
            mean(&seeds.collect::<Vec<f64>>()).unwrap()
        };
        let queries = 0..self.0[0].len();
        let gains = queries.map(|query| best(self, query, depth) - best(other, query, other_depth));
        Bootstrap::default().mean(&gains.collect::<Vec<f64>>()).unwrap()
    }
}

fn scores(trajectory: &Trajectory, depth: u32) -> Vec<f64> {
    let candidates = trajectory.candidates.iter();
    candidates.filter(|candidate| candidate.iteration == depth).map(|c| c.score).collect()
}

#[track_caller]
fn clearly_above(gain: Interval, margin: f64) {
    assert!(gain.mean > margin && gain.low > 0.0, "{gain:?}");
}

#[tokio::test]
async fn tpo_is_above_revision_and_above_best_of_n_with_as_many_answers() {
    let tpo = over(24, 8, 0.8, Mode::Tpo, 3, 5).await;
    let revision = over(24, 8, 0.8, Mode::Revision, 3, 5).await;
    for depth in [2, 3] {
        clearly_above(tpo.gain(depth, &revision, depth), 0.25);
    }
    // The first step is the largest.
    let rewards = [0, 1, 2, 3].map(|depth| tpo.reward(depth));
    let steps: Vec<f64> = rewards.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps[0] > 1.3 * steps[1] && steps[1] > steps[2] && steps[2] > 0.0, "{steps:?}");
    // 15 answers, in one draw and in three.
    clearly_above(tpo.gain(2, &over(24, 8, 0.8, Mode::Bon, 0, 15).await, 0), 0.2);
    clearly_above(tpo.gain(2, &over(24, 8, 0.8, Mode::Resample, 2, 5).await, 2), 0.2);
}

#[tokio::test]
async fn width_and_depth_help_and_level_off() {
    let narrow = searches(0.8, Mode::Tpo, 4, 3).await;
    let usual = searches(0.8, Mode::Tpo, 4, 5).await;
    let wide = searches(0.8, Mode::Tpo, 2, 12).await;
    for found in [&narrow, &usual] {
        let [none, two, four] = [0, 2, 4].map(|depth| found.reward(depth));
        assert!(two - none > 0.8 && four - two > 0.1, "{none} {two} {four}");
        assert!(four - two < 0.5 * (two - none), "{none} {two} {four}");
    }
    let [three, five, twelve] = [&narrow, &usual, &wide].map(|found| found.reward(2));
    assert!(five - three > 0.1 && twelve - five > 0.1, "{three} {five} {twelve}");
    // For each answer more, less.
    assert!((five - three) / 2.0 > 1.5 * (twelve - five) / 7.0, "{three} {five} {twelve}");
    // Depth makes up for width: with 15 answers in all, more than with 24.
    clearly_above(narrow.gain(4, &wide, 0), 0.2);
}

#[tokio::test]
async fn the_spread_of_rewards_falls() {
    let found = searches(0.8, Mode::Tpo, 3, 5).await;
    for depth in [1, 2, 3] {
        let (first, brought) = (found.spread(0), found.spread(depth));
        assert!(brought < 0.5 * first, "iteration {depth}: {brought} after {first}");
    }
    // Of several runs, returned answers lie closer together than single ones.
    let single = found.over_seeds(|trajectory| trajectory.candidates[0].score);
    let returned = found.over_seeds(|trajectory| trajectory.best_score_by(3).unwrap());
    assert!(returned < 0.75 * single, "{returned} after {single}");
}

#[tokio::test]
async fn who_follows_instructions_badly_gets_worse_with_steps() {
    let weak = searches(0.2, Mode::Tpo, 3, 5).await;
    let ungated = searches(0.2, Mode::Ungated, 3, 5).await;
    let strong = searches(0.8, Mode::Tpo, 3, 5).await;
    let by_iteration = |found: &Searches| [0, 1, 2, 3].map(|depth| found.brought(depth));
    // Each rewrite begins at the best answer so far, which bounds the fall.
    let [first, rewrites @ ..] = by_iteration(&weak);
    assert!(rewrites.iter().all(|rewrite| *rewrite < first - 0.3), "{first} {rewrites:?}");
    // Without a gate, one begins where the last one ended.
    let falling = by_iteration(&ungated);
    assert!(falling.windows(2).all(|pair| pair[0] - pair[1] > 0.2), "{falling:?}");
    let rising = by_iteration(&strong);
    assert!(rising.windows(2).all(|pair| pair[1] > pair[0]), "{rising:?}");
    // The best of the pool cannot fall, but it hardly rises.
    let gains = [&weak, &strong].map(|found| found.reward(3) - found.reward(0));
    assert!(gains[0] < 0.1 * gains[1], "{gains:?}");
}

#[tokio::test]
async fn what_was_said_of_another_query_helps_less() {
    let tpo = searches(0.8, Mode::Tpo, 2, 5).await;
    let shuffled = searches(0.8, Mode::Shuffled, 2, 5).await;
    clearly_above(tpo.gain(2, &shuffled, 2), 0.4);
    clearly_above(searches(0.8, Mode::Listwise, 2, 5).await.gain(2, &shuffled, 2), 0.4);
    // The simulation takes nothing from a comparison that nobody has put into words.
    let direct = searches(0.8, Mode::Direct, 2, 5).await;
    assert!(direct.reward(2) - direct.reward(0) < 0.1);
}
