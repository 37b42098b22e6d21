//! The records of a benchmark.

use std::path::Path;

use textgrad_core::{PromptPack, Seed};
use tpo::bench::{
    Benchmark, Item, alpaca_eval, arena_hard, beavertails, hh_rlhf, math500, read_file, xstest,
};
use tpo::{Error, Query};

use crate::args::BenchArgs;
use crate::input::limit_to;
use crate::spec::RunSpec;

/// The records that a run is about.
pub(crate) enum Records {
    AlpacaEval(Vec<alpaca_eval::Output>),
    ArenaHard(Vec<arena_hard::Question>),
    HhRlhf(Vec<hh_rlhf::Dialogue>),
    BeaverTails(Vec<beavertails::Prompt>),
    XsTest(Vec<xstest::Prompt>),
    Math500(Vec<math500::Problem>),
}

impl Records {
    /// Reads the file, and draws or cuts as the arguments say.
    pub(crate) async fn read(args: &BenchArgs, spec: &RunSpec, data: &Path) -> Result<Self, Error> {
        let (name, text) = (data.display().to_string(), read_file(data).await?);
        let (name, text) = (name.as_str(), text.as_str());
        Ok(match args.name {
            Benchmark::AlpacaEval => {
                Self::AlpacaEval(chosen(alpaca_eval::read(name, text)?, args, spec)?)
            }
            Benchmark::ArenaHard => {
                Self::ArenaHard(chosen(arena_hard::read(name, text)?, args, spec)?)
            }
            Benchmark::HhRlhf => Self::HhRlhf(chosen(hh_rlhf::read(name, text)?, args, spec)?),
            Benchmark::BeaverTails => {
                Self::BeaverTails(chosen(beavertails::read(name, text)?, args, spec)?)
            }
            Benchmark::XsTest => Self::XsTest(chosen(xstest::read(name, text)?, args, spec)?),
            Benchmark::Math500 => Self::Math500(chosen(math500::read(name, text)?, args, spec)?),
        })
    }

    /// What the policy is asked.
    pub(crate) fn queries(&self, prompts: &PromptPack) -> Result<Vec<Query>, Error> {
        Ok(match self {
            Self::AlpacaEval(records) => asked(records),
            Self::ArenaHard(records) => asked(records),
            Self::HhRlhf(records) => asked(records),
            Self::BeaverTails(records) => asked(records),
            Self::XsTest(records) => asked(records),
            Self::Math500(problems) => {
                problems.iter().map(|problem| problem.query(prompts)).collect::<Result<_, _>>()?
            }
        })
    }
}

fn asked<T>(records: &[T]) -> Vec<Query>
where
    for<'a> Item: From<&'a T>,
{
    records.iter().map(|record| Item::from(record).query).collect()
}

fn chosen<T>(mut records: Vec<T>, args: &BenchArgs, spec: &RunSpec) -> Result<Vec<T>, Error> {
    if let Some(count) = args.subset {
        if count == 0 {
            let (expected, got) = ("at least 1", "0".to_owned());
            return Err(Error::Config { setting: "--subset", expected, got });
        }
        records = tpo::bench::sample(records, count, Seed::new(spec.search.seed));
    }
    limit_to(&mut records, spec.limit)?;
    Ok(records)
}
