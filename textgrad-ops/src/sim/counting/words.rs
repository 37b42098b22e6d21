//! The words of counting questions: things by category, and numbers.

/// A category: what questions call it, and its things, singular and plural.
#[derive(Debug)]
pub(super) struct Category {
    pub(super) name: &'static str,
    pub(super) things: &'static [(&'static str, &'static str)],
}

/// What things of every category are called together.
pub(super) const ANYTHING: &[&str] = &["objects", "things", "items"];

pub(super) const CATEGORIES: &[Category] = &[
    Category {
        name: "animals",
        things: &[
            ("cat", "cats"),
            ("dog", "dogs"),
            ("goose", "geese"),
            ("mouse", "mice"),
            ("sheep", "sheep"),
            ("otter", "otters"),
            ("hedgehog", "hedgehogs"),
            ("pony", "ponies"),
            ("fox", "foxes"),
            ("wolf", "wolves"),
            ("owl", "owls"),
            ("toad", "toads"),
            ("heron", "herons"),
            ("rabbit", "rabbits"),
            ("bear", "bears"),
            ("cow", "cows"),
            ("duck", "ducks"),
            ("goat", "goats"),
            ("frog", "frogs"),
            ("snake", "snakes"),
            ("snail", "snails"),
            ("fish", "fish"),
            ("pig", "pigs"),
            ("chicken", "chickens"),
            ("donkey", "donkeys"),
        ],
    },
    Category {
        name: "fruits",
        things: &[
            ("apple", "apples"),
            ("pear", "pears"),
            ("quince", "quinces"),
            ("cherry", "cherries"),
            ("apricot", "apricots"),
            ("melon", "melons"),
            ("fig", "figs"),
            ("lime", "limes"),
            ("papaya", "papayas"),
            ("banana", "bananas"),
            ("orange", "oranges"),
            ("grape", "grapes"),
            ("plum", "plums"),
            ("peach", "peaches"),
            ("nectarine", "nectarines"),
            ("strawberry", "strawberries"),
            ("raspberry", "raspberries"),
            ("blackberry", "blackberries"),
        ],
    },
    Category {
        name: "vegetables",
        things: &[
            ("leek", "leeks"),
            ("radish", "radishes"),
            ("turnip", "turnips"),
            ("parsnip", "parsnips"),
            ("pepper", "peppers"),
            ("beetroot", "beetroots"),
            ("pumpkin", "pumpkins"),
            ("head of lettuce", "heads of lettuce"),
            ("stick of rhubarb", "sticks of rhubarb"),
            ("onion", "onions"),
            ("carrot", "carrots"),
            ("potato", "potatoes"),
            ("cabbage", "cabbages"),
            ("cauliflower", "cauliflowers"),
            ("head of broccoli", "heads of broccoli"),
            ("stalk of celery", "stalks of celery"),
            ("clove of garlic", "cloves of garlic"),
            ("yam", "yams"),
        ],
    },
    Category {
        name: "musical instruments",
        things: &[
            ("cello", "cellos"),
            ("oboe", "oboes"),
            ("harp", "harps"),
            ("bassoon", "bassoons"),
            ("banjo", "banjos"),
            ("tuba", "tubas"),
            ("zither", "zithers"),
            ("lute", "lutes"),
            ("piano", "pianos"),
            ("violin", "violins"),
            ("trumpet", "trumpets"),
            ("trombone", "trombones"),
            ("clarinet", "clarinets"),
            ("flute", "flutes"),
            ("drum", "drums"),
            ("accordion", "accordions"),
        ],
    },
    Category {
        name: "tools",
        things: &[
            ("hammer", "hammers"),
            ("saw", "saws"),
            ("chisel", "chisels"),
            ("wrench", "wrenches"),
            ("rasp", "rasps"),
            ("spirit level", "spirit levels"),
            ("screwdriver", "screwdrivers"),
            ("pair of pliers", "pairs of pliers"),
            ("spade", "spades"),
        ],
    },
    Category {
        name: "pieces of furniture",
        things: &[
            ("shelf", "shelves"),
            ("bench", "benches"),
            ("stool", "stools"),
            ("armchair", "armchairs"),
            ("wardrobe", "wardrobes"),
            ("cradle", "cradles"),
            ("chair", "chairs"),
            ("table", "tables"),
            ("bed", "beds"),
            ("couch", "couches"),
        ],
    },
];

const NUMBERS: [&str; 21] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

/// The largest number that is read.
const MOST: u32 = 1000;

/// A number as a word, or in figures where it has none here.
pub(super) fn in_words(number: u32) -> String {
    usize::try_from(number)
        .ok()
        .and_then(|index| NUMBERS.get(index))
        .map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

/// Reads a number word, an article, or figures.
pub(super) fn number(word: &str) -> Option<u32> {
    let word = word.to_lowercase();
    match word.as_str() {
        "a" | "an" => Some(1),
        word => NUMBERS
            .iter()
            .position(|number| *number == word)
            .and_then(|index| u32::try_from(index).ok())
            .or_else(|| word.parse().ok().filter(|number| *number <= MOST)),
    }
}

/// The category of a thing, by its name as it stands after the number; also of a `red apple`.
pub(super) fn category(thing: &str) -> Option<&'static Category> {
    let thing = thing.to_lowercase();
    let mut rest = thing.as_str();
    loop {
        let named = |(one, many): &(&str, &str)| *one == rest || *many == rest;
        if let Some(found) = CATEGORIES.iter().find(|category| category.things.iter().any(named)) {
            return Some(found);
        }
        rest = rest.split_once(' ')?.1;
    }
}

/// The article that goes before a thing.
pub(super) fn article(thing: &str) -> &'static str {
    if thing.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
