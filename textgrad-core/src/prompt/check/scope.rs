//! The variables in sight at a location in a template.

use serde_json::Value as Json;

use super::Location;
use crate::prompt::error::PromptError;

/// Stands for every value without an example that is a number or a boolean.
pub(super) static SCALAR: Json = Json::Bool(true);

/// The variables in sight: the values that blocks have stepped into, innermost last, and block parameters.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    levels: Vec<Level<'a>>,
    params: Vec<(String, &'a Json)>,
}

#[derive(Clone, Copy)]
struct Level<'a> {
    value: &'a Json,
    /// It has `@index`, `@first` and `@last`.
    counted: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(value: &'a Json) -> Self {
        Self { levels: vec![Level { value, counted: false }], params: Vec::new() }
    }

    /// Inside of `{{#each}}`, with one of its elements.
    pub(super) fn counting(mut self, value: &'a Json) -> Self {
        self.levels.push(Level { value, counted: true });
        self
    }

    /// Inside of `{{#with}}`, or of a partial if there is no value. It sees how far the block around counted.
    pub(super) fn inside(mut self, value: Option<&'a Json>) -> Self {
        if let Some(&around) = self.levels.last() {
            self.levels.push(Level { value: value.unwrap_or(around.value), ..around });
        }
        self
    }

    pub(super) fn name(&mut self, param: &str, value: &'a Json) {
        self.params.push((param.to_owned(), value));
    }

    /// What `@name` stands for, or `@../name` at a higher level.
    pub(super) fn local(
        &self,
        level: usize,
        name: &str,
        raw: &str,
        location: Location<'_>,
    ) -> Result<&'a Json, PromptError> {
        let counted = self.levels.iter().rev().nth(level).is_some_and(|level| level.counted);
        Err(location.unsupported(match name {
            "index" | "first" | "last" if counted => return Ok(&SCALAR),
            "index" | "first" | "last" => {
                format!("{raw} is known only inside of {{{{#each}}}}")
            }
            "key" => format!("{raw} is unknown, for a list has no keys; use @index"),
            "root" => format!("{raw} cannot be used as a value; use one of its fields: @root.name"),
            _ => format!(
                "unknown variable {raw}; known: @root, and @index, @first, @last inside of {{{{#each}}}}"
            ),
        }))
    }

    /// What a path stands for.
    pub(super) fn lookup(
        &self,
        raw: &str,
        location: Location<'_>,
    ) -> Result<&'a Json, PromptError> {
        let path = Path::new(raw);
        let mut current = if path.from_root {
            self.levels.first()
        } else {
            self.levels.iter().rev().nth(path.ups)
        }
        .map(|level| level.value);
        for (position, part) in path.parts.iter().enumerate() {
            let param = self.params.iter().rev().find(|(name, _)| name == part);
            if position == 0
                && !path.from_root
                && let Some((_, value)) = param
            {
                current = Some(value);
                continue;
            }
            current = match current {
                Some(Json::Object(fields)) if fields.contains_key(*part) => fields.get(*part),
                Some(Json::Array(_)) => {
                    return Err(location.unsupported(format!(
                        "{raw:?} reaches into a list, which may be shorter; use {{{{#each}}}}"
                    )));
                }
                _ => return Err(self.unknown(raw, current, location)),
            };
        }
        current.ok_or_else(|| self.unknown(raw, None, location))
    }

    fn unknown(&self, raw: &str, inside: Option<&Json>, location: Location<'_>) -> PromptError {
        let mut known: Vec<String> = match inside {
            Some(Json::Object(fields)) => fields.keys().cloned().collect(),
            _ => vec!["this".to_owned()],
        };
        known.extend(self.params.iter().map(|(name, _)| name.clone()));
        PromptError::UnknownVariable {
            file: location.template.origin.clone(),
            line: location.line,
            variable: raw.to_owned(),
            known,
        }
    }
}

/// A path as it is written: `this.a`, `../a.b`, `@root.a`, `a.[b c]`.
struct Path<'r> {
    from_root: bool,
    ups: usize,
    parts: Vec<&'r str>,
}

impl<'r> Path<'r> {
    fn new(raw: &'r str) -> Self {
        let without = |text: &'r str, prefixes: &[&str]| {
            prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
        };
        let mut rest = without(raw, &["this.", "this/", "./"]).unwrap_or(raw);
        let below_root = without(rest, &["@root.", "@root/"]);
        rest = below_root.unwrap_or(rest);
        let mut ups = 0;
        while let Some(above) = without(rest, &["../", "..."]) {
            ups += 1;
            rest = above;
        }
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let bracketed = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'));
            let (part, behind) = match bracketed {
                Some((part, behind)) => (part, behind.strip_prefix(['.', '/']).unwrap_or(behind)),
                None => rest.split_once(['.', '/']).unwrap_or((rest, "")),
            };
            if part != "this" {
                parts.push(part);
            }
            rest = behind;
        }
        Self { from_root: below_root.is_some(), ups, parts }
    }
}
