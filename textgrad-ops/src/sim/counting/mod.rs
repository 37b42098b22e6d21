//! Counting questions: `I have two cats, an onion, and three geese. How many animals do I have?`
//!
//! They are of the kind that object counting tests ask, over word lists of our own: number words, articles,
//! plurals, and things of another category among those that are to be counted.

mod question;
#[cfg(test)]
mod tests;
mod work;
#[cfg(test)]
mod work_tests;

use super::criteria::{Category, TABLES};
use super::rng::Rng;

pub(crate) use self::question::Question;
pub(crate) use self::work::{Work, followed, work};

/// How many things a question names, and how many of another category at most.
const THINGS: (usize, usize) = (3, 8);
const OTHERS: usize = 3;
/// The largest number of one thing.
const MAX_COUNT: usize = 6;
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
    let categories = &TABLES.categories;
    let home = rng.below(categories.len());
    let things = THINGS.0 + rng.below(THINGS.1 - THINGS.0 + 1);
    let others = if all { things } else { rng.below(OTHERS + 1).min(things - 2) };
    let mut named: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    let mut answer = 0;
    // Where things of another category stand among the first is a matter of chance too.
    let mut left = others;
    for position in 0..things {
        let other = rng.below(things - position) < left;
        left -= usize::from(other);
        let (category, (thing, plural)) = loop {
            let category = if other { rng.below(categories.len()) } else { home };
            let things = categories.get(category).map_or(&[][..], |row| &row.things);
            let Some(thing) = things.get(rng.below(things.len())) else { continue };
            let strange = all || other == (category != home);
            if strange && !named.contains(&thing.0.as_str()) {
                break (category, thing);
            }
        };
        named.push(thing);
        let alone = rng.chance(ALONE);
        let number = 2 + rng.below(MAX_COUNT - 1);
        if all || category == home {
            answer += if alone { 1 } else { number };
        }
        parts.push(match alone {
            true => format!("{} {thing}", article(thing)),
            false => format!("{} {plural}", in_words(number)),
        });
    }
    let last = parts.pop().unwrap_or_default();
    let asked = match categories.get(home) {
        Some(category) if !all => &category.name,
        _ => "objects",
    };
    let text = format!("I have {}, and {last}. How many {asked} do I have?", parts.join(", "));
    (text, answer.to_string())
}

/// What things of every category are called together.
const ANYTHING: &[&str] = &["objects", "things", "items"];

#[rustfmt::skip]
const NUMBERS: [&str; 21] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
];

/// The largest number that is read.
const MAX_NUMBER: usize = 1000;

/// A number as a word, or in figures where it has none here.
fn in_words(number: usize) -> String {
    NUMBERS.get(number).map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

/// Reads a number word, an article, or figures.
fn number(word: &str) -> Option<usize> {
    let word = word.to_lowercase();
    if matches!(word.as_str(), "a" | "an") {
        return Some(1);
    }
    let in_words = NUMBERS.iter().position(|number| *number == word);
    in_words.or_else(|| word.parse().ok().filter(|number| *number <= MAX_NUMBER))
}

/// The category of a thing, by its name as it stands after the number; also of a `red apple`.
fn category(thing: &str) -> Option<&'static Category> {
    let thing = thing.to_lowercase();
    let mut rest = thing.as_str();
    loop {
        let named = |(one, many): &(String, String)| one == rest || many == rest;
        let mut categories = TABLES.categories.iter();
        if let Some(found) = categories.find(|category| category.things.iter().any(named)) {
            return Some(found);
        }
        rest = rest.split_once(' ')?.1;
    }
}

/// The article that goes before a thing.
fn article(thing: &str) -> &'static str {
    if thing.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
