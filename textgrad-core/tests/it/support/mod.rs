//! Shared by the tests of this crate.

pub(crate) mod dag;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use textgrad_core::{
    BackwardCx, Feedback, Gradient, Gradients, Inputs, OpFn, Output, Variable, apply_one, op_fn,
};

/// Runs on a clock that jumps from wait to wait.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(future)
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, event: &str) -> usize {
        self.events().iter().filter(|known| *known == event).count()
    }
}

/// An op without a backward of its own: joins its inputs.
pub(crate) fn join(name: &str) -> OpFn {
    let role = format!("output of {name}");
    op_fn(name, move |inputs: Inputs| {
        let role = role.clone();
        async move {
            let texts: Vec<String> =
                inputs.iter().map(|input| input.variable().value().describe()).collect();
            Ok(vec![Output::new(texts.join("+"), role)])
        }
    })
}

/// Says `name/i` about input `i`, after `delay`, and logs the beginning and the end of it.
pub(crate) fn says(name: &str, delay: Duration, log: &Log) -> OpFn {
    let (own, log) = (name.to_owned(), log.clone());
    join(name).with_backward(move |cx: BackwardCx| {
        let (own, log) = (own.clone(), log.clone());
        async move {
            log.add(format!("{own} begins"));
            tokio::time::sleep(delay).await;
            log.add(format!("{own} ends"));
            cx.for_each_input(|input| {
                let text = format!("{own}/{input}");
                async move { Ok(Some(Feedback::new(text).into())) }
            })
            .await
        }
    })
}

/// Says `name/i` about input `i` at once.
pub(crate) fn speaks(name: &str) -> OpFn {
    says(name, Duration::ZERO, &Log::default())
}

/// Applies an op to inputs named `0`, `1`, ...
pub(crate) async fn on(op: OpFn, inputs: &[&Variable]) -> Variable {
    let named = inputs.iter().enumerate();
    let inputs = Inputs::new(named.map(|(i, input)| (i.to_string(), (*input).clone())));
    apply_one(Arc::new(op), inputs).await.unwrap()
}

/// The words of what holds for a variable; the objective is `objective`.
pub(crate) fn words(gradients: &[Gradient]) -> Vec<String> {
    gradients
        .iter()
        .map(|gradient| match gradient {
            Gradient::Objective => "objective".to_owned(),
            Gradient::Feedback(feedback) => feedback.text().to_owned(),
        })
        .collect()
}

/// The words of what reached a variable, before anything was merged.
pub(crate) fn reached(gradients: &Gradients, variable: &Variable) -> Vec<String> {
    let received = gradients.received(variable).iter();
    words(&received.map(|received| received.gradient().clone()).collect::<Vec<_>>())
}
