//! The updater of prompts for tasks.

use super::advice::ranked;
use super::exchange::Exchange;
use super::habits::{Habit, LENGTH, points, points_of};
use crate::sim::rng::Rng;
use crate::sim::text::sentences;

/// How often a sentence that asks for a habit is lost, and how often a harmful sentence is put in, by
/// somebody without any skill; the first falls with the square of what is missing, the second with what is.
const LOSES: f64 = 0.9;
const HARMS: f64 = 0.5;
/// How many points one rewriting takes up: a text changes a little at a time.
const MOST: usize = 2;

/// What goes on at length and asks for nothing.
const RAMBLING: &str = "Bear in mind that questions of this kind have been put to many people in many places \
    and at many times, that some of them were pleased and some were not, that words have a long history, and \
    that whoever reads with patience and with an open mind will in the end have read with patience and with \
    an open mind, which is worth a great deal more than is commonly said, as those who have been there will \
    gladly tell anybody who asks them on a quiet afternoon, and so on in this manner, since there is always \
    more to be said about everything.";

/// Rewrites a prompt by the feedback.
pub(super) fn prompt(
    variable: &str,
    feedback: &[&str],
    exchange: &Exchange<'_>,
    skill: f64,
    rng: &mut Rng,
) -> String {
    let lack = 1.0 - skill;
    let wishes = ranked(feedback);
    let cut: Vec<Habit> =
        wishes.iter().filter(|((_, wanted), _)| !wanted).map(|((habit, _), _)| *habit).collect();
    let obeys = !cut.is_empty() && rng.chance(skill);
    let mut kept: Vec<String> = Vec::new();
    for sentence in sentences(variable.trim()) {
        let asks = points_of(sentence);
        let lost = rng.chance(LOSES * lack * lack) && !asks.is_empty();
        let unwanted = asks.iter().any(|(habit, _)| {
            habit.is_bad() && (cut.contains(habit) || cut.contains(&Habit::Brief))
        });
        if !(lost || unwanted && obeys) {
            kept.push(sentence.to_owned());
        }
    }
    if rng.chance(skill) && wishes.iter().any(|(point, _)| *point == (Habit::Short, true)) {
        shorten(&mut kept);
    }
    let mut text = kept.concat().trim_end().to_owned();
    let limit = word_limit(exchange);
    let put = |text: &mut String, sentence: &str| {
        let words = text.split_whitespace().count() + sentence.split_whitespace().count();
        if limit.is_none_or(|limit| words <= limit) {
            if !text.is_empty() {
                text.push(if text.ends_with('\n') { '\n' } else { ' ' });
            }
            text.push_str(sentence);
        }
    };
    let mut taken = 0;
    for ((habit, wanted), _) in &wishes {
        let sentence = habit.sentence(rng);
        let follows = rng.chance(skill);
        let known = points(&text).contains(&(*habit, true));
        if *wanted && *habit != Habit::Short && !known && taken < MOST {
            taken += 1;
            if follows {
                put(&mut text, sentence);
            }
        }
    }
    let harm = rng.pick(&["Answer immediately.", "A rough guess is enough.", RAMBLING]);
    if rng.chance(HARMS * lack) && !text.contains(harm) {
        put(&mut text, harm);
    }
    match text.trim() {
        "" => variable.trim().to_owned(),
        text => text.to_owned(),
    }
}

/// Takes out what asks for nothing, the longest first, until no attention is lost by length.
fn shorten(kept: &mut Vec<String>) {
    let words = |text: &str| text.split_whitespace().count();
    while kept.iter().map(|sentence| words(sentence)).sum::<usize>() > LENGTH {
        let idle = (0..).zip(&*kept).filter(|(_, sentence)| points_of(sentence).is_empty());
        let Some((longest, _)) = idle.max_by_key(|(_, sentence)| words(sentence)) else { return };
        kept.remove(longest);
    }
}

/// The most words that a constraint, or what was wrong with an earlier answer, allows.
fn word_limit(exchange: &Exchange<'_>) -> Option<usize> {
    let texts = exchange.constraints.iter().chain(&exchange.told);
    texts.flat_map(|text| sentences(text)).filter_map(limit_of).min()
}

fn limit_of(sentence: &str) -> Option<usize> {
    const BOUNDS: &[&str] = &[
        "at most",
        "no more than",
        "not more than",
        "up to",
        "fewer than",
        "less than",
        "under",
        "maximum of",
    ];
    let lower = sentence.to_lowercase();
    BOUNDS.iter().find_map(|bound| {
        let (_, after) = lower.split_once(bound)?;
        let mut words = after.split_whitespace();
        let number = words.next()?.parse().ok()?;
        words.next()?.starts_with("word").then_some(number)
    })
}
