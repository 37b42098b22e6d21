//! The paper's loop (Li et al., 2025, arXiv:2501.12895), in plain loops, with the variants that the documents
//! tell of.
//!
//! Where it departs from the reference implementation, it departs as `ARCHITECTURE.md` says: an answer is not
//! compared with its equal; fewer answers than asked for are better than none; a score that is no number is an
//! error; a new version that cannot be read is asked for again. And equal answers of one draw all stay in the
//! pool, which changes no choice, for of equal scores the earliest counts.

mod early_stop;
mod kinds;
mod pairs;
mod rewrite;

use std::collections::BTreeMap;

use textgrad_core::{MessageRole, Purpose};
use tpo::{Acceptance, EarlyStop, Mode, Query, StopReason};

pub(super) use self::kinds::kinds;
use self::pairs::{Comparison, Scored};
use self::rewrite::Critique;
use super::case::Case;
use super::pack;
use super::world::{Asked, Said, Times, Turn, World, Worth};

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    /// Iteration, text and score of each answer.
    pub(super) pool: Vec<(u32, String, f64)>,
    pub(super) steps: Vec<Step>,
    pub(super) stopped: Option<StopReason>,
    /// Calls of models that were answered.
    pub(super) answered: u64,
    pub(super) scored: u64,
    /// The place of the best answer and its text, or the class of the error that ended the search.
    pub(super) end: Option<Result<(usize, String), String>>,
}

/// What was done with one answer in one iteration.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Step {
    pub(super) iteration: u32,
    pub(super) chosen: usize,
    pub(super) rejected: Vec<usize>,
    pub(super) losses: Vec<String>,
    pub(super) gradient: Option<String>,
    pub(super) critique_of: Option<usize>,
    pub(super) updates: usize,
    pub(super) unusable: usize,
}

/// How failed calls are classed; see `engine`.
const CALL_FAILED: &str = "server";
const SCORE_FAILED: &str = "invalid_request";
const NO_CHOICES: &str = "bad_response";

type Failure = &'static str;

/// The models, as all searches of a case see them.
pub(super) struct Models<'a> {
    pub(super) world: &'a World,
    /// All that was asked, in order.
    pub(super) asked: Vec<Asked>,
    times: Times,
}

impl<'a> Models<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        Self { world, asked: Vec::new(), times: Times::default() }
    }
}

struct Loop<'a, 'w> {
    case: &'a Case,
    models: &'a mut Models<'w>,
    query: &'a Query,
    /// The policy's conversation up to its answer.
    dialogue: Vec<Turn>,
    /// The conversation that wrote an answer of the pool, with it as its end, by its place.
    written: BTreeMap<usize, Vec<Turn>>,
    scored: Times,
    found: Found,
    /// What was said about answers, by iteration and comparison.
    critiques: Vec<Vec<Critique>>,
    /// What was said in the search for another query, and its place.
    borrowed: Option<(usize, Vec<Vec<Critique>>)>,
    /// Whether only what is said is wanted: then nothing is rewritten in the last iteration.
    critiques_only: bool,
    /// Calls for answers, and those for answers to another query.
    for_answers: u64,
    aside: u64,
    /// Calls so far, and what the next iteration may take.
    spent: u64,
    next: u64,
}

/// The whole search of a query; `partner` is the one whose critique a shuffled one gets, at place 1.
pub(super) fn search(
    case: &Case,
    models: &mut Models<'_>,
    query: &Query,
    partner: &Query,
) -> Found {
    let mut search = Loop::new(case, models, query);
    search.found.end = Some(match search.run(partner) {
        Err(error) => Err(error.to_owned()),
        Ok(()) => match pairs::first_best(&search.scores(), |_| true) {
            Some(best) => Ok((best, search.found.pool[best].1.clone())),
            None => Err("no_answer".to_owned()),
        },
    });
    search.found
}

impl<'a, 'w> Loop<'a, 'w> {
    fn new(case: &'a Case, models: &'a mut Models<'w>, query: &'a Query) -> Self {
        Loop {
            case,
            models,
            query,
            dialogue: Vec::new(),
            written: BTreeMap::new(),
            scored: Times::default(),
            found: Found::default(),
            critiques: Vec::new(),
            borrowed: None,
            critiques_only: false,
            for_answers: 0,
            aside: 0,
            spent: 0,
            next: 0,
        }
    }

    fn run(&mut self, partner: &Query) -> Result<(), Failure> {
        if self.case.mode == Mode::Shuffled && self.case.iterations > 0 {
            self.borrow(partner)?;
        }
        self.go()
    }

    /// Searches another query, as the paper does, for what is said there.
    fn borrow(&mut self, partner: &Query) -> Result<(), Failure> {
        let budget = self.case.early_stop.budget;
        let early_stop = EarlyStop { budget, ..EarlyStop::default() };
        let case = Case { mode: Mode::Tpo, early_stop, ..self.case.clone() };
        let mut other = Loop::new(&case, self.models, partner);
        other.critiques_only = true;
        let end = other.go();
        let (critiques, answered, scored) =
            (other.critiques, other.found.answered, other.found.scored);
        // What is said of the other's answers counts here, the answers themselves do not.
        self.aside = other.for_answers;
        self.spent = answered - self.aside;
        self.found.answered += answered;
        self.found.scored += scored;
        end?;
        self.borrowed = Some((1, critiques));
        Ok(())
    }

    fn go(&mut self) -> Result<(), Failure> {
        let system = match self.query.system() {
            Some(own) => own.to_owned(),
            None => pack::sample(self.query.text()),
        };
        self.dialogue = vec![(MessageRole::System, system)];
        for (role, text) in self.query.turns() {
            if role != MessageRole::System {
                self.dialogue.push((role, text.to_owned()));
            }
        }
        let first = self.sample()?;
        self.admit(first, 0)?;
        let depth = if self.case.mode == Mode::Bon { 0 } else { self.case.iterations };
        for iteration in 1..=depth {
            self.count(iteration - 1);
            self.found.stopped = self.reason_to_stop(iteration - 1);
            if self.found.stopped.is_some() {
                break;
            }
            if !self.iterate(iteration)? {
                self.found.stopped = Some(StopReason::NoPair);
                break;
            }
        }
        Ok(())
    }

    fn sample(&mut self) -> Result<Vec<String>, Failure> {
        let said = self.ask(Purpose::Sample, self.dialogue.clone(), self.case.samples)?;
        Ok(said.into_iter().map(|said| said.text).collect())
    }

    /// Whether there was something to do.
    fn iterate(&mut self, iteration: u32) -> Result<bool, Failure> {
        let scores = self.scores();
        if self.case.mode == Mode::Resample {
            let Some(chosen) = pairs::first_best(&scores, |_| true) else { return Ok(false) };
            let answers = self.sample()?;
            let updates = answers.len();
            self.found.steps.push(Step { iteration, chosen, updates, ..Step::default() });
            self.admit(answers, iteration)?;
            return Ok(true);
        }
        let newest_only = self.case.accept == Acceptance::Always || self.case.mode == Mode::Ungated;
        let compared = pairs::compare(self.case.pairs, &scores, newest_only);
        let count = compared.len() as u32;
        let (mut versions, mut said, mut failure) = (Vec::new(), Vec::new(), None);
        for (place, mut comparison) in compared.into_iter().enumerate() {
            match self.case.mode {
                Mode::Revision => comparison.rejected.clear(),
                Mode::Listwise => comparison.rejected = self.ranked_with(comparison.chosen),
                _ => {}
            }
            // The new versions are shared out, what is left over to the first ones, but each gets one.
            let mut share = self.case.samples / count;
            if (place as u32) < self.case.samples % count {
                share += 1;
            }
            let Comparison { chosen, rejected } = comparison.clone();
            self.found.steps.push(Step { iteration, chosen, rejected, ..Step::default() });
            let (critique, rewritten) = self.improve(&comparison, iteration, place, share.max(1));
            said.push(critique);
            match rewritten {
                Ok(rewritten) => {
                    for (text, turns) in rewritten {
                        self.written.insert(self.found.pool.len() + versions.len(), turns);
                        versions.push(text);
                    }
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.critiques.push(said);
        if !self.is_over(iteration) {
            self.admit(versions, iteration)?;
        }
        Ok(count > 0)
    }

    fn is_over(&self, iteration: u32) -> bool {
        self.critiques_only && iteration == self.case.iterations
    }

    /// What comes of the next call, at most as many answers as it asks for.
    fn ask(&mut self, purpose: Purpose, turns: Vec<Turn>, n: u32) -> Result<Vec<Said>, Failure> {
        let asked = Asked { purpose, turns, n };
        let before = self.models.times.one_more(&format!("{asked:?}"));
        let said = self.models.world.says(&asked, before);
        self.models.asked.push(asked);
        let mut said = said.ok_or(CALL_FAILED)?;
        self.found.answered += 1;
        self.for_answers += u64::from(matches!(purpose, Purpose::Sample | Purpose::Update));
        if said.is_empty() && purpose != Purpose::Update {
            return Err(NO_CHOICES);
        }
        if matches!(purpose, Purpose::Sample | Purpose::Loss) {
            // A blank text is no answer.
            said.retain(|said| !said.text.trim().is_empty());
            if said.is_empty() {
                return Err("no_answer");
            }
        }
        said.truncate(n as usize);
        Ok(said)
    }

    /// Scores what is new, as many at a time as the reward model takes, and keeps everything.
    fn admit(&mut self, texts: Vec<String>, iteration: u32) -> Result<(), Failure> {
        let mut new: Vec<&String> = Vec::new();
        for text in &texts {
            if !new.contains(&text) && !self.found.pool.iter().any(|(_, known, _)| known == text) {
                new.push(text);
            }
        }
        let mut scores = Vec::new();
        let mut failure = None;
        for batch in new.chunks(self.case.batch) {
            let mut worth = Vec::new();
            for text in batch {
                let times = self.scored.one_more(text);
                worth.push(self.models.world.worth(self.query.text(), text, times));
            }
            if worth.contains(&Worth::Fails) {
                failure = failure.or(Some(SCORE_FAILED));
            }
            for worth in worth {
                let Worth::Score(score) = worth else { continue };
                if !score.is_finite() {
                    failure = failure.or(Some("reward"));
                }
                scores.push(score);
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.found.scored += new.len() as u64;
        let scored: Vec<(String, f64)> = new.into_iter().cloned().zip(scores).collect();
        for text in texts {
            let known = self.found.pool.iter().find(|(_, known, _)| *known == text);
            let known = known.map(|(_, _, score)| *score);
            let fresh = scored.iter().find(|(new, _)| *new == text).map(|(_, score)| *score);
            self.found.pool.push((iteration, text, known.or(fresh).expect("all are scored")));
        }
        Ok(())
    }

    fn scores(&self) -> Vec<Scored> {
        let pool = self.found.pool.iter();
        pool.map(|(iteration, _, score)| Scored { iteration: *iteration, score: *score }).collect()
    }
}
