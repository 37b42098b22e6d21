//! MATH-500: 500 problems of mathematics with short answers.
//!
//! JSONL of `{"problem","solution","answer","subject","level","unique_id"}`. The answer of a model is what its
//! last `\boxed{}` holds, see [`last_boxed`]; [`grade`] compares it with the right one by the rules of the
//! PRM800K project. Other graders disagree with these rules in places, so a figure must say which grader gave
//! it; [`write_pairs`] and [`to_jsonl`](super::to_jsonl) write answers for them.

mod expression;
mod grade;
mod latex;
mod normalize;

mod symbolic;

use serde::{Deserialize, Serialize};
use textgrad_core::PromptPack;

pub use self::grade::{Accuracy, Grade, accuracy, grade};
pub use self::normalize::last_boxed;
use super::records::{records, to_csv, unique};
use crate::error::Error;
use crate::query::Query;

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with problem, answer and unique_id, as in MATH-500")]
pub struct Problem {
    /// What is asked.
    pub problem: String,
    /// How it is solved.
    #[serde(default)]
    pub solution: String,
    /// The right answer, as LaTeX.
    pub answer: String,
    /// The field.
    #[serde(default)]
    pub subject: String,
    /// How hard it is, from 1 to 5.
    #[serde(default)]
    pub level: Option<u8>,
    /// Its name.
    pub unique_id: String,
}

/// The variables of `math_query`, which words what the policy is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MathContext<'a> {
    /// The problem.
    pub problem: &'a str,
}

impl Problem {
    /// What a policy is asked without examples: the problem, and to think and to put the answer into a box.
    ///
    /// # Errors
    /// Those of the template.
    pub fn query(&self, prompts: &PromptPack) -> Result<Query, Error> {
        let context = MathContext { problem: &self.problem };
        Ok(Query::from(prompts.render("math_query", &context)?.trim_end()))
    }

    /// Grades a response: see [`last_boxed`] and [`grade`]. Without a box it is wrong.
    #[must_use]
    pub fn grade(&self, reply: &str) -> Grade {
        last_boxed(reply).map_or(Grade::Incorrect, |given| grade(given, &self.answer))
    }
}

/// Reads problems. `source` is the file's name, for errors.
///
/// # Errors
/// [`Error::Input`] with the line and what was expected; also for an id that comes twice.
pub fn read(source: &str, text: &str) -> Result<Vec<Problem>, Error> {
    let read = records::<Problem>(source, text)?;
    unique(
        read.iter().map(|(location, p)| (location.as_str(), p.unique_id.as_str())),
        "unique_id",
    )?;
    Ok(read.into_iter().map(|(_, problem)| problem).collect())
}

/// An answer beside the right one, for other graders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// What the model said, whole: graders that extract answers want it so.
    pub answer: String,
    /// The right answer.
    pub gold: String,
}

/// Pairs as CSV with the columns `answer` and `gold`, which Math-Verify reads. The right answer stands in a
/// `\boxed{}` there, since that program takes LaTeX only where it is marked and would find no right answer in
/// a bare `x^2`.
///
/// # Errors
/// None in practice.
pub fn write_pairs(pairs: &[Pair]) -> Result<String, Error> {
    let boxed = |pair: &Pair| Pair {
        answer: pair.answer.clone(),
        gold: format!("\\boxed{{{}}}", pair.gold),
    };
    to_csv(&pairs.iter().map(boxed).collect::<Vec<_>>())
}

/// An answer with its grade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Graded {
    /// The problem.
    pub unique_id: String,
    /// The field.
    pub subject: String,
    /// How hard it is, from 1 to 5.
    pub level: Option<u8>,
    /// What the last box held; none without a box.
    pub given: Option<String>,
    /// The right answer.
    pub gold: String,
    /// What the rules say.
    #[serde(flatten)]
    pub grade: Grade,
}

impl Graded {
    /// A graded response to a problem.
    #[must_use]
    pub fn new(problem: &Problem, reply: &str) -> Self {
        let Problem { answer, subject, level, unique_id, .. } = problem.clone();
        let given = last_boxed(reply).map(str::to_owned);
        Self { unique_id, subject, level, given, gold: answer, grade: problem.grade(reply) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::bench::to_jsonl;

    const LINE: &str = r#"{"problem":"What is $\\frac{1}{2}+1$?","solution":"s","answer":"\\frac{3}{2}","subject":"Algebra","level":1,"unique_id":"test/algebra/1.json"}"#;

    #[test]
    fn a_problem_is_asked_and_graded() {
        let problem = &read("f", LINE).unwrap()[0];
        let query = problem.query(&crate::prompts::default_pack()).unwrap();
        assert!(query.text().starts_with("What is $\\frac{1}{2}+1$?\n\n"), "{query:?}");
        assert!(query.text().ends_with("\\boxed{}."), "{query:?}");
        assert_eq!(problem.grade("So \\boxed{1}, no: \\boxed{\\dfrac32}."), Grade::Correct);
        assert_eq!(problem.grade("So \\boxed{\\dfrac32}, no: \\boxed{1}."), Grade::Incorrect);
        assert_eq!(problem.grade("So 3/2."), Grade::Incorrect);
    }

    #[test]
    fn answers_are_written_for_other_graders() {
        let pairs = [Pair { answer: "so, \"\\boxed{1}\"".to_owned(), gold: "1".to_owned() }];
        assert_eq!(
            write_pairs(&pairs).unwrap(),
            "answer,gold\n\"so, \"\"\\boxed{1}\"\"\",\\boxed{1}\n"
        );
        assert_eq!(
            to_jsonl(&pairs).unwrap(),
            "{\"answer\":\"so, \\\"\\\\boxed{1}\\\"\",\"gold\":\"1\"}\n"
        );
    }

    #[test]
    fn grades_are_written_with_their_reasons() {
        let problem = &read("f", LINE).unwrap()[0];
        let graded =
            [r"\boxed{3/2}", "3/2", r"\boxed{\foo}"].map(|reply| Graded::new(problem, reply));
        let lines: Vec<Json> = to_jsonl(&graded)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let grades: Vec<_> = lines.iter().map(|line| line["grade"].as_str().unwrap()).collect();
        assert_eq!(grades, ["correct", "incorrect", "undecided"]);
        assert_eq!(lines[1]["given"], Json::Null);
        assert!(lines[2]["reason"].as_str().unwrap().contains("foo"), "{}", lines[2]);
        assert_eq!(lines[0]["gold"], r"\frac{3}{2}");
    }

    #[test]
    fn bad_files_are_refused() {
        assert!(read("f", &format!("{LINE}\n{LINE}")).is_err());
        let error = read("f", r#"{"problem":"a","unique_id":"u"}"#).unwrap_err().to_string();
        assert!(error.contains("missing field `answer`"), "{error}");
    }
}
