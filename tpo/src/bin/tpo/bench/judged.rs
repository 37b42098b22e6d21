//! Graders that ask a judge.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt, stream};
use textgrad_core::Seed;
use tpo::Error;
use tpo::bench::{alpaca_eval, arena_hard, read_file, xstest};

use super::answers::Answered;
use super::graders::{BEST, Figure, Graded, Graders};
use super::records::Records;
use crate::args::BenchArgs;
use crate::engines::missing;

/// What answers are compared with.
#[derive(Default)]
pub(super) struct References {
    /// Outputs by instruction.
    outputs: HashMap<String, alpaca_eval::Output>,
    /// Answers by question: of several baselines, that of the question's category.
    answers: HashMap<String, arena_hard::Answer>,
}

impl References {
    pub(super) async fn read(args: &BenchArgs, records: &Records) -> Result<Self, Error> {
        let mut references = Self::default();
        for path in &args.baseline {
            let (name, text) = (path.display().to_string(), read_file(path).await?);
            match records {
                Records::AlpacaEval(_) => {
                    let read = alpaca_eval::read(&name, &text)?;
                    let by_instruction = read.into_iter().map(|o| (o.instruction.clone(), o));
                    references.outputs.extend(by_instruction);
                }
                Records::ArenaHard(questions) => {
                    let read = arena_hard::read_answers(&name, &text)?;
                    references.add(questions, read);
                }
                _ => {}
            }
        }
        if let Records::AlpacaEval(set) = records
            && args.baseline.is_empty()
        {
            references.outputs = set.iter().map(|o| (o.instruction.clone(), o.clone())).collect();
        }
        Ok(references)
    }

    fn add(&mut self, questions: &[arena_hard::Question], answers: Vec<arena_hard::Answer>) {
        let official: HashMap<&str, Option<&str>> =
            questions.iter().map(|q| (q.uid.as_str(), q.baseline())).collect();
        for answer in answers {
            let Some(official) = official.get(answer.uid.as_str()) else { continue };
            // The first file counts, unless a later one is the one that the authors compare with.
            let better = *official == Some(answer.model.as_str());
            if better || !self.answers.contains_key(&answer.uid) {
                self.answers.insert(answer.uid.clone(), answer);
            }
        }
    }
}

/// A share for a reader.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{share:.1}"))
}

/// A name that can be that of a folder.
fn as_folder(name: &str) -> String {
    name.replace(['/', '\\', ':'], "_")
}

impl Graders<'_> {
    fn seed(&self) -> Seed {
        Seed::new(self.args.run.seed)
    }

    pub(super) async fn xstest(
        &self,
        prompts: &[xstest::Prompt],
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        let answered = Answered::with(answers, prompts);
        let completions: Vec<xstest::Completion> = answered
            .iter()
            .map(|(prompt, said)| xstest::Completion::new(prompt, said.best.text.as_str()))
            .collect();
        let mut files = vec![("completions.csv".into(), xstest::write(&completions)?)];
        let Some(engine) = self.judge.clone() else {
            let grader = "none: without --judge, grade completions.csv elsewhere".to_owned();
            return Ok(Graded { grader, figures: Vec::new(), files });
        };
        let judge = xstest::RefusalJudge::new(engine, Arc::clone(&self.prompts));
        let asked = answered.iter().map(|(prompt, said)| judge.grade(prompt, &said.best.text));
        let graded: Vec<xstest::Graded> =
            stream::iter(asked).buffered(self.concurrency()).try_collect().await?;
        let accuracy = xstest::accuracy(&graded);
        let detail = accuracy.map_or_else(
            || "the judge decided nothing".to_owned(),
            |accuracy| {
                format!(
                    "safe {}, unsafe {}; {} graded, {} undecided and left out",
                    percent(accuracy.safe),
                    percent(accuracy.unsafe_),
                    accuracy.graded,
                    accuracy.undecided
                )
            },
        );
        files.push(("graded.csv".into(), xstest::write(&graded)?));
        Ok(Graded {
            grader: format!("refusals as seen by {}", judge.name()),
            figures: vec![Figure::new(BEST, accuracy.map(|accuracy| accuracy.all), detail)],
            files,
        })
    }

    pub(super) async fn alpaca_eval(
        &self,
        set: &[alpaca_eval::Output],
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        let mut outputs = alpaca_eval::Outputs::new(&self.args.model_name)?;
        for (item, said) in Answered::with(answers, set) {
            outputs.push(&item.instruction, said.best.text.as_str())?;
        }
        let results = Path::new("results").join(as_folder(&self.args.model_name));
        let mut files = vec![(results.join("model_outputs.json"), outputs.to_json()?)];
        let Some(engine) = self.judge.clone() else {
            let grader = "none: without --judge, give model_outputs.json to the official program";
            return Ok(Graded { grader: grader.to_owned(), figures: Vec::new(), files });
        };
        let name = engine.name().to_owned();
        let judge = alpaca_eval::Annotator::new(engine, Arc::clone(&self.prompts));
        let judge = judge.seed(self.seed());
        let pairs: Vec<_> = outputs
            .outputs()
            .iter()
            .filter_map(|output| Some((self.references.outputs.get(&output.instruction)?, output)))
            .collect();
        let unmatched = outputs.outputs().len() - pairs.len();
        let asked = pairs.into_iter().map(|(reference, output)| judge.annotate(reference, output));
        let annotations: Vec<alpaca_eval::Annotation> =
            stream::iter(asked).buffered(self.concurrency()).try_collect().await?;
        let preferences: Vec<Option<f64>> =
            annotations.iter().map(|annotation| annotation.preference).collect();
        let rate = alpaca_eval::win_rate(&preferences)?;
        let undecided = preferences.iter().filter(|preference| preference.is_none()).count();
        let detail = rate.map_or_else(
            || "the judge decided nothing".to_owned(),
            |rate| {
                format!(
                    "win rate +- {:.2} against {}; {} compared, {undecided} undecided, {unmatched} without a reference",
                    rate.standard_error,
                    names(annotations.iter().map(|annotation| annotation.generator_1.as_str())),
                    rate.items
                )
            },
        );
        let file = results.join(as_folder(&name)).join("annotations.json");
        files.push((file, alpaca_eval::write_annotations(&annotations)?));
        Ok(Graded {
            grader: format!(
                "comparisons by {name} in both orders, not by the official annotator; the length-controlled win rate is not computed"
            ),
            figures: vec![Figure::new(BEST, rate.map(|rate| rate.win_rate), detail)],
            files,
        })
    }

    pub(super) async fn arena_hard(
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
                .map(|(q, said)| (q, arena_hard::Answer::new(q, name, &said.best.text, now)))
                .collect();
        let lines: Vec<arena_hard::Answer> =
            answered.iter().map(|(_, answer)| answer.clone()).collect();
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
        let judgments: Vec<arena_hard::Judgment> =
            stream::iter(played).buffered(self.concurrency()).try_collect().await?;
        // The official program has a leaderboard for each category.
        let mut categories: BTreeMap<String, Vec<arena_hard::Judgment>> = BTreeMap::new();
        for judgment in &judgments {
            categories.entry(judgment.category.clone()).or_default().push(judgment.clone());
        }
        let figures = categories.iter().map(|(category, judgments)| {
            leaderboard(category, judgments, self.seed().child(category, 0))
        });
        let mut figures: Vec<Figure> = figures.collect();
        if unmatched > 0
            && let Some(first) = figures.first_mut()
        {
            first.detail.push_str(&format!("; {unmatched} questions have no baseline's answer"));
        }
        let folder = Path::new("model_judgment").join(as_folder(&judge_name));
        files.push((folder.join(file), arena_hard::write_judgments(&judgments)?));
        Ok(Graded {
            grader: format!(
                "games judged by {judge_name} in both orders; style control is not computed"
            ),
            figures,
            files,
        })
    }
}

fn leaderboard(category: &str, judgments: &[arena_hard::Judgment], seed: Seed) -> Figure {
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

/// Each name once.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: std::collections::BTreeSet<&str> = names.collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
