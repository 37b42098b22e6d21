//! Templates of the user's own, outside of a pack.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use super::error::PromptError;
use super::lazy::LazyTemplate;
use super::pack::PromptPack;

/// A template of the user's own over named values, checked when it is made.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use textgrad_core::PromptTemplate;
///
/// let template = PromptTemplate::new("my prompt", "Q: {{question}}", &json!({ "question": "" }))?;
/// assert_eq!(template.render(&json!({ "question": "{{x}}?" }))?, "Q: {{x}}?");
/// assert!(PromptTemplate::new("my prompt", "Q: {{qestion}}", &json!({ "question": "" })).is_err());
/// # Ok::<(), textgrad_core::PromptError>(())
/// ```
#[derive(Clone)]
pub struct PromptTemplate {
    name: String,
    pack: PromptPack,
}

impl PromptTemplate {
    /// A template with a name for errors and examples of its variables. Its text is taken as it is, the
    /// newline at its end too.
    ///
    /// # Errors
    /// A [`PromptError`] that names the template and the line.
    pub fn new(name: &str, text: &str, example: &Json) -> Result<Self, PromptError> {
        let examples = BTreeMap::from([(name.to_owned(), example.clone())]);
        let pack = PromptPack::of(vec![LazyTemplate::new(name, name, text)], examples);
        pack.check_all()?;
        Ok(Self { name: name.to_owned(), pack })
    }

    /// Fills it in.
    ///
    /// # Errors
    /// [`PromptError::Render`] if a variable is missing.
    pub fn render(&self, values: &impl Serialize) -> Result<String, PromptError> {
        self.pack.render_values(&self.name, values)
    }
}

crate::debug_by!(PromptTemplate { name });
