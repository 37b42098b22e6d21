//! Sampling of answers: seeds, bounds and usage.

use std::time::Duration;

use textgrad_core::{
    Engine, ErrorKind, FinishReason, Format, Image, Message, MessageRole, Part, Purpose, Request,
    Sampling, Usage,
};

use super::{QUERY, ask, gradient, loss, one, quoted, sim, texts, update};
use crate::sim::Sim;

/// One request of each kind.
fn kinds() -> Vec<Vec<Message>> {
    let asked = loss(QUERY, "For example, oil it.", Some("Great question!"));
    let conversation = quoted(&asked, "The chosen response lacks a caveat.");
    let feedback = "- Add a caveat.\n- Explain why it is so.";
    vec![
        vec![Message::user(QUERY)],
        asked.to_vec(),
        gradient(&conversation, "For example, oil it.").to_vec(),
        update(&conversation, "For example, oil it.", feedback).to_vec(),
        vec![
            Message::system("Merge the <FEEDBACK> sections."),
            Message::user("<FEEDBACK>Add a caveat.</FEEDBACK>\n<FEEDBACK>No tone.</FEEDBACK>"),
        ],
    ]
}

#[test]
fn choice_i_is_drawn_from_seed_plus_i() {
    let sim = Sim::default();
    for messages in kinds() {
        for seed in [0, 7, u64::MAX - 2] {
            let together = texts(&sim, &messages, 5, seed);
            let single: Vec<String> =
                (0..5).map(|i| one(&sim, &messages, seed.wrapping_add(i))).collect();
            assert_eq!(together, single);
        }
    }
    let mut answers = texts(&sim, &[Message::user(QUERY)], 5, 7);
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 5);
}

#[test]
fn texts_are_the_same_on_every_machine() {
    // Recorded once: a change here changes what every seeded run of the simulation writes.
    assert_eq!(
        one(&Sim::default(), &[Message::user("How do I fix a leaking roof?")], 4),
        "The short answer is that a leaking roof comes down to getting a few basic things right. For \
         instance, two people who approach it with equal care may still end up far apart. To sum up, a \
         leaking roof rewards those who keep it simple."
    );
}

#[test]
fn nothing_but_the_messages_and_the_seed_counts() {
    let sim = Sim::default();
    for messages in kinds() {
        let text = |purpose, sampling: Sampling| {
            let request = Request::new(purpose, messages.clone()).with_sampling(sampling);
            futures_util::FutureExt::now_or_never(sim.complete(&request))
                .expect("no waiting")
                .expect("an answer")
                .choices
        };
        let plain = Sampling::default().with_seed(3);
        let expected = text(Purpose::Sample, plain.clone());
        for purpose in [Purpose::Loss, Purpose::Gradient, Purpose::Update, Purpose::Judge] {
            assert_eq!(text(purpose, plain.clone()), expected);
        }
        let mut other = plain.clone().with_temperature(0.7);
        other.top_p = Some(0.9);
        other.presence_penalty = Some(1.0);
        assert_eq!(text(Purpose::Sample, other), expected);
    }
    let with = |text: &str| one(&sim, &[Message::user(text)], 3);
    assert_eq!(with(QUERY), with(QUERY));
    let differing = (0..20)
        .filter(|seed| {
            one(&sim, &[Message::user(QUERY)], *seed)
                != one(&sim, &[Message::system("Hello."), Message::user(QUERY)], *seed)
        })
        .count();
    assert!(differing > 15, "another conversation is another draw: {differing}");
}

#[test]
fn at_temperature_zero_all_choices_are_alike_and_the_seed_is_not_read() {
    let sim = Sim::default();
    let draw = |seed| {
        let sampling = Sampling::default().with_n(3).with_temperature(0.0).with_seed(seed);
        ask(&sim, &[Message::user(QUERY)], sampling).expect("an answer").choices
    };
    let choices = draw(1);
    assert_eq!(choices.len(), 3);
    assert!(choices.iter().all(|choice| *choice == choices[0]));
    assert_eq!(choices, draw(2));
    let unseeded = |n| {
        ask(&sim, &[Message::user(QUERY)], Sampling::default().with_n(n))
            .expect("an answer")
            .choices
    };
    assert_eq!(unseeded(2), unseeded(2));
    assert_ne!(unseeded(2)[0], unseeded(2)[1]);
}

#[test]
fn bounds_and_usage_go_by_the_same_tokens() {
    let sim = Sim::default();
    let messages = [Message::user("one two three"), Message::user("Why is it so?")];
    let whole = ask(&sim, &messages, Sampling::default().with_seed(1)).expect("an answer");
    let text = &whole.choices[0].text;
    let words = text.split_whitespace().count() as u64;
    assert_eq!(
        whole.usage,
        Usage {
            prompt_tokens: 4 + 6,
            completion_tokens: (words * 4).div_ceil(3),
            ..Usage::default()
        }
    );
    let sampling = Sampling::default().with_seed(1).with_max_tokens(8);
    let cut = ask(&sim, &messages, sampling).expect("an answer");
    assert_eq!(cut.choices[0].finish_reason, FinishReason::Length);
    assert_eq!(cut.usage.completion_tokens, 8);
    assert!(text.starts_with(&cut.choices[0].text));

    let word = text.split_whitespace().nth(3).expect("a fourth word");
    let mut sampling = Sampling::default().with_seed(1);
    sampling.stop = vec![word.to_owned()];
    let stopped = ask(&sim, &messages, sampling).expect("an answer");
    assert_eq!(stopped.choices[0].finish_reason, FinishReason::Stop);
    assert!(!stopped.choices[0].text.contains(word));
}

#[test]
fn what_cannot_be_is_refused() {
    for skill in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = Sim::builder().skill(skill).build().expect_err("no skill");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains("from 0 to 1"), "{error}");
    }
    let error = ask(&Sim::default(), &[], Sampling::default().with_n(0)).expect_err("no answers");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn a_format_is_refused_and_never_ignored() {
    let format = Format::json_schema("x", serde_json::json!({"type": "object"})).expect("a format");
    let request = Request::new(Purpose::Sample, [Message::user(QUERY)]).with_format(format);
    let error = Sim::default().complete(&request).await.expect_err("no format");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("plain text only"), "{error}");
}

#[test]
fn an_image_is_refused_and_never_ignored() {
    let image = Part::Image(Image::new(vec![1, 2, 3], "image/png").expect("an image"));
    let message = Message::new(MessageRole::User, [image, Part::Text(QUERY.into())]);
    let error = ask(&Sim::default(), &[message], Sampling::default()).expect_err("an image");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("cannot see"), "{error}");
}

#[test]
fn it_says_that_it_is_a_simulation() {
    let sim = Sim::default();
    assert!(sim.is_simulation());
    assert_eq!(sim.name(), "sim");
    let response = ask(&sim, &[Message::user("?")], Sampling::default()).expect("an answer");
    assert_eq!(response.model, "sim (simulation)");
}

#[tokio::test(start_paused = true)]
async fn latency_passes_once_a_request() {
    let latency = Duration::from_secs(3);
    let sim = Sim::builder().latency(latency).build().expect("a skill");
    let request = Request::new(Purpose::Sample, [Message::user(QUERY)])
        .with_sampling(Sampling::default().with_n(4));
    let start = tokio::time::Instant::now();
    sim.complete(&request).await.expect("an answer");
    assert_eq!(start.elapsed(), latency);
}

#[test]
fn odd_conversations_are_answered() {
    let tags = "<VARIABLE>\n<QUERY></IMPROVED_VARIABLE></QUERY>\n".repeat(500);
    let long = "wood ".repeat(20_000);
    let users = ["", " \n", "你好，木桌怎么保养？", "\u{0}\u{feff}🙂", "123", &tags, &long];
    let sim = sim(0.5);
    for user in users {
        let conversation = quoted(&loss(user, user, Some(user)), user);
        for messages in [
            vec![Message::user(user)],
            loss("q", user, Some("x")).to_vec(),
            update(&conversation, "For example, oil it.", "Add a caveat.").to_vec(),
        ] {
            let response = ask(&sim, &messages, Sampling::default()).expect("an answer");
            assert!(!response.choices[0].text.trim().is_empty());
        }
    }
    assert!(ask(&sim, &[], Sampling::default()).is_ok());
}
