//! Chat templates: conversations as the text that a model was trained on.

mod bounds;
mod functions;
mod load;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use minijinja::machinery::{
    CompiledTemplate, Instruction, TemplateConfig, eval, make_string_output,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, context};
use serde::Serialize;

pub use self::load::ChatTemplateError;
use self::load::Loaded;
use crate::util::digest;

/// The name of a template, for its errors.
const NAME: &str = "chat_template";

/// How a model's conversations are written as one text: the Jinja template that comes with its tokenizer.
///
/// It has what Hugging Face's `apply_chat_template` gives to templates: blocks trimmed, `raise_exception`,
/// `strftime_now`, `tojson` as Python writes it, the methods of Python's strings, lists and dictionaries,
/// `break` and `continue`, the special tokens, and `add_generation_prompt`. Between numbers, `%` is the
/// remainder; what Python has beside it, to put values into a text (`'%s' % name`), is not there: such a
/// template fails when it is rendered. Cheap to clone.
///
/// A template is a program of others, so it is bounded: 256 KiB of source, 1,000 tokens a tag, 256 branches,
/// and a rendering by its instructions and by the data that it makes (19 MB).
///
/// # Examples
/// ```
/// use textgrad_ops::ChatTemplate;
///
/// let template = ChatTemplate::from_tokenizer_config(
///     r#"{
///         "bos_token": "<s>",
///         "chat_template":
///             "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content.strip() }}\n{% endfor %}"
///     }"#,
/// )?;
/// let text = template.render(&[("user", "Hello "), ("assistant", "Hi!")])?;
/// assert_eq!(text, "<s>[user] Hello\n[assistant] Hi!\n");
/// assert_eq!(template.without_bos(&text), "[user] Hello\n[assistant] Hi!\n");
/// # Ok::<(), textgrad_ops::ChatTemplateError>(())
/// ```
#[derive(Clone)]
pub struct ChatTemplate(Arc<ParsedTemplate>);

struct ParsedTemplate {
    environment: Environment<'static>,
    source: String,
    /// The special tokens by their names.
    tokens: Value,
    bos_token: Option<String>,
    fingerprint: String,
}

/// A template as instructions. Additions are those of [`functions::ADD`], which pays for lists.
fn compile(source: &str) -> Result<CompiledTemplate<'_>, Error> {
    let config = TemplateConfig {
        syntax_config: SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?,
        // The text is for a tokenizer: nothing is escaped.
        default_auto_escape: Arc::new(|_| AutoEscape::None),
    };
    let mut compiled = CompiledTemplate::new(NAME, source, &config)?;
    for at in 0.. {
        match compiled.instructions.get_mut(at) {
            None => break,
            // The filter takes two values, and is looked up at each call.
            Some(instruction @ Instruction::Add) => {
                *instruction = Instruction::ApplyFilter(functions::ADD, Some(2), u8::MAX);
            }
            Some(_) => {}
        }
    }
    Ok(compiled)
}

/// A turn as templates see it.
#[derive(Serialize)]
struct TemplateTurn<'a> {
    role: &'a str,
    content: &'a str,
}

impl ChatTemplate {
    /// The template of a model's folder or of one of its files: `tokenizer_config.json`, or a `.jinja` file.
    /// What one of them lacks is looked for in the other beside it: newer tokenizers keep the template in
    /// `chat_template.jinja` and the special tokens in `tokenizer_config.json`. Blocking: call it before the
    /// work begins.
    ///
    /// # Errors
    /// A [`ChatTemplateError`] that names the file and what is wrong.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ChatTemplateError> {
        Self::of(load::from_path(path.as_ref())?)
    }

    /// The template within the text of a `tokenizer_config.json`. Where there are several by name, `default`
    /// is taken.
    ///
    /// # Errors
    /// A [`ChatTemplateError`] if it is no JSON, or has no template, or one that does not parse.
    pub fn from_tokenizer_config(json: &str) -> Result<Self, ChatTemplateError> {
        Self::of(load::from_config(json)?)
    }

    /// A template by itself, with the token that begins a text, if the model has one.
    ///
    /// # Errors
    /// A [`ChatTemplateError`] if it does not parse.
    pub fn from_source(source: &str, bos_token: Option<&str>) -> Result<Self, ChatTemplateError> {
        let bos_token = bos_token.map(|token| ("bos_token".to_owned(), token.to_owned()));
        let tokens = bos_token.into_iter().collect();
        Self::of(Loaded { source: source.to_owned(), tokens })
    }

    fn of(loaded: Loaded) -> Result<Self, ChatTemplateError> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(bounds::FUEL));
        functions::add(&mut environment);
        bounds::check(&loaded.source)?;
        let source = load::plain(&loaded.source);
        bounds::on_large_stack(|| compile(&source).map(|_| ()))
            .map_err(ChatTemplateError::parse)?;
        let tokens = loaded.tokens.iter().flat_map(|(name, token)| [name.as_str(), token]);
        let fingerprint = digest([loaded.source.as_str()].into_iter().chain(tokens));
        let bos_token = loaded.tokens.get("bos_token").filter(|token| !token.is_empty()).cloned();
        Ok(Self(Arc::new(ParsedTemplate {
            environment,
            source,
            tokens: Value::from_pairs(loaded.tokens),
            bos_token,
            fingerprint: fingerprint.chars().take(12).collect(),
        })))
    }

    /// The token that begins a text, if the model has one.
    #[must_use]
    pub fn bos_token(&self) -> Option<&str> {
        self.0.bos_token.as_deref()
    }

    /// A short name for the template and its special tokens, other for every other: for journals.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// A conversation as one text: turns by role (`system`, `user`, `assistant`) and content, in order. A template that
    /// refuses a system turn gets its content at the beginning of the first user turn.
    ///
    /// # Errors
    /// [`ChatTemplateError::Render`] with what the template says.
    pub fn render(&self, turns: &[(&str, &str)]) -> Result<String, ChatTemplateError> {
        self.write(turns, false)
    }

    /// The same, followed by what begins the model's answer (`add_generation_prompt`): what a model reads
    /// before it writes.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_prompt(&self, turns: &[(&str, &str)]) -> Result<String, ChatTemplateError> {
        self.write(turns, true)
    }

    fn write(
        &self,
        turns: &[(&str, &str)],
        add_generation_prompt: bool,
    ) -> Result<String, ChatTemplateError> {
        let refused = match self.write_turns(turns, add_generation_prompt) {
            Err(refused) => refused,
            written => return written,
        };
        let [("system", system), ("user", first), rest @ ..] = turns else { return Err(refused) };
        let first = format!("{system}\n\n{first}");
        let turns: Vec<_> =
            [("user", first.as_str())].into_iter().chain(rest.iter().copied()).collect();
        self.write_turns(&turns, add_generation_prompt).map_err(|_| refused)
    }

    fn write_turns(
        &self,
        turns: &[(&str, &str)],
        add_generation_prompt: bool,
    ) -> Result<String, ChatTemplateError> {
        let turns: Vec<TemplateTurn<'_>> =
            turns.iter().map(|(role, content)| TemplateTurn { role, content }).collect();
        let rendered = bounds::on_large_stack(|| {
            let (compiled, tokens) = (compile(&self.0.source)?, self.0.tokens.clone());
            let values = context! { messages => Serde(turns), add_generation_prompt, ..tokens };
            let mut text = String::new();
            let mut out = make_string_output(&mut text);
            let (instructions, blocks) = (&compiled.instructions, &compiled.blocks);
            let environment = &self.0.environment;
            eval(environment, instructions, values, blocks, &mut out, AutoEscape::None)?;
            Ok(text)
        });
        rendered.map_err(|error| ChatTemplateError::Render { source: Arc::new(error) })
    }

    /// A text without the tokens at its beginning that begin a text: for servers that put one there.
    /// Twice the same token shifts scores.
    #[must_use]
    pub fn without_bos<'t>(&self, text: &'t str) -> &'t str {
        let Some(bos) = self.bos_token() else { return text };
        let mut rest = text;
        while let Some(shorter) = rest.strip_prefix(bos) {
            rest = shorter;
        }
        rest
    }

    /// A text with exactly one token at its beginning that begins a text, if the template put any there: for
    /// servers that add none.
    #[must_use]
    pub fn with_one_bos(&self, text: &str) -> String {
        let rest = self.without_bos(text);
        match self.bos_token() {
            Some(bos) if rest.len() < text.len() => format!("{bos}{rest}"),
            _ => text.to_owned(),
        }
    }
}

textgrad_core::debug_by!(ChatTemplate, bos_token);
