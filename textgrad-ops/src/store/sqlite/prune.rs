//! Removal of entries, and the bound on the size of the file.

use rusqlite::{Connection, Error, TransactionBehavior, params, params_from_iter};

use super::database::{Database, unsigned};
use super::entry::{CacheFilter, RemovedEntries};
use super::query::{conditions, limit};

/// One commit removes at most so many entries: other processes wait meanwhile.
const CHUNK: usize = 512;

/// What the pages of a file come to, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) used: u64,
    pub(super) free: u64,
}

/// Read from the first page, whatever the size of the file.
fn room(db: &Connection) -> Result<Room, Error> {
    let number = |pragma: &str| -> Result<u64, Error> {
        let mut ask = db.prepare_cached(pragma)?;
        Ok(unsigned(ask.query_row([], |row| row.get(0))?))
    };
    let size = number("PRAGMA page_size")?;
    let (all, free) = (number("PRAGMA page_count")?, number("PRAGMA freelist_count")?);
    Ok(Room { used: all.saturating_sub(free) * size, free: free * size })
}

impl Database {
    pub(super) fn room(&self) -> Result<Room, Error> {
        room(&self.db)
    }

    /// Removes what was not used for the longest if the file is larger than it may be, down to nine tenths.
    /// The room is not given back: the next answers take it.
    pub(super) fn keep_below(&mut self, max_bytes: u64) -> Result<(), Error> {
        if self.room()?.used > max_bytes {
            self.shrink(max_bytes / 10 * 9)?;
        }
        Ok(())
    }

    pub(super) fn prune(&mut self, max_bytes: u64) -> Result<RemovedEntries, Error> {
        self.giving_back(|store| store.shrink(max_bytes))
    }

    pub(super) fn remove(&mut self, filter: &CacheFilter) -> Result<RemovedEntries, Error> {
        let (conditions, values) = conditions(filter, (self.clock)());
        self.giving_back(|store| {
            let remove = format!(
                "DELETE FROM entries WHERE id IN (SELECT e.id FROM entries e WHERE {conditions} \
                 ORDER BY e.used DESC, e.id DESC LIMIT {})",
                limit(filter)
            );
            Ok(store.db.execute(&remove, params_from_iter(values))? as u64)
        })
    }

    /// Moves all that was written into the file itself, as far as others that read it allow.
    pub(super) fn checkpoint(&mut self) -> Result<(), Error> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    fn giving_back(
        &mut self,
        remove: impl FnOnce(&mut Self) -> Result<u64, Error>,
    ) -> Result<RemovedEntries, Error> {
        let size = |room: Room| room.used + room.free;
        let before = size(self.room()?);
        let entries = remove(self)?;
        let mut give_back = self.db.prepare("PRAGMA incremental_vacuum")?;
        let mut rows = give_back.query([])?;
        // A page goes with each row that is asked for.
        while rows.next()?.is_some() {}
        drop(rows);
        drop(give_back);
        self.checkpoint()?;
        Ok(RemovedEntries { entries, bytes: before.saturating_sub(size(self.room()?)) })
    }

    /// Removes the entries that were not used for the longest until the file has at most so many bytes, or no
    /// entry. Each commit looks again: another process may be at it too.
    fn shrink(&mut self, target: u64) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let excess = room(&change)?.used.saturating_sub(target);
            if excess == 0 {
                return Ok(removed);
            }
            let mut doomed = Vec::new();
            {
                let mut oldest = change
                    .prepare_cached("SELECT id, bytes FROM entries ORDER BY used, id LIMIT ?1")?;
                let mut rows = oldest.query(params![CHUNK as i64])?;
                let mut bytes = 0;
                // An entry takes more room than its texts: half the way, and then look again.
                while bytes <= excess / 2
                    && let Some(row) = rows.next()?
                {
                    doomed.push(row.get::<_, i64>(0)?);
                    bytes += unsigned(row.get(1)?);
                }
                let mut remove = change.prepare_cached("DELETE FROM entries WHERE id = ?1")?;
                for id in &doomed {
                    remove.execute([id])?;
                }
            }
            change.commit()?;
            if doomed.is_empty() {
                return Ok(removed);
            }
            removed += doomed.len() as u64;
        }
    }
}
