//! Which requests are about tasks, and what is written in answer to them.

use super::exchange::Exchange;
use super::faults::Fault;
use super::habits::Followed;
use super::judge::Judge;
use super::verdict::{Verdict, of_all};
use super::{advice, code, equation, image, rewrite};
use crate::sim::request::{Ask, Conversation};
use crate::sim::rng::Rng;
use crate::sim::text::{has_any, normalise};
use crate::sim::{counting, sorting, tagged};

/// By so many characters a text is told from another where it may be shortened.
const START: usize = 40;
/// What an answer should have been is no longer, in words.
const SHORT: usize = 10;

/// A question that has one right answer.
#[derive(Debug)]
pub(crate) enum Puzzle {
    Count(counting::Question),
    Sort(sorting::Question),
}

impl Puzzle {
    /// Reads a question, and says what else stands in the text.
    pub(super) fn read(text: &str) -> Option<(Self, String)> {
        let count = || counting::Question::read(text).map(|(it, rest)| (Self::Count(it), rest));
        let sort = || sorting::Question::read(text).map(|(it, rest)| (Self::Sort(it), rest));
        count().or_else(sort)
    }

    /// The mistakes that can be seen in an answer.
    pub(super) fn review(&self, answer: &str) -> Vec<Fault> {
        match self {
            Self::Count(question) => question.review(answer),
            Self::Sort(question) => question.review(answer),
        }
    }

    pub(super) fn answer(&self, followed: &Followed, rng: &mut Rng) -> String {
        match self {
            Self::Count(question) => question.answer(followed, rng),
            Self::Sort(question) => question.answer(followed, rng),
        }
    }
}

/// A request that is about a task.
#[derive(Debug)]
pub(crate) enum Work<'a> {
    /// A question with images.
    See { images: usize, query: &'a str },
    /// A judgement in figures or in one word.
    Judge(Judge<'a>),
    /// A question to be answered under a prompt.
    Solve { puzzle: Puzzle, prompt: String },
    /// Worked lines to be checked.
    Check(equation::Worked<'a>),
    /// Advice on a prompt, from answers that were given under it.
    Advise { prompt: String, faults: Vec<Fault>, verdict: Option<Verdict> },
    /// What a check says about an answer, to be handed on to whoever wrote it.
    Relay { verdict: Verdict, expected: Option<&'a str> },
    /// Advice on worked lines that were judged.
    Correct { worked: equation::Worked<'a>, verdict: Verdict },
    /// Advice on code whose tests were run.
    Debug { code: &'a str, output: &'a str },
    /// Pieces of advice to be merged.
    Merge { tag: Option<&'a str>, feedback: Vec<&'a str> },
    /// A prompt to be rewritten.
    Prompt { tag: &'a str, variable: &'a str, feedback: Vec<&'a str>, exchange: Exchange<'a> },
    /// Worked lines to be rewritten.
    Rework { tag: &'a str, worked: equation::Worked<'a>, verdict: Verdict },
    /// Code to be mended.
    Mend { tag: &'a str, code: &'a str, verdict: Verdict },
}

/// Tells whether a request that was recognised is about a task. What is not, is left to the other parts.
pub(crate) fn recognise<'a>(conversation: &'a Conversation, ask: &Ask<'a>) -> Option<Work<'a>> {
    match ask {
        Ask::Plain { query, .. } if conversation.images > 0 => {
            Some(Work::See { images: conversation.images, query })
        }
        Ask::Plain { system, query } => plain(system, query),
        Ask::Loss { .. } => None,
        Ask::Gradient { .. } => gradient(Exchange::of(conversation)),
        Ask::Update { tag, variable, feedback, .. } => {
            update(tag, variable, feedback, conversation)
        }
        Ask::Reduce { tag, feedback } => {
            // Other feedback would be lost in it.
            let ours = feedback.iter().all(|text| advice::is_ours(text));
            let feedback = ours.then(|| feedback.clone())?;
            Some(Work::Merge { tag: *tag, feedback })
        }
    }
}

fn plain<'a>(system: &'a str, query: &'a str) -> Option<Work<'a>> {
    let told = normalise(system);
    if has_any(&told, &["evaluate", "critic", "critique", "judge", "errors", "mistakes", "review"])
        && let Some(worked) = equation::Worked::read(query)
    {
        return Some(Work::Check(worked));
    }
    let (puzzle, rest) = Puzzle::read(query)?;
    Some(Work::Solve { puzzle, prompt: format!("{system}\n{rest}") })
}

fn gradient(exchange: Exchange<'_>) -> Option<Work<'_>> {
    let judged = if exchange.feedback.is_empty() { &exchange.outputs } else { &exchange.feedback };
    let verdict = of_all(judged.iter().copied());
    if exchange.function {
        let verdict = verdict?;
        let output = exchange.outputs.first().copied().unwrap_or_default();
        let whole = exchange.arguments.iter().chain([&exchange.variable]);
        let code = whole.copied().find(|text| code::is_code(text));
        if let (Some(code), Verdict::Wrong) = (code, verdict) {
            return Some(Work::Debug { code, output });
        }
        // Beside the text that is judged, a short one is what it should be.
        let start: String = exchange.variable.chars().take(START).collect();
        let short =
            |text: &&&str| !text.starts_with(&start) && text.split_whitespace().count() <= SHORT;
        let expected = exchange.arguments.iter().find(short).copied();
        return Some(Work::Relay { verdict, expected });
    }
    if let Some(worked) = exchange.inputs.iter().find_map(|text| equation::Worked::read(text)) {
        return Some(Work::Correct { worked, verdict: verdict? });
    }
    let calls: Vec<(Puzzle, &str)> = exchange
        .inputs
        .iter()
        .zip(&exchange.outputs)
        .filter_map(|(input, output)| Some((Puzzle::read(input)?.0, *output)))
        .collect();
    if calls.is_empty() || !exchange.is_prompt() {
        return None;
    }
    let mut faults: Vec<Fault> = Vec::new();
    for fault in calls.iter().flat_map(|(puzzle, answer)| puzzle.review(answer)) {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    // The answer alone does not say whether it is right.
    let verdict = verdict.filter(|_| !exchange.feedback.is_empty());
    let system = exchange.system.unwrap_or_default();
    let start: String = exchange.variable.chars().take(START).collect();
    let prompt = match system.starts_with(&start) {
        true => system.to_owned(),
        false => format!("{system}\n{}", exchange.variable),
    };
    Some(Work::Advise { prompt, faults, verdict })
}

fn update<'a>(
    tag: &'a str,
    variable: &'a str,
    feedback: &[&'a str],
    conversation: &'a Conversation,
) -> Option<Work<'a>> {
    let exchange = Exchange::of(conversation);
    if exchange.is_prompt() {
        let asked = exchange.inputs.iter().any(|input| Puzzle::read(input).is_some());
        let spoken = feedback.iter().any(|text| advice::is_ours(text));
        let feedback = feedback.to_vec();
        return (asked || spoken).then_some(Work::Prompt { tag, variable, feedback, exchange });
    }
    let verdict = of_all(feedback.iter().copied())?;
    if code::is_code(variable) {
        return Some(Work::Mend { tag, code: variable, verdict });
    }
    equation::Worked::read(variable).map(|worked| Work::Rework { tag, worked, verdict })
}

impl Work<'_> {
    /// Writes the answer.
    pub(crate) fn write(&self, skill: f64, rng: &mut Rng) -> String {
        let rewritten = |tag: &str, text: &str| {
            format!("The text, rewritten by the feedback:\n{}", tagged(tag, text))
        };
        match self {
            Self::See { images, query } => image::answer(*images, query),
            Self::Judge(judge) => judge.say(skill, rng),
            Self::Solve { puzzle, prompt } => {
                let followed = Followed::of(prompt, skill, rng);
                puzzle.answer(&followed, rng)
            }
            Self::Check(worked) => worked.critique(skill, rng),
            Self::Advise { prompt, faults, verdict } => {
                advice::advice(prompt, faults, *verdict, skill, rng)
            }
            Self::Relay { verdict: Verdict::Right, .. } => {
                "The answer is right. Keep it as it is.".to_owned()
            }
            Self::Relay { expected: Some(expected), .. } => {
                format!("The answer is wrong: expected {expected}.")
            }
            Self::Relay { .. } => "The answer is wrong.".to_owned(),
            Self::Correct { verdict: Verdict::Right, .. } => {
                "The solution is right. Keep it as it is.".to_owned()
            }
            Self::Correct { worked, .. } => worked.critique(skill, rng),
            Self::Debug { code, output } => code::advice(code, output, skill, rng),
            Self::Merge { tag, feedback } => {
                let text = advice::merged(feedback, rng);
                tag.map_or_else(|| text.clone(), |tag| tagged(tag, &text))
            }
            Self::Prompt { tag, variable, feedback, exchange } => {
                rewritten(tag, &rewrite::prompt(variable, feedback, exchange, skill, rng))
            }
            Self::Rework { tag, worked, verdict } => {
                rewritten(tag, &worked.rewrite(*verdict, skill, rng))
            }
            Self::Mend { tag, code, verdict: Verdict::Right } => rewritten(tag, code),
            Self::Mend { tag, code, .. } => rewritten(tag, &code::mend(code, skill, rng)),
        }
    }
}
