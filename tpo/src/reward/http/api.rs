//! Request and response formats of reward model servers.

use serde_json::{Value as Json, json};
use textgrad_core::{EngineError, ErrorKind, truncate};

use crate::query::Query;
use crate::reward::template::ChatTemplate;

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
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RewardApi {
    /// vLLM's `/classify` with messages. By default vLLM sends the output of a one-label model through a
    /// sigmoid; both names that the switch has had are sent.
    VllmClassify,
    /// vLLM's `/classify` with texts, for versions that know no messages there.
    VllmClassifyText(ChatTemplate),
    /// vLLM's `/pooling` with messages: also reward models that give a number per token, of which the last
    /// counts.
    VllmPooling,
    /// vLLM's `/pooling` with texts.
    VllmPoolingText(ChatTemplate),
    /// SGLang's native `/classify`, which gives raw scores.
    Sglang(ChatTemplate),
    /// `/predict` of text-embeddings-inference, raw scores. Without a template, query and answer are sent as
    /// a pair, as classifiers of the BERT family take them.
    Tei(Option<ChatTemplate>),
    /// The reward server of OpenRLHF.
    OpenRlhf(ChatTemplate),
    /// A reward model of NVIDIA NIM, whose reply is a text such as `reward:-9.6` or
    /// `helpfulness:1.6,correctness:1.2`: the attribute of this name is the score.
    Nim {
        /// Which attribute, such as `reward` or `helpfulness`.
        attribute: String,
    },
}

impl RewardApi {
    /// A short name, for journals and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::VllmClassify => "vllm",
            Self::VllmClassifyText(_) => "vllm-text",
            Self::VllmPooling => "vllm-pooling",
            Self::VllmPoolingText(_) => "vllm-pooling-text",
            Self::Sglang(_) => "sglang",
            Self::Tei(_) => "tei",
            Self::OpenRlhf(_) => "openrlhf",
            Self::Nim { .. } => "nim",
        }
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
            Self::VllmClassify => json!({
                "model": model,
                "messages": messages(),
                "add_generation_prompt": false,
                "add_special_tokens": false,
                "use_activation": false,
                "activation": false,
            }),
            Self::VllmClassifyText(template) => json!({
                "model": model,
                "input": without_bos(template, query, answers)?,
                "use_activation": false,
                "activation": false,
            }),
            Self::VllmPooling => json!({
                "model": model,
                "messages": messages(),
                "add_generation_prompt": false,
                "add_special_tokens": false,
                "use_activation": false,
                "activation": false,
                "encoding_format": "float",
            }),
            Self::VllmPoolingText(template) => json!({
                "model": model,
                "input": without_bos(template, query, answers)?,
                "use_activation": false,
                "activation": false,
                "encoding_format": "float",
            }),
            Self::Sglang(template) => json!({ "text": without_bos(template, query, answers)? }),
            Self::Tei(template) => {
                let inputs: Vec<Vec<String>> = match template {
                    Some(template) => without_bos(template, query, answers)?
                        .into_iter()
                        .map(|t| vec![t])
                        .collect(),
                    None => answers
                        .iter()
                        .map(|a| vec![query.text().to_owned(), (*a).to_owned()])
                        .collect(),
                };
                json!({ "inputs": inputs, "raw_scores": true, "truncate": false })
            }
            Self::OpenRlhf(template) => {
                let texts = texts(template, query, answers)?;
                let texts: Vec<String> =
                    texts.iter().map(|text| template.with_one_bos(text)).collect();
                let prompts = vec![query.text(); answers.len()];
                json!({ "query": texts, "prompts": prompts, "labels": vec![""; answers.len()] })
            }
            Self::Nim { .. } => json!({ "model": model, "messages": messages() }),
        })
    }

    /// The scores of a reply, one per answer.
    pub(super) fn scores(&self, reply: &Json, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let path = self.path();
        let of_items =
            |list: Option<&Json>, score: &dyn Fn(&Json, &str) -> Result<f64, EngineError>| {
                let items = items(path, list, answers)?;
                items.into_iter().zip(answers).map(|(item, answer)| score(item, answer)).collect()
            };
        let field = |item: &Json, name: &str| item.get(name).cloned().unwrap_or_default();
        match self {
            Self::VllmClassify | Self::VllmClassifyText(_) => {
                of_items(reply.get("data"), &|item, answer| {
                    only(path, &field(item, "probs"), answer)
                })
            }
            Self::VllmPooling | Self::VllmPoolingText(_) => {
                of_items(reply.get("data"), &|item, answer| {
                    pooled(path, &field(item, "data"), answer)
                })
            }
            Self::Sglang(_) => {
                of_items(Some(reply), &|item, answer| only(path, &field(item, "embedding"), answer))
            }
            Self::Tei(_) => of_items(Some(reply), &|labels, answer| match labels
                .as_array()
                .map(Vec::as_slice)
            {
                Some([label]) => finite(path, &field(label, "score"), answer),
                Some(many) => Err(classes(path, many.len(), answer)),
                None => Err(wrong(path, "a list of labels", &labels.to_string(), Some(answer))),
            }),
            Self::OpenRlhf(_) => {
                // Old servers know only `rewards`; where there are both, they are the same.
                let list = reply.get("rewards").or_else(|| reply.get("scores"));
                of_items(list, &|score, answer| match score {
                    Json::Array(_) => only(path, score, answer),
                    score => finite(path, score, answer),
                })
            }
            Self::Nim { attribute } => {
                let answer = answers.first().copied().unwrap_or_default();
                let text = reply.pointer("/choices/0/message/content").and_then(Json::as_str);
                let text = text.ok_or_else(|| {
                    wrong(path, "an answer with scores", &reply.to_string(), Some(answer))
                })?;
                let score = text
                    .split([',', '\n'])
                    .filter_map(|part| part.split_once(':'))
                    .find(|(name, _)| name.trim() == attribute)
                    .and_then(|(_, number)| number.trim().parse::<f64>().ok())
                    .filter(|score| score.is_finite());
                let expected = format!("`{attribute}:` and a finite number");
                Ok(vec![score.ok_or_else(|| wrong(path, &expected, text, Some(answer)))?])
            }
        }
    }
}

/// A pooled score: a number by itself or in a list, or one per token, of which the last one counts.
fn pooled(path: &str, data: &Json, answer: &str) -> Result<f64, EngineError> {
    match data {
        Json::Array(rows) => match rows.last() {
            Some(last @ Json::Array(_)) => only(path, last, answer),
            _ => only(path, data, answer),
        },
        number => finite(path, number, answer),
    }
}

fn texts(
    template: &ChatTemplate,
    query: &Query,
    answers: &[&str],
) -> Result<Vec<String>, EngineError> {
    let turns: Vec<(&str, &str)> =
        query.turns().map(|(role, text)| (role.as_str(), text)).collect();
    answers
        .iter()
        .map(|answer| {
            let turns: Vec<(&str, &str)> =
                turns.iter().copied().chain([("assistant", *answer)]).collect();
            template.render(&turns).map_err(|error| {
                let message =
                    "expected the reward model's chat template to take a query and an answer";
                EngineError::new(ErrorKind::InvalidRequest, message).with_source(error)
            })
        })
        .collect()
}

fn without_bos(
    template: &ChatTemplate,
    query: &Query,
    answers: &[&str],
) -> Result<Vec<String>, EngineError> {
    let texts = texts(template, query, answers)?;
    Ok(texts.iter().map(|text| template.without_bos(text).to_owned()).collect())
}

/// The longest part of a reply that an error shows, in characters.
const MAX_SHOWN: usize = 200;

/// A reply that is not what the route promises. Asking again cannot help.
pub(super) fn wrong(path: &str, expected: &str, got: &str, answer: Option<&str>) -> EngineError {
    let mut message = format!("expected {expected} from /{path}, got {}", truncate(got, MAX_SHOWN));
    if let Some(answer) = answer {
        message.push_str(&format!(", for the answer {:?}", truncate(answer, 80)));
    }
    EngineError::new(ErrorKind::BadResponse, message).with_retryable(false)
}

/// A finite number.
pub(super) fn finite(path: &str, value: &Json, answer: &str) -> Result<f64, EngineError> {
    value
        .as_f64()
        .filter(|score| score.is_finite())
        .ok_or_else(|| wrong(path, "one finite score", &value.to_string(), Some(answer)))
}

/// The only number of a list of scores, one per class.
pub(super) fn only(path: &str, scores: &Json, answer: &str) -> Result<f64, EngineError> {
    match scores.as_array().map(Vec::as_slice) {
        Some([score]) => finite(path, score, answer),
        Some(many) => Err(classes(path, many.len(), answer)),
        None => Err(wrong(path, "a list of scores", &scores.to_string(), Some(answer))),
    }
}

/// A model that gives another number of scores than one.
pub(super) fn classes(path: &str, count: usize, answer: &str) -> EngineError {
    let got = format!("{count} classes: this is not a reward model with one output");
    wrong(path, "one finite score", &got, Some(answer))
}

/// One item per answer, by `index` where the items have one.
pub(super) fn items<'j>(
    path: &str,
    list: Option<&'j Json>,
    answers: &[&str],
) -> Result<Vec<&'j Json>, EngineError> {
    let items = list.and_then(Json::as_array);
    let mut items: Vec<&Json> = items
        .ok_or_else(|| {
            let got = list.map_or_else(|| "none".to_owned(), ToString::to_string);
            wrong(path, "a list of results", &got, answers.first().copied())
        })?
        .iter()
        .collect();
    if items.len() != answers.len() {
        let (expected, got) = (format!("{} result(s)", answers.len()), items.len().to_string());
        return Err(wrong(path, &expected, &got, answers.first().copied()));
    }
    let index = |item: &Json| item.get("index").and_then(Json::as_u64);
    if items.iter().all(|item| index(item).is_some()) {
        items.sort_by_key(|item| index(item));
        // A place that is there twice would give an answer the score of another.
        if let Some((_, item)) = (0..).zip(&items).find(|(place, item)| index(item) != Some(*place))
        {
            let expected = format!("each index from 0 to {} once", items.len().saturating_sub(1));
            return Err(wrong(path, &expected, &item.to_string(), answers.first().copied()));
        }
    }
    Ok(items)
}
