//! Texts without repetitions, defaults that files omit, types that files hold as texts, and files of JSON.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use foldhash::{HashSet, HashSetExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Whether a field has its default, so that files omit it.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The texts in their order, equal ones once.
pub(crate) fn dedup<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| seen.insert(*text)).collect()
}

/// Reads a file of JSON with a field `schema`, which must be this one. `None` if there is no file. It blocks.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, schema: u32) -> Result<Option<T>, Error> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let text = match std::fs::read_to_string(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        text => text.map_err(Error::io(path, "cannot be read"))?,
    };
    let wrong = |reason| Error::Record { path: path.to_owned(), line: 1, reason };
    let Version { schema: found } =
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if found != schema {
        return Err(wrong(format!("expected schema {schema}, got {found}")));
    }
    serde_json::from_str(&text).map(Some).map_err(|error| wrong(error.to_string()))
}

/// Opens a file for reading. `None` if there is none. It blocks.
pub(crate) fn open_existing(path: &Path) -> Result<Option<File>, Error> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(Some).map_err(Error::io(path, "cannot be read")),
    }
}

/// Conversions by `Display` and `FromStr`, for `#[serde(try_from = "String", into = "String")]`.
macro_rules! text_form {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}
pub(crate) use text_form;
