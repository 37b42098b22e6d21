//! The steps of single queries in a journal.

use textgrad_ops::util::fs::blocking;

#[cfg(feature = "queue")]
use super::file::Deliveries;
#[cfg(feature = "serve")]
use super::file::heads;
use super::file::{opened, read};
use super::{Journal, NewRecord, QueryJournal, Record, StepSink};
use crate::error::Error;

impl Journal {
    /// Notes that the search of a query came to its end, unless that is noted.
    ///
    /// # Errors
    /// [`Error::JournalWrite`] if that cannot be written.
    pub(crate) fn finish(&self, query: usize, line_crc: u32) -> Result<(), Error> {
        match self.0.finished.get(&query) {
            Some(noted) if *noted == line_crc => Ok(()),
            _ => self.note(&NewRecord::Finished { query, line_crc }),
        }
    }

    /// Writes a record that is no step.
    ///
    /// # Errors
    /// [`Error::JournalWrite`] if that cannot be written.
    pub(crate) fn note(&self, record: &NewRecord<'_>) -> Result<(), Error> {
        let written = self.0.writer.as_ref().map_or(Ok(()), |writer| writer.write(record));
        written.map_err(Error::journal_write)
    }

    /// Writes steps that are lines of a journal.
    ///
    /// # Errors
    /// [`Error::JournalWrite`] if they cannot be written.
    #[cfg(feature = "queue")]
    pub(crate) fn append(&self, lines: &[u8]) -> Result<(), Error> {
        let written = self.0.writer.as_ref().map_or(Ok(()), |writer| writer.append(lines));
        written.map_err(Error::journal_write)
    }

    /// What searching queries at a queue took, when the journal was opened.
    #[cfg(feature = "queue")]
    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.0.delivered
    }

    /// The steps of a query, read from the file.
    pub(crate) async fn records(&self, query: usize) -> Result<Vec<Record>, Error> {
        let spans = self.0.spans.get(&query).cloned().unwrap_or_default();
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        let path = self.0.path.clone();
        blocking(move || read(&opened(&path)?, &path, &spans)).await
    }

    /// What is known about one query, read from the file.
    pub(crate) async fn query(&self, query: usize) -> Result<QueryJournal, Error> {
        Ok(QueryJournal::new(query, self.sink(), self.records(query).await?))
    }

    /// [`query`](Self::query), with the steps that were written since the journal was opened.
    #[cfg(feature = "serve")]
    pub(crate) async fn query_anew(&self, query: usize) -> Result<QueryJournal, Error> {
        let path = self.0.path.clone();
        let records = blocking(move || {
            let file = opened(&path)?;
            let spans = heads(&file, &path)?.spans;
            read(&file, &path, spans.get(&query).map_or(&[], Vec::as_slice))
        })
        .await?;
        Ok(QueryJournal::new(query, self.sink(), records))
    }

    fn sink(&self) -> Option<StepSink> {
        self.0.writer.clone().map(StepSink::File)
    }
}
