//! Faults carried out: refusals instead of an answer, and answers spoiled.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::kind::{Fault, RetryAfter};
use super::tags;
use crate::fake_server::error::{ApiError, ErrorShape, unauthorized};
use crate::fake_server::wire::Answer;

/// What is done instead of answering.
#[derive(Debug)]
pub(crate) enum Refusal {
    Response(Response),
    Reset,
}

/// What the fault does instead of letting the request be answered; none if it lets it.
pub(crate) fn refusal(fault: &Fault, shape: ErrorShape) -> Option<Refusal> {
    let response = match fault {
        Fault::RateLimit(when) => rate_limit(*when, shape),
        Fault::Quota => ApiError::quota().response(shape),
        Fault::ServerError => {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
                .response(shape)
        }
        Fault::Unavailable => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The engine is not ready")
                .response(shape)
        }
        Fault::Unauthorized => unauthorized(),
        Fault::BadRequest => ApiError::bad_request("The request is not valid").response(shape),
        Fault::TooLong => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "The input is too long for this model")
                .response(shape)
        }
        Fault::Reply(status, body) => {
            let status = StatusCode::from_u16(*status).unwrap_or_default();
            (status, [(header::CONTENT_TYPE, "application/json")], body.clone()).into_response()
        }
        Fault::Html => html(StatusCode::OK, "Welcome"),
        Fault::BadGateway => html(StatusCode::BAD_GATEWAY, "502 Bad Gateway"),
        Fault::Reset => return Some(Refusal::Reset),
        _ => return None,
    };
    Some(Refusal::Response(response))
}

fn rate_limit(when: RetryAfter, shape: ErrorShape) -> Response {
    let mut response = ApiError::rate_limit().response(shape);
    let header = match when {
        RetryAfter::Millis(delay) => {
            Some((HeaderName::from_static("retry-after-ms"), delay.as_millis().to_string()))
        }
        RetryAfter::Seconds(delay) => Some((header::RETRY_AFTER, delay.as_secs_f64().to_string())),
        RetryAfter::Date(delay) => {
            // Dates have whole seconds: rounded down, a short delay would lie in the past.
            let date = SystemTime::now() + delay + Duration::from_millis(999);
            Some((header::RETRY_AFTER, httpdate::fmt_http_date(date)))
        }
        RetryAfter::Absent => None,
    };
    if let Some((name, value)) = header
        && let Ok(value) = HeaderValue::try_from(value)
    {
        response.headers_mut().insert(name, value);
    }
    response
}

fn html(status: StatusCode, title: &str) -> Response {
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n\
         <body><h1>{title}</h1></body></html>\n"
    );
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (status, kind, page).into_response()
}

/// Spoils answers; whether there was anything to spoil.
pub(crate) fn edit(fault: &Fault, answers: &mut Vec<Answer>) -> bool {
    match fault {
        Fault::EmptyChoices => {
            let any = !answers.is_empty();
            answers.clear();
            any
        }
        Fault::FewerChoices(count) => {
            let any = answers.len() > *count;
            answers.truncate(*count);
            any
        }
        Fault::NullContent => {
            for answer in answers.iter_mut() {
                answer.content = None;
            }
            true
        }
        Fault::OpenReasoning(reason) => {
            for answer in answers.iter_mut() {
                answer.finish_reason.clone_from(reason);
            }
            edit_texts(answers, |text| format!("<think>\nI could write\n{text}\nbut that"))
        }
        Fault::Length => {
            for answer in answers.iter_mut() {
                answer.finish_reason = "length".to_owned();
            }
            edit_texts(answers, |text| tags::halves(text).0.to_owned());
            true
        }
        Fault::MissingTags => edit_texts(answers, tags::without_tags),
        Fault::MissingCloseTag => edit_texts(answers, tags::without_close_tag),
        Fault::TagsInside => edit_texts(answers, tags::with_tags_inside),
        _ => false,
    }
}

fn edit_texts(answers: &mut [Answer], edit: impl Fn(&str) -> String) -> bool {
    let mut changed = false;
    for text in answers.iter_mut().filter_map(|answer| answer.content.as_mut()) {
        let edited = edit(text);
        changed |= edited != *text;
        *text = edited;
    }
    changed
}
