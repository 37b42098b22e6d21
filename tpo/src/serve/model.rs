//! Virtual models: names that stand for a search, or for the policy alone.

use std::collections::BTreeMap;

use super::options::SearchOptions;
use crate::config::Mode;

/// The model that passes requests through to the policy.
pub(crate) const POLICY: &str = "policy";

/// The meaning of a model's name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// The policy alone, without a search.
    Policy,
    /// A search with these changes.
    Search(Box<SearchOptions>),
}

/// The meaning of a name: a preset, `policy`, `tpo` (the search of the server's settings), or a mode with sizes, such
/// as `tpo-d1-n3`, `revision`, `bon-8`. A provider before a slash, as some clients add it, is passed over.
pub(crate) fn target(name: &str, presets: &BTreeMap<String, SearchOptions>) -> Option<Target> {
    if let Some(preset) = presets.get(name) {
        return Some(Target::Search(Box::new(preset.clone())));
    }
    if let Some((_, name)) = name.split_once('/') {
        return target(name, presets);
    }
    match name {
        POLICY => return Some(Target::Policy),
        "tpo" => return Some(Target::Search(Box::default())),
        _ => {}
    }
    let (mode, sizes) = Mode::ALL.iter().find_map(|mode| {
        let sizes = name.strip_prefix(mode.as_str())?;
        (sizes.is_empty() || sizes.starts_with('-')).then_some((*mode, sizes))
    })?;
    let mut options = SearchOptions { mode: Some(mode), ..SearchOptions::default() };
    for part in sizes.split('-').skip(1) {
        let number = |digits: &str| digits.parse::<u32>().ok();
        let slot = if let Some(digits) = part.strip_prefix('d') {
            (&mut options.iterations, number(digits)?)
        } else if let Some(digits) = part.strip_prefix('n') {
            (&mut options.samples, number(digits)?)
        } else {
            // bon-8
            (&mut options.samples, number(part)?)
        };
        if slot.0.replace(slot.1).is_some() {
            return None;
        }
    }
    (mode != Mode::Shuffled).then_some(Target::Search(Box::new(options)))
}

/// The names that a list of models has.
pub(crate) fn listed(presets: &BTreeMap<String, SearchOptions>) -> Vec<String> {
    let modes = Mode::ALL.iter().filter(|mode| **mode != Mode::Shuffled);
    let modes = modes.map(|mode| match mode {
        Mode::Bon => "bon-8".to_owned(),
        mode => mode.to_string(),
    });
    let sized = ["tpo-d1-n3".to_owned(), POLICY.to_owned()];
    let mut names: Vec<String> = modes.chain(sized).collect();
    names.extend(presets.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_mode_and_sizes() {
        let fast: SearchOptions = serde_json::from_str(r#"{"iterations": 1}"#).unwrap();
        let presets = BTreeMap::from([("fast".to_owned(), fast.clone())]);
        let search = |mode, iterations, samples| {
            let options = SearchOptions { mode, iterations, samples, ..SearchOptions::default() };
            Some(Target::Search(Box::new(options)))
        };
        for (name, expected) in [
            ("tpo", search(None, None, None)),
            ("openai/tpo", search(None, None, None)),
            ("tpo-d1-n3", search(Some(Mode::Tpo), Some(1), Some(3))),
            ("tpo-n3", search(Some(Mode::Tpo), None, Some(3))),
            ("bon-8", search(Some(Mode::Bon), None, Some(8))),
            ("revision", search(Some(Mode::Revision), None, None)),
            ("revision-d4", search(Some(Mode::Revision), Some(4), None)),
            ("feedback-descent-n2", search(Some(Mode::FeedbackDescent), None, Some(2))),
            ("own", None),
            ("fast", Some(Target::Search(Box::new(fast)))),
            ("policy", Some(Target::Policy)),
            ("shuffled", None),
            ("tpo-d1-d2", None),
            ("tpo-x", None),
            ("tpo-", None),
            ("gpt-4o", None),
            ("", None),
        ] {
            assert_eq!(target(name, &presets), expected, "{name}");
        }
        for name in listed(&presets) {
            assert!(target(&name, &presets).is_some(), "{name}");
        }
    }
}
