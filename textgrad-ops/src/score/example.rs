//! Examples: named texts and the expected answer.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use textgrad_core::{Image, truncate};

use crate::error::Error;

/// One example of a data set: named texts, and what is expected of an answer.
///
/// # Examples
/// ```
/// use textgrad_ops::score::Example;
///
/// let example = Example::new("7")
///     .with_field("question", "How many apples are two apples and a pear?")
///     .with_expected("2")
///     .with_metadata("source", "own");
/// assert_eq!(example.text("question")?, "How many apples are two apples and a pear?");
/// assert!(example.text("query").unwrap_err().to_string().contains("question"));
/// # Ok::<(), textgrad_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Setters)]
#[serde(deny_unknown_fields)]
#[setters(generate = false, prefix = "with_", into, strip_option)]
pub struct Example {
    id: String,
    fields: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    choices: Vec<String>,
    /// The file of the image, below the folder of the data set's images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[setters(generate)]
    image: Option<PathBuf>,
    /// What is expected of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[setters(generate)]
    expected: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Json>,
}

impl Example {
    /// An example without any text so far. Its id names it in reports and errors.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Adds a named text.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.fields.insert(name.into(), text.into());
        self
    }

    /// The answers to choose from, in the order of their letters.
    #[must_use]
    pub fn with_choices<C: Into<String>>(mut self, choices: impl IntoIterator<Item = C>) -> Self {
        self.choices = choices.into_iter().map(Into::into).collect();
        self
    }

    /// Anything else that is known.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Its name in the data set.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text of a field, if there is one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The text of a field.
    ///
    /// # Errors
    /// [`textgrad_core::Error::Op`] with the names that there are.
    pub fn text(&self, name: &str) -> Result<&str, textgrad_core::Error> {
        self.field(name).ok_or_else(|| {
            let names: Vec<&str> = self.fields.keys().map(String::as_str).collect();
            textgrad_core::Error::op(format!(
                "expected example {} to have the field {name:?}, but its fields are {names:?}",
                self.quoted_id()
            ))
        })
    }

    /// The names and texts, in alphabetical order of the names.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The answers to choose from; empty if there are none.
    #[must_use]
    pub fn choices(&self) -> &[String] {
        &self.choices
    }

    /// The answers to choose from, one a line: `A) first`. Beyond Z their numbers stand for letters.
    #[must_use]
    pub fn choices_text(&self) -> String {
        let lines = self.choices.iter().enumerate().map(|(place, choice)| match letter(place) {
            Some(letter) => format!("{letter}) {choice}"),
            None => format!("{}) {choice}", place + 1),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The file of the image, below the folder of the data set's images.
    #[must_use]
    pub fn image(&self) -> Option<&Path> {
        self.image.as_deref()
    }

    /// Reads the image, if there is one, from below `folder`.
    ///
    /// # Errors
    /// [`Error::Data`] if the path leads out of the folder or the file is no image, [`Error::Io`] if it can
    /// not be read.
    pub async fn load_image(&self, folder: &Path) -> Result<Option<Image>, Error> {
        let Some(path) = &self.image else { return Ok(None) };
        let wrong = |reason: String| Error::Data {
            location: format!("example {}", self.quoted_id()),
            reason,
            bad: 1,
        };
        // A data set from elsewhere must not make a request carry any file of this machine.
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(inside) {
            let got = path.display();
            return Err(wrong(format!("expected an image below the folder of images, got {got}")));
        }
        let path = folder.join(path);
        let bytes = tokio::fs::read(&path).await;
        let bytes = bytes.map_err(|source| Error::Io {
            path: path.clone(),
            action: "cannot be read",
            source,
        })?;
        let image = Image::from_bytes(bytes);
        image.map(Some).map_err(|error| wrong(format!("{}: {error}", path.display())))
    }

    /// What is expected of an answer, if that is known.
    #[must_use]
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// What is expected of an answer, where it must be known.
    ///
    /// # Errors
    /// [`textgrad_core::Error::Op`] if it is not.
    pub fn answer(&self) -> Result<&str, textgrad_core::Error> {
        self.expected().ok_or_else(|| {
            textgrad_core::Error::op(format!("example {} has no expected answer", self.quoted_id()))
        })
    }

    /// The error of an expected answer that a scorer cannot compare with: `expected` says what it must do.
    pub(super) fn unusable_answer(&self, expected: &str) -> textgrad_core::Error {
        let (id, answer) = (self.quoted_id(), truncate(self.expected().unwrap_or_default(), 80));
        let message = format!("expected the answer of example {id} to {expected}, got {answer:?}");
        textgrad_core::Error::op(message)
    }

    /// The id, as errors quote it.
    pub(super) fn quoted_id(&self) -> String {
        format!("{:?}", truncate(&self.id, 80))
    }

    /// Anything else that is known.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Json> {
        &self.metadata
    }

    #[cfg(feature = "train")]
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.values().all(|text| text.trim().is_empty()) && self.image.is_none()
    }
}

/// The letter of a choice: `A` for index 0.
pub(crate) fn letter(index: usize) -> Option<char> {
    u8::try_from(index).ok().filter(|index| *index < 26).map(|index| char::from(b'A' + index))
}

/// The index of a letter's choice; either case.
pub(crate) fn index_of_letter(letter: char) -> Option<usize> {
    let upper = letter.to_ascii_uppercase();
    upper.is_ascii_uppercase().then(|| usize::from(upper as u8 - b'A'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_image_outside_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let png = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0];
        std::fs::create_dir(folder.path().join("images")).unwrap();
        std::fs::write(folder.path().join("images/1.png"), png).unwrap();
        std::fs::write(folder.path().join("secret.png"), png).unwrap();
        let images = folder.path().join("images");

        let load = |path: &str| {
            let (example, images) = (Example::new("1").with_image(path), images.clone());
            async move { example.load_image(&images).await }
        };
        assert!(load("1.png").await.unwrap().is_some());
        for path in ["../secret.png", "/etc/hostname", "x/../../secret.png"] {
            let error = load(path).await.unwrap_err().to_string();
            assert!(error.contains("below the folder of images"), "{error}");
        }
        assert!(matches!(load("2.png").await, Err(Error::Io { .. })));
        assert!(Example::new("1").load_image(&images).await.unwrap().is_none());
    }

    #[test]
    fn choices_have_letters() {
        let example = Example::new("1").with_choices(["red", "blue"]);
        assert_eq!(example.choices_text(), "A) red\nB) blue");
        assert_eq!((letter(25), letter(26)), (Some('Z'), None));
        assert_eq!(
            (index_of_letter('b'), index_of_letter('é'), index_of_letter('1')),
            (Some(1), None, None)
        );
    }
}
