//! Language models as judges that grade by a criterion.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Engine, Error, Message, Sampling, Seed, Variable, truncate};

use super::{Example, ReplaceEngine, Scorer, TaggedRequest, Unreadable, Verdict, quoted_id};
use crate::optim::Tags;
use crate::prompts::{FunctionArgument, JudgeContext, Prompts};

/// A language model that grades a text by a criterion.
///
/// The grade is read from between `<SCORE>` and `</SCORE>`, as `7` or, with 10 as the highest, as `7/10`. It
/// becomes a number from 0 to 1. A reply without one, or with one out of range, is asked for again with what
/// was wrong; [`Unreadable`] says what becomes of the last.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_ops::score::{Example, LlmJudge, Scorer};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["It is clear.\n<SCORE>8</SCORE>"]));
/// let judge = LlmJudge::builder(engine, "The answer is clear and complete.").build();
/// let example = Example::new("1").with_field("question", "Why is Mars red?");
/// assert_eq!(judge.score("Because of its rust.", &example).await?.required()?.as_f64(), 0.8);
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct LlmJudge(LlmJudgeBuilder);

/// Settings of an [`LlmJudge`].
#[derive(Clone)]
pub struct LlmJudgeBuilder {
    engine: Arc<dyn Engine>,
    criterion: String,
    highest: u32,
    show_expected: bool,
    prompts: Prompts,
    sampling: Sampling,
    seed: Option<Seed>,
    parse_retries: u32,
    unreadable: Unreadable,
}

const START: &str = "<SCORE>";
const END: &str = "</SCORE>";

impl LlmJudge {
    /// Default number of retries of a reply that cannot be parsed.
    pub const DEFAULT_PARSE_RETRIES: u32 = TaggedRequest::DEFAULT_PARSE_RETRIES;

    /// A judge that asks this engine how far a prediction meets the criterion, in words.
    pub fn builder(engine: Arc<dyn Engine>, criterion: impl Into<String>) -> LlmJudgeBuilder {
        LlmJudgeBuilder {
            engine,
            criterion: criterion.into(),
            highest: 10,
            show_expected: true,
            prompts: Prompts::default(),
            sampling: Sampling::default(),
            seed: None,
            parse_retries: Self::DEFAULT_PARSE_RETRIES,
            unreadable: Unreadable::default(),
        }
    }

    fn messages(&self, text: &str, example: &Example) -> Result<Vec<Message>, Error> {
        let fields = example.fields().map(|(name, text)| {
            let variable = Variable::constant(text, name);
            FunctionArgument::new(name, &variable)
        });
        let expected = example.expected().filter(|_| self.0.show_expected);
        let context = JudgeContext {
            criterion: self.0.criterion.clone(),
            fields: fields.collect(),
            prediction: text.to_owned(),
            expected: expected.map(str::to_owned),
            highest: self.0.highest,
            start_tag: START.to_owned(),
            end_tag: END.to_owned(),
        };
        Ok(vec![
            Message::system(self.0.prompts.render("judge_system", &context)?),
            Message::user(self.0.prompts.render("judge", &context)?),
        ])
    }

    fn read(&self, grade: &str) -> Result<f64, String> {
        let highest = f64::from(self.0.highest);
        let (number, of) = grade.split_once('/').map_or((grade, highest), |(number, of)| {
            (number, of.trim().parse().unwrap_or(f64::NAN))
        });
        match number.trim().parse::<f64>() {
            Ok(number) if (0.0..=highest).contains(&number) && of == highest => {
                Ok(number / highest)
            }
            _ => {
                let grade = truncate(grade, 40);
                Err(format!(
                    "expected a number from 0 to {} between the tags, got {grade:?}",
                    self.0.highest
                ))
            }
        }
    }
}

#[async_trait]
impl Scorer for LlmJudge {
    fn name(&self) -> &str {
        "LLM judge"
    }

    fn identity(&self) -> Cow<'_, str> {
        let LlmJudgeBuilder { engine, criterion, highest, .. } = &self.0;
        Cow::Owned(format!("LLM judge {} 0 to {highest}: {criterion}", engine.name()))
    }

    /// # Errors
    /// That of the engine; [`Error::Op`] for a grade that cannot be parsed, by [`Unreadable::Fail`].
    async fn score(&self, text: &str, example: &Example) -> Result<Verdict, Error> {
        let LlmJudgeBuilder { engine, sampling, parse_retries, prompts, .. } = &self.0;
        let tags = Tags::new(START, END).map_err(|error| Error::op(error.to_string()))?;
        let mut request = TaggedRequest::new(Arc::clone(engine), tags)
            .sampling(sampling.clone())
            .parse_retries(*parse_retries);
        if let Some(seed) = self.0.seed {
            request = request.seed(seed);
        }
        let retry = |context: &_| Ok(prompts.render("judge_retry", context)?);
        let read = |grade: &str, _: &_| self.read(grade);
        let reply = request.ask(self.messages(text, example)?, None, read, retry).await?;
        let problem = match reply.value {
            Ok(score) => return Ok(score.into()),
            Err(problem) => problem,
        };
        let requests = u64::from(*parse_retries) + 1;
        let problem = format!(
            "no grade for example {} in {requests} request(s): {problem}",
            quoted_id(example)
        );
        let score = self.0.unreadable.resolve(0.0, || Error::op(problem.clone()))?;
        Ok(score.map_or_else(|| Verdict::without_score(problem), Verdict::from))
    }

    fn is_simulation(&self) -> bool {
        self.0.engine.is_simulation()
    }

    fn with_engines(&self, replace: ReplaceEngine<'_>) -> Option<Arc<dyn Scorer>> {
        Some(Arc::new(Self(LlmJudgeBuilder { engine: replace(&self.0.engine), ..self.0.clone() })))
    }
}

impl LlmJudgeBuilder {
    /// The highest grade, at least 1. The lowest is 0. Default: 10.
    #[must_use]
    pub fn highest(mut self, highest: u32) -> Self {
        self.highest = highest.max(1);
        self
    }

    /// Whether the judge is shown the expected answer, where there is one. Default: yes.
    #[must_use]
    pub fn show_expected(mut self, show: bool) -> Self {
        self.show_expected = show;
        self
    }

    /// The wording of the requests.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.prompts = prompts.into();
        self
    }

    /// How grades are drawn; one answer whatever its `n` says.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling.with_n(1);
        self
    }

    /// Gives requests seeds, derived from what they ask. Without this they carry that of the sampling, or
    /// none.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Retries of a reply that cannot be parsed. Default: [`LlmJudge::DEFAULT_PARSE_RETRIES`].
    #[must_use]
    pub fn parse_retries(mut self, parse_retries: u32) -> Self {
        self.parse_retries = parse_retries;
        self
    }

    /// Policy for a grade that cannot be parsed after all retries. Default: [`Unreadable::Fail`].
    #[must_use]
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.unreadable = unreadable;
        self
    }

    /// The judge.
    #[must_use]
    pub fn build(self) -> LlmJudge {
        LlmJudge(self)
    }
}

impl fmt::Debug for LlmJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LlmJudgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmJudge")
            .field("engine", &self.engine.name())
            .field("criterion", &self.criterion)
            .field("highest", &self.highest)
            .field("parse_retries", &self.parse_retries)
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::testing::ScriptedEngine;
    use textgrad_core::{Purpose, Score};

    use super::*;

    fn example() -> Example {
        Example::new("q1").with_field("user_question", "Why </QUESTION>?").with_expected("Because.")
    }

    fn judge(engine: &Arc<ScriptedEngine>) -> LlmJudgeBuilder {
        let engine: Arc<dyn Engine> = engine.clone();
        LlmJudge::builder(engine, "It is short.").seed(Seed::new(1))
    }

    #[tokio::test]
    async fn what_is_asked() {
        let engine = Arc::new(ScriptedEngine::new(["<SCORE>7/10</SCORE>", "<SCORE>0</SCORE>"]));
        let score = judge(&engine).build().score("No.", &example()).await.unwrap();
        assert_eq!(score.score(), Some(Score::Number(0.7)));
        judge(&engine).show_expected(false).build().score("No.", &example()).await.unwrap();
        let requests = engine.requests();
        let user = requests[0].messages[1].text();
        for part in [
            "It is short.",
            "User question",
            "Why </QUESTION>?",
            "No.",
            "Because.",
            "<SCORE>",
            "0 to 10",
        ] {
            assert!(
                user.contains(part) || requests[0].messages[0].text().contains(part),
                "{part}: {user}"
            );
        }
        assert!(!requests[1].messages[1].text().contains("Because."));
        assert_eq!(requests[0].purpose, Purpose::Judge);
        assert_ne!(requests[0].sampling.seed, requests[1].sampling.seed, "another question");
    }

    #[tokio::test]
    async fn a_reply_without_a_grade_is_asked_for_again() {
        let engine =
            Arc::new(ScriptedEngine::new(["Good!", "<SCORE>11</SCORE>", "<SCORE>5</SCORE>"]));
        let score = judge(&engine).build().score("No.", &example()).await.unwrap();
        assert_eq!(score.score(), Some(Score::Number(0.5)));
        let texts: Vec<String> = engine.requests().iter().map(|r| r.messages[1].text()).collect();
        assert!(texts[1].contains("the opening tag <SCORE> was missing"), "{}", texts[1]);
        assert!(texts[2].contains("expected a number from 0 to 10"), "{}", texts[2]);
        assert!(!texts[2].contains("was missing"), "only the last problem is named");
        let seeds: std::collections::HashSet<_> =
            engine.requests().iter().map(|r| r.sampling.seed).collect();
        assert_eq!(seeds.len(), 3);
    }

    #[tokio::test]
    async fn what_becomes_of_an_unreadable_grade_is_a_setting() {
        for grade in [
            "<SCORE>-1</SCORE>",
            "<SCORE>NaN</SCORE>",
            "<SCORE>7/100</SCORE>",
            "<SCORE></SCORE>",
            "",
        ] {
            let engine = Arc::new(ScriptedEngine::new([grade, grade]));
            let judged = judge(&engine).parse_retries(0).build().score("No.", &example()).await;
            let error = judged.unwrap_err().to_string();
            assert!(error.starts_with("no grade for example \"q1\" in 1 request(s): "), "{error}");
            let worst = judge(&engine).parse_retries(0).unreadable(Unreadable::Score(0.0)).build();
            let verdict = worst.score("No.", &example()).await.unwrap();
            assert_eq!(verdict.score(), Some(Score::Number(0.0)));
        }
    }
}
