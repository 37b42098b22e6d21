//! The beginning of a text.

use unicode_segmentation::UnicodeSegmentation;

/// The first `max` characters of a text, with an ellipsis if that is not all of it.
///
/// A character is what a reader takes for one (an extended grapheme cluster): a letter with its accents or
/// an emoji with its modifiers is never cut in two. The ellipsis counts as one of the `max`.
///
/// # Examples
/// ```
/// use textgrad_core::excerpt;
///
/// assert_eq!(excerpt("short", 10), "short");
/// assert_eq!(excerpt("a longer text", 8), "a longe…");
/// assert_eq!(excerpt("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 2), "👩‍👩‍👧…");
/// assert_eq!(excerpt("anything", 0), "");
/// ```
#[must_use]
pub fn excerpt(text: &str, max: usize) -> String {
    if max == 0 {
        return String::new();
    }
    let mut graphemes = text.graphemes(true);
    let head: Vec<&str> = graphemes.by_ref().take(max).collect();
    if graphemes.next().is_none() {
        return text.to_owned();
    }
    let mut cut: String = head.into_iter().take(max - 1).collect();
    cut.push('…');
    cut
}
