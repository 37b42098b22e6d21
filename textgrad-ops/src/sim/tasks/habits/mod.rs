//! What a prompt can ask a model to do when it works a question out, for better or worse.

mod table;

pub(crate) use self::table::ROWS;
use crate::sim::detect::count;
use crate::sim::rng::Rng;
use crate::sim::text::{normalise, place, sentences};

/// A habit that a prompt can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Work step by step and show it.
    Steps,
    /// List everything with its number.
    List,
    /// Leave out what is not asked for.
    Ignore,
    /// Watch number words, articles and plurals.
    Numbers,
    /// Compare words letter by letter.
    Letters,
    /// Check the result again.
    Verify,
    /// Put the answer on the last line, in a fixed form.
    Form,
    /// Answer at once, without working: harmful.
    Brief,
    /// Be content with a guess: harmful.
    Guess,
    /// Nothing that an answer shows: that the prompt itself be shorter.
    Short,
}

/// A row of the table: a habit, the phrases by which it is read, and sentences that ask for it.
pub(crate) struct Row {
    pub(crate) habit: Habit,
    phrases: &'static [&'static str],
    pub(crate) wordings: &'static [&'static str],
}

/// What turns a wish for the words that follow into its opposite.
const AGAINST: &[&str] = &[
    "do not",
    "dont",
    "never",
    "avoid",
    "remove",
    "take out",
    "drop",
    "no longer",
    "instead of",
    "rather than",
    "must not",
];

/// What no prompt minds, in words; each word more takes some attention from the others.
pub(crate) const LENGTH: usize = 110;

impl Habit {
    /// Whether it does harm.
    pub(crate) fn is_bad(self) -> bool {
        matches!(self, Self::Brief | Self::Guess)
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.habit == self)
    }

    /// A sentence that asks for it.
    pub(crate) fn sentence(self, rng: &mut Rng) -> &'static str {
        rng.pick(self.row().map_or(&[], |row| row.wordings))
    }
}

/// A habit, and whether it is wanted or to be taken out.
pub(crate) type Point = (Habit, bool);

/// The points of a text, each habit once, in order of appearance.
pub(crate) fn points(text: &str) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for sentence in sentences(text.trim()) {
        for point in points_of(sentence) {
            if points.iter().all(|(known, _)| *known != point.0) {
                points.push(point);
            }
        }
    }
    points
}

/// The points of one sentence.
pub(crate) fn points_of(sentence: &str) -> Vec<Point> {
    let words = normalise(sentence);
    let at = |phrase: &str| place(&words, phrase);
    let against = AGAINST.iter().filter_map(|phrase| at(phrase)).min();
    let mut points = Vec::new();
    for row in ROWS {
        // Where the answer is to stand, and that nothing else is to stand there, is not a wish for brevity.
        let placed = points.iter().any(|(habit, _)| *habit == Habit::Form);
        let found: Vec<usize> = row.phrases.iter().filter_map(|phrase| at(phrase)).collect();
        if let Some(first) = found.into_iter().min()
            && !(placed && row.habit.is_bad())
        {
            points.push((row.habit, against.is_none_or(|against| first <= against)));
        }
    }
    points
}

/// Whether a text asks for something that only a prompt for a task would.
pub(crate) fn speaks_of_tasks(text: &str) -> bool {
    let common = [Habit::Short, Habit::Steps, Habit::Brief, Habit::Guess, Habit::Form];
    points(text).iter().any(|(habit, _)| !common.contains(habit))
}

/// The habits that are followed while one question is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followed {
    habits: Vec<Habit>,
    /// The words before the answer that a prompt fixes.
    pub(crate) before: Option<String>,
}

impl Followed {
    /// Which of the habits that a prompt asks for are followed this time: all of them by somebody with skill,
    /// fewer the longer the prompt is.
    pub(crate) fn of(prompt: &str, skill: f64, rng: &mut Rng) -> Self {
        let words = prompt.split_whitespace().count().max(LENGTH);
        let attention = count(LENGTH) / count(words);
        let lack = 1.0 - skill;
        let chance = (1.0 - lack * lack) * attention;
        let points = points(prompt);
        let mut habits = Vec::new();
        for row in ROWS {
            let follows = rng.chance(chance);
            if follows && points.contains(&(row.habit, true)) {
                habits.push(row.habit);
            }
        }
        Self { habits, before: form(prompt) }
    }

    pub(crate) fn has(&self, habit: Habit) -> bool {
        self.habits.contains(&habit)
    }

    /// A rate of mistakes: the usual one, or what is left of it where a habit helps.
    pub(crate) fn rate(&self, rates: (f64, f64), helps: Habit) -> f64 {
        let rate = if self.has(helps) { rates.1 } else { rates.0 };
        let rate = if self.has(Habit::Steps) { rate * 0.8 } else { rate };
        let rate = if self.has(Habit::Brief) { rate * 2.5 } else { rate };
        if self.has(Habit::Guess) { rate * 2.0 } else { rate }
    }

    /// The last line of an answer.
    pub(crate) fn last_line(&self, answer: &str) -> String {
        match (&self.before, self.has(Habit::Form), self.has(Habit::Brief)) {
            (before, true, _) => format!("{} {answer}", before.as_deref().unwrap_or("Answer:")),
            (_, false, true) => answer.to_owned(),
            (_, false, false) => format!("The answer is {answer}"),
        }
    }
}

/// What a prompt wants before the answer: `Answer:` of `'Answer: $VALUE'`.
fn form(prompt: &str) -> Option<String> {
    let sentence = sentences(prompt.trim())
        .into_iter()
        .find(|sentence| points_of(sentence).contains(&(Habit::Form, true)))?;
    // An apostrophe inside of a word opens nothing.
    let (_, quoted) = sentence.split_once(" '").or_else(|| {
        let opening = sentence.find(['"', '`', '‘', '“'])?;
        let mut rest = sentence.get(opening..)?.chars();
        rest.next();
        Some(("", rest.as_str()))
    })?;
    let (before, _) = quoted.split_once(':')?;
    let plain = before.chars().all(|c| c.is_alphanumeric() || c == ' ' || c == '*');
    (plain && !before.trim().is_empty() && before.split_whitespace().count() <= 4)
        .then(|| format!("{}:", before.trim()))
}
