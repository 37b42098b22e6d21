//! Reward models in one line: `KIND` or `KIND:key=value,key="value, with a comma"`, and `local:FOLDER`.

use std::fmt;
use std::str::FromStr;

use tpo::Error;

/// The kind of a reward model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RewardKind {
    Sim,
    Vllm,
    VllmText,
    VllmPooling,
    VllmPoolingText,
    Sglang,
    Tei,
    OpenRlhf,
    Nim,
    Judge,
    PairwiseJudge,
    Dpo,
    Kl,
    Length,
    Format,
    Command,
    Local,
}

/// Settings of a server that applies the chat template itself.
const SERVER: &str = "url model truncate key-env concurrency";

/// Settings of a server that is sent the text of the chat template.
const TEMPLATED: &str = "url model template truncate key-env batch concurrency";

const NIM: &str = "url model attribute truncate key-env concurrency";

const JUDGE: &str = "engine base-url rubric lowest highest expected votes parse-retries unreadable temperature max-tokens";

const PAIRWISE: &str =
    "engine base-url rubric pairs votes parse-retries unreadable temperature max-tokens";

const LIKELIHOODS: &str = "url model template key-env likelihood reference-url reference-model reference-template \
                           reference-key-env reference-likelihood beta concurrency";

/// The kinds by name, with the names of their settings.
const KINDS: [(&str, RewardKind, &str); 17] = [
    ("sim", RewardKind::Sim, ""),
    ("vllm", RewardKind::Vllm, SERVER),
    ("vllm-text", RewardKind::VllmText, TEMPLATED),
    ("vllm-pooling", RewardKind::VllmPooling, SERVER),
    ("vllm-pooling-text", RewardKind::VllmPoolingText, TEMPLATED),
    ("sglang", RewardKind::Sglang, TEMPLATED),
    ("tei", RewardKind::Tei, TEMPLATED),
    ("openrlhf", RewardKind::OpenRlhf, TEMPLATED),
    ("nim", RewardKind::Nim, NIM),
    ("judge", RewardKind::Judge, JUDGE),
    ("pairwise-judge", RewardKind::PairwiseJudge, PAIRWISE),
    ("dpo", RewardKind::Dpo, LIKELIHOODS),
    ("kl", RewardKind::Kl, LIKELIHOODS),
    ("length", RewardKind::Length, "from to slack"),
    ("format", RewardKind::Format, "pattern never json schema"),
    ("command", RewardKind::Command, "program concurrency"),
    ("local", RewardKind::Local, "folder template truncate"),
];

/// The kinds, for messages.
pub(super) const NAMES: &str = "sim, vllm, vllm-text, vllm-pooling, vllm-pooling-text, sglang, tei, openrlhf, nim, \
                     judge, pairwise-judge, dpo, kl, length, format, command or local";

/// Settings of every kind.
const SHARED_KEYS: [&str; 3] = ["weight", "center", "scale"];

/// How the line of a model in the process begins, where a model is named.
pub(super) const LOCAL: &str = "local:";

/// What ends the name of a setting that names the environment variable of a key.
pub(crate) const KEY_ENV: &str = "key-env";

/// Whether this is the name of an environment variable as names of keys are written. Lower case is not among
/// them: there are keys that would be names else.
pub(crate) fn is_variable(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_uppercase() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// A name and a value.
type Setting = (String, String);

/// A reward model's kind with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    written: String,
    kind: RewardKind,
    /// The names of the settings of its kind.
    known: &'static str,
    settings: Vec<Setting>,
}

impl Line {
    pub(super) fn kind(&self) -> RewardKind {
        self.kind
    }

    /// Whether its kind has a setting.
    pub(super) fn has(&self, key: &str) -> bool {
        self.known.split_whitespace().any(|known| known == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whether it says what makes it comparable with others.
    pub(super) fn is_member(&self) -> bool {
        SHARED_KEYS.iter().any(|key| self.get(key).is_some())
    }

    /// Names the setting that an error is about as it is typed in this line.
    pub(super) fn locate(&self, error: Error) -> Error {
        match error {
            Error::Config { setting, expected, got } if self.get(setting).is_some() => {
                Error::config("reward", expected, format!("{setting}={got}"))
            }
            error => error,
        }
    }

    pub(super) fn number(&self, key: &'static str) -> Result<Option<f64>, Error> {
        self.parsed(key, "a number")
    }

    pub(super) fn count(&self, key: &'static str) -> Result<Option<usize>, Error> {
        let counted = self.parsed(key, "a whole number")?;
        match counted {
            Some(0) if key != "from" => Err(Error::config(key, "at least 1", "0")),
            counted => Ok(counted),
        }
    }

    pub(super) fn parsed<T: FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| Error::config(key, expected, value))
    }
}

impl FromStr for Line {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let found = KINDS.iter().find(|(known, ..)| *known == name.trim());
        let (_, kind, known) = found.ok_or_else(|| {
            let is_address = matches!(name.trim(), "http" | "https");
            let advice = "an address; name its kind, as in --reward vllm --reward-url ADDRESS";
            Error::config("reward", NAMES, if is_address { advice } else { name })
        })?;
        let keys: Vec<&str> = known.split_whitespace().chain(SHARED_KEYS).collect();
        let mut settings: Vec<Setting> = Vec::new();
        let mut rest = rest;
        // The folder stands by itself, as in local:reward-model/.
        if *kind == RewardKind::Local
            && let (folder, behind) = rest.split_once(',').unwrap_or((rest, ""))
            && !folder.contains('=')
            && !folder.trim().is_empty()
        {
            settings.push(("folder".to_owned(), folder.trim().to_owned()));
            rest = behind;
        }
        while let Some((setting, behind)) = next(rest)? {
            rest = behind;
            let (key, value) = setting;
            if !keys.contains(&key.as_str()) {
                let got = format!("{key:?}; {name} has {}", keys.join(", "));
                return Err(Error::config("reward", "a setting that it has", got));
            }
            if settings.iter().any(|(known, _)| *known == key) {
                return Err(Error::config("reward", "each setting once", format!("{key:?} twice")));
            }
            // What is no name may be the key itself, which errors that show the line would print.
            if key.ends_with(KEY_ENV) && !is_variable(&value) {
                let expected =
                    "the name of an environment variable (A to Z, 0 to 9 and _), never a key";
                let got = format!("another {key}, which is not shown");
                return Err(Error::config("reward", expected, got));
            }
            settings.push((key, value));
        }
        Ok(Self { written: text.to_owned(), kind: *kind, known, settings })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The first setting of a list, and what comes behind it; none at its end.
fn next(list: &str) -> Result<Option<(Setting, &str)>, Error> {
    let list = list.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    if list.is_empty() {
        return Ok(None);
    }
    let plain = list.split(',').next().unwrap_or(list);
    let Some((key, _)) = plain.split_once('=') else {
        let expected = "settings as KIND:key=value,key=value";
        return Err(Error::config("reward", expected, plain));
    };
    let value = list.get(key.len() + 1..).unwrap_or_default().trim_start();
    let key = key.trim().to_owned();
    let Some(quoted) = value.strip_prefix('"') else {
        let (value, behind) = value.split_once(',').unwrap_or((value, ""));
        return Ok(Some(((key, value.trim().to_owned()), behind)));
    };
    let ends = |behind: &str| behind.is_empty() || behind.starts_with(',');
    match unquoted(quoted).map(|(value, behind)| (value, behind.trim_start())) {
        Some((value, behind)) if ends(behind) => Ok(Some(((key, value), behind))),
        _ => {
            let expected = "a quoted value to end with a quote, and nothing but a comma behind it; a quote \
                            within it is written twice";
            Err(Error::config("reward", expected, format!("another value of {key:?}")))
        }
    }
}

/// The text up to the quote that ends it, and what comes behind; two quotes are one that does not end it.
fn unquoted(mut text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    loop {
        let (part, behind) = text.split_once('"')?;
        value.push_str(part);
        let Some(more) = behind.strip_prefix('"') else { return Some((value, behind)) };
        value.push('"');
        text = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Line {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn values_may_be_quoted() {
        for (written, pattern) in [
            (r#"format:pattern="a{1,2}",weight=2"#, "a{1,2}"),
            (r#"format: pattern = " a, ""b"" = c" , weight=2"#, r#" a, "b" = c"#),
            (r#"format:weight=2,pattern="\d,\d""#, r"\d,\d"),
            (r#"format:pattern="",weight=2,"#, ""),
            (r#"format:pattern=a"b",weight=2"#, r#"a"b""#),
            (r"format:pattern=x=y:z , weight=2", "x=y:z"),
        ] {
            let line = read(written);
            assert_eq!(
                (line.get("pattern"), line.get("weight")),
                (Some(pattern), Some("2")),
                "{written}"
            );
            assert_eq!(line.to_string(), written);
        }
    }

    #[test]
    fn a_folder_stands_by_itself() {
        for (written, folder) in [
            ("local:models/rm/", Some("models/rm/")),
            ("local: models/rm , weight=2", Some("models/rm")),
            (r#"local:folder="a,b=c",weight=2"#, Some("a,b=c")),
            ("local", None),
            ("local:weight=2", None),
        ] {
            assert_eq!(read(written).get("folder"), folder, "{written}");
        }
        assert_eq!(read("local:rm,weight=2").get("weight"), Some("2"));
        assert!("local:rm,folder=other".parse::<Line>().is_err());
    }

    #[test]
    fn a_quote_that_does_not_end_is_refused() {
        for written in [
            r#"format:pattern="a,b"#,
            r#"format:pattern="a"b"#,
            r#"format:pattern="a"","#,
            r#"format:pattern=""""#,
        ] {
            let error = written.parse::<Line>().unwrap_err().to_string();
            assert!(
                error.contains("a quoted value to end") && error.contains("\"pattern\""),
                "{error}"
            );
        }
        let error = r#"vllm:key-env="sk-1"2"#.parse::<Line>().unwrap_err().to_string();
        assert!(!error.contains("sk-1"), "{error}");
    }
}
