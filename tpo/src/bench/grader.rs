//! Graders of finished answers: reward models, with their scores on file, and judges.

use std::path::Path;
use std::sync::Arc;

use derive_setters::Setters;
use serde::Serialize;
use serde_json::json;
use textgrad_core::{
    Choice, Engine, ErrorKind, Message, PromptPack, Purpose, Request, Sampling, Seed,
    TemplateContext,
};
use textgrad_ops::CancellationToken;

use super::alpaca_eval::Annotator;
use super::arena_hard::Judge;
use super::xstest::RefusalJudge;
use crate::error::Error;
use crate::journal::Journal;
use crate::query::Query;
use crate::reward::RewardModel;
use crate::session::Session;
use crate::stats::{deviation, mean};
use crate::util::dedup;

/// A reward model that grades answers which are there, in place of guiding a search to them.
///
/// What it says can be kept in a file ([`keeping`](Self::keeping)): a score, or what an engine was asked for one, is
/// written down as soon as it is there, and not asked for again.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use tpo::bench::Grader;
/// use tpo::reward_fn;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let grader = Grader::new(Arc::new(reward_fn("length", |_, answer: &str| answer.len() as f64)));
/// assert_eq!(grader.scores(0, &"Why?".into(), &["So.", "No idea.", "So."]).await?, [3.0, 8.0, 3.0]);
/// # Ok::<(), tpo::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Grader {
    reward: Arc<dyn RewardModel>,
    journal: Option<Journal>,
}

impl Grader {
    /// A grader that keeps nothing.
    pub fn new(reward: Arc<dyn RewardModel>) -> Self {
        Self { reward, journal: None }
    }

    /// The same with what it says kept in a file, which is made if it is not there. It has the format of a
    /// [journal](crate::journal), so a last line that was torn off is repaired, and holds the scores of any
    /// number of graders: they are distinguished by [`RewardModel::identity`]. It must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`Error::Journal`] if the file is another one, or holds a line that cannot be read,
    /// [`Error::RunLocked`] if another process has it, [`Error::Io`].
    pub async fn keeping(self, path: &Path) -> Result<Self, Error> {
        let kind = json!({ "kind": "grades" });
        let there = tokio::fs::try_exists(path).await.unwrap_or(true);
        let journal = match there {
            true => Journal::resume(path, kind.clone()).await?,
            false => Journal::create(path, kind.clone()).await?,
        };
        if journal.config() != &kind {
            let reason = "expected a file of grades, got the journal of a run".to_owned();
            return Err(Error::Journal { path: path.to_owned(), line: 1, reason });
        }
        Ok(Self { journal: Some(journal), ..self })
    }

    /// The reward model.
    #[must_use]
    pub fn reward(&self) -> &dyn RewardModel {
        self.reward.as_ref()
    }

    /// Scores answers to the query at a place, from 0, of a benchmark: one finite number for each answer. Equal
    /// answers are scored once, and those that were scored at this place before not again.
    ///
    /// Dropping the future loses the scores that are under way.
    ///
    /// # Errors
    /// [`Error::Reward`], [`Error::Score`] or [`Error::ScoreCount`] if the reward model fails, and
    /// [`Error::JournalWrite`] if what it says cannot be written down.
    pub async fn scores(
        &self,
        place: usize,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, Error> {
        let known = match &self.journal {
            Some(journal) => Some(journal.query(place).await?),
            None => None,
        };
        let session = Session::new(known, CancellationToken::new());
        let texts = dedup(answers.iter().copied());
        let scored = session.score(&session.bind(&self.reward), query, &texts).await;
        let scored = session.take_interruption().map_or(scored, Err)?;
        let score = |answer: &&str| {
            let place = texts.iter().position(|text| text == answer);
            place.and_then(|place| scored.get(place).copied()?)
        };
        let counts =
            Error::ScoreCount { expected: texts.len(), got: scored.iter().flatten().count() };
        answers.iter().map(score).collect::<Option<_>>().ok_or(counts)
    }
}

/// An engine that judges, with the wording of its questions.
#[derive(Debug, Clone, Setters)]
#[setters(
    generate_delegates(ty = "Annotator", field = "asker"),
    generate_delegates(ty = "Judge", field = "asker"),
    generate_delegates(ty = "RefusalJudge", field = "asker")
)]
pub(crate) struct Asker {
    #[setters(skip)]
    engine: Arc<dyn Engine>,
    #[setters(skip)]
    prompts: Arc<PromptPack>,
    /// Sampling parameters of replies; `n` is ignored.
    pub(crate) sampling: Sampling,
    /// The seed that the seeds of requests are derived from.
    pub(crate) seed: Seed,
}

impl Asker {
    /// At temperature 0, as judges are asked.
    pub(super) fn new(engine: Arc<dyn Engine>, prompts: Arc<PromptPack>) -> Self {
        let sampling = Sampling::default().with_temperature(0.0);
        Self { engine, prompts, sampling, seed: Seed::new(0) }
    }

    pub(super) fn name(&self) -> &str {
        self.engine.name()
    }

    /// The request and the judge's reply, if there is one. `templates` name the system message, which is not
    /// sent if it is empty, and the user's.
    pub(super) async fn ask<C: TemplateContext>(
        &self,
        templates: [&str; 2],
        context: &C,
        seed: Seed,
    ) -> Result<(Vec<Message>, Option<Choice>), Error> {
        let [system, user] = templates;
        let system = self.prompts.render(system, context)?;
        let system = (!system.trim().is_empty()).then(|| Message::system(system));
        let user = Message::user(self.prompts.render(user, context)?);
        let messages: Vec<Message> = system.into_iter().chain([user]).collect();
        let sampling = self.sampling.clone().with_n(1).at(Some(seed));
        let request = Request::new(Purpose::Judge, messages.clone()).with_sampling(sampling);
        match self.engine.complete(&request).await {
            Ok(response) => Ok((messages, response.choices.into_iter().next())),
            Err(error) if error.kind() == ErrorKind::NoAnswer => Ok((messages, None)),
            Err(error) => Err(error.into()),
        }
    }
}

/// The mean of scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanReward {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// How many scores there are.
    pub items: usize,
}

/// The mean of the scores that a reward model gave to the final answers; none without any. Where the same
/// model also guided the search, the mean shows in part how well the search pleases that model.
///
/// # Examples
/// ```
/// use tpo::bench::mean_reward;
///
/// assert_eq!(mean_reward(&[-1.0, -3.0]).map(|reward| reward.mean), Some(-2.0));
/// assert_eq!(mean_reward(&[]), None);
/// ```
#[must_use]
pub fn mean_reward(scores: &[f64]) -> Option<MeanReward> {
    let mean = mean(scores)?;
    let (items, spread) = (scores.len(), deviation(scores).unwrap_or(0.0));
    Some(MeanReward { mean, standard_error: spread / (items as f64).sqrt(), items })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::reward::reward_fn;

    /// A grader by length, which finds one answer beyond measure, and how often it was asked.
    async fn grader(path: &Path, name: &'static str) -> (Grader, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let reward = reward_fn(name, move |_: &str, answer: &str| {
            counter.fetch_add(1, Ordering::Relaxed);
            if answer == "boundless" { f64::INFINITY } else { answer.len() as f64 }
        });
        let reward: Arc<dyn RewardModel> = Arc::new(reward);
        for _ in 0..10_000 {
            // The thread that had the file before may be about to let go of it.
            match Grader::new(Arc::clone(&reward)).keeping(path).await {
                Err(Error::RunLocked { .. }) => tokio::task::yield_now().await,
                other => return (other.unwrap(), asked),
            }
        }
        panic!("the file is still locked");
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grades.jsonl");
        (folder, path)
    }

    #[tokio::test]
    async fn what_was_said_is_not_asked_again_by_the_same_grader() {
        let (_folder, path) = file();
        let query = Query::from("Why?");
        let (first, asked) = grader(&path, "length").await;
        assert_eq!(first.scores(3, &query, &["So.", "So.", "No."]).await.unwrap(), [3.0; 3]);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        drop(first);
        for (name, query, answers, fresh) in [
            ("length", "Why?", ["So.", "No."], 0),
            ("length", "Why?", ["So.", "No idea."], 1),
            ("length", "Why not?", ["So.", "No."], 2),
            ("other", "Why?", ["So.", "No."], 2),
            ("other", "Why?", ["So.", "No."], 0),
        ] {
            let (again, asked) = grader(&path, name).await;
            let expected = answers.map(|answer| answer.len() as f64);
            assert_eq!(again.scores(3, &query.into(), &answers).await.unwrap(), expected);
            assert_eq!(asked.load(Ordering::Relaxed), fresh, "{name} {query:?} {answers:?}");
        }
    }

    #[tokio::test]
    async fn a_score_that_is_no_number_is_an_error_and_not_kept() {
        let (_folder, path) = file();
        let query = Query::from("Why?");
        for fresh in [2, 1] {
            let (grader, asked) = grader(&path, "length").await;
            let error = grader.scores(0, &query, &["So.", "boundless"]).await.unwrap_err();
            assert!(matches!(error, Error::Score { .. }), "{error}");
            assert!(error.to_string().contains("boundless"), "{error}");
            assert_eq!(asked.load(Ordering::Relaxed), fresh, "the other one is kept");
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert_eq!(kept.lines().count(), 2, "{kept}");
    }

    #[tokio::test]
    async fn a_file_of_something_else_is_refused_and_left_alone() {
        let (_folder, path) = file();
        let run = json!({ "type": "run", "schema": 2, "config": { "search": {} } });
        let run = textgrad_ops::util::jsonl::line_with_checksum(&run).unwrap();
        for (text, part) in [
            (run.as_str(), "got the journal of a run"),
            ("{\"answer\": 1}\n", "line 1"),
            ("notes", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let reward = Arc::new(reward_fn("length", |_: &str, _: &str| 0.0));
            let error = Grader::new(reward).keeping(&path).await.unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("grades.jsonl"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}

#[cfg(test)]
mod reward_tests {
    use super::*;

    #[test]
    fn the_error_is_that_of_the_mean() {
        let reward = mean_reward(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        assert!((reward.mean - 3.0).abs() < 1e-12);
        assert!((reward.standard_error - (14.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-12);
        assert_eq!(mean_reward(&[5.0]).unwrap().standard_error, 0.0);
    }
}
