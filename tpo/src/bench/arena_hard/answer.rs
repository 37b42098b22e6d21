//! Lines of `model_answer`.

use serde::{Deserialize, Serialize};
use textgrad_core::Seed;

use super::markdown::Style;
use super::{PublishedTurn, Question};
use crate::bench::records::{records, to_jsonl, unique};
use crate::error::Error;
use crate::truncate::Tokenizer;

/// The letters and digits of short ids, without those that look alike.
const ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// An answer to a question: one line of `model_answer/<model>.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PublishedAnswer")]
pub struct Answer {
    /// The question.
    pub uid: String,
    /// A name of its own.
    pub ans_id: String,
    /// The model; the file must have its name, see [`file_name`].
    pub model: String,
    messages: [AnswerTurn; 2],
    /// When it was written, in seconds since 1970.
    pub tstamp: f64,
    /// Its style.
    #[serde(default, rename = "metadata")]
    pub style: Style,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AnswerTurn {
    role: String,
    content: TurnContent,
}

/// A user's turn is a text, a model's turn holds its text under `answer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum TurnContent {
    Text(String),
    Answer { answer: String },
}

/// An answer in either shape that the authors published: with `messages`, or with `choices`, as for version 0.1.
#[derive(Deserialize)]
struct PublishedAnswer {
    uid: Option<String>,
    question_id: Option<String>,
    ans_id: Option<String>,
    answer_id: Option<String>,
    model: Option<String>,
    model_id: Option<String>,
    messages: Option<[AnswerTurn; 2]>,
    choices: Option<Vec<PublishedChoice>>,
    tstamp: f64,
    #[serde(default)]
    metadata: Style,
}

#[derive(Deserialize)]
struct PublishedChoice {
    turns: Vec<PublishedTurn>,
}

impl TryFrom<PublishedAnswer> for Answer {
    type Error = String;

    /// The shape with `choices` lacks the question's text, and its lengths are in another vocabulary, so the style is
    /// left to be counted.
    fn try_from(published: PublishedAnswer) -> Result<Self, String> {
        let PublishedAnswer { messages, choices, tstamp, metadata: style, .. } = published;
        let messages = match (messages, choices) {
            (Some(messages), _) => messages,
            (None, Some(choices)) => {
                let count = choices.iter().map(|choice| choice.turns.len()).sum::<usize>();
                let mut turns = choices.into_iter().flat_map(|choice| choice.turns);
                let (Some(turn), 1) = (turns.next(), count) else {
                    return Err(format!("expected one answer in \"choices\", got {count}"));
                };
                let content = TurnContent::Answer { answer: turn.content };
                let asked =
                    AnswerTurn { role: "user".into(), content: TurnContent::Text(String::new()) };
                [asked, AnswerTurn { role: "assistant".into(), content }]
            }
            (None, None) => {
                return Err(
                    "expected an answer with \"messages\", or with \"choices\" as in version 0.1, \
                            got neither"
                        .to_owned(),
                );
            }
        };
        let named = |own: Option<String>, old: Option<String>, names| {
            own.or(old).ok_or_else(|| format!("expected {names}, got neither"))
        };
        let uid = named(published.uid, published.question_id, "\"uid\" or \"question_id\"")?;
        let ans_id = named(published.ans_id, published.answer_id, "\"ans_id\" or \"answer_id\"")?;
        let model = named(published.model, published.model_id, "\"model\" or \"model_id\"")?;
        Ok(Self { uid, ans_id, model, messages, tstamp, style })
    }
}

impl Answer {
    /// The answer of a model. Its id follows from the question, the model and the text, so the same answers
    /// give the same file.
    #[must_use]
    pub fn new(question: &Question, model: &str, text: &str, tstamp: f64) -> Self {
        let asked = AnswerTurn {
            role: "user".to_owned(),
            content: TurnContent::Text(question.prompt.clone()),
        };
        let content = TurnContent::Answer { answer: text.to_owned() };
        let reply = AnswerTurn { role: "assistant".to_owned(), content };
        Self {
            uid: question.uid.clone(),
            ans_id: id(&[&question.uid, model, text]),
            model: model.to_owned(),
            messages: [asked, reply],
            tstamp,
            style: Style::of(text),
        }
    }

    /// The same, with its style where the file had none.
    fn with_style(mut self) -> Self {
        if self.style.token_len.is_none_or(|tokens| tokens == 0) {
            self.style = Style::of(self.text());
        }
        self
    }

    /// Counts the length of the answer in tokens of a tokenizer; see [`Style::count_tokens`].
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn count_tokens(&mut self, tokenizer: &dyn Tokenizer) -> Result<(), Error> {
        let text = self.text().to_owned();
        self.style.count_tokens(&text, tokenizer)
    }

    /// The answer of the model.
    #[must_use]
    pub fn text(&self) -> &str {
        let [_, reply] = &self.messages;
        match &reply.content {
            TurnContent::Text(text) | TurnContent::Answer { answer: text } => text,
        }
    }
}

fn id(of: &[&str]) -> String {
    let seed = of.iter().fold(Seed::new(0), |seed, text| seed.child(text, 0));
    let letter = |position| {
        let drawn = seed.child("letter", position).value() % ALPHABET.len() as u64;
        let drawn = usize::try_from(drawn).unwrap_or_default();
        char::from(ALPHABET.get(drawn).copied().unwrap_or(b'2'))
    };
    (0..22).map(letter).collect()
}

/// The name of the file of a model's answers. The official programs take the model's name from it.
///
/// # Errors
/// [`Error::Config`] for a name that cannot be a file's, such as one with a slash.
pub fn file_name(model: &str) -> Result<String, Error> {
    if model.trim().is_empty() || model.starts_with('.') || model.contains(['/', '\\', '\0', ':']) {
        let expected = "one that can be a file's name, since Arena-Hard takes it from there";
        return Err(Error::config("model-name", expected, format!("{model:?}")));
    }
    Ok(format!("{model}.jsonl"))
}

/// The text of a file of answers of one model.
///
/// # Errors
/// [`Error::Input`] for answers of several models, or several to one question.
pub fn write_answers(answers: &[Answer]) -> Result<String, Error> {
    unique(answers.iter().map(|answer| (answer.model.as_str(), answer.uid.as_str())), "uid")?;
    if let Some((one, other)) =
        answers.iter().zip(answers.iter().skip(1)).find(|(one, other)| one.model != other.model)
    {
        let reason = format!("expected answers of one model, got some of {:?} too", other.model);
        return Err(Error::input(&one.model, reason));
    }
    to_jsonl(answers)
}

/// Reads a file of answers, such as the baseline's, in either shape that the authors published. `source` is the file's
/// name, for errors. Where a line has no length in its `metadata`, the style is counted, tokens with the feature
/// `o200k` only.
///
/// # Errors
/// [`Error::Input`] with the line and what was expected; also for a question that comes twice.
pub fn read_answers(source: &str, text: &str) -> Result<Vec<Answer>, Error> {
    let read = records::<Answer>(source, text)?;
    unique(read.iter().map(|(position, a)| (position.as_str(), a.uid.as_str())), "uid")?;
    Ok(read.into_iter().map(|(_, answer)| answer.with_style()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn question(uid: &str) -> Question {
        let line = json!({ "uid": uid, "category": "hard_prompt", "prompt": "Why?" });
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn a_line_has_the_official_shape() {
        let answer = Answer::new(&question("q"), "my-model", "# Because\n", 1_700_000_000.5);
        let line: Json =
            serde_json::from_str(&write_answers(std::slice::from_ref(&answer)).unwrap()).unwrap();
        assert_eq!(
            line["messages"],
            json!([
                { "role": "user", "content": "Why?" },
                { "role": "assistant", "content": { "answer": "# Because\n" } }
            ])
        );
        assert_eq!(line["tstamp"], 1_700_000_000.5);
        assert_eq!(line["metadata"]["header_count"]["h1"], 1);
        assert_eq!(line["ans_id"].as_str().unwrap().len(), 22);
        let mut keys: Vec<_> = line.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["ans_id", "messages", "metadata", "model", "tstamp", "uid"]);
        let back =
            read_answers("f", &write_answers(std::slice::from_ref(&answer)).unwrap()).unwrap();
        assert_eq!(back, [answer]);
        assert_eq!(back[0].text(), "# Because\n");
    }

    #[test]
    fn a_style_that_is_not_told_is_counted() {
        let answer = Answer::new(&question("q"), "m", "# Because\n**so**", 0.0);
        let mut line = serde_json::to_value(&answer).unwrap();
        line["metadata"] = json!({ "finish_reason": "stop" });
        assert_eq!(read_answers("f", &line.to_string()).unwrap(), std::slice::from_ref(&answer));
        line.as_object_mut().unwrap().remove("metadata");
        assert_eq!(read_answers("f", &line.to_string()).unwrap(), [answer]);
    }

    #[test]
    fn answers_of_version_0_1_are_read() {
        let line = |choices: Json| {
            json!({
                "question_id": "q", "answer_id": "a", "model_id": "gpt-4-0314", "choices": choices, "tstamp": 1.5,
                "conv_metadata": { "token_len": 9, "header_count": { "h1": 7 } },
            })
            .to_string()
        };
        let turn = json!({ "content": "# Because\n", "token_len": 9 });
        let read = read_answers("f", &line(json!([{ "index": 0, "turns": [turn] }]))).unwrap();
        let same = Answer::new(&question("q"), "gpt-4-0314", "# Because\n", 1.5);
        assert_eq!((read[0].uid.as_str(), read[0].text()), ("q", "# Because\n"));
        assert_eq!((&read[0].model, &read[0].style), (&same.model, &same.style));

        for (line, words) in [
            (line(json!([{ "turns": [turn, turn] }])), "expected one answer in \"choices\", got 2"),
            (line(json!([])), "got 0"),
            (json!({ "tstamp": 0.0 }).to_string(), "\"messages\", or with \"choices\""),
            (
                line(json!([{ "turns": [turn] }])).replace("model_id", "m"),
                "\"model\" or \"model_id\"",
            ),
        ] {
            let error = read_answers("f", &line).unwrap_err().to_string();
            assert!(error.starts_with("f, line 1: ") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn ids_differ_and_can_be_repeated() {
        let of = |uid, text| Answer::new(&question(uid), "m", text, 0.0).ans_id;
        assert_eq!(of("1", "a"), of("1", "a"));
        assert_ne!(of("1", "a"), of("2", "a"));
        assert_ne!(of("1", "a"), of("1", "b"));
    }

    #[test]
    fn the_file_is_named_after_the_model() {
        assert_eq!(file_name("gpt-4.1").unwrap(), "gpt-4.1.jsonl");
        for wrong in ["meta/llama", "", ".", "../x", "a\\b"] {
            assert!(file_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn mixed_or_repeated_answers_are_refused() {
        let answer = |uid, model| Answer::new(&question(uid), model, "x", 0.0);
        assert!(write_answers(&[answer("1", "m"), answer("1", "m")]).is_err());
        let error = write_answers(&[answer("1", "m"), answer("2", "n")]).unwrap_err().to_string();
        assert!(error.contains("got some of \"n\" too"), "{error}");
    }
}
