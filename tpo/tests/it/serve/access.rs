//! Keys, hosts, and what they let through.

use serde_json::json;
use tpo::serve::{Keys, hashed_key};

use super::{chat_body, serve, tpo};

fn head(method: &str, path: &str, key: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nauthorization: Bearer {key}"
    )
}

#[tokio::test]
async fn a_key_opens_its_own_searches_and_no_others() {
    let keys = Keys::parse(&format!("a made-up-1\n{}", hashed_key("b", "made-up-2"))).unwrap();
    let serving = serve(tpo(), |builder| builder.keys(keys)).await;
    let body = chat_body(json!({"model": "bon-2"})).to_string();
    let path = "/v1/chat/completions";
    for head in [super::post(path), head("POST", path, "made-up-3"), head("POST", path, "")] {
        let reply = serving.send(&head, &body).await;
        assert_eq!(reply.error(401)["code"], "invalid_api_key");
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
    }
    let answer = serving.send(&head("POST", path, "made-up-1"), &body).await.ok();
    let own = format!("/v1/tpo/{}", answer["id"].as_str().unwrap());
    serving.send(&head("GET", &own, "made-up-1"), "").await.ok();
    serving.send(&head("GET", &own, "made-up-2"), "").await.error(404);
    let list = serving.send(&head("GET", "/v1/tpo", "made-up-2"), "").await.ok();
    assert_eq!(list["ended"], json!([]));
    for closed in ["/metrics", "/v1/models", "/v1/tpo"] {
        serving.get(closed).await.error(401);
    }
    for open in ["/health", "/ready"] {
        serving.get(open).await.ok();
    }
}

#[tokio::test]
async fn web_pages_of_other_hosts_are_kept_out() {
    let serving = serve(tpo(), |builder| builder.local_only(true)).await;
    let body = chat_body(json!({"model": "bon-1"})).to_string();
    let rebound = "POST /v1/chat/completions HTTP/1.1\r\nhost: evil.example\r\ncontent-type: application/json";
    assert_eq!(serving.send(rebound, &body).await.error(400)["param"], "host");
    for probe in ["/health", "/ready"] {
        serving.send(&format!("GET {probe} HTTP/1.1\r\nhost: 10.0.0.7:8080"), "").await.ok();
    }
    let simple =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain";
    assert_eq!(serving.send(simple, &body).await.error(400)["param"], "content-type");
    let reply = serving.chat(json!({"model": "bon-1"})).await;
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
    reply.ok();
}

#[tokio::test]
async fn an_origin_is_allowed_where_it_is_named() {
    let origin = "https://app.example".to_owned();
    let serving = serve(tpo(), |builder| builder.cors(Some(origin.clone()))).await;
    let asked = "authorization,content-type,x-stainless-retry-count";
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\n\
             access-control-request-headers: {asked}"
        )
    };
    let reply = serving.send(&preflight(&origin), "").await;
    assert_eq!((reply.status, &reply.headers["access-control-allow-origin"]), (204, &origin));
    assert_eq!(reply.headers["access-control-allow-headers"], asked);
    let reply = serving.send(&preflight("https://evil.example"), "").await;
    assert!(!reply.headers.contains_key("access-control-allow-headers"));
    let reply = serving.chat(json!({"model": "bon-1"})).await;
    assert_eq!(reply.headers["access-control-allow-origin"], origin);
    let exposed = &reply.headers["access-control-expose-headers"];
    assert!(exposed.contains("x-tpo-score") && exposed.contains("retry-after"), "{exposed}");
}

#[tokio::test]
async fn the_page_holds_no_data_and_loads_nothing_from_elsewhere() {
    let keys = Keys::parse("made-up-1").unwrap();
    let serving = serve(tpo(), |builder| builder.keys(keys)).await;
    let page = serving.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].starts_with("text/html"));
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'"));
    // It works below any path of a proxy, and texts of models and clients are set as texts.
    for unsafe_word in [
        "load(\"/",
        "load(`/",
        "innerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "http://",
        "https://",
    ] {
        assert!(!page.body.contains(unsafe_word), "{unsafe_word}");
    }
}
