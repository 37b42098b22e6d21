//! The records of a benchmark, and the answers to them.

use std::path::Path;

use serde_json::Map;
use textgrad_core::{PromptPack, Seed};
use tpo::bench::{
    Benchmark, Item, alpaca_eval, arena_hard, beavertails, hh_rlhf, math500, read_file, xstest,
};
use tpo::run::{ResultRecord, Status};
use tpo::{Error, Query};

use crate::args::GradingArgs;
use crate::config::Settings;
use crate::context::limit_to;

/// The records that a run is about.
pub(super) enum Records {
    AlpacaEval(Vec<alpaca_eval::Output>),
    ArenaHard(Vec<arena_hard::Question>),
    HhRlhf(Vec<hh_rlhf::Dialogue>),
    BeaverTails(Vec<beavertails::Prompt>),
    XsTest(Vec<xstest::Prompt>),
    Math500(Vec<math500::Problem>),
}

impl Records {
    /// Reads the file, and draws or truncates as the arguments say.
    pub(super) async fn read(
        benchmark: Benchmark,
        args: &GradingArgs,
        settings: &Settings,
        data: &Path,
    ) -> Result<Self, Error> {
        let (name, text) = (data.display().to_string(), read_file(data).await?);
        let (file, args) = ((name.as_str(), text.as_str()), (args, settings));
        Ok(match benchmark {
            Benchmark::AlpacaEval => Self::AlpacaEval(chosen(alpaca_eval::read, file, args)?),
            Benchmark::ArenaHard => Self::ArenaHard(chosen(arena_hard::read, file, args)?),
            Benchmark::HhRlhf => Self::HhRlhf(chosen(hh_rlhf::read, file, args)?),
            Benchmark::BeaverTails => Self::BeaverTails(chosen(beavertails::read, file, args)?),
            Benchmark::XsTest => Self::XsTest(chosen(xstest::read, file, args)?),
            Benchmark::Math500 => Self::Math500(chosen(math500::read, file, args)?),
        })
    }

    /// The queries for the policy.
    pub(super) fn queries(&self, prompts: &PromptPack) -> Result<Vec<Query>, Error> {
        Ok(match self {
            Self::AlpacaEval(records) => queries(records),
            Self::ArenaHard(records) => queries(records),
            Self::HhRlhf(records) => queries(records),
            Self::BeaverTails(records) => queries(records),
            Self::XsTest(records) => queries(records),
            Self::Math500(problems) => {
                problems.iter().map(|problem| problem.query(prompts)).collect::<Result<_, _>>()?
            }
        })
    }
}

fn queries(records: &[impl Item]) -> Vec<Query> {
    let queries = records.iter().map(|record| {
        record.query().with_fields(Map::from_iter([("id".to_owned(), record.id().into())]))
    });
    queries.collect()
}

fn chosen<T>(
    read: impl Fn(&str, &str) -> Result<Vec<T>, Error>,
    (name, text): (&str, &str),
    (args, settings): (&GradingArgs, &Settings),
) -> Result<Vec<T>, Error> {
    let mut records = read(name, text)?;
    if let Some(count) = args.subset {
        let seed = Seed::new(settings.value("seed")?);
        records = tpo::bench::sample(records, count as usize, seed);
    }
    limit_to(&mut records, settings)?;
    Ok(records)
}

/// An answer with its score.
pub(crate) struct Scored {
    pub(super) text: String,
    pub(super) score: f64,
}

/// The answers to a query whose search came to its end.
pub(crate) struct Answered {
    /// The index of the query, from 0.
    pub(super) index: usize,
    pub(super) best: Scored,
    /// The first answer of the policy, without any search.
    pub(super) first: Scored,
    /// The answer with the lowest score.
    pub(super) worst: Scored,
}

impl Answered {
    /// None for a search that failed: its best answer is not that of a whole search.
    pub(crate) fn of(record: &ResultRecord) -> Option<Self> {
        if record.status != Status::Ok {
            return None;
        }
        let best = record.best.as_ref()?;
        let candidates = &record.trajectory.candidates;
        let scored = |text: &str, score| Scored { text: text.to_owned(), score };
        let first = candidates.first()?;
        let worst = candidates.iter().min_by(|one, other| one.score.total_cmp(&other.score))?;
        Some(Self {
            index: record.index,
            best: scored(&best.text, best.score),
            first: scored(&first.text, first.score),
            worst: scored(&worst.text, worst.score),
        })
    }

    /// The answers, each with the record that it answers.
    pub(super) fn with<'a, T>(answers: &'a [Self], records: &'a [T]) -> Vec<(&'a T, &'a Self)> {
        let pair = |one: &'a Self| records.get(one.index).map(|record| (record, one));
        answers.iter().filter_map(pair).collect()
    }
}
