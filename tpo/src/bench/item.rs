//! Items: the part of a benchmark's record that a run needs.

use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use textgrad_core::Seed;

use crate::error::Error;
use crate::query::Query;

/// The part of a benchmark's record that a run needs.
pub trait Item {
    /// The name that the benchmark has for it, or its place in the file, from 1, where it has none.
    fn id(&self) -> String;

    /// What is asked.
    fn query(&self) -> Query;
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
/// let benchmark: Benchmark = "hh".parse()?;
/// assert_eq!(benchmark, Benchmark::HhRlhf);
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
    /// [`alpaca_eval`](super::alpaca_eval).
    AlpacaEval,
    /// [`arena_hard`](super::arena_hard).
    ArenaHard,
    /// [`hh_rlhf`](super::hh_rlhf).
    #[strum(to_string = "hh")]
    HhRlhf,
    /// [`beavertails`](super::beavertails).
    #[strum(to_string = "beavertails")]
    BeaverTails,
    /// [`xstest`](super::xstest).
    #[strum(to_string = "xstest")]
    XsTest,
    /// [`math500`](super::math500).
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
}

fn unknown_benchmark(name: &str) -> Error {
    let expected = "alpaca-eval, arena-hard, hh, beavertails, xstest or math500";
    Error::config("benchmark", expected, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{alpaca_eval, arena_hard, beavertails, hh_rlhf, xstest};

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
    fn names_go_both_ways() {
        for benchmark in Benchmark::ALL {
            assert_eq!(benchmark.as_str().parse::<Benchmark>().unwrap(), *benchmark);
        }
        assert_eq!(Benchmark::HhRlhf.to_string(), "hh");
        assert!("alpaca".parse::<Benchmark>().is_err());
    }

    /// The id and the query of the only record of a text.
    fn item<T: Item>(
        read: impl Fn(&str, &str) -> Result<Vec<T>, Error>,
        text: &str,
    ) -> (String, Query) {
        let [record] = &read("f", text).unwrap()[..] else { panic!("{text}") };
        (record.id(), record.query())
    }

    #[test]
    fn texts_are_taken_as_they_are_since_scorers_join_on_them() {
        let alpaca = r#"[{"instruction":" ask ","output":"o","generator":"g","dataset":"d"}]"#;
        let arena = r#"{"uid":"7","category":"c","cluster":"k","prompt":" ask "}"#;
        let beavertails = r#"{"prompt":" ask ","category":"c","category_id":3}"#;
        let xstest = "id,prompt,type,label,focus,note\nv2-1, ask ,homonyms,safe,f,\n";
        for (item, id) in [
            (item(alpaca_eval::read, alpaca), " ask "),
            (item(arena_hard::read, arena), "7"),
            (item(beavertails::read, beavertails), "1"),
            (item(xstest::read, xstest), "v2-1"),
        ] {
            assert_eq!(item, (id.to_owned(), " ask ".into()));
        }
        let hh = r#"{"chosen":"\n\nHuman: ask\n\nAssistant: a","rejected":"x"}"#;
        assert_eq!(item(hh_rlhf::read, hh), ("1".to_owned(), "ask".into()));
    }
}
