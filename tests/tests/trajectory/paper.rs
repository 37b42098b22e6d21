//! The paper's loop (Li et al., 2025, arXiv:2501.12895), in plain loops.
//!
//! Where it departs from the reference implementation, it departs as `ARCHITECTURE.md` says: an answer is not
//! compared with its equal; fewer answers than asked for are better than none; a score that is no number is an
//! error; a new version that can not be read is asked for again. And equal answers of one draw all stay in the
//! pool, which changes no choice, for of equal scores the earliest counts.

use tpo::{Accept, Mode};

use super::world::{Asked, Case, Faults, Said, Times, World, Worth};

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Iteration, text and score of each answer.
    pub(super) pool: Vec<(u32, String, f64)>,
    pub(super) steps: Vec<Step>,
    pub(super) nothing_to_compare: bool,
    /// Calls of models that were answered.
    pub(super) answered: u64,
    pub(super) scored: u64,
    /// The place of the best answer and its text, or the class of the error that ended the search.
    pub(super) end: Result<(usize, String), String>,
}

/// One iteration.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) iteration: u32,
    pub(super) chosen: usize,
    pub(super) rejected: Option<usize>,
    pub(super) loss: Option<String>,
    pub(super) gradient: Option<String>,
    pub(super) updates: usize,
    pub(super) unusable: usize,
}

/// How failed calls are classed; see `engine`.
pub(super) const CALL_FAILED: &str = "server";
pub(super) const SCORE_FAILED: &str = "invalid_request";
const NO_ANSWER: &str = "op";

struct Loop<'a> {
    case: &'a Case,
    world: &'a World,
    asked: &'a mut Vec<(Asked, u32)>,
    times: Times,
    found: Found,
}

/// The whole search; `asked` is given every call of a model, with how many answers it asks for.
pub(super) fn search(
    case: &Case,
    world: &World,
    query: &str,
    asked: &mut Vec<(Asked, u32)>,
) -> Found {
    let found = Found {
        pool: Vec::new(),
        steps: Vec::new(),
        nothing_to_compare: false,
        answered: 0,
        scored: 0,
        end: Err("no_answer".to_owned()),
    };
    let mut search = Loop { case, world, asked, times: Times::default(), found };
    if let Err(error) = search.run(query) {
        search.found.end = Err(error.to_owned());
    } else if let Some(best) = search.best(0) {
        search.found.end = Ok((best, search.found.pool[best].1.clone()));
    }
    search.found
}

impl Loop<'_> {
    fn run(&mut self, query: &str) -> Result<(), &'static str> {
        let first = self.ask(Asked::Answers { query: query.to_owned() }, self.case.samples)?;
        self.admit(first.into_iter().map(|said| said.text).collect(), 0)?;

        let depth = if self.case.mode == Mode::Bon { 0 } else { self.case.iterations };
        for iteration in 1..=depth {
            let from = match self.case.accept {
                Accept::Improvement => 0,
                Accept::Always => self.newest(),
            };
            let Some(chosen) = self.best(from) else {
                self.found.nothing_to_compare = true;
                return Ok(());
            };
            let worst = self.worst();
            let is_worse = self.found.pool[worst].2 < self.found.pool[chosen].2;
            let rejected = (self.case.mode == Mode::Tpo && is_worse).then_some(worst);
            let (loss, gradient, updates, unusable) = (None, None, 0, 0);
            let step = Step { iteration, chosen, rejected, loss, gradient, updates, unusable };
            self.found.steps.push(step);
            let versions = self.rewrite(query, chosen, rejected)?;
            self.admit(versions, iteration)?;
        }
        Ok(())
    }

    fn rewrite(
        &mut self,
        query: &str,
        chosen: usize,
        rejected: Option<usize>,
    ) -> Result<Vec<String>, &'static str> {
        let this = self.found.steps.len() - 1;
        let about = Asked::Loss {
            query: query.to_owned(),
            rejected: rejected.map(|rejected| self.found.pool[rejected].1.clone()),
            chosen: self.found.pool[chosen].1.clone(),
        };
        let loss = self.ask(about.clone(), 1)?.into_iter().next().ok_or(NO_ANSWER)?.text;
        self.found.steps[this].loss = Some(loss.clone());

        let about = Asked::Gradient { of: Box::new(about), loss };
        let gradient = self.ask(about.clone(), 1)?.into_iter().next().ok_or(NO_ANSWER)?.text;
        if gradient.trim().is_empty() {
            return Ok(Vec::new());
        }
        self.found.steps[this].gradient = Some(gradient.clone());

        let mut versions = Vec::new();
        let mut unusable = 0;
        for attempt in 0..=self.case.reasks {
            let missing = self.case.samples - versions.len() as u32;
            if missing == 0 {
                break;
            }
            // It is told of an answer that could not be used; one that was short is not asked again.
            let (of, gradient) = (Box::new(about.clone()), gradient.clone());
            let said = match self.ask(Asked::Versions { of, gradient, again: attempt > 0 }, missing)
            {
                Ok(said) => said,
                Err(error) if versions.is_empty() => return Err(error),
                Err(_) => {
                    unusable += 1;
                    break;
                }
            };
            let (came, before) = (said.len() as u32, unusable);
            for one in said {
                match one.version {
                    Some(version) => versions.push(version),
                    None => unusable += 1,
                }
            }
            if came < missing && unusable == before {
                break;
            }
        }
        let step = &mut self.found.steps[this];
        step.updates = versions.len();
        // That there is no new version at all is said once.
        step.unusable = if versions.is_empty() { 1 } else { unusable };
        Ok(versions)
    }

    /// What comes of the next call, at most as many answers as it asks for.
    fn ask(&mut self, what: Asked, n: u32) -> Result<Vec<Said>, &'static str> {
        let said = self.world.says(self.asked.len(), &what, n);
        self.asked.push((what, n));
        let mut said = said.ok_or(CALL_FAILED)?;
        said.truncate(n as usize);
        self.found.answered += 1;
        Ok(said)
    }

    /// Scores what is new, as many at a time as the reward model takes, and keeps everything.
    fn admit(&mut self, texts: Vec<String>, iteration: u32) -> Result<(), &'static str> {
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
                worth.push(self.world.worth(text, self.times.one_more(text)));
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

    /// Where the answers of the last iteration that brought any begin.
    fn newest(&self) -> usize {
        let last = self.found.pool.last().map(|(iteration, _, _)| *iteration);
        let is_newest = |(iteration, _, _): &(u32, String, f64)| Some(*iteration) == last;
        self.found.pool.iter().position(is_newest).unwrap_or(0)
    }

    /// The first of the best answers from a place on.
    fn best(&self, from: usize) -> Option<usize> {
        let mut best = None;
        for place in from..self.found.pool.len() {
            if best.is_none_or(|best: usize| self.found.pool[place].2 > self.found.pool[best].2) {
                best = Some(place);
            }
        }
        best
    }

    /// The first of the worst answers of all.
    fn worst(&self) -> usize {
        let mut worst = 0;
        for place in 0..self.found.pool.len() {
            if self.found.pool[place].2 < self.found.pool[worst].2 {
                worst = place;
            }
        }
        worst
    }
}

/// What a search was an example of.
pub(super) fn kinds(case: &Case, found: &Found) -> Vec<(&'static str, bool)> {
    let tie = |end: f64| found.pool.iter().filter(|(_, _, score)| *score == end).count() > 1;
    let scores = || found.pool.iter().map(|(_, _, score)| *score);
    let (high, low) = (scores().fold(f64::MIN, f64::max), scores().fold(f64::MAX, f64::min));
    let equal = |a: &(u32, String, f64)| found.pool.iter().filter(|b| b.1 == a.1).count() > 1;
    let of_error = |kind: &str| found.end.as_ref().is_err_and(|found| found == kind);
    let step = |is: &dyn Fn(&Step) -> bool| found.steps.iter().any(is);
    let compared = case.mode == Mode::Tpo;
    vec![
        ("revision", case.mode == Mode::Revision && !found.steps.is_empty()),
        ("best of N", case.mode == Mode::Bon),
        ("all is well", case.faults == Faults::None && found.steps.len() == 4),
        ("several best", high > low && tie(high)),
        ("several worst", high > low && tie(low)),
        ("all are equal", high == low && found.pool.len() > 1),
        ("equal answers", found.pool.iter().any(equal)),
        ("nothing to compare with", compared && step(&|step| step.rejected.is_none())),
        ("a pair", compared && step(&|step| step.rejected.is_some())),
        ("no gradient", step(&|step| step.loss.is_some() && step.gradient.is_none())),
        ("fewer new versions", step(&|step| step.updates > 0 && step.unusable > 0)),
        ("no new version", step(&|step| step.gradient.is_some() && step.updates == 0)),
        ("a failed call", of_error(CALL_FAILED)),
        ("a failed call after two iterations", of_error(CALL_FAILED) && found.steps.len() > 2),
        ("no loss or gradient", of_error(NO_ANSWER)),
        ("no answer", of_error("no_answer")),
        ("nothing to begin with", found.nothing_to_compare),
        ("a failed score", of_error(SCORE_FAILED)),
        ("a score that is no number", of_error("reward")),
    ]
}
