//! Replies under the grammar of an update, of a tiny model with random weights.

use std::sync::Arc;

use textgrad_core::{Engine, Feedback, Message, Purpose, Request, Sampling, Variable};

use super::LocalEngine;
use crate::{Tags, TextualGradientDescent, TextualGradientDescentBuilder};

fn builder(sampling: Sampling) -> TextualGradientDescentBuilder {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gguf/tiny.gguf");
    let engine = LocalEngine::builder(file).threads(1).build().unwrap();
    TextualGradientDescent::builder(Arc::new(engine))
        .sampling(sampling.with_seed(7))
        .candidates(6)
        .parse_retries(0)
}

/// New texts, and replies that cannot be used with what is wrong with them.
async fn updates(optimizer: TextualGradientDescentBuilder) -> (Vec<String>, Vec<(String, bool)>) {
    let text = Variable::constant("Oil the table.", "an answer");
    let feedback = [Feedback::new("Say how often.")];
    let outcome = optimizer.build().rewrite(&text, &feedback, None).await.unwrap();
    let texts = outcome.candidates.iter().map(|text| text.text().unwrap().to_owned()).collect();
    let rejected = outcome.rejected.into_iter().map(|reply| (reply.text, reply.cut_off));
    (texts, rejected.collect())
}

#[tokio::test]
async fn every_reply_of_an_update_has_its_closing_tag_or_is_truncated() {
    let sampling = Sampling::default().with_max_tokens(160);
    let tags = Tags::new("[", "]").unwrap();
    let (texts, rejected) = updates(builder(sampling).tags(tags).constrained_decoding(true)).await;
    assert!(!texts.is_empty() && texts.iter().all(|text| !text.contains(['[', ']'])), "{texts:?}");
    for (text, is_truncated) in rejected {
        assert!(text.starts_with("[\n") && is_truncated, "{text:?}");
    }
}

#[tokio::test]
async fn a_reply_of_edits_or_a_whole_text_begins_as_one() {
    let sampling = Sampling::default().with_max_tokens(80);
    let tags = Tags::new("[", "]").unwrap();
    let optimizer = builder(sampling).tags(tags).edits(3).constrained_decoding(true).build();
    let text = Variable::constant("Oil the table.", "an answer");
    let begins = match optimizer.rewrite(&text, &[Feedback::new("Say how often.")], None).await {
        Ok(outcome) => outcome.rejected.into_iter().map(|reply| reply.text).collect(),
        // Hardly any reply closes tags of several letters.
        Err(error) => vec![error.to_string().replace("\\n", "\n")],
    };
    for text in begins {
        let (_, begin) = text.split_once("it began: \"").unwrap_or(("", &text));
        assert!(
            ["<EDIT>\n<FIND>", "<EDIT>\n<INSERT>", "[\n"].iter().any(|tag| begin.starts_with(tag)),
            "{text}"
        );
    }
}

/// llama.cpp reads a grammar by recursion: a deep one would end the process.
#[tokio::test]
async fn a_grammar_that_nests_too_deep_is_refused() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gguf/tiny.gguf");
    let engine = LocalEngine::builder(file).threads(1).build().unwrap();
    let groups = |depth| format!("root ::= {}\"a\"{}", "(".repeat(depth), ")".repeat(depth));
    let rules = |count| {
        let chain = (2..count).map(|next| format!("a{next} ::= a{}\n", next + 1));
        format!("root ::= a2\n{}a{count} ::= \"a\"\n", chain.collect::<String>())
    };
    for (grammar, fits) in [
        (groups(1000), true),
        (rules(1000), true),
        (groups(100_000), false),
        (rules(100_000), false),
    ] {
        let mut sampling = Sampling::default().with_max_tokens(4);
        sampling.extra.insert("grammar".to_owned(), grammar.into());
        let request = Request::new(Purpose::Sample, [Message::user("Hi!")]).with_sampling(sampling);
        match engine.complete(&request).await {
            Ok(response) => assert!(fits && response.choices.iter().all(|one| one.text == "a")),
            Err(error) => {
                assert!(!fits && error.message().contains("at most 1000 groups"), "{error}")
            }
        }
    }
}
