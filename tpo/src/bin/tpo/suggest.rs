//! Hints for mistakes on the command line: known names near to an unknown one, and flags as they are typed.

use std::path::Path;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use textgrad_ops::data::DataFormat;
use textgrad_ops::util::terminal::escape_line;

use crate::args::Args;

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

/// The flag that an error names, as it is typed.
pub(crate) fn flag_of(error: &tpo::Error) -> Option<String> {
    let tpo::Error::Config { setting, .. } = error else { return None };
    let name = setting.replace('_', "-");
    let command = Args::command();
    let nested = command.get_subcommands().flat_map(clap::Command::get_subcommands);
    let commands = command.get_subcommands().chain(nested);
    let is_flag =
        commands.flat_map(clap::Command::get_arguments).any(|arg| arg.get_long() == Some(&name));
    is_flag.then(|| format!("--{name}"))
}

/// Names that other programs have for a flag or a command, and what to type instead.
const OTHER_NAMES: [(&[&str], &str); 9] = [
    (&["--file", "--input", "--dataset", "--queries", "-f", "-i"], "--data FILE"),
    (&["--output", "--output-dir", "-o"], "--out"),
    (&["-n", "-N", "--n"], "--samples N"),
    (&["-d", "-D", "--depth"], "--iterations D"),
    (&["-m", "--policy"], "--engine PRESET/MODEL"),
    (&["-t", "-T"], "--temperature T"),
    (&["-v", "--verbose", "--debug"], "TPO_LOG=debug tpo COMMAND"),
    (&["-q", "--quiet", "--silent"], "TPO_LOG=off tpo COMMAND 2>/dev/null"),
    (&["resume", "continue"], "tpo run --out DIR --resume"),
];

/// A hint for a file, a directory, a query or a number where a command or a flag is expected.
pub(crate) fn tip(error: &Error) -> Option<String> {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let Some(ContextValue::String(got)) = error.get(kind) else { return None };
    if kind == ContextKind::InvalidSubcommand
        && error.get(ContextKind::SuggestedSubcommand).is_none()
    {
        let command = Args::command();
        let names = command.get_subcommands().map(clap::Command::get_name);
        if let Some(near) = one_edit(got, names) {
            return Some(format!("a similar subcommand exists: '{near}'"));
        }
    }
    let path = Path::new(got);
    if let Some((_, advice)) = OTHER_NAMES.iter().find(|(names, _)| names.contains(&got.as_str())) {
        return Some(format!("use '{advice}'"));
    }
    if got.starts_with('-') {
        let number = got.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        return number
            .then(|| "a value that begins with a hyphen is written --flag=VALUE".to_owned());
    }
    if path.is_dir() {
        return Some(format!("to see the results of a run, use 'tpo report {got}'"));
    }
    if path.is_file() || DataFormat::of_name(got).is_some() {
        return Some(format!("to align the queries of a file, use 'tpo run --data {got}'"));
    }
    let is_query = got.contains(char::is_whitespace);
    is_query.then(|| "to align one query, use 'echo \"QUERY\" | tpo run --data -'".to_owned())
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
