//! House rules for source files and documents.
//!
//! Each rule is a function from a file to its findings, with a test that it can fail.

use std::fs;
use std::path::{Path, PathBuf};

/// Files that break a rule and will be mended: rule and beginning of the path.
const ALLOWED: &[(&str, &str)] = &[];

/// The most lines of a source file.
const MAX_LINES: usize = 400;
/// The most folders between `src` and a file.
const MAX_DEPTH: usize = 3;
/// The most characters of a line.
const MAX_WIDTH: usize = 120;

/// Words that the field's terms replaced, and why they stay out.
const BANNED: &[(&str, &str)] = &[
    ("can not", "cannot"),
    ("unless said otherwise", "default: X"),
    ("virtues", "strengths"),
    ("went_on", "commit_failures"),
    ("unless_stopped", "map_cancelled"),
    ("longest_wish", "max_retry_after"),
    ("first_delay", "initial_backoff"),
    ("longest_delay", "max_backoff"),
    ("look_at", "observe"),
    ("wish to stop", "cancellation"),
    ("came of it", "results"),
    ("what it takes", "the required data"),
    ("tokens read", "prompt tokens"),
    ("tokens written", "completion tokens"),
    ("max_o200k", "a truncation with a unit"),
    ("cut_tokens", "a truncation with a unit"),
    ("peers_defects", "prior_art_regressions"),
    ("foreign_pack", "custom_pack"),
];

/// The words that no module's documentation begins with.
const QUESTIONS: &[&str] = &["What", "How", "Where", "Whether", "Why", "When", "Which", "Who"];

type Rule = fn(&File) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("lines", too_long),
    ("depth", too_deep),
    ("visibility", restricted_visibility),
    ("module-docs", questions),
    ("words", banned_words),
    ("width", too_wide),
    ("standard-error", unescaped_notes),
];

struct File {
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), text: text.into() }
    }

    fn is_source(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// This file names the words.
    fn is_this(&self) -> bool {
        self.path.ends_with("tidy.rs")
    }
}

fn too_long(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    let long = file.is_source() && lines > MAX_LINES;
    long.then(|| format!("expected at most {MAX_LINES} lines, got {lines}")).into_iter().collect()
}

fn too_deep(file: &File) -> Vec<String> {
    let Some((_, below)) = file.path.split_once("/src/") else { return Vec::new() };
    let depth = below.matches('/').count();
    let deep = depth > MAX_DEPTH;
    deep.then(|| format!("expected at most {MAX_DEPTH} folders below src, got {depth}"))
        .into_iter()
        .collect()
}

fn restricted_visibility(file: &File) -> Vec<String> {
    let restricted = |line: &str| file.is_source() && !file.is_this() && line.contains("pub(in ");
    lines(file, |line| restricted(line).then(|| "expected pub(crate) or private".to_owned()))
}

fn questions(file: &File) -> Vec<String> {
    let Some(doc) = file.text.strip_prefix("//! ") else { return Vec::new() };
    let first = doc.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let question = file.is_source() && QUESTIONS.contains(&first);
    question.then(|| format!("expected the name of a concept, got {first:?}")).into_iter().collect()
}

fn banned_words(file: &File) -> Vec<String> {
    if file.is_this() {
        return Vec::new();
    }
    lines(file, |line| {
        let lower = line.to_lowercase();
        let (word, better) = BANNED.iter().find(|(word, _)| has_word(&lower, word))?;
        Some(format!("expected \"{better}\" in place of \"{word}\""))
    })
}

/// Whether a text has a word, with neither letters nor digits around it.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Prose: documents and comments. Tables and addresses cannot be broken.
fn too_wide(file: &File) -> Vec<String> {
    lines(file, |line| {
        if file.is_source() && !line.trim_start().starts_with("//") {
            return None;
        }
        let start =
            line.trim_start().trim_start_matches("//!").trim_start_matches("///").trim_start();
        let exempt = start.starts_with('|') || line.contains("://");
        let width = line.chars().count();
        let wide = !exempt && width > MAX_WIDTH;
        wide.then(|| format!("expected at most {MAX_WIDTH} characters, got {width}"))
    })
}

/// Code of the crates: `eprintln` panics where standard error cannot be written, and does not escape.
fn unescaped_notes(file: &File) -> Vec<String> {
    let is_code = file.is_source() && file.path.contains("/src/");
    let prints =
        |line: &str| is_code && !line.trim_start().starts_with("//") && line.contains("eprint");
    lines(file, |line| prints(line).then(|| "expected util::terminal::note".to_owned()))
}

fn lines(file: &File, check: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let numbered = file.text.lines().zip(1..);
    let found =
        numbered.filter_map(|(line, number)| Some(format!("line {number}: {}", check(line)?)));
    found.collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every source file and document of the workspace.
fn files() -> Vec<File> {
    let root = root();
    let (mut files, mut open) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let relative = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            if path.is_dir() {
                let skipped = name.starts_with('.') || name == "target" || name == "packs";
                if !skipped && !path.join("CACHEDIR.TAG").exists() && name != "shared" {
                    open.push(path);
                }
            } else if name.ends_with(".rs") || name.ends_with(".md") {
                files.push(File::new(&relative, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[test]
fn every_file_follows_the_rules() {
    let files = files();
    assert!(files.len() > 200, "only {} files were found", files.len());
    let mut findings = Vec::new();
    for (rule, check) in RULES {
        for file in &files {
            let allowed =
                |(other, path): &(&str, &str)| other == rule && file.path.starts_with(path);
            if !ALLOWED.iter().any(allowed) {
                let found = check(file).into_iter();
                findings.extend(found.map(|found| format!("{rule}: {}: {found}", file.path)));
            }
        }
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn each_rule_can_fail() {
    let cases = [
        ("lines", "a/src/b.rs", "\n".repeat(MAX_LINES + 1), "\n".repeat(MAX_LINES)),
        ("visibility", "a.rs", "pub(in crate::a) fn b() {}".into(), "pub(crate) fn b() {}".into()),
        ("module-docs", "a.rs", "//! What is sent.".into(), "//! Whatever: requests.".into()),
        ("words", "a.md", "It can\u{20}not be.".into(), "It cannot be.".into()),
        ("words", "a.rs", "fn went_on() {}".into(), "fn went_only() {}".into()),
        ("width", "a.md", "x".repeat(MAX_WIDTH + 1), format!("| {}", "x".repeat(MAX_WIDTH))),
        ("standard-error", "a/src/b.rs", "eprintln!();".into(), "// eprintln!();".into()),
    ];
    for (name, path, bad, good) in cases {
        let rule = RULES.iter().find(|(rule, _)| *rule == name).unwrap().1;
        assert_eq!(rule(&File::new(path, bad)).len(), 1, "{name}");
        assert_eq!(rule(&File::new(path, good)), Vec::<String>::new(), "{name}");
    }
    assert_eq!(too_deep(&File::new("a/src/b/c/d/e/f.rs", "")).len(), 1);
    assert!(too_deep(&File::new("a/src/b/c/d/e.rs", "")).is_empty());
}

/// The tables of lints hold for every crate, and ask for a document on every public item.
#[test]
fn every_crate_has_the_lints() {
    let manifest = |path: &str| fs::read_to_string(root().join(path).join("Cargo.toml")).unwrap();
    let workspace = manifest("");
    for lint in ["missing_docs", "unreachable_pub", "missing_debug_implementations"] {
        let denied = format!("{lint} = \"deny\"");
        assert!(workspace.contains(&denied), "the workspace lacks: {denied}");
    }
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    for member in ["textgrad-core", "textgrad-ops", "tpo", "examples", "tests"] {
        assert!(manifest(member).contains("[lints]\nworkspace = true"), "{member}");
    }
}
