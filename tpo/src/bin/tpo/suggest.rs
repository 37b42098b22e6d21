//! Known names that are near to an unknown one.

use std::path::Path;

use textgrad_ops::util::terminal::escape_line;

/// The similarity from which known names are suggested for an unknown one; 1 for equal names.
const MIN_SIMILARITY: f64 = 0.75;
const MAX_SUGGESTIONS: usize = 3;

/// The most names of a directory that are looked at.
const MAX_FILES: usize = 10_000;

/// The names that are similar to an unknown one, or that contain it, the nearest first.
pub(crate) fn near<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let unknown = unknown.to_lowercase().replace('_', "-");
    let scored = |name: &'a str| {
        let known = name.to_lowercase().replace('_', "-");
        let score = strsim::normalized_damerau_levenshtein(&unknown, &known);
        let contains = unknown.len() >= 4 && known.contains(&unknown);
        (score >= MIN_SIMILARITY || contains).then_some((score, name))
    };
    let mut similar: Vec<(f64, &str)> = names.filter_map(scored).collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    similar.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name).collect()
}

/// A name that one typing error makes of another: short names with swapped letters are not similar to clap.
pub(crate) fn one_edit<'a>(
    unknown: &str,
    mut names: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    names.find(|name| strsim::damerau_levenshtein(unknown, name) == 1)
}

/// The words that suggest files with similar names in the same directory. Empty if there are none. It blocks.
pub(crate) fn near_files(path: &Path) -> String {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return String::new() };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(parent.unwrap_or(Path::new("."))).into_iter().flatten();
    let files = entries.flatten().take(MAX_FILES).filter(|entry| entry.path().is_file());
    let names: Vec<String> =
        files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = near(name, names.iter().map(String::as_str));
    let near: Vec<String> = near
        .iter()
        .map(|name| escape_line(&path.with_file_name(name).to_string_lossy()).into_owned())
        .collect();
    match near.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", near.join(" or ")),
    }
}

/// The words that suggest a mode for an unknown one. Empty if none is near.
pub(crate) fn near_mode(unknown: &str) -> String {
    let plain: String = unknown.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_lowercase();
    let modes = || tpo::Mode::ALL.iter().map(|mode| mode.as_str());
    let mode = match plain.as_str() {
        "best" | "bestofn" | "bestof" => Some("bon"),
        plain => near(plain, modes()).first().copied(),
    };
    mode.map(|mode| format!("; did you mean {mode}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_suggested_by_their_usual_names() {
        for (unknown, mode) in
            [("best-of-n", "bon"), ("BoN", "bon"), ("TPO", "tpo"), ("revison", "revision")]
        {
            assert_eq!(near_mode(unknown), format!("; did you mean {mode}?"));
        }
        assert_eq!(near_mode("x"), "");
    }

    #[test]
    fn files_with_similar_names_are_suggested_with_their_directory() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["prompts.jsonl", "prompts.csv", "other.txt", "prompt\u{1b}s.json"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let near = near_files(&folder.path().join("promts.jsonl"));
        assert!(near.starts_with("; did you mean ") && near.contains("/prompts.jsonl"), "{near}");
        assert!(!near.contains("other.txt") && !near.contains('\u{1b}'), "{near}");
        assert_eq!(near_files(&folder.path().join("zzz")), "");
        assert_eq!(near_files(&folder.path().join("none/prompts.csv")), "");
    }
}
