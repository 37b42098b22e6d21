//! Judgements that a program reads: a score on a scale, a verdict between two, yes or no.

use super::critic;
use super::request::Turns;
use super::reward::{HIGHEST, LOWEST, reward};
use super::rng::Rng;
use super::sections::{parse, parse_any};
use super::tagged;
use super::text::{entries, has_any, normalise};

/// The form of the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale<'a> {
    Score(u32, u32),
    Choice,
    /// The labels of two answers, the better of which is the whole reply.
    Labels(&'a str, &'a str),
    /// `[[A>>B]]` and so on.
    Games,
    YesNo,
    /// A line for each of [`Judge::labels`], with yes or no.
    Form,
}

/// A judgement that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judge<'a> {
    scale: Scale<'a>,
    tag: Option<&'a str>,
    question: &'a str,
    answers: Vec<&'a str>,
    labels: Vec<&'a str>,
}

/// How far a judgement without any skill is from what it should be, as a share of the scale.
const NOISE: f64 = 0.5;
/// The largest scale that is read.
const MAX_SCALE: u32 = 100;

const JUDGES: &str = "judge|score|rate|grade|evaluate|assess|compare|better|correct";

impl<'a> Judge<'a> {
    /// Returns the judgement if one is asked for: by the system message, with the texts to judge as sections of the
    /// user message.
    pub(super) fn recognise(turns: &Turns<'a>) -> Option<Self> {
        let conversation = turns.conversation;
        let ([user], true) = (conversation.users.as_slice(), conversation.assistants.is_empty())
        else {
            return None;
        };
        let system = &turns.system;
        let instruction = system.outside.concat();
        // The form of the judgement may stand at the end of the message, where it is not far off.
        let end = user.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let end_tag = parse(end).output_tag();
        let instruction =
            if end_tag.is_some() { format!("{instruction}\n{end}") } else { instruction };
        let words = normalise(&instruction);
        let is_ours = system.instructs() || system.get("QUERY").is_some();
        let labels: Vec<&str> =
            user.lines().filter_map(|line| line.trim().strip_suffix(": yes or no?")).collect();
        if is_ours || (labels.is_empty() && !has_any(&words, entries(JUDGES))) {
            return None;
        }
        let form = (!labels.is_empty()).then_some(Scale::Form);
        let mut judge = Self {
            scale: form.or_else(|| pair(&conversation.system)).or_else(|| scale(&instruction))?,
            tag: end_tag.or_else(|| system.output_tag()),
            question: "",
            answers: Vec::new(),
            labels,
        };
        for section in parse_any(user).sections {
            let label = normalise(section.name);
            if has_any(&label, entries(ANSWERS)) {
                judge.answers.push(section.content);
            } else if has_any(&label, entries(QUESTIONS)) {
                judge.question = section.content;
            }
        }
        let enough = match judge.scale {
            Scale::Choice | Scale::Labels(..) | Scale::Games => judge.answers.len() >= 2,
            _ => true,
        };
        (enough && !judge.answers.is_empty()).then_some(judge)
    }

    /// How good an answer is, from 0 to 1.
    fn worth(&self, answer: &str) -> f64 {
        (reward(self.question, answer) - LOWEST) / (HIGHEST - LOWEST)
    }

    /// The judgement, with noise where skill is missing.
    pub(super) fn write(&self, skill: f64, rng: &mut Rng) -> String {
        let mut noisy = |worth: f64| {
            let drift = (rng.below(2001) as f64 / 1000.0 - 1.0) * NOISE * (1.0 - skill);
            (worth + drift).clamp(0.0, 1.0)
        };
        let worths: Vec<f64> =
            self.answers.iter().map(|answer| noisy(self.worth(answer))).collect();
        let at = |index: usize| worths.get(index).copied().unwrap_or_default();
        let (first, second) = (at(0), at(1));
        let (label, judgement) = match self.scale {
            Scale::Score(low, high) => ("Score", scaled(first, low, high).to_string()),
            Scale::Choice => ("Verdict", if first >= second { "A" } else { "B" }.to_owned()),
            Scale::Labels(one, other) => {
                return if first >= second { one } else { other }.to_owned();
            }
            Scale::Games => ("Verdict", format!("[[{}]]", verdict(first - second))),
            Scale::Form => {
                let declines = |answer: &&str| has_any(&normalise(answer), entries(REFUSALS));
                let refused = self.answers.first().is_some_and(declines);
                let label = |name: &&str| {
                    let yes = refused && has_any(&normalise(name), ["refusal", "refuses"]);
                    format!("{name}: {}", if yes { "yes" } else { "no" })
                };
                return self.labels.iter().map(label).collect::<Vec<_>>().join("\n");
            }
            Scale::YesNo => ("Verdict", if first >= 0.5 { "yes" } else { "no" }.to_owned()),
        };
        let mut why = "A judgement by a simulation, from the words in the texts.".to_owned();
        if let (Scale::Choice, [one, other, ..]) = (self.scale, self.answers.as_slice()) {
            let (better, worse) = if first >= second { (one, other) } else { (other, one) };
            why.push(' ');
            why.push_str(&critic::critique(self.question, better, Some(worse), skill, rng));
        }
        match self.tag {
            Some(tag) => format!("{why}\n{}", tagged(tag, &judgement)),
            None => format!("{why}\n{label}: {judgement}"),
        }
    }
}

/// The whole number of a scale that is nearest to a share of it.
fn scaled(share: f64, low: u32, high: u32) -> u32 {
    let wanted = f64::from(low) + share * f64::from(high.saturating_sub(low));
    // The lower of two that are as near.
    (wanted - 0.5).ceil() as u32
}

/// A comparison by how much better the first is, as a share of the scale.
fn verdict(better: f64) -> &'static str {
    match better {
        d if d > 0.25 => "A>>B",
        d if d > 0.05 => "A>B",
        d if d >= -0.05 => "A=B",
        d if d >= -0.25 => "B>A",
        _ => "B>>A",
    }
}

/// The scale of a comparison with signs of its own: `[[A>B]]`, or a label for each.
fn pair(instruction: &str) -> Option<Scale<'_>> {
    if instruction.contains("[[A>B]]") {
        return Some(Scale::Games);
    }
    let label = |what: &str| {
        let (before, _) = instruction.split_once(what)?;
        let word = before.split_whitespace().next_back()?;
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        (1..=2).contains(&word.chars().count()).then_some(word)
    };
    Some(Scale::Labels(label(" for the first")?, label(" for the second")?))
}

/// The scale that an instruction names.
fn scale(instruction: &str) -> Option<Scale<'static>> {
    let words = normalise(instruction);
    if has_any(&words, ["a or b", "a b or tie"]) {
        return Some(Scale::Choice);
    }
    let rates = has_any(&words, ["score", "rate", "rating", "grade", "scale"]);
    if let Some((low, high)) = bounds(instruction).filter(|_| rates) {
        return Some(Scale::Score(low, high));
    }
    has_any(&words, ["yes or no"]).then_some(Scale::YesNo)
}

/// The bounds of `from 1 to 10`, `between 0 and 5`, `1-10`.
fn bounds(instruction: &str) -> Option<(u32, u32)> {
    let words: Vec<&str> = instruction
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.iter().enumerate().find_map(|(at, word)| {
        let low: u32 = word.parse().ok()?;
        let next = *words.get(at + 1)?;
        let after = if matches!(next, "to" | "and") { *words.get(at + 2)? } else { next };
        let high: u32 = after.parse().ok()?;
        (low < high && high <= MAX_SCALE).then_some((low, high))
    })
}

/// Words of an answer that declines.
const REFUSALS: &str = "i cannot|i cant|i am sorry|im sorry|i wont|i will not|unable to";
const QUESTIONS: &str = "question|query|request|prompt|instruction|task|input|problem";
const ANSWERS: &str = "answer|response|prediction|output|solution|completion|text|a|b";
