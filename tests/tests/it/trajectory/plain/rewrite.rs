//! From a comparison to new versions of an answer: loss, gradient, update.

use textgrad_core::{Layout, MessageRole, Purpose};
use tpo::Mode;

use super::pairs::Comparison;
use super::{Failure, Loop};
use crate::trajectory::pack;
use crate::trajectory::world::Turn;

/// What was said about an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Critique {
    losses: Vec<Loss>,
    feedback: Vec<Feedback>,
}

/// A loss, and the conversation that it was said in.
#[derive(Debug, Clone)]
struct Loss {
    turns: Vec<Turn>,
    text: String,
}

/// Words about an answer.
#[derive(Debug, Clone)]
struct Feedback {
    words: String,
    /// The loss that they come from, as a prompt shows it.
    call: Option<String>,
    /// The text of that loss.
    loss: String,
    /// The conversation that they were said in, with them as its end, where it goes on.
    turns: Option<Vec<Turn>>,
}

/// A new version of an answer, and the conversation that it was written in.
type Version = (String, Vec<Turn>);

fn fresh(system: String, user: String) -> Vec<Turn> {
    vec![(MessageRole::System, system), (MessageRole::User, user)]
}

/// A conversation that goes on after an answer of the model.
fn go_on(turns: &[Turn], answer: &str, user: String) -> Vec<Turn> {
    let mut turns = turns.to_vec();
    turns.push((MessageRole::Assistant, answer.to_owned()));
    turns.push((MessageRole::User, user));
    turns
}

impl Loop<'_, '_> {
    /// An answer of the pool as prompts show it.
    fn shown(&self, place: usize) -> String {
        let text = &self.found.pool[place].1;
        text.chars().take(self.case.max_chars.unwrap_or(usize::MAX)).collect()
    }

    /// What was said on the way, and new versions of the chosen answer.
    pub(super) fn improve(
        &mut self,
        compared: &Comparison,
        iteration: u32,
        place: usize,
        share: u32,
    ) -> (Critique, Result<Vec<Version>, Failure>) {
        let this = self.found.steps.len() - 1;
        let mut critique = Critique::default();
        match self.case.mode {
            Mode::Direct => critique.feedback = vec![self.direct(compared)],
            Mode::Shuffled => {
                critique = self.borrowed_critique(compared, iteration, place);
                self.found.steps[this].critique_of = self.borrowed.as_ref().map(|(at, _)| *at);
            }
            _ => {
                let (losses, failure) = self.losses(compared);
                critique.losses = losses;
                self.note(&critique);
                if let Some(failure) = failure {
                    return (critique, Err(failure));
                }
                match self.gradients(compared, &critique.losses) {
                    Ok(feedback) => critique.feedback = feedback,
                    Err(failure) => return (critique, Err(failure)),
                }
            }
        }
        self.note(&critique);
        let rewritten = if critique.feedback.is_empty() || self.is_over(iteration) {
            Ok(Vec::new())
        } else {
            self.update(compared, &critique.feedback, share)
        };
        (critique, rewritten)
    }

    /// Writes down what was said. A comparison itself is not said.
    fn note(&mut self, critique: &Critique) {
        if self.case.mode == Mode::Direct {
            return;
        }
        let said: Vec<&str> = critique.feedback.iter().map(|one| one.words.as_str()).collect();
        let Some(step) = self.found.steps.last_mut() else { return };
        step.losses = critique.losses.iter().map(|loss| loss.text.clone()).collect();
        step.gradient = (!said.is_empty()).then(|| said.join("\n"));
    }

    fn direct(&self, compared: &Comparison) -> Feedback {
        let rejected: Vec<String> = compared.rejected.iter().map(|at| self.shown(*at)).collect();
        let words = pack::direct(self.query.text(), &self.shown(compared.chosen), &rejected);
        Feedback { words, call: None, loss: String::new(), turns: None }
    }

    /// Loss and gradient of the same comparison in the search for another query, or of the last one there;
    /// what they are about are the texts at hand.
    fn borrowed_critique(&self, compared: &Comparison, iteration: u32, place: usize) -> Critique {
        let Some((_, made)) = &self.borrowed else { return Critique::default() };
        let of_iteration = made.get(iteration as usize - 1).or(made.last());
        let said = of_iteration.and_then(|said| said.get(place).or(said.last()));
        let Some(Critique { losses, mut feedback }) = said.cloned() else {
            return Critique::default();
        };
        let chosen = self.shown(compared.chosen);
        for (i, one) in feedback.iter_mut().enumerate() {
            let rejected = match compared.rejected.len() {
                0 => None,
                several => Some(self.shown(compared.rejected[i % several])),
            };
            let system = pack::evaluation(self.query.text(), &chosen, rejected.as_deref());
            one.call = Some(pack::call(&fresh(system, chosen.clone()), &one.loss, None));
        }
        Critique { losses, feedback }
    }

    /// The requests for losses: one for each rejected answer, or one without, or one over a ranking.
    fn evaluations(&self, compared: &Comparison) -> Vec<Vec<Turn>> {
        let (query, chosen) = (self.query.text(), self.shown(compared.chosen));
        if self.case.mode == Mode::Listwise {
            let ranked = self.ranking(compared);
            let own = ranked.iter().position(|(place, _)| *place == compared.chosen);
            let texts: Vec<(String, f64)> =
                ranked.iter().map(|(place, score)| (self.shown(*place), *score)).collect();
            let own = own.expect("it is ranked with the others");
            return vec![fresh(pack::ranking(query, &texts, own), chosen)];
        }
        let mut against: Vec<Option<String>> =
            compared.rejected.iter().map(|place| Some(self.shown(*place))).collect();
        if against.is_empty() {
            against.push(None);
        }
        let mut requests = Vec::new();
        for rejected in against {
            let words = pack::evaluation(query, &chosen, rejected.as_deref());
            requests.push(match self.case.layout {
                Layout::Quoted => fresh(words, chosen.clone()),
                Layout::Continued => go_on(&self.dialogue, &chosen, words),
                Layout::Chained => match self.written.get(&compared.chosen) {
                    Some(turns) if self.found.pool[compared.chosen].1 == chosen => {
                        let mut turns = turns.clone();
                        turns.push((MessageRole::User, words));
                        turns
                    }
                    _ => go_on(&self.dialogue, &chosen, words),
                },
            });
        }
        requests
    }

    /// The chosen answer among the others, best first; before its equals.
    fn ranking(&self, compared: &Comparison) -> Vec<(usize, f64)> {
        let score = |place: usize| self.found.pool[place].2;
        let own = (compared.chosen, score(compared.chosen));
        let mut ranked: Vec<(usize, f64)> =
            compared.rejected.iter().map(|place| (*place, score(*place))).collect();
        let better = ranked.iter().take_while(|(_, other)| *other > own.1).count();
        ranked.insert(better, own);
        ranked
    }

    /// The losses that came, and why others did not.
    fn losses(&mut self, compared: &Comparison) -> (Vec<Loss>, Option<Failure>) {
        let (mut losses, mut failure) = (Vec::new(), None);
        for turns in self.evaluations(compared) {
            match self.ask(Purpose::Loss, turns.clone(), 1) {
                Ok(said) => {
                    losses.extend(
                        said.into_iter().next().map(|said| Loss { turns, text: said.text }),
                    );
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        (losses, failure)
    }

    /// What each loss says about the answer; all are asked for before a failure counts, and that of the last one
    /// is told.
    fn gradients(
        &mut self,
        compared: &Comparison,
        losses: &[Loss],
    ) -> Result<Vec<Feedback>, Failure> {
        let chosen = self.shown(compared.chosen);
        let (mut feedback, mut failure) = (Vec::new(), None);
        for loss in losses {
            let words = pack::about(&pack::call(&loss.turns, &loss.text, None), &chosen);
            let turns = match self.case.layout {
                Layout::Quoted => fresh("[feedback]".to_owned(), words),
                _ => go_on(&loss.turns, &loss.text, words),
            };
            match self.ask(Purpose::Gradient, turns.clone(), 1).map(|said| said.into_iter().next())
            {
                Ok(None) => {}
                // Nothing to say.
                Ok(Some(said)) if said.text.trim().is_empty() => {}
                Ok(Some(said)) => feedback.push(Feedback {
                    words: said.text,
                    call: Some(pack::call(&loss.turns, &loss.text, Some(&chosen))),
                    loss: loss.text.clone(),
                    turns: (self.case.layout != Layout::Quoted).then_some(turns),
                }),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(feedback), Err)
    }

    fn update(
        &mut self,
        compared: &Comparison,
        feedback: &[Feedback],
        share: u32,
    ) -> Result<Vec<Version>, Failure> {
        let said: Vec<String> =
            feedback.iter().map(|one| pack::gradient(one.call.as_deref(), &one.words)).collect();
        let words = pack::about(&said.join("\n"), &self.shown(compared.chosen));
        // Several conversations have no common end that could go on.
        let turns = match feedback {
            [Feedback { words: last, turns: Some(turns), .. }] => go_on(turns, last, words),
            _ => fresh("[update]".to_owned(), words),
        };
        let mut versions = Vec::new();
        let mut unusable = 0;
        let mut note = None;
        for attempt in 0..=self.case.parse_retries {
            let missing = share - versions.len() as u32;
            if missing == 0 {
                break;
            }
            // It is told of the last answer that could not be used; one that was short is not asked again.
            let mut turns = turns.clone();
            if let (Some(cut_off), Some((_, last))) = (note, turns.last_mut()) {
                last.push_str(&pack::again(attempt, cut_off));
            }
            let said = match self.ask(Purpose::Update, turns.clone(), missing) {
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
                    Some(version) => {
                        let mut turns = turns.clone();
                        turns.push((MessageRole::Assistant, one.text));
                        versions.push((version, turns));
                    }
                    None => {
                        unusable += 1;
                        note = Some(one.cut_off);
                    }
                }
            }
            if came < missing && unusable == before {
                break;
            }
        }
        let Some(step) = self.found.steps.last_mut() else { return Ok(versions) };
        step.updates = versions.len();
        // That there is no new version at all is said once.
        step.unusable = if versions.is_empty() { 1 } else { unusable };
        Ok(versions)
    }
}
