//! A prompt pack in the style of another framework makes the requests that that framework would make.
//!
//! The pack in `packs/textgrad-style` has the layout of TextGrad's prompts, in words of its own. What is expected
//! is put together here as that framework does it, by joining strings, and never from the templates.

mod asked_again;
mod calls;
mod expected;
mod losses;
mod memory;
mod ops;
mod programs;
mod search;

use std::path::PathBuf;
use std::sync::Arc;

use textgrad_core::{MessageRole, PromptPack, Request};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/packs/textgrad-style")
}

fn pack() -> Arc<PromptPack> {
    Arc::new(tpo::prompts::load_pack(&folder()).unwrap())
}

/// A request as system and user message.
fn messages(request: &Request) -> (String, String) {
    let roles: Vec<MessageRole> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [MessageRole::System, MessageRole::User]);
    (request.messages[0].text(), request.messages[1].text())
}

#[test]
fn the_pack_replaces_every_template() {
    let pack = pack();
    let default = tpo::prompts::default_pack();
    let own: Vec<&str> = pack.sources().map(|(name, _)| name).collect();
    for (name, text) in default.sources().filter(|(name, _)| !name.starts_with('_')) {
        assert!(own.contains(&name));
        let replaced = pack.sources().find(|(other, _)| *other == name).unwrap().1;
        assert_ne!(replaced, text, "{name}");
    }
}
