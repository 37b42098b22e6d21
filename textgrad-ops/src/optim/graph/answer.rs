//! Requests for new texts for several parameters, and reading the answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value as Json;
use textgrad_core::{
    BackwardCx, Choice, Error, ErrorKind, Gradient, Inputs, Message, Op, OpFailure, Output,
    Parameter, Purpose, Request, Seed, Variable,
};

use super::{GraphOptimizerBuilder, Target};
use crate::error::Error as OpsError;
use crate::optim::optimizer::{ParameterUpdate, Proposal};
use crate::optim::rules::{Rejected, Violation, broken};
use crate::optim::update::UpdateOutcome;
use crate::prompts::GraphRetryContext;
use crate::tags::{ExtractError, NO_ANSWER, Tags, with_note};
use crate::util::json::{read_lenient, type_name};

/// What became of the requests.
#[derive(Debug, Default)]
pub(super) struct GraphOutcome {
    /// What the answers said that could be read; the texts are the op's outputs.
    answer: Option<Answer>,
    rejected: Vec<Rejected>,
    requests: usize,
}

/// The call of the model that writes new texts. A pass ends here, unless the settings say otherwise.
pub(super) struct GraphUpdate {
    pub(super) settings: Arc<GraphOptimizerBuilder>,
    pub(super) messages: Vec<Message>,
    pub(super) targets: Vec<Target>,
    pub(super) seed: Option<Seed>,
    /// Its outcome, once it has run.
    pub(super) outcome: OnceLock<GraphOutcome>,
}

impl GraphUpdate {
    fn request(&self, attempt: u32, note: Option<&GraphRetryContext>) -> Result<Request, Error> {
        let call = &self.settings.call;
        let messages = match note {
            None => self.messages.clone(),
            Some(note) => with_note(&self.messages, &call.prompts.render("graph_retry", note)?),
        };
        Ok(call.request(Purpose::Update, messages, self.seed, attempt))
    }

    fn note(
        &self,
        attempt: u32,
        problems: Vec<String>,
        rejected: Option<&Rejected>,
    ) -> GraphRetryContext {
        let tags = &self.settings.tags;
        GraphRetryContext {
            problems,
            answer: rejected.map(|rejected| rejected.text.clone()).unwrap_or_default(),
            cut_off: rejected.is_some_and(|rejected| rejected.cut_off),
            attempts: attempt + 1,
            start_tag: tags.start().to_owned(),
            end_tag: tags.end().to_owned(),
        }
    }

    async fn ask(&self) -> Result<GraphOutcome, Error> {
        let GraphOptimizerBuilder { call, tags, .. } = &*self.settings;
        let mut outcome = GraphOutcome::default();
        let mut note: Option<GraphRetryContext> = None;
        for attempt in 0..=call.parse_retries {
            let request = self.request(attempt, note.as_ref())?;
            outcome.requests += 1;
            let response = match call.engine.complete(&request).await {
                Ok(response) => response,
                Err(error) if error.kind() == ErrorKind::NoAnswer => {
                    outcome.rejected.push(Rejected::failed(error.to_string()));
                    note = Some(self.note(attempt, vec![NO_ANSWER.to_owned()], None));
                    continue;
                }
                Err(error) if outcome.answer.is_none() => return Err(error.into()),
                // What was paid for is kept.
                Err(error) => {
                    let problem = format!("the request failed: {error}");
                    outcome.rejected.push(Rejected::failed(problem));
                    break;
                }
            };
            let Some(choice) = response.choices.into_iter().next() else { continue };
            let reading = read(choice, tags, &self.targets)?;
            if let Some(answer) = reading.answer {
                add(outcome.answer.get_or_insert_default(), answer);
            }
            let Some(rejected) = reading.rejected else { break };
            note = Some(self.note(attempt, reading.problems, Some(&rejected)));
            outcome.rejected.push(rejected);
        }
        Ok(outcome)
    }

    /// What was answered, parameter by parameter. `texts` are the outputs of the op.
    ///
    /// # Errors
    /// [`OpsError::NoUpdate`] if no answer was usable.
    pub(super) fn proposal(
        &self,
        parameters: &[Parameter],
        texts: Vec<Variable>,
    ) -> Result<Proposal, OpsError> {
        let nothing = GraphOutcome::default();
        let GraphOutcome { answer, rejected, requests } = self.outcome.get().unwrap_or(&nothing);
        let requests = *requests;
        let Some(answer) = answer else {
            let roles: Vec<&str> =
                self.targets.iter().map(|target| &**target.parameter.role()).collect();
            let problem = rejected.last().map(Rejected::summary);
            let problem = problem.unwrap_or_else(|| "it held nothing".to_owned());
            return Err(OpsError::NoUpdate { role: roles.join("; "), requests, problem });
        };
        let mut texts = texts.into_iter();
        let mut updates = Vec::new();
        for (position, said) in answer {
            let Some(target) = self.targets.get(*position) else { continue };
            let (parameter, rejected) = (target.parameter.clone(), rejected.clone());
            let rewrite = match said {
                NewText::Sound(_) => {
                    Ok(UpdateOutcome { candidates: texts.next().into_iter().collect(), rejected })
                }
                NewText::Broken => {
                    let role = parameter.role().to_string();
                    Err(Arc::new(OpsError::Violations { role, requests, rejected }))
                }
                NewText::Same => continue,
            };
            updates.push(ParameterUpdate { parameter, base: target.leaf.clone(), rewrite });
        }
        let changes = |parameter: &&Parameter| {
            updates.iter().any(|update: &ParameterUpdate| update.parameter == **parameter)
        };
        let unchanged =
            parameters.iter().filter(|parameter| !changes(parameter)).cloned().collect();
        Ok(Proposal { updates, unchanged })
    }
}

#[async_trait]
impl Op for GraphUpdate {
    fn name(&self) -> &str {
        "graph update"
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        let outcome = self.ask().await?;
        let outputs = outcome.answer.iter().flatten().filter_map(|(position, said)| {
            let NewText::Sound(text) = said else { return None };
            let role = Arc::clone(self.targets.get(*position)?.parameter.role());
            let output = Output::new(text.as_str(), role);
            Some(match self.settings.create_graph {
                true => output,
                false => output.with_requires_grad(false),
            })
        });
        let outputs = outputs.collect();
        self.outcome.get_or_init(|| outcome);
        Ok(outputs)
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        self.settings.call.feedback().send(cx).await
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Self::request(self, 0, None).ok()
    }
}

/// What answers said of parameters, each by its position.
type Answer = BTreeMap<usize, NewText>;

/// What was said of one parameter.
#[derive(Debug, PartialEq)]
enum NewText {
    /// A text that may be assigned.
    Sound(String),
    /// A text that breaks a rule.
    Broken,
    /// The text that it has.
    Same,
}

/// Adds what a later answer said. What it says of a parameter counts, unless that breaks a rule and what was said
/// before does not.
fn add(answer: &mut Answer, later: Answer) {
    for (position, said) in later {
        let is_sound = matches!(answer.get(&position), Some(NewText::Sound(_)));
        if !(is_sound && said == NewText::Broken) {
            answer.insert(position, said);
        }
    }
}

/// What could be read of an answer, and all that is wrong with it.
struct Reading {
    /// None if nothing could be read that is of use.
    answer: Option<Answer>,
    problems: Vec<String>,
    rejected: Option<Rejected>,
}

/// Reads an answer: a JSON object of names and texts between tags, or alone.
///
/// # Errors
/// If a check panics.
fn read(choice: Choice, tags: &Tags, targets: &[Target]) -> Result<Reading, Error> {
    let object = match object(&choice, tags) {
        Ok(object) => object,
        Err(problem) => return Ok(Reading::unusable(vec![problem], choice)),
    };
    let mut problems = Vec::new();
    let mut answer = Answer::default();
    let mut violations: Vec<Violation> = Vec::new();
    let mut broken_rules = Vec::new();
    for (name, value) in &object.0 {
        let Some(position) = targets.iter().position(|known| known.name == *name) else {
            let names: Vec<&str> = targets.iter().map(|known| known.name.as_str()).collect();
            problems.push(format!("{name:?} is no parameter; they are: {}", names.join(", ")));
            continue;
        };
        let Some(known) = targets.get(position) else { continue };
        let current = known.leaf.text().unwrap_or_default();
        match value {
            Json::String(text) if text.trim().is_empty() => {
                problems.push(format!("the new text of {name:?} is empty"));
            }
            Json::String(text) if text.trim() == current.trim() => {
                answer.insert(position, NewText::Same);
            }
            Json::String(text) => {
                let text = text.trim();
                let found = known.rules.violations(text)?;
                if found.is_empty() {
                    answer.insert(position, NewText::Sound(text.to_owned()));
                } else {
                    answer.insert(position, NewText::Broken);
                    broken_rules.push(format!("{name:?}: {}", broken(&found)));
                    violations.extend(found);
                }
            }
            other => {
                problems.push(format!("the value of {name:?} is {}, not a text", type_name(other)))
            }
        }
    }
    if !problems.is_empty() {
        problems.extend(broken_rules);
        // What is sound in it need not be said again.
        let is_sound = |said: &NewText| matches!(said, NewText::Sound(_));
        let answer = answer.values().any(is_sound).then_some(answer);
        return Ok(Reading { answer, ..Reading::unusable(problems, choice) });
    }
    let rejected = (!violations.is_empty())
        .then(|| Rejected::new(broken_rules.join("; "), violations, choice));
    Ok(Reading { answer: Some(answer), problems: broken_rules, rejected })
}

impl Reading {
    fn unusable(problems: Vec<String>, choice: Choice) -> Self {
        let rejected = Rejected::new(problems.join("; "), Vec::new(), choice);
        Self { answer: None, problems, rejected: Some(rejected) }
    }
}

/// An object as it is written. That of serde_json keeps the last of equal names and says nothing.
struct Object(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!("{name:?} occurs more than once")));
            }
            entries.push((name, value));
        }
        Ok(Object(entries))
    }
}

/// The object in an answer, or what is wrong.
fn object(choice: &Choice, tags: &Tags) -> Result<Object, String> {
    match tags.read(choice) {
        Ok(inner) => parse(&inner).map_err(|error| {
            format!("expected one JSON object of names and texts between the tags, but: {error}")
        }),
        // A server that was told to answer in JSON leaves the tags away.
        Err(missing @ (ExtractError::Unfinished(_) | ExtractError::OpenReasoning)) => {
            Err(missing.to_string())
        }
        Err(missing) => parse(&choice.text).map_err(|error| match error.is_data() {
            true => format!("expected one JSON object of names and texts, but: {error}"),
            false => missing.to_string(),
        }),
    }
}

/// Reads a text that is an object, or has one in its last block of code or among other words.
fn parse(text: &str) -> Result<Object, serde_json::Error> {
    read_lenient(text).or_else(|error| match last_block(text).or_else(|| only_object(text)) {
        Some(part) => read_lenient(part),
        None => Err(error),
    })
}

/// The most braces at which an object is looked for.
const MAX_BRACES: usize = 64;

/// The object in a text of other words; none if there are several.
fn only_object(text: &str) -> Option<&str> {
    let (mut found, mut end) = (None, 0);
    for (at, _) in text.match_indices('{').take(MAX_BRACES) {
        if at < end {
            continue;
        }
        let object = text.get(at..)?;
        let Some(object) = length(object).and_then(|length| object.get(..length)) else { break };
        let is_object = match read_lenient::<Object>(object) {
            Ok(object) => !object.0.is_empty(),
            Err(error) => error.is_data(),
        };
        if is_object {
            end = at + object.len();
            if found.replace(object).is_some() {
                return None;
            }
        }
    }
    found
}

/// The length of a text up to the brace that closes its first one.
fn length(text: &str) -> Option<usize> {
    let (mut open, mut in_string, mut is_escaped) = (0_usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            '{' if !in_string => open += 1,
            '}' if !in_string => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// What stands in the last block of code of a text, between lines that begin with its marks. No line of JSON
/// begins with them.
fn last_block(text: &str) -> Option<&str> {
    const MARK: &str = "```";
    let (mut open, mut block, mut at) = (None, None, 0);
    for line in text.split_inclusive('\n') {
        let is_mark = line.trim_start().starts_with(MARK);
        match (is_mark, open) {
            (true, None) => open = Some(at + line.len()),
            (true, Some(from)) => {
                block = text.get(from..at);
                open = None;
            }
            (false, _) => {}
        }
        at += line.len();
    }
    block
}
