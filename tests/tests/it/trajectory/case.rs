//! Random searches.

use proptest::prelude::*;
use textgrad_core::{Layout, Message};
use tpo::{Acceptance, EarlyStop, Mode, Pairs, Query, SearchBudget, TpoConfig};

/// One random search.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) mode: Mode,
    pub(super) layout: Layout,
    pub(super) pairs: Pairs,
    pub(super) accept: Acceptance,
    pub(super) early_stop: EarlyStop,
    pub(super) faults: Faults,
    pub(super) iterations: u32,
    pub(super) samples: u32,
    pub(super) parse_retries: u32,
    /// How many answers are scored together.
    pub(super) batch: usize,
    /// How many different answers there are.
    pub(super) texts: u64,
    /// How many different scores there are.
    pub(super) scores: u64,
    /// How much of an answer prompts are shown.
    pub(super) max_chars: Option<usize>,
    /// Whether queries are conversations, not texts.
    pub(super) talk: bool,
    pub(super) seed: u64,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Faults {
    None,
    /// Answers are missing, superfluous, empty, cut off or without tags.
    OfAnswers,
    /// Calls and scores fail too.
    All,
}

impl Case {
    pub(super) fn config(&self) -> TpoConfig {
        TpoConfig {
            mode: self.mode,
            layout: self.layout,
            pairs: self.pairs,
            accept: self.accept,
            early_stop: self.early_stop.clone(),
            iterations: self.iterations,
            samples: self.samples,
            parse_retries: self.parse_retries,
            truncate: self.max_chars.map(tpo::Truncation::Chars),
            ..TpoConfig::default()
        }
    }

    /// The query at a place, with something in it that a template could stumble over.
    pub(super) fn query(&self, place: usize) -> Query {
        let last = format!("{place}: why {{{{is}}}} the <sky> blue &\n\"clear\"?");
        match (self.talk, place % 2) {
            (false, _) => Query::from(last),
            (true, own_system) => {
                let system = (own_system == 0).then(|| Message::system("Be {{brief}}."));
                let turns = [Message::user("Hello."), Message::assistant("Yes?")];
                let turns = system.into_iter().chain(turns).chain([Message::user(last)]);
                Query::conversation(turns).unwrap()
            }
        }
    }
}

/// Searches as in the paper: the best against the worst, or the best by itself, quoted.
pub(super) fn paper() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![4 => Just(Mode::Tpo), 2 => Just(Mode::Revision), 1 => Just(Mode::Bon)];
    let faults = prop_oneof![Just(Faults::None), Just(Faults::OfAnswers), Just(Faults::All)];
    let texts = prop_oneof![1..9_u64, 9..60_u64];
    let drawn = (0..5_u32, 1..7_u32, 0..3_u32, 1..4_usize, texts, 1..9_u64, any::<u64>());
    (mode, faults, drawn).prop_map(|(mode, faults, drawn)| {
        let (iterations, samples, parse_retries, batch, texts, scores, seed) = drawn;
        let (layout, pairs, accept) = (Layout::Quoted, Pairs::BestWorst, Acceptance::Improvement);
        let (early_stop, max_chars, talk) = (EarlyStop::default(), None, false);
        Case {
            mode,
            layout,
            pairs,
            accept,
            early_stop,
            faults,
            iterations,
            samples,
            parse_retries,
            batch,
            texts,
            scores,
            max_chars,
            talk,
            seed,
        }
    })
}

/// Longer searches among more answers with more scores, most of which come to their end.
fn rich() -> impl Strategy<Value = Case> {
    let faults =
        prop_oneof![3 => Just(Faults::None), 2 => Just(Faults::OfAnswers), 1 => Just(Faults::All)];
    (paper(), faults).prop_map(|(case, faults)| Case {
        faults,
        iterations: case.iterations.max(2),
        samples: case.samples + 2,
        texts: case.texts + 20,
        scores: case.scores + 4,
        ..case
    })
}

fn any_pairs() -> impl Strategy<Value = Pairs> {
    prop_oneof![
        Just(Pairs::BestWorst),
        Just(Pairs::Newest),
        Just(Pairs::Median),
        Just(Pairs::All),
        Just(Pairs::All),
        (3..8_u32).prop_map(Pairs::TopBottom),
        (1..8_u32).prop_map(Pairs::TopBottom),
    ]
}

fn any_accept() -> impl Strategy<Value = Acceptance> {
    prop_oneof![Just(Acceptance::Improvement), Just(Acceptance::Always)]
}

/// Every selection of pairs, gated or not.
pub(super) fn pairs() -> impl Strategy<Value = Case> {
    (paper(), any_pairs(), any_accept()).prop_map(|(case, pairs, accept)| Case {
        mode: Mode::Tpo,
        pairs,
        accept,
        ..case
    })
}

/// Dialogues that go on, of queries that are conversations too, with answers that are cut.
pub(super) fn continued() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![
        4 => Just(Mode::Tpo),
        2 => Just(Mode::Revision),
        1 => Just(Mode::Ungated),
        1 => Just(Mode::Resample)
    ];
    let max_chars = prop_oneof![Just(None), (1..12_usize).prop_map(Some)];
    (pairs(), mode, max_chars, any::<bool>()).prop_map(|(case, mode, max_chars, talk)| Case {
        mode,
        max_chars,
        talk,
        layout: Layout::Continued,
        ..case
    })
}

/// The same, where what is said about a new version goes on in the dialogue that wrote it.
pub(super) fn chained() -> impl Strategy<Value = Case> {
    continued().prop_map(|case| Case { layout: Layout::Chained, ..case })
}

/// Every loss, over every selection of pairs.
pub(super) fn losses() -> impl Strategy<Value = Case> {
    let mode =
        prop_oneof![1 => Just(Mode::Tpo), 1 => Just(Mode::Revision), 3 => Just(Mode::Listwise)];
    let max_chars = prop_oneof![3 => Just(None), 1 => (1..12_usize).prop_map(Some)];
    (pairs(), mode, max_chars, any::<bool>()).prop_map(|(case, mode, max_chars, talk)| Case {
        mode,
        max_chars,
        talk,
        ..case
    })
}

/// The newest answers are rewritten, better or not.
pub(super) fn acceptance() -> impl Strategy<Value = Case> {
    let how = prop_oneof![
        Just((Mode::Tpo, Acceptance::Always)),
        Just((Mode::Revision, Acceptance::Always)),
        Just((Mode::Ungated, Acceptance::Improvement))
    ];
    (paper(), how).prop_map(|(case, (mode, accept))| Case { mode, accept, ..case })
}

/// What leaves a part of the method out.
pub(super) fn ablations() -> impl Strategy<Value = Case> {
    let mode =
        prop_oneof![1 => Just(Mode::Resample), 1 => Just(Mode::Direct), 3 => Just(Mode::Shuffled)];
    let any =
        (pairs(), mode, any::<bool>()).prop_map(|(case, mode, talk)| Case { mode, talk, ..case });
    // Gradients are borrowed several at a time, and some losses have none.
    let several = rich().prop_map(|case| Case {
        mode: Mode::Shuffled,
        pairs: Pairs::All,
        faults: Faults::OfAnswers,
        ..case
    });
    prop_oneof![3 => any, 1 => several]
}

fn calls_at_most(calls: u64) -> SearchBudget {
    SearchBudget { calls: Some(calls), ..SearchBudget::default() }
}

/// Searches that end early.
pub(super) fn early_stop() -> impl Strategy<Value = Case> {
    let halves = |range: std::ops::Range<i32>| range.prop_map(|halves| f64::from(halves) / 2.0);
    let early_stop = prop_oneof![
        halves(1..8).prop_map(|target| EarlyStop { target: Some(target), ..EarlyStop::default() }),
        (1..3_u32, halves(0..3)).prop_map(|(patience, min_gain)| EarlyStop {
            patience: Some(patience),
            min_gain,
            ..EarlyStop::default()
        }),
        (halves(0..8), 1..3_u32).prop_map(|(margin, patience)| EarlyStop {
            min_margin: Some(margin),
            margin_patience: Some(patience),
            ..EarlyStop::default()
        }),
        (1..16_u64)
            .prop_map(|calls| EarlyStop { budget: calls_at_most(calls), ..EarlyStop::default() }),
        // The first of two rules that hold is told.
        (halves(1..8), 1..16_u64).prop_map(|(target, calls)| EarlyStop {
            target: Some(target),
            budget: calls_at_most(calls),
            ..EarlyStop::default()
        }),
    ];
    let mode = prop_oneof![
        4 => Just(Mode::Tpo),
        1 => Just(Mode::Revision),
        1 => Just(Mode::Resample),
        1 => Just(Mode::Shuffled)
    ];
    (rich(), mode, any_accept(), early_stop).prop_map(|(case, mode, accept, early_stop)| Case {
        mode,
        accept,
        early_stop,
        ..case
    })
}

/// Searches side by side, whose calls are answered in any order.
pub(super) fn batches() -> impl Strategy<Value = Case> {
    prop_oneof![paper(), losses(), continued()]
}
