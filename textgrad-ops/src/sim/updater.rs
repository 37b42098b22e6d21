//! The updater: the text rewritten as the instructions say, as well as it can.

use super::criteria::{Criterion, Kind, Needs, Reading, Technique, criteria, marks, techniques};
use super::gradient::{Action, Change, instruction, merged, read, read_sentence};
use super::policy::sentence;
use super::rng::Rng;
use super::text::{normalise, sentences};
use super::topic::topic;
use crate::optim::edits;

/// How often a good sentence is lost by somebody without any skill. With skill it falls with the square of
/// what is missing: a model that follows instructions well hardly ever damages what it was not asked to touch.
const LOSES: f64 = 0.9;
/// How often a flaw is committed by somebody without any skill; falls likewise.
const COMMITS: f64 = 0.5;
/// How often a harmful sentence comes into a prompt; falls with what is missing.
const HARMS: f64 = 0.7;
/// What is left of both where an instruction says to keep things as they are.
const GUARDED: f64 = 0.2;
/// How often a passage is misquoted by somebody without any skill. With the default skill that makes 6 %; of the models
/// on the board of aider's editing benchmark the median is 5.8 %.
const MISQUOTES: f64 = 0.3;
/// The number of points that a prompt takes up at a time.
const MAX_POINTS: usize = 2;

/// How instructions begin that are written for what is to stay or to go.
const KEEPS_OR_LEAVES: [&str; 2] = ["keep", "leave"];

/// What an update is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rewrite<'a> {
    pub(super) query: Option<&'a str>,
    /// The system message of the request, without its sections.
    pub(super) wording: &'a str,
    pub(super) role: &'a str,
    pub(super) variable: &'a str,
    pub(super) feedback: &'a [&'a str],
}

/// Rewrites a text.
pub(super) fn rewrite(task: Rewrite<'_>, skill: f64, rng: &mut Rng) -> String {
    let changes = merged(task.feedback);
    if is_prompt(task.role) {
        return prompt(task.variable, &changes, skill, rng);
    }
    let mut needs = Needs::of(task.query.unwrap_or_default());
    if task.query.is_none() {
        needs.topic = topic(task.variable);
    }
    let mut draft = Draft::of(task.variable, &needs);
    let standing = standing(task.wording).into_iter();
    let standing: Vec<Change> =
        standing.filter(|(row, _)| changes.iter().all(|(known, _)| known != row)).collect();
    let guarded = draft.follow(changes.into_iter().chain(standing), &needs, skill, rng);
    draft.damage(&guarded, &needs.topic, skill, rng);
    draft.text()
}

/// The rewritten text as edits of the old one; none if it cannot be written so.
pub(super) fn edits(old: &str, new: &str, skill: f64, rng: &mut Rng) -> Option<String> {
    let edits = edits::between(old, new);
    let misquotes = rng.chance(MISQUOTES * (1.0 - skill));
    edits::apply(old, &edits).ok()?;
    let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
    let text = edits.join("\n");
    Some(if misquotes { text.replacen("<FIND>", "<FIND>As I said: ", 1) } else { text })
}

/// What the wording of a request for an update asks of every text: its sentences that begin as an instruction does.
/// Others describe the request.
fn standing(wording: &str) -> Vec<Change> {
    let opens = |sentence: &&str| {
        let words = normalise(sentence);
        let first = words.split_whitespace().next();
        let own = criteria().flat_map(|row| &row.instructions);
        first.is_some_and(|first| KEEPS_OR_LEAVES.contains(&first))
            || own.map(|own| normalise(own)).any(|own| own.split_whitespace().next() == first)
    };
    let instructions: String = sentences(wording).into_iter().filter(opens).collect();
    read(&instructions)
}

/// Whether a text of this role is a prompt.
pub(super) fn is_prompt(role: &str) -> bool {
    let role = role.to_lowercase();
    role.contains("prompt") || role.contains("instruction")
}

/// A prompt is rewritten by adding the instruction itself: what is to be added to what the prompt makes a
/// model write. Some of its sentences may get lost, and a harmful one may come in.
fn prompt(variable: &str, changes: &[Change], skill: f64, rng: &mut Rng) -> String {
    let lack = 1.0 - skill;
    let is_cut = |row: &Criterion| row.is_wanted() && changes.contains(&(row, Action::Cut));
    let obeys = rng.chance(skill);
    let mut text = String::new();
    for sentence in sentences(variable.trim()) {
        let asks = read_sentence(sentence);
        let is_lost = rng.chance(LOSES * lack * lack) && !asks.is_empty();
        let is_unwanted = asks.iter().any(|(row, _)| is_cut(row));
        if !(is_lost || is_unwanted && obeys) {
            text.push_str(sentence);
        }
    }
    let mut taken = 0;
    for change in changes {
        let line = instruction(*change, rng);
        let follows = rng.chance(skill);
        let (row, action) = change;
        let is_point = *action == Action::Add || (*action == Action::Cut && !row.is_wanted());
        if is_point && !read(&text).contains(change) && taken < MAX_POINTS {
            taken += 1;
            if follows {
                append(&mut text, &line);
            }
        }
    }
    let harm = techniques().find(|(_, technique)| *technique == Technique::Brief);
    let harm = harm.map_or("", |(row, _)| rng.pick(&row.instructions));
    if rng.chance(HARMS * lack) && !text.contains(harm) {
        append(&mut text, harm);
    }
    match text.trim() {
        "" => variable.trim().to_owned(),
        text => text.to_owned(),
    }
}

fn append(text: &mut String, sentence: &str) {
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(sentence);
}

/// A text that is being rewritten, sentence by sentence.
pub(super) struct Draft<'a> {
    original: &'a str,
    sentences: Vec<(String, Vec<&'static Criterion>)>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(text: &'a str, needs: &Needs) -> Self {
        let sentences = Reading::of(text, needs.budget)
            .sentences
            .into_iter()
            .map(|(sentence, marks)| (sentence.to_owned(), marks))
            .collect();
        Self { original: text, sentences }
    }

    /// Whether the text begins with a sentence about the topic, so that what follows may call it `it`.
    pub(super) fn names(&self, topic: &str) -> bool {
        self.sentences.first().is_some_and(|(text, _)| text.contains(topic))
    }

    /// Follows each change with probability `skill`, and returns the criteria of those that were followed.
    pub(super) fn follow(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
        needs: &Needs,
        skill: f64,
        rng: &mut Rng,
    ) -> Vec<&'static Criterion> {
        let mut followed = Vec::new();
        for (row, action) in changes {
            let written = sentence(row, &needs.topic, self.names(&needs.topic), rng);
            if rng.chance(skill) {
                self.apply(row, action, written, needs);
                followed.push(row);
            }
        }
        followed
    }

    /// Does to the text what an instruction says; `written` is the sentence that it may need.
    fn apply(&mut self, row: &'static Criterion, action: Action, written: String, needs: &Needs) {
        match action {
            Action::Add if row.wordings.is_empty() => {}
            Action::Add => self.add(row, written),
            Action::Cut if row.kind == Kind::Length => self.shorten(needs),
            Action::Cut => self.cut(row),
            Action::Keep => {}
        }
    }

    /// Adds a sentence behind what comes before it in an answer, if nothing has the criterion yet.
    pub(super) fn add(&mut self, row: &Criterion, written: String) {
        if self.sentences.iter().any(|(_, marks)| marks.contains(&row)) {
            return;
        }
        let rank = |marks: &[&Criterion]| marks.iter().map(|mark| mark.position).max();
        let earlier = self
            .sentences
            .iter()
            .rposition(|(_, marks)| rank(marks).is_some_and(|rank| rank <= row.position));
        let later = self
            .sentences
            .iter()
            .position(|(_, marks)| rank(marks).is_some_and(|rank| rank > row.position));
        let at = earlier.map(|earlier| earlier + 1).or(later).unwrap_or(self.sentences.len());
        if let Some((before, _)) =
            at.checked_sub(1).and_then(|before| self.sentences.get_mut(before))
            && !before.ends_with(char::is_whitespace)
        {
            before.push(' ');
        }
        // What shows in the sentence is read off it, as it will be by everybody else.
        let shown = marks(&written);
        self.sentences.insert(at, (format!("{written} "), shown));
    }

    pub(super) fn cut(&mut self, row: &Criterion) {
        self.sentences.retain(|(_, marks)| !marks.contains(&row));
    }

    /// Takes out what serves nothing, from the end on, until the text is within the budget.
    fn shorten(&mut self, needs: &Needs) {
        let mut words: usize =
            self.sentences.iter().map(|(text, _)| text.split_whitespace().count()).sum();
        for at in (0..self.sentences.len()).rev() {
            let Some((text, marks)) = self.sentences.get(at) else {
                continue;
            };
            let serves = marks.iter().any(|mark| needs.strengths.contains(mark));
            let length = text.split_whitespace().count();
            if words > needs.budget && !serves {
                self.sentences.remove(at);
                words = words.saturating_sub(length);
            }
        }
    }

    /// What goes wrong along the way.
    pub(super) fn damage(
        &mut self,
        guarded: &[&Criterion],
        topic: &str,
        skill: f64,
        rng: &mut Rng,
    ) {
        let lack = (1.0 - skill) * (1.0 - skill);
        let guard = |row: &&Criterion| if guarded.contains(row) { GUARDED } else { 1.0 };
        self.sentences.retain(|(_, marks)| {
            let held = marks.iter().filter(|mark| mark.is_wanted()).map(guard).reduce(f64::min);
            // One draw a sentence, whatever it is.
            !rng.chance(LOSES * lack * held.unwrap_or(0.0))
        });
        for row in criteria().filter(|row| row.kind == Kind::Flaw) {
            let written = sentence(row, topic, self.names(topic), rng);
            if rng.chance(COMMITS * lack * guard(&row)) {
                self.add(row, written);
            }
        }
    }

    /// The text; the original if nothing is left of it, since no answer is worse than a bad one.
    pub(super) fn text(self) -> String {
        let text: String = self.sentences.into_iter().map(|(text, _)| text).collect();
        match text.trim() {
            "" => self.original.trim().to_owned(),
            text => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The short answer is to oil it. By the way, it rains.\n\nIn short, oil it.";

    fn rewritten(variable: &str, feedback: &str, role: &str, skill: f64) -> String {
        let task = Rewrite {
            query: Some("How do I take care of a wooden table?"),
            wording: "",
            role,
            variable,
            feedback: &[feedback],
        };
        rewrite(task, skill, &mut Rng::new(1, 1))
    }

    #[test]
    fn a_perfect_updater_follows_its_instructions_and_nothing_else() {
        let text = rewritten(TEXT, "- Add a caveat.\n- Remove the digression.", "", 1.0);
        let rest = text
            .strip_prefix("The short answer is to oil it. ")
            .and_then(|text| text.strip_suffix("In short, oil it."));
        let caveat = rest.expect("the other sentences are as they were");
        assert!(marks(caveat).iter().any(|row| row.name == "caveat"), "{text}");
        assert_eq!(rewritten(TEXT, "All is well.", "", 1.0), TEXT);
        assert_eq!(rewritten(TEXT, "Add a summary.", "", 1.0), TEXT);
    }

    #[test]
    fn an_unskilled_updater_does_harm() {
        let text = rewritten(&format!("{TEXT} ").repeat(10), "Add a caveat.", "", 0.0);
        assert!(text.matches("oil it").count() < 10, "{text}");
        assert_eq!(text.matches("By the way, it rains").count(), 10, "{text}");
    }

    #[test]
    fn the_wording_of_the_request_is_followed_where_it_instructs() {
        let followed = |wording: &str, skill: f64| {
            let seeds = 0..200;
            let rewritten = seeds.map(|seed| {
                let task =
                    Rewrite { query: None, wording, role: "", variable: TEXT, feedback: &["-"] };
                rewrite(task, skill, &mut Rng::new(1, seed))
            });
            rewritten.filter(|text| marks(text).iter().any(|row| row.name == "caveat")).count()
        };
        let describes = "You rewrite texts with caveats. A caveat is what limits a text.";
        assert_eq!(followed(describes, 1.0), 0);
        assert_eq!(followed(&format!("{describes} Add a caveat."), 1.0), 200);
        assert!((20..80).contains(&followed(&format!("{describes} Add a caveat."), 0.2)));
        // What the feedback says of it counts first.
        let task = Rewrite {
            query: None,
            wording: "Remove the digression.",
            role: "",
            variable: TEXT,
            feedback: &["Keep the text free of a digression."],
        };
        assert_eq!(rewrite(task, 1.0, &mut Rng::new(1, 1)), TEXT);
    }

    #[test]
    fn something_is_always_left() {
        assert_eq!(
            rewritten("By the way, it rains.", "Remove the digression.", "", 1.0),
            "By the way, it rains."
        );
        assert_eq!(rewritten("", "Remove the digression.", "", 1.0), "");
        assert!(!rewritten("", "Add a caveat.", "", 1.0).is_empty());
    }

    #[test]
    fn a_prompt_gets_the_instruction_itself() {
        let text = rewritten("You are helpful.", "Add a caveat.", "the system prompt", 1.0);
        assert!(
            ["You are helpful. Add a caveat.", "You are helpful. Say where the limits are."]
                .contains(&text.as_str()),
            "{text}"
        );
    }

    #[test]
    fn too_long_a_text_is_shortened_by_what_serves_nothing() {
        let long = format!("{} {}", TEXT, "It is made of wood and nails. ".repeat(60));
        let text = rewritten(&long, "Shorten the text.", "", 1.0);
        assert!(text.starts_with("The short answer is to oil it."));
        assert!(text.contains("In short, oil it."));
        assert!(text.split_whitespace().count() <= 220);
    }
}
