//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::app::{App, Asked};
use super::error::ApiError;
use super::json::set;
use super::keys::Client;
use super::pass::pass;
use super::reply::{completion, extension, finish_reason, usage};
use super::request::Ask;
use super::search::{Answered, Job, Progress, run};
use super::stream::{StreamForm, data, pieces, streamed};
use super::{finish, with_headers};

pub(crate) async fn chat(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let client = parts.extensions.get::<Client>().copied().unwrap_or(Client(0));
    let body = app.body(body).await?;
    let ask = Ask::chat(&body)?;
    match app.asked(ask, &parts.headers, client, arrived, "chatcmpl")? {
        Asked::Policy(ask) => {
            let permit = app.enter(client).await?;
            pass(&app, &ask, &body, permit).await
        }
        Asked::Search(job) => {
            let permit = app.enter(client).await?;
            if job.ask.stream {
                return streamed(app, job, permit, ChatStream).await;
            }
            let listed = app.recent.begin(&job);
            let answered = run(&app, &job, None).await?;
            finish(&app, &job, &answered);
            drop((listed, permit));
            let body = completion(&job, &answered, app.simulated);
            Ok(with_headers(Json(body).into_response(), &job, &answered))
        }
    }
}

/// The events of a streamed chat completion.
struct ChatStream;

impl ChatStream {
    fn chunk(job: &Job, choices: &Value) -> Value {
        json!({
            "id": job.id, "object": "chat.completion.chunk", "created": job.created,
            "model": job.model, "choices": choices,
        })
    }

    fn delta(job: &Job, index: usize, delta: &Value, finish_reason: Option<&str>) -> Value {
        let choice = json!([{
            "index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason,
        }]);
        Self::chunk(job, &choice)
    }
}

impl StreamForm for ChatStream {
    fn begin(&mut self, _: &App, job: &Job) -> Vec<Bytes> {
        vec![data(&Self::delta(job, 0, &json!({"role": "assistant", "content": ""}), None))]
    }

    fn progress(&mut self, job: &Job, progress: &Progress) -> Vec<Bytes> {
        // An empty piece of text, which plain clients add to the answer.
        let mut chunk = Self::delta(job, 0, &json!({"content": ""}), None);
        let mut own = json!(progress);
        set(&mut own, "event", "scored");
        set(&mut chunk, "tpo", own);
        vec![data(&chunk)]
    }

    fn end(&mut self, app: &App, job: &Job, answered: &Answered) -> Vec<Bytes> {
        let mut events = Vec::new();
        for (index, candidate) in answered.ranked.iter().take(job.ask.n).enumerate() {
            for (piece, text) in pieces(&candidate.text).into_iter().enumerate() {
                let delta = match (index, piece) {
                    (1.., 0) => json!({"role": "assistant", "content": text}),
                    _ => json!({"content": text}),
                };
                events.push(data(&Self::delta(job, index, &delta, None)));
            }
            let mut chunk = Self::delta(job, index, &json!({}), Some(finish_reason(candidate)));
            if index == 0 {
                let mut own = extension(job, answered, app.simulated);
                set(&mut own, "event", "answer");
                set(&mut chunk, "tpo", own);
            }
            events.push(data(&chunk));
        }
        if job.ask.include_usage {
            let mut chunk = Self::chunk(job, &json!([]));
            set(&mut chunk, "usage", usage(&answered.usage));
            events.push(data(&chunk));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }

    fn error(&mut self, _: &Job, error: &ApiError) -> Vec<Bytes> {
        vec![data(&error.body())]
    }
}
