//! Counting questions: `I have two cats, an onion, and three geese. How many animals do I have?`
//!
//! They are of the kind that object counting tests ask, over word lists of our own: number words, articles,
//! plurals, and things of another category among those that are to be counted.

mod answer;
mod question;
mod review;
#[cfg(test)]
mod tests;
mod words;

use super::rng::Rng;

pub(crate) use self::question::Question;

/// How many things a question names, and how many of another category at most.
const THINGS: (usize, usize) = (3, 8);
const OTHERS: usize = 3;
/// The largest number of one thing.
const MOST: usize = 6;
/// How often a thing comes alone, with an article.
const ALONE: f64 = 0.45;
/// How often everything is to be counted.
const ALL: f64 = 0.25;

/// Counting questions with their answers, in figures.
///
/// The same seed gives the same questions on every machine, and the first ones of a longer list are those of
/// a shorter one.
///
/// # Examples
/// ```
/// use textgrad_ops::sim::counting;
///
/// let questions = counting::questions(200, 7);
/// let (question, answer) = &questions[0];
/// assert!(question.starts_with("I have ") && question.ends_with(" do I have?"));
/// assert!(answer.parse::<u32>().is_ok_and(|count| count > 0));
/// assert_eq!(counting::questions(3, 7), questions[..3]);
/// ```
#[must_use]
pub fn questions(n: usize, seed: u64) -> Vec<(String, String)> {
    (0..n).map(|index| one(&mut Rng::new(u64::try_from(index).unwrap_or(u64::MAX), seed))).collect()
}

fn one(rng: &mut Rng) -> (String, String) {
    let all = rng.chance(ALL);
    let home = rng.below(words::CATEGORIES.len());
    let things = THINGS.0 + rng.below(THINGS.1 - THINGS.0 + 1);
    let others = if all { things } else { rng.below(OTHERS + 1).min(things - 2) };
    let mut named: Vec<(usize, &str)> = Vec::new();
    let mut parts = Vec::new();
    let mut answer = 0;
    // Where things of another category stand among the first is a matter of chance too.
    let mut left = others;
    for place in 0..things {
        let other = rng.below(things - place) < left;
        left -= usize::from(other);
        let (category, (thing, plural)) = loop {
            let mut category = home;
            if other {
                category = rng.below(words::CATEGORIES.len());
            }
            let Some(row) = words::CATEGORIES.get(category) else { continue };
            let Some(thing) = row.things.get(rng.below(row.things.len())) else { continue };
            let strange = all || other == (category != home);
            if strange && named.iter().all(|(_, known)| *known != thing.0) {
                break (category, *thing);
            }
        };
        named.push((category, thing));
        let alone = rng.chance(ALONE);
        let number = 2 + rng.below(MOST - 1);
        if all || category == home {
            answer += if alone { 1 } else { number };
        }
        parts.push(match alone {
            true => format!("{} {thing}", words::article(thing)),
            false => {
                format!("{} {plural}", words::in_words(u32::try_from(number).unwrap_or(u32::MAX)))
            }
        });
    }
    let last = parts.pop().unwrap_or_default();
    let asked = match words::CATEGORIES.get(home) {
        Some(category) if !all => category.name,
        _ => "objects",
    };
    let text = format!("I have {}, and {last}. How many {asked} do I have?", parts.join(", "));
    (text, answer.to_string())
}
