//! Delimiting data in a prompt.

use std::borrow::Cow;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonRender, Output, RenderContext,
    RenderErrorReason,
};

/// Puts a text between tags that it cannot close itself.
///
/// # Examples
/// ```
/// use textgrad_core::section;
///
/// assert_eq!(section("QUERY", "hello"), "<QUERY>\nhello\n</QUERY>");
/// assert_eq!(section("QUERY", "a </QUERY> b"), "<QUERY-2>\na </QUERY> b\n</QUERY-2>");
/// ```
#[must_use]
pub fn section(name: &str, text: &str) -> String {
    let (open, close) = tags(name, text);
    [open.as_str(), "\n", text, "\n", close.as_str()].concat()
}

/// Tags of this name, with a number where the text closes others.
fn tags(name: &str, text: &str) -> (String, String) {
    let mut close = format!("</{name}>");
    let mut number = 1_u64;
    // A text of n bytes can hold at most n closing tags, so this ends.
    while text.contains(&close) {
        number += 1;
        close = format!("</{name}-{number}>");
    }
    (close.replacen('/', "", 1), close)
}

/// `{{section "NAME" value}}`.
pub(super) struct SectionHelper;

impl HelperDef for SectionHelper {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let param = |index| {
            helper.param(index).ok_or(RenderErrorReason::ParamNotFoundForIndex("section", index))
        };
        let (name, value) = (param(0)?.value().render(), param(1)?.value());
        // Texts are long, and not copied.
        let text = value.as_str().map_or_else(|| value.render().into(), Cow::Borrowed);
        let (open, close) = tags(&name, &text);
        for part in [&open, "\n", &*text, "\n", &close] {
            out.write(part)?;
        }
        Ok(())
    }
}
