//! Techniques that a prompt can ask for when a model works a question out, for better or worse.

use crate::sim::detect::count;
use crate::sim::rng::Rng;
use crate::sim::text::{entries, normalise, position, sentences};

/// A technique that a prompt can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Technique {
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

/// A row of the table: a technique, the phrases by which it is read, and sentences that ask for it.
pub(crate) struct Row {
    pub(crate) technique: Technique,
    phrases: &'static str,
    pub(crate) wordings: &'static str,
}

/// Phrases that negate the words that follow.
const AGAINST: &str = "do not|dont|never|avoid|remove|take out|drop|no longer|instead of|rather than|\
     must not";

/// What no prompt minds, in words; each word more takes some attention from the others.
pub(crate) const LENGTH: usize = 110;

impl Technique {
    /// Whether it does harm.
    pub(crate) fn is_bad(self) -> bool {
        matches!(self, Self::Brief | Self::Guess)
    }

    /// The mistake that it helps against, as the critic names it. None of these phrases asks for a technique.
    pub(super) fn mistake(self) -> &'static str {
        match self {
            Self::Numbers => "a number of the question was read as another one",
            Self::List => "something that the question names is missing from the working",
            Self::Ignore => "something was counted that the question does not ask for",
            Self::Verify => "the addition is wrong",
            Self::Form => "the answer does not stand where a reader looks for it",
            Self::Steps => "there is no working in which the mistake could be seen",
            Self::Letters | Self::Brief | Self::Guess | Self::Short => "it may help",
        }
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.technique == self)
    }

    /// A sentence that asks for it.
    pub(crate) fn sentence(self, rng: &mut Rng) -> &'static str {
        rng.pick(self.row().map_or("", |row| row.wordings))
    }
}

/// A technique, and whether it is wanted or to be taken out.
pub(crate) type Point = (Technique, bool);

/// The points of a text, each technique once, in order of appearance.
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
    let at = |phrase| position(&words, phrase);
    let against = entries(AGAINST).filter_map(at).min();
    let mut points = Vec::new();
    for row in ROWS {
        // Where the answer is to stand, and that nothing else is to stand there, does not ask for brevity.
        let placed = points.iter().any(|(technique, _)| *technique == Technique::Form);
        let found: Vec<usize> = entries(row.phrases).filter_map(at).collect();
        if let Some(first) = found.into_iter().min()
            && !(placed && row.technique.is_bad())
        {
            points.push((row.technique, against.is_none_or(|against| first <= against)));
        }
    }
    points
}

/// Whether a text asks for something that only a prompt for a task would.
pub(crate) fn speaks_of_tasks(text: &str) -> bool {
    let common =
        [Technique::Short, Technique::Steps, Technique::Brief, Technique::Guess, Technique::Form];
    points(text).iter().any(|(technique, _)| !common.contains(technique))
}

/// The techniques that are followed while one question is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followed {
    techniques: Vec<Technique>,
}

impl Followed {
    /// Which of the techniques that a prompt asks for are followed this time: all of them by somebody with skill,
    /// fewer the longer the prompt is.
    pub(crate) fn of(prompt: &str, skill: f64, rng: &mut Rng) -> Self {
        let words = prompt.split_whitespace().count().max(LENGTH);
        let attention = count(LENGTH) / count(words);
        let lack = 1.0 - skill;
        let chance = (1.0 - lack * lack) * attention;
        let points = points(prompt);
        let mut techniques = Vec::new();
        for row in ROWS {
            let follows = rng.chance(chance);
            if follows && points.contains(&(row.technique, true)) {
                techniques.push(row.technique);
            }
        }
        Self { techniques }
    }

    pub(crate) fn has(&self, technique: Technique) -> bool {
        self.techniques.contains(&technique)
    }

    /// A rate of mistakes: the usual one, or what is left of it where a technique helps.
    pub(crate) fn rate(&self, rates: (f64, f64), helps: Technique) -> f64 {
        let rate = if self.has(helps) { rates.1 } else { rates.0 };
        let rate = if self.has(Technique::Steps) { rate * 0.8 } else { rate };
        let rate = if self.has(Technique::Brief) { rate * 2.5 } else { rate };
        if self.has(Technique::Guess) { rate * 2.0 } else { rate }
    }

    /// The last line of an answer.
    pub(crate) fn last_line(&self, answer: &str) -> String {
        match (self.has(Technique::Form), self.has(Technique::Brief)) {
            (true, _) => format!("Answer: {answer}"),
            (false, true) => answer.to_owned(),
            (false, false) => format!("The answer is {answer}"),
        }
    }
}

/// The table of techniques. A new technique is one new row.
pub(crate) const ROWS: &[Row] = &[
    Row {
        technique: Technique::Steps,
        phrases: "step by step|show your work|show your working|show the working|work through|\
             reason through|reason carefully|think carefully|think it through|\
             explain your reasoning|show your reasoning",
        wordings: "Work through the question step by step.|\
             Show your working before you answer.",
    },
    Row {
        technique: Technique::List,
        phrases: "list every|list each|list all|list the items|write down every|write down each|\
             write out every|write out each|go through every|go through each|enumerate|count each|\
             each item separately|itemize|itemise|one line per|per line|on its own line|\
             for each item|item by item|one by one",
        wordings: "List every item of the question on its own line with its number.|\
             Write down each item and its number, so that none is missing.",
    },
    Row {
        technique: Technique::Ignore,
        phrases: "ignore things|ignore items|ignore objects|ignore any|ignore everything|leave out items|\
             leave out things|leave out everything|skip items|skip things|do not count things|\
             do not count items|do not include|dont count things|dont include|other categories|\
             other category|other kinds|other types|count only|only count|only the items that|\
             belongs to the category|belong to the category|irrelevant items|exclude|excluding|\
             relevant items|distractors",
        wordings: "Ignore things of other categories than the one that is asked for.|\
             Count only what belongs to the category in the question.",
    },
    Row {
        technique: Technique::Numbers,
        phrases: "number word|number words|spelled out numbers|numbers written out|written out numbers|\
             quantity of each|quantities|how many of each|plural|plurals|counts as one|count as one|\
             means one|into figures",
        wordings: "Watch number words and plurals, and take \"a\" or \"an\" as one.|\
             Turn every number word into a figure; an article counts as one.",
    },
    Row {
        technique: Technique::Letters,
        phrases: "letter by letter|character by character|second letter|second letters|next letter|\
             next letters|same first letter",
        wordings: "Compare words letter by letter where they begin alike.|\
             Where two words begin alike, look at the second letter and so on.",
    },
    Row {
        technique: Technique::Verify,
        phrases: "double check|check the sum|check your sum|check the total|check your total|\
             check the addition|check your addition|verify|recount|add up again|up again|add again|\
             sum again|check again|check the result|check your result|check your answer|\
             check the answer|recheck|running total|recalculate",
        wordings: "Check the sum again before you answer.|\
             Add the numbers up again and verify the total.",
    },
    Row {
        technique: Technique::Form,
        phrases: "last line|final line|end with|end your response with|end your answer with|finish with|\
             conclude with|line of its own",
        wordings: "Put the final answer on the last line, in the form 'Answer: VALUE'.|\
             The last line of your response must have the form 'Answer: VALUE'.",
    },
    Row {
        technique: Technique::Brief,
        phrases: "answer immediately|answer at once|answer right away|respond immediately|\
             reply immediately|only a number|only the number|just the number|just a number|\
             only the answer|no explanation|without explanation|without any explanation|\
             without working|without any working|be brief|be concise|be short|keep it short|\
             in one word|do not explain|dont explain|do not show your work|do not show your working",
        wordings: "Answer immediately.|\
             Reply with only a number.",
    },
    Row {
        technique: Technique::Guess,
        phrases: "estimate|guess|rough guess|approximate|approximately|roughly",
        wordings: "A rough guess is enough.",
    },
    Row {
        technique: Technique::Short,
        phrases: "shorten the prompt|shorter prompt|prompt shorter|prompt is too long",
        wordings: "Shorten the prompt where it asks for nothing.",
    },
];
