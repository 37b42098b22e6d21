//! Answers fused into one, and notes on answers.

use super::criteria::{Criterion, Kind, Needs, Reading};
use super::critic;
use super::gradient::{self, merged};
use super::policy;
use super::rng::Rng;
use super::sections::Parsed;
use super::updater::Draft;

/// A request about several answers to a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fuse<'a> {
    query: &'a str,
    /// Candidates that one answer is made of.
    candidates: Vec<&'a str>,
    /// Notes that it is made by.
    notes: Option<&'a str>,
    /// Drafts that notes are asked for.
    drafts: Vec<&'a str>,
}

impl<'a> Fuse<'a> {
    /// Returns the request if the last user message has a query with candidates, notes or drafts.
    pub(super) fn recognise(last: &Parsed<'a>) -> Option<Self> {
        let fuse = Self {
            query: last.get("QUERY")?,
            candidates: last.all("CANDIDATE"),
            notes: last.get("NOTES"),
            drafts: last.all("DRAFT"),
        };
        let any = !fuse.candidates.is_empty() || fuse.notes.is_some() || !fuse.drafts.is_empty();
        any.then_some(fuse)
    }

    pub(super) fn write(&self, skill: f64, rng: &mut Rng) -> String {
        match self.drafts.as_slice() {
            [] => self.answer(skill, rng),
            drafts => self.remarks(drafts, skill, rng),
        }
    }

    /// The instructions that a critique of each draft against the next comes to.
    fn remarks(&self, drafts: &[&str], skill: f64, rng: &mut Rng) -> String {
        let [first, others @ ..] = drafts else { return String::new() };
        let mut critiques = vec![critic::critique(self.query, first, None, skill, rng)];
        let contrast = |other: &&str| critic::critique(self.query, first, Some(*other), skill, rng);
        critiques.extend(others.iter().map(contrast).collect::<Vec<_>>());
        let critiques: Vec<&str> = critiques.iter().map(String::as_str).collect();
        gradient::instructions(&critiques, skill, rng)
    }

    /// One of the candidates, with what the query calls for and others have, without the flaws that most do not have,
    /// each noticed with probability `skill`; or a first answer, if there is none.
    fn answer(&self, skill: f64, rng: &mut Rng) -> String {
        let needs = Needs::of(self.query);
        let base = match self.candidates.as_slice() {
            [] => policy::answer("", self.query, skill, rng),
            candidates => (*rng.pick(candidates)).to_owned(),
        };
        let mut draft = Draft::of(&base, &needs);
        let mut guarded: Vec<&Criterion> = Vec::new();
        let read = |text: &&'a str| Reading::of(text, needs.budget).sentences;
        let readings: Vec<_> = self.candidates.iter().map(read).collect();
        for (sentence, marks) in readings.iter().flatten() {
            for row in marks.iter().filter(|row| needs.strengths.contains(row)) {
                if !guarded.contains(row) && rng.chance(skill) {
                    guarded.push(row);
                    draft.add(row, sentence.trim().to_owned());
                }
            }
        }
        let count = readings.len().max(1) as f64;
        for row in super::criteria::criteria().filter(|row| row.kind == Kind::Flaw) {
            let has = |reading: &&Vec<(&str, Vec<&'static Criterion>)>| {
                reading.iter().any(|(_, marks)| marks.contains(&row))
            };
            let clean = 1.0 - readings.iter().filter(has).count() as f64 / count;
            if !readings.is_empty() && rng.chance(skill * clean) {
                draft.cut(row);
            }
        }
        let notes: Vec<&str> = self.notes.into_iter().collect();
        guarded.extend(draft.follow(merged(&notes), &needs, skill, rng));
        draft.damage(&guarded, &needs.topic, skill, rng);
        draft.text()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sections::parse;
    use super::*;
    use crate::sim::reward;

    const QUERY: &str = "How do I take care of a wooden table?";

    fn request(sections: &[(&str, &str)]) -> String {
        let sections = sections.iter().map(|(name, text)| format!("<{name}>\n{text}\n</{name}>\n"));
        format!("Work with this.\n<QUERY>\n{QUERY}\n</QUERY>\n{}", sections.collect::<String>())
    }

    fn written(text: &str, skill: f64, seed: u64) -> String {
        let parsed = parse(text);
        Fuse::recognise(&parsed)
            .expect("a request of this kind")
            .write(skill, &mut Rng::new(1, seed))
    }

    fn mean(rewards: impl Iterator<Item = f64>) -> f64 {
        let rewards: Vec<f64> = rewards.collect();
        rewards.iter().sum::<f64>() / rewards.len() as f64
    }

    #[test]
    fn skill_makes_more_of_several_answers_than_each_is() {
        let answers: Vec<String> =
            (0..3).map(|seed| policy::answer("", QUERY, 0.8, &mut Rng::new(5, seed))).collect();
        let sections: Vec<_> = answers.iter().map(|text| ("CANDIDATE", text.as_str())).collect();
        let request = request(&sections);
        let fused =
            |skill| mean((0..60).map(|seed| reward(QUERY, &written(&request, skill, seed))));
        let own = mean(answers.iter().map(|answer| reward(QUERY, answer)));
        assert!(fused(0.95) > own + 0.5, "{} {own}", fused(0.95));
        assert!(fused(0.95) > fused(0.2) + 0.5, "{} {}", fused(0.95), fused(0.2));
    }

    #[test]
    fn notes_are_instructions_and_are_followed() {
        let drafts = [("DRAFT", "It is made of wood."), ("DRAFT", "In short, oil it.")];
        let notes = (0..20).map(|seed| written(&request(&drafts), 0.95, seed));
        assert!(notes.filter(|notes| !merged(&[notes.as_str()]).is_empty()).count() > 10);
        let with_caveat = |notes: &str| {
            let request = request(&[("NOTES", notes)]);
            let texts = (0..60).map(|seed| written(&request, 0.95, seed));
            texts
                .filter(|text| Reading::of(text, 200).marks.iter().any(|row| row.name == "caveat"))
                .count()
        };
        assert!(with_caveat("Add a caveat.") > with_caveat("All is well.") + 10);
    }

    #[test]
    fn other_requests_are_none_of_this_kind() {
        for text in
            ["How are you?", "<QUERY>\nWhy?\n</QUERY>", "<CANDIDATE>\nBecause.\n</CANDIDATE>"]
        {
            assert!(Fuse::recognise(&parse(text)).is_none(), "{text}");
        }
    }
}
