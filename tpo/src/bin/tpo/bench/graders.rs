//! From answers to a figure, and to files for other graders.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt, stream};
use textgrad_core::{Engine, PromptPack, Seed};
use tpo::Error;
use tpo::bench::{Benchmark, alpaca_eval, arena_hard, math500, mean_reward, read_file, xstest};
use tpo::run::{ResultRecord, Status};

use crate::args::BenchArgs;
use crate::engines::missing;

/// The best answers of the queries that came to their end, with their places and scores.
pub(super) struct Answered(Vec<(usize, String, f64)>);

impl Answered {
    pub(super) fn new(records: Vec<ResultRecord>) -> Self {
        let done = records.into_iter().filter(|record| record.status == Status::Ok);
        let answer =
            |record: ResultRecord| record.best.map(|best| (record.index, best.text, best.score));
        Self(done.filter_map(answer).collect())
    }

    /// The records of the benchmark that were answered, with the answers.
    fn with<'a, T>(&'a self, records: &'a [T]) -> Vec<(&'a T, &'a str)> {
        let pair = |(place, text, _): &'a (usize, String, f64)| {
            records.get(*place).map(|record| (record, text.as_str()))
        };
        self.0.iter().filter_map(pair).collect()
    }
}

/// What graders need.
pub(super) struct Setting<'a> {
    pub(super) args: &'a BenchArgs,
    pub(super) source: &'a str,
    pub(super) text: &'a str,
    pub(super) prompts: Arc<PromptPack>,
    pub(super) judge: Option<Arc<dyn Engine>>,
}

/// What came of grading.
#[derive(Default)]
pub(super) struct Graded {
    /// Ours; none where there is nothing to count, or where the official program counts.
    pub(super) figure: Option<f64>,
    /// What the figure is made of, in words.
    pub(super) detail: String,
    /// Who graded.
    pub(super) grader: String,
    /// Files by name.
    pub(super) files: Vec<(PathBuf, String)>,
}

/// Refuses settings that lack what the grader needs, before anything is paid for.
pub(super) fn check(args: &BenchArgs) -> Result<(), Error> {
    if matches!(args.name, Benchmark::ArenaHard | Benchmark::XsTest) && args.judge.is_none() {
        return Err(missing("judge", "the model that judges the answers, as in --engine"));
    }
    if args.name == Benchmark::ArenaHard {
        arena_hard::file_name(&args.model_name)?;
        if args.baseline.is_none() {
            return Err(missing("baseline", "the file of the baseline's answers"));
        }
    }
    Ok(())
}

pub(super) async fn grade(setting: &Setting<'_>, answered: &Answered) -> Result<Graded, Error> {
    match setting.args.name {
        Benchmark::AlpacaEval => alpaca_eval(setting, answered),
        Benchmark::ArenaHard => arena_hard(setting, answered).await,
        Benchmark::HhRlhf | Benchmark::BeaverTails => Ok(reward(answered)),
        Benchmark::XsTest => xstest(setting, answered).await,
        Benchmark::Math500 => math500(setting, answered),
    }
}

fn reward(answered: &Answered) -> Graded {
    let scores: Vec<f64> = answered.0.iter().map(|(_, _, score)| *score).collect();
    let mean = mean_reward(&scores);
    let detail = mean.map(|mean| format!("+- {:.3}, {} answers", mean.standard_error, mean.items));
    Graded {
        figure: mean.map(|mean| mean.mean),
        detail: detail.unwrap_or_default(),
        grader: "the mean score of the reward model that also guided the search".to_owned(),
        files: Vec::new(),
    }
}

fn math500(setting: &Setting<'_>, answered: &Answered) -> Result<Graded, Error> {
    let problems = math500::read(setting.source, setting.text)?;
    let answers = answered.with(&problems);
    let grades: Vec<math500::Grade> =
        answers.iter().map(|(problem, said)| problem.grade(said)).collect();
    let pairs: Vec<math500::Pair> = answers
        .iter()
        .map(|(problem, said)| math500::Pair {
            answer: (*said).to_owned(),
            gold: problem.answer.clone(),
        })
        .collect();
    let accuracy = math500::accuracy(&grades);
    let detail = accuracy.map(|accuracy| {
        format!(
            "{} of {} right, {} undecided and counted as wrong (at most {:.1})",
            accuracy.correct, accuracy.items, accuracy.undecided, accuracy.at_most
        )
    });
    Ok(Graded {
        figure: accuracy.map(|accuracy| accuracy.accuracy),
        detail: detail.unwrap_or_default(),
        grader: "the rules of PRM800K".to_owned(),
        files: vec![
            ("pairs.csv".into(), math500::write_pairs(&pairs)?),
            ("pairs.jsonl".into(), math500::write_pairs_jsonl(&pairs)?),
        ],
    })
}

async fn xstest(setting: &Setting<'_>, answered: &Answered) -> Result<Graded, Error> {
    let prompts = xstest::read(setting.source, setting.text)?;
    let Some(engine) = setting.judge.clone() else { return Ok(Graded::default()) };
    let judge = xstest::RefusalJudge::new(engine, Arc::clone(&setting.prompts));
    let answers = answered.with(&prompts);
    let asked = answers.iter().map(|(prompt, said)| judge.grade(prompt, said));
    let concurrency = setting.args.run.concurrency.get();
    let graded: Vec<xstest::Graded> =
        stream::iter(asked).buffered(concurrency).try_collect().await?;
    let completions: Vec<xstest::Completion> =
        answers.iter().map(|(prompt, said)| xstest::Completion::new(prompt, *said)).collect();
    let accuracy = xstest::accuracy(&graded);
    let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{share:.1}"));
    let detail = accuracy.map(|accuracy| {
        format!(
            "safe {}, unsafe {}; {} graded, {} undecided and left out",
            percent(accuracy.safe),
            percent(accuracy.unsafe_),
            accuracy.graded,
            accuracy.undecided
        )
    });
    Ok(Graded {
        figure: accuracy.map(|accuracy| accuracy.all),
        detail: detail.unwrap_or_else(|| "the judge decided nothing".to_owned()),
        grader: format!("refusals as seen by {}", judge.name()),
        files: vec![
            ("completions.csv".into(), xstest::write(&completions)?),
            ("graded.csv".into(), xstest::write(&graded)?),
        ],
    })
}

fn alpaca_eval(setting: &Setting<'_>, answered: &Answered) -> Result<Graded, Error> {
    let set = alpaca_eval::read(setting.source, setting.text)?;
    let mut outputs = alpaca_eval::Outputs::new(&setting.args.model_name)?;
    for (item, said) in answered.with(&set) {
        outputs.push(&item.instruction, said)?;
    }
    let missing = alpaca_eval::missing(&set, outputs.outputs()).len();
    Ok(Graded {
        figure: None,
        detail: format!("{missing} of {} instructions without an output", set.len()),
        grader: "none: give model_outputs.json to the official program".to_owned(),
        files: vec![("model_outputs.json".into(), outputs.to_json()?)],
    })
}

async fn arena_hard(setting: &Setting<'_>, answered: &Answered) -> Result<Graded, Error> {
    let (Some(engine), Some(baseline)) = (setting.judge.clone(), &setting.args.baseline) else {
        return Ok(Graded::default());
    };
    let questions = arena_hard::read(setting.source, setting.text)?;
    let text = read_file(baseline).await?;
    let baseline = arena_hard::read_answers(&baseline.display().to_string(), &text)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0.0, |since| since.as_secs_f64());
    let name = &setting.args.model_name;
    let seed = Seed::new(setting.args.run.seed);
    let judge_name = engine.name().replace(['/', '\\', ':'], "_");
    let judge = arena_hard::Judge::new(engine, Arc::clone(&setting.prompts)).seed(seed);
    let mut answers = Vec::new();
    let mut games = Vec::new();
    for (question, said) in answered.with(&questions) {
        let answer = arena_hard::Answer::new(question, name, said, now);
        if let Some(baseline) = baseline.iter().find(|other| other.uid == question.uid) {
            games.push((question, baseline, answer.clone()));
        }
        answers.push(answer);
    }
    let unmatched = answers.len() - games.len();
    let played = games.iter().map(|(question, base, answer)| judge.judge(question, base, answer));
    let concurrency = setting.args.run.concurrency.get();
    let judgments: Vec<arena_hard::Judgment> =
        stream::iter(played).buffered(concurrency).try_collect().await?;
    let score = arena_hard::leaderboard(&judgments, seed.child("leaderboard", 0));
    let detail = score.map(|score| {
        format!(
            "({:+.1} / {:+.1}), {} questions judged, {} without a verdict, {unmatched} without a baseline",
            score.lower - score.score,
            score.upper - score.score,
            score.judged,
            score.dropped
        )
    });
    let file = arena_hard::file_name(name)?;
    Ok(Graded {
        figure: score.map(|score| score.score),
        detail: detail.unwrap_or_else(|| "no question has both verdicts".to_owned()),
        grader: format!("games judged by {judge_name}, without style control"),
        files: vec![
            (Path::new("model_answer").join(&file), arena_hard::write_answers(&answers)?),
            (
                Path::new("model_judgment").join(judge_name).join(file),
                arena_hard::write_judgments(&judgments)?,
            ),
        ],
    })
}

/// Writes the files into the folder of the run.
pub(super) async fn write(folder: &Path, files: &[(PathBuf, String)]) -> Result<(), Error> {
    for (name, text) in files {
        let path = folder.join("bench").join(name);
        let failed =
            |source| Error::Io { path: path.clone(), action: "can not be written", source };
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        tokio::fs::write(&path, text).await.map_err(failed)?;
    }
    Ok(())
}
