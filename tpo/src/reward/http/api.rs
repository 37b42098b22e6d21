//! Request and response formats of reward model servers.

use std::fmt::Display;

use serde_json::{Value as Json, json};
use strum::IntoStaticStr;
use textgrad_core::{EngineError, ErrorKind, truncate};
use textgrad_ops::util::terminal::escape_line;
use textgrad_ops::{ChatTemplate, ChatTemplateError};

use crate::query::Query;
use crate::reward::{conversation, refused};

/// What a reward model's server speaks.
///
/// | server | route | who applies the chat template |
/// |---|---|---|
/// | vLLM, 0.12 or later | `/classify` | the server |
/// | vLLM, any version (raw scores: 0.10.2 or later) | `/classify` | we do |
/// | vLLM, 0.12 or later | `/pooling` | the server |
/// | vLLM, any version (raw scores: 0.10.2 or later) | `/pooling` | we do |
/// | SGLang | `/classify` (not `/v1/classify`, whose softmax makes 1 of every score) | we do |
/// | text-embeddings-inference | `/predict` | we do, or none: query and answer as a pair |
/// | OpenRLHF's reward server | `/get_reward` | we do |
/// | NVIDIA NIM | `/v1/chat/completions` | the server; scores come as text |
///
/// vLLM up to 0.10.0 ignores what a request says about the activation: it gives raw scores only if it was
/// started with `--override-pooler-config`, and a model's own default else.
///
/// A model that begins every text with a special token must see it exactly once. vLLM, SGLang and
/// text-embeddings-inference put it there themselves, so a template's own is taken away; OpenRLHF's server
/// puts none there, so the template's stays.
#[derive(Debug, Clone, IntoStaticStr)]
#[non_exhaustive]
pub enum RewardApi {
    /// vLLM's `/classify` with messages. By default vLLM sends the output of a one-label model through a
    /// sigmoid; both names that the switch has had are sent.
    #[strum(to_string = "vllm")]
    VllmClassify,
    /// vLLM's `/classify` with texts, for versions that know no messages there.
    #[strum(to_string = "vllm-text")]
    VllmClassifyText(ChatTemplate),
    /// vLLM's `/pooling` with messages: also reward models that give a number per token, of which the last
    /// counts.
    #[strum(to_string = "vllm-pooling")]
    VllmPooling,
    /// vLLM's `/pooling` with texts.
    #[strum(to_string = "vllm-pooling-text")]
    VllmPoolingText(ChatTemplate),
    /// SGLang's native `/classify`, which gives raw scores.
    #[strum(to_string = "sglang")]
    Sglang(ChatTemplate),
    /// `/predict` of text-embeddings-inference, raw scores. Without a template, query and answer are sent as
    /// a pair, as classifiers of the BERT family take them.
    #[strum(to_string = "tei")]
    Tei(Option<ChatTemplate>),
    /// The reward server of OpenRLHF.
    #[strum(to_string = "openrlhf")]
    OpenRlhf(ChatTemplate),
    /// A reward model of NVIDIA NIM, whose reply is a text such as `reward:-9.6` or
    /// `helpfulness:1.6,correctness:1.2`: the attribute of this name is the score.
    #[strum(to_string = "nim")]
    Nim {
        /// Which attribute, such as `reward` or `helpfulness`.
        attribute: String,
    },
}

impl RewardApi {
    /// A short name, for journals and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// The settings that change scores and that the name omits.
    pub(super) fn settings(&self) -> String {
        match self {
            Self::VllmClassifyText(template)
            | Self::VllmPoolingText(template)
            | Self::Sglang(template)
            | Self::Tei(Some(template))
            | Self::OpenRlhf(template) => format!(" with template {}", template.fingerprint()),
            Self::Nim { attribute } => format!(" with attribute {attribute}"),
            Self::VllmClassify | Self::VllmPooling | Self::Tei(None) => String::new(),
        }
    }

    /// How many answers travel in one request by default: one, for these servers put requests
    /// that are there at the same time together themselves; 16 for OpenRLHF's, which does not.
    #[must_use]
    pub fn default_batch(&self) -> usize {
        match self {
            Self::OpenRlhf(_) => 16,
            _ => 1,
        }
    }

    /// How many answers one request can hold.
    pub(super) fn max_batch(&self) -> usize {
        match self {
            Self::VllmClassify | Self::VllmPooling | Self::Nim { .. } => 1,
            _ => usize::MAX,
        }
    }

    /// The route, below the base URL.
    pub(super) fn path(&self) -> &'static str {
        match self {
            Self::VllmClassify | Self::VllmClassifyText(_) | Self::Sglang(_) => "classify",
            Self::VllmPooling | Self::VllmPoolingText(_) => "pooling",
            Self::Tei(_) => "predict",
            Self::OpenRlhf(_) => "get_reward",
            Self::Nim { .. } => "v1/chat/completions",
        }
    }

    /// The body of a request.
    pub(super) fn body(
        &self,
        model: &str,
        query: &Query,
        answers: &[&str],
    ) -> Result<Json, EngineError> {
        let messages = || {
            // A conversation per request: `max_batch` is 1 wherever messages are sent.
            let answer = answers.first().copied().unwrap_or_default();
            let turns = query.turns().map(|(role, text)| json!({ "role": role, "content": text }));
            turns.chain([json!({ "role": "assistant", "content": answer })]).collect::<Json>()
        };
        Ok(match self {
            Self::VllmClassify | Self::VllmPooling => self.raw(json!({
                "model": model,
                "messages": messages(),
                "add_generation_prompt": false,
                "add_special_tokens": false,
            })),
            Self::VllmClassifyText(template) | Self::VllmPoolingText(template) => {
                self.raw(json!({ "model": model, "input": without_bos(template, query, answers)? }))
            }
            Self::Sglang(template) => json!({ "text": without_bos(template, query, answers)? }),
            Self::Tei(template) => {
                let inputs: Vec<Vec<String>> = match template {
                    Some(template) => without_bos(template, query, answers)?
                        .into_iter()
                        .map(|text| vec![text])
                        .collect(),
                    None => {
                        let pair =
                            |answer: &&str| vec![query.text().to_owned(), (*answer).to_owned()];
                        answers.iter().map(pair).collect()
                    }
                };
                json!({ "inputs": inputs, "raw_scores": true, "truncate": false })
            }
            Self::OpenRlhf(template) => {
                let texts = texts(query, answers, |turns| {
                    Ok(template.with_one_bos(&template.render(turns)?))
                })?;
                let prompts = vec![query.text(); answers.len()];
                json!({ "query": texts, "prompts": prompts, "labels": vec![""; answers.len()] })
            }
            Self::Nim { .. } => json!({ "model": model, "messages": messages() }),
        })
    }

    /// A request to vLLM for scores without an activation, by both names that the switch has had.
    fn raw(&self, mut body: Json) -> Json {
        if let Some(body) = body.as_object_mut() {
            body.insert("use_activation".to_owned(), false.into());
            body.insert("activation".to_owned(), false.into());
            if let Self::VllmPooling | Self::VllmPoolingText(_) = self {
                body.insert("encoding_format".to_owned(), "float".into());
            }
        }
        body
    }

    /// The scores of a reply, one per answer.
    pub(super) fn scores(&self, reply: &Json, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let first =
            Asked { path: self.path(), answer: answers.first().copied().unwrap_or_default() };
        if let Self::Nim { attribute } = self {
            return Ok(vec![attribute_of(first, reply, attribute)?]);
        }
        let list = match self {
            Self::Sglang(_) | Self::Tei(_) => Some(reply),
            // Old servers know only `rewards`; where there are both, they are the same.
            Self::OpenRlhf(_) => reply.get("rewards").or_else(|| reply.get("scores")),
            _ => reply.get("data"),
        };
        let items = items(first, list, answers.len())?.into_iter().zip(answers);
        items.map(|(item, answer)| self.score(item, Asked { answer, ..first })).collect()
    }

    /// The score of an answer in its item of a reply.
    fn score(&self, item: &Json, asked: Asked<'_>) -> Result<f64, EngineError> {
        let field = |item: &Json, name: &str| item.get(name).cloned().unwrap_or_default();
        match self {
            Self::VllmPooling | Self::VllmPoolingText(_) => {
                let data = field(item, "data");
                // Of one score per token, the last one counts.
                match data.as_array().and_then(|rows| rows.last()) {
                    Some(last @ Json::Array(_)) => only(asked, last),
                    _ if data.is_array() => only(asked, &data),
                    _ => finite(asked, &data),
                }
            }
            Self::Sglang(_) => only(asked, &field(item, "embedding")),
            Self::Tei(_) => match item.as_array().map(Vec::as_slice) {
                Some([label]) => finite(asked, &field(label, "score")),
                Some(labels) => Err(asked.classes(labels.len())),
                None => Err(asked.unexpected("a list of labels", item)),
            },
            Self::OpenRlhf(_) if !item.is_array() => finite(asked, item),
            Self::OpenRlhf(_) => only(asked, item),
            _ => only(asked, &field(item, "probs")),
        }
    }
}

/// Answers as a template renders them.
fn texts(
    query: &Query,
    answers: &[&str],
    render: impl Fn(&[(&str, &str)]) -> Result<String, ChatTemplateError>,
) -> Result<Vec<String>, EngineError> {
    let text = |answer: &&str| render(&conversation(query, answer));
    let texts: Result<Vec<String>, ChatTemplateError> = answers.iter().map(text).collect();
    texts.map_err(|error| refused(error, "the reward model's chat template"))
}

fn without_bos(
    template: &ChatTemplate,
    query: &Query,
    answers: &[&str],
) -> Result<Vec<String>, EngineError> {
    texts(query, answers, |turns| Ok(template.without_bos(&template.render(turns)?).to_owned()))
}

/// The request that a reply belongs to, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) path: &'a str,
    pub(crate) answer: &'a str,
}

impl Asked<'_> {
    /// The error of a reply that is not what the route promises. Asking again cannot help.
    pub(crate) fn unexpected(self, expected: &str, got: &dyn Display) -> EngineError {
        let message = format!(
            "expected {expected} from /{}, got {}, for the answer {:?}",
            self.path,
            truncate(&escape_line(&got.to_string()), 200),
            truncate(self.answer, 80)
        );
        EngineError::new(ErrorKind::BadResponse, message).with_retryable(false)
    }

    /// The error of a model that gives another number of scores than one.
    fn classes(self, count: usize) -> EngineError {
        let got = format!("{count} classes: this is not a reward model with one output");
        self.unexpected("one finite score", &got)
    }
}

/// A finite number.
fn finite(asked: Asked<'_>, value: &Json) -> Result<f64, EngineError> {
    let score = value.as_f64().filter(|score| score.is_finite());
    score.ok_or_else(|| asked.unexpected("one finite score", value))
}

/// The only number of a list of scores, one per class.
fn only(asked: Asked<'_>, scores: &Json) -> Result<f64, EngineError> {
    match scores.as_array().map(Vec::as_slice) {
        Some([score]) => finite(asked, score),
        Some(many) => Err(asked.classes(many.len())),
        None => Err(asked.unexpected("a list of scores", scores)),
    }
}

/// The number behind the name of an attribute in a reply of text.
fn attribute_of(asked: Asked<'_>, reply: &Json, attribute: &str) -> Result<f64, EngineError> {
    let text = reply.pointer("/choices/0/message/content").and_then(Json::as_str);
    let text = text.ok_or_else(|| asked.unexpected("an answer with scores", reply))?;
    let score = text
        .split([',', '\n'])
        .filter_map(|part| part.split_once(':'))
        .find(|(name, _)| name.trim() == attribute)
        .and_then(|(_, number)| number.trim().parse::<f64>().ok())
        .filter(|score| score.is_finite());
    score.ok_or_else(|| asked.unexpected(&format!("`{attribute}:` and a finite number"), &text))
}

/// One item per answer, by `index` where the items have one.
fn items<'j>(
    asked: Asked<'_>,
    list: Option<&'j Json>,
    answers: usize,
) -> Result<Vec<&'j Json>, EngineError> {
    let Some(items) = list.and_then(Json::as_array) else {
        let got = list.map_or_else(|| "none".to_owned(), ToString::to_string);
        return Err(asked.unexpected("a list of results", &got));
    };
    if items.len() != answers {
        return Err(asked.unexpected(&format!("{answers} result(s)"), &items.len()));
    }
    let mut items: Vec<&Json> = items.iter().collect();
    let index = |item: &Json| item.get("index").and_then(Json::as_u64);
    if items.iter().all(|item| index(item).is_some()) {
        items.sort_by_key(|item| index(item));
        // An index that is there twice would give an answer the score of another.
        let mut positions = (0..).zip(&items);
        if let Some((_, item)) = positions.find(|(position, item)| index(item) != Some(*position)) {
            let expected = format!("each index from 0 to {} once", items.len().saturating_sub(1));
            return Err(asked.unexpected(&expected, item));
        }
    }
    Ok(items)
}
