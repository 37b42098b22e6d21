//! Text for terminals, and lines on standard error.
//!
//! Text of models, servers and files is data: a terminal shows its control characters and does not obey them. A
//! standard error that cannot be written ends nothing.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

/// The text with control characters and bidirectional controls written out, as in `\u{1b}`. Line breaks and tabs
/// stay.
///
/// # Examples
/// ```
/// use textgrad_ops::util::terminal::escape;
///
/// assert_eq!(escape("one\n\u{1b}[2Jtwo"), "one\n\\u{1b}[2Jtwo");
/// ```
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_except(text, |c| matches!(c, '\n' | '\t'))
}

/// [`escape`] for text that must stay on its line: line breaks and tabs are written out too.
#[must_use]
pub fn escape_line(text: &str) -> Cow<'_, str> {
    escape_except(text, |_| false)
}

/// JSON in which no string holds a control character or bidirectional control as it is. It reads as the same value.
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // The ASCII ones are escaped already but for U+007F, and all are in the first plane.
    replace(json, |c| c != '\n' && is_control(c), |c| format!("\\u{:04x}", u32::from(c)))
}

/// Whether a text needs no quotes in a shell: it has only letters, digits and `._-/:=,@+` of ASCII.
///
/// # Examples
/// ```
/// use textgrad_ops::util::terminal::is_shell_word;
///
/// assert!(is_shell_word("--engine=ollama/llama3:8b"));
/// assert!(!is_shell_word("two words") && !is_shell_word("$HOME") && !is_shell_word(""));
/// ```
#[must_use]
pub fn is_shell_word(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:=,@+".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain)
}

/// The text with the login and the query of each URL blotted out. A URL ends before white space, quotes and backticks.
///
/// # Examples
/// ```
/// use textgrad_ops::util::terminal::hide_logins;
///
/// let hidden = hide_logins("got nats://user:word@host/name and http://host/v1?token=word");
/// assert_eq!(hidden, "got nats://[redacted]@host/name and http://host/v1?[redacted]");
/// ```
#[must_use]
pub fn hide_logins(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`');
    let words = text.split_inclusive(ends).map(|word| {
        let url = word.strip_suffix(ends).unwrap_or(word);
        format!("{}{}", hide_login(url), word.get(url.len()..).unwrap_or_default())
    });
    words.collect()
}

/// [`hide_logins`] of a text that is one URL, whatever is in it.
#[must_use]
pub fn hide_login(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    let (login, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("[redacted]@", rest),
        None => ("", rest),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) if query.contains('=') => (path, "?[redacted]"),
        _ => (rest, ""),
    };
    Cow::Owned(format!("{scheme}://{login}{path}{query}"))
}

/// Writes a line to standard error, escaped and [without logins](hide_logins). A failure is ignored.
pub fn note(line: impl Display) {
    let _ = LogWriter.write(format!("{line}\n").as_bytes());
}

/// Text as it may be written to a terminal: escaped and without logins.
fn shown(text: &str) -> String {
    escape(&hide_logins(text)).into_owned()
}

/// A writer of whole lines to standard error that escapes them, [hides logins](hide_logins) and never fails, for logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let _ = io::stderr().lock().write_all(shown(&text).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs of a program. With the feature `otel`, spans that were not sent to the collector yet are sent when it is
/// dropped, which blocks.
#[cfg(feature = "logging")]
#[derive(Debug)]
#[must_use]
pub struct Logging {
    #[cfg(feature = "otel")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

#[cfg(feature = "otel")]
impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.provider.as_ref().map(|provider| provider.shutdown()) {
            note(format_args!("warning: spans were not sent to the collector: {error}"));
        }
    }
}

/// Logs to standard error by the filter in this environment variable. Default: warnings, in the form of the program's
/// other messages, and with the time if `has_time` is set. With the feature `otel`, spans go to the collector that the
/// environment names, as those of a service of this name.
#[cfg(feature = "logging")]
pub fn start_logging(variable: &str, service: &'static str, has_time: bool) -> Logging {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    use tracing_subscriber::{EnvFilter, Layer as _};
    let given = std::env::var(variable).ok();
    let filter = EnvFilter::try_new(given.as_deref().unwrap_or("warn")).unwrap_or_else(|error| {
        note(format_args!("warning: {variable} is invalid, so warnings are logged: {error}"));
        EnvFilter::new("warn")
    });
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| LogWriter);
    let lines = match given {
        Some(_) => lines.with_filter(filter).boxed(),
        None => {
            let format = super::message::MessageFormat { has_time };
            lines.event_format(format).with_filter(filter).boxed()
        }
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "otel")]
    {
        let provider = crate::telemetry::otlp(service).unwrap_or_else(|error| {
            note(format_args!("warning: no spans are sent to the collector: {error}"));
            None
        });
        let ours = ["textgrad", "tpo"].map(|target| (target, tracing::Level::INFO));
        let ours = tracing_subscriber::filter::Targets::new().with_targets(ours);
        let spans =
            provider.as_ref().map(|provider| crate::telemetry::layer(provider).with_filter(ours));
        subscriber.with(spans).init();
        Logging { provider }
    }
    #[cfg(not(feature = "otel"))]
    {
        let _ = service;
        subscriber.init();
        Logging {}
    }
}

fn escape_except(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    replace(text, |c| is_control(c) && !stays(c), |c| c.escape_unicode().to_string())
}

fn is_control(c: char) -> bool {
    // The Unicode property Bidi_Control.
    let is_bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_bidi
}

fn replace(
    text: &str,
    is_replaced: impl Fn(char) -> bool,
    by: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.contains(&is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len());
    for c in text.chars() {
        match is_replaced(c) {
            true => replaced.push_str(&by(c)),
            false => replaced.push(c),
        }
    }
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_escaped_and_have_no_logins() {
        let line = "warning: no answer from http://user:word@host/v1\u{1b}[2J\n";
        let expected = "warning: no answer from http://[redacted]@host/v1\\u{1b}[2J\n";
        assert_eq!(shown(line), expected);
    }

    #[test]
    fn controls_are_shown_and_all_else_stays() {
        let hostile = "a\u{1b}]0;title\u{7}\r\0\u{7f}\u{9b}31m\u{202e}b\u{2066}";
        let shown = r"a\u{1b}]0;title\u{7}\u{d}\u{0}\u{7f}\u{9b}31m\u{202e}b\u{2066}";
        assert_eq!(escape(hostile), shown);
        assert_eq!(escape("tab\tline\nÄ 语 👩‍💻"), "tab\tline\nÄ 语 👩‍💻");
        assert_eq!(escape_line("a\nb\t"), r"a\u{a}b\u{9}");
    }

    #[test]
    fn json_reads_as_the_same() {
        let value = serde_json::json!({ "a": "\u{1b}[2J\u{9b}\u{7f}\u{202e}\n", "b": [1.5, "ä"] });
        let text = format!("{value:#}");
        let escaped = escape_json(&text);
        assert!(!escaped.contains(|c| c != '\n' && is_control(c)), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
