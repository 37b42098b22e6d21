//! Counting questions: `I have two cats, an onion, and three geese. How many animals do I have?`
//!
//! They are of the kind that object counting tests ask, over word lists of our own: number words, articles,
//! plurals, and things of another category among those that are to be counted.

mod advice;
#[cfg(test)]
mod advice_tests;
mod prompt;
mod question;
mod technique;
#[cfg(test)]
mod tests;

use super::rng::Rng;
use super::text::entries;

pub(crate) use self::prompt::PromptTask;
pub(crate) use self::question::Question;

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
    let home = rng.below(CATEGORIES.len());
    let things = THINGS.0 + rng.below(THINGS.1 - THINGS.0 + 1);
    let others = if all { things } else { rng.below(OTHERS + 1).min(things - 2) };
    let mut named: Vec<(usize, &str)> = Vec::new();
    let mut parts = Vec::new();
    let mut answer = 0;
    // Where things of another category stand among the first is a matter of chance too.
    let mut left = others;
    for position in 0..things {
        let other = rng.below(things - position) < left;
        left -= usize::from(other);
        let (category, (thing, plural)) = loop {
            let mut category = home;
            if other {
                category = rng.below(CATEGORIES.len());
            }
            let Some(row) = CATEGORIES.get(category) else { continue };
            let Some(thing) = row.things().nth(rng.below(row.things().count())) else { continue };
            let strange = all || other == (category != home);
            if strange && named.iter().all(|(_, known)| *known != thing.0) {
                break (category, thing);
            }
        };
        named.push((category, thing));
        let alone = rng.chance(ALONE);
        let number = 2 + rng.below(MAX_COUNT - 1);
        if all || category == home {
            answer += if alone { 1 } else { number };
        }
        parts.push(match alone {
            true => format!("{} {thing}", article(thing)),
            false => {
                format!("{} {plural}", in_words(u32::try_from(number).unwrap_or(u32::MAX)))
            }
        });
    }
    let last = parts.pop().unwrap_or_default();
    let asked = match CATEGORIES.get(home) {
        Some(category) if !all => category.name,
        _ => "objects",
    };
    let text = format!("I have {}, and {last}. How many {asked} do I have?", parts.join(", "));
    (text, answer.to_string())
}

/// A category: what questions call it, and its things as `singular/plural`.
#[derive(Debug)]
struct Category {
    name: &'static str,
    things: &'static str,
}

impl Category {
    fn things(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        entries(self.things).filter_map(|thing| thing.split_once('/'))
    }
}

/// What things of every category are called together.
const ANYTHING: &[&str] = &["objects", "things", "items"];

const CATEGORIES: &[Category] = &[
    Category {
        name: "animals",
        things: "cat/cats|dog/dogs|goose/geese|mouse/mice|sheep/sheep|otter/otters|hedgehog/hedgehogs|\
             pony/ponies|fox/foxes|wolf/wolves|owl/owls|toad/toads|heron/herons|rabbit/rabbits|\
             bear/bears|cow/cows|duck/ducks|goat/goats|frog/frogs|snake/snakes|snail/snails|\
             fish/fish|pig/pigs|chicken/chickens|donkey/donkeys",
    },
    Category {
        name: "fruits",
        things: "apple/apples|pear/pears|quince/quinces|cherry/cherries|apricot/apricots|melon/melons|\
             fig/figs|lime/limes|papaya/papayas|banana/bananas|orange/oranges|grape/grapes|\
             plum/plums|peach/peaches|nectarine/nectarines|strawberry/strawberries|\
             raspberry/raspberries|blackberry/blackberries",
    },
    Category {
        name: "vegetables",
        things: "leek/leeks|radish/radishes|turnip/turnips|parsnip/parsnips|pepper/peppers|\
             beetroot/beetroots|pumpkin/pumpkins|head of lettuce/heads of lettuce|\
             stick of rhubarb/sticks of rhubarb|onion/onions|carrot/carrots|potato/potatoes|\
             cabbage/cabbages|cauliflower/cauliflowers|head of broccoli/heads of broccoli|\
             stalk of celery/stalks of celery|clove of garlic/cloves of garlic|yam/yams",
    },
    Category {
        name: "musical instruments",
        things: "cello/cellos|oboe/oboes|harp/harps|bassoon/bassoons|banjo/banjos|tuba/tubas|\
             zither/zithers|lute/lutes|piano/pianos|violin/violins|trumpet/trumpets|\
             trombone/trombones|clarinet/clarinets|flute/flutes|drum/drums|accordion/accordions",
    },
    Category {
        name: "tools",
        things: "hammer/hammers|saw/saws|chisel/chisels|wrench/wrenches|rasp/rasps|\
             spirit level/spirit levels|screwdriver/screwdrivers|pair of pliers/pairs of pliers|\
             spade/spades",
    },
    Category {
        name: "pieces of furniture",
        things: "shelf/shelves|bench/benches|stool/stools|armchair/armchairs|wardrobe/wardrobes|\
             cradle/cradles|chair/chairs|table/tables|bed/beds|couch/couches",
    },
];

#[rustfmt::skip]
const NUMBERS: [&str; 21] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
];

/// The largest number that is read.
const MAX_NUMBER: u32 = 1000;

/// A number as a word, or in figures where it has none here.
fn in_words(number: u32) -> String {
    usize::try_from(number)
        .ok()
        .and_then(|index| NUMBERS.get(index))
        .map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

/// Reads a number word, an article, or figures.
fn number(word: &str) -> Option<u32> {
    let word = word.to_lowercase();
    match word.as_str() {
        "a" | "an" => Some(1),
        word => NUMBERS
            .iter()
            .position(|number| *number == word)
            .and_then(|index| u32::try_from(index).ok())
            .or_else(|| word.parse().ok().filter(|number| *number <= MAX_NUMBER)),
    }
}

/// The category of a thing, by its name as it stands after the number; also of a `red apple`.
fn category(thing: &str) -> Option<&'static Category> {
    let thing = thing.to_lowercase();
    let mut rest = thing.as_str();
    loop {
        let named = |(one, many): (&str, &str)| one == rest || many == rest;
        if let Some(found) = CATEGORIES.iter().find(|category| category.things().any(named)) {
            return Some(found);
        }
        rest = rest.split_once(' ')?.1;
    }
}

/// The article that goes before a thing.
fn article(thing: &str) -> &'static str {
    if thing.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
