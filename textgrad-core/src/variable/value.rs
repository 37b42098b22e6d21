//! Values of variables: text or an image.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_segmentation::UnicodeSegmentation;

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

impl<T: Into<Arc<str>>> From<T> for Value {
    fn from(text: T) -> Self {
        Self::Text(text.into())
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

/// Why bytes are not an image that can be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The media type is not that of an image.
    #[error("expected a media type such as image/png, got {0:?}")]
    MediaType(String),
    /// The bytes begin like none of the known formats.
    #[error(
        "expected PNG, JPEG, GIF or WebP, but the bytes begin like none of them; give the media type with Image::new"
    )]
    UnknownFormat,
    /// There are no bytes.
    #[error("expected an image, got no bytes")]
    Empty,
}

/// Image bytes with their media type. Cloning costs two reference counts.
///
/// # Examples
/// ```
/// use textgrad_core::Image;
///
/// let png = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0];
/// let image = Image::from_bytes(png.to_vec())?;
/// assert_eq!(image.media_type(), "image/png");
/// assert!(image.to_data_url().starts_with("data:image/png;base64,iVBORw0KGgo"));
/// # Ok::<(), textgrad_core::ImageError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Image {
    bytes: Arc<[u8]>,
    media_type: Arc<str>,
}

impl Image {
    /// An image of a known media type.
    ///
    /// # Errors
    /// [`ImageError::MediaType`] if the type does not begin with `image/`, [`ImageError::Empty`] without bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>, media_type: &str) -> Result<Self, ImageError> {
        let bytes = bytes.into();
        let media_type = media_type.trim().to_ascii_lowercase();
        let named = media_type.strip_prefix("image/").is_some_and(|subtype| {
            !subtype.is_empty()
                && subtype.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        });
        if !named {
            return Err(ImageError::MediaType(media_type));
        }
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        Ok(Self { bytes, media_type: media_type.into() })
    }

    /// An image whose media type is read off its first bytes: PNG, JPEG, GIF or WebP.
    ///
    /// # Errors
    /// [`ImageError::UnknownFormat`] for anything else, [`ImageError::Empty`] without bytes.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Self, ImageError> {
        let bytes = bytes.into();
        let media_type = match &*bytes {
            [] => return Err(ImageError::Empty),
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'G', b'I', b'F', b'8', ..] => "image/gif",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
            _ => return Err(ImageError::UnknownFormat),
        };
        Self::new(bytes, media_type)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The media type, such as `image/png`.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The bytes in base64.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }

    /// The image as a `data:` URL, as chat APIs take it.
    #[must_use]
    pub fn to_data_url(&self) -> String {
        format!("data:{};base64,{}", self.media_type, self.to_base64())
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    media_type: String,
    base64: String,
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire { media_type: self.media_type.to_string(), base64: self.to_base64() }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let bytes = STANDARD.decode(&wire.base64).map_err(serde::de::Error::custom)?;
        Self::new(bytes, &wire.media_type).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_json() {
        let image = Image::new(vec![1, 2, 3], "image/png").unwrap();
        let json = serde_json::to_string(&image).unwrap();
        assert_eq!(json, r#"{"media_type":"image/png","base64":"AQID"}"#);
        assert_eq!(serde_json::from_str::<Image>(&json).unwrap(), image);
    }

    #[test]
    fn rejects_what_is_no_image() {
        assert_eq!(
            Image::new(vec![1], "text/html"),
            Err(ImageError::MediaType("text/html".into()))
        );
        assert_eq!(Image::new(vec![1], "image/"), Err(ImageError::MediaType("image/".into())));
        assert_eq!(Image::new(vec![], "image/png"), Err(ImageError::Empty));
        assert_eq!(Image::from_bytes(b"<html>".to_vec()), Err(ImageError::UnknownFormat));
        let convert = || -> Result<Image, crate::Error> { Ok(Image::from_bytes(Vec::new())?) };
        assert_eq!(convert().unwrap_err().to_string(), ImageError::Empty.to_string());
        assert!(
            serde_json::from_str::<Image>(r#"{"media_type":"image/png","base64":"?"}"#).is_err()
        );
    }
}
