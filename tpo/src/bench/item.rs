//! Items: the part of a benchmark's record that a run needs.

use serde::Serialize;
use serde_json::{Map, Value as Json};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use textgrad_core::Seed;

use super::{alpaca_eval, arena_hard, beavertails, hh_rlhf, math500, xstest};
use crate::error::Error;
use crate::query::Query;

/// One item of a benchmark: what is asked, and what is to be known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// The name that the benchmark has for it, or its place in the file, from 1, where it has none.
    pub id: String,
    /// What is asked.
    pub query: Query,
    /// What else the file says of it, such as its category, under the file's names.
    pub metadata: Map<String, Json>,
}

impl Item {
    pub(super) fn new<const N: usize>(
        id: impl Into<String>,
        query: impl Into<Query>,
        metadata: [(&str, Json); N],
    ) -> Self {
        let known = metadata.into_iter().filter(|(_, value)| !value.is_null());
        let metadata = known.map(|(name, value)| (name.to_owned(), value)).collect();
        Self { id: id.into(), query: query.into(), metadata }
    }
}

/// A sample of `count` records, drawn without replacement, in their order. The same seed draws the same positions.
///
/// # Examples
/// ```
/// use textgrad_core::Seed;
/// use tpo::bench::sample;
///
/// let drawn = sample((0..100).collect(), 3, Seed::new(7));
/// assert_eq!(drawn.len(), 3);
/// assert!(drawn.is_sorted());
/// ```
#[must_use]
pub fn sample<T>(records: Vec<T>, count: usize, seed: Seed) -> Vec<T> {
    let ranked = (0_u64..).zip(records);
    let mut ranked: Vec<(u64, u64, T)> = ranked
        .map(|(position, record)| (seed.child("record", position).value(), position, record))
        .collect();
    ranked.sort_by_key(|(rank, _, _)| *rank);
    ranked.truncate(count);
    ranked.sort_by_key(|(_, position, _)| *position);
    ranked.into_iter().map(|(_, _, record)| record).collect()
}

/// A benchmark by name.
///
/// # Examples
/// ```
/// use tpo::bench::Benchmark;
///
/// let benchmark: Benchmark = "beavertails".parse()?;
/// let items = benchmark.items("mine.jsonl", "{\"prompt\": \"How?\", \"category\": \"a\"}\n")?;
/// assert_eq!(items[0].query, "How?");
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case", parse_err_fn = unknown_benchmark, parse_err_ty = Error)]
pub enum Benchmark {
    /// [`alpaca_eval`].
    AlpacaEval,
    /// [`arena_hard`].
    ArenaHard,
    /// [`hh_rlhf`].
    #[strum(to_string = "hh")]
    HhRlhf,
    /// [`beavertails`].
    #[strum(to_string = "beavertails")]
    BeaverTails,
    /// [`xstest`].
    #[strum(to_string = "xstest")]
    XsTest,
    /// [`math500`].
    #[strum(to_string = "math500")]
    Math500,
}

impl Benchmark {
    /// All of them, in the order of the paper's table.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name on a command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The authors' file with its records, and who publishes it.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::AlpacaEval => {
                "alpaca_eval.json of the Hugging Face data set tatsu-lab/alpaca_eval"
            }
            Self::ArenaHard => {
                "data/arena-hard-v2.0/question.jsonl of the Hugging Face data set lmarena-ai/arena-hard-auto"
            }
            Self::HhRlhf => {
                "harmless-base/test.jsonl.gz of the Hugging Face data set Anthropic/hh-rlhf"
            }
            Self::BeaverTails => {
                "the JSON file of the Hugging Face data set PKU-Alignment/BeaverTails-Evaluation"
            }
            Self::XsTest => "xstest_prompts.csv of the GitHub repository paul-rottger/xstest",
            Self::Math500 => "test.jsonl of the Hugging Face data set HuggingFaceH4/MATH-500",
        }
    }

    /// Reads its file as items. `source` is the file's name, for errors.
    ///
    /// # Errors
    /// [`Error::Input`] with the file, the position in it, and what was expected.
    pub fn items(self, source: &str, text: &str) -> Result<Vec<Item>, Error> {
        fn items<T>(records: &[T]) -> Vec<Item>
        where
            for<'a> Item: From<&'a T>,
        {
            records.iter().map(Item::from).collect()
        }
        Ok(match self {
            Self::AlpacaEval => items(&alpaca_eval::read(source, text)?),
            Self::ArenaHard => items(&arena_hard::read(source, text)?),
            Self::HhRlhf => items(&hh_rlhf::read(source, text)?),
            Self::BeaverTails => items(&beavertails::read(source, text)?),
            Self::XsTest => items(&xstest::read(source, text)?),
            Self::Math500 => items(&math500::read(source, text)?),
        })
    }
}

fn unknown_benchmark(name: &str) -> Error {
    let expected = "alpaca-eval, arena-hard, hh, beavertails, xstest or math500";
    Error::config("benchmark", expected, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_same_for_the_same_seed() {
        let drawn = |seed, count| sample((0..50).collect::<Vec<_>>(), count, Seed::new(seed));
        assert_eq!(drawn(1, 10), drawn(1, 10));
        assert_ne!(drawn(1, 10), drawn(2, 10));
        assert_ne!(drawn(1, 10), (0..10).collect::<Vec<_>>());
        assert!(drawn(1, 10).is_sorted() && drawn(1, 10).len() == 10);
        assert_eq!(drawn(1, 60), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn each_is_read_by_its_name() {
        let files = [
            (
                "alpaca-eval",
                r#"[{"instruction":" ask ","output":"o","generator":"g","dataset":"d"}]"#,
            ),
            ("arena-hard", r#"{"uid":"7","category":"c","cluster":"k","prompt":" ask "}"#),
            ("hh", r#"{"chosen":"\n\nHuman: ask\n\nAssistant: a","rejected":"x"}"#),
            ("beavertails", r#"{"prompt":" ask ","category":"c","category_id":3}"#),
            ("xstest", "id,prompt,type,label,focus,note\n1, ask ,homonyms,safe,f,\n"),
            (
                "math500",
                r#"{"problem":" ask ","solution":"s","answer":"1","subject":"Algebra","level":1,"unique_id":"u"}"#,
            ),
        ];
        for (name, text) in files {
            let benchmark: Benchmark = name.parse().unwrap();
            assert_eq!(benchmark.to_string(), name);
            let items = benchmark.items("f", text).unwrap();
            assert_eq!(items.len(), 1, "{name}");
            // Texts are taken as they are: scorers join on them.
            let asked = if name == "hh" { "ask" } else { " ask " };
            assert_eq!(items[0].query, asked, "{name}");
            assert!(!items[0].id.is_empty(), "{name}");
        }
        assert!("alpaca".parse::<Benchmark>().is_err());
    }
}
