//! Games against a baseline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt, stream};
use textgrad_core::Seed;
use tpo::Error;
use tpo::bench::arena_hard::{self, Answer, Judgment, StyleControlled};

use super::references::Others;
use super::{Figure, Graded, Graders, as_folder, names};
use crate::bench::answers::Answered;
use crate::bench::graders::BEST;
use crate::engines::missing;

impl Graders<'_> {
    pub(crate) async fn arena_hard(
        &self,
        questions: &[arena_hard::Question],
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0.0, |since| since.as_secs_f64());
        let name = &self.args.model_name;
        let file = arena_hard::file_name(name)?;
        let answered: Vec<(&arena_hard::Question, arena_hard::Answer)> =
            Answered::with(answers, questions)
                .into_iter()
                .map(|(q, said)| (q, Answer::new(q, name, &said.best.text, now)))
                .collect();
        let lines: Vec<Answer> = answered.iter().map(|(_, answer)| answer.clone()).collect();
        let lines = self.with_lengths(lines).await?;
        let mut files: Vec<(PathBuf, String)> =
            vec![(Path::new("model_answer").join(&file), arena_hard::write_answers(&lines)?)];
        let Some(engine) = self.judge.clone() else {
            let grader = "none: without --judge, give the answers to the official program";
            return Ok(Graded { grader: grader.to_owned(), figures: Vec::new(), files });
        };
        let judge_name = engine.name().to_owned();
        let judge = arena_hard::Judge::new(engine, Arc::clone(&self.prompts)).seed(self.seed());
        let games: Vec<_> = answered
            .iter()
            .filter_map(|(q, answer)| Some((*q, self.references.answers.get(&q.uid)?, answer)))
            .collect();
        if games.is_empty() && !answered.is_empty() {
            return Err(missing("baseline", "answers to the questions in --data"));
        }
        let unmatched = answered.len() - games.len();
        let played = games.into_iter().map(|(q, base, answer)| judge.judge(q, base, answer));
        let judgments: Vec<Judgment> =
            stream::iter(played).buffered(self.concurrency()).try_collect().await?;
        // The official program has a leaderboard for each category.
        let mut categories: BTreeMap<String, Vec<Judgment>> = BTreeMap::new();
        for judgment in &judgments {
            categories.entry(judgment.category.clone()).or_default().push(judgment.clone());
        }
        let mut figures = Vec::new();
        for (category, judgments) in &categories {
            let seed = self.seed().child(category, 0);
            figures.push(leaderboard(category, judgments, seed));
            figures.push(self.at_equal_style(category, judgments, &lines, seed).await?);
        }
        if unmatched > 0
            && let Some(first) = figures.first_mut()
        {
            first.detail.push_str(&format!("; {unmatched} questions have no baseline's answer"));
        }
        let folder = Path::new("model_judgment").join(as_folder(&judge_name));
        files.push((folder.join(file), arena_hard::write_judgments(&judgments)?));
        Ok(Graded {
            grader: format!("games judged by {judge_name} in both orders"),
            figures,
            files,
        })
    }

    /// Answers with lengths by --style-tokenizer, if it is given.
    async fn with_lengths(&self, mut answers: Vec<Answer>) -> Result<Vec<Answer>, Error> {
        let Some(tokenizer) = self.style_tokenizer.clone() else { return Ok(answers) };
        let counted = blocking(move || {
            for answer in &mut answers {
                answer.count_tokens(tokenizer.as_ref())?;
            }
            Ok(answers)
        });
        counted.await?
    }

    /// The score with style control, by what style is worth to all models that are known.
    async fn at_equal_style(
        &self,
        category: &str,
        judgments: &[Judgment],
        answers: &[Answer],
        seed: Seed,
    ) -> Result<Figure, Error> {
        let of = format!("{BEST}, {category}, style-controlled");
        let baselines = self.references.answers.values();
        // Ours come last, so that they count where a directory has answers of the same name.
        let others = self.references.others.answers.iter().chain(baselines);
        let answers = self.with_lengths(others.chain(answers).cloned().collect()).await?;
        let (judgments, others) = (judgments.to_vec(), Arc::clone(&self.references.others));
        let fitted = blocking(move || control(&judgments, &answers, &others, seed)).await?;
        // The judgments are paid for, so the other figures are shown all the same.
        let all = match fitted {
            Ok(Some(all)) => all,
            Ok(None) => {
                return Ok(Figure::new(of, None, "no question has both verdicts".to_owned()));
            }
            Err(error) => return Ok(Figure::new(of, None, error.to_string())),
        };
        let others = match all.models.len() {
            0 | 1 => "from our answers alone, see --leaderboard".to_owned(),
            models => format!("from our answers and those of {} other models", models - 1),
        };
        let ours = all.models.get(&self.args.model_name);
        let interval = ours.map_or(String::new(), |ours| {
            format!("({:+.1} / {:+.1}); ", ours.lower - ours.score, ours.upper - ours.score)
        });
        let detail = format!("{interval}what style is worth, {others}");
        Ok(Figure::new(of, ours.map(|ours| ours.score), detail))
    }
}

/// Runs what takes its time beside the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|ended| Error::Io {
        path: "style control".into(),
        action: "was not computed",
        source: std::io::Error::other(ended),
    })
}

/// Fits our judgments together with those of others in the same category and against the same baseline.
fn control(
    judgments: &[Judgment],
    answers: &[Answer],
    others: &Others,
    seed: Seed,
) -> Result<Option<StyleControlled>, Error> {
    let Some(first) = judgments.first() else { return Ok(None) };
    let comparable =
        |other: &&Judgment| other.category == first.category && other.baseline == first.baseline;
    let others_judgments = others.judgments.iter().filter(comparable);
    let judgments: Vec<&Judgment> = judgments.iter().chain(others_judgments).collect();
    let answers: Vec<&Answer> = answers.iter().collect();
    StyleControlled::of(&judgments, &answers, seed)
}

fn leaderboard(category: &str, judgments: &[Judgment], seed: Seed) -> Figure {
    let score = arena_hard::leaderboard(judgments, seed);
    let against = names(judgments.iter().map(|judgment| judgment.baseline.as_str()));
    let detail = score.map_or_else(
        || "no question has both verdicts".to_owned(),
        |score| {
            format!(
                "({:+.1} / {:+.1}) against {against}; {} judged, {} without a verdict",
                score.lower - score.score,
                score.upper - score.score,
                score.judged,
                score.dropped
            )
        },
    );
    Figure::new(format!("{BEST}, {category}"), score.map(|score| score.score), detail)
}
