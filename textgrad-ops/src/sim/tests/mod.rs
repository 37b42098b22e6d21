//! The engine as a whole, with hand-written prompts in the markers of the contract.

mod contract;
mod counting;
mod dial;
mod drawing;
mod judging;

use futures_util::FutureExt;
use textgrad_core::{Engine, EngineError, Message, Purpose, Request, Response, Sampling};

use super::Sim;

const QUERY: &str = "How do I take care of a wooden table?";

fn sim(skill: f64) -> Sim {
    Sim::builder().skill(skill).build().expect("a skill")
}

fn ask(sim: &Sim, messages: &[Message], sampling: Sampling) -> Result<Response, EngineError> {
    let request = Request::new(Purpose::Forward, messages.to_vec()).with_sampling(sampling);
    sim.complete(&request).now_or_never().expect("no latency, so no waiting")
}

fn texts(sim: &Sim, messages: &[Message], n: u32, seed: u64) -> Vec<String> {
    ask(sim, messages, Sampling::default().with_n(n).with_seed(seed))
        .expect("an answer")
        .choices
        .into_iter()
        .map(|choice| choice.text)
        .collect()
}

fn one(sim: &Sim, messages: &[Message], seed: u64) -> String {
    texts(sim, messages, 1, seed).remove(0)
}

fn loss(query: &str, chosen: &str, rejected: Option<&str>) -> [Message; 2] {
    let rejected = rejected
        .map(|text| format!("<REJECTED_RESPONSE>\n{text}\n</REJECTED_RESPONSE>\n"))
        .unwrap_or_default();
    [
        Message::system(format!(
            "Say what speaks for the chosen response.\n<QUERY>\n{query}\n</QUERY>\n{rejected}"
        )),
        Message::user(chosen),
    ]
}

fn quoted(loss: &[Message; 2], critique: &str) -> String {
    let [system, user] = loss;
    format!(
        "<CONVERSATION>\n<LM_SYSTEM_PROMPT>\n{}\n</LM_SYSTEM_PROMPT>\n<LM_INPUT>\n{}\n</LM_INPUT>\n\
         <LM_OUTPUT>\n{critique}\n</LM_OUTPUT>\n</CONVERSATION>\n",
        system.text(),
        user.text()
    )
}

fn gradient(conversation: &str, chosen: &str) -> [Message; 2] {
    [
        Message::system("Say how the text in <VARIABLE> is to change, from the conversation."),
        Message::user(format!(
            "{conversation}<ROLE>a chosen response</ROLE>\n<VARIABLE>\n{chosen}\n</VARIABLE>\nHow?"
        )),
    ]
}

fn update(conversation: &str, chosen: &str, feedback: &str) -> [Message; 2] {
    [
        Message::system(
            "Rewrite the text in <VARIABLE> by the <FEEDBACK>. Answer between <IMPROVED_VARIABLE> and \
             </IMPROVED_VARIABLE>.",
        ),
        Message::user(format!(
            "<ROLE>a chosen response</ROLE>\n<VARIABLE>\n{chosen}\n</VARIABLE>\n<CONTEXT>\n{conversation}\
             </CONTEXT>\n<FEEDBACK>\n{feedback}\n</FEEDBACK>\nWrite the improved text."
        )),
    ]
}

fn inside<'a>(text: &'a str, tag: &str) -> &'a str {
    text.split_once(&format!("\n<{tag}>\n"))
        .and_then(|(_, rest)| rest.strip_suffix(&format!("\n</{tag}>")))
        .unwrap_or_else(|| panic!("expected {tag}, each tag on a line of its own: {text}"))
}
