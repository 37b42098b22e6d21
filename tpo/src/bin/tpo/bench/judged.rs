//! Graders that ask a judge.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use textgrad_core::Seed;
use tpo::Error;
use tpo::bench::alpaca_eval::{self, Annotation, Annotator, Orders, Reading};
use tpo::bench::arena_hard::{self, Answer, Judgment, StyleControlled};
use tpo::bench::{to_csv, to_json, to_jsonl, xstest};

use super::graders::{BEST, Figure, Graded, Graders};
use super::records::Answered;
use super::references::{Others, References};
use crate::blocking;
use crate::engines::missing;

impl Graders<'_> {
    pub(super) async fn alpaca_eval(
        &self,
        set: &[alpaca_eval::Output],
        answers: &[Answered],
    ) -> Result<Graded, Error> {
        let answered = Answered::with(answers, set).into_iter();
        let outputs = answered.map(|(item, said)| alpaca_eval::Output {
            instruction: item.instruction.clone(),
            output: said.best.text.clone(),
            generator: self.args.model_name.clone(),
            dataset: None,
        });
        let outputs: Vec<alpaca_eval::Output> = outputs.collect();
        let results = Path::new("results").join(as_folder(&self.args.model_name));
        let mut files =
            vec![(results.join("model_outputs.json"), alpaca_eval::write_outputs(&outputs)?)];
        let Some(engine) = self.judge.clone() else {
            return Ok(Graded::ungraded("give model_outputs.json to the official program", files));
        };
        let name = engine.name().to_owned();
        let (orders, shown) = match self.args.one_order {
            false => (Orders::Both, "in both orders"),
            true => (Orders::Drawn, "in one drawn order"),
        };
        let (reading, read) = match self.args.weighted {
            false => (Reading::Letter, "read to the letter"),
            true => (Reading::Probabilities, "weighed by probabilities"),
        };
        let judge = Annotator::new(engine, Arc::clone(&self.prompts)).seed(self.seed);
        let judge = judge.reading(reading).orders(orders);
        let pairs: Vec<_> = outputs
            .iter()
            .filter_map(|output| Some((self.references.outputs.get(&output.instruction)?, output)))
            .collect();
        let unmatched = outputs.len() - pairs.len();
        let asked = pairs.into_iter().map(|(reference, output)| judge.annotate(reference, output));
        let mut annotations: Vec<Annotation> = self.all(asked).await?;
        let preferences: Vec<Option<f64>> =
            annotations.iter().map(|annotation| annotation.preference).collect();
        let rate = alpaca_eval::win_rate(&preferences)?;
        let undecided = preferences.iter().filter(|preference| preference.is_none()).count();
        let against = names(annotations.iter().map(|annotation| annotation.generator_1.as_str()));
        let detail = match rate {
            None => format!(
                "the judge decided none of {}, {unmatched} without a reference: annotations.json has what it said",
                annotations.len()
            ),
            Some(rate) => format!(
                "win rate +- {:.2} against {against}; {} compared, {undecided} undecided, {unmatched} without a reference",
                rate.standard_error, rate.items
            ),
        };
        let plain = Figure::new(BEST, rate.map(|rate| rate.win_rate), detail);
        let controlled = self.at_equal_lengths(&mut annotations)?;
        let file = results.join(as_folder(&name)).join("annotations.json");
        files.push((file, to_json(&annotations)?));
        Ok(Graded {
            grader: format!("comparisons by {name}, {shown}, {read}"),
            figures: vec![plain, controlled],
            files,
        })
    }

    /// The win rate at equal lengths; the annotations get what is expected of them.
    fn at_equal_lengths(&self, annotations: &mut [Annotation]) -> Result<Figure, Error> {
        let References { control, indices, .. } = &self.references;
        let index = |a: &Annotation| indices.get(&a.instruction).copied().unwrap_or_default();
        let rate = control.win_rate(annotations.iter().map(|a| (index(a), a)))?;
        let of = format!("{BEST}, length-controlled");
        let Some(rate) = rate else {
            return Ok(Figure::new(of, None, "fewer than 5 are compared".to_owned()));
        };
        for (annotation, preference) in annotations.iter_mut().zip(&rate.preferences) {
            annotation.glm_preference = Some(*preference);
        }
        let [length, ..] = rate.coefficients;
        let detail = format!(
            "+- {:.2}, {}; coefficient of the length {length:.2}",
            rate.standard_error,
            control.name()
        );
        Ok(Figure::new(of, Some(rate.win_rate), detail))
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
                .map(|(q, said)| (q, Answer::new(q, name, &said.best.text, now)))
                .collect();
        let lines: Vec<Answer> = answered.iter().map(|(_, answer)| answer.clone()).collect();
        let lines = self.with_lengths(lines).await?;
        let mut files: Vec<(PathBuf, String)> =
            vec![(Path::new("model_answer").join(&file), arena_hard::write_answers(&lines)?)];
        let Some(engine) = self.judge.clone() else {
            return Ok(Graded::ungraded("give the answers to the official program", files));
        };
        let judge_name = engine.name().to_owned();
        let judge = arena_hard::Judge::new(engine, Arc::clone(&self.prompts)).seed(self.seed);
        let games: Vec<_> = answered
            .iter()
            .filter_map(|(q, answer)| Some((*q, self.references.answers.get(&q.uid)?, answer)))
            .collect();
        if games.is_empty() && !answered.is_empty() {
            return Err(missing("baseline", "answers to the questions in --data"));
        }
        let unmatched = answered.len() - games.len();
        let played = games.into_iter().map(|(q, base, answer)| judge.judge(q, base, answer));
        let judgments: Vec<Judgment> = self.all(played).await?;
        // The official program has a leaderboard for each category.
        let mut categories: BTreeMap<String, Vec<Judgment>> = BTreeMap::new();
        for judgment in &judgments {
            categories.entry(judgment.category.clone()).or_default().push(judgment.clone());
        }
        let mut figures = Vec::new();
        for (category, judgments) in &categories {
            let seed = self.seed.child(category, 0);
            figures.push(leaderboard(category, judgments, seed));
            figures.push(self.at_equal_style(category, judgments, &lines, seed).await?);
        }
        if unmatched > 0
            && let Some(first) = figures.first_mut()
        {
            first.detail.push_str(&format!("; {unmatched} questions have no baseline's answer"));
        }
        let folder = Path::new("model_judgment").join(as_folder(&judge_name));
        files.push((folder.join(file), to_jsonl(&judgments)?));
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
        counted.await
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
        let fitted = blocking(move || control(&judgments, &answers, &others, seed)).await;
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
        let mut files = vec![("completions.csv".into(), to_csv(&completions)?)];
        let Some(engine) = self.judge.clone() else {
            return Ok(Graded::ungraded("grade completions.csv elsewhere", files));
        };
        let judge = xstest::RefusalJudge::new(engine, Arc::clone(&self.prompts));
        let asked = answered.iter().map(|(prompt, said)| judge.grade(prompt, &said.best.text));
        let graded: Vec<xstest::Graded> = self.all(asked).await?;
        let accuracy = xstest::accuracy(&graded);
        let detail = match accuracy {
            None => format!(
                "the judge decided none of {}: expected WildGuard's three lines of it",
                graded.len()
            ),
            Some(accuracy) => format!(
                "safe {}, unsafe {}; {} graded, {} undecided and left out",
                percent(accuracy.safe),
                percent(accuracy.unsafe_),
                accuracy.graded,
                accuracy.undecided
            ),
        };
        files.push(("graded.csv".into(), to_csv(&graded)?));
        Ok(Graded {
            grader: format!("refusals as seen by {}", judge.name()),
            figures: vec![Figure::new(BEST, accuracy.map(|accuracy| accuracy.all), detail)],
            files,
        })
    }
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
    let detail = match score {
        None => "no question has both verdicts".to_owned(),
        Some(score) => format!(
            "({:+.1} / {:+.1}) against {against}; {} judged, {} without a verdict",
            score.lower - score.score,
            score.upper - score.score,
            score.judged,
            score.dropped
        ),
    };
    Figure::new(format!("{BEST}, {category}"), score.map(|score| score.score), detail)
}

/// A share for a reader.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{share:.1}"))
}

/// A name that can be that of a folder.
fn as_folder(name: &str) -> String {
    name.replace(['/', '\\', ':'], "_")
}

/// Each name once.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
