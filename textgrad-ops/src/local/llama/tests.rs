//! Tests on a tiny model with random weights.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use textgrad_core::{Choice, FinishReason, Format, Image, MessageRole, Part, Purpose, Sampling};

use super::*;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gguf/tiny.gguf")
}

/// An engine of the tiny model, on one thread.
fn builder() -> LocalEngineBuilder {
    LocalEngine::builder(file()).threads(1)
}

fn sampling() -> Sampling {
    Sampling::default().with_seed(7).with_max_tokens(12)
}

fn asked(text: &str, sampling: Sampling) -> Request {
    Request::new(Purpose::Sample, [Message::user(text)]).with_sampling(sampling)
}

fn texts(response: &Response) -> Vec<&str> {
    response.choices.iter().map(|choice| choice.text.as_str()).collect()
}

/// Answers to ten conversations, so many at a time, beside others that nobody waits for.
async fn answers(engine: &LocalEngine, concurrency: usize) -> Vec<Choice> {
    let request = |i: usize| {
        let text = format!("{}: {}", i % 4, "the same words ".repeat(5 + i * 7 % 11));
        asked(&text, sampling().with_n(3).with_seed(u64::try_from(i).unwrap()))
    };
    let requests: Vec<Request> = (0..10).map(request).collect();
    let mut answers = Vec::new();
    for (part, requests) in requests.chunks(concurrency).enumerate() {
        let noise = asked(&format!("noise {part}"), sampling().with_max_tokens(200));
        let noise = engine.complete(&noise);
        let finished = join_all(requests.iter().map(|request| engine.complete(request)));
        let finished = tokio::select! {
            biased;
            finished = finished => finished,
            _ = async { if concurrency > 1 { let _ = noise.await; } std::future::pending::<()>().await } => vec![],
        };
        answers.extend(finished.into_iter().flat_map(|response| response.unwrap().choices));
    }
    assert_eq!(answers.len(), 30);
    answers
}

#[tokio::test]
async fn answers_are_the_same_at_any_concurrency_and_whatever_is_beside_them() {
    let engine = builder().build().unwrap();
    assert!(engine.answers.contains("together"), "{}", engine.answers);
    let alone = answers(&engine, 1).await;
    assert_eq!(answers(&engine, 8).await, alone);
    assert_eq!(answers(&builder().sequences(2).build().unwrap(), 8).await, alone);
    assert_eq!(answers(&builder().sequences(1).threads(2).build().unwrap(), 3).await, alone);
    let seeds: std::collections::BTreeSet<&str> =
        alone.iter().map(|choice| choice.text.as_str()).collect();
    assert!(seeds.len() > 25, "other seeds give other answers");
}

#[tokio::test]
async fn a_choice_has_the_seed_of_its_index() {
    let engine = builder().build().unwrap();
    let both = engine.complete(&asked("Hi!", sampling().with_n(2))).await.unwrap();
    let second = engine.complete(&asked("Hi!", sampling().with_seed(8))).await.unwrap();
    assert_eq!(texts(&both)[1], texts(&second)[0]);
    assert_ne!(texts(&both)[0], texts(&both)[1]);
    assert_eq!(both.model, "local:tiny");
    // Without a seed, each call has one of its own.
    let unseeded = Sampling::default().with_max_tokens(12);
    let first = engine.complete(&asked("Hi!", unseeded.clone())).await.unwrap();
    let second = engine.complete(&asked("Hi!", unseeded)).await.unwrap();
    assert_ne!(first.choices, second.choices);
}

#[tokio::test]
async fn answers_end_at_their_bounds() {
    let engine = builder().context(96).build().unwrap();
    let whole = engine.complete(&asked("Hi!", sampling())).await.unwrap();
    assert_eq!(whole.choices[0].finish_reason, FinishReason::Length);
    assert_eq!(whole.usage.completion_tokens, 12);
    let text = &whole.choices[0].text;
    let stop: String = text.chars().filter(char::is_ascii_alphanumeric).take(1).collect();
    let begin = text.split(&stop).next().unwrap();
    let stopped = Sampling { stop: vec![stop.clone()], ..sampling() };
    let stopped = engine.complete(&asked("Hi!", stopped)).await.unwrap();
    assert_eq!(texts(&stopped), [begin]);
    assert_eq!(stopped.choices[0].finish_reason, FinishReason::Stop);
    // The context is full.
    let long = engine.complete(&asked("Hi!", sampling().with_max_tokens(10_000))).await.unwrap();
    assert_eq!(long.choices[0].finish_reason, FinishReason::Length);
    assert_eq!(long.usage.total(), 96);
    let error = engine.complete(&asked(&"a".repeat(200), sampling())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let words = error.to_string();
    assert!(words.contains("fewer than 96 tokens") && words.contains("got 2"), "{words}");
}

#[tokio::test]
async fn a_prompt_is_read_once_for_all_answers_and_a_conversation_goes_on() {
    let engine = builder().build().unwrap();
    let text = "a long question ".repeat(20);
    let first = engine.complete(&asked(&text, sampling().with_n(5))).await.unwrap();
    assert_eq!(first.usage.cached_tokens, 0);
    let prompt = first.usage.prompt_tokens;
    assert_eq!(first.usage.completion_tokens, 60);
    let again = engine.complete(&asked(&text, sampling().with_n(5))).await.unwrap();
    assert_eq!(again.usage.cached_tokens, prompt - 1);
    assert_eq!(again.choices, first.choices);
    let ascii = "x".repeat(30);
    let turns = [Message::user(text.as_str()), Message::assistant(ascii), Message::user("more")];
    let other = Request::new(Purpose::Loss, turns).with_sampling(sampling());
    let other = engine.complete(&other).await.unwrap();
    assert!((prompt - 1..prompt + 2).contains(&other.usage.cached_tokens), "{:?}", other.usage);
}

#[tokio::test]
async fn a_dropped_call_ends() {
    let engine = builder().sequences(1).build().unwrap();
    let endless = asked("Hi!", sampling().with_max_tokens(900));
    let began = Instant::now();
    engine.complete(&endless).await.unwrap();
    let whole = began.elapsed();
    let began = Instant::now();
    for seed in 0..20 {
        let endless = endless.clone().with_sampling(endless.sampling.clone().with_seed(seed));
        let _ = tokio::time::timeout(Duration::from_millis(1), engine.complete(&endless)).await;
    }
    // The only sequence is free again, long before the dropped answers would have been written.
    engine.complete(&asked("Hi!", sampling())).await.unwrap();
    let (elapsed, bound) = (began.elapsed(), whole * 10);
    assert!(elapsed < bound, "{elapsed:?} {bound:?}");
}

#[tokio::test]
async fn engines_are_independent_and_end_with_their_last_clone() {
    let (one, two) = (builder().build().unwrap(), builder().context(200).build().unwrap());
    let request = asked("Hi!", sampling());
    let (first, second) = tokio::join!(one.complete(&request), two.complete(&request));
    assert_eq!(first.unwrap().choices, second.unwrap().choices);
    assert_eq!(one.identity(), two.identity());
    let clone = one.clone();
    drop(one);
    clone.complete(&request).await.unwrap();
}

#[tokio::test]
async fn an_answer_keeps_to_its_grammar_or_schema() {
    let engine = builder().build().unwrap();
    let mut sampling = sampling().with_n(4).with_max_tokens(60);
    let grammar = r#"root ::= "<A>" [a-c ]{1,8} "</A>""#;
    sampling.extra.insert("grammar".to_owned(), grammar.into());
    let response = engine.complete(&asked("Hi!", sampling.clone())).await.unwrap();
    for choice in &response.choices {
        assert_eq!(choice.finish_reason, FinishReason::Stop);
        let inner = choice.text.strip_prefix("<A>").and_then(|text| text.strip_suffix("</A>"));
        assert!(inner.is_some_and(|text| text.chars().all(|c| "abc ".contains(c))), "{choice:?}");
    }
    let again = engine.complete(&asked("Hi!", sampling.clone())).await.unwrap();
    assert_eq!(again.choices, response.choices);
    sampling.extra.insert("grammar".to_owned(), "root ::= (".into());
    let error = engine.complete(&asked("Hi!", sampling.clone())).await.unwrap_err();
    assert!(error.to_string().contains("expected a grammar in GBNF"), "{error}");

    sampling.extra.clear();
    let schema = json!({"type": "object", "properties": {"better": {"enum": ["A", "B"]}},
        "required": ["better"], "additionalProperties": false});
    let format = Format::json_schema("verdict", schema).unwrap();
    let request = asked("A or B?", sampling).with_format(format);
    for choice in engine.complete(&request).await.unwrap().choices {
        let value: Value = serde_json::from_str(&choice.text).unwrap();
        assert!(["A", "B"].contains(&value["better"].as_str().unwrap()), "{value}");
    }
}

#[tokio::test]
async fn logprobs_are_of_the_tokens_of_the_answer() {
    let engine = builder().build().unwrap();
    let sampling = Sampling { top_logprobs: Some(2), ..sampling() };
    let response = engine.complete(&asked("Hi!", sampling)).await.unwrap();
    let logprobs = &response.choices[0].logprobs;
    assert_eq!(logprobs.len(), 12);
    assert!(logprobs.iter().all(|token| token.logprob < 0.0 && token.top.len() == 2));
    assert!(logprobs.iter().all(|token| token.top[0].1 >= token.logprob));
    let greedy =
        Sampling { top_logprobs: Some(1), ..super::tests::sampling().with_temperature(0.0) };
    let response = engine.complete(&asked("Hi!", greedy)).await.unwrap();
    for token in &response.choices[0].logprobs {
        assert!((token.top[0].1 - token.logprob).abs() < 1e-12, "{token:?}");
    }
}

/// Prompt and answer as the template writes them.
fn given(engine: &LocalEngine, query: &str, answer: &str) -> (String, String) {
    let prompt = engine.chat_template().render_prompt(&[("user", query)]).unwrap();
    (prompt, format!("{answer}<|im_end|>"))
}

/// The logprobs of an answer that a grammar makes the model write token by token, and of the end of its turn.
async fn forced(engine: &LocalEngine, query: &str, answer: &str) -> Vec<f64> {
    let mut forced = Sampling { top_logprobs: Some(300), max_tokens: None, ..sampling() };
    forced.extra.insert("grammar".to_owned(), format!("root ::= {answer:?}").into());
    let response = engine.complete(&asked(query, forced)).await.unwrap();
    assert_eq!(texts(&response), [answer]);
    let (last, tokens) = response.choices[0].logprobs.split_last().unwrap();
    let end = last.top.iter().find(|(token, _)| token == "<|im_end|>").unwrap().1;
    tokens.iter().map(|token| token.logprob).chain([end]).collect()
}

#[tokio::test]
async fn logprobs_of_a_given_answer_are_those_of_writing_it() {
    let engine = builder().build().unwrap();
    let long = "Keep it dry, wipe it, and oil it twice a year. ".repeat(6);
    for (query, answer) in [("Hi!", "Hello."), ("Wood?", &long), (&long, "Yes."), ("a", "b")] {
        let expected = forced(&engine, query, answer).await;
        assert_eq!(expected.len(), answer.len() + 1, "bytes, and the mark at the end");
        for sequences in [8, 1] {
            let engine = builder().sequences(sequences).build().unwrap();
            let (prompt, text) = given(&engine, query, answer);
            let found = engine.logprobs(&prompt, &text).await.unwrap();
            let found: Vec<f64> = found.into_iter().map(|token| token.logprob).collect();
            assert_eq!(found, expected, "to the last bit");
        }
    }
    let (prompt, _) = given(&engine, "Hi!", "");
    assert_eq!(engine.logprobs(&prompt, "").await.unwrap(), []);
}

#[tokio::test]
async fn logprobs_of_a_given_answer_do_not_depend_on_what_is_computed_beside_them() {
    let engine = builder().sequences(4).build().unwrap();
    let query = "How do I take care of a wooden table? ".repeat(4);
    let texts: Vec<(String, String)> =
        (0..12).map(|i| given(&engine, &query, &"oil the wood ".repeat(1 + i * 5 % 12))).collect();
    let mut alone = Vec::new();
    for (prompt, text) in &texts {
        let engine = builder().build().unwrap();
        alone.push(engine.logprobs(prompt, text).await.unwrap());
    }
    for _ in 0..2 {
        let noise = (0..6).map(|i| {
            let sampling = sampling().with_n(2).with_seed(i).with_max_tokens(60);
            let request = asked(&query, sampling);
            let engine = engine.clone();
            async move { engine.complete(&request).await.map(|_| ()) }
        });
        let given = texts.iter().map(|(prompt, text)| engine.logprobs(prompt, text));
        let (noise, together) = tokio::join!(join_all(noise), join_all(given));
        noise.into_iter().for_each(|answer| answer.unwrap());
        let together: Vec<_> = together.into_iter().map(Result::unwrap).collect();
        assert_eq!(together, alone);
    }
    // The prompt is not read again.
    let (prompt, text) = &texts[0];
    let cached = engine.given(prompt, text).await.unwrap().cached;
    let length = prompt.replace("<|im_start|>", "s").replace("<|im_end|>", "e").len();
    assert_eq!(cached, length - 1);
}

#[tokio::test]
async fn given_answers_that_do_not_fit_are_refused_and_dropped_calls_end() {
    let engine = builder().context(128).sequences(1).build().unwrap();
    let (prompt, _) = given(&engine, "Hi!", "");
    let error = engine.logprobs(&prompt, &"a".repeat(200)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let words = error.to_string();
    assert!(words.contains("at most 128 tokens") && words.contains("got 2"), "{words}");
    let error = engine.logprobs("", "Hello.").await.unwrap_err().to_string();
    assert!(error.contains("expected a prompt before the text"), "{error}");

    let engine = builder().sequences(1).context(2048).build().unwrap();
    let (prompt, text) = given(&engine, "Hi!", &"word ".repeat(380));
    let began = Instant::now();
    engine.logprobs(&prompt, &text).await.unwrap();
    let whole = began.elapsed();
    let began = Instant::now();
    for _ in 0..20 {
        let call = engine.logprobs(&prompt, &text);
        let _ = tokio::time::timeout(Duration::from_millis(1), call).await;
    }
    engine.complete(&asked("Hi!", sampling())).await.unwrap();
    let (elapsed, bound) = (began.elapsed(), whole * 10);
    assert!(elapsed < bound, "{elapsed:?} {bound:?}");
}

#[tokio::test]
async fn status_shows_the_model() {
    let engine = builder().context(128).sequences(2).build().unwrap();
    engine.complete(&asked("Hi!", sampling())).await.unwrap();
    let status = engine.status().await;
    assert_eq!(status.context_length, Some(128));
    let fact = |name: &str| {
        let found = status.facts.iter().find(|(fact, _)| *fact == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(fact("architecture"), "llama");
    assert_eq!(fact("parameters"), "0 million, Q8_0");
    assert!(fact("memory").ends_with("in 2 sequences"), "{}", fact("memory"));
    assert!(fact("speed").contains(" completion tokens/s"), "{}", fact("speed"));
    assert_eq!(fact("threads"), "1");
}

#[tokio::test]
async fn an_engine_that_is_not_exact_says_so_and_keeps_more_bits() {
    let mut memory = Vec::new();
    for (exact, words) in [(true, "equal for equal seeds"), (false, "change with what")] {
        let engine = builder().context(4096).sequences(64).exact(exact).build().unwrap();
        let answer = engine.complete(&asked("Hi!", sampling())).await.unwrap();
        assert!(answer.usage.completion_tokens > 0);
        let facts = engine.status().await.facts;
        assert!(facts.iter().any(|(_, value)| value.contains(words)), "{facts:?}");
        memory.extend(facts.into_iter().filter(|(fact, _)| *fact == "memory"));
    }
    assert_ne!(memory[0], memory[1]);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let engine = builder().build().unwrap();
    let image = Part::Image(Image::new(vec![1], "image/png").unwrap());
    let seen = Request::new(Purpose::Sample, [Message::new(MessageRole::User, [image])]);
    assert_eq!(engine.complete(&seen).await.unwrap_err().kind(), ErrorKind::Unsupported);
    for wrong in [
        sampling().with_n(0),
        sampling().with_max_tokens(0),
        sampling().with_temperature(-1.0),
        sampling().with_temperature(f64::NAN),
    ] {
        let error = engine.complete(&asked("Hi!", wrong)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    }
}

#[test]
fn files_that_are_no_such_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        textgrad_core::describe(&LocalEngine::builder(&path).build().unwrap_err())
    };
    let whole = fs::read(file()).unwrap();
    assert!(refused(b"").contains("begins with the letters GGUF"));
    assert!(refused(b"PK\x03\x04 another file").contains("begins with the letters GGUF"));
    for length in [4, 20, 100, 5_000, 20_000, whole.len() - 1] {
        let error = refused(&whole[..length]);
        assert!(error.contains("expected a model that llama.cpp loads"), "{length}: {error}");
    }
    let error = refused(&whole[..whole.len() - 1]);
    assert!(error.contains("corrupted or incomplete"), "{error}");
    let at = whole.windows(5).position(|window| window == b"llama").unwrap();
    let mut other = whole.clone();
    other[at..at + 5].copy_from_slice(b"lhama");
    assert!(refused(&other).contains("unknown model architecture: 'lhama'"));

    let missing = LocalEngine::builder(folder.path().join("no.gguf")).build().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.to_string().contains("no.gguf"));
    let error = LocalEngine::builder(folder.path()).build().unwrap_err().to_string();
    assert!(error.contains("got the folder"), "{error}");
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let refused = |builder: LocalEngineBuilder| builder.build().unwrap_err().to_string();
    let error = refused(builder().context(9000));
    assert!(
        error.contains("at most 8192 tokens, what the model was trained for, got 9000"),
        "{error}"
    );
    assert!(refused(builder().sequences(0)).contains("1 to 64 sequences, got 0"));
    let line = |line: &str| LocalEngineBuilder::from_line(line);
    let settings = line(" a/b.gguf , threads=2, sequences=3,context=9,exact=false").unwrap();
    let expected = LocalEngine::builder("a/b.gguf").threads(2).sequences(3).context(9).exact(false);
    assert_eq!(settings, expected);
    for (wrong, expected) in [
        ("", "expected the path of a GGUF file"),
        (",context=1", "expected the path of a GGUF file"),
        ("m.gguf,context=0", "expected a number from 1 in \"context=0\""),
        ("m.gguf,context", "expected a number from 1"),
        ("m.gguf,layers=3", "context, sequences, threads and exact, got \"layers\""),
        ("m.gguf,exact=1", "expected exact=true or exact=false"),
    ] {
        let error = line(wrong).unwrap_err().to_string();
        assert!(error.contains(expected), "{wrong}: {error}");
    }
}
