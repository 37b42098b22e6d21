//! Which differences between texts do not count.

/// Which differences between two texts do not count, besides blanks at their ends.
///
/// # Examples
/// ```
/// use textgrad_ops::train::Normalization;
///
/// let lenient = Normalization::default().ignore_case().ignore_punctuation().collapse_blanks();
/// assert_eq!(lenient.apply(" The  answer:\n RED!"), "the answer red");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Normalization {
    case: bool,
    punctuation: bool,
    blanks: bool,
}

impl Normalization {
    /// Upper case and lower case are the same.
    #[must_use]
    pub fn ignore_case(mut self) -> Self {
        self.case = true;
        self
    }

    /// Whatever is no letter, digit or blank is left out.
    #[must_use]
    pub fn ignore_punctuation(mut self) -> Self {
        self.punctuation = true;
        self
    }

    /// Several blanks, tabs and line breaks are one blank.
    #[must_use]
    pub fn collapse_blanks(mut self) -> Self {
        self.blanks = true;
        self
    }

    /// The text without what does not count.
    #[must_use]
    pub fn apply(self, text: &str) -> String {
        let mut text = text.trim().to_owned();
        if self.case {
            text = text.to_lowercase();
        }
        if self.punctuation {
            text.retain(|c| c.is_alphanumeric() || c.is_whitespace());
        }
        if self.blanks {
            text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        text.trim().to_owned()
    }
}
