//! Image bytes with their media type.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
        assert!(
            serde_json::from_str::<Image>(r#"{"media_type":"image/png","base64":"?"}"#).is_err()
        );
    }
}
