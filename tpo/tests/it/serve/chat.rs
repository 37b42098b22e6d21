//! Chat completions, whole.

use std::sync::{Arc, Mutex};

use serde_json::json;
use textgrad_core::{
    Choice, Engine, FinishReason, Message, Part, Purpose, Request, Response, engine_fn,
};
use textgrad_ops::sim::Sim;
use tpo::serve::SearchOptions;

use super::{QUERY, chat_body, serve, tpo, with_engine};

#[tokio::test]
async fn bodies_that_are_encoded_or_announced_too_large_are_refused_at_once() {
    let serving = serve(tpo(), |builder| builder.max_body(1000)).await;
    let gzip = format!("{}\r\ncontent-encoding: gzip", super::post("/v1/chat/completions"));
    assert_eq!(serving.send(&gzip, "x").await.error(415)["param"], "content-encoding");
    let head = super::post("/v1/chat/completions");
    let head = format!("{head}\r\nconnection: close\r\ncontent-length: 1001\r\n\r\n");
    let mut stream = tokio::net::TcpStream::connect(serving.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    assert_eq!(super::end(stream).await.error(413)["code"], "request_too_large");
}

#[tokio::test]
async fn the_answer_is_that_of_the_search() {
    let serving = serve(tpo(), |builder| builder).await;
    let expected = tpo().align(QUERY).await.unwrap();
    let reply = serving.chat(json!({"tpo": {"trajectory": true}})).await;
    let answer = reply.ok();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "tpo");
    let [choice] = answer["choices"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(choice["message"]["content"], expected.answer());
    assert_eq!(choice["finish_reason"], "stop");
    let usage = &expected.trajectory().usage;
    assert_eq!(answer["usage"]["prompt_tokens"], usage.tokens.prompt_tokens);
    assert_eq!(answer["usage"]["total_tokens"], usage.tokens.total());
    let own = &answer["tpo"];
    assert_eq!(own["trajectory"], json!(expected.trajectory()));
    assert_eq!(own["usage"], json!(usage));
    assert_eq!((&own["complete"], &own["simulated"]), (&json!(true), &json!(true)));
    assert_eq!(own["score"], expected.score());
    assert_eq!(reply.headers["x-tpo-complete"], "true");
    assert_eq!(reply.headers["x-tpo-id"], own["id"].as_str().unwrap());

    let detail = serving.get(&format!("/v1/tpo/{}", own["id"].as_str().unwrap())).await.ok();
    assert_eq!(detail["trajectory"], own["trajectory"]);
    assert_eq!(detail["query"], QUERY);
    let list = serving.get("/v1/tpo").await.ok();
    assert_eq!(list["ended"][0]["id"], own["id"]);
    assert_eq!(list["live"], json!([]));
    let graph = format!("/v1/tpo/{}/graph", own["id"].as_str().unwrap());
    let graph = serving.get(&graph).await;
    assert!(graph.status == 200 && graph.body.contains("(SIMULATION)"), "{graph:?}");
    assert!(graph.body.contains("answer 0") && graph.body.contains("Iteration 2"));
    serving.get("/v1/tpo/chatcmpl-0").await.error(404);
    serving.get("/v1/tpo/chatcmpl-0/graph").await.error(404);
    assert!(serving.stop().await);
}

#[tokio::test]
async fn requests_differ_unless_they_name_their_seed() {
    let serving = serve(tpo(), |builder| builder).await;
    let answer =
        async |more| serving.chat(more).await.ok()["choices"][0]["message"]["content"].clone();
    let bon = json!({"model": "bon-1"});
    assert_ne!(answer(bon.clone()).await, answer(bon).await);
    let seeded = json!({"model": "bon-1", "seed": 5});
    assert_eq!(answer(seeded.clone()).await, answer(seeded).await);
    assert_ne!(
        answer(json!({"model": "bon-1", "seed": 5})).await,
        answer(json!({"model": "bon-1", "seed": 6})).await
    );
}

#[tokio::test]
async fn n_are_the_best_different_answers_best_first() {
    let serving = serve(tpo(), |builder| builder).await;
    let answer = serving.chat(json!({"n": 4, "model": "tpo-d1-n5"})).await.ok();
    let choices = answer["choices"].as_array().unwrap();
    let scores: Vec<f64> =
        choices.iter().map(|choice| choice["tpo"]["score"].as_f64().unwrap()).collect();
    assert_eq!(scores.len(), 4);
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], index);
    }
    let texts: std::collections::BTreeSet<&str> =
        choices.iter().map(|choice| choice["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 4);
    let error = serving.chat(json!({"n": 4, "model": "bon-3"})).await.error(400);
    assert_eq!(error["param"], "n");
}

#[tokio::test]
async fn the_answer_that_a_method_selects_is_the_first() {
    let engine = engine_fn("voters", |_| async {
        let answers =
            ["One way: the answer is 5, as is plain.", "The answer is 4", "So: answer: 4"];
        let choices = answers.map(|text| Choice::new(text, FinishReason::Stop));
        Ok(Response::new(choices.into()))
    });
    let reward = tpo::reward_fn("length", |_, answer: &str| answer.len() as f64);
    let tpo = tpo::Tpo::builder(Arc::new(engine), Arc::new(reward)).samples(3).build().unwrap();
    let serving = serve(tpo, |builder| builder).await;
    let more = json!({"model": "vote-d0-n3", "n": 3});
    let answer = serving.chat(more).await.ok();
    let texts: Vec<&str> = answer["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| choice["message"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts,
        ["The answer is 4", "One way: the answer is 5, as is plain.", "So: answer: 4"]
    );
    assert_eq!(answer["tpo"]["score"], 15.0);
}

#[tokio::test]
async fn search_settings_come_from_model_header_and_body() {
    let fast: SearchOptions = serde_json::from_str(r#"{"iterations": 1, "samples": 2}"#).unwrap();
    let presets = [("fast".to_owned(), fast)].into();
    let serving = serve(tpo(), |builder| builder.presets(presets)).await;
    let sizes = async |header: &str, more| {
        let head = format!("{}{header}", super::post("/v1/chat/completions"));
        let own = serving.send(&head, &chat_body(more).to_string()).await.ok()["tpo"].take();
        (own["iterations"].as_u64().unwrap(), own["candidates"].as_u64().unwrap())
    };
    assert_eq!(sizes("", json!({"model": "tpo"})).await, (2, 15));
    assert_eq!(sizes("", json!({"model": "tpo-d1-n3"})).await, (1, 6));
    assert_eq!(sizes("", json!({"model": "fast"})).await, (1, 4));
    assert_eq!(sizes("", json!({"model": "bon-8"})).await, (0, 8));
    let header = "\r\nx-tpo: {\"samples\": 3}";
    assert_eq!(sizes(header, json!({"model": "fast"})).await, (1, 6));
    assert_eq!(sizes(header, json!({"model": "fast", "tpo": {"samples": 4}})).await, (1, 8));
}

/// The requests of a search that is asked for like this.
async fn requests(more: serde_json::Value) -> Vec<Request> {
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let (written, sim) = (Arc::clone(&seen), Arc::new(Sim::default()));
    let engine = engine_fn("sim", move |request: Request| {
        let (written, sim) = (Arc::clone(&written), Arc::clone(&sim));
        async move {
            written.lock().unwrap().push(request.clone());
            // The simulation sees no images.
            let mut seen = request;
            for message in &mut seen.messages {
                message.parts.retain(|part| matches!(part, Part::Text(_)));
            }
            sim.complete(&seen).await
        }
    });
    let serving = serve(with_engine(Arc::new(engine)), |builder| builder).await;
    serving.chat(more).await.ok();
    std::mem::take(&mut *seen.lock().unwrap())
}

#[tokio::test]
async fn sampling_is_that_of_the_request() {
    let more = json!({
        "temperature": 0.25, "top_p": 0.5, "max_tokens": 1999, "stop": ["END"], "top_k": 7, "seed": 3,
    });
    let requests = requests(more).await;
    for request in &requests {
        let (sampling, purpose) = (&request.sampling, request.purpose);
        match purpose {
            Purpose::Loss | Purpose::Gradient => {
                assert_eq!((sampling.temperature, sampling.max_tokens), (Some(0.7), Some(8192)));
            }
            _ => {
                assert_eq!((sampling.temperature, sampling.top_p), (Some(0.25), Some(0.5)));
                assert_eq!(
                    (sampling.max_tokens, &sampling.extra["top_k"]),
                    (Some(1999), &json!(7))
                );
                assert!(sampling.stop.iter().any(|stop| stop == "END"), "{sampling:?}");
            }
        }
    }
    assert_eq!(requests.len(), 7);
}

#[tokio::test]
async fn conversations_and_images_reach_every_model() {
    let url = "data:image/png;base64,iVBORw0KGgo=";
    let requests = requests(json!({"model": "tpo-d1-n2", "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is this?"},
        ]},
        {"role": "assistant", "content": "A table."},
        {"role": "user", "content": QUERY},
    ]}))
    .await;
    let purposes: Vec<Purpose> = requests.iter().map(|request| request.purpose).collect();
    assert_eq!(purposes, [Purpose::Sample, Purpose::Loss, Purpose::Gradient, Purpose::Update]);
    let images = |message: &Message| {
        message.parts.iter().filter(|part| matches!(part, Part::Image(_))).count()
    };
    let sample = &requests[0].messages;
    assert_eq!(sample.iter().map(images).collect::<Vec<_>>(), [0, 1, 0, 0]);
    assert_eq!(sample[1].text(), "What is this?");
    for request in &requests[1..] {
        assert_eq!(request.messages.iter().map(images).sum::<usize>(), 1);
        let all: String = request.messages.iter().map(Message::text).collect();
        assert!(all.contains(QUERY) || request.purpose == Purpose::Update, "{all}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_an_error_of_the_api() {
    let serving = serve(tpo(), |builder| builder.max_body(4096)).await;
    let error = serving.chat(json!({"model": "gpt-4o"})).await.error(404);
    assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
    assert_eq!(serving.chat(json!({"temperature": 9})).await.error(400)["param"], "temperature");
    assert_eq!(
        serving.chat(json!({"tpo": {"samples": 65}})).await.error(400)["param"],
        "tpo.samples"
    );
    serving.chat(json!({"messages": []})).await.error(400);
    serving.send(&super::post("/v1/chat/completions"), "{").await.error(400);
    serving.chat(json!({"user": "x".repeat(5000)})).await.error(413);
    serving.get("/v1/chat/completions").await.error(405);
    serving.get("/v1/nothing").await.error(404);
    serving.get("/v1/models/gpt-4o").await.error(404);
    let list = serving.get("/v1/models").await.ok();
    for model in list["data"].as_array().unwrap() {
        let id = model["id"].as_str().unwrap();
        assert_eq!(serving.get(&format!("/v1/models/{id}")).await.ok()["id"], id);
    }
}
