//! Adaptation of requests to what a server refuses.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value, json};
use strum::Display;
use textgrad_core::{EngineError, ErrorKind};

/// Parameters that a request may go without, as their names are in bodies of all wire formats.
const OPTIONAL: [&str; 15] = [
    "temperature",
    "top_p",
    "topP",
    "frequency_penalty",
    "frequencyPenalty",
    "presence_penalty",
    "presencePenalty",
    "stop",
    "stop_sequences",
    "stopSequences",
    "seed",
    "random_seed",
    "n",
    "candidateCount",
    "stream_options",
];

/// Names of the bound on the tokens of an answer.
const MAX_TOKENS: [&str; 3] = ["max_completion_tokens", "max_tokens", "maxOutputTokens"];

/// A change of a request after which a server may take it.
#[derive(Debug, Clone, PartialEq, Eq, Display)]
pub(crate) enum Remedy {
    /// Leaves a parameter out.
    #[strum(to_string = "requests omit `{0}` from now on")]
    Drop(String),
    /// Leaves the second parameter out where both are set.
    #[strum(to_string = "requests omit `{1}` beside `{0}` from now on")]
    Exclude(String, String),
    /// Sends the bound on the tokens under another name.
    #[strum(to_string = "requests send `{from}` as `{to}` from now on")]
    RenameMaxTokens { from: &'static str, to: &'static str },
    /// Sends at most so many tokens in every request of the model.
    #[strum(to_string = "requests ask for at most {0} tokens from now on")]
    CapMaxTokens(u64),
    /// Sends at most so many tokens in this request: prompt and answer share the context.
    #[strum(to_string = "this request asks for at most {0} tokens")]
    FitMaxTokens(u64),
    /// Puts system text into the first turn of the user.
    #[strum(to_string = "system text goes into the user's first message from now on")]
    FoldSystem,
}

/// What an engine has learned about the requests that its server takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Adaptation {
    dropped: BTreeSet<String>,
    excluded: Option<(String, String)>,
    renamed: Option<(&'static str, &'static str)>,
    cap: Option<u64>,
    folds_system: bool,
}

impl Adaptation {
    /// Remembers a remedy for later requests. Returns whether it is new.
    pub(crate) fn learn(&mut self, remedy: &Remedy) -> bool {
        match remedy {
            Remedy::Drop(name) => self.dropped.insert(name.clone()),
            Remedy::Exclude(kept, dropped) => {
                let pair = (kept.clone(), dropped.clone());
                self.excluded.replace(pair.clone()) != Some(pair)
            }
            Remedy::RenameMaxTokens { from, to } => {
                self.renamed.replace((from, to)) != Some((from, to))
            }
            Remedy::CapMaxTokens(tokens) => {
                let before = self.cap;
                self.cap = Some(before.map_or(*tokens, |cap| cap.min(*tokens)));
                self.cap != before
            }
            Remedy::FitMaxTokens(_) => false,
            Remedy::FoldSystem => !std::mem::replace(&mut self.folds_system, true),
        }
    }

    /// Applies everything that was learned to the body of a request.
    pub(crate) fn apply(&self, body: &mut Value) {
        self.remedies().for_each(|remedy| remedy.apply(body));
    }

    /// Everything that was learned.
    pub(crate) fn remedies(&self) -> impl Iterator<Item = Remedy> {
        (self.dropped.iter().cloned().map(Remedy::Drop))
            .chain(self.excluded.clone().map(|(kept, dropped)| Remedy::Exclude(kept, dropped)))
            .chain(self.cap.map(Remedy::CapMaxTokens))
            .chain(self.renamed.map(|(from, to)| Remedy::RenameMaxTokens { from, to }))
            .chain(self.folds_system.then_some(Remedy::FoldSystem))
    }
}

impl Remedy {
    /// The remedy of a refusal, if there is one that changes this body.
    pub(super) fn find(error: &EngineError, body: &Value) -> Option<Self> {
        if error.kind() == ErrorKind::Unsupported {
            return field(body, "n").map(|_| Self::Drop("n".to_owned()));
        }
        // An error in a reply whose status is one of success has none of its own.
        let assumed = if error.kind() == ErrorKind::InvalidRequest { 400 } else { 0 };
        let status = error.status().filter(|status| *status != 429).unwrap_or(assumed);
        // What precedes the words of the server is the address.
        let message = error.message();
        let words = message.split_once(": ").map_or(message, |(_, words)| words);
        Self::by_words(status, words, body)
    }

    /// The remedy of a refusal by the words of the server.
    fn by_words(status: u16, words: &str, body: &Value) -> Option<Self> {
        // Chat templates that fail do so as an error of the server.
        if matches!(status, 400 | 404 | 422 | 500) && refuses_system(words) && has_system(body) {
            return Some(Self::FoldSystem);
        }
        if !matches!(status, 400 | 402 | 404 | 413 | 422) {
            return None;
        }
        let bound =
            MAX_TOKENS.into_iter().find_map(|name| Some((name, field(body, name)?.as_u64()?)));
        if let Some((name, tokens)) = bound {
            let other = if name == "max_tokens" { "max_completion_tokens" } else { "max_tokens" };
            let rename = Self::RenameMaxTokens { from: name, to: other };
            let is_refused = refuses(words) && names(words, name);
            if is_refused && names(words, other) && name != "maxOutputTokens" {
                return Some(rename);
            }
            if let Some(remedy) = lower(words, tokens) {
                return Some(remedy);
            }
            // OpenAI's newer models take the bound by the other name, whether or not the refusal says so.
            if is_refused && name == "max_tokens" {
                return Some(rename);
            }
        }
        if matches(r"(?i)multiple candidates|only one candidate", words) {
            return field(body, "candidateCount").map(|_| Self::Drop("candidateCount".to_owned()));
        }
        if !refuses(words) && !excludes(words) {
            return None;
        }
        let sent = OPTIONAL.into_iter().filter(|name| field(body, name).is_some());
        let named: Vec<&str> = sent.filter(|name| names(words, name)).collect();
        match named.as_slice() {
            // Of two that exclude each other, the first stays.
            [kept, dropped, ..] if excludes(words) => {
                Some(Self::Exclude((*kept).to_owned(), (*dropped).to_owned()))
            }
            [name, ..] => Some(Self::Drop((*name).to_owned())),
            [] => None,
        }
    }

    /// Changes a body.
    pub(crate) fn apply(&self, body: &mut Value) {
        match self {
            Self::Exclude(kept, dropped) => each_object(body, |fields| {
                if fields.contains_key(kept.as_str()) {
                    fields.remove(dropped.as_str());
                }
            }),
            Self::Drop(name) => each_object(body, |fields| {
                fields.remove(name.as_str());
            }),
            Self::RenameMaxTokens { from, to } => each_object(body, |fields| {
                if let Some(tokens) = fields.remove(*from) {
                    fields.insert((*to).to_owned(), tokens);
                }
            }),
            Self::CapMaxTokens(most) | Self::FitMaxTokens(most) => each_object(body, |fields| {
                for name in MAX_TOKENS {
                    if let Some(tokens) = fields.get_mut(name) {
                        *tokens = tokens.as_u64().map_or(*most, |tokens| tokens.min(*most)).into();
                    }
                }
            }),
            Self::FoldSystem => fold_system(body),
        }
    }
}

/// The error with what to do about it, where the prompt is too long for the model and no bound can be lowered.
pub(super) fn with_advice(error: EngineError) -> EngineError {
    let is_too_long = r"(?i)maximum context length|context (length|window|limit|size)|prompt is too long|too many tokens|must be at least 1, got -";
    if error.kind() != ErrorKind::InvalidRequest || !matches(is_too_long, error.message()) {
        return error;
    }
    let advice = "truncate what prompts quote (--truncate), or ask for fewer tokens (--max-tokens, \
                  --critic-max-tokens)";
    let message = format!("{}; {advice}", error.message());
    error.with_message(message)
}

/// The objects that parameters stand in: the body, and Gemini's `generationConfig`.
fn each_object(body: &mut Value, mut change: impl FnMut(&mut Map<String, Value>)) {
    if let Some(fields) = body.as_object_mut() {
        change(fields);
        if let Some(Value::Object(fields)) = fields.get_mut("generationConfig") {
            change(fields);
        }
    }
}

fn field<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    body.get(name).or_else(|| body.get("generationConfig")?.get(name))
}

fn matches(pattern: &str, words: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(words))
}

/// Whether the words say that something is not supported, rather than that its value is wrong.
fn refuses(words: &str) -> bool {
    let pattern = r"(?ix) unsupported | not\ (yet\ )?(currently\ )?(be\ )?(supported|permitted|allowed|available|accepted)
        | (does|do)(\ not|n't)\ (support|accept|allow) | unrecognized | unknown\ (field|name|parameter|argument|key)
        | unexpected\ (field|parameter|argument|keyword|key) | extra[_\ ](inputs|fields|forbidden)
        | only\ the\ default | cannot\ (both\ )?be\ (both\ )?(set|specified|used) | cannot\ both | deprecated | no\ longer\ supported";
    matches(pattern, words)
}

/// Whether the words say that two parameters exclude each other.
fn excludes(words: &str) -> bool {
    matches(r"(?i)cannot (be )?both|only one of|mutually exclusive|not both", words)
}

/// Whether the words name a parameter, in snake or camel case.
fn names(words: &str, name: &str) -> bool {
    let snake = snake_case(name);
    let mut found = words.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    found.any(|word| snake_case(word) == snake)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for char in name.chars() {
        if char.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

fn refuses_system(words: &str) -> bool {
    let pattern = r"(?ix) (system|developer)[\ _](role|message|prompt|instruction)s?\b .{0,40} (not|n't|un)\ ?(be\ )?(supported|enabled|allowed|available)
        | (not|n't|un)\ ?support(ed)?\ .{0,20} \b(system|developer)\b | only\ user\ and\ (assistant|model)\ roles
        | roles\ must\ alternate | (unknown|unsupported|invalid|unexpected)\ (message\ )?role:?\ .?system";
    matches(pattern, words)
}

fn has_system(body: &Value) -> bool {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let mut roles = messages.filter_map(|message| message.get("role")?.as_str());
    roles.any(|role| matches!(role, "system" | "developer"))
        || body.get("systemInstruction").is_some()
}

/// The bound on the tokens of the answer that the numbers in a refusal allow.
fn lower(words: &str, asked: u64) -> Option<Remedy> {
    let words = without_separators(words);
    let number = |pattern: &str| -> Option<u64> {
        Regex::new(pattern).ok()?.captures(&words)?.get(1)?.as_str().parse().ok()
    };
    let fit = |context: u64, prompt: u64| {
        let room = context.checked_sub(prompt).filter(|room| (1..asked).contains(room))?;
        Some(Remedy::FitMaxTokens(room))
    };
    // Anthropic: "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000".
    let sum = r"(?i)context limit[^0-9]*(\d+) *\+ *\d+ *>";
    let total = r"(?i)context limit[^0-9]*\d+ *\+ *\d+ *> *(\d+)";
    if let (Some(prompt), Some(context)) = (number(sum), number(total)) {
        return fit(context, prompt);
    }
    // Groq and OpenAI: "Request too large .. tokens per minute (TPM): Limit 6000, Requested 8813".
    let limit = number(r"(?i)request too large.*\blimit:? (\d+)");
    if let (Some(limit), Some(requested)) = (limit, number(r"(?i)\brequested:? (\d+)")) {
        return fit(limit, requested.checked_sub(asked)?);
    }
    let context = number(r"(?i)context (?:length|limit|window|size)[^0-9.]{0,40}(\d+)")
        .or_else(|| number(r"(?i)must be <= *(\d+)"));
    if let Some(context) = context {
        let prompt = number(r"(?i)(\d+) (?:tokens )?(?:in|from|of) (?:the )?(?:input |your |text )?(?:messages|prompt|inputs?)")
            .or_else(|| number(r"(?i)(\d+) .?inputs?.? tokens"))
            .or_else(|| number(r"(?i)(?:prompt|request|input) (?:contains|has)(?: at least)? (\d+)"))
            .or_else(|| number(r"(?i)requested (?:about |a total of )?(\d+) tokens")?.checked_sub(asked))?;
        return fit(context, prompt);
    }
    // OpenRouter: "fewer max_tokens. You requested up to 8192 tokens, but can only afford 3000".
    let cap = number(r"(?i)max[a-z_ ]*tokens.{0,60} can only afford (\d+)")
        .or_else(|| number(r"(?i)max[a-z_ ]*tokens > (\d+) must"))
        .or_else(|| number(r"(?i)max[a-z_ ]*tokens=\d+ cannot be greater than [a-z_]+=(\d+)"))
        .or_else(|| number(r"(?i)at most (\d+) (?:completion|output)? ?tokens"))
        .or_else(|| number(r"(?i)\d+ *> *(\d+),? which is the maximum"))
        .or_else(|| number(r"(?i)max[a-z_ ]*tokens[^0-9]*(?:less than or equal to|<=|at most|exceed)[^0-9]{0,20}(\d+)"))
        .or_else(|| number(r"(?i)maximum (?:allowed )?(?:number of )?(?:output|completion) tokens[^0-9]{0,20}(\d+)"))
        .or_else(|| number(r"(?i)tokens.{0,20}(?:\[|between )\d+(?:, ?| and )(\d+)"))?;
    (1..asked).contains(&cap).then_some(Remedy::CapMaxTokens(cap))
}

/// The text without commas between digits: 128,000 is one number.
fn without_separators(words: &str) -> String {
    Regex::new(r"(\d),(\d{3})").map_or_else(
        |_| words.to_owned(),
        |pattern| pattern.replace_all(words, "$1$2").into_owned(),
    )
}

/// Puts the system messages before the text of the first turn of the user.
fn fold_system(body: &mut Value) {
    // Gemini has it in a field of its own.
    if let Some(instruction) =
        body.as_object_mut().and_then(|body| body.remove("systemInstruction"))
    {
        let text = instruction.get("parts").and_then(text_of).unwrap_or_default();
        if let Some(Value::Array(parts)) = body.pointer_mut("/contents/0/parts") {
            parts.insert(0, json!({"text": format!("{text}\n\n")}));
        }
        return;
    }
    let Some(Value::Array(messages)) = body.get_mut("messages") else { return };
    let is_system = |message: &Value| {
        message
            .get("role")
            .and_then(Value::as_str)
            .is_some_and(|role| matches!(role, "system" | "developer"))
    };
    let system: Vec<String> = messages
        .iter()
        .filter(|message| is_system(message))
        .filter_map(|message| text_of(message.get("content")?))
        .filter(|text| !text.is_empty())
        .collect();
    messages.retain(|message| !is_system(message));
    let system = system.join("\n\n");
    let first = messages
        .first_mut()
        .filter(|first| first.get("role").and_then(Value::as_str) == Some("user"));
    match first.and_then(|first| first.get_mut("content")) {
        Some(Value::String(text)) => *text = format!("{system}\n\n{text}"),
        Some(Value::Array(parts)) => {
            parts.insert(0, json!({"type": "text", "text": format!("{system}\n\n")}));
        }
        _ => messages.insert(0, json!({"role": "user", "content": system})),
    }
}

fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            Some(parts.iter().filter_map(|part| part.get("text")?.as_str()).collect())
        }
        _ => None,
    }
}
