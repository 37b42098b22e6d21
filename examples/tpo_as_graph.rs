//! Test-time preference optimization built from its parts, and drawn as one graph.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin tpo_as_graph
//! ```
//! Paste what it prints last into any Mermaid viewer; with `-- --dot` it prints nothing but Graphviz' DOT, and
//! with `-- --html FILE` it writes a page to open in a browser. `tpo::Tpo` does the same with journals, modes
//! and accounts around it; here every part can be seen, and swapped.

use std::error::Error;
use std::sync::Arc;

use textgrad_core::{
    Backward, Engine, Feedback, Gradients, Graph, Inputs, Output, Sampling, Seed, Variable, apply,
    apply_one, op_fn,
};
use textgrad_ops::sim::{self, Sim};
use textgrad_ops::{LlmCall, TextLoss, TextualGradientDescent};

/// An answer and what the reward model gave it.
struct Scored {
    answer: Variable,
    reward: f64,
}

struct Run {
    pool: Vec<Scored>,
    graph: Graph,
    gradients: Gradients,
}

async fn tpo(query: &str, samples: u32, iterations: u64) -> Result<Run, Box<dyn Error>> {
    let engine: Arc<dyn Engine> = Arc::new(Sim::default());
    let seed = Seed::new(7);
    let sampling = Sampling::default().with_n(samples);
    let question = Variable::constant(query, "query of a user");
    let score = |answer: Variable| Scored {
        reward: sim::reward(query, answer.text().unwrap_or_default()),
        answer,
    };

    // Sample.
    let policy = LlmCall::builder(Arc::clone(&engine)).sampling(sampling.clone()).build();
    let answers = policy.ask(&question).seed(seed.child("sample", 0)).all().await?;
    let mut pool: Vec<Scored> = answers.into_iter().map(score).collect();
    let mut ends: Vec<Variable> = Vec::new();
    let mut all_gradients = Gradients::default();

    let optimizer = TextualGradientDescent::builder(Arc::clone(&engine))
        .candidates(samples)
        .constraint("Write a response to the query that would be chosen.")
        .build();
    for iteration in 1..=iterations {
        let seed = seed.child("iteration", iteration);
        let (best, worst) = extremes(&pool).ok_or("the policy gave no answer")?;

        // Here the differentiable part begins: the chosen answer asks for a gradient.
        let choose = op_fn("choose", |inputs: Inputs| async move {
            let chosen = Output::new(inputs.text("best")?, "a chosen response to a user query");
            let rejected = Output::new(inputs.text("worst")?, "a rejected response");
            Ok(vec![chosen.with_requires_grad(true), rejected])
        });
        let pair =
            apply(Arc::new(choose), [("best", &best.answer), ("worst", &worst.answer)]).await?;
        let [chosen, rejected] = pair.as_slice() else { return Err("two outputs".into()) };

        // Loss: why is the one preferred?
        let instruct = op_fn("instruction", |inputs: Inputs| async move {
            let text = format!(
                "Compare the response with the rejected one. Do not answer the query.\n\n{}\n\n{}",
                textgrad_core::section("QUERY", inputs.text("query")?),
                textgrad_core::section("REJECTED_RESPONSE", inputs.text("rejected")?),
            );
            Ok(vec![Output::new(text, "instruction of the loss")])
        });
        let instruction =
            apply_one(Arc::new(instruct), [("query", &question), ("rejected", rejected)]).await?;
        let loss = TextLoss::with_instruction(Arc::clone(&engine), instruction)
            .seed(seed.child("loss", 0))
            .evaluate(chosen)
            .await?;

        // Gradient: what is to be changed?
        let gradients = Backward::new(&loss).seed(seed.child("gradient", 0)).run().await?;
        let feedback: Vec<Feedback> = gradients.feedback(chosen).cloned().collect();

        // Update: new versions, which join the pool.
        let rewrite = optimizer.rewrite(chosen, &feedback, Some(seed.child("update", 0))).await?;
        ends.push(loss);
        all_gradients.accumulate(gradients);
        pool.extend(rewrite.candidates.into_iter().map(score));
    }
    ends.extend(pool.iter().map(|scored| scored.answer.clone()));
    Ok(Run { pool, graph: Graph::trace_all(&ends), gradients: all_gradients })
}

/// The best and the worst answer; of equal ones, the earliest.
fn extremes(pool: &[Scored]) -> Option<(&Scored, &Scored)> {
    let best = pool.iter().rev().max_by(|a, b| a.reward.total_cmp(&b.reward))?;
    let worst = pool.iter().min_by(|a, b| a.reward.total_cmp(&b.reward))?;
    Some((best, worst))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let [dot, html] = textgrad_examples::flags(["--dot", "--html"], &["--dot"])?;
    let run = tpo("How do I take care of a wooden table?", 3, 2).await?;
    if dot.is_some() {
        println!("{}", run.graph.view().max_chars(40).to_dot());
        return Ok(());
    }
    if let Some(path) = html {
        // A file is written once, at the end of the program.
        std::fs::write(&path, run.graph.view().gradients(&run.gradients).to_html())?;
        println!("{path} is written; open it in a browser");
        return Ok(());
    }
    for scored in &run.pool {
        println!(
            "{:5.2}  {}",
            scored.reward,
            textgrad_core::truncate(scored.answer.text().unwrap_or_default(), 90)
        );
    }
    let (best, _) = extremes(&run.pool).ok_or("the pool is empty")?;
    println!(
        "\nbest (simulated reward {:.2}):\n{}\n",
        best.reward,
        best.answer.text().unwrap_or_default()
    );
    println!("depth {}, width {}\n", run.graph.depth(), run.graph.width());
    println!("{}", run.graph.view().max_chars(40).to_mermaid());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_run_is_one_graph_and_the_best_is_at_least_that_of_the_first_sampling() {
        let run = tpo("How do I boil an egg?", 3, 2).await.unwrap();
        assert_eq!(run.pool.len(), 9);
        let ops = |name: &str| run.graph.calls().filter(|call| call.op().name() == name).count();
        assert_eq!((ops("llm"), ops("loss"), ops("gradient"), ops("update")), (1, 2, 2, 2));
        let best = |pool: &[Scored]| extremes(pool).unwrap().0.reward;
        assert!(best(&run.pool) >= best(&run.pool[..3]));
    }
}
