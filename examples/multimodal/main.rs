//! A question about an image: the model is shown text and image, its answer is evaluated by a model that sees
//! the image too, and is rewritten after the feedback.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin multimodal
//! ```
//! The answers are a recording that was written by hand (`recording.jsonl`). For a model with vision add
//! `-- --engine ollama/llava` or `-- --engine openai/gpt-4o-mini`.

mod png;

use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use textgrad_core::{
    Backward, Engine, Image, Parameter, Purpose, Request, Seed, Variable, engine_fn,
};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::{Field, ImageQaLoss, LlmCall, TextualGradientDescent};

/// The answers of an offline run.
const RECORDING: &str = "multimodal/recording.jsonl";
const QUESTION: &str = "How many bars does the chart have, and which one is the highest?";
const INSTRUCTION: &str = "Does the answer to the question fit the image? Name what is wrong or missing. Do not \
write a new answer.";

/// How high the bars are that are drawn, in pixels.
const BARS: [u32; 4] = [20, 45, 60, 35];

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Writes the image that is asked about to this file
    #[arg(long, value_name = "FILE")]
    image: Option<std::path::PathBuf>,
}

/// What was sent, in short: what for, and how many images were with it.
type Sent = Arc<Mutex<Vec<(Purpose, usize)>>>;

/// Notes each request that goes to an engine.
fn noted(engine: Arc<dyn Engine>, sent: Sent) -> Arc<dyn Engine> {
    let name = engine.name().to_owned();
    Arc::new(engine_fn(name, move |request: Request| {
        let images = request.messages.iter().filter(|message| message.has_image()).count();
        sent.lock().unwrap_or_else(PoisonError::into_inner).push((request.purpose, images));
        let engine = Arc::clone(&engine);
        async move { engine.complete(&request).await }
    }))
}

/// The texts of a run.
struct Run {
    answer: String,
    evaluation: String,
    feedback: String,
    new: String,
}

async fn ask(engine: &Arc<dyn Engine>, image: Image, seed: Seed) -> Result<Run, Failure> {
    let image = Variable::constant(image, "chart that is asked about");
    let question = Variable::constant(QUESTION, "question about a chart");
    let fields = [Field::text("Question"), Field::image("Chart")];
    let llm = LlmCall::builder(Arc::clone(engine))
        .fields(fields)?
        .system("You answer questions about images.")
        .build();
    let response = llm.ask_fields([("Question", &question), ("Chart", &image)]).one().await?;
    // From here on the answer itself is what changes.
    let answer = Parameter::new(response.value().describe(), "answer to a question about a chart");

    let loss = ImageQaLoss::new(Arc::clone(engine), INSTRUCTION, &question, &image)
        .seed(seed.child("loss", 0));
    let evaluation = loss.evaluate(&answer.variable()).await?;
    let gradients = Backward::new(&evaluation).seed(seed.child("backward", 0)).run().await?;
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine)).seed(seed).build();
    let before = answer.variable();
    optimizer.step([&answer], &gradients).await?;
    Ok(Run {
        answer: before.value().describe(),
        evaluation: evaluation.value().describe(),
        feedback: gradients.text(&before),
        new: answer.text().to_string(),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let engine = arguments.options.connect_or_replay(RECORDING).await?;
    announce(&*engine);
    let image = Image::from_bytes(png::bar_chart(&BARS))?;
    println!("the image: {image:?}, a chart with bars of {BARS:?} pixels, made in code");
    if let Some(path) = arguments.image {
        tokio::fs::write(&path, image.bytes()).await?;
        println!("{} is written", path.display());
    }
    let sent = Sent::default();
    let run = ask(&noted(engine, Arc::clone(&sent)), image, arguments.options.seed()).await?;
    for (title, text) in [
        (QUESTION, &run.answer),
        ("the evaluation, by the image", &run.evaluation),
        ("the feedback", &run.feedback),
        ("the new answer", &run.new),
    ] {
        heading(title);
        println!("{}", quote(text));
    }
    heading("what was sent");
    for (purpose, images) in sent.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("  {:<9} with {images} image(s)", purpose.as_str());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_examples::replay;

    use super::*;

    fn chart() -> Image {
        Image::from_bytes(png::bar_chart(&BARS)).unwrap()
    }

    #[tokio::test]
    async fn the_image_goes_with_every_request_that_is_about_it() {
        let sent = Sent::default();
        let engine = noted(replay(RECORDING).await.unwrap(), Arc::clone(&sent));
        let run = ask(&engine, chart(), Seed::new(Options::SEED)).await.unwrap();
        assert!(run.answer.contains("three bars") && run.new.contains("four bars"));
        let sent = sent.lock().unwrap().clone();
        assert_eq!(
            sent,
            [
                (Purpose::Forward, 1),
                (Purpose::Loss, 1),
                (Purpose::Gradient, 1),
                (Purpose::Update, 1)
            ]
        );
    }
}
