use serde_json::{Value as Json, json};

use super::*;
use crate::ChatTemplate;

fn template() -> ChatTemplate {
    let source = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    ChatTemplate::from_source(source, Some("<s>")).unwrap()
}

fn body(api: &RewardApi) -> Json {
    api.body("rm", &"q".into(), &["a", "b"]).unwrap()
}

#[test]
fn texts_are_sent_as_each_server_takes_them() {
    let input = json!(["<user>q<assistant>a", "<user>q<assistant>b"]);
    let vllm = body(&RewardApi::VllmClassifyText(template()));
    assert_eq!(
        vllm,
        json!({ "model": "rm", "input": input, "use_activation": false, "activation": false })
    );
    let pooling = body(&RewardApi::VllmPoolingText(template()));
    assert_eq!(pooling["input"], input);
    assert_eq!(body(&RewardApi::Sglang(template())), json!({ "text": input }));
    assert_eq!(
        body(&RewardApi::Tei(Some(template()))),
        json!({
            "inputs": [["<user>q<assistant>a"], ["<user>q<assistant>b"]],
            "raw_scores": true,
            "truncate": false,
        })
    );
    assert_eq!(body(&RewardApi::Tei(None))["inputs"], json!([["q", "a"], ["q", "b"]]));
    assert_eq!(
        body(&RewardApi::OpenRlhf(template())),
        json!({
            "query": ["<s><user>q<assistant>a", "<s><user>q<assistant>b"],
            "prompts": ["q", "q"],
            "labels": ["", ""],
        })
    );
}

#[test]
fn messages_are_sent_one_conversation_at_a_time() {
    let messages = json!([
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": "a" },
    ]);
    for api in
        [RewardApi::VllmClassify, RewardApi::VllmPooling, RewardApi::Nim { attribute: "r".into() }]
    {
        let reward = HttpReward::builder("http://localhost:1", "rm", api.clone()).batch(8);
        assert_eq!(reward.build().unwrap().batch(), 1);
        assert_eq!(body(&api)["messages"], messages);
    }
    assert_eq!(body(&RewardApi::VllmClassify)["use_activation"], json!(false));
    assert_eq!(body(&RewardApi::VllmPooling)["use_activation"], json!(false));
}

fn scores(api: &RewardApi, reply: &Json) -> Result<Vec<f64>, String> {
    api.scores(reply, &["first", "second"]).map_err(|error| {
        assert!(!error.is_retryable(), "asking again cannot help: {error}");
        error.to_string()
    })
}

fn nim() -> RewardApi {
    RewardApi::Nim { attribute: "helpfulness".into() }
}

#[test]
fn scores_are_read_in_the_order_of_the_answers() {
    let classify = json!({ "data": [
        { "index": 1, "probs": [2.5] }, { "index": 0, "probs": [-1.5] },
    ] });
    assert_eq!(scores(&RewardApi::VllmClassify, &classify), Ok(vec![-1.5, 2.5]));
    let per_token = json!({ "data": [
        { "index": 0, "data": [[9.0], [-1.5]] }, { "index": 1, "data": [2.5] },
    ] });
    assert_eq!(scores(&RewardApi::VllmPooling, &per_token), Ok(vec![-1.5, 2.5]));
    let sglang = json!([{ "embedding": [-1.5], "meta_info": {} }, { "embedding": [2.5] }]);
    assert_eq!(scores(&RewardApi::Sglang(template()), &sglang), Ok(vec![-1.5, 2.5]));
    let tei =
        json!([[{ "score": -1.5, "label": "LABEL_0" }], [{ "score": 2.5, "label": "LABEL_0" }]]);
    assert_eq!(scores(&RewardApi::Tei(None), &tei), Ok(vec![-1.5, 2.5]));
    for reply in [
        json!({ "rewards": [-1.5, 2.5], "scores": [-1.5, 2.5], "extra_logs": {} }),
        json!({ "rewards": [[-1.5], [2.5]] }),
    ] {
        assert_eq!(scores(&RewardApi::OpenRlhf(template()), &reply), Ok(vec![-1.5, 2.5]));
    }
    let reply = |text: &str| json!({ "choices": [{ "message": { "content": text } }] });
    let text = reply("correctness:9, helpfulness:-1.5,\nverbosity:2");
    assert_eq!(scores(&nim(), &text), Ok(vec![-1.5]));
}

#[test]
fn a_reply_without_usable_scores_names_what_came_and_the_answer() {
    let tei = RewardApi::Tei(None);
    let pooled = |data: Json| json!({ "data": [{ "data": data }, { "data": [1.0] }] });
    let reply = |text: &str| json!({ "choices": [{ "message": { "content": text } }] });
    for (api, reply, words) in [
        (RewardApi::VllmClassify, json!({}), &["a list of results", "none"][..]),
        (RewardApi::VllmClassify, json!({ "data": [] }), &["2 result(s)", "got 0", "first"]),
        (
            RewardApi::VllmClassify,
            json!({ "data": [{ "probs": [0.1] }, { "probs": [0.5, 0.5] }] }),
            &["2 classes", "second"],
        ),
        (
            RewardApi::VllmClassify,
            json!({ "data": [{ "probs": [null] }, { "probs": [0.5] }] }),
            &["one finite score", "null", "first"],
        ),
        (RewardApi::VllmPooling, pooled(json!([])), &["0 classes", "first"]),
        (RewardApi::VllmPooling, pooled(json!([[1, 2]])), &["2 classes", "first"]),
        (RewardApi::VllmPooling, pooled(json!("AAAA")), &["one finite score", "AAAA"]),
        (RewardApi::Sglang(template()), json!({ "embedding": [1] }), &["a list of results"]),
        (tei.clone(), json!([{ "score": 1 }, { "score": 2 }]), &["a list of labels", "first"]),
        (tei, json!([[{ "score": 1 }, { "score": 2 }], []]), &["2 classes", "first"]),
        (RewardApi::OpenRlhf(template()), json!({ "rewards": [1.0] }), &["2 result(s)", "got 1"]),
        (nim(), reply("reward:-9.6"), &["`helpfulness:`", "reward:-9.6"]),
        (nim(), reply("helpfulness:NaN"), &["finite", "NaN"]),
        (nim(), json!({ "choices": [] }), &["an answer with scores"]),
    ] {
        let error = scores(&api, &reply).unwrap_err();
        for word in words {
            assert!(error.contains(word), "{api:?} {reply}: {error:?} lacks {word:?}");
        }
        assert!(error.contains(api.path()), "{error}");
    }
}

#[test]
fn a_template_that_refuses_is_a_final_error() {
    let refuses = ChatTemplate::from_source("{{ raise_exception('no') }}", None).unwrap();
    let error = RewardApi::Sglang(refuses).body("rm", &"q".into(), &["a"]).unwrap_err();
    assert!(!error.is_retryable());
}
