//! Values of variables: text or an image.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::image::Image;

/// What a [`Variable`](crate::Variable) holds. Cloning costs one reference count.
///
/// # Examples
/// ```
/// use textgrad_core::Value;
///
/// let value = Value::from("a text");
/// assert_eq!(value.as_text(), Some("a text"));
/// assert_eq!(value.kind(), "text");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Text.
    Text(Arc<str>),
    /// An image: shown to models that can see, never differentiated.
    Image(Image),
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Image(_) => None,
        }
    }

    /// The image, if it is one.
    #[must_use]
    pub fn as_image(&self) -> Option<&Image> {
        match self {
            Self::Text(_) => None,
            Self::Image(image) => Some(image),
        }
    }

    /// `text` or `image`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
        }
    }

    /// What a person is shown for the value: the text itself, or a description of the image.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Image(image) => {
                format!("[{}, {} bytes]", image.media_type(), image.bytes().len())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text)
    }
}

impl From<Image> for Value {
    fn from(image: Image) -> Self {
        Self::Image(image)
    }
}

/// The first `max` characters of a text, with an ellipsis if that is not all of it.
///
/// A character is what a reader takes for one (an extended grapheme cluster): a letter with its accents or
/// an emoji with its modifiers is never cut in two. The ellipsis counts as one of the `max`.
///
/// # Examples
/// ```
/// use textgrad_core::truncate;
///
/// assert_eq!(truncate("short", 10), "short");
/// assert_eq!(truncate("a longer text", 8), "a longe…");
/// assert_eq!(truncate("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 2), "👩‍👩‍👧…");
/// assert_eq!(truncate("anything", 0), "");
/// ```
#[must_use]
pub fn truncate(text: &str, max: usize) -> String {
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
