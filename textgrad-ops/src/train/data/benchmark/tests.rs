use super::*;

fn error(benchmark: Benchmark, name: &str, text: &str) -> String {
    benchmark.parse(name, text).unwrap_err().to_string()
}

#[test]
fn big_bench_hard() {
    let text = r#"{"canary": "do not train on this", "examples": [
        {"input": "I have a pear and two dogs. How many fruits do I have?", "target": "1"},
        {"input": "Sort: pear apple", "target": "apple pear"}]}"#;
    let data = Benchmark::BigBenchHard.parse("object_counting.json", text).unwrap();
    assert_eq!(data.get(1).unwrap().field("question"), Some("Sort: pear apple"));
    assert_eq!(data.get(0).unwrap().expected(), Some("1"));
    let bad = r#"{"examples": [{"input": "x", "target": "y"}, {"input": "x"}]}"#;
    let message = error(Benchmark::BigBenchHard, "b.json", bad);
    assert!(message.starts_with("b.json, example 2: expected the field \"target\""), "{message}");
    let message = error(Benchmark::BigBenchHard, "b.json", "[]");
    assert_eq!(message, "b.json: expected a JSON object with a list \"examples\", got none");
}

#[test]
fn gsm8k() {
    let text = "{\"question\": \"Q\", \"answer\": \"3 * 400 = <<3*400=1200>>1200\\nso\\n#### 1,200\"}\r\n\n{\"question\": \"R\", \"answer\": \"#### -3\"}";
    let data = Benchmark::Gsm8k.parse("test.jsonl", text).unwrap();
    let first = data.get(0).unwrap();
    assert_eq!(first.expected(), Some("1200"));
    assert_eq!(first.metadata()["solution"], "3 * 400 = <<3*400=1200>>1200\nso");
    assert_eq!(data.get(1).unwrap().expected(), Some("-3"));
    for result in ["nan", "NaN", "-nan", "inf", "-Infinity", "1e999"] {
        let line = format!(r#####"{{"question": "Q", "answer": "#### {result}"}}"#####);
        let message = error(Benchmark::Gsm8k, "g.jsonl", &line);
        let expected = format!("expected a number behind \"####\", got {result:?}");
        assert!(
            message.starts_with("g.jsonl, line 1: ") && message.contains(&expected),
            "{message}"
        );
    }
    let message = error(Benchmark::Gsm8k, "g.jsonl", r##"{"question": "Q", "answer": "four"}"##);
    assert!(
        message.starts_with("g.jsonl, line 1: expected the field \"answer\" to end in"),
        "{message}"
    );
    let message =
        error(Benchmark::Gsm8k, "g.jsonl", r#####"{"question": "Q", "answer": "#### four"}"#####);
    assert!(message.ends_with("got \"four\""), "{message}");
}

#[test]
fn mmlu() {
    let text = "\"What, then?\",one,two,three,four,C\nNext?,a,b,c,d, b\n";
    let data = Benchmark::Mmlu.parse("x_test.csv", text).unwrap();
    let first = data.get(0).unwrap();
    assert_eq!((first.field("question"), first.expected()), (Some("What, then?"), Some("C")));
    assert_eq!(first.choices_text(), "A) one\nB) two\nC) three\nD) four");
    assert_eq!(data.get(1).unwrap().expected(), Some("B"));
    for (text, part) in [
        ("Q,a,b,c,d,E\n", "line 1: expected a letter from A to D in the last column, got \"E\""),
        ("Q,a,b,c,A\n", "line 1: expected 6 columns (question, four choices, letter), got 5"),
        ("Q\n", "expected 6 columns"),
    ] {
        let message = error(Benchmark::Mmlu, "m.csv", text);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn gpqa() {
    let mut text = "Record ID,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3,Note\n".to_owned();
    for row in 0..40 {
        text.push_str(&format!("r{row},\"Which, {row}?\",\" right\n\",w1,w2,w3,\n"));
    }
    let data = Benchmark::Gpqa(Seed::new(5)).parse("gpqa.csv", &text).unwrap();
    let mut letters = std::collections::BTreeSet::new();
    for example in &data {
        let expected = example.expected().unwrap().chars().next().unwrap();
        letters.insert(expected);
        let right = &example.choices()[crate::score::index_of_letter(expected).unwrap()];
        assert_eq!(right, "right");
        let mut sorted = example.choices().to_vec();
        sorted.sort();
        assert_eq!(sorted, ["right", "w1", "w2", "w3"]);
    }
    assert_eq!(letters.len(), 4, "the right one stands everywhere");
    assert_eq!(data.get(0).unwrap().metadata()["Record ID"], "r0");
    assert!(!data.get(0).unwrap().metadata().contains_key("Note"));
    assert_eq!(data, Benchmark::Gpqa(Seed::new(5)).parse("gpqa.csv", &text).unwrap());
    assert_ne!(data, Benchmark::Gpqa(Seed::new(6)).parse("gpqa.csv", &text).unwrap());
    let message = error(Benchmark::Gpqa(Seed::new(5)), "g.csv", "Question,Correct Answer\nq,a\n");
    assert!(message.contains("expected the field \"Incorrect Answer 1\""), "{message}");
}

#[test]
fn math_vista() {
    let one = r#"{"pid": "2", "question": "How wide?", "image": "images/2.jpg", "choices": null, "unit": "cm", "precision": 1.0, "question_type": "free_form", "answer_type": "float", "answer": "1.5", "metadata": {"split": "testmini"}}"#;
    let two = r#"{"pid": 10, "question": "Which?", "image": "images/10.jpg", "choices": ["red", "blue"], "unit": null, "precision": null, "question_type": "multi_choice", "answer_type": "text", "answer": ""}"#;
    let by_pid = format!("{{\"10\": {two}, \"2\": {one}}}");
    let list = format!("[{one}, {two}]");
    let lines = format!("{one}\n{two}\n");
    let data = Benchmark::MathVista.parse("testmini.json", &by_pid).unwrap();
    for (name, text) in [("a.json", list), ("a.jsonl", lines)] {
        assert_eq!(Benchmark::MathVista.parse(name, &text).unwrap().sha256(), data.sha256());
    }
    let first = data.get(0).unwrap();
    assert_eq!((first.id(), first.expected()), ("2", Some("1.5")));
    assert_eq!(first.image(), Some(Path::new("images/2.jpg")));
    assert_eq!(first.metadata()["precision"], 1.0);
    assert_eq!(data.get(1).unwrap().choices(), ["red", "blue"]);
    assert_eq!(data.get(1).unwrap().expected(), None);
    let bad = one.replace("free_form", "essay");
    let message = error(Benchmark::MathVista, "m.jsonl", &bad);
    assert!(
        message.starts_with("m.jsonl, line 1: expected the field \"question_type\""),
        "{message}"
    );
    let bad = two.replace(r#"["red", "blue"]"#, "null");
    let message = error(Benchmark::MathVista, "m.jsonl", &bad);
    assert!(message.contains("expected the field \"choices\""), "{message}");
}
