//! Wordings of a study: prompt packs by label and digest.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use textgrad_core::PromptPack;

use crate::config::Mode;
use crate::error::Error;
use crate::prompts::{default_pack, words_scores};
use crate::run::pack_digest;
use crate::util::is_default;

/// The label of the default pack, which the names of cells leave out.
const DEFAULT: &str = "default";
/// The template of first answers, the only one of modes without critique and update.
const SAMPLES: &str = "sample_system";
/// The most characters of a label, which is a part of the names of folders.
const MAX_LABEL: usize = 40;

/// A prompt pack of a study: a label for names and tables, and the digest of its texts. Default: the default pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyPack {
    label: String,
    sha256: String,
    /// Whether modes that only sample make other requests with it than with the default pack, or are scored by others.
    #[serde(default, skip_serializing_if = "is_default")]
    own_sampling: bool,
}

impl Default for StudyPack {
    fn default() -> Self {
        static PACK: LazyLock<StudyPack> =
            LazyLock::new(|| StudyPack::of(DEFAULT, &default_pack()));
        PACK.clone()
    }
}

impl StudyPack {
    /// The packs of a study, each with its label. A pack that is given twice is in the list once.
    ///
    /// # Errors
    /// [`Error::Config`] for
    /// * a label that is no part of a file name, that two packs have, or that is `default` without being that pack,
    /// * two packs with the same texts, whose results would be the same,
    /// * packs that word the requests of judges and benchmarks differently: their scores would not compare.
    ///
    /// # Examples
    /// ```
    /// use tpo::prompts::{compact_pack, default_pack};
    /// use tpo::study::{Grid, StudyPack};
    ///
    /// let prompts = StudyPack::list([("default", &default_pack()), ("compact", &compact_pack())])?;
    /// let grid = Grid { prompts, ..Grid::default() };
    /// let names: Vec<String> = grid.cells()?.iter().map(|cell| cell.name()).collect();
    /// assert_eq!(names, ["tpo-d2-n5-t0.7-s7", "tpo-compact-d2-n5-t0.7-s7"]);
    /// # Ok::<(), tpo::Error>(())
    /// ```
    pub fn list<'a>(
        packs: impl IntoIterator<Item = (&'a str, &'a PromptPack)>,
    ) -> Result<Vec<Self>, Error> {
        let mut list: Vec<Self> = Vec::new();
        let mut first: Option<(&str, &PromptPack)> = None;
        for (label, prompts) in packs {
            let pack = Self::of(label, prompts);
            if list.contains(&pack) {
                continue;
            }
            pack.check(&list)?;
            let (name, other) = *first.get_or_insert((label, prompts));
            let differs = |template: &&str| prompts.source(template) != other.source(template);
            let mut names = prompts.sources().map(|(name, _)| name);
            if let Some(template) = names.find(|name| words_scores(name) && differs(name)) {
                let expected =
                    "packs that word judges and benchmarks alike, so that scores compare";
                let got = format!("another {template} in {label} than in {name}");
                return Err(Error::config("prompts", expected, got));
            }
            list.push(pack);
        }
        Ok(list)
    }

    fn of(label: &str, prompts: &PromptPack) -> Self {
        let default = default_pack();
        let mut of_sampling =
            default.sources().filter(|(name, _)| *name == SAMPLES || words_scores(name));
        let own_sampling = of_sampling.any(|(name, text)| prompts.source(name) != Some(text));
        Self { label: label.to_owned(), sha256: pack_digest(prompts), own_sampling }
    }

    /// Checks a pack beside those of a list.
    fn check(&self, list: &[Self]) -> Result<(), Error> {
        let Self { label, sha256, .. } = self;
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_name = label.chars().all(is_part) && (1..=MAX_LABEL).contains(&label.len());
        if !is_name {
            let expected =
                "a pack whose directory has a name of at most 40 letters, digits, `.`, `_` and `-`";
            return Err(Error::config("prompts", expected, format!("{label:?}")));
        }
        let is_taken = list.iter().any(|other| other.label == *label);
        if is_taken || (label == DEFAULT && !self.is_default()) {
            let expected = "directories with different names, and none named default";
            return Err(Error::config("prompts", expected, format!("another pack named {label}")));
        }
        match list.iter().find(|other| other.sha256 == *sha256) {
            None => Ok(()),
            Some(other) => {
                let got = format!("{} and {label} with the same texts", other.label);
                Err(Error::config("prompts", "packs that differ", got))
            }
        }
    }

    /// The label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// SHA-256 of the names and texts of all templates, as `config.json` of a run has it.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether it is the default pack of this version.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The pack of a mode: modes that only sample have the default one, unless this pack changes them.
    pub(super) fn for_mode(&self, mode: Mode) -> Self {
        if mode.has_wording() || self.own_sampling { self.clone() } else { Self::default() }
    }

    /// The default pack by the digest that a study has of it which began before packs were compared.
    pub(super) fn recorded(sha256: &str) -> Self {
        Self { sha256: sha256.to_owned(), ..Self::default() }
    }

    /// Whether cells are named by it: the default pack is not, whatever its version.
    pub(super) fn is_named(&self) -> bool {
        self.label != DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use super::*;
    use crate::prompts::{compact_pack, load_pack};
    use crate::search::Pairs;
    use crate::study::{Grid, GridCell};

    /// The default pack with one template in other words.
    fn other(template: &str) -> PromptPack {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join(format!("{template}.hbs")), "Be kind.").unwrap();
        load_pack(folder.path()).unwrap()
    }

    #[test]
    fn packs_that_cannot_be_compared_are_named() {
        let (default, compact) = (default_pack(), compact_pack());
        let (samples, judge) = (other(SAMPLES), other("reward_pointwise_system"));
        let list = |packs: &[(&str, &PromptPack)]| StudyPack::list(packs.iter().copied());
        let twice = list(&[("default", &default), ("default", &default)]).unwrap();
        assert_eq!(twice, [StudyPack::default()]);
        for (packs, words) in [
            (&[("a/b", &compact)][..], "letters"),
            (&[("", &compact)], "letters"),
            (&[("default", &compact)], "another pack named default"),
            (&[("a", &default), ("a", &compact)], "another pack named a"),
            (&[("a", &compact), ("b", &compact)], "a and b with the same texts"),
            (&[("a", &default), ("b", &judge)], "another reward_pointwise_system in b than in a"),
        ] {
            let error = list(packs).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        list(&[("b", &judge)]).unwrap();
        let [compact, samples] = &list(&[("c", &compact), ("s", &samples)]).unwrap()[..] else {
            panic!("two packs")
        };
        assert!(
            compact.for_mode(Mode::Bon).is_default() && samples.for_mode(Mode::Bon) == *samples
        );
        assert_eq!(compact.for_mode(Mode::Tpo), *compact);
    }

    #[test]
    fn packs_vary_in_modes_that_word_requests() {
        let packs = [("compact", &compact_pack()), ("default", &default_pack())];
        let prompts = StudyPack::list(packs).unwrap();
        let grid = Grid { modes: vec![Mode::Tpo, Mode::Bon], prompts, ..Grid::default() };
        let cells = grid.cells().unwrap();
        let methods: Vec<String> = cells.iter().map(GridCell::method).collect();
        assert_eq!(methods, ["tpo-compact", "tpo", "bon", "bon"]);
        assert_eq!(cells[0].best_of_n(), cells[3]);
        let text = serde_json::to_string(&grid).unwrap();
        assert_eq!(serde_json::from_str::<Grid>(&text).unwrap(), grid);
        let all =
            StudyPack::list([("default", &default_pack()), ("all", &compact_pack())]).unwrap();
        let pairs = vec![Pairs::BestWorst, Pairs::All];
        let error =
            Grid { prompts: all, pairs, ..Grid::default() }.cells().unwrap_err().to_string();
        assert!(error.contains("two cells named tpo-all-d2-n5-t0.7-s7"), "{error}");
    }
}
