//! Modules: parts with named parameters, one of them shared and one frozen; their texts saved and loaded.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin modules
//! ```
//! The model is the embedded simulation; for a real one add `-- --engine ollama/llama3`. `-- --state FILE`
//! keeps the texts, and begins with them the next time.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use textgrad_core::{
    Backward, Engine, Members, Module, Parameter, Seed, StateDict, Variable, section,
};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::{LlmCall, TextLoss, TextualGradientDescent, concat};

const QUERY: &str = "How do I take care of a wooden table?";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Where the texts are kept
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// One call with a system prompt of two texts: what it is to do, and how all of them are to write.
struct Step {
    task: Parameter,
    style: Parameter,
    llm: LlmCall,
}

impl Step {
    async fn run(&self, prompt: &Variable, seed: Seed) -> Result<Variable, textgrad_core::Error> {
        let system = concat([&self.task.variable(), &self.style.variable()], "\n").await?;
        self.llm.ask(prompt).system(&system).seed(seed).one().await
    }
}

impl Module for Step {
    fn members(&self) -> Members<'_> {
        vec![("task".into(), (&self.task).into()), ("style".into(), (&self.style).into())]
    }
}

/// Two steps: the second one makes the answer of the first one better.
struct Writer {
    draft: Step,
    edit: Step,
}

impl Writer {
    fn new(engine: &Arc<dyn Engine>) -> Self {
        // A clone of a parameter is the same parameter: what is said to either step is said about one text.
        let style = Parameter::new("Write plainly.", "instructions on style, for all steps");
        let step = |task: &str, role: &str| Step {
            task: Parameter::new(task, role),
            style: style.clone(),
            llm: LlmCall::builder(Arc::clone(engine)).build(),
        };
        Self {
            draft: step("Answer the query of the user.", "system prompt of the first step"),
            edit: step("Edit the answer to the query.", "system prompt of the second step"),
        }
    }

    async fn run(&self, query: &Variable, seed: Seed) -> Result<Variable, textgrad_core::Error> {
        let draft = self.draft.run(query, seed.child("draft", 0)).await?;
        let both = concat([query, &draft], "\n\n").await?;
        self.edit.run(&both, seed.child("edit", 0)).await
    }
}

impl Module for Writer {
    fn members(&self) -> Members<'_> {
        vec![("draft".into(), (&self.draft).into()), ("edit".into(), (&self.edit).into())]
    }
}

/// One step on all parameters that are not frozen. Says how many pieces of feedback each got.
async fn train(
    writer: &Writer,
    engine: &Arc<dyn Engine>,
    seed: Seed,
) -> Result<Vec<(String, usize)>, Failure> {
    let query = Variable::constant(QUERY, "query of a user");
    let answer = writer.run(&query, seed).await?;
    let instruction =
        format!("What does the answer to the query lack?\n\n{}", section("QUERY", QUERY));
    let loss = TextLoss::new(Arc::clone(engine), instruction).seed(seed.child("loss", 0));
    let evaluation = loss.evaluate(&answer).await?;
    let gradients = Backward::new(&evaluation).seed(seed.child("backward", 0)).run().await?;
    let pieces = |parameter: &Parameter| gradients.get(&parameter.variable()).len();
    let named = writer.named_parameters()?;
    let got = named.iter().map(|(name, parameter)| (name.clone(), pieces(parameter))).collect();
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine)).seed(seed).build();
    // Each once, although the shared one has two names.
    optimizer.step(&writer.parameters()?, &gradients).await?;
    Ok(got)
}

fn show(writer: &Writer) -> Result<(), textgrad_core::Error> {
    for (name, parameter) in writer.named_parameters()? {
        let frozen = if parameter.is_frozen() { ", frozen" } else { "" };
        println!("{name} (version {}{frozen}):", parameter.version());
        println!("{}", quote(&parameter.text()));
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let engine = arguments.options.connect()?;
    announce(&*engine);
    let writer = Writer::new(&engine);
    if let Some(path) = arguments.state.as_ref().filter(|path| path.exists()) {
        let saved: StateDict = serde_json::from_str(&tokio::fs::read_to_string(path).await?)?;
        writer.load_state_dict(&saved)?;
        println!("begins with the texts of {}", path.display());
    }
    writer.draft.task.set_frozen(true);

    heading("before");
    show(&writer)?;
    heading("a step");
    for (name, pieces) in train(&writer, &engine, arguments.options.seed()).await? {
        println!("{name:<12} got {pieces} piece(s) of feedback");
    }
    heading("after");
    show(&writer)?;

    heading("saved");
    let saved = serde_json::to_string_pretty(&writer.state_dict()?)?;
    println!("{saved}");
    if let Some(path) = &arguments.state {
        tokio::fs::write(path, &saved).await?;
        println!("{} is written", path.display());
    }
    heading("loaded by another one");
    let other = Writer::new(&engine);
    other.load_state_dict(&serde_json::from_str(&saved)?)?;
    println!("its texts are the same: {}", other.state_dict()? == writer.state_dict()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_ops::sim::Sim;

    use super::*;

    #[tokio::test]
    async fn what_is_frozen_stays_and_what_is_shared_changes_once() {
        let engine: Arc<dyn Engine> = Arc::new(Sim::default());
        let writer = Writer::new(&engine);
        writer.draft.task.set_frozen(true);
        let got = train(&writer, &engine, Seed::new(Options::SEED)).await.unwrap();
        let names: Vec<(&str, usize)> = got.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(
            names,
            [("draft.task", 0), ("draft.style", 2), ("edit.task", 1), ("edit.style", 2)]
        );
        assert_eq!((writer.draft.task.version(), writer.edit.task.version()), (0, 1));
        assert_eq!(writer.draft.style.version(), 1);
        assert_eq!(writer.draft.style.text(), writer.edit.style.text());

        let saved = writer.state_dict().unwrap();
        let other = Writer::new(&engine);
        other.load_state_dict(&saved).unwrap();
        assert_eq!(other.state_dict().unwrap(), saved);
        assert_eq!(other.draft.style, other.edit.style, "it is shared there too");

        let mut two_texts = saved;
        two_texts.insert("edit.style", "Write in verse.");
        assert!(other.load_state_dict(&two_texts).is_err(), "one text cannot be two");
    }
}
