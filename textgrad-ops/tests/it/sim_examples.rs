//! Texts other than prompts are optimized, all of it against the simulation and with the default wording.

use std::sync::Arc;

use textgrad_core::{Backward, Engine, Layout, Parameter, Variable};
use textgrad_ops::sim::Sim;
use textgrad_ops::{StringFn, TextLoss, TextualGradientDescent};

fn sim() -> Arc<dyn Engine> {
    Arc::new(Sim::builder().skill(1.0).build().expect("a skill"))
}

async fn step(parameter: &Parameter, objective: &Variable, layout: Layout) {
    let gradients = Backward::new(objective).layout(layout).run().await.expect("gradients");
    let optimizer = TextualGradientDescent::builder(sim()).layout(layout).build();
    optimizer.step([parameter], &gradients).await.expect("a step");
}

#[tokio::test]
async fn a_wrong_solution_is_redone_from_its_first_wrong_line() {
    for layout in [Layout::Quoted, Layout::Continued] {
        let wrong = "We want 5x - 3 = 2x + 9.\n5x = 2x + 6\n3x = 6\nx = 2";
        let solution = Parameter::new(wrong, "worked solution of an equation");
        let told = "Evaluate the solution. Name mistakes; do not solve the equation yourself.";
        let loss = TextLoss::new(sim(), told);
        let evaluation = loss.evaluate(&solution.variable()).await.expect("an evaluation");
        let said = evaluation.text().expect("a text");
        assert!(said.contains("\"5x = 2x + 6\" does not follow"), "{said}");
        step(&solution, &evaluation, layout).await;
        let expected = "We want 5x - 3 = 2x + 9.\n3x = 12\nx = 4";
        assert_eq!(&*solution.text(), expected, "{layout:?}");

        let evaluation = loss.evaluate(&solution.variable()).await.expect("an evaluation");
        step(&solution, &evaluation, layout).await;
        assert_eq!(&*solution.text(), expected, "what is right stays");
    }
}

#[tokio::test]
async fn code_is_mended_by_what_its_tests_say() {
    let wrong =
        "def total(n):\n    out = 0\n    for i in range(1, n):\n        out += i\n    return out";
    let code = Parameter::new(wrong, "Python code");
    let tests = StringFn::new(sim(), "runs the unit tests on the code", |inputs| {
        Ok(match inputs.text("code")?.contains("range(1, n + 1)") {
            true => "2 passed; 0 failed".to_owned(),
            false => {
                "FAILED test_total: assert total(3) == 6, got 3\n1 passed; 1 failed".to_owned()
            }
        })
    });
    for _ in 0..2 {
        let output = tests.call([("code", &code.variable())]).await.expect("an output");
        step(&code, &output, Layout::Quoted).await;
        assert_eq!(&*code.text(), wrong.replace("n):\n        out", "n + 1):\n        out"));
    }
}
