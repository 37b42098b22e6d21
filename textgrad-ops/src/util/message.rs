//! Log events in the form of a program's other messages.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event as `warning: MESSAGE (field: value)`, without target and spans.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MessageFormat {
    /// Whether the time is before it.
    pub(super) has_time: bool,
}

impl<S, N> FormatEvent<S, N> for MessageFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let kind = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => "note",
        };
        if self.has_time {
            SystemTime.format_time(&mut writer)?;
            writer.write_char(' ')?;
        }
        let mut parts = Parts::default();
        event.record(&mut parts);
        let Parts { message, fields } = parts;
        match fields.is_empty() {
            true => writeln!(writer, "{kind}: {message}"),
            false => writeln!(writer, "{kind}: {message} ({fields})"),
        }
    }
}

/// The message of an event, and its other fields as a list.
#[derive(Default)]
struct Parts {
    message: String,
    fields: String,
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => {
                let separator = if self.fields.is_empty() { "" } else { ", " };
                write!(self.fields, "{separator}{}: {value:?}", name.replace('_', " "))
            }
        };
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::DefaultGuard;

    use super::*;

    /// The messages of this thread.
    #[derive(Clone, Default)]
    pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        /// Collects messages until the guard is dropped.
        pub(crate) fn start() -> (Self, DefaultGuard) {
            let log = Self::default();
            let written = log.clone();
            let subscriber = tracing_subscriber::fmt().event_format(MessageFormat::default());
            let subscriber = subscriber.with_writer(move || written.clone()).finish();
            (log, tracing::subscriber::set_default(subscriber))
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn events_are_messages_with_their_fields() {
        let (log, guard) = Log::start();
        let span = tracing::info_span!("query", index = 3).entered();
        tracing::warn!("the server is slow");
        let error = io::Error::other("no space left");
        tracing::error!(engine = "openai:m", prompt_tokens = 7, %error, "nothing is {}", "written");
        drop((span, guard));
        let expected = "warning: the server is slow\nerror: nothing is written (engine: openai:m, \
                        prompt tokens: 7, error: no space left)\n";
        assert_eq!(log.text(), expected);
    }
}
