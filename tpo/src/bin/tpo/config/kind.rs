//! Types and ranges of settings.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::suggest;

/// The type of a setting.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ValueKind {
    Text,
    Path,
    /// One of these words.
    Choice(Vec<String>),
    // Texts that a type of the library parses.
    Mode,
    Pairs,
    Acceptance,
    Budget,
    Combine,
    Truncation,
    U32,
    U64,
    /// A whole number of at least 1.
    Positive,
    Number,
    Bool,
    /// A list of texts, or one text.
    List,
    /// A list of texts that may begin with a hyphen.
    Arguments,
    /// A table, as JSON.
    Object,
    /// A table, as JSON or as the file of it.
    ObjectOrPath,
}

impl ValueKind {
    /// The type, in words.
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Self::U32 | Self::U64 | Self::Positive => "a whole number",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::List | Self::Arguments => "a list of texts",
            Self::Object | Self::ObjectOrPath => "a table",
            _ => "text",
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::List | Self::Arguments)
    }

    /// The range of a whole number.
    pub(crate) fn range(&self) -> Option<RangeInclusive<u64>> {
        match self {
            Self::U32 => Some(0..=u32::MAX.into()),
            Self::U64 => Some(0..=u64::MAX),
            Self::Positive => Some(1..=u32::MAX.into()),
            _ => None,
        }
    }

    /// Checks a value as flags take it.
    pub(crate) fn check(&self, value: &OsStr) -> Result<(), String> {
        if matches!(self, Self::Path) {
            return if value.is_empty() { Err("expected a path".to_owned()) } else { Ok(()) };
        }
        let text = value.to_str().ok_or("expected UTF-8")?;
        if let Some(range) = self.range() {
            let (from, to) = (range.start(), range.end());
            return match text.parse::<u64>() {
                Ok(number) if range.contains(&number) => Ok(()),
                Ok(number) if number > *to => {
                    Err(format!("expected a whole number from {from} to {to}"))
                }
                _ => Err(format!("expected a whole number of at least {from}")),
            };
        }
        match self {
            Self::Choice(words) if !words.iter().any(|word| word == text) => {
                Err(format!("[possible values: {}]", words.join(", ")))
            }
            Self::Mode => {
                let mode = parsed::<tpo::Mode>(text).map(drop);
                mode.map_err(|error| error + &suggest::near_mode(text))
            }
            Self::Pairs => parsed::<tpo::Pairs>(text).map(drop),
            Self::Acceptance => parsed::<tpo::Acceptance>(text).map(drop),
            Self::Budget => parsed::<tpo::SearchBudget>(text).map(drop),
            Self::Combine => parsed::<tpo::Combine>(text).map(drop),
            Self::Truncation => parsed::<tpo::Truncation>(text).map(drop),
            Self::Number => match text.parse::<f64>() {
                Ok(_) => Ok(()),
                Err(_) => Err("expected a number".to_owned()),
            },
            Self::Bool if !["true", "false"].contains(&text) => {
                Err("[possible values: true, false]".to_owned())
            }
            Self::Object => match serde_json::from_str::<Map<String, Json>>(text) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("expected a JSON object: {error}")),
            },
            _ => Ok(()),
        }
    }

    pub(super) fn schema(&self) -> Json {
        let text = json!({ "type": "string" });
        if let Some(range) = self.range() {
            return json!({ "type": "integer", "minimum": range.start() });
        }
        match self {
            Self::Choice(words) => json!({ "enum": words }),
            Self::Number => json!({ "type": "number" }),
            Self::Bool => json!({ "type": "boolean" }),
            Self::List | Self::Arguments => {
                json!({ "anyOf": [text, { "type": "array", "items": { "type": "string" } }] })
            }
            Self::Object | Self::ObjectOrPath => json!({ "anyOf": [{ "type": "object" }, text] }),
            _ => text,
        }
    }
}

/// Reads the value of a flag. The error leaves out the name of the setting, since clap names the flag.
pub(crate) fn parsed<T: FromStr<Err = tpo::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| match error {
        tpo::Error::Config { expected, got, .. } => format!("expected {expected}, got {got}"),
        error => error.to_string(),
    })
}

/// The range of a number; its ends are finite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    from: Option<f64>,
    /// Excluded itself.
    above: Option<f64>,
    to: Option<f64>,
}

impl Range {
    pub(super) fn contains(&self, number: f64) -> bool {
        number.is_finite()
            && self.from.is_none_or(|from| number >= from)
            && self.above.is_none_or(|above| number > above)
            && self.to.is_none_or(|to| number <= to)
    }

    pub(super) fn expected(&self, is_whole: bool) -> String {
        let number = if is_whole { "a whole number" } else { "a number" };
        match (self.from, self.above, self.to) {
            (Some(from), _, None) => format!("{number} of at least {from}"),
            (Some(from), _, Some(to)) => format!("{number} from {from} to {to}"),
            (None, Some(above), None) => format!("{number} above {above}"),
            (None, Some(above), Some(to)) => format!("{number} above {above}, at most {to}"),
            (None, None, _) => "a finite number".to_owned(),
        }
    }

    pub(super) fn schema(&self, fields: &mut Map<String, Json>) {
        let ends = [("minimum", self.from), ("exclusiveMinimum", self.above), ("maximum", self.to)];
        for (name, end) in ends {
            // Whole numbers stay whole.
            let end = end.map(|end| match end.fract() == 0.0 {
                true => Json::from(end as i64),
                false => Json::from(end),
            });
            fields.extend(end.map(|end| (name.to_owned(), end)));
        }
    }
}
