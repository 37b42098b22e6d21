//! Delimiting data in a prompt.

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
    let mut tag = name.to_owned();
    let mut number = 1_u64;
    // A text of n bytes can hold at most n closing tags, so this ends.
    while text.contains(&format!("</{tag}>")) {
        number += 1;
        tag = format!("{name}-{number}");
    }
    format!("<{tag}>\n{text}\n</{tag}>")
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
        let (name, value) = (param(0)?, param(1)?);
        out.write(&section(&name.value().render(), &value.value().render()))?;
        Ok(())
    }
}
