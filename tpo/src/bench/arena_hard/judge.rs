//! Judge that plays two games per question.

use std::sync::Arc;

use futures_util::future::try_join;
use serde::Serialize;
use serde_json::{Value as Json, json};
use textgrad_core::{Engine, PromptPack, Sampling, Seed, TemplateContext};

use super::judgment::{Game, Judgment};
use super::{Answer, Question};
use crate::bench::grader::Asker;
use crate::bench::records::wrong;
use crate::error::Error;

/// The variables of `duel_system` and `duel`, which word a game.
#[derive(Debug, Clone, Serialize)]
pub struct GameContext<'a> {
    /// The request.
    pub question: &'a str,
    /// The category of the question.
    pub category: &'a str,
    /// Whether the category is one where a judge need not answer the question first.
    pub creative: bool,
    /// The answer in the first place.
    pub answer_a: &'a str,
    /// The answer in the second place.
    pub answer_b: &'a str,
}

impl TemplateContext for GameContext<'_> {
    fn example() -> Json {
        json!({ "question": "", "category": "", "creative": false, "answer_a": "", "answer_b": "" })
    }
}

/// Compares answers: two games a question, with the positions swapped, as Arena-Hard does. The wording is
/// ours unless a pack brings the official one, and the score depends on the judge: compare only scores of the
/// same judge and wording.
#[derive(Debug, Clone)]
pub struct Judge(Asker);

impl Judge {
    /// A judge, at temperature 0 and at most 16000 tokens a judgment, as the authors have it for version 2.
    /// The pack needs the [templates](crate::prompts::templates) of this crate.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, prompts: Arc<PromptPack>) -> Self {
        let sampling = Sampling::default().with_temperature(0.0).with_max_tokens(16_000);
        Self(Asker::new(engine, prompts)).sampling(sampling)
    }

    /// Sampling parameters of judgments; `n` is ignored.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.0.sampling = sampling;
        self
    }

    /// The seed that the seeds of the games are derived from.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.0.seed = seed;
        self
    }

    /// Plays both games of a question at the same time. A judgment without a verdict is kept as it is.
    ///
    /// # Errors
    /// [`Error::Input`] if the answers are to another question, else those of the engine and of the templates.
    pub async fn judge(
        &self,
        question: &Question,
        baseline: &Answer,
        answer: &Answer,
    ) -> Result<Judgment, Error> {
        for given in [baseline, answer] {
            if given.uid != question.uid {
                let reason =
                    format!("expected an answer to {:?}, got one to {:?}", question.uid, given.uid);
                return Err(wrong(&given.model, reason));
            }
        }
        let (first, second) = try_join(
            self.game(question, baseline.text(), answer.text(), 0),
            self.game(question, answer.text(), baseline.text(), 1),
        )
        .await?;
        Ok(Judgment {
            uid: question.uid.clone(),
            category: question.category.clone(),
            judge: self.0.name().to_owned(),
            model: answer.model.clone(),
            baseline: baseline.model.clone(),
            games: [Some(first), Some(second)],
        })
    }

    async fn game(&self, question: &Question, a: &str, b: &str, place: u64) -> Result<Game, Error> {
        let context = GameContext {
            question: &question.prompt,
            category: &question.category,
            creative: question.category == "creative_writing",
            answer_a: a,
            answer_b: b,
        };
        let seed = self.0.seed.child(&question.uid, 0).child("game", place);
        let (messages, reply) = self.0.ask(["duel_system", "duel"], &context, seed).await?;
        Ok(Game::new(&messages, reply.map(|choice| choice.text).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::testing::ScriptedEngine;
    use textgrad_core::{Purpose, Request};

    use super::*;
    use crate::bench::arena_hard::Verdict;

    fn setting(category: &str) -> (Question, Answer, Answer) {
        let line = json!({ "uid": "q", "category": category, "prompt": "Why {{x}}?" });
        let question: Question = serde_json::from_value(line).unwrap();
        let baseline = Answer::new(&question, "base", "the baseline's", 0.0);
        let answer = Answer::new(&question, "mine", "the </ANSWER_A> model's", 0.0);
        (question, baseline, answer)
    }

    fn judge(engine: &Arc<ScriptedEngine>) -> Judge {
        let pack = Arc::new(crate::prompts::default_pack().unwrap());
        Judge::new(Arc::clone(engine) as Arc<dyn Engine>, pack)
    }

    #[tokio::test]
    async fn the_positions_are_swapped_in_the_second_game() {
        let (question, baseline, answer) = setting("hard_prompt");
        let engine = Arc::new(ScriptedEngine::new(["so [[B>A]]", "no verdict"]));
        let judgment = judge(&engine).judge(&question, &baseline, &answer).await.unwrap();
        let [first, second] = judgment.games.each_ref().map(|game| game.as_ref().unwrap().score);
        assert_eq!((first, second), (Some(Verdict::BBetter), None));
        assert_eq!((judgment.model.as_str(), judgment.baseline.as_str()), ("mine", "base"));
        let sent = engine.requests();
        let place = |request: &Request, text: &str| request.messages[1].text().find(text).unwrap();
        assert!(place(&sent[0], "the baseline's") < place(&sent[0], "model's"));
        assert!(place(&sent[1], "the baseline's") > place(&sent[1], "model's"));
        assert!(sent[0].messages[1].text().contains("Why {{x}}?"));
        assert_eq!((sent[0].sampling.temperature, sent[0].sampling.n), (Some(0.0), 1));
        assert_ne!(sent[0].sampling.seed, sent[1].sampling.seed);
        assert_eq!(sent[0].purpose, Purpose::Judge);
    }

    #[tokio::test]
    async fn creative_questions_are_not_answered_first() {
        let mut systems = Vec::new();
        for category in ["hard_prompt", "creative_writing"] {
            let (question, baseline, answer) = setting(category);
            let engine = Arc::new(ScriptedEngine::new(["[[A=B]]", "[[A=B]]"]));
            judge(&engine).judge(&question, &baseline, &answer).await.unwrap();
            systems.push(engine.requests()[0].messages[0].text());
        }
        assert!(systems[0].contains("your own answer"), "{}", systems[0]);
        assert!(!systems[1].contains("your own answer"), "{}", systems[1]);
    }

    #[tokio::test]
    async fn answers_to_another_question_are_refused() {
        let (question, baseline, mut answer) = setting("hard_prompt");
        answer.uid = "other".to_owned();
        let engine = Arc::new(ScriptedEngine::new(["[[A=B]]"]));
        let error = judge(&engine).judge(&question, &baseline, &answer).await.unwrap_err();
        assert!(error.to_string().contains("got one to \"other\""), "{error}");
        assert!(engine.requests().is_empty());
    }
}
