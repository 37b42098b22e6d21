//! Models in the process, each in memory once.

use std::sync::Arc;

use parking_lot::Mutex;
use textgrad_ops::local::{LocalEngine, LocalEngineBuilder};
use tokio::sync::OnceCell;
use tpo::Error;

use crate::engines::setup;

/// The models of policy, critic, judges and likelihoods, by their settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Models(Arc<Mutex<Vec<(LocalEngineBuilder, Model)>>>);

/// A model, once it is loaded.
type Model = Arc<OnceCell<LocalEngine>>;

impl Models {
    /// The model of these settings; it is loaded unless it is there. Another call that loads it is waited for.
    pub(crate) async fn load(&self, settings: LocalEngineBuilder) -> Result<LocalEngine, Error> {
        let cell = {
            let mut models = self.0.lock();
            let known = models.iter().find(|(known, _)| *known == settings);
            match known.map(|(_, cell)| Arc::clone(cell)) {
                Some(cell) => cell,
                None => {
                    let cell = Model::default();
                    models.push((settings.clone(), Arc::clone(&cell)));
                    cell
                }
            }
        };
        let build = || crate::blocking(move || settings.build().map_err(setup("engine")));
        cell.get_or_try_init(build).await.cloned()
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::{Engine, Message, Purpose, Request, Sampling};

    use super::*;

    #[tokio::test]
    async fn a_model_is_loaded_once_for_equal_settings() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../textgrad-ops/tests/gguf/tiny.gguf");
        let settings =
            |line: &str| LocalEngineBuilder::from_line(&format!("{file},{line}")).unwrap();
        let models = Models::default();
        let first = models.load(settings("context=128,threads=1")).await.unwrap();
        let same = models.clone().load(settings("threads=1, context=128")).await.unwrap();
        let other = models.load(settings("threads=1,context=256")).await.unwrap();
        let sampling = Sampling::default().with_max_tokens(2);
        let request = Request::new(Purpose::Sample, [Message::user("Hi!")]).with_sampling(sampling);
        first.complete(&request).await.unwrap();
        // What one has computed, the other knows of.
        for (model, knows) in [(&first, true), (&same, true), (&other, false)] {
            let has_speed = model.status().await.facts.iter().any(|(fact, _)| *fact == "speed");
            assert_eq!(has_speed, knows);
        }
    }
}
