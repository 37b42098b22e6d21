//! Requests about counting questions: a question to answer under a prompt, and the optimization of that prompt.

use super::Question;
use super::advice::{self, Verdict, of_all};
use super::technique::{Followed, Technique};
use crate::sim::request::{Conversation, Task};
use crate::sim::rng::Rng;
use crate::sim::sections::{Parsed, parse};
use crate::sim::{rewritten, tagged};

/// The number of characters by which a text is recognized where it may be truncated.
const START: usize = 40;
/// The longest expected answer, in words.
const SHORT: usize = 10;

/// A request about counting questions or a prompt for them.
#[derive(Debug)]
pub(crate) enum PromptTask<'a> {
    /// A question to be answered under a prompt.
    Solve { question: Question, prompt: String },
    /// Advice on a prompt, from answers that were given under it.
    Advise { prompt: String, remedies: Vec<Technique>, verdict: Option<Verdict> },
    /// The verdict of a check, passed on as feedback on the answer.
    Relay { verdict: Verdict, expected: Option<&'a str> },
    /// Pieces of advice to be merged.
    Merge { tag: Option<&'a str>, feedback: Vec<&'a str> },
    /// A prompt to be rewritten.
    Rewrite { tag: &'a str, variable: &'a str, feedback: Vec<&'a str> },
}

impl<'a> PromptTask<'a> {
    /// Returns the task if a request is about one. The other parts answer everything else.
    pub(crate) fn recognise(conversation: &'a Conversation, task: &Task<'a>) -> Option<Self> {
        match task {
            Task::Plain { system, query } => {
                let (question, rest) = Question::read(query)?;
                Some(Self::Solve { question, prompt: format!("{system}\n{rest}") })
            }
            Task::Loss { .. } => None,
            Task::Gradient { .. } => gradient(Exchange::of(conversation)),
            Task::Update { tag, variable, feedback, .. } => {
                let exchange = Exchange::of(conversation);
                let asked = exchange.inputs.iter().any(|input| Question::read(input).is_some());
                let about = asked || feedback.iter().any(|text| advice::is_advice(text));
                (exchange.is_prompt() && about).then(|| Self::Rewrite {
                    tag,
                    variable,
                    feedback: feedback.clone(),
                })
            }
            // Other feedback would be lost in the merge.
            Task::Reduce { tag, feedback } => feedback
                .iter()
                .all(|text| advice::is_advice(text))
                .then(|| Self::Merge { tag: *tag, feedback: feedback.clone() }),
        }
    }

    /// Writes the answer.
    pub(crate) fn write(&self, skill: f64, rng: &mut Rng) -> String {
        match self {
            Self::Solve { question, prompt } => {
                let followed = Followed::of(prompt, skill, rng);
                question.answer(&followed, rng)
            }
            Self::Advise { prompt, remedies, verdict } => {
                advice::advice(prompt, remedies, *verdict, skill, rng)
            }
            Self::Relay { verdict: Verdict::Right, .. } => {
                "The answer is right. Keep it as it is.".to_owned()
            }
            Self::Relay { expected: Some(expected), .. } => {
                format!("The answer is wrong: expected {expected}.")
            }
            Self::Relay { .. } => "The answer is wrong.".to_owned(),
            Self::Merge { tag, feedback } => {
                let text = advice::merged(feedback, rng);
                tag.map_or_else(|| text.clone(), |tag| tagged(tag, &text))
            }
            Self::Rewrite { tag, variable, feedback } => {
                rewritten(tag, &advice::rewrite(variable, feedback, skill, rng))
            }
        }
    }
}

fn gradient(exchange: Exchange<'_>) -> Option<PromptTask<'_>> {
    let judged = if exchange.feedback.is_empty() { &exchange.outputs } else { &exchange.feedback };
    let verdict = of_all(judged.iter().copied());
    let start: String = exchange.variable.chars().take(START).collect();
    if exchange.function {
        // Beside the text that is judged, a short one is the expected answer.
        let short =
            |text: &&&str| !text.starts_with(&start) && text.split_whitespace().count() <= SHORT;
        let expected = exchange.arguments.iter().find(short).copied();
        return Some(PromptTask::Relay { verdict: verdict?, expected });
    }
    let calls = exchange.inputs.iter().zip(&exchange.outputs);
    let calls: Vec<(Question, &str)> =
        calls.filter_map(|(input, output)| Some((Question::read(input)?.0, *output))).collect();
    if calls.is_empty() || !exchange.is_prompt() {
        return None;
    }
    let mut remedies: Vec<Technique> = Vec::new();
    for remedy in calls.iter().flat_map(|(question, answer)| question.review(answer)) {
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    // The answer alone does not say whether it is right.
    let verdict = verdict.filter(|_| !exchange.feedback.is_empty());
    let system = exchange.system.unwrap_or_default();
    let prompt = match system.starts_with(&start) {
        true => system.to_owned(),
        false => format!("{system}\n{}", exchange.variable),
    };
    Some(PromptTask::Advise { prompt, remedies, verdict })
}

/// The calls that a request quotes or continues.
#[derive(Debug, Default)]
struct Exchange<'a> {
    /// The system prompt of the first call that shows one.
    system: Option<&'a str>,
    /// What was asked, call by call.
    inputs: Vec<&'a str>,
    /// What was answered, call by call.
    outputs: Vec<&'a str>,
    /// What went into functions.
    arguments: Vec<&'a str>,
    /// Whether a function was called.
    function: bool,
    feedback: Vec<&'a str>,
    variable: &'a str,
    role: &'a str,
}

impl<'a> Exchange<'a> {
    fn of(conversation: &'a Conversation) -> Self {
        let users: Vec<Parsed<'a>> = conversation.users.iter().map(|user| parse(user)).collect();
        let nothing = Parsed::default();
        let last = users.last().unwrap_or(&nothing);
        let mut exchange = Self {
            system: last.all("LM_SYSTEM_PROMPT").first().copied(),
            inputs: last.all("LM_INPUT"),
            outputs: last.all("LM_OUTPUT"),
            arguments: last.all("FUNCTION_INPUT"),
            function: !last.all("FUNCTION_PURPOSE").is_empty(),
            feedback: last.all("FEEDBACK"),
            variable: last.get("VARIABLE").unwrap_or_default(),
            role: users.iter().rev().find_map(|user| user.get("ROLE")).unwrap_or_default(),
        };
        // A continued conversation shows the call by its own turns.
        if exchange.outputs.is_empty()
            && let (Some(first), Some(answer)) =
                (conversation.users.first(), conversation.assistants.first())
            && conversation.users.len() > 1
        {
            exchange.system = (!conversation.system.is_empty()).then_some(&conversation.system);
            exchange.inputs = vec![first];
            exchange.outputs = vec![answer];
        }
        exchange
    }

    /// Whether the text that may change is a prompt.
    fn is_prompt(&self) -> bool {
        let role = self.role.to_lowercase();
        ["system prompt", "instruction", "prompt"].iter().any(|word| role.contains(word))
    }
}
