//! Requests of the framework, recognised from the messages alone.

use std::collections::BTreeSet;

use textgrad_core::{EngineError, Message, MessageRole};

use super::counting::{Question, Work, work};
use super::fuse::Fuse;
use super::judge::Judge;
use super::sections::{Parsed, parse};
use crate::prompts::{brief, shorten};

/// The texts of a conversation by which requests are recognised.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) system: String,
    pub(super) users: Vec<String>,
    pub(super) assistants: Vec<String>,
}

impl Conversation {
    pub(super) fn new(messages: &[Message]) -> Self {
        let mut conversation = Self::default();
        for message in messages {
            let text = message.text();
            match message.role {
                MessageRole::System if conversation.system.is_empty() => conversation.system = text,
                MessageRole::System => {
                    conversation.system.push('\n');
                    conversation.system.push_str(&text);
                }
                MessageRole::User => conversation.users.push(text),
                MessageRole::Assistant => {
                    let written = conversation.users.last().and_then(|user| written(&text, user));
                    conversation.assistants.push(written.unwrap_or(text));
                }
            }
        }
        conversation
    }
}

/// The new text in the reply to a request for one.
fn written(reply: &str, request: &str) -> Option<String> {
    let request = parse(request);
    let tag = request.output_tag()?;
    let (_, from) = reply.split_once(&format!("<{tag}>"))?;
    from.rsplit_once(&format!("</{tag}>")).map(|(text, _)| text.trim().to_owned())
}

/// A conversation, with the sections of its turns.
pub(crate) struct Turns<'a> {
    pub(super) conversation: &'a Conversation,
    pub(super) system: Parsed<'a>,
    pub(super) users: Vec<Parsed<'a>>,
}

impl<'a> Turns<'a> {
    fn of(conversation: &'a Conversation) -> Self {
        let users = conversation.users.iter().map(|user| parse(user)).collect();
        Self { conversation, system: parse(&conversation.system), users }
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Task<'a> {
    Judge(Judge<'a>),
    Plain {
        system: &'a str,
        query: &'a str,
    },
    /// A counting question under a prompt.
    Solve {
        prompt: String,
        question: Question,
    },
    Loss {
        query: &'a str,
        chosen: &'a str,
        rejected: Option<&'a str>,
    },
    Gradient {
        critique: Vec<&'a str>,
    },
    /// A gradient about a counting question.
    Work(Work<'a>),
    /// Several answers, of which one is made, or notes.
    Fuse(Fuse<'a>),
    Update {
        tag: &'a str,
        edits: bool,
        query: Option<&'a str>,
        wording: String,
        role: &'a str,
        variable: &'a str,
        feedback: Vec<&'a str>,
    },
    Reduce {
        tag: Option<&'a str>,
        feedback: Vec<&'a str>,
    },
}

/// Returns what a conversation asks for; see the contract in the documentation of the module `sim`.
pub(super) fn recognise(conversation: &Conversation) -> Result<Task<'_>, EngineError> {
    let turns = Turns::of(conversation);
    if let Some(judge) = Judge::recognise(&turns) {
        return Ok(Task::Judge(judge));
    }
    let Turns { system, users, .. } = &turns;
    let last_text = conversation.users.last().map_or("", String::as_str);
    let nothing = Parsed::default();
    let last = users.last().unwrap_or(&nothing);
    let assistant = conversation.assistants.last().map(String::as_str);

    if let (Some(fuse), None, false) = (Fuse::recognise(last), assistant, system.instructs()) {
        return Ok(Task::Fuse(fuse));
    }
    let instructs = system.instructs() || system.output_tag().is_some();
    let judged = system.get("QUERY");
    if !instructs && judged.is_none() && assistant.is_none() {
        return Ok(plain(&conversation.system, last_text));
    }

    // A loss that continues a conversation speaks of its last answer.
    if let (Some(chosen), true) = (assistant, last.mentioned().contains("CHOSEN_RESPONSE")) {
        return Ok(Task::Loss {
            query: continued_query(&turns).unwrap_or_default(),
            chosen,
            rejected: last.get("REJECTED_RESPONSE"),
        });
    }

    // The user message of a loss may be the judged text itself, so its sections are looked at last.
    if let (Some(query), None, false) = (judged, assistant, instructs) {
        let get = |name| system.get(name).or_else(|| last.get(name));
        return Ok(Task::Loss {
            query,
            chosen: get("CHOSEN_RESPONSE").unwrap_or(last_text),
            // Of a ranking, the worst: that is the greatest contrast.
            rejected: get("REJECTED_RESPONSE").or_else(|| system.all("RESPONSE").pop()),
        });
    }

    let tag = system.output_tag().or_else(|| last.output_tag());
    let feedback = last.all("FEEDBACK");
    let variable = last.get("VARIABLE");
    if let Some(tag) = tag {
        let feedback: Vec<&str> = match (feedback.is_empty(), assistant) {
            (true, Some(turn)) => vec![turn],
            _ => feedback.clone(),
        };
        let variable = match (variable, assistant) {
            (variable, Some(_)) => {
                variable.or_else(|| earlier_text(&turns)).map(|text| whole(text, conversation))
            }
            (variable, None) => variable,
        };
        if let (Some(variable), false) = (variable, feedback.is_empty()) {
            return Ok(Task::Update {
                tag,
                edits: last.get("EDIT").is_some(),
                query: query(&turns).or_else(|| continued_query(&turns)),
                wording: system.outside.concat(),
                role: users.iter().rev().find_map(|user| user.get("ROLE")).unwrap_or_default(),
                variable,
                feedback,
            });
        }
    } else if variable.is_some() {
        let mut critique = last.all("LM_OUTPUT");
        if critique.is_empty() {
            critique.extend(assistant);
        }
        if !critique.is_empty() {
            critique.extend(feedback);
            return Ok(work(&turns).map_or(Task::Gradient { critique }, Task::Work));
        }
    }
    if variable.is_none() && feedback.len() >= 2 {
        return Ok(Task::Reduce { tag, feedback });
    }

    let sections: BTreeSet<&str> =
        system.sections.iter().chain(&last.sections).map(|section| section.name).collect();
    let mentioned: BTreeSet<&str> = system.mentioned().union(&last.mentioned()).copied().collect();
    if sections.is_empty() && mentioned.is_empty() {
        return Ok(plain(&conversation.system, last_text));
    }
    Err(unsupported(&sections, &mentioned, tag, assistant.is_some()))
}

/// A query, or a counting question; what stands beside that is read like a prompt.
fn plain<'a>(system: &'a str, query: &'a str) -> Task<'a> {
    match Question::read(query) {
        Some((question, rest)) => Task::Solve { prompt: format!("{system}\n{rest}"), question },
        None => Task::Plain { system, query },
    }
}

/// The query, wherever in the request it is quoted.
fn query<'a>(turns: &Turns<'a>) -> Option<&'a str> {
    let turns = [&turns.system].into_iter().chain(turns.users.iter().rev());
    turns.filter_map(|parsed| parsed.all("QUERY").first().copied()).next()
}

/// The text that is shown shortened, where it stands whole in an earlier turn.
fn whole<'a>(short: &'a str, conversation: &'a Conversation) -> &'a str {
    let turns = conversation.assistants.iter().rev().chain(conversation.users.iter().rev());
    let mut texts = turns.chain([&conversation.system]).map(String::as_str);
    texts
        .find(|text| *text != short && [shorten(text), brief(text)].contains(&short.to_owned()))
        .unwrap_or(short)
}

/// The query of a conversation that a loss continues: what the answer that it speaks of was an answer to.
fn continued_query<'a>(turns: &Turns<'a>) -> Option<&'a str> {
    let loss = turns.users.iter().position(|user| user.mentioned().contains("CHOSEN_RESPONSE"))?;
    turns.conversation.users.get(loss.checked_sub(1)?).map(String::as_str)
}

/// The text to rewrite, where a continued conversation does not repeat it: the variable or the chosen
/// answer of an earlier turn.
fn earlier_text<'a>(turns: &Turns<'a>) -> Option<&'a str> {
    let Turns { conversation, system, users } = turns;
    let find = |name: &str| users.iter().rev().chain([system]).find_map(|parsed| parsed.get(name));
    find("VARIABLE").or_else(|| find("CHOSEN_RESPONSE")).or_else(|| {
        system.get("QUERY")?;
        conversation.users.first().map(String::as_str)
    })
}

fn unsupported(
    sections: &BTreeSet<&str>,
    mentioned: &BTreeSet<&str>,
    tag: Option<&str>,
    assistant: bool,
) -> EngineError {
    let list = |names: &BTreeSet<&str>| match names.is_empty() {
        true => "none".to_owned(),
        false => names.iter().copied().collect::<Vec<_>>().join(", "),
    };
    super::unsupported(format!(
        "the simulation does not recognise this request: sections seen: {}; names mentioned: {}; \
             output tag: {}; assistant turn: {}. needed for a loss: QUERY in a system message that mentions \
             no other marker; for a gradient: VARIABLE in the last user message, and LM_OUTPUT in it or an \
             assistant turn before it; for an update: a pair of output tags named outside of sections, \
             VARIABLE and FEEDBACK in the last user message; for a reduce: two or more FEEDBACK sections \
             and no VARIABLE. a prompt pack must keep these markers, each opening at the start of a line \
             (see the documentation of the module sim), or use another engine",
        list(sections),
        list(mentioned),
        tag.unwrap_or("none"),
        if assistant { "yes" } else { "no" },
    ))
}
