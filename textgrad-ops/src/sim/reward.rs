//! The simulated reward model.

use super::aspects::{Kind, rows};
use super::detect::{Reading, Wants, count};

/// The reward of an answer without any words, and the lower bound of all rewards.
pub(super) const LOWEST: f64 = -6.0;
/// The upper bound of all rewards.
pub(super) const HIGHEST: f64 = 6.0;
/// The reward of a flawless text that has nothing of what is wanted.
const FLOOR: f64 = -3.0;
/// What a text gains by having all that is wanted.
const COVERAGE: f64 = 8.0;
/// What a text gains by taking up all key words of the query.
const RELEVANCE: f64 = 1.0;
/// A flaw counts at most this often.
const REPEATS: usize = 3;
/// Each so many words over the budget count as one flaw of length.
const EXCESS_WORDS: usize = 40;

/// Why an answer has its reward; see [`reward_parts`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RewardParts {
    /// The reward: the sum of the parts below, held within -6 and +6.
    pub total: f64,
    /// The virtues that the query calls for, in the order of an answer, and whether the answer has them.
    pub virtues: Vec<(&'static str, bool)>,
    /// What the virtues are worth together, from -3 (none) to +5 (all).
    pub coverage: f64,
    /// The flaws that the answer has, and how often they count.
    pub flaws: Vec<(&'static str, usize)>,
    /// What the flaws cost together, at most 0.
    pub penalty: f64,
    /// What the answer gains by the words that it shares with the query, from 0 to 1.
    pub relevance: f64,
}

/// The reward of an answer to a query: a *simulated* reward model.
///
/// It reads nothing but the two texts, and judges any text, whoever wrote it, by the words in it: which
/// virtues that the query calls for show (a direct answer, a reason, an example, ...), which flaws (padding,
/// hedging, digressions, flattery, too many words), and how many of the query's words are taken up.
///
/// The scale is that of a raw logit: always finite, from -6 to +6, about 0 for a middling answer. Like that
/// of real reward models, it says which of two answers to the *same* query is better, and little else.
///
/// # Examples
/// ```
/// use textgrad_ops::sim;
///
/// let query = "How do I take care of a wooden table?";
/// let good = "In short, oil the wooden table twice a year, because dry wood cracks. For example, use \
///     linseed oil. However, never on varnish. First clean it, lastly wipe it.";
/// let bad = "Great question! It is worth noting that it might perhaps be hard to say.";
/// assert!(sim::reward(query, good) > sim::reward(query, bad));
/// ```
#[must_use]
pub fn reward(query: &str, answer: &str) -> f64 {
    reward_parts(query, answer).total
}

/// The reward of an answer with its parts, for teaching and debugging; see [`reward`].
///
/// # Examples
/// ```
/// use textgrad_ops::sim;
///
/// let parts = sim::reward_parts("Why is the sky blue?", "Great question! It is because of scattering.");
/// assert!(parts.virtues.contains(&("reason", true)));
/// assert!(parts.virtues.contains(&("example", false)));
/// assert_eq!(parts.flaws, [("flattery", 1)]);
/// ```
#[must_use]
pub fn reward_parts(query: &str, answer: &str) -> RewardParts {
    let wants = Wants::of(query);
    let reading = Reading::of(answer, wants.budget);
    let (mut virtues, mut flaws) = (Vec::new(), Vec::new());
    let (mut wanted, mut covered, mut penalty) = (0.0, 0.0, 0.0);
    for (index, row) in rows() {
        match row.kind {
            Kind::Virtue { .. } => {
                if wants.virtues.contains(index) {
                    let has = reading.marks.contains(index);
                    virtues.push((row.name, has));
                    wanted += row.weight;
                    covered += if has { row.weight } else { 0.0 };
                }
                continue;
            }
            Kind::Flaw | Kind::Length => {}
        }
        let times = match row.kind {
            Kind::Length => reading.words.saturating_sub(wants.budget).div_ceil(EXCESS_WORDS),
            _ => reading.count(index),
        }
        .min(REPEATS);
        if times > 0 {
            flaws.push((row.name, times));
            penalty -= row.weight * count(times);
        }
    }
    let share = if wanted > 0.0 { covered / wanted } else { 0.0 };
    let coverage = FLOOR + COVERAGE * share;
    let relevance = RELEVANCE * wants.relevance(answer);
    let total = if reading.words == 0 {
        LOWEST
    } else {
        (coverage + penalty + relevance).clamp(LOWEST, HIGHEST)
    };
    RewardParts { total, virtues, coverage, flaws, penalty, relevance }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "How do I take care of a wooden table?";

    #[test]
    fn each_virtue_that_is_wanted_raises_it_and_each_flaw_lowers_it() {
        let base = "A wooden table stands there.";
        let wants = Wants::of(QUERY);
        for (index, row) in rows() {
            for wording in row.wordings {
                let with = format!("{base} {}", wording.replace("{topic}", "a wooden table"));
                let change = reward(QUERY, &with) - reward(QUERY, base);
                match row.kind {
                    Kind::Virtue { .. } if wants.virtues.contains(index) => {
                        assert!(change > 0.3, "{wording}: {change}");
                    }
                    Kind::Virtue { .. } => assert!(change.abs() < 1e-9, "{wording}: {change}"),
                    _ => assert!(change < -0.3, "{wording}: {change}"),
                }
            }
        }
    }

    #[test]
    fn an_answer_to_another_query_is_worth_less() {
        let answer = "In short, oil the wooden table with care.";
        assert!(reward(QUERY, answer) > reward("How do I mend an umbrella?", answer));
    }

    #[test]
    fn words_beyond_the_budget_cost() {
        let short = "word ".repeat(200);
        let long = "word ".repeat(300);
        assert!(reward(QUERY, &short) > reward(QUERY, &long));
        let brief = format!("{QUERY} Answer briefly.");
        assert!(reward(QUERY, &short) > reward(&brief, &short));
    }

    #[test]
    fn any_text_has_a_finite_reward_within_the_scale() {
        let tags = "<QUERY>\n".repeat(1000);
        let flaws = "By the way, hard to say. ".repeat(500);
        for query in ["", "?", "你好", &tags, QUERY] {
            for answer in ["", " \n", "你好。", "\u{0}\u{feff}", &tags, &flaws] {
                let reward = reward(query, answer);
                assert!((LOWEST..=HIGHEST).contains(&reward), "{reward}");
            }
        }
        assert!((reward(QUERY, "") - LOWEST).abs() < 1e-9);
    }
}
