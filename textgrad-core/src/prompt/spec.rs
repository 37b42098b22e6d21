//! Templates that a crate brings, and the values that they are rendered with.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::example::example_of;

/// The variables of one template or of several: a struct that derives `Serialize` and `Deserialize`.
///
/// Whoever renders a template fills in the struct, and packs are checked against the same struct, so a template and
/// the code that uses it cannot disagree about the variables. Fields are texts, numbers, booleans, structs, and
/// options and lists of these; other types implement this by hand.
pub trait TemplateContext: Serialize {
    /// All variables with examples: options filled, lists with one element. Packs are checked against it.
    fn example() -> Json;
}

impl<C: Serialize + Deserialize<'static>> TemplateContext for C {
    fn example() -> Json {
        example_of::<C>()
    }
}

/// A template that a crate brings: its name, its default text, and examples of its variables.
#[derive(Debug, Clone)]
pub struct TemplateSpec {
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    pub(super) example: Json,
}

impl TemplateSpec {
    /// A template over the variables of `C`: its name, which is that of its file without `.hbs`, and its
    /// default text.
    #[must_use]
    pub fn new<C: TemplateContext>(name: &'static str, source: &'static str) -> Self {
        Self { name, source, example: C::example() }
    }

    /// A text that templates include with `{{> name}}`; the name begins with an underscore. It is checked
    /// where it is included.
    #[must_use]
    pub fn partial(name: &'static str, source: &'static str) -> Self {
        Self { name, source, example: Json::Null }
    }

    /// The same template with another text.
    #[must_use]
    pub fn with_source(self, source: &'static str) -> Self {
        Self { source, ..self }
    }

    /// The template's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its default text, as it was given.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Examples of its variables.
    #[must_use]
    pub fn example(&self) -> &Json {
        &self.example
    }
}
