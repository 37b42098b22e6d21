//! A set of templates.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use handlebars::{Handlebars, no_escape};
use serde::Serialize;
use serde_json::Value as Json;

use super::bounds::{BoundedPrompt, MAX_DEPTH, MAX_SOURCE, on_large_stack};
use super::check::{Checker, Known, too_deep};
use super::error::PromptError;
use super::section::SectionHelper;
use super::spec::{TemplateContext, TemplateSpec};
use crate::variable::Variable;

/// A checked set of templates.
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
    engine: Arc<Handlebars<'static>>,
    templates: BTreeMap<String, Arc<Known>>,
    /// Examples of the variables of each template that is not a partial.
    examples: Arc<BTreeMap<&'static str, Json>>,
    /// Templates that are variables of a graph.
    variables: BTreeMap<String, VariableTemplate>,
}

/// A template that is a variable of a graph, parsed with all that it includes.
#[derive(Clone)]
struct VariableTemplate {
    variable: Variable,
    engine: Arc<Handlebars<'static>>,
}

/// The most characters of what the parser says.
const MAX_REASON: usize = 500;

pub(super) struct Source {
    pub(super) origin: String,
    pub(super) text: String,
}

impl PromptPack {
    /// The pack of these defaults.
    ///
    /// # Errors
    /// A [`PromptError`] that names the template and the line.
    pub fn new(specs: impl IntoIterator<Item = TemplateSpec>) -> Result<Self, PromptError> {
        let specs = specs.into_iter().collect();
        compiled("prompt pack", || Self::build(specs, BTreeMap::new()))
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
            let text = file_text(&std::fs::read_to_string(&path).map_err(io(&path))?);
            overrides.insert(name, Source { origin: path.display().to_string(), text });
        }
        if overrides.is_empty() {
            return Err(PromptError::Empty { path: dir.to_owned() });
        }
        compiled("prompt pack", || Self::build(specs, overrides))
    }

    fn build(
        specs: Vec<TemplateSpec>,
        mut overrides: BTreeMap<String, Source>,
    ) -> Result<Self, PromptError> {
        let mut templates = BTreeMap::new();
        for spec in &specs {
            let source = overrides.remove(spec.name).unwrap_or_else(|| Source {
                origin: format!("{}.hbs", spec.name),
                text: file_text(spec.source),
            });
            templates.insert(spec.name.to_owned(), Arc::new(compile(spec.name, source)?));
        }
        for (name, source) in overrides {
            let known = compile(&name, source)?;
            templates.insert(name, Arc::new(known));
        }

        let examples = specs.into_iter().filter(|spec| !spec.name.starts_with('_'));
        let examples = examples.map(|spec| (spec.name, spec.example)).collect();
        let engine = engine_of(&templates);
        check(&engine, &templates, &examples)?;
        let (engine, examples) = (Arc::new(engine), Arc::new(examples));
        Ok(Self { engine, templates, examples, variables: BTreeMap::new() })
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
        let source = Source { origin: name.to_owned(), text: text.to_owned() };
        let mut pack = self.clone();
        let engine = compiled(name, || {
            pack.templates.insert(name.to_owned(), Arc::new(compile(name, source)?));
            if !self.templates.values().any(|known| includes(&known.text, name)) {
                let engine = engine_of(&pack.included_by(name));
                let own = pack.examples.iter().filter(|(of, _)| **of == name);
                check(&engine, &pack.templates, own)?;
                return Ok(Arc::new(engine));
            }
            // Others show it, too.
            let engine = engine_of(&pack.templates);
            check(&engine, &pack.templates, pack.examples.iter())?;
            pack.engine = Arc::new(engine);
            for other in pack.variables.values_mut() {
                other.engine = Arc::clone(&pack.engine);
            }
            Ok(Arc::clone(&pack.engine))
        })?;
        pack.variables.insert(name.to_owned(), VariableTemplate { variable, engine });
        Ok(pack)
    }

    /// A template, and those that it includes.
    fn included_by(&self, name: &str) -> BTreeMap<String, Arc<Known>> {
        let mut found = BTreeMap::new();
        let mut open: Vec<&str> = vec![name];
        while let Some(name) = open.pop() {
            let Some((name, known)) = self.templates.get_key_value(name) else { continue };
            if found.insert(name.clone(), Arc::clone(known)).is_none() {
                open.extend(
                    self.templates
                        .keys()
                        .map(String::as_str)
                        .filter(|of| includes(&known.text, of)),
                );
            }
        }
        found
    }

    /// The variable that a template is the text of; `None` if the template is none of a graph.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name).map(|template| &template.variable)
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
        if !self.engine.has_template(name) {
            return Err(PromptError::Missing { name: name.to_owned() });
        }
        let own = self.variables.get(name).map(|template| &template.engine);
        render(own.unwrap_or(&self.engine), name, context)
    }

    /// The text of a template; `None` if there is none of this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&str> {
        self.templates.get(name).map(|known| known.text.as_str())
    }

    /// The names and texts of all templates, in alphabetical order: what identifies the pack.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.templates.iter().map(|(name, known)| (name.as_str(), known.text.as_str()))
    }
}

/// An engine with these templates.
pub(super) fn engine_of(templates: &BTreeMap<String, Arc<Known>>) -> Handlebars<'static> {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_escape_fn(no_escape);
    engine.register_helper("section", Box::new(SectionHelper));
    for (name, known) in templates {
        engine.register_template(name, known.template.clone());
    }
    engine
}

/// Whether a text may include a template.
fn includes(text: &str, name: &str) -> bool {
    text.split('>').skip(1).any(|after| after.trim_start().starts_with(name))
}

/// Checks templates against examples, and renders them with these.
pub(super) fn check<'a>(
    engine: &Handlebars<'_>,
    templates: &BTreeMap<String, Arc<Known>>,
    examples: impl IntoIterator<Item = (&'a &'a str, &'a Json)>,
) -> Result<(), PromptError> {
    let checker = Checker::new(templates);
    for (name, example) in examples {
        checker.check(name, example)?;
        render(engine, name, example).map_err(|error| match (error, templates.get(*name)) {
            (PromptError::Render { reason, .. }, Some(known)) => {
                PromptError::Render { name: known.origin.clone(), reason }
            }
            (error, _) => error,
        })?;
    }
    Ok(())
}

pub(super) fn render(
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
pub(super) fn compiled<T: Send>(
    name: &str,
    work: impl FnOnce() -> Result<T, PromptError> + Send,
) -> Result<T, PromptError> {
    let failed = |error: std::io::Error| PromptError::Render {
        name: name.to_owned(),
        reason: format!("its templates could not be parsed: {error}"),
    };
    on_large_stack(work).map_err(failed)?
}

pub(super) fn compile(name: &str, source: Source) -> Result<Known, PromptError> {
    let unsupported =
        |line, reason| PromptError::Unsupported { file: source.origin.clone(), line, reason };
    let length = source.text.len();
    if length > MAX_SOURCE {
        return Err(unsupported(1, format!("expected at most {MAX_SOURCE} bytes, got {length}")));
    }
    // Only a registry compiles without indenting the lines of a partial, and with them those of values.
    let mut compiler = Handlebars::new();
    compiler.set_prevent_indent(true);
    if let Err(error) = compiler.register_template_string(name, &source.text) {
        return Err(PromptError::Syntax {
            file: source.origin,
            line: error.pos().map_or(1, |(line, _)| line),
            // The parser quotes what it could not read, however long it is.
            reason: error.reason().to_string().chars().take(MAX_REASON).collect(),
        });
    }
    let template = compiler.get_template(name).cloned();
    let template = template.ok_or_else(|| PromptError::Missing { name: name.to_owned() })?;
    if let Some(line) = too_deep(&template, MAX_DEPTH) {
        return Err(unsupported(line, format!("expected at most {MAX_DEPTH} levels of nesting")));
    }
    Ok(Known { origin: source.origin, text: source.text, template })
}

impl fmt::Debug for PromptPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptPack")
            .field("templates", &self.templates.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
