//! Graders that ask a judge.

mod alpaca_eval;
mod arena_hard;
mod references;
mod xstest;

use textgrad_core::Seed;

pub(super) use self::references::References;
use crate::bench::graders::{Figure, Graded, Graders};

impl Graders<'_> {
    fn seed(&self) -> Seed {
        Seed::new(self.spec.search.seed)
    }
}

/// A name that can be that of a folder.
fn as_folder(name: &str) -> String {
    name.replace(['/', '\\', ':'], "_")
}

/// Each name once.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: std::collections::BTreeSet<&str> = names.collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
