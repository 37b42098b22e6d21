//! From answers to figures, and to files for other graders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use textgrad_core::{Engine, PromptPack, Seed};
use tpo::bench::{Grader, Item, beavertails, hh_rlhf, math500, mean_reward, to_json, to_jsonl};
use tpo::{Error, Query, Tokenizer};

use super::records::{Answered, Records, Scored};
use super::references::References;
use crate::args::GradingArgs;

/// What graders need.
pub(super) struct Graders<'a> {
    pub(super) args: &'a GradingArgs,
    /// Requests to judge and reward model at the same time.
    pub(super) concurrency: usize,
    pub(super) seed: Seed,
    pub(super) prompts: Arc<PromptPack>,
    pub(super) judge: Option<Arc<dyn Engine>>,
    /// The reward model that grades, where it is another than that of the search.
    pub(super) reward: Option<Grader>,
    /// Whether the scores that are meant hold only among the answers to an item.
    pub(super) relative: bool,
    pub(super) references: &'a References,
    /// Counts the length of Arena-Hard's answers in place of their files.
    pub(super) style_tokenizer: Option<Arc<dyn Tokenizer>>,
}

/// The result of grading.
pub(super) struct Graded {
    /// Who graded, or why nobody did.
    pub(super) grader: String,
    pub(super) figures: Vec<Figure>,
    /// Files by name.
    pub(super) files: Vec<(PathBuf, String)>,
}

impl Graded {
    /// Files for other graders, without a judge.
    pub(super) fn ungraded(advice: &str, files: Vec<(PathBuf, String)>) -> Self {
        Self { grader: format!("none: without --judge, {advice}"), figures: Vec::new(), files }
    }
}

/// One of our figures.
#[derive(Serialize)]
pub(super) struct Figure {
    /// What it is of.
    pub(super) of: String,
    /// None where nothing could be counted.
    pub(super) figure: Option<f64>,
    /// What it is made of, in words.
    pub(super) detail: String,
}

impl Figure {
    pub(super) fn new(of: impl Into<String>, figure: Option<f64>, detail: String) -> Self {
        Self { of: of.into(), figure, detail }
    }
}

/// The figure of the search.
pub(super) const BEST: &str = "ours";

/// The figure of the policy alone.
const FIRST: &str = "ours, first answer without search";

impl Graders<'_> {
    /// The results of requests, a bounded number at a time, in their order.
    pub(super) async fn all<T>(
        &self,
        requests: impl Iterator<Item = impl Future<Output = Result<T, Error>>>,
    ) -> Result<Vec<T>, Error> {
        stream::iter(requests).buffered(self.concurrency).try_collect().await
    }

    pub(super) async fn grade(
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
            Records::Math500(problems) => math500(problems, answers).await,
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
        let files = vec![("pairs.jsonl".into(), to_jsonl(&pairs)?)];
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
        let files = vec![("responses.json".into(), to_json(&said)?)];
        self.mean(&answered, files).await
    }

    async fn mean(
        &self,
        answered: &[(&impl Item, &Answered)],
        files: Vec<(PathBuf, String)>,
    ) -> Result<Graded, Error> {
        let (mut grader, scores) = match &self.reward {
            None => {
                let scores = answered.iter().map(|(_, said)| [said.best.score, said.first.score]);
                let grader = "mean score of the reward model that also guided the search";
                (grader.to_owned(), scores.collect())
            }
            Some(reward) => {
                let asked = answered.iter().map(|(record, said)| {
                    let query = record.query();
                    async move { score(reward, &query, said).await }
                });
                (format!("mean score of {}", reward.reward().name()), self.all(asked).await?)
            }
        };
        if self.relative {
            grader.push_str("; relative: scores hold only among the answers to one item, and compare with no others");
        }
        let (best, first): (Vec<f64>, Vec<f64>) =
            scores.iter().map(|[best, first]: &[f64; 2]| (*best, *first)).unzip();
        let figure = |name: &str, scores: &[f64]| match mean_reward(scores) {
            None => Figure::new(name, None, "no answers".to_owned()),
            Some(mean) => {
                let (error, items) = (mean.standard_error, mean.items);
                let detail = format!("+- {error:.3} (standard error), {items} answers");
                Figure::new(name, Some(mean.mean), detail)
            }
        };
        let figures = vec![figure(BEST, &best), figure(FIRST, &first)];
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

async fn math500(problems: &[math500::Problem], answers: &[Answered]) -> Result<Graded, Error> {
    let answered = Answered::with(answers, problems);
    let figure = async |name: &str, of: fn(&Answered) -> &Scored| {
        let mut graded: Vec<math500::Graded> = Vec::new();
        for (problem, said) in &answered {
            graded.push(math500::Graded::new(problem, &of(said).text));
            // An interrupt is seen between any two.
            tokio::task::yield_now().await;
        }
        let grades: Vec<math500::Grade> = graded.iter().map(|one| one.grade.clone()).collect();
        let figure = match math500::accuracy(&grades) {
            None => Figure::new(name, None, "no answers".to_owned()),
            Some(accuracy) => {
                let math500::Accuracy { correct, items, undecided, at_most, .. } = accuracy;
                let detail = format!(
                    "{correct} of {items} right, {undecided} undecided and counted as wrong (at most {at_most:.1})"
                );
                Figure::new(name, Some(accuracy.accuracy), detail)
            }
        };
        (figure, graded)
    };
    let (best, graded) = figure(BEST, |said| &said.best).await;
    let (first, _) = figure(FIRST, |said| &said.first).await;
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
            ("pairs.jsonl".into(), to_jsonl(&pairs)?),
            ("graded.jsonl".into(), to_jsonl(&graded)?),
        ],
    })
}

pub(super) async fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    let failed = Error::io(path, "cannot be written");
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(&failed)?;
    }
    tokio::fs::write(path, text).await.map_err(failed)
}
