//! Advice on a prompt from the answers given under it, and the prompt rewritten by it.

use super::technique::{LENGTH, Point, ROWS, Technique, points, points_of, speaks_of_tasks};
use crate::sim::rng::Rng;
use crate::sim::text::{entries, has_any, normalise, sentences};

/// What a judgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
}

const SPARED: &str = "nothing wrong|not wrong|no mistake|no mistakes|no error|no errors";
const WRONG_WORDS: &str = "wrong|incorrect|not correct|not right|not what was expected|mistake|mistakes|mistaken|\
     failed|fails|fail|failure|false|error|errors|expected|does not match|traceback|panicked|\
     assertion";
const RIGHT_WORDS: &str = "right|correct|passed|passes|pass|true|matches|no changes";

/// Reads a judgement: a bare figure or word, or what it says in words.
pub(super) fn verdict(text: &str) -> Option<Verdict> {
    let bare = text.trim().trim_end_matches('.').to_lowercase();
    match bare.as_str() {
        "0" | "0.0" | "no" => return Some(Verdict::Wrong),
        "1" | "1.0" | "yes" | "ok" => return Some(Verdict::Right),
        _ => {}
    }
    let mut words = normalise(text);
    for spared in entries(SPARED) {
        words = words.replace(&format!(" {spared} "), " right ");
    }
    if has_any(&words, WRONG_WORDS) {
        // `3 passed; 0 failed` is how test programs say that all is well.
        let well =
            text.contains(" 0 failed") && !has_any(&words.replace("# failed", ""), WRONG_WORDS);
        return Some(if well { Verdict::Right } else { Verdict::Wrong });
    }
    has_any(&words, RIGHT_WORDS).then_some(Verdict::Right)
}

/// The verdict of several judgements: one that finds something wrong decides.
pub(super) fn of_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Verdict> {
    texts.into_iter().filter_map(verdict).fold(None, |all, one| match (all, one) {
        (Some(Verdict::Wrong), _) | (_, Verdict::Wrong) => Some(Verdict::Wrong),
        _ => Some(Verdict::Right),
    })
}

/// Said where an answer was right.
pub(super) const KEEP: &str = "The answer was right: keep the prompt as it is.";
/// How advice begins where an answer was wrong.
const WRONG: &str = "The answer was wrong";
/// How often the advice does harm: always a little, more so without skill.
const HARMFUL: (f64, f64) = (0.02, 0.2);
/// The most points that one piece of advice makes.
const MAX_POINTS: usize = 2;

/// Advice on a prompt from one call in which it was used.
pub(super) fn advice(
    prompt: &str,
    remedies: &[Technique],
    verdict: Option<Verdict>,
    skill: f64,
    rng: &mut Rng,
) -> String {
    let wrong = match verdict {
        Some(verdict) => verdict == Verdict::Wrong,
        // Where nobody says whether the answer is right, the critic looks for itself.
        None => !remedies.is_empty(),
    };
    if !wrong {
        return KEEP.to_owned();
    }
    let asked = points(prompt);
    let bad = asked.iter().find(|(technique, wanted)| *wanted && technique.is_bad());
    let mut lines = Vec::new();
    // The draws are the same whatever is seen, so that one mistake more does not change all that follows.
    for position in 0..MAX_POINTS {
        let other = ROWS.get(rng.below(ROWS.len())).map_or(Technique::Steps, |row| row.technique);
        let sees = rng.chance(skill);
        let seen = remedies.get(position).copied();
        let (technique, why) = match (seen, position) {
            (Some(remedy), _) if sees => (remedy, remedy.mistake()),
            (None, 0) if sees => (Technique::Form, Technique::Form.mistake()),
            (None, 0) | (Some(_), _) => (other, "it may help"),
            (None, _) => continue,
        };
        let sentence = technique.sentence(rng);
        if technique.is_bad() || technique == Technique::Short {
            continue;
        }
        lines.push(match asked.contains(&(technique, true)) {
            true => format!("- Here {why}, although the prompt speaks against it: no change."),
            false => format!("- Add to the prompt: {sentence} The reason: {why}."),
        });
    }
    if let Some((technique, _)) = bad
        && rng.chance(skill)
    {
        lines.push(removal(*technique).to_owned());
    }
    let long = prompt.split_whitespace().count() > LENGTH;
    if rng.chance(skill) && long {
        lines.push(format!("- {}", Technique::Short.sentence(rng)));
    }
    if rng.chance(HARMFUL.0 + HARMFUL.1 * (1.0 - skill)) {
        lines.push(format!("- Add to the prompt: {}", Technique::Brief.sentence(rng)));
    }
    lines.insert(0, format!("{WRONG}."));
    lines.join("\n")
}

/// Asks for a technique that does harm to be taken out.
fn removal(technique: Technique) -> &'static str {
    match technique {
        Technique::Guess => "- Remove the wish for a rough guess.",
        _ => "- Remove the wish to answer immediately or be brief.",
    }
}

/// Merges pieces of advice on one prompt: each point once, what most ask for first.
pub(super) fn merged(feedback: &[&str], rng: &mut Rng) -> String {
    let wrong = feedback.iter().filter(|text| of_all([**text]) == Some(Verdict::Wrong)).count();
    if wrong == 0 && ranked(feedback).is_empty() {
        return KEEP.to_owned();
    }
    let mut lines = vec![format!("{WRONG} in {wrong} of {}.", feedback.len())];
    for ((technique, wanted), times) in ranked(feedback) {
        let sentence = technique.sentence(rng);
        lines.push(match wanted {
            true if technique == Technique::Short => {
                format!("- {sentence} Asked for {times} times.")
            }
            true => format!("- Add to the prompt: {sentence} Asked for {times} times."),
            false => removal(technique).to_owned(),
        });
    }
    lines.join("\n")
}

/// Whether a text is advice on the prompt of a task.
pub(super) fn is_advice(text: &str) -> bool {
    text.trim() == KEEP || text.starts_with(WRONG) || speaks_of_tasks(text)
}

/// The points of several texts, what most ask for first and else in order of appearance.
pub(super) fn ranked(feedback: &[&str]) -> Vec<(Point, usize)> {
    let mut ranked: Vec<(Point, usize)> = Vec::new();
    for point in feedback.iter().flat_map(|text| points(text)) {
        match ranked.iter_mut().find(|(known, _)| *known == point) {
            Some((_, times)) => *times += 1,
            None => ranked.push((point, 1)),
        }
    }
    ranked.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    ranked
}

/// How often a sentence that asks for a technique is lost, and how often a harmful sentence is put in, by
/// somebody without any skill; the first falls with the square of what is missing, the second with what is.
const LOSES: f64 = 0.9;
const HARMS: f64 = 0.5;
/// What goes on at length and asks for nothing.
const RAMBLING: &str = "Bear in mind that questions of this kind have been put to many people in many places \
    and at many times, that some of them were pleased and some were not, that words have a long history, and \
    that whoever reads with patience and with an open mind will in the end have read with patience and with \
    an open mind, which is worth a great deal more than is commonly said, as those who have been there will \
    gladly tell anybody who asks them on a quiet afternoon, and so on in this manner, since there is always \
    more to be said about everything.";

/// Rewrites a prompt by the feedback.
pub(super) fn rewrite(variable: &str, feedback: &[&str], skill: f64, rng: &mut Rng) -> String {
    let lack = 1.0 - skill;
    let asked = ranked(feedback);
    let cut: Vec<Technique> = asked
        .iter()
        .filter(|((_, wanted), _)| !wanted)
        .map(|((technique, _), _)| *technique)
        .collect();
    let obeys = !cut.is_empty() && rng.chance(skill);
    let mut kept: Vec<String> = Vec::new();
    for sentence in sentences(variable.trim()) {
        let asks = points_of(sentence);
        let lost = rng.chance(LOSES * lack * lack) && !asks.is_empty();
        let unwanted = asks.iter().any(|(technique, _)| {
            technique.is_bad() && (cut.contains(technique) || cut.contains(&Technique::Brief))
        });
        if !(lost || unwanted && obeys) {
            kept.push(sentence.to_owned());
        }
    }
    if rng.chance(skill) && asked.iter().any(|(point, _)| *point == (Technique::Short, true)) {
        shorten(&mut kept);
    }
    let mut text = kept.concat().trim_end().to_owned();
    let put = |text: &mut String, sentence: &str| {
        if !text.is_empty() {
            text.push(if text.ends_with('\n') { '\n' } else { ' ' });
        }
        text.push_str(sentence);
    };
    let mut taken = 0;
    for ((technique, wanted), _) in &asked {
        let sentence = technique.sentence(rng);
        let follows = rng.chance(skill);
        let known = points(&text).contains(&(*technique, true));
        if *wanted && *technique != Technique::Short && !known && taken < MAX_POINTS {
            taken += 1;
            if follows {
                put(&mut text, sentence);
            }
        }
    }
    let harm = match rng.below(3) {
        0 => "Answer immediately.",
        1 => "A rough guess is enough.",
        _ => RAMBLING,
    };
    if rng.chance(HARMS * lack) && !text.contains(harm) {
        put(&mut text, harm);
    }
    match text.trim() {
        "" => variable.trim().to_owned(),
        text => text.to_owned(),
    }
}

/// Takes out what asks for nothing, the longest first, until no attention is lost by length.
fn shorten(kept: &mut Vec<String>) {
    let words = |text: &str| text.split_whitespace().count();
    while kept.iter().map(|sentence| words(sentence)).sum::<usize>() > LENGTH {
        let idle = (0..).zip(&*kept).filter(|(_, sentence)| points_of(sentence).is_empty());
        let Some((longest, _)) = idle.max_by_key(|(_, sentence)| words(sentence)) else { return };
        kept.remove(longest);
    }
}
