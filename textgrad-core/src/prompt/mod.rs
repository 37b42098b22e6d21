//! Prompt packs: every instruction that the framework sends, as templates that can be replaced.
//!
//! A pack is a set of [handlebars](https://handlebarsjs.com/guide/) templates, each with a documented set of
//! variables. Crates bring defaults as [`TemplateSpec`]s; a user replaces any of them by a folder of `.hbs`
//! files. A pack is checked when it is made: an unknown variable, helper or file is an error that names the
//! file and the line, not a hole in a prompt that nobody sees.
//!
//! Values are data. They are inserted as they are: `{{x}}`, `<`, `&` and quotes in a value come out
//! verbatim, and are never read as template syntax.
//!
//! # The `section` helper
//! `{{section "QUERY" query}}` writes
//! ```text
//! <QUERY>
//! the query
//! </QUERY>
//! ```
//! and, if the value itself contains `</QUERY>`, takes `QUERY-2` for the name (or `-3`, ...), so that what a
//! model or a user wrote can not end its own section.

mod check;
mod error;
mod pack;
mod section;

pub use self::error::PromptError;
pub use self::pack::{PromptPack, PromptTemplate, TemplateContext, TemplateSpec};
pub use self::section::section;
