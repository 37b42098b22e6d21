//! Prompt packs: every instruction that the framework sends, as templates that can be replaced.
//!
//! A pack is a set of [handlebars](https://handlebarsjs.com/guide/) templates, each with a documented set of
//! variables. Crates bring defaults as [`TemplateSpec`]s; a user replaces any of them by a folder of `.hbs`
//! files. A pack is checked when it is made: an unknown variable, helper or file is an error that names the
//! file and the line, not a hole in a prompt that nobody sees. Then every template is rendered once with the
//! examples of its variables.
//!
//! Values are data. They are inserted as they are: `{{x}}`, `<`, `&` and quotes in a value come out
//! verbatim, and are never read as template syntax.
//!
//! # What a template may hold
//! * Variables that are a text, a number or a boolean; of an object its fields, and of a list its elements by
//!   `{{#each}}`, never by an index, for the list may be shorter than that.
//! * The blocks `if`, `unless`, `each` (over a list) and `with` (over an object), with `else`. Inside of `each`
//!   there are `@index`, `@first` and `@last`, and one level up `@../index`; `@root.name` is a variable of the
//!   whole template.
//! * The helpers `section`, `len`, `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `and`, `or`, `not`; `len` and `not`
//!   take one value, the others two. Not `lookup`, for what it finds cannot be checked.
//! * Partials, `{{> _name}}`, without arguments. A partial is a level of its own: `../` leads to where it was
//!   included.
//!
//! Raw blocks (`{{{{name}}}}`), partials with content and decorators are refused; braces that are text are
//! written `\{{`.
//!
//! A template has at most 64 KiB, 64 levels of blocks and partials, and 4 `each` within each other; a prompt at
//! most 64 MiB.
//!
//! # The `section` helper
//! `{{section "QUERY" query}}` writes
//! ```text
//! <QUERY>
//! the query
//! </QUERY>
//! ```
//! and, if the value itself contains `</QUERY>`, takes `QUERY-2` for the name (or `-3`, ...), so that what a
//! model or a user wrote cannot end its own section.

mod bounds;
mod check;
mod error;
mod example;
mod lazy;
mod module;
mod pack;
mod section;
mod spec;
mod template;

pub use self::error::PromptError;
pub use self::module::{PromptModule, TemplateCheck};
pub use self::pack::PromptPack;
pub use self::section::section;
pub use self::spec::{TemplateContext, TemplateSpec};
pub use self::template::PromptTemplate;
