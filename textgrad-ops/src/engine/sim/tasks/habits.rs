//! What a prompt can ask a model to do when it works a question out, for better or worse.

use crate::engine::sim::detect::count;
use crate::engine::sim::rng::Rng;
use crate::engine::sim::text::{normalise, sentences};

/// A habit that a prompt can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::sim) enum Habit {
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
}

/// A row of the table: a habit, the phrases by which it is read, and sentences that ask for it.
pub(super) struct Row {
    pub(super) habit: Habit,
    phrases: &'static [&'static str],
    pub(super) wordings: &'static [&'static str],
}

pub(super) const ROWS: &[Row] = &[
    Row {
        habit: Habit::Steps,
        phrases: &[
            "step by step",
            "show your work",
            "show your working",
            "show the working",
            "work through",
            "reason through",
            "reason carefully",
            "think carefully",
            "think it through",
            "explain your reasoning",
            "show your reasoning",
        ],
        wordings: &[
            "Work through the question step by step.",
            "Show your working before you answer.",
        ],
    },
    Row {
        habit: Habit::List,
        phrases: &[
            "list every",
            "list each",
            "list all",
            "list the items",
            "write down every",
            "write down each",
            "write out every",
            "write out each",
            "go through every",
            "go through each",
            "enumerate",
            "itemize",
            "itemise",
            "one line per",
            "per line",
            "on its own line",
            "for each item",
            "item by item",
            "one by one",
        ],
        wordings: &[
            "List every item of the question on its own line with its number.",
            "Write down each item and its number, so that none is missing.",
        ],
    },
    Row {
        habit: Habit::Ignore,
        phrases: &[
            "ignore things",
            "ignore items",
            "ignore objects",
            "ignore any",
            "ignore everything",
            "leave out items",
            "leave out things",
            "leave out everything",
            "skip items",
            "skip things",
            "do not count things",
            "do not count items",
            "do not include",
            "dont count things",
            "dont include",
            "other categories",
            "other category",
            "other kinds",
            "other types",
            "count only",
            "only count",
            "only the items that",
            "belongs to the category",
            "belong to the category",
            "irrelevant items",
            "distractors",
        ],
        wordings: &[
            "Ignore things of other categories than the one that is asked for.",
            "Count only what belongs to the category in the question.",
        ],
    },
    Row {
        habit: Habit::Numbers,
        phrases: &[
            "number word",
            "number words",
            "spelled out numbers",
            "numbers written out",
            "written out numbers",
            "quantity of each",
            "quantities",
            "how many of each",
            "plural",
            "plurals",
            "counts as one",
            "count as one",
            "means one",
            "as one",
            "into figures",
        ],
        wordings: &[
            "Watch number words and plurals, and take \"a\" or \"an\" as one.",
            "Turn every number word into a figure; an article counts as one.",
        ],
    },
    Row {
        habit: Habit::Letters,
        phrases: &[
            "letter by letter",
            "character by character",
            "second letter",
            "second letters",
            "next letter",
            "next letters",
            "same first letter",
        ],
        wordings: &[
            "Compare words letter by letter where they begin alike.",
            "Where two words begin alike, look at the second letter and so on.",
        ],
    },
    Row {
        habit: Habit::Verify,
        phrases: &[
            "double check",
            "check the sum",
            "check your sum",
            "check the total",
            "check your total",
            "check the addition",
            "check your addition",
            "verify",
            "recount",
            "add up again",
            "up again",
            "add again",
            "sum again",
            "check again",
            "check the result",
            "check your result",
            "check your answer",
            "check the answer",
            "recheck",
            "recalculate",
        ],
        wordings: &[
            "Check the sum again before you answer.",
            "Add the numbers up again and verify the total.",
        ],
    },
    Row {
        habit: Habit::Form,
        phrases: &[
            "last line",
            "final line",
            "end with",
            "end your response with",
            "end your answer with",
            "finish with",
            "conclude with",
            "line of its own",
        ],
        wordings: &[
            "Put the final answer on the last line, in the form 'Answer: VALUE'.",
            "The last line of your response must have the form 'Answer: VALUE'.",
        ],
    },
    Row {
        habit: Habit::Brief,
        phrases: &[
            "answer immediately",
            "answer at once",
            "answer right away",
            "respond immediately",
            "reply immediately",
            "only a number",
            "only the number",
            "just the number",
            "just a number",
            "only the answer",
            "no explanation",
            "without explanation",
            "without any explanation",
            "without working",
            "without any working",
            "be brief",
            "be concise",
            "be short",
            "keep it short",
            "in one word",
            "do not explain",
            "dont explain",
            "do not show your work",
            "do not show your working",
        ],
        wordings: &["Answer immediately.", "Reply with only a number."],
    },
    Row {
        habit: Habit::Guess,
        phrases: &["estimate", "guess", "rough guess", "approximate", "approximately", "roughly"],
        wordings: &["A rough guess is enough."],
    },
];

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
const LENGTH: usize = 110;

impl Habit {
    /// Whether it does harm.
    pub(super) fn is_bad(self) -> bool {
        matches!(self, Self::Brief | Self::Guess)
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.habit == self)
    }

    /// A sentence that asks for it.
    pub(super) fn sentence(self, rng: &mut Rng) -> &'static str {
        rng.pick(self.row().map_or(&[], |row| row.wordings))
    }
}

/// A habit, and whether it is wanted or to be taken out.
pub(super) type Point = (Habit, bool);

/// The points of a text, each habit once, in order of appearance.
pub(super) fn points(text: &str) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for sentence in sentences(text) {
        for point in points_of(sentence) {
            if points.iter().all(|(known, _)| *known != point.0) {
                points.push(point);
            }
        }
    }
    points
}

/// The points of one sentence.
pub(super) fn points_of(sentence: &str) -> Vec<Point> {
    let words = normalise(sentence);
    let at = |phrase: &str| words.find(&format!(" {phrase} "));
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
pub(super) fn speaks_of_tasks(text: &str) -> bool {
    let common = [Habit::Steps, Habit::Brief, Habit::Guess, Habit::Form];
    points(text).iter().any(|(habit, _)| !common.contains(habit))
}

/// The habits that are followed while one question is answered.
#[derive(Debug, Clone, Default)]
pub(in crate::engine::sim) struct Followed {
    habits: Vec<Habit>,
    /// The words before the answer that a prompt fixes.
    pub(in crate::engine::sim) before: Option<String>,
}

impl Followed {
    /// Which of the habits that a prompt asks for are followed this time: all of them by somebody with skill,
    /// fewer the longer the prompt is.
    pub(in crate::engine::sim) fn of(prompt: &str, skill: f64, rng: &mut Rng) -> Self {
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

    pub(in crate::engine::sim) fn has(&self, habit: Habit) -> bool {
        self.habits.contains(&habit)
    }

    /// A rate of mistakes: the usual one, or what is left of it where a habit helps.
    pub(in crate::engine::sim) fn rate(&self, rates: (f64, f64), helps: Habit) -> f64 {
        let rate = if self.has(helps) { rates.1 } else { rates.0 };
        let rate = if self.has(Habit::Steps) { rate * 0.8 } else { rate };
        let rate = if self.has(Habit::Brief) { rate * 2.5 } else { rate };
        if self.has(Habit::Guess) { rate * 2.0 } else { rate }
    }

    /// The last line of an answer.
    pub(in crate::engine::sim) fn last_line(&self, answer: &str) -> String {
        match (&self.before, self.has(Habit::Form), self.has(Habit::Brief)) {
            (before, true, _) => format!("{} {answer}", before.as_deref().unwrap_or("Answer:")),
            (_, false, true) => answer.to_owned(),
            (_, false, false) => format!("The answer is {answer}"),
        }
    }
}

/// What a prompt wants before the answer: `Answer:` of `'Answer: $VALUE'`.
fn form(prompt: &str) -> Option<String> {
    let sentence = sentences(prompt)
        .into_iter()
        .find(|sentence| points_of(sentence).contains(&(Habit::Form, true)))?;
    let start = sentence.find(['\'', '"', '`', '‘', '“'])?;
    let quoted = sentence.get(start..)?.get(1..).or_else(|| sentence.get(start + 3..))?;
    let (before, _) = quoted.split_once(':')?;
    let plain = before.chars().all(|c| c.is_alphanumeric() || c == ' ' || c == '*');
    (plain && !before.trim().is_empty() && before.split_whitespace().count() <= 4)
        .then(|| format!("{}:", before.trim()))
}
