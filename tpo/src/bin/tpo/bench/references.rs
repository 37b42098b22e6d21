//! Reference answers of comparisons.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use tpo::Error;
use tpo::bench::alpaca_eval::{self, LengthControl};
use tpo::bench::arena_hard::{self, Answer, Judgment, Question};
use tpo::bench::read_file;

use super::records::Records;
use crate::args::GradingArgs;

/// What answers are compared with.
#[derive(Default)]
pub(super) struct References {
    /// Outputs by instruction.
    pub(super) outputs: HashMap<String, alpaca_eval::Output>,
    /// How the length of outputs is controlled.
    pub(super) control: LengthControl,
    /// The index of each instruction in the whole evaluation set, if the control needs to know.
    pub(super) indices: HashMap<String, usize>,
    /// Answers by question: of several baselines, that of the question's category.
    pub(super) answers: HashMap<String, Answer>,
    /// Other models of a leaderboard.
    pub(super) others: Arc<Others>,
}

/// Other models whose style tells what style is worth.
#[derive(Default)]
pub(super) struct Others {
    pub(super) judgments: Vec<Judgment>,
    pub(super) answers: Vec<Answer>,
}

impl References {
    pub(super) async fn read(
        args: &GradingArgs,
        data: &Path,
        records: &Records,
    ) -> Result<Self, Error> {
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
        if args.judge.is_some() {
            references.differ_from(&args.model_name)?;
        }
        if let Some(path) = &args.length_control {
            references.control_lengths(path, data).await?;
        }
        if let Some(folder) = &args.leaderboard {
            references.others = Arc::new(Others::read(folder, &args.model_name).await?);
        }
        Ok(references)
    }

    /// Refuses the name of what the answers are compared with: figures take two of one name for one model.
    fn differ_from(&self, ours: &str) -> Result<(), Error> {
        let outputs = self.outputs.values().map(|output| output.generator.as_str());
        let answers = self.answers.values().map(|answer| answer.model.as_str());
        let expected = "another name than that of what the answers are compared with";
        match outputs.chain(answers).any(|name| name == ours) {
            false => Ok(()),
            true => Err(Error::config("model-name", expected, ours)),
        }
    }

    fn add(&mut self, questions: &[Question], answers: Vec<Answer>) {
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

    /// Difficulties go by the index in the whole set, whatever part of it is used.
    async fn control_lengths(&mut self, path: &Path, data: &Path) -> Result<(), Error> {
        let name = path.display().to_string();
        self.control = LengthControl::read(&name, &read_file(path).await?)?;
        let set = alpaca_eval::read(&data.display().to_string(), &read_file(data).await?)?;
        let known = self.control.instructions().unwrap_or_default();
        if set.len() != known {
            let reason = format!(
                "expected the difficulties of the {} instructions in {}, got those of {known}; difficulties \
                 go by the index in the whole evaluation set, of which --limit or --subset take a part",
                set.len(),
                data.display()
            );
            return Err(Error::input(name, reason));
        }
        self.indices = set.into_iter().map(|output| output.instruction).zip(0..).collect();
        Ok(())
    }
}

impl Others {
    /// Reads the judgments in a folder, `model_judgment/<judge>`, but for those of `ours`, and the answers of
    /// `model_answer` beside it.
    async fn read(folder: &Path, ours: &str) -> Result<Self, Error> {
        let mut judgments = Vec::new();
        for (name, text) in files(folder).await? {
            judgments.extend(arena_hard::read_judgments(&name, &text)?);
        }
        judgments.retain(|judgment| judgment.model != ours);
        let beside = folder.join("..").join("..").join("model_answer");
        let mut answers = Vec::new();
        for (name, text) in files(&beside).await? {
            answers.extend(arena_hard::read_answers(&name, &text)?);
        }
        let known: HashSet<(&str, &str)> =
            answers.iter().map(|answer| (answer.model.as_str(), answer.uid.as_str())).collect();
        let needed = judgments
            .iter()
            .flat_map(|j| [&j.model, &j.baseline].map(|model| (model.as_str(), j.uid.as_str())));
        if let Some((model, uid)) = needed.into_iter().find(|needed| !known.contains(needed)) {
            let reason =
                format!("expected the answer of {model:?} to {uid:?}, which is judged; found none");
            return Err(Error::input(beside.display(), reason));
        }
        Ok(Self { judgments, answers })
    }
}

/// The JSONL files of a folder, in the order of their names.
async fn files(folder: &Path) -> Result<Vec<(String, String)>, Error> {
    let wrong = |reason| Error::input(folder.display(), reason);
    let failed = |source: std::io::Error| wrong(format!("cannot be read: {source}"));
    let mut entries = tokio::fs::read_dir(folder).await.map_err(failed)?;
    let mut paths = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(wrong(
            "expected a folder with files that end in .jsonl, found none".to_owned(),
        ));
    }
    paths.sort();
    let mut read = Vec::with_capacity(paths.len());
    for path in paths {
        read.push((path.display().to_string(), read_file(&path).await?));
    }
    Ok(read)
}
