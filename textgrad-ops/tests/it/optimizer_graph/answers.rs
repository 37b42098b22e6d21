//! Answers to the optimizer of graphs: reading, retries and choice.

use std::sync::Arc;

use serde_json::json;
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Choice, EngineError, ErrorKind, FinishReason, Parameter, check_fn};
use textgrad_ops::Proposal;

use super::{graph, new_texts, parameters, program, propose, proposed};
use crate::support::{script, user};

#[tokio::test]
async fn what_cannot_be_read_is_asked_for_again_with_all_that_is_wrong() {
    let answers = [
        ("no tags at all", "the opening tag <NEW_TEXTS> was missing"),
        ("<NEW_TEXTS>\n{\"style\": \n</NEW_TEXTS>", "expected one JSON object of names and texts"),
        ("<NEW_TEXTS>\n[1]\n</NEW_TEXTS>", "invalid type: sequence"),
        (
            "<NEW_TEXTS>\n{\"style\": \"a\", \"style\": \"b\"}\n</NEW_TEXTS>",
            "between the tags, but: \"style\" occurs more than once",
        ),
        ("{\"style\": \"a\", \"style\": \"b\"}", "but: \"style\" occurs more than once"),
        (
            "<NEW_TEXTS>\n{\"stile\": \"x\"}\n</NEW_TEXTS>",
            "\"stile\" is no parameter; they are: system_prompt, style",
        ),
        (
            "<NEW_TEXTS>\n{\"style\": 7}\n</NEW_TEXTS>",
            "the value of \"style\" is a number, not a text",
        ),
        (
            "<NEW_TEXTS>\n{\"style\": null}\n</NEW_TEXTS>",
            "the value of \"style\" is null, not a text",
        ),
        ("<NEW_TEXTS>\n{\"style\": \" \\n\"}\n</NEW_TEXTS>", "the new text of \"style\" is empty"),
    ];
    for (answer, problem) in answers {
        let engine = script([answer, &new_texts(json!({ "style": "x" }))]);
        let [prompt, style] = parameters();
        let objective = program(&prompt, &style).await;
        let proposal =
            propose(&graph(&engine).build(), &[prompt, style], &objective).await.unwrap();
        let asked = user(&engine.requests()[1]);
        assert!(asked.contains(problem), "{problem} in {asked}");
        assert!(
            asked.contains(&format!("<REJECTED_ANSWER>\n{answer}\n</REJECTED_ANSWER>")),
            "{asked}"
        );
        assert_eq!(proposal.updates[0].rejected()[0].text, answer);
    }
    // All that is wrong is said at once.
    let engine =
        script(["<NEW_TEXTS>\n{\"a\": 1, \"style\": []}\n</NEW_TEXTS>", &new_texts(json!({}))]);
    let [prompt, style] = parameters();
    let objective = program(&prompt, &style).await;
    propose(&graph(&engine).build(), &[prompt, style], &objective).await.unwrap();
    assert_eq!(user(&engine.requests()[1]).matches("<PROBLEM>").count(), 2);
}

#[tokio::test]
async fn asking_again_is_bounded_and_a_cut_answer_is_none() {
    for parse_retries in [0, 2] {
        let cut = Choice::new(new_texts(json!({ "style": "x" })), FinishReason::Length);
        let engine = Arc::new(ScriptedEngine::new(vec![Reply::choices([cut]); 5]));
        let [prompt, style] = parameters();
        let objective = program(&prompt, &style).await;
        let optimizer = graph(&engine).parse_retries(parse_retries).build();
        let error = propose(&optimizer, &[prompt, style], &objective).await.unwrap_err();
        let said = format!(
            "no usable new text for the variable (role: system prompt; style) in {} request(s); \
             the last answer: it was truncated (finish reason length); raise max tokens; it began: ",
            1 + parse_retries
        );
        assert!(error.to_string().starts_with(&said), "{error}");
        assert_eq!(engine.requests().len(), 1 + parse_retries as usize);
    }
}

#[tokio::test]
async fn forms_of_an_answer() {
    let object = "{\"style\": \"a </NEW_TEXTS> b\\n{x}\"}";
    for answer in [
        format!("<NEW_TEXTS>\n{object}\n</NEW_TEXTS>"),
        format!("**<NEW_TEXTS>**\n```json\n{object}\n```\n**</NEW_TEXTS>**\nDone."),
        object.to_owned(),
        format!("```json\n{object}\n```"),
        format!("The style is to blame:\n\n```json\n{object}\n```\nThat is all."),
        format!("Now it is\n```\nplain\n```\nso\n  ```json\n{object}\n  ```"),
        format!("<NEW_TEXTS>\nHere:\n```json\n{object}\n```\n</NEW_TEXTS>"),
    ] {
        let engine = script([&answer]);
        let [prompt, style] = parameters();
        let objective = program(&prompt, &style).await;
        let both = [prompt, style.clone()];
        propose(&graph(&engine).build(), &both, &objective).await.unwrap().apply().unwrap();
        assert_eq!(&*style.text(), "a </NEW_TEXTS> b\n{x}", "{answer}");
    }
    // New texts are in the order of the parameters, whatever that of the answer.
    let engine = script([&new_texts(json!({ "style": "b", "system_prompt": "a" }))]);
    let proposal = proposed(&engine).await;
    let first = &proposal.updates[0].rewrite.as_ref().unwrap().candidates[0];
    assert_eq!((first.text(), first.source().unwrap().output()), (Some("a"), 0));
    // Nothing to change, and the text that there is already: unchanged, and no failure.
    for texts in [json!({}), json!({ "style": " plain " })] {
        let engine = script([&new_texts(texts)]);
        let [prompt, style] = parameters();
        let objective = program(&prompt, &style).await;
        let proposal =
            propose(&graph(&engine).build(), &[prompt, style], &objective).await.unwrap();
        assert_eq!((proposal.updates.len(), proposal.unchanged.len()), (0, 2));
        proposal.apply().unwrap();
    }
}

fn one_word(text: &str, role: &str) -> Parameter {
    let check = check_fn("one word", |text| match text.split_whitespace().count() {
        1 => Ok(()),
        words => Err(format!("it has {words}")),
    });
    Parameter::builder(text, role).constraint("polite").check(check).build()
}

#[tokio::test]
async fn a_text_that_breaks_a_check_is_asked_for_again_and_else_the_old_one_stays() {
    let broken = new_texts(json!({ "style": "two words", "system_prompt": "New." }));
    let (prompt, style) = (Parameter::new("Answer.", "system prompt"), one_word("plain", "style"));
    let objective = program(&prompt, &style).await;
    let both = [prompt.clone(), style.clone()];

    let engine = script([&broken, &new_texts(json!({ "style": "verse" }))]);
    let proposal = propose(&graph(&engine).build(), &both, &objective).await.unwrap();
    let asked = user(&engine.requests()[0]);
    assert!(asked.contains("<CONSTRAINTS>\n1. polite\n2. one word\n</CONSTRAINTS>"), "{asked}");
    let problem = "\"style\": the new text breaks the rule \"one word\": it has 2";
    assert!(user(&engine.requests()[1]).contains(problem));
    // What was sound in the first answer is not lost with the rest of it.
    let texts = |proposal: &Proposal| -> Vec<Option<String>> {
        let texts = proposal.updates.iter().map(|update| {
            let rewrite = update.rewrite.as_ref().ok()?;
            Some(rewrite.candidates[0].text()?.to_owned())
        });
        texts.collect()
    };
    let both_new = [Some("New.".to_owned()), Some("verse".to_owned())];
    assert_eq!(texts(&proposal), both_new);

    // Nor is it with an answer that has other faults, or when a later one breaks a rule where it did not.
    let faulty = "<NEW_TEXTS>\n{\"stile\": \"x\", \"system_prompt\": \"New.\"}\n</NEW_TEXTS>";
    let engine = script([faulty, &new_texts(json!({ "style": "verse" }))]);
    assert_eq!(
        texts(&propose(&graph(&engine).build(), &both, &objective).await.unwrap()),
        both_new
    );
    let engine = script([faulty, "no tags", "no tags"]);
    let proposal = propose(&graph(&engine).build(), &both, &objective).await.unwrap();
    assert_eq!(texts(&proposal), both_new[..1]);
    let sound = "<NEW_TEXTS>\n{\"a\": \"x\", \"style\": \"verse\"}\n</NEW_TEXTS>";
    let engine = script([sound, &broken, &broken]);
    assert_eq!(
        texts(&propose(&graph(&engine).build(), &both, &objective).await.unwrap()),
        both_new
    );
    // The last word on a parameter counts.
    let engine = script([&broken, &new_texts(json!({ "system_prompt": "Newer." }))]);
    let proposal = propose(&graph(&engine).build(), &both, &objective).await.unwrap();
    assert_eq!(texts(&proposal), [Some("Newer.".to_owned()), None]);
    let back = new_texts(json!({ "system_prompt": "Answer.", "style": "plain" }));
    let engine = script([&broken, &back]);
    let proposal = propose(&graph(&engine).build(), &both, &objective).await.unwrap();
    assert!(proposal.updates.is_empty(), "{:?}", texts(&proposal));

    // It stays as it is; what is valid of the last answer that could be read is assigned.
    let engine = script([&broken, "no tags", "no tags"]);
    let proposal = propose(&graph(&engine).build(), &both, &objective).await.unwrap();
    proposal.apply().unwrap();
    assert_eq!((&*prompt.text(), &*style.text()), ("New.", "plain"));
    assert!(proposal.updates[1].is_kept() && proposal.updates[1].rejected().len() == 3);
    assert_eq!(proposal.updates[1].rejected()[0].violations[0].problem, "it has 2");
    assert!(proposal.unchanged.is_empty());
}

#[tokio::test]
async fn what_was_paid_for_is_kept_when_the_engine_fails_later() {
    let down = || Reply::error(EngineError::new(ErrorKind::Server, "down"));
    let (prompt, style) = (Parameter::new("Answer.", "system prompt"), one_word("plain", "style"));
    let objective = program(&prompt, &style).await;
    let both = [prompt.clone(), style];
    let broken = new_texts(json!({ "style": "two words", "system_prompt": "New." }));
    let engine = Arc::new(ScriptedEngine::new([Reply::from(broken), down()]));
    propose(&graph(&engine).build(), &both, &objective).await.unwrap().apply().unwrap();
    assert_eq!(&*prompt.text(), "New.");
    let engine = Arc::new(ScriptedEngine::new([Reply::from("no tags"), down()]));
    let objective = program(&prompt, &both[1]).await;
    let error = propose(&graph(&engine).build(), &both, &objective).await.unwrap_err();
    assert_eq!(error.engine().map(EngineError::kind), Some(ErrorKind::Server));
}
