//! From answers to figures, and to files for other graders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use textgrad_core::{Engine, PromptPack};
use tpo::bench::{Grader, Item, beavertails, hh_rlhf, math500, mean_reward};
use tpo::{Error, Query, Tokenizer};

use super::answers::{Answered, Scored};
use super::records::Records;
use crate::args::BenchArgs;
use crate::judged::References;
use crate::spec::RunSpec;

/// What graders need.
pub(crate) struct Graders<'a> {
    pub(crate) args: &'a BenchArgs,
    pub(crate) spec: &'a RunSpec,
    pub(crate) prompts: Arc<PromptPack>,
    pub(crate) judge: Option<Arc<dyn Engine>>,
    /// The reward model that grades, where it is another than that of the search.
    pub(crate) reward: Option<Grader>,
    /// Whether the scores that are meant hold only among the answers to an item.
    pub(crate) relative: bool,
    pub(crate) references: References,
    /// Counts the length of Arena-Hard's answers in place of their files.
    pub(crate) style_tokenizer: Option<Arc<dyn Tokenizer>>,
}

/// What came of grading.
pub(crate) struct Graded {
    /// Who graded, or why nobody did.
    pub(crate) grader: String,
    pub(crate) figures: Vec<Figure>,
    /// Files by name.
    pub(crate) files: Vec<(PathBuf, String)>,
}

/// One of our figures.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// What it is of.
    pub(crate) of: String,
    /// None where nothing could be counted.
    pub(crate) figure: Option<f64>,
    /// What it is made of, in words.
    pub(crate) detail: String,
}

impl Figure {
    pub(crate) fn new(of: impl Into<String>, figure: Option<f64>, detail: String) -> Self {
        Self { of: of.into(), figure, detail }
    }
}

/// The figure of the search.
pub(crate) const BEST: &str = "ours";

/// The figure of the policy alone.
const FIRST: &str = "ours, first answer without search";

impl Graders<'_> {
    pub(crate) fn concurrency(&self) -> usize {
        self.spec.concurrency
    }

    pub(crate) async fn grade(
        &self,
        records: &Records,
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        match records {
            Records::AlpacaEval(set) => self.alpaca_eval(set, answers).await,
            Records::ArenaHard(questions) => self.arena_hard(questions, answers).await,
            Records::HhRlhf(dialogues) => self.hh(dialogues, answers).await,
            Records::BeaverTails(prompts) => self.beavertails(prompts, answers).await,
            Records::XsTest(prompts) => self.xstest(prompts, answers).await,
            Records::Math500(problems) => math500(problems, answers),
        }
    }

    async fn hh(
        &self,
        dialogues: &[hh_rlhf::Dialogue],
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        let answered = Answered::with(answers, dialogues);
        let pairs: Vec<hh_rlhf::Pair> = answered
            .iter()
            .map(|(dialogue, said)| dialogue.pair(&said.best.text, &said.worst.text))
            .collect();
        let files = vec![("pairs.jsonl".into(), hh_rlhf::write(&pairs)?)];
        self.mean(&answered, files).await
    }

    async fn beavertails(
        &self,
        prompts: &[beavertails::Prompt],
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        let answered = Answered::with(answers, prompts);
        let said: Vec<beavertails::Answered> = answered
            .iter()
            .map(|(prompt, said)| beavertails::Answered::new(prompt, said.best.text.as_str()))
            .collect();
        let files = vec![("responses.json".into(), beavertails::write(&said)?)];
        self.mean(&answered, files).await
    }

    async fn mean<'a, T>(
        &self,
        answered: &[(&'a T, &'a Answered)],
        files: Vec<(PathBuf, String)>,
    ) -> Result<Graded, Error>
    where
        Item: From<&'a T>,
    {
        let (mut grader, scores) = match &self.reward {
            None => {
                let of = |scored: &Scored| scored.score;
                let scores = answered.iter().map(|(_, said)| [of(&said.best), of(&said.first)]);
                let grader = "mean score of the reward model that also guided the search";
                (grader.to_owned(), scores.collect())
            }
            Some(reward) => {
                let asked = answered.iter().map(|(record, said)| {
                    let query = Item::from(record).query;
                    async move { score(reward, &query, said).await }
                });
                let asked = stream::iter(asked).buffered(self.concurrency());
                let scores: Vec<[f64; 2]> = asked.try_collect().await?;
                (format!("mean score of {}", reward.name()), scores)
            }
        };
        if self.relative {
            grader.push_str("; relative: scores hold only among the answers to one item, and compare with no others");
        }
        let figure = |name: &str, place: usize| {
            let scores: Vec<f64> =
                scores.iter().filter_map(|both: &[f64; 2]| both.get(place).copied()).collect();
            let mean = mean_reward(&scores);
            let detail = mean.map_or_else(
                || "no answers".to_owned(),
                |mean| {
                    format!(
                        "+- {:.3} (standard error), {} answers",
                        mean.standard_error, mean.items
                    )
                },
            );
            Figure::new(name, mean.map(|mean| mean.mean), detail)
        };
        let figures = vec![figure(BEST, 0), figure(FIRST, 1)];
        Ok(Graded { grader, figures, files })
    }
}

/// The scores of the best and of the first answer.
async fn score(grader: &Grader, query: &Query, said: &Answered) -> Result<[f64; 2], Error> {
    let texts = [said.best.text.as_str(), said.first.text.as_str()];
    let scores = grader.scores(said.index, query, &texts).await?;
    let &[best, first] = scores.as_slice() else {
        return Err(Error::ScoreCount { expected: texts.len(), got: scores.len() });
    };
    Ok([best, first])
}

fn math500(problems: &[math500::Problem], answers: &[Answered]) -> Result<Graded, Error> {
    let answered = Answered::with(answers, problems);
    let figure = |name: &str, of: fn(&Answered) -> &Scored| {
        let graded =
            answered.iter().map(|(problem, said)| math500::Graded::new(problem, &of(said).text));
        let graded: Vec<math500::Graded> = graded.collect();
        let grades: Vec<math500::Grade> = graded.iter().map(|one| one.grade.clone()).collect();
        let accuracy = math500::accuracy(&grades);
        let detail = accuracy.map_or_else(
            || "no answers".to_owned(),
            |accuracy| {
                format!(
                    "{} of {} right, {} undecided and counted as wrong (at most {:.1})",
                    accuracy.correct, accuracy.items, accuracy.undecided, accuracy.at_most
                )
            },
        );
        (Figure::new(name, accuracy.map(|accuracy| accuracy.accuracy), detail), graded)
    };
    let (best, graded) = figure(BEST, |said| &said.best);
    let (first, _) = figure(FIRST, |said| &said.first);
    let pairs: Vec<math500::Pair> = answered
        .iter()
        .map(|(problem, said)| math500::Pair {
            answer: said.best.text.clone(),
            gold: problem.answer.clone(),
        })
        .collect();
    Ok(Graded {
        grader: "the rules of PRM800K, as far as they can be decided without SymPy".to_owned(),
        figures: vec![best, first],
        files: vec![
            ("pairs.csv".into(), math500::write_pairs(&pairs)?),
            ("pairs.jsonl".into(), math500::write_pairs_jsonl(&pairs)?),
            ("graded.jsonl".into(), math500::write_graded(&graded)?),
        ],
    })
}

/// Writes the files into the folder of the run.
pub(crate) async fn write(folder: &Path, graded: &Graded) -> Result<(), Error> {
    for (name, text) in &graded.files {
        write_file(&folder.join("bench").join(name), text).await?;
    }
    Ok(())
}

pub(crate) async fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    let failed = Error::io(path, "cannot be written");
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(&failed)?;
    }
    tokio::fs::write(path, text).await.map_err(failed)
}
