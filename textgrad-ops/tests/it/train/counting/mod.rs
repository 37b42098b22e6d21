//! The prompt of a model that counts objects is optimized, from a file of 200 examples, against the simulation.
//!
//! All figures are figures about the simulation.

mod killed;
mod setup;

use std::sync::Arc;

use textgrad_core::Purpose;
use textgrad_ops::train::{EndReason, StepOutcome};

use self::setup::{Setup, Way, texts};
use crate::train::support::{files, timeless};

#[tokio::test(start_paused = true)]
async fn the_validation_score_rises_and_a_step_that_lowers_it_is_reverted() {
    for way in Way::ALL {
        let setup = Setup::new(way, 32).await;
        let training = setup.trainer(|trainer| trainer).run().await.unwrap();
        let first = training.baseline.as_ref().unwrap().validation.unwrap().score;
        let last = training.score.unwrap();
        println!("{way:?}: {:?}, test {:?}", training.curve(), training.test);
        assert_eq!((training.steps.len(), training.ended), (10, Some(EndReason::Completed)));
        assert!(last >= first + 0.1, "{way:?}: {:?}", training.curve());

        let mut score = first;
        let mut texts = setup::PLAIN.to_owned();
        let mut reverted = 0;
        for step in &training.steps {
            let proposed = step.validation.map(|validation| validation.score);
            let lowers = proposed.is_some_and(|proposed| proposed < score);
            assert_eq!(step.outcome == StepOutcome::Reverted, lowers, "{way:?} {step:?}");
            if lowers {
                reverted += 1;
                assert_ne!(step.proposed["system"], texts);
            } else {
                score = proposed.unwrap_or(score);
                texts = step.parameters.get("system").unwrap().to_owned();
            }
            assert_eq!(step.parameters.get("system").unwrap(), texts, "{way:?} {step:?}");
            assert_eq!(step.score, Some(score), "{way:?} {step:?}");
        }
        assert!(reverted > 0, "{way:?}: no step lowered the score");
        assert_eq!(setup.prompt(), training.best.get("system").unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn the_ways_differ_in_what_is_sent() {
    let mut sent = Vec::new();
    for way in Way::ALL {
        let setup = Setup::new(way, 32).await;
        setup.trainer(|trainer| trainer.steps_per_epoch(4)).run().await.unwrap();
        let updates = setup.model.asked(Purpose::Update);
        assert!(updates.len() >= 4, "{way:?}: {}", updates.len());
        sent.push(texts(updates.last().unwrap()));
    }
    let [plain, memory, _] = sent.as_slice() else { panic!("three ways") };
    // What the second way remembers stands in the prompt.
    assert!(memory.len() > plain.len() + 500, "{} and {}", memory.len(), plain.len());
    assert!(memory.contains(setup::PLAIN), "{memory}");
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_is_the_same_at_any_concurrency() {
    for way in Way::ALL {
        let mut runs = Vec::new();
        for concurrency in [1, 32] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("run");
            let setup = Setup::new(way, concurrency).await;
            let training = setup.trainer(|trainer| trainer.create(&path)).run().await.unwrap();
            let model = Arc::clone(&setup.model);
            runs.push((timeless(&training), files(&path), setup.prompt(), model.most_at_once()));
        }
        let [one, many] = runs.as_slice() else { panic!("two runs") };
        assert_eq!((one.3, many.3), (1, 32), "{way:?}: calls at once");
        assert_eq!(one.0, many.0, "{way:?}");
        assert_eq!((&one.1, &one.2), (&many.1, &many.2), "{way:?}");
    }
}
