//! The simulated reward model.

use super::criteria::{Kind, Needs, Reading, criteria};

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

/// The reward of an answer to a query: a *simulated* reward model.
///
/// It reads nothing but the two texts, and judges any text, whoever wrote it, by the words in it: which
/// strengths that the query calls for show (a direct answer, a reason, an example, ...), which flaws (padding,
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
    let needs = Needs::of(query);
    let reading = Reading::of(answer, needs.budget);
    if reading.words == 0 {
        return LOWEST;
    }
    let (mut wanted, mut covered, mut penalty) = (0.0, 0.0, 0.0);
    for row in criteria() {
        let times = match row.kind {
            Kind::Flaw => {
                reading.sentences.iter().filter(|(_, marks)| marks.contains(&row)).count()
            }
            Kind::Length => reading.words.saturating_sub(needs.budget).div_ceil(EXCESS_WORDS),
            _ => 0,
        };
        penalty -= row.weight * times.min(REPEATS) as f64;
        if needs.strengths.contains(&row) {
            wanted += row.weight;
            covered += if reading.marks.contains(&row) { row.weight } else { 0.0 };
        }
    }
    let share = if wanted > 0.0 { covered / wanted } else { 0.0 };
    let relevance = RELEVANCE * needs.relevance(answer);
    (FLOOR + COVERAGE * share + penalty + relevance).clamp(LOWEST, HIGHEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "How do I take care of a wooden table?";

    #[test]
    fn each_strength_that_is_wanted_raises_it_and_each_flaw_lowers_it() {
        let base = "A wooden table stands there.";
        let needs = Needs::of(QUERY);
        for row in criteria() {
            for wording in &row.wordings {
                let with = format!("{base} {}", wording.replace("{topic}", "a wooden table"));
                let change = reward(QUERY, &with) - reward(QUERY, base);
                match row.kind {
                    Kind::Strength if needs.strengths.contains(&row) => {
                        assert!(change > 0.3, "{wording}: {change}");
                    }
                    Kind::Strength => assert!(change.abs() < 1e-9, "{wording}: {change}"),
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
