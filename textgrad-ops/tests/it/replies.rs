//! Replies that are read as a new text, and replies that are not.

use std::sync::Arc;

use crate::support::{script, tagged};
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{Choice, FinishReason, Variable};
use textgrad_ops::{Error, TextualGradientDescent};

async fn taken(reply: Reply) -> Option<String> {
    let engine = Arc::new(ScriptedEngine::new([reply]));
    let optimizer = TextualGradientDescent::builder(engine.clone()).parse_retries(0).build();
    let x = Variable::differentiable("x", "text");
    let feedback = [textgrad_core::Feedback::new("better!")];
    match optimizer.rewrite(&x, &feedback, None).await {
        Ok(rewrite) => rewrite.candidates[0].text().map(str::to_owned),
        Err(Error::NoUpdate { .. }) => None,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tag_that_the_reasoning_mentions_does_not_win() {
    let new = tagged("new text");
    for before in [
        "I put it into <IMPROVED_VARIABLE> tags:\n",
        "`<IMPROVED_VARIABLE>` is where it goes.\n",
        "Between <IMPROVED_VARIABLE> and </IMPROVED_VARIABLE>, as asked:\n",
        "A draft first.\n<IMPROVED_VARIABLE>\ndraft\n</IMPROVED_VARIABLE>\nNow the real one.\n",
    ] {
        let reply = format!("{before}{new}");
        assert_eq!(taken(reply.as_str().into()).await.as_deref(), Some("new text"), "{reply}");
    }
    let behind = format!("{new}\nI used <IMPROVED_VARIABLE> and </IMPROVED_VARIABLE> as asked.");
    assert_eq!(taken(behind.into()).await.as_deref(), Some("new text"));
}

#[tokio::test]
async fn an_ambiguous_reply_is_not_guessed() {
    for reply in [
        "Between <IMPROVED_VARIABLE> and </IMPROVED_VARIABLE>: new text".to_owned(),
        format!("<IMPROVED_VARIABLE> is where it goes.\n{}", tagged("new text")),
        format!("<IMPROVED_VARIABLE>\nThe tag\n{}", tagged("opens")),
        "<IMPROVED_VARIABLE>a</IMPROVED_VARIABLE><IMPROVED_VARIABLE>b</IMPROVED_VARIABLE>"
            .to_owned(),
    ] {
        assert_eq!(taken(reply.as_str().into()).await, None, "{reply}");
    }
}

#[tokio::test]
async fn marks_around_the_tags_are_not_part_of_the_value() {
    let reply = "**<IMPROVED_VARIABLE>**\nnew *text*\n**</IMPROVED_VARIABLE>**";
    assert_eq!(taken(reply.into()).await.as_deref(), Some("new *text*"));
}

#[tokio::test]
async fn a_reply_that_was_cut_off_is_not_a_value() {
    let cut = |text: &str| Reply::choices([Choice::new(text, FinishReason::Length)]);
    assert_eq!(taken(cut("<IMPROVED_VARIABLE>\nhalf a te")).await, None);
    assert_eq!(taken(cut(&tagged("whole?"))).await, None);
    // One that ended may lack its closing tag.
    assert_eq!(taken("<IMPROVED_VARIABLE>\nwhole".into()).await.as_deref(), Some("whole"));
    // Cut off by a server that does not say so: neither the half nor the draft before it is the new text.
    let draft = format!("{}\nBetter:\n<IMPROVED_VARIABLE>\nhalf a te", tagged("draft"));
    assert_eq!(taken(draft.into()).await, None);
}

#[tokio::test]
async fn a_reply_without_tags_is_asked_for_again_and_never_alike() {
    let engine = script(["new text without tags", &tagged("new text")]);
    let x = Variable::differentiable("x", "text");
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    let feedback = [textgrad_core::Feedback::new("better!")];
    let rewrite = optimizer.rewrite(&x, &feedback, None).await.unwrap();
    assert_eq!(rewrite.candidates[0].text(), Some("new text"));
    let [first, second] = &engine.requests()[..] else { panic!() };
    assert_ne!(first, second, "a cache would give the same useless reply again");
}
