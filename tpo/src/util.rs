//! Texts without repetitions, defaults that files omit, and types that files hold as texts.

use foldhash::{HashSet, HashSetExt as _};

/// Whether a field has its default, so that files omit it.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The texts in their order, equal ones once.
pub(crate) fn dedup<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| seen.insert(*text)).collect()
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
