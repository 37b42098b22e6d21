//! Pages: hostile texts stay data, everything is there once, and JSON makes the same page.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{join, on, speaks};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use textgrad_core::{
    BackwardCx, EngineError, Error, ErrorKind, Feedback, Format, Gradient, Graph, Image, Inputs,
    Message, MessageRole, Op, OpFailure, Output, Page, PageCall, Part, Purpose, Request, Sampling,
    Score, Variable, apply, apply_one, backward, op_fn,
};

const HOSTILE: [&str; 10] = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!-- <script>",
    "${alert(1)} `x` {{x}}",
    "a\u{0}b\u{7}\u{1b}[31m\u{7f}\u{85}",
    "\u{202e}txet \u{2066}desrever",
    "line\u{2028}and\u{2029}paragraph",
    "עברית and العربية",
    "👩‍👩‍👧🇩🇪e\u{301}",
    "&lt;b&gt; &amp; \" ' \\",
];

/// What stands in a script element of the page, by its id.
fn block(html: &str, id: &str) -> Json {
    let (_, rest) =
        html.split_once(&format!("<script type=\"application/json\" id=\"{id}\">")).unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{json}");
    assert!(!json.chars().any(char::is_control));
    serde_json::from_str(json).unwrap()
}

/// The page's data as its script reads it.
pub(crate) fn data(html: &str) -> Json {
    fn expand(json: &mut Json, texts: &Json) {
        match json {
            Json::Array(items) => items.iter_mut().for_each(|item| expand(item, texts)),
            Json::Object(object) => match object.get("$") {
                Some(Json::Array(pieces)) => {
                    let pieces = pieces.iter().map(|piece| match piece {
                        Json::String(text) => text.clone(),
                        place => texts[place.as_u64().unwrap() as usize].as_str().unwrap().into(),
                    });
                    *json = Json::String(pieces.collect());
                }
                Some(place) => *json = texts[place.as_u64().unwrap() as usize].clone(),
                None => object.values_mut().for_each(|item| expand(item, texts)),
            },
            _ => {}
        }
    }
    let texts = block(html, "texts");
    let mut data = block(html, "data");
    expand(&mut data, &texts);
    data
}

/// An op that says what it asked, whatever it was asked for.
struct Asks(Request, &'static str);

#[async_trait]
impl Op for Asks {
    fn name(&self) -> &str {
        "asks"
    }
    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![Output::new(self.1, "answer")])
    }
    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }
    fn request(&self, _: &Inputs) -> Option<Request> {
        Some(self.0.clone())
    }
    fn rewrites(&self, _: usize) -> Option<usize> {
        (self.0.purpose == Purpose::Update).then_some(0)
    }
}

fn asks(purpose: Purpose, text: &str, answer: &'static str) -> Arc<Asks> {
    Arc::new(Asks(Request::new(purpose, [Message::user(text)]), answer))
}

#[tokio::test]
async fn hostile_texts_are_in_the_page_as_they_are_and_nowhere_as_markup() {
    for text in HOSTILE {
        let long = format!("{text} and so on and so forth\n{text}");
        let x = Variable::differentiable(long.as_str(), text);
        let op = op_fn(text, |_: Inputs| async { Ok(vec![Output::new("y", "y")]) });
        let op =
            op.with_backward(move |_| async move { Ok(vec![Some(Feedback::new(text).into())]) });
        let y = apply(Arc::new(op), Inputs::new([(text, x)])).await.unwrap().remove(0);
        let gradients = backward(&y).await.unwrap();
        let graph = Graph::trace(&y);
        let html = Page::new(text).graph(text, &graph.view().gradients(&gradients)).to_html();
        let data = data(&html);
        let shown = &data["graphs"][0];
        assert_eq!(shown["name"], json!(text));
        assert_eq!(shown["data"]["nodes"][0]["role"], json!(text));
        assert_eq!(shown["data"]["nodes"][0]["value"]["text"], json!(long));
        assert_eq!(shown["data"]["nodes"][1]["op"], json!(text));
        assert_eq!(shown["data"]["edges"][0]["name"], json!(text));
        assert_eq!(shown["data"]["gradients"][0]["text"], json!(text));
        let elements = |what: &str| html.matches(what).count();
        assert_eq!((elements("<script"), elements("</script>"), elements("<!--")), (3, 3, 0));
        assert_eq!((elements("<title>"), elements("</title>"), elements("<img")), (1, 1, 0));
        assert!(!html.contains("http://") && !html.contains("https://"), "no address of any kind");
    }
}

#[tokio::test]
async fn requests_scores_feedback_and_changes_are_reported() {
    let text = Variable::differentiable("Be brief.", "system prompt");
    let image = Variable::constant(Image::new(vec![1, 2, 3], "image/png").unwrap(), "picture");
    let parts = [Part::Text("see".into()), Part::from(image.value())];
    let mut sampling = Sampling::default().with_seed(u64::MAX);
    sampling.extra.insert("$".into(), json!({ "$": 0 }));
    let request = Request::new(Purpose::Gradient, [Message::new(MessageRole::User, parts)])
        .with_sampling(sampling)
        .with_format(
            Format::json_schema(
                "verdict",
                json!({ "properties": { "$": { "maximum": u64::MAX } } }),
            )
            .unwrap(),
        );
    let ask = Arc::new(Asks(request, "Say more."));
    let words = apply_one(ask, [("variable", &text), ("picture", &image)]).await.unwrap();
    let update = asks(Purpose::Update, "rewrite", "Be very brief.");
    let after = apply_one(update, [("variable", &text), ("feedback", &words)]).await.unwrap();
    let judge = op_fn("judge", |_: Inputs| async {
        Ok(vec![
            Output::new("yes", "verdict").with_score(true),
            Output::new("no number", "verdict").with_score(Score::Number(f64::NAN)),
            Output::new("half", "verdict").with_score(0.5),
        ])
    });
    let verdicts = apply(Arc::new(judge), [("text", &after)]).await.unwrap();
    let graph = Graph::trace_all(&verdicts);
    let json = graph.view().to_json();

    let nodes = json["nodes"].as_array().unwrap();
    let of = |field: &str| nodes.iter().map(|node| node[field].clone()).collect::<Vec<_>>();
    assert_eq!(
        of("class"),
        [
            "parameter",
            "input",
            "feedback",
            "feedback",
            "update",
            "update",
            "function",
            "loss",
            "loss",
            "loss"
        ]
    );
    assert_eq!(
        nodes[2]["request"],
        json!({ "purpose": "gradient",
            "messages": [{ "role": "user", "parts": [{ "text": "see" }, { "media_type": "image/png", "bytes": 3 }] }],
            "sampling": { "n": 1, "seed": u64::MAX, "extra": { "$": { "$": 0 } } },
            "format": { "name": "verdict", "schema": { "properties": { "$": { "maximum": u64::MAX } } }, "strict": true } })
    );
    assert_eq!(of("score")[7..], [json!(true), json!("NaN"), json!(0.5)]);
    assert_eq!(
        json["updates"],
        json!([{ "call": 4, "before": 0, "after": 5, "changes": [["=", 3], ["+", 5], ["=", 6]] }])
    );
    // Settings are shown as they were sent: a browser would round the seed.
    let shown = data(&graph.view().to_html());
    let request = &shown["graphs"][0]["data"]["nodes"][2]["request"];
    for (field, own) in [("sampling", "\"$\": 0"), ("format", "\"$\": {")] {
        let text = request[field].as_str().unwrap();
        assert!(text.contains("18446744073709551615") && text.contains(own), "{text}");
    }
    // And read back with the rest.
    let again = Page::new("textgrad graph").graph_json("graph", &json).unwrap();
    assert_eq!(again.to_html(), graph.view().to_html());
}

#[tokio::test]
async fn feedback_from_outside_of_the_graph_brings_its_request_and_merged_feedback_is_marked() {
    let x = Variable::differentiable("x", "parameter");
    let op = join("f").with_backward(|_| async {
        let words = apply_one(
            asks(Purpose::Gradient, "why?", "Because."),
            Inputs::new([("a", Variable::constant("a", "a"))]),
        );
        Ok(vec![Some(Feedback::from_variable(words.await?).into())])
    });
    let y = on(op, &[&x]).await;
    let gradients = backward(&y).await.unwrap();
    let json = Graph::trace(&y).view().gradients(&gradients).to_json();
    assert_eq!(json["gradients"][0]["request"]["messages"][0]["parts"][0]["text"], json!("why?"));
    // With the words in the graph, their node is named instead.
    let words = gradients.feedback(&x).next().unwrap().variable().clone();
    let graph = Graph::trace_all([&y, &words]);
    let json = graph.view().gradients(&gradients).to_json();
    let node = json["gradients"][0]["words"].as_u64().unwrap() as usize;
    assert_eq!(json["nodes"][node]["value"]["text"], json!("Because."));
    assert_eq!(json["gradients"][0].get("request"), None);
}

#[tokio::test]
async fn json_makes_the_same_page_and_anything_else_is_refused() {
    let x = Variable::differentiable("x", "parameter");
    let y = on(speaks("f"), &[&x, &x]).await;
    let gradients = backward(&y).await.unwrap();
    let graph = Graph::trace(&y);
    let view = graph.view().gradients(&gradients);
    let json: Json = serde_json::from_str(&view.to_json().to_string()).unwrap();
    let read = Page::new("textgrad graph").graph_json("graph", &json).unwrap();
    assert_eq!(read.to_html(), view.to_html());

    let change = |path: &str, value: Json| {
        let mut changed = json.clone();
        *changed.pointer_mut(path).unwrap() = value;
        Page::new("p").graph_json("g", &changed).unwrap_err().to_string()
    };
    for (path, value, complaint) in [
        ("/version", json!(1), "version 2, got one that does not fit: its version is 1"),
        ("/nodes", json!("x"), "invalid type"),
        ("/nodes/0/id", json!(7), "node 0 has the id 7"),
        ("/edges/0/to", json!(99), "an edge leads from 0 to 99"),
        ("/edges/0/to", json!(0), "an edge leads from 0 to 0"),
        ("/gradients/0/variable", json!(5), "about node 5, but there are 3"),
        ("/gradients/0/consumer", json!(u64::MAX), "about node 18446744073709551615"),
    ] {
        let error = change(path, value);
        assert!(error.contains(complaint), "{error}");
    }
    assert!(matches!(
        Page::new("p").graph_json("g", &json!([])),
        Err(Error::GraphJson { expected: 2, .. })
    ));
}

#[test]
fn calls_are_listed_with_what_they_came_to() {
    let request = Request::new(Purpose::Sample, [Message::user("hi")]);
    let failure = EngineError::new(ErrorKind::Timeout, "</script>").with_status(504);
    let call = PageCall::new("e", request, Err(failure))
        .began(1_700_000_000_000)
        .took(Duration::from_millis(250))
        .simulation(true);
    let data = data(&Page::new("calls").calls([call]).to_html());
    assert_eq!(
        data["calls"],
        json!([{ "engine": "e", "simulation": true, "time": 1_700_000_000_000_u64, "ms": 250.0,
            "request": { "purpose": "sample", "messages": [{ "role": "user", "parts": [{ "text": "hi" }] }],
                "sampling": "{\n  \"n\": 1\n}" },
            "error": { "kind": "timeout", "message": "</script> (HTTP 504)", "retryable": true } }])
    );
}

#[tokio::test]
async fn a_text_that_occurs_often_is_in_the_page_once() {
    let long = "a text of some length, which every step uses ".repeat(20);
    let mut end = Variable::constant(long.as_str(), "text");
    let copy = Arc::new(op_fn("copy", |inputs: Inputs| async move {
        Ok(vec![Output::new(inputs.named("text")?.value().clone(), "text")])
    }));
    for _ in 0..20 {
        end = apply_one(copy.clone(), [("text", &end)]).await.unwrap();
    }
    let quoted = asks(Purpose::Sample, &format!("first\n{long}\nlast"), "answer");
    let end = apply_one(quoted, [("text", &end)]).await.unwrap();
    let html = Graph::trace(&end).view().to_html();
    assert!(html.matches(long.as_str()).count() <= 2, "{}", html.matches(long.as_str()).count());
    let data = data(&html);
    let nodes = data["graphs"][0]["data"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.iter().filter(|node| node["value"]["text"] == json!(long)).count(), 21);
    let request = nodes.iter().find_map(|node| node.get("request")).unwrap();
    assert_eq!(request["messages"][0]["parts"][0]["text"], json!(format!("first\n{long}\nlast")));
}

/// What the script shows by a sign: the ranges of its class of characters.
fn unseen(html: &str) -> Vec<std::ops::RangeInclusive<u32>> {
    let (_, rest) = html.split_once("const UNSEEN = /[").unwrap();
    let (class, _) = rest.split_once("]/u;").unwrap();
    let codes = |text: &str| -> u32 {
        let digits = text.trim_start_matches("\\u").trim_matches(['{', '}']);
        u32::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{text}"))
    };
    let places: Vec<usize> =
        class.match_indices("\\u").map(|(at, _)| at).chain([class.len()]).collect();
    let atoms: Vec<&str> =
        places.windows(2).map(|pair| class.get(pair[0]..pair[1]).unwrap()).collect();
    let mut ranges = Vec::new();
    let mut atoms = atoms.into_iter();
    while let Some(atom) = atoms.next() {
        ranges.push(match atom.strip_suffix('-') {
            Some(from) => codes(from)..=codes(atoms.next().unwrap()),
            None => codes(atom)..=codes(atom),
        });
    }
    ranges
}

#[test]
fn what_would_not_be_seen_is_shown_by_a_sign() {
    let ranges = unseen(&Page::new("p").to_html());
    let is_shown = |c: char| ranges.iter().any(|range| range.contains(&u32::from(c)));
    for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| c.is_control()) {
        assert_eq!(is_shown(c), !matches!(c, '\t' | '\n'), "{c:?}");
    }
    let unseen = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\
        \u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\u{2061}\u{2064}\u{2066}\u{2069}\u{206f}\u{3164}\
        \u{feff}\u{ffa0}\u{fff9}\u{1d173}\u{e0001}\u{e0041}\u{e007f}";
    for c in unseen.chars() {
        assert!(is_shown(c), "{c:?}");
    }
    // Spaces that are seen, accents, what makes an emoji, and letters of all kinds stay.
    for c in " \u{a0}\u{202f}\u{3000}e\u{301}\u{fe0f}\u{1f3fd}עاनก한漢🇩🦀".chars() {
        assert!(!is_shown(c), "{c:?}");
    }
}
