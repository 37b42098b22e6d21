//! Language models as judges that grade by a criterion.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use textgrad_core::{Engine, Error, Message, Variable};

use super::{Example, ReplaceEngine, Scorer, Verdict};
use crate::prompts::{FunctionArgument, JudgeContext};
use crate::tags::{CallSettings, TaggedRequest, Tags, Unreadable, read_grade};

/// A language model that grades a text by a criterion.
///
/// The grade is read from between `<SCORE>` and `</SCORE>`, as [`read_grade`] reads it: `7`, `**7**`,
/// `7/10`. A reply that is the grade alone has it too. It becomes a number from 0 to 1. A reply without a grade, with
/// two, with one out of range, or that did not end is asked for again with what was wrong; [`Unreadable`]
/// says what becomes of the last.
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
#[derive(Debug, Clone)]
pub struct LlmJudge(LlmJudgeBuilder);

/// Settings of an [`LlmJudge`].
#[derive(Debug, Clone, Setters)]
#[must_use = "a builder does nothing until it builds"]
pub struct LlmJudgeBuilder {
    #[setters(skip)]
    pub(crate) call: CallSettings,
    #[setters(skip)]
    criterion: String,
    /// The highest grade, at least 1. The lowest is 0. Default: 10.
    highest: u32,
    /// Whether the judge is shown the expected answer, where there is one. Default: yes.
    show_expected: bool,
    /// Policy for a grade that cannot be parsed after all retries. Default: [`Unreadable::Fail`].
    unreadable: Unreadable,
}

const START: &str = "<SCORE>";
const END: &str = "</SCORE>";

impl LlmJudge {
    /// A judge that asks this engine how far a prediction meets the criterion, in words.
    pub fn builder(engine: Arc<dyn Engine>, criterion: impl Into<String>) -> LlmJudgeBuilder {
        LlmJudgeBuilder {
            call: CallSettings::new(engine),
            criterion: criterion.into(),
            highest: 10,
            show_expected: true,
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
        Ok(self.0.call.prompts.messages("judge", &context)?)
    }
}

#[async_trait]
impl Scorer for LlmJudge {
    fn name(&self) -> &str {
        "LLM judge"
    }

    fn identity(&self) -> Cow<'_, str> {
        let LlmJudgeBuilder { call, criterion, highest, .. } = &self.0;
        Cow::Owned(format!("LLM judge {} 0 to {highest}: {criterion}", call.engine.name()))
    }

    /// # Errors
    /// That of the engine; [`Error::Op`] for a grade that cannot be parsed, by [`Unreadable::Fail`].
    async fn score(&self, text: &str, example: &Example) -> Result<Verdict, Error> {
        let tags = Tags::of(START, END);
        let request = TaggedRequest { call: self.0.call.clone(), tags, bare_values: true };
        let highest = f64::from(self.0.highest);
        let read = |grade: &str, _: &_| Ok(read_grade(grade, 0.0..=highest)? / highest);
        let messages = self.messages(text, example)?;
        let reply = request.ask(messages, None, read, "judge_retry").await?;
        let problem = match reply.value {
            Ok(score) => return Ok(score.into()),
            Err(problem) => problem,
        };
        let requests = u64::from(self.0.call.parse_retries) + 1;
        let problem = format!(
            "no grade for example {} in {requests} request(s): {problem}",
            example.quoted_id()
        );
        let score = self.0.unreadable.resolve(0.0, || Error::op(problem.clone()))?;
        Ok(score.map_or_else(|| Verdict::without_score(problem), Verdict::from))
    }

    fn is_simulation(&self) -> bool {
        self.0.call.engine.is_simulation()
    }

    fn with_engines(&self, replace: ReplaceEngine<'_>) -> Option<Arc<dyn Scorer>> {
        let mut settings = self.0.clone();
        settings.call.engine = replace(&settings.call.engine);
        Some(Arc::new(Self(settings)))
    }
}

impl LlmJudgeBuilder {
    /// The judge.
    #[must_use]
    pub fn build(self) -> LlmJudge {
        LlmJudge(Self { highest: self.highest.max(1), ..self })
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::testing::{Reply, ScriptedEngine};
    use textgrad_core::{EngineError, ErrorKind, Purpose, Score, Seed};

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
    async fn a_reply_without_an_answer_is_asked_for_again() {
        let none = || {
            Reply::error(EngineError::new(ErrorKind::NoAnswer, "POST http://h: none of the tokens"))
        };
        let engine = Arc::new(ScriptedEngine::new([none(), "<SCORE>5</SCORE>".into()]));
        let score = judge(&engine).build().score("No.", &example()).await.unwrap();
        assert_eq!(score.score(), Some(Score::Number(0.5)));
        let again = engine.requests()[1].messages[1].text();
        assert!(again.contains("its reasoning did not end"), "{again}");
        assert!(!again.contains("http"), "{again}");
        let engine = Arc::new(ScriptedEngine::new([none(), none(), none()]));
        let error = judge(&engine).build().score("No.", &example()).await.unwrap_err().to_string();
        assert!(error.contains("in 3 request(s): POST http://h: none of the tokens"), "{error}");
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
