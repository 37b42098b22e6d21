//! The objectives that a search does not use.

use std::sync::Arc;
use std::time::Duration;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Image, Parameter, Purpose, Variable, backward, check_fn};
use textgrad_ops::command::Runner;
use textgrad_ops::score::CommandScorer;
use textgrad_ops::{
    ImageQaLoss, ListwiseLoss, Loss, MultiFieldLoss, MultipleChoiceLoss, ScoreLoss, Tags, TextLoss,
    TextualGradientDescent, all_of, weighted_sum,
};

use super::templates::{golden, improved};

#[tokio::test]
async fn of_ranked_answers() {
    let engine = Arc::new(ScriptedEngine::new(["The loss."; 2]));
    let query = Variable::constant("Why is the sky blue?", "query of a user");
    let answers = ["Air scatters blue light.", "Because of the air.", "</RESPONSE>"]
        .map(|text| Variable::differentiable(text, "a response to a user query"));
    let scored = answers.iter().zip([0.912_34, 0.5, -2.0]);
    let loss = ListwiseLoss::new(engine.clone(), &query, scored).unwrap();
    loss.evaluate_best().await.unwrap();
    let one = ListwiseLoss::new(engine.clone(), &query, [(&answers[0], 1.0)]).unwrap();
    one.evaluate_best().await.unwrap();
    golden("listwise", &engine, &[Purpose::Loss]);
}

#[tokio::test]
async fn of_several_texts() {
    let engine = Arc::new(ScriptedEngine::new(["The loss."; 4]));
    let fields = [("model_answer", "what a model answered"), ("truth", "the right answer")];
    let loss = MultiFieldLoss::new(engine.clone(), "Compare {them}.", fields).unwrap();
    let (answer, truth) =
        (Variable::differentiable("4", "answer"), Variable::constant("5", "truth"));
    let inputs = || [("model_answer", &answer), ("truth", &truth)];
    loss.call(inputs()).await.unwrap();
    let tags = Tags::new("<SCORE>", "</SCORE>").unwrap();
    loss.score_between(tags).call(inputs()).await.unwrap();
    let question = Variable::constant("Is {1} a set?\nA) yes\nB) no", "question");
    let loss = MultipleChoiceLoss::new(engine.clone(), "Look for mistakes.", &question);
    loss.evaluate(&Variable::differentiable("It has braces, so: A", "answer")).await.unwrap();
    let image = Variable::constant(Image::new(vec![1], "image/png").unwrap(), "photograph");
    let question = Variable::constant("How many dogs are there?", "question");
    let loss = ImageQaLoss::new(engine.clone(), "Is it right?", &question, &image);
    loss.evaluate(&Variable::differentiable("One.", "answer")).await.unwrap();
    golden("fields", &engine, &[Purpose::Loss]);
}

#[cfg(unix)]
#[tokio::test]
async fn of_a_composition_with_a_check_and_a_program() {
    let engine = Arc::new(
        ScriptedEngine::default()
            .on(Purpose::Loss, "It is hard to read.")
            .on(Purpose::Loss, "The loss of the whole.")
            .on(Purpose::Gradient, "Name the variables.")
            .on(Purpose::Update, improved("better")),
    );
    let code = Parameter::new("echo 5; false", "shell script");
    let check = check_fn("it is a comment", |_| Err("it is none".to_owned()));
    let runner = Runner::builder("sh").arg("code.sh").text_file("code.sh");
    let runner = runner.time_limit(Duration::from_secs(60)).build().unwrap();
    let checks: [Arc<dyn Loss>; 2] = [
        Arc::new(ScoreLoss::check(check)),
        Arc::new(ScoreLoss::command(CommandScorer::builder(runner).build().unwrap())),
    ];
    let checks: Arc<dyn Loss> = Arc::new(all_of(checks).unwrap());
    let style: Arc<dyn Loss> = Arc::new(TextLoss::new(engine.clone(), "Judge the style."));
    let total = weighted_sum([(3.0, checks), (1.0, style)]).unwrap();
    let total = total.evaluate(&code.variable()).await.unwrap();
    TextLoss::new(engine.clone(), "Judge the whole.").evaluate(&total).await.unwrap();
    let gradients = backward(&total).await.map_err(|failure| failure.error).unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    optimizer.step(&[code], &gradients).await.unwrap();
    golden("composed", &engine, &[Purpose::Loss, Purpose::Gradient, Purpose::Update]);
}
