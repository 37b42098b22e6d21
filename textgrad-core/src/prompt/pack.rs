//! A set of templates.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use handlebars::{Handlebars, no_escape};
use serde::Serialize;
use serde_json::Value as Json;

use super::bounds::{BoundedPrompt, SHALLOW, on_large_stack};
use super::check::Checker;
use super::error::PromptError;
use super::lazy::LazyTemplate;
use super::section::SectionHelper;
use super::spec::{TemplateContext, TemplateSpec};
use crate::variable::Variable;

/// A set of templates, checked when it is made, but for those that a test checks ([`unchecked`](Self::unchecked)).
///
/// # Examples
/// ```
/// use serde::Serialize;
/// use serde_json::{Value, json};
/// use textgrad_core::{PromptPack, TemplateContext, TemplateSpec};
///
/// #[derive(Serialize)]
/// struct Greeting<'a> {
///     name: &'a str,
/// }
///
/// impl TemplateContext for Greeting<'_> {
///     fn example() -> Value {
///         json!({ "name": "Ada" })
///     }
/// }
///
/// let pack = PromptPack::new([TemplateSpec::new::<Greeting>("greeting", "Hello {{name}}!")])?;
/// assert_eq!(pack.render("greeting", &Greeting { name: "{{x}} & <b>" })?, "Hello {{x}} & <b>!");
///
/// let typo = PromptPack::new([TemplateSpec::new::<Greeting>("greeting", "\nHello {{nmae}}!")]).unwrap_err();
/// assert_eq!(typo.to_string(), r#"greeting.hbs, line 2: unknown variable "nmae"; known here: name"#);
/// # Ok::<(), textgrad_core::PromptError>(())
/// ```
///
/// Cheap to clone: clones share the parsed templates.
#[derive(Clone)]
pub struct PromptPack {
    templates: BTreeMap<String, Arc<LazyTemplate>>,
    /// Examples of the variables of each template that is not a partial.
    examples: Arc<BTreeMap<String, Json>>,
    /// Renders a template that is not a partial with all that it includes, once it has been used.
    engines: BTreeMap<String, Arc<OnceLock<Handlebars<'static>>>>,
    /// Templates that are variables of a graph.
    variables: BTreeMap<String, Variable>,
}

impl PromptPack {
    /// The pack of these defaults.
    ///
    /// # Errors
    /// A [`PromptError`] that names the template and the line.
    pub fn new(specs: impl IntoIterator<Item = TemplateSpec>) -> Result<Self, PromptError> {
        let pack = Self::unchecked(specs);
        pack.check_all()?;
        Ok(pack)
    }

    /// The pack of defaults that a test checks with [`new`](Self::new): each is parsed when it is rendered for the
    /// first time, which spares a program most of its start. What is wrong with one is the error of rendering it.
    #[must_use]
    pub fn unchecked(specs: impl IntoIterator<Item = TemplateSpec>) -> Self {
        Self::build(specs.into_iter().collect(), BTreeMap::new())
    }

    /// The pack of these defaults, some or all of them replaced by the `.hbs` files of a folder.
    ///
    /// A file is named after the template that it replaces; one whose name begins with an underscore is a
    /// partial, included with `{{> _name}}`. One newline at the end of a file, as editors leave it, is not
    /// part of the template. Other files are let be. Reads files, blocking: call it before the work begins.
    ///
    /// # Errors
    /// A [`PromptError`] that names the file, the line and what is wrong.
    pub fn from_dir(
        specs: impl IntoIterator<Item = TemplateSpec>,
        dir: &Path,
    ) -> Result<Self, PromptError> {
        let specs: Vec<TemplateSpec> = specs.into_iter().collect();
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| PromptError::Io { path, source: Arc::new(error) }
        };
        let mut overrides = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(io(dir))? {
            let path = entry.map_err(io(dir))?.path();
            if path.extension().is_none_or(|extension| extension != "hbs") {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if !name.starts_with('_') && !specs.iter().any(|spec| spec.name == name) {
                let known = specs.iter().map(|spec| spec.name.to_owned()).collect();
                return Err(PromptError::UnknownTemplate { path, known });
            }
            let text = std::fs::read_to_string(&path).map_err(io(&path))?;
            let template = LazyTemplate::new(&name, path.display().to_string(), file_text(&text));
            overrides.insert(name, template);
        }
        if overrides.is_empty() {
            return Err(PromptError::Empty { path: dir.to_owned() });
        }
        let pack = Self::build(specs, overrides);
        pack.check_all()?;
        Ok(pack)
    }

    fn build(specs: Vec<TemplateSpec>, mut overrides: BTreeMap<String, LazyTemplate>) -> Self {
        let of_spec = |spec: &TemplateSpec| {
            let of_default = || {
                LazyTemplate::new(spec.name, format!("{}.hbs", spec.name), file_text(spec.source))
            };
            overrides.remove(spec.name).unwrap_or_else(of_default)
        };
        let mut templates: Vec<LazyTemplate> = specs.iter().map(of_spec).collect();
        templates.extend(overrides.into_values());
        let examples = specs.into_iter().filter(|spec| !spec.name.starts_with('_'));
        Self::of(templates, examples.map(|spec| (spec.name.to_owned(), spec.example)).collect())
    }

    /// A pack that is not checked.
    pub(super) fn of(templates: Vec<LazyTemplate>, examples: BTreeMap<String, Json>) -> Self {
        let templates =
            templates.into_iter().map(|template| (template.name.clone(), Arc::new(template)));
        let engines = examples.keys().map(|name| (name.clone(), Arc::default())).collect();
        let (templates, examples) = (templates.collect(), Arc::new(examples));
        Self { templates, examples, engines, variables: BTreeMap::new() }
    }

    /// Checks all templates.
    pub(super) fn check_all(&self) -> Result<(), PromptError> {
        compiled("prompt pack", || {
            self.templates.values().try_for_each(|template| template.template().map(drop))?;
            self.examples.keys().try_for_each(|name| self.check(name))
        })
    }

    /// Checks a template against its example, and renders it with that.
    fn check(&self, name: &str) -> Result<(), PromptError> {
        let Some((name, example)) = self.examples.get_key_value(name) else { return Ok(()) };
        Checker::new(&self.templates).check(name, example)?;
        let rendered = self.engine_here(name).and_then(|engine| render(engine, name, example));
        rendered.map(drop).map_err(|error| match (error, self.templates.get(name)) {
            (PromptError::Render { reason, .. }, Some(template)) => {
                PromptError::Render { name: template.origin.clone(), reason }
            }
            (error, _) => error,
        })
    }

    /// What renders a template.
    fn engine(&self, name: &str) -> Result<&Handlebars<'static>, PromptError> {
        let is_parsed = self.engines.get(name).is_some_and(|engine| engine.get().is_some());
        // A thread of its own takes longer than the work, on a machine that is busy much longer.
        let is_shallow =
            |name| self.included_by(name).iter().all(|template| template.max_levels() <= SHALLOW);
        match is_parsed || is_shallow(name) {
            true => self.engine_here(name),
            false => compiled(name, || self.engine_here(name)),
        }
    }

    /// The same, parsed on this stack.
    fn engine_here(&self, name: &str) -> Result<&Handlebars<'static>, PromptError> {
        let Some(engine) = self.engines.get(name) else {
            return Err(PromptError::Missing { name: name.to_owned() });
        };
        if let Some(engine) = engine.get() {
            return Ok(engine);
        }
        let mut new = Handlebars::new();
        new.set_strict_mode(true);
        new.register_escape_fn(no_escape);
        new.register_helper("section", Box::new(SectionHelper));
        for template in self.included_by(name) {
            new.register_template(&template.name, template.template()?.clone());
        }
        Ok(engine.get_or_init(|| new))
    }

    /// The same pack with the text of a variable in place of a template. Ops that word a request by this template have
    /// the variable as an input, so that a backward pass reaches it: the wording of losses, of requests for feedback
    /// and of updates can be learned.
    ///
    /// # Errors
    /// [`PromptError::Missing`] if the pack has no template of this name. [`PromptError::Unsupported`] if it is a
    /// partial, or the variable an image. Otherwise a [`PromptError`] that names the template and the line.
    ///
    /// # Examples
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use textgrad_core::{Parameter, PromptPack, TemplateSpec};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Greeting {
    ///     name: String,
    /// }
    ///
    /// let pack = PromptPack::new([TemplateSpec::new::<Greeting>("greeting", "Hello {{name}}!")])?;
    /// let wording = Parameter::new("Dear {{name}},", "template of a greeting");
    /// let pack = pack.with_variable("greeting", &wording)?;
    /// assert_eq!(pack.render("greeting", &Greeting { name: "Ada".to_owned() })?, "Dear Ada,");
    /// assert_eq!(pack.variable("greeting"), Some(&wording.variable()));
    /// assert!(pack.with_variable("greeting", &Parameter::new("Dear {{nmae}},", "template")).is_err());
    /// # Ok::<(), textgrad_core::PromptError>(())
    /// ```
    pub fn with_variable(
        &self,
        name: &str,
        variable: impl Into<Variable>,
    ) -> Result<Self, PromptError> {
        let variable = variable.into();
        if !self.templates.contains_key(name) {
            return Err(PromptError::Missing { name: name.to_owned() });
        }
        let unsupported = |reason: &str| {
            let (file, reason) = (name.to_owned(), reason.to_owned());
            PromptError::Unsupported { file, line: 1, reason }
        };
        if !self.examples.contains_key(name) {
            return Err(unsupported("expected a template of a message, got a partial"));
        }
        let text = variable.text().ok_or_else(|| unsupported("expected a text, got an image"))?;
        let mut pack = self.replaced(LazyTemplate::new(name, name, text))?;
        pack.variables.insert(name.to_owned(), variable);
        Ok(pack)
    }

    /// The same pack with a text in place of a template, or with another partial, whose name begins with an underscore.
    /// The text is checked as that of a file is, and read so: one newline at its end is not part of the template.
    ///
    /// # Errors
    /// [`PromptError::UnknownTemplate`] with the nearest names, if the pack has no template of this name. Otherwise a
    /// [`PromptError`] that names the template, the line and what is wrong, such as a variable that it is not given.
    ///
    /// # Examples
    /// ```
    /// use serde::Serialize;
    /// use serde_json::{Value, json};
    /// use textgrad_core::{PromptPack, TemplateContext, TemplateSpec};
    ///
    /// #[derive(Serialize)]
    /// struct Greeting<'a> {
    ///     name: &'a str,
    /// }
    ///
    /// impl TemplateContext for Greeting<'_> {
    ///     fn example() -> Value {
    ///         json!({ "name": "Ada" })
    ///     }
    /// }
    ///
    /// let pack = PromptPack::new([TemplateSpec::new::<Greeting>("greeting", "Hello {{name}}!")])?;
    /// let kind = pack.with_template("_sign", "Yours, Eve")?;
    /// let kind = kind.with_template("greeting", "Dear {{name}},\n{{> _sign}}")?;
    /// assert_eq!(kind.render("greeting", &Greeting { name: "Ada" })?, "Dear Ada,\nYours, Eve");
    /// assert_eq!(pack.render("greeting", &Greeting { name: "Ada" })?, "Hello Ada!");
    ///
    /// let error = pack.with_template("greeting", "Dear {{nmae}},").unwrap_err();
    /// assert_eq!(error.to_string(), r#"greeting, line 1: unknown variable "nmae"; known here: name"#);
    /// # Ok::<(), textgrad_core::PromptError>(())
    /// ```
    pub fn with_template(&self, name: &str, text: &str) -> Result<Self, PromptError> {
        if !name.starts_with('_') && !self.examples.contains_key(name) {
            let known = self.templates.keys().cloned().collect();
            return Err(PromptError::UnknownTemplate { path: name.into(), known });
        }
        let mut pack = self.replaced(LazyTemplate::new(name, name, file_text(text)))?;
        pack.variables.remove(name);
        Ok(pack)
    }

    /// The same pack with a template in place of the one with its name, and everything checked that shows it.
    fn replaced(&self, template: LazyTemplate) -> Result<Self, PromptError> {
        let (name, template) = (template.name.clone(), Arc::new(template));
        let mut pack = self.clone();
        pack.templates.insert(name.clone(), Arc::clone(&template));
        let shows = |of: &str| pack.included_by(of).iter().any(|template| template.name == name);
        let shown_by: Vec<String> = pack.examples.keys().filter(|of| shows(of)).cloned().collect();
        for of in &shown_by {
            pack.engines.insert(of.clone(), Arc::default());
        }
        compiled(&name, || {
            template.template()?;
            shown_by.iter().try_for_each(|of| pack.check(of))
        })?;
        Ok(pack)
    }

    /// A template, and those that it may include.
    fn included_by(&self, name: &str) -> Vec<&LazyTemplate> {
        let mut found: Vec<&LazyTemplate> = Vec::new();
        let mut open = vec![name];
        while let Some(template) = open.pop().and_then(|name| self.templates.get(name)) {
            if !found.iter().any(|found| found.name == template.name) {
                found.push(template);
                open.extend(
                    self.templates.keys().map(String::as_str).filter(|of| template.includes(of)),
                );
            }
        }
        found
    }

    /// The variable that a template is the text of; `None` if the template is none of a graph.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// Examples of the values that a template may use; `None` if it is a partial, or there is none of this name.
    pub(super) fn example(&self, name: &str) -> Option<&Json> {
        self.examples.get(name)
    }

    /// Fills in a template.
    ///
    /// # Errors
    /// [`PromptError::Missing`] if the pack has no such template, [`PromptError::Render`] otherwise.
    pub fn render<C: TemplateContext>(
        &self,
        name: &str,
        context: &C,
    ) -> Result<String, PromptError> {
        self.render_values(name, context)
    }

    pub(super) fn render_values(
        &self,
        name: &str,
        values: &impl Serialize,
    ) -> Result<String, PromptError> {
        render(self.engine(name)?, name, values)
    }

    /// The text of a template; `None` if there is none of this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&str> {
        self.templates.get(name).map(|template| template.text.as_str())
    }

    /// The names and texts of all templates, in alphabetical order: what identifies the pack.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.templates.iter().map(|(name, template)| (name.as_str(), template.text.as_str()))
    }
}

fn render(
    engine: &Handlebars<'_>,
    name: &str,
    values: &impl Serialize,
) -> Result<String, PromptError> {
    let failed = |reason: String| PromptError::Render { name: name.to_owned(), reason };
    let mut prompt = BoundedPrompt::default();
    let rendered = engine.render_to_write(name, values, &mut prompt);
    rendered.map_err(|error| failed(error.reason().to_string()))?;
    let mut text = String::from_utf8(prompt.0).map_err(|error| failed(error.to_string()))?;
    // A buffer doubles as it grows; a rendered text lives as long as the graph that it is part of.
    text.shrink_to_fit();
    Ok(text)
}

/// The text of a file: line ends are newlines, and the last one is the editor's.
fn file_text(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

/// The result of work that parses templates.
fn compiled<T: Send>(
    name: &str,
    work: impl FnOnce() -> Result<T, PromptError> + Send,
) -> Result<T, PromptError> {
    let failed = |error: std::io::Error| PromptError::Render {
        name: name.to_owned(),
        reason: format!("its templates could not be parsed: {error}"),
    };
    on_large_stack(work).map_err(failed)?
}

impl fmt::Debug for PromptPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptPack")
            .field("templates", &self.templates.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
