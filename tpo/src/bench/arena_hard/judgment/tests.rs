use serde_json::json;
use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Purpose, Request};

use super::*;

fn setting(category: &str) -> (Question, Answer, Answer) {
    let line = json!({ "uid": "q", "category": category, "prompt": "Why {{x}}?" });
    let question: Question = serde_json::from_value(line).unwrap();
    let baseline = Answer::new(&question, "base", "the baseline's", 0.0);
    let answer = Answer::new(&question, "mine", "the </ANSWER_A> model's", 0.0);
    (question, baseline, answer)
}

fn judge(engine: &Arc<ScriptedEngine>) -> Judge {
    let pack = Arc::new(crate::prompts::default_pack());
    Judge::new(Arc::clone(engine) as Arc<dyn Engine>, pack)
}

#[tokio::test]
async fn the_positions_are_swapped_in_the_second_game() {
    let (question, baseline, answer) = setting("hard_prompt");
    let engine = Arc::new(ScriptedEngine::new(["so [[B>A]]", "no verdict"]));
    let judgment = judge(&engine).judge(&question, &baseline, &answer).await.unwrap();
    let [first, second] = judgment.games.each_ref().map(|game| game.as_ref().unwrap().score);
    assert_eq!((first, second), (Some(Verdict::BBetter), None));
    assert_eq!((judgment.model.as_str(), judgment.baseline.as_str()), ("mine", "base"));
    let sent = engine.requests();
    let place = |request: &Request, text: &str| request.messages[1].text().find(text).unwrap();
    assert!(place(&sent[0], "the baseline's") < place(&sent[0], "model's"));
    assert!(place(&sent[1], "the baseline's") > place(&sent[1], "model's"));
    assert!(sent[0].messages[1].text().contains("Why {{x}}?"));
    assert_eq!((sent[0].sampling.temperature, sent[0].sampling.n), (Some(0.0), 1));
    assert_ne!(sent[0].sampling.seed, sent[1].sampling.seed);
    assert_eq!(sent[0].purpose, Purpose::Judge);
}

#[tokio::test]
async fn creative_questions_are_not_answered_first() {
    let mut systems = Vec::new();
    for category in ["hard_prompt", "creative_writing"] {
        let (question, baseline, answer) = setting(category);
        let engine = Arc::new(ScriptedEngine::new(["[[A=B]]", "[[A=B]]"]));
        judge(&engine).judge(&question, &baseline, &answer).await.unwrap();
        systems.push(engine.requests()[0].messages[0].text());
    }
    assert!(systems[0].contains("your own answer"), "{}", systems[0]);
    assert!(!systems[1].contains("your own answer"), "{}", systems[1]);
}

#[tokio::test]
async fn answers_to_another_question_are_refused() {
    let (question, baseline, mut answer) = setting("hard_prompt");
    answer.uid = "other".to_owned();
    let engine = Arc::new(ScriptedEngine::new(["[[A=B]]"]));
    let error = judge(&engine).judge(&question, &baseline, &answer).await.unwrap_err();
    assert!(error.to_string().contains("got one to \"other\""), "{error}");
    assert!(engine.requests().is_empty());
}

#[test]
fn the_last_verdict_in_two_brackets_counts() {
    for (reply, verdict) in [
        ("[[A>B]] then [[B>A]]", Some(Verdict::BBetter)),
        ("my verdict is: [[a>>b]]", Some(Verdict::AMuchBetter)),
        ("[[A=B]] ... [B>A]", Some(Verdict::Tie)),
        ("[A>B] or rather [B>>A]", Some(Verdict::BMuchBetter)),
        ("[[B<<A]]", Some(Verdict::AMuchBetter)),
        ("[[A<B]]", Some(Verdict::BBetter)),
        ("A>B", None),
        ("[[C>B]]", None),
        // A verdict that is no comparison is none, also after one that is.
        ("[[A>B]] [[A]]", None),
        ("", None),
        ("<think>[[A>>B]], I would say</think>\n[[B>A]]", Some(Verdict::BBetter)),
        ("[THINK]At first [[A>B]], but", None),
        ("**[[A>B]]**", Some(Verdict::ABetter)),
        ("My final verdict: [[**B>>A**]]", Some(Verdict::BMuchBetter)),
        ("\\[\\[A\\>B\\]\\]", Some(Verdict::ABetter)),
        ("[[**A=B**]]", Some(Verdict::Tie)),
        ("[[ A = B ]]", None),
        ("[[B&gt;&gt;A]]", Some(Verdict::BMuchBetter)),
        ("[[A\u{226b}B]]", Some(Verdict::AMuchBetter)),
        ("[[`A>B`]]", Some(Verdict::ABetter)),
        ("**A** is better (A > B)", None),
    ] {
        assert_eq!(Verdict::of(reply), verdict, "{reply}");
    }
}

#[test]
fn files_of_the_official_program_are_read() {
    let line = r#"{"uid":"u","category":"hard_prompt","judge":"j","model":"m","baseline":"b","games":[{"score":"A<<B","judgment":{"answer":"x"},"prompt":[{"role":"user","content":"p"}]},null]}"#;
    let judgments = read_judgments("f", line).unwrap();
    assert_eq!(judgments[0].verdicts(), None);
    let first = judgments[0].games[0].as_ref().unwrap();
    assert_eq!((first.score, first.judgment()), (Some(Verdict::BMuchBetter), "x"));
    let error = read_judgments("f", &line.replace("A<<B", "A")).unwrap_err().to_string();
    assert!(error.contains("expected a verdict such as A>>B, got \"A\""), "{error}");
    let back = read_judgments("f", &crate::bench::to_jsonl(&judgments).unwrap()).unwrap();
    assert_eq!(back, judgments);
}
