//! The reward route.

use serde_json::{Value, json};
use textgrad_tests::fake_server::FakeServer;

use super::{classify, json_of, server_with};

fn pair() -> Value {
    json!([{ "role": "user", "content": "q" }, { "role": "assistant", "content": "an answer" }])
}

/// A server whose reward shows what it was given: -10 for each character of the query, 1 for each of the
/// answer.
async fn rewarding() -> FakeServer {
    FakeServer::builder()
        .reward(|query, answer| answer.len() as f64 - 10.0 * query.len() as f64)
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_conversation_has_one_score_in_the_shape_of_the_protocol() {
    let server = rewarding().await;
    let body = json!({ "model": "rm", "messages": pair(), "use_activation": false });
    let mut answer = json_of(classify(&server, &body).await).await;
    assert!(answer["id"].as_str().unwrap().starts_with("classify-"));
    answer["id"] = json!("");
    answer["created"] = json!(0);
    assert_eq!(
        answer,
        json!({
            "id": "", "object": "list", "created": 0, "model": "rm",
            "data": [{ "index": 0, "label": "LABEL_0", "probs": [-1.0], "num_classes": 1 }],
            "usage": { "prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0 },
        })
    );
    assert_eq!(server.stats().answers_scored, 1);
}

#[tokio::test]
async fn scores_go_through_a_sigmoid_by_default() {
    let server = rewarding().await;
    let squashed = 1.0 / (1.0 + 1_f64.exp());
    for (fields, expected) in [
        (json!({}), squashed),
        (json!({ "use_activation": true }), squashed),
        (json!({ "use_activation": null }), squashed),
        (json!({ "use_activation": false }), -1.0),
        (json!({ "activation": false }), -1.0),
        (json!({ "use_activation": false, "activation": false }), -1.0),
    ] {
        let mut body = json!({ "messages": pair() });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = json_of(classify(&server, &body).await).await;
        let got = answer["data"][0]["probs"][0].as_f64().unwrap();
        assert!((got - expected).abs() < 1e-12, "{fields}: {got}");
    }
}

#[tokio::test]
async fn inputs_are_scored_in_order_and_taken_out_of_their_template() {
    let server = rewarding().await;
    let templated = "<|im_start|>user\nqq<|im_end|>\n<|im_start|>assistant\nfour<|im_end|>\n";
    let body = json!({ "input": ["bare", templated], "activation": false });
    let answer = json_of(classify(&server, &body).await).await;
    let data = answer["data"].as_array().unwrap();
    let scores: Vec<_> = data.iter().map(|d| (&d["index"], &d["probs"][0])).collect();
    assert_eq!(scores, [(&json!(0), &json!(4.0)), (&json!(1), &json!(-16.0))]);

    let answer = json_of(classify(&server, &json!({ "input": "one", "activation": false })).await);
    assert_eq!(answer.await["data"].as_array().unwrap().len(), 1);
    assert_eq!(server.stats().answers_scored, 3);
}

#[tokio::test]
async fn the_last_answer_and_the_turn_before_it_count() {
    let server = rewarding().await;
    let body = json!({
        "messages": [
            { "role": "system", "content": "rules" },
            { "role": "user", "content": "a long first query" },
            { "role": "assistant", "content": "first" },
            { "role": "user", "content": "q" },
            { "role": "assistant", "content": "last" },
        ],
        "use_activation": false,
    });
    let answer = json_of(classify(&server, &body).await).await;
    assert_eq!(answer["data"][0]["probs"][0], -6.0);
}

#[tokio::test]
async fn requests_without_anything_to_score_are_refused() {
    let server = rewarding().await;
    for body in [
        json!({}),
        json!({ "input": [] }),
        json!({ "messages": [] }),
        json!({ "messages": pair(), "input": "x" }),
        json!({ "messages": [pair(), pair()] }),
    ] {
        assert_eq!(classify(&server, &body).await.status(), 400, "{body}");
    }
    assert_eq!(server.stats().answers_scored, 0);
}

#[tokio::test]
async fn scores_can_be_no_numbers_and_labels_can_be_two() {
    let faults = ["nan-score", "null-score@nth:2", "string-score@nth:3", "two-labels@nth:4"];
    let server = server_with(&faults).await;
    let body = json!({ "input": ["abc", "\"probs\":[null]"], "model": "\"probs\":[null]", "activation": false });
    let next = || async { classify(&server, &body).await.text().await.unwrap() };

    let nan = next().await;
    assert_eq!(nan.matches(r#""probs":[NaN]"#).count(), 2, "{nan}");
    assert!(serde_json::from_str::<Value>(&nan).is_err());
    assert!(nan.contains(r#"\"probs\":[null]"#), "the client's text is left alone: {nan}");

    let null: Value = serde_json::from_str(&next().await).unwrap();
    assert_eq!(null["data"][0]["probs"], json!([null]));
    let string: Value = serde_json::from_str(&next().await).unwrap();
    assert_eq!(string["data"][0]["probs"], json!(["-2.7"]));
    let two: Value = serde_json::from_str(&next().await).unwrap();
    assert_eq!(two["data"][0]["num_classes"], 2);
    assert_eq!(two["data"][0]["probs"].as_array().unwrap().len(), 2);
    let whole: Value = serde_json::from_str(&next().await).unwrap();
    assert_eq!(whole["data"][0]["probs"], json!([-2.7]));
    for name in ["nan-score", "null-score", "string-score", "two-labels"] {
        assert_eq!(server.stats().fault(name), 1, "{name}");
    }
}
